"""Perimeters of fires and floods, and what they say about a chip at a moment.

In: a vector file of polygons with dates. Out: for a cell and a sensing time, whether it shows the event.
Stops at the event's own label: land cover is `corpus_cover`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Final

import numpy as np
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from shapely.geometry.base import BaseGeometry

from schemas.cells import Cell
from schemas.errors import UsageError
from training.crisislandmark import needed

THRESHOLD: Final[Mapping[str, float]] = {"Burned Area": 0.4, "Flooded Area": 0.2, "Earthquake Damage": 0.15}
"""Share of a chip from which it shows the event; the same as the simulation's (`simulation.labels`)."""
DAYS: Final[Mapping[str, float]] = {"Burned Area": 60.0, "Flooded Area": 7.0, "Earthquake Damage": 60.0}
"""How long the trace is sure to be seen, days: a scar greens within a season, water falls within a week or two."""

BESIDE_DEG: Final = 0.05
"""Around the box of an area, degrees: chips reach beyond the cells whose centres are in it."""


@dataclass(frozen=True, slots=True)
class EventPreset:
    """How a publisher writes its perimeters.

    Attributes:
        title: Who.
        label: What its polygons are; none: the person must say.
        date_columns: Columns with the day of the event, best first; none: its files have no date.
        attribution: Who must be named, and under which terms, in short; docs/corpus.md has the rest.
    """

    title: str
    label: str | None
    date_columns: tuple[str, ...]
    attribution: str


PRESETS: Final[Mapping[str, EventPreset]] = {
    "ems": EventPreset(
        "Copernicus EMS Rapid Mapping, observedEventA",
        None,
        (),
        "© European Union, Copernicus Emergency Management Service (Delegated Regulation (EU) 1159/2013)",
    ),
    "effis": EventPreset(
        "EFFIS burnt areas",
        "Burned Area",
        ("FIREDATE", "initialdate"),
        "Burnt areas: EFFIS, European Commission (CC-BY-4.0)",
    ),
    "mtbs": EventPreset(
        "MTBS burned area boundaries",
        "Burned Area",
        ("Ig_Date", "IG_DATE"),
        "Burned areas: MTBS, USGS and USDA Forest Service (public domain)",
    ),
}
"""Column names as the publishers' downloads have them; a file that differs is served by --event-date-column."""


class Trace(Enum):
    """What events say about a chip."""

    UNTOUCHED = "untouched"
    BEFORE = "before"
    SHOWN = "shown"
    AMBIGUOUS = "ambiguous"
    AFTERMATH = "aftermath"


@dataclass(frozen=True, slots=True)
class Finding:
    """What events say about one chip at one moment.

    Attributes:
        trace: In a word.
        share: Share 0-1 of the chip under events that had begun and are not older than `Events.days`.
        under: Those events' outline in the cell's zone, metres; none where there are none.
    """

    trace: Trace
    share: float = 0.0
    under: BaseGeometry | None = None


