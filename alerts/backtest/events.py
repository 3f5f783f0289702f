"""Known events: read from a file, and which of them would have been reported.

Flows in: GeoJSON with dates; cells and scores of the replay. Flows out: hits with their delay, misses with what was
seen instead. Stops before totals (`report`).

An event is hit by the first match whose cell lies within an incident's reach of it and that was sensed from its start
to `window_days` after its end. A miss says whether anybody looked: "could not see" is never "nothing there".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.errors import GEOSException
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry
from shapely.validation import explain_validity

from alerts.backtest.scenes import Scene
from alerts.places import centres, reach_km
from alerts.settings import MatcherSettings
from schemas.errors import InvalidArea, UsageError
from schemas.geometry import read_area
from schemas.messages import Match

MOST_EVENTS = 10_000
KM_PER_DEGREE = 111.2
"""Of latitude, on the sphere of `alerts.places.EARTH_KM`."""
START_NAMES = ("start", "start_date", "start_datetime", "begin", "from", "since")
END_NAMES = ("end", "end_date", "end_datetime", "until", "to")
SINGLE_NAMES = ("date", "datetime", "time", "event_date")
NAME_NAMES = ("name", "title", "id")
"""Properties that are read, in this order, in any case of letters."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that is known to have happened.

    Attributes:
        name: For people.
        geometry: Points or polygons, lon/lat degrees, split at the antimeridian.
        start: When it began; a date alone is its midnight, UTC.
        end: When it was over: the start, or the end of the day, where nothing else is said.
    """

    name: str
    geometry: BaseGeometry
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an event.

    Attributes:
        event: Which.
        result: hit; miss: it was looked at and nothing passed; unseen: no cell of it was looked at in time; outside:
            not in the area that is tested, or begun before or after the time, whether an incident reported it or not.
        looks: Cells of it looked at in time, each scene counted.
        best: Highest score among them; none where nothing was scored.
        detected_at: Sensing time of the first match; none without one.
        delay_days: From the start to it.
        incident_ids: Incidents that reported it.
    """

    event: Event
    result: Literal["hit", "miss", "unseen", "outside"]
    looks: int
    best: float | None
    detected_at: datetime | None
    delay_days: float | None
    incident_ids: tuple[str, ...]


@dataclass(eq=False)
class Watch:
    """The events while the past goes by.

    Attributes:
        events: Which.
        rules: Reach and window.
        area: That is tested, or none for everywhere.
        since: Judged from then on.
        until: And before then.
    """

    events: Sequence[Event]
    rules: MatcherSettings
    area: BaseGeometry | None
    since: datetime
    until: datetime
    _looks: list[int] = field(default_factory=list)
    _best: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._looks, self._best = [0] * len(self.events), [float("-inf")] * len(self.events)

    def look(self, scene: Scene, scores: NDArray[np.float64]) -> None:
        """Take what a scene showed of the events it lies in time with.

        Args:
            scene: Just matched.
            scores: float64 (n,), of its cells; minus infinity where there is none.
        """
        at = scene.points[0].sensing_at
        now = [i for i, event in enumerate(self.events) if event.start <= at <= event.end + self.rules.window]
        if not now:
            return
        lon_lat = np.array([(point.lon, point.lat) for point in scene.points])
        for i in now:
            close = within(self.events[i].geometry, lon_lat, reach_km(self.rules.gap_cells))
            self._looks[i] += int(close.sum())
            self._best[i] = max(self._best[i], float(scores[close].max(initial=-np.inf)))

    def outcomes(self, incidents: Mapping[str, Sequence[Match]]) -> list[Outcome]:
        """What became of each event.

        Args:
            incidents: Matches by the id of their incident.
        """
        flat = [(name, match) for name, matches in incidents.items() for match in matches]
        lon_lat = centres([match.cell for _, match in flat]) if flat else np.zeros((0, 2))
        return [self._outcome(i, flat, lon_lat) for i in range(len(self.events))]

    def _outcome(self, i: int, flat: Sequence[tuple[str, Match]], lon_lat: NDArray[np.float64]) -> Outcome:
        event, best = self.events[i], self._best[i]
        close = within(event.geometry, lon_lat, reach_km(self.rules.gap_cells))
        hits = [
            flat[row]
            for row in np.flatnonzero(close).tolist()
            if event.start <= flat[row][1].sensing_at <= event.end + self.rules.window
        ]
        first = min((match.sensing_at for _, match in hits), default=None)
        return Outcome(
            event,
            self._result(event, self._looks[i], hit=bool(hits)),
            self._looks[i],
            best if np.isfinite(best) else None,
            first,
            None if first is None else (first - event.start) / timedelta(days=1),
            tuple(dict.fromkeys(name for name, _ in hits)),
        )

    def _result(self, event: Event, looks: int, *, hit: bool) -> Literal["hit", "miss", "unseen", "outside"]:
        """What lies outside counts for nothing, hit or not: of those only the hits would be known to be in reach."""
        in_time = self.since <= event.start < self.until
        in_place = self.area is None or self.area.intersects(event.geometry)
        if not (in_time and in_place):
            return "outside"
        if hit:
            return "hit"
        return "miss" if looks else "unseen"


