"""Days since an area was last seen, as a picture for a person.

In: sights of the area's cells, one panel for each set of sensors; outlines of incidents. Out: a PNG. Stops before any
map service: there is no background, only the area's own outline, degrees and a scale.

Blue was seen lately, red long ago, hatched grey never in the period. The colours (RdYlBu of ColorBrewer) can be told
apart by people who don't see red and green.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from math import ceil, cos, floor, radians
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from shapely import affinity
from shapely.geometry.base import BaseGeometry

from alerts.coverage.blocks import Mask, cell_ids
from alerts.coverage.sights import Sights
from alerts.places import centres, outlines
from schemas.errors import UsageError

CLASSES: tuple[tuple[int, str], ...] = (
    (2, "#4575b4"),
    (5, "#91bfdb"),
    (9, "#e0f3f8"),
    (14, "#fee090"),
    (21, "#fc8d59"),
    (30, "#d73027"),
    (10**6, "#7f0000"),
)
"""Up to so many days since the last sight, and the colour. One revisit of either sensor, two, three, and then on."""
NEVER = "#55585c"
HATCH = "#a9adb3"
INK, FAINT, PAPER, GROUND = "#1b1d1f", "#8a8f96", "#ffffff", "#f1f2f4"
INCIDENT = "#c2188b"
OLD_DAYS = 14
"""Captions say why what was not seen for longer than this was not."""

NARROWEST_PX = 1080
"""The legend and a long title need as much."""
PANEL_PX = 620
"""Longer edge of a panel."""
MARGIN, TOP, GAP, LEGEND, CAPTION, TITLE_CHARS = 56, 106, 48, 50, 62, 96
POLYGON_PX = 2.5
"""Cells smaller than this are drawn as dots: their outline could not be seen."""
MOST_CELLS = 1_000_000
DEGREE_KM = 111.32


@dataclass(frozen=True, slots=True)
class Panel:
    """One map beside the others.

    Attributes:
        name: Above it, for example `s1 or s2`.
        sights: The area's cells.
    """

    name: str
    sights: Sequence[Sights]


@dataclass(frozen=True)
class _Frame:
    """From degrees to pixels of one panel: equirectangular, true to scale in its middle."""

    west: float
    north: float
    stretch: float
    px_per_deg: float
    left: int
    top: int
    width: int
    height: int
    wrapped: bool

    def pixels(self, lon_lat: NDArray[np.float64]) -> NDArray[np.float64]:
        lon, lat = lon_lat.T
        lon = np.where(self.wrapped & (lon < 0), lon + 360, lon)
        x = self.left + (lon - self.west) * self.stretch * self.px_per_deg
        return np.column_stack([x, self.top + (self.north - lat) * self.px_per_deg])

    @property
    def cell_px(self) -> float:
        return self.px_per_deg / DEGREE_KM


def draw(
    path: Path,
    panels: Sequence[Panel],
    *,
    title: str,
    today: date,
    first: date,
    area: BaseGeometry | None = None,
    incidents: Sequence[BaseGeometry] = (),
) -> None:
    """Write the picture.

    Args:
        path: Where; overwritten.
        panels: At least one, all of one area.
        title: What the area is.
        today: Days are counted back from this one.
        first: First day of the period that was looked at.
        area: Its outline, lon/lat, split at the antimeridian.
        incidents: Outlines of incidents.

    Raises:
        UsageError: no cells, too many of them, not a .png, or the file cannot be written.
    """
    if path.suffix.lower() != ".png":
        raise UsageError(f"{path}: the map is a PNG; name the file so, as coverage.png")
    shown = [_shown(each) for panel in panels for each in panel.sights] if area is None else []
    bounds, wrapped = _bounds(area, panels, shown)
    frames = _frames(bounds, wrapped, len(panels))
    width = max(frames[-1].left + frames[-1].width + MARGIN, NARROWEST_PX)
    height = TOP + frames[0].height + CAPTION + LEGEND + 20
    image = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(image)
    _text(pen, (MARGIN, 18), title if len(title) <= TITLE_CHARS else title[: TITLE_CHARS - 3] + "...", 24)
    below = f"Days since last seen, as of {today} (looked back to {first}). Not seen does not mean nothing there."
    _text(pen, (MARGIN, 50), below, 15, FAINT)
    for frame, panel in zip(frames, panels, strict=True):
        _panel(image, pen, frame, panel, today, area, incidents)
    _scale(pen, frames[0])
    _legend(pen, MARGIN, TOP + frames[0].height + CAPTION + 26, bool(incidents))
    try:
        image.save(path, "PNG", optimize=True)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error}): name a folder that is there") from error


def _shown(each: Sights) -> Mask:
    """Without an area, only what was ever looked at."""
    return each.mask & ((each.seen > 0) | (each.obscured > 0) | (each.failed > 0))


def _bounds(
    area: BaseGeometry | None, panels: Sequence[Panel], shown: Sequence[Mask]
) -> tuple[tuple[float, float, float, float], bool]:
    """West, south, east, north; across the antimeridian east is beyond 180, and that is so where the second is true."""
    masks = shown or [each.mask for each in panels[0].sights]
    count = sum(int(mask.sum()) for mask in masks)
    if not count or count > MOST_CELLS:
        what = "nothing is known of any cell there" if not count else f"{count} cells are too many for one picture"
        raise UsageError(f"no map: {what}; give a --query, --bbox or --area that has been watched")
    if area is not None:
        points = shapely.get_coordinates(area)
    else:
        squares = [each.square for panel in panels for each in panel.sights]
        ids = [cell for sq, mask in zip(squares, shown, strict=True) for cell in cell_ids(sq, _flat(mask))]
        points = centres(ids)
    lon, lat = points.T
    # what spans more than half the globe, but leaves out its middle, lies across the antimeridian
    wrapped = bool(np.ptp(lon) > 180 and not np.any(np.abs(lon) < 90))
    lon = np.where(wrapped & (lon < 0), lon + 360, lon)
    margin = max(0.02, 0.02 * max(np.ptp(lon), np.ptp(lat)))
    return (
        float(lon.min() - margin),
        float(lat.min() - margin),
        float(lon.max() + margin),
        float(lat.max() + margin),
    ), wrapped


def _frames(bounds: tuple[float, float, float, float], wrapped: bool, count: int) -> list[_Frame]:
    west, south, east, north = bounds
    stretch = max(cos(radians((south + north) / 2)), 0.05)
    wide, high = (east - west) * stretch, north - south
    scale = (PANEL_PX if count > 1 else 1.4 * PANEL_PX) / max(wide, high)
    width, height = max(ceil(wide * scale), 240), max(ceil(high * scale), 160)
    return [
        _Frame(west, north, stretch, scale, MARGIN + i * (width + GAP), TOP, width, height, wrapped)
        for i in range(count)
    ]


def _panel(
    image: Image.Image,
    pen: ImageDraw.ImageDraw,
    frame: _Frame,
    panel: Panel,
    today: date,
    area: BaseGeometry | None,
    incidents: Sequence[BaseGeometry],
) -> None:
    right, bottom = frame.left + frame.width, frame.top + frame.height
    pen.rectangle((frame.left, frame.top, right, bottom), fill=GROUND)
    for each in panel.sights:
        _cells(image, pen, frame, each, each.mask if area is not None else _shown(each), today)
    for geometry in incidents:
        _lines(pen, frame, geometry, PAPER, 5)
        _lines(pen, frame, geometry, INCIDENT, 3)
    if area is not None:
        _lines(pen, frame, area, INK, 2)
    # what a cell or a line of the area's edge drew beyond the frame
    for box in ((0, frame.top, frame.left - 1, bottom), (right + 1, frame.top, right + GAP // 2, bottom)):
        pen.rectangle(box, fill=PAPER) if box[0] else None
    pen.rectangle((frame.left, frame.top, right, bottom), outline=FAINT)
    _graticule(pen, frame)
    _text(pen, (frame.left, frame.top - 22), panel.name, 16)
    for line, text in enumerate(_caption(panel, area, today)):
        _text(pen, (frame.left, bottom + 24 + 18 * line), text, 14, INK if line == 0 else FAINT)


def _cells(image: Image.Image, pen: ImageDraw.ImageDraw, frame: _Frame, each: Sights, mask: Mask, today: date) -> None:
    indexes = np.flatnonzero(mask)
    if not indexes.size:
        return
    ids = cell_ids(each.square, indexes.tolist())
    days = np.where(each.seen > 0, today.toordinal() - each.seen, -1)[indexes]
    if frame.cell_px < POLYGON_PX:
        _dots(image, frame, centres(ids), days)
        return
    for outline, since in zip(outlines(ids), days.tolist(), strict=True):
        for part in shapely.get_parts(outline):
            corners = [tuple(point) for point in frame.pixels(shapely.get_coordinates(part)).tolist()]
            pen.polygon(corners, fill=_colour(since))
            if since < 0:
                pen.line([corners[0], corners[2]], fill=HATCH)


def _dots(image: Image.Image, frame: _Frame, where: NDArray[np.float64], days: NDArray[np.int64]) -> None:
    """Every cell as a square of its size, straight into the picture."""
    size = ceil(frame.cell_px) + 1
    x, y = np.floor(frame.pixels(where) - size / 2).astype(int).T
    colours = np.array([_rgb(_colour(each)) for each in days.tolist()], np.uint8)
    pixels = np.array(image)
    for dx in range(size):
        for dy in range(size):
            inside = (x + dx >= 0) & (y + dy >= 0) & (x + dx < pixels.shape[1]) & (y + dy < pixels.shape[0])
            pixels[(y + dy)[inside], (x + dx)[inside]] = colours[inside]
    image.paste(Image.fromarray(pixels))


def _lines(pen: ImageDraw.ImageDraw, frame: _Frame, geometry: BaseGeometry, colour: str, width: int) -> None:
    whole = geometry
    if frame.wrapped:  # the cut along the antimeridian is no edge of anything
        parts = [affinity.translate(p, 360) if p.bounds[2] <= 0 else p for p in shapely.get_parts(geometry)]
        whole = shapely.union_all(parts)
    flat = replace(frame, wrapped=False)
    for part in shapely.get_parts(whole):
        for ring in [part.exterior, *part.interiors] if part.geom_type == "Polygon" else []:
            pen.line([tuple(p) for p in flat.pixels(shapely.get_coordinates(ring)).tolist()], fill=colour, width=width)


def _caption(panel: Panel, area: BaseGeometry | None, today: date) -> list[str]:
    """What the panel says, in two lines of words."""
    masks = [each.mask if area is not None else _shown(each) for each in panel.sights]
    total = sum(int(mask.sum()) for mask in masks) or 1
    old, why = 0, Counter[str]()
    for each, mask in zip(panel.sights, masks, strict=True):
        unseen = mask & (each.seen < today.toordinal() - OLD_DAYS)
        old += int(unseen.sum())
        why.update(each.why(each.seen)[unseen].tolist())
    first = f"{1 - old / total:.0%} of {total:,} cells seen within {OLD_DAYS} days"
    reasons = ", ".join(f"{name} {count / old:.0%}" for name, count in why.most_common(3) if count >= 0.005 * old)
    return [first, f"the other {old / total:.0%}: {reasons}"] if old else [first]


def _legend(pen: ImageDraw.ImageDraw, left: int, top: int, incidents: bool) -> None:
    low = 0
    for days, colour in CLASSES:
        name = f"{low} to {days} days" if days < 10**6 else f"over {low - 1}"
        left = _swatch(pen, left, top, colour, name)
        low = days + 1
    left = _swatch(pen, left, top, NEVER, "never", hatched=True)
    if incidents:
        pen.rectangle((left, top, left + 18, top + 18), outline=INCIDENT, width=3)
        _text(pen, (left + 25, top + 1), "incident", 14)


def _swatch(pen: ImageDraw.ImageDraw, left: int, top: int, colour: str, name: str, hatched: bool = False) -> int:
    pen.rectangle((left, top, left + 18, top + 18), fill=colour, outline=FAINT)
    if hatched:
        pen.line((left, top + 18, left + 18, top), fill=HATCH)
    _text(pen, (left + 25, top + 1), name, 14)
    return left + 25 + int(_font(14).getlength(name)) + 18


def _scale(pen: ImageDraw.ImageDraw, frame: _Frame) -> None:
    """A bar of a round number of kilometres, on the first panel."""
    most = frame.width / 4 / frame.cell_px
    km = max(k for k in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if k <= max(most, 1))
    length, left, top = km * frame.cell_px, frame.left + 12, frame.top + frame.height - 16
    pen.rectangle((left - 6, top - 20, left + length + 10, top + 9), fill=PAPER, outline=FAINT)
    pen.line((left, top, left + length, top), fill=INK, width=3)
    _text(pen, (left, top - 17), f"{km} km", 12)


def _graticule(pen: ImageDraw.ImageDraw, frame: _Frame) -> None:
    """Ticks with degrees along the lower and the left edge."""
    east = frame.west + frame.width / frame.px_per_deg / frame.stretch
    south = frame.north - frame.height / frame.px_per_deg
    step = _step(max((east - frame.west), (frame.north - south)) / 4)
    bottom = frame.top + frame.height
    for i in range(ceil(frame.west / step), floor(east / step) + 1):
        x = frame.left + (i * step - frame.west) * frame.stretch * frame.px_per_deg
        pen.line((x, bottom, x, bottom + 5), fill=FAINT)
        _text(pen, (x, bottom + 6), _degrees((i * step + 180) % 360 - 180, "EW"), 11, FAINT, "ma")
    for i in range(ceil(south / step), floor(frame.north / step) + 1):
        y = frame.top + (frame.north - i * step) * frame.px_per_deg
        pen.line((frame.left - 5, y, frame.left, y), fill=FAINT)
        _text(pen, (frame.left - 7, y), _degrees(i * step, "NS"), 11, FAINT, "rm")


def _step(most: float) -> float:
    return max((s for s in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60) if s <= most), default=0.02)


def _degrees(value: float, letters: str) -> str:
    return f"{abs(round(value, 2)):g}° {letters[value < 0]}"


def _colour(days: int) -> str:
    return NEVER if days < 0 else next(colour for most, colour in CLASSES if days <= most)


def _rgb(colour: str) -> tuple[int, int, int]:
    return (int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16))


def _flat(mask: Mask) -> list[int]:
    flat: list[int] = np.flatnonzero(mask).tolist()
    return flat


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _text(
    pen: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    size: int,
    colour: str = INK,
    anchor: str = "la",
) -> None:
    pen.text(at, _plain(text), fill=colour, font=_font(size), anchor=anchor)


def _plain(text: str) -> str:
    """Pillow's own font has no letter beyond ASCII but a few: accents are dropped, what has no plain form is a ?."""
    letters = unicodedata.normalize("NFKD", text)
    return "".join(c if c.isascii() or c == "°" else "?" for c in letters if not unicodedata.combining(c))