@dataclass
class Events:
    """Perimeters of one kind of event.

    Attributes:
        label: Name among `training.phrases.LABELS`.
        outlines: WGS84, lon/lat, valid.
        begin: First moment that the event may have begun, UTC, by outline.
        begun: Moment by which it had begun: a date without a time is anywhere in its day.
        days: How long after its beginning an event is sure to be seen.
        problems: Features that were left out, and why.
        attribution: Who made them, where the preset knows it.
    """

    label: str
    outlines: Sequence[BaseGeometry]
    begin: Sequence[datetime]
    begun: Sequence[datetime]
    days: float
    problems: list[str]
    attribution: str = ""
    _zones: dict[int, tuple[list[BaseGeometry], shapely.STRtree]] = field(default_factory=dict)

    def find(self, cell: Cell, sensed: datetime) -> Finding:
        """What they say about a cell's chip.

        An older event that may still be seen, or a day on which nobody knows which came first, make it ambiguous or
        an aftermath; they are stronger than a later event that is yet to come.
        """
        outlines, tree = self._zone(cell.epsg)
        window = shapely.box(*cell.window)
        hit = [int(i) for i in tree.query(window) if outlines[i].intersection(window).area > 0]
        if not hit:
            return Finding(Trace.UNTOUCHED)
        if any(sensed > self.begin[i] + timedelta(days=self.days) for i in hit):
            return Finding(Trace.AFTERMATH)
        if any(self.begin[i] <= sensed < self.begun[i] for i in hit):
            return Finding(Trace.AMBIGUOUS)
        active = [outlines[i] for i in hit if self.begun[i] <= sensed]
        if not active:
            return Finding(Trace.BEFORE)
        under = shapely.union_all(active).intersection(window)
        share = float(under.area / window.area)
        return Finding(Trace.SHOWN if share >= THRESHOLD[self.label] else Trace.AMBIGUOUS, share, under)

    def _zone(self, epsg: int) -> tuple[list[BaseGeometry], shapely.STRtree]:
        """Outlines on a zone's plane; those far from it are left out, projections blow up there."""
        if epsg not in self._zones:
            centre = (epsg % 100 - 1) * 6 - 177
            near = [abs((o.bounds[0] + o.bounds[2]) / 2 - centre) < 20 for o in self.outlines]
            flat = [
                _moved(o, 4326, epsg) if is_near else shapely.Polygon()
                for o, is_near in zip(self.outlines, near, strict=True)
            ]
            self._zones[epsg] = (flat, shapely.STRtree(flat))
        return self._zones[epsg]


def read_events(
    path: Path,
    *,
    label: str | None,
    date_column: str | None = None,
    date: datetime | None = None,
    preset: str | None = None,
    days: float | None = None,
    area: BaseGeometry | None = None,
) -> Events:
    """Read perimeters: anything that GDAL's vector drivers of pyogrio know (GeoJSON, Shapefile, GeoPackage).

    Args:
        path: The file; of several layers the first is read.
        label: What its polygons are; none: the preset's.
        date_column: With the day or moment of each event; none: the preset's.
        date: Of all events, for files without dates.
        preset: Key of `PRESETS`.
        days: How long an event is sure to be seen; none: `DAYS` of its label.
        area: Lon/lat; events outside its box are not kept (a national file has thousands).

    Raises:
        UsageError: no such file, nothing readable in it, no CRS, no such column, no usable polygon or date, none in the
            area, unknown label or preset.
        SettingsError: pyogrio is not installed.
    """
    if preset is not None and preset not in PRESETS:
        raise UsageError(f"no event preset {preset!r}: use {', '.join(PRESETS)}")
    known = PRESETS.get(preset or "")
    label = label or (known.label if known else None)
    if label is None or label not in THRESHOLD:
        raise UsageError(f"--event-label {label!r}: say one of {', '.join(THRESHOLD)}")
    columns, geometries, crs = _read(path)
    dates = _dates(path, columns, len(geometries), date_column, date, known)
    to_wgs84 = _crs(path, crs)
    outlines, begin, begun, problems = [], [], [], []
    box = area.envelope.buffer(BESIDE_DEG) if area is not None else None
    elsewhere = 0
    for number, (geometry, span) in enumerate(zip(geometries, dates, strict=True), 1):
        outline = _polygons(geometry, to_wgs84)
        if outline is None:
            problems.append(f"{path.name}: feature {number}: no polygon on Earth in it, left out")
        elif box is not None and not box.intersects(outline):
            elsewhere += 1
        elif span is None:
            problems.append(f"{path.name}: feature {number}: its date cannot be read, left out")
        else:
            outlines.append(outline)
            begin.append(span[0])
            begun.append(span[1])
    if not outlines and elsewhere:
        raise UsageError(f"{path}: none of its {elsewhere} polygons touches the area: is their CRS ({crs}) right?")
    if not outlines:
        raise UsageError(f"{path}: none of its {len(geometries)} features has both a polygon and a date")
    return Events(
        label,
        outlines,
        begin,
        begun,
        DAYS[label] if days is None else days,
        problems,
        known.attribution if known else "",
    )