def read_events(text: str) -> list[Event]:
    """Events of a GeoJSON FeatureCollection (or one Feature): points or polygons, each with a date.

    Raises:
        UsageError: not GeoJSON in lon/lat, nothing in it, or a feature that cannot be used; the text says which.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise UsageError(f"the event file is not JSON ({error}): give a GeoJSON FeatureCollection") from error
    if not isinstance(document, dict):
        raise UsageError("the event file is not a GeoJSON object: give a FeatureCollection")
    crs = document.get("crs")
    if crs is not None and "CRS84" not in str(crs) and "4326" not in str(crs):
        raise UsageError(f"the event file names the CRS {crs}: GeoJSON is lon/lat WGS84 (RFC 7946); reproject it first")
    features = document.get("features") if document.get("type") == "FeatureCollection" else [document]
    if not isinstance(features, list) or not features or document.get("type") not in ("FeatureCollection", "Feature"):
        raise UsageError("the event file has no features: give a FeatureCollection of events, each with a date")
    if len(features) > MOST_EVENTS:
        raise UsageError(f"the event file has {len(features)} features: at most {MOST_EVENTS} are read")
    return [_event(feature, number) for number, feature in enumerate(features, start=1)]


def within(geometry: BaseGeometry, lon_lat: NDArray[np.float64], km: float) -> NDArray[np.bool_]:
    """Which points lie in a geometry or within some kilometres of it, bool (n,).

    Distances are taken in degrees with longitudes shortened by the latitude's cosine: right to a percent for the few
    kilometres of an incident's reach.
    """
    if not len(lon_lat):
        return np.zeros(0, dtype=bool)
    west, south, east, north = geometry.bounds
    shrink = max(float(np.cos(np.deg2rad((south + north) / 2))), 0.05)
    slack, found = km / KM_PER_DEGREE, np.zeros(len(lon_lat), dtype=bool)
    lon, lat = lon_lat.T
    box = (lat >= south - slack) & (lat <= north + slack)
    box &= (lon >= west - slack / shrink) & (lon <= east + slack / shrink)
    if box.any():
        squeezed = shapely.transform(geometry, lambda xy: xy * (shrink, 1.0))
        shapely.prepare(squeezed)
        found[box] = shapely.dwithin(squeezed, shapely.points(lon[box] * shrink, lat[box]), slack)
    return found


def _event(feature: object, number: int) -> Event:
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise UsageError(f"event {number} is no GeoJSON Feature: give its geometry and, under properties, its date")
    properties = feature.get("properties")
    known = {str(key).lower(): value for key, value in (properties if isinstance(properties, dict) else {}).items()}
    if "id" in feature:
        known.setdefault("id", feature["id"])
    name = next((str(known[key]) for key in NAME_NAMES if known.get(key) not in (None, "")), f"event {number}")
    start, end = _when(known, number, name)
    return Event(name, _geometry(feature.get("geometry"), number, name), start, end)


def _when(known: Mapping[str, object], number: int, name: str) -> tuple[datetime, datetime]:
    begun = next((key for key in (*START_NAMES, *SINGLE_NAMES) if known.get(key) not in (None, "")), None)
    if begun is None:
        raise UsageError(
            f"event {number} ({name}) has no date: give the property date, or start and end (also read: "
            f"{', '.join((*SINGLE_NAMES[1:], *START_NAMES[1:], *END_NAMES[1:]))})"
        )
    start, day = _moment(known[begun], begun, number, name)
    over = next((key for key in END_NAMES if known.get(key) not in (None, "")), None)
    if over is None:
        return start, start + (timedelta(days=1) if day else timedelta(0))
    end, day = _moment(known[over], over, number, name)
    end += timedelta(days=1) if day else timedelta(0)
    if end < start:
        raise UsageError(f"event {number} ({name}): {over} {known[over]} is before {begun} {known[begun]}")
    return start, end


def _moment(value: object, key: str, number: int, name: str) -> tuple[datetime, bool]:
    """An aware time, and whether it is a whole day."""
    try:
        text = str(value).strip()
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"event {number} ({name}): {key} {value!r} is no date: write for example 2026-08-07 or 2026-08-07T12:00Z"
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)), len(text) <= len("2026-08-07")


def _geometry(geojson: object, number: int, name: str) -> BaseGeometry:
    where = f"event {number} ({name})"
    if not isinstance(geojson, dict):
        raise UsageError(f"{where} has no geometry: give a Point or a Polygon in lon/lat degrees")
    if geojson.get("type") in ("Polygon", "MultiPolygon"):
        try:
            return read_area(geojson)
        except InvalidArea as error:
            raise UsageError(f"{where}: {error}") from error
    try:
        geometry = shape(geojson)
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, GEOSException) as error:
        raise UsageError(f"{where}: not a GeoJSON geometry ({error})") from error
    if geometry.geom_type not in ("Point", "MultiPoint"):
        raise UsageError(f"{where} is a {geometry.geom_type}: give points or polygons")
    if geometry.is_empty or not geometry.is_valid:
        raise UsageError(f"{where}: the geometry cannot be used ({explain_validity(geometry)})")
    lon, lat = shapely.get_coordinates(geometry).T
    if np.abs(lat).max() > 90 or np.abs(lon).max() > 180:
        raise UsageError(f"{where}: coordinates outside lon ±180, lat ±90: is it projected? GeoJSON is lon/lat")
    return geometry
