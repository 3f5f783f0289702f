"""Histograms, curves and maps as inline SVG.

Flows in: numbers. Flows out: SVG text that needs no script, no font and no other file. Stops before the page around
it (`page`). Colours are CSS variables of the page, so that dark and light are one drawing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from math import cos, floor, log10, radians

import shapely
from shapely.geometry.base import BaseGeometry

from alerts.backtest.events import KM_PER_DEGREE

WIDTH, HEIGHT = 460, 220
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 34
"""Margins that hold the axes, pixels."""
MAP_WIDTH, MAP_HEIGHT = 940, 420

Scale = Callable[[float], float]
Placing = Callable[[float, float], str]


def histogram(bins: Sequence[tuple[float, int]], width: float, marks: Sequence[tuple[float, str]]) -> str:
    """Bars on a logarithmic height, because what matters is rare.

    Args:
        bins: Lower edge and count.
        width: Of a bin.
        marks: Scores to draw a line at, with what to call them.
    """
    if not bins:
        return _empty("no scores")
    low = min([bins[0][0], *(mark for mark, _ in marks)])
    high = max([bins[-1][0] + width, *(mark + width for mark, _ in marks)])
    most = max(count for _, count in bins)
    x, top = _scale(low, high, LEFT, WIDTH - RIGHT), log10(most + 1)
    floor_y, room = HEIGHT - BOTTOM, HEIGHT - BOTTOM - TOP
    bars = "".join(
        f'<rect class="bar" x="{x(edge):.1f}" width="{max(x(edge + width) - x(edge) - 0.6, 0.6):.1f}" '
        f'y="{floor_y - room * log10(count + 1) / top:.1f}" height="{room * log10(count + 1) / top:.1f}">'
        f"<title>{edge:.2f} to {edge + width:.2f}: {count}</title></rect>"
        for edge, count in bins
        if count
    )
    rungs = [10**power for power in range(int(top) + 1)]
    grid = "".join(
        _rung(floor_y - room * log10(rung + 1) / top, f"{rung:,}".replace(",", " ")) for rung in rungs if rung <= most
    )
    return _svg(WIDTH, HEIGHT, grid + bars + _x_axis(low, high, x) + "".join(_mark(x(at), text) for at, text in marks))


def steps(points: Sequence[tuple[float, float]], marks: Sequence[tuple[float, str]], ceiling: float | None) -> str:
    """A falling curve: for each threshold how many a week.

    Args:
        points: Threshold and rate, in any order.
        marks: Thresholds to draw a line at.
        ceiling: A rate to draw a level line at, the budget; none: no line.
    """
    if not points:
        return _empty("nothing to count")
    points = sorted(points)
    span = max(points[-1][0] - points[0][0], 0.01)
    low, high = points[0][0] - 0.04 * span, points[-1][0] + 0.04 * span
    most = max(*(rate for _, rate in points), ceiling or 0.0, 1e-9) * 1.08
    x, floor_y = _scale(low, high, LEFT, WIDTH - RIGHT), HEIGHT - BOTTOM
    y = _scale(0.0, most, floor_y, TOP)
    line = " ".join(f"{x(at):.1f},{y(rate):.1f}" for at, rate in points)
    dots = "".join(
        f'<circle class="dot" cx="{x(at):.1f}" cy="{y(rate):.1f}" r="2.6"><title>above {at:.3f}: {rate:.2f} a week'
        "</title></circle>"
        for at, rate in points
    )
    grid = "".join(_rung(y(rung), f"{rung:g}") for rung in _ticks(0.0, most, 4))
    budget = "" if ceiling is None else _level(y(ceiling))
    shown = "".join(_mark(x(at), text) for at, text in marks if low <= at <= high)
    curve = f'<polyline class="curve" points="{line}"/>'
    return _svg(WIDTH, HEIGHT, grid + budget + curve + dots + _x_axis(low, high, x) + shown)


def chart(
    area: BaseGeometry | None,
    cells: Sequence[tuple[BaseGeometry, float, str]],
    events: Sequence[tuple[BaseGeometry, str, str]],
) -> str:
    """A map without background: the area, the cells by their score, the events.

    Args:
        area: Lon/lat, or none.
        cells: Outline, 0-1 for how strong, and what to say of it.
        events: Geometry, class (hit, miss, unseen, outside) and name.
    """
    shapes = [*([area] if area is not None else []), *(one for one, _, _ in cells), *(one for one, _, _ in events)]
    if not shapes:
        return _empty("nothing on the map")
    west, south, east, north = shapely.total_bounds(shapes)
    pad = 0.03 * max(east - west, north - south, 0.02)
    west, south, east, north = west - pad, south - pad, east + pad, north + pad
    shrink = max(cos(radians((south + north) / 2)), 0.05)
    unit = min((MAP_WIDTH - 20) / ((east - west) * shrink), (MAP_HEIGHT - 20) / (north - south))
    left = (MAP_WIDTH - (east - west) * shrink * unit) / 2
    height = (north - south) * unit + 20

    def place(lon: float, lat: float) -> str:
        return f"{left + (lon - west) * shrink * unit:.1f} {10 + (north - lat) * unit:.1f}"

    drawn = [] if area is None else [f'<path class="area" d="{_path(area, place)}"/>']
    for outline, strength, text in sorted(cells, key=lambda one: one[1]):
        drawn.append(
            f'<path class="cell" style="fill-opacity:{0.25 + 0.75 * strength:.2f}" d="{_path(outline, place)}">'
            f"<title>{escape(text)}</title></path>"
        )
    for geometry, kind, name in events:
        for part in shapely.get_parts(geometry):
            if part.geom_type == "Point":
                cx, cy = place(part.x, part.y).split()
                mark = f'<circle class="event {kind}" cx="{cx}" cy="{cy}" r="6">'
                drawn.append(f"{mark}<title>{escape(name)}</title></circle>")
            else:
                mark = f'<path class="event {kind}" d="{_path(part, place)}">'
                drawn.append(f"{mark}<title>{escape(name)}</title></path>")
    return _svg(MAP_WIDTH, round(height), "".join(drawn) + _ruler(unit / KM_PER_DEGREE, height))


def _path(geometry: BaseGeometry, place: Placing) -> str:
    rings = [
        ring
        for part in shapely.get_parts(geometry)
        if isinstance(part, shapely.Polygon)
        for ring in (part.exterior, *part.interiors)
    ]
    corners = [shapely.get_coordinates(ring).tolist() for ring in rings]
    return " ".join("M" + " L".join(place(lon, lat) for lon, lat in ring) + "Z" for ring in corners)


def _ruler(km_px: float, height: float) -> str:
    """A bar of a round number of kilometres, at most a quarter of the map long."""
    km, y = _round_below(MAP_WIDTH / 4 / km_px), height - 14
    return (
        f'<line class="ruler" x1="16" x2="{16 + km * km_px:.1f}" y1="{y:.0f}" y2="{y:.0f}"/>'
        f'<text x="16" y="{y - 5:.0f}">{km:g} km</text>'
    )


def _svg(width: int, height: int, inside: str) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img">{inside}</svg>'


def _empty(text: str) -> str:
    return _svg(WIDTH, 60, f'<text x="{WIDTH / 2}" y="34" class="none">{escape(text)}</text>')


def _level(y: float) -> str:
    return f'<line class="budget" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'


def _rung(y: float, text: str) -> str:
    return (
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="y" x="{LEFT - 6}" y="{y + 3.5:.1f}">{text}</text>'
    )


def _x_axis(low: float, high: float, x: Scale) -> str:
    y = HEIGHT - BOTTOM
    ticks = "".join(f'<text class="x" x="{x(at):.1f}" y="{y + 16}">{at:g}</text>' for at in _ticks(low, high, 6))
    return f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>{ticks}'


def _mark(x: float, text: str) -> str:
    anchor, dx = ("end", -4) if x > WIDTH * 0.7 else ("start", 4)
    return (
        f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        f'<text class="mark" text-anchor="{anchor}" x="{x + dx:.1f}" y="{TOP + 9}">{escape(text)}</text>'
    )


def _ticks(low: float, high: float, about: int) -> list[float]:
    step = _round_below((high - low) / about * 1.5) or 1.0
    first = floor(low / step) + 1
    return [round(i * step, 6) for i in range(first, floor(high / step) + 1)]


def _round_below(value: float) -> float:
    """The greatest of 1, 2, 5 times a power of ten that is not above."""
    power = 10.0 ** floor(log10(value))
    return max(part * power for part in (1.0, 2.0, 5.0) if part * power <= value * (1 + 1e-12))


def _scale(low: float, high: float, start: float, end: float) -> Scale:
    return lambda value: start + (end - start) * (value - low) / (high - low)