def _read(path: Path) -> tuple[dict[str, Any], list[BaseGeometry | None], str | None]:
    pyogrio, raw = needed("pyogrio"), needed("pyogrio.raw")
    if not path.exists():
        raise UsageError(f"{path}: no such file; --events takes GeoJSON, a Shapefile's .shp or a GeoPackage")
    try:
        meta, _, wkb, values = raw.read(path, force_2d=True, datetime_as_string=True)
        geometries = list(shapely.from_wkb(wkb, on_invalid="ignore")) if wkb is not None else []
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError, OSError) as error:
        reason = (str(error).splitlines() or ["unreadable"])[0][:160]
        raise UsageError(f"{path}: no vector file that can be read ({reason})") from error
    if not geometries:
        raise UsageError(f"{path}: no feature in it")
    return dict(zip(meta["fields"], values, strict=True)), geometries, meta["crs"]


def _dates(
    path: Path,
    columns: Mapping[str, Any],
    count: int,
    column: str | None,
    date: datetime | None,
    known: EventPreset | None,
) -> list[tuple[datetime, datetime] | None]:
    if date is not None and column is None:
        day = date == date.replace(hour=0, minute=0, second=0, microsecond=0)
        return [(date, date + timedelta(days=1) if day else date)] * count
    wanted = (column,) if column else known.date_columns if known else ()
    found = next((name for name in wanted if name in columns), None)
    if found is None:
        said = f"no date column {' or '.join(wanted)}" if wanted else "no date is known of its events"
        raise UsageError(
            f"{path}: {said}; name one with --event-date-column (it has {', '.join(columns) or 'none'}) "
            "or give --event-date"
        )
    return [_span(value) for value in columns[found]]


def _span(value: object) -> tuple[datetime, datetime] | None:
    """First and last moment that a date may mean: a day without a time is anywhere in it, UTC."""
    if isinstance(value, np.datetime64):
        value = None if np.isnat(value) else str(value)
    if isinstance(value, str) and len(value) == 13 and value.isdecimal():
        value = int(value)
    if isinstance(value, (int, float, np.number)) and not isinstance(value, bool):
        number = float(value)
        if not 1e11 < number < 1e13:  # milliseconds since 1970, as ESRI's servers write dates
            return None
        moment = datetime.fromtimestamp(number / 1000, UTC)
    else:
        text = str(value or "").strip().replace("/", "-")
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
    moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    is_day = (moment.hour, moment.minute, moment.second) == (0, 0, 0)
    return (moment, moment + timedelta(days=1)) if is_day else (moment, moment)


def _crs(path: Path, crs: str | None) -> Transformer:
    if not crs:
        raise UsageError(f"{path} names no CRS (a Shapefile needs its .prj): where its polygons lie is unknown")
    try:
        return Transformer.from_crs(CRS.from_user_input(crs), 4326, always_xy=True)
    except ProjError as error:
        raise UsageError(f"{path}: its CRS cannot be used ({str(error)[:120]}): reproject it to WGS84") from error


def _polygons(geometry: BaseGeometry | None, transformer: Transformer) -> BaseGeometry | None:
    """A feature's polygons in WGS84, mended where they cross themselves; none where nothing is left."""
    if geometry is None or geometry.is_empty:
        return None
    mended = geometry if geometry.is_valid else shapely.make_valid(geometry)
    parts = [part for part in _flat(mended) if isinstance(part, shapely.Polygon) and part.area > 0]
    if not parts:
        return None
    moved = shapely.transform(shapely.MultiPolygon(parts), _apply(transformer))
    xy = shapely.get_coordinates(moved)
    if not np.isfinite(xy).all() or np.abs(xy[:, 0]).max() > 180 or np.abs(xy[:, 1]).max() > 90:
        return None
    return moved if moved.is_valid else shapely.make_valid(moved)


def _flat(geometry: BaseGeometry) -> list[BaseGeometry]:
    parts = list(shapely.get_parts(geometry))
    return [piece for part in parts for piece in (_flat(part) if hasattr(part, "geoms") else [part])]


def _moved(geometry: BaseGeometry, source: int, target: int) -> BaseGeometry:
    moved = shapely.transform(geometry, _apply(Transformer.from_crs(source, target, always_xy=True)))
    return moved if moved.is_valid else shapely.make_valid(moved)


def _apply(transformer: Transformer) -> Any:
    return lambda xy: np.column_stack(transformer.transform(xy[:, 0], xy[:, 1]))
