"""The incident on a map: cells coloured by score, one panel per sensor.

Flows in: scores of cells, what was seen round about. Flows out: one picture. Stops before any map service: no
background map is needed, and none is licensed.

Scores of the two sensors are on two scales, so each has a panel and a colour bar of its own, from the threshold up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from alerts.evidence.canvas import GREY, INK, PALE, WARNING, WHITE, Canvas, Colour
from alerts.evidence.cell_scores import CellScore
from alerts.evidence.colours import HEAT, ramped
from alerts.evidence.looks import ORDER
from alerts.evidence.surroundings import Box
from alerts.places import centres, outlines
from alerts.telling.kinds.kind import Picture
from alerts.telling.phrases import SENSORS
from schemas.messages import Alert, CellState, Sensor

PANEL: Final = 520
"""Edge of a panel, pixels."""
GAP, LEFT, TOP, BOTTOM = 74, 70, 86, 112
MARGIN_KM: Final = 2.0
"""Around the incident, at least; also a fifth of its extent."""
KM_PER_DEGREE: Final = 111.32
STATES: Final[dict[CellState, tuple[Colour, str]]] = {
    CellState.SEEN: ((233, 236, 240), "seen, no match"),
    CellState.OBSCURED: ((176, 184, 196), "under cloud"),
    CellState.FAILED: ((208, 190, 214), "could not be read"),
}
"""Colours of cells that did not match; what was not acquired stays white."""
MAX_LABELLED: Final = 400
"""Cells up to which the squares are outlined."""


@dataclass(frozen=True, slots=True)
class View:
    """From degrees to pixels of a panel: a plain map, true to scale in its middle, as good as any for 100 km.

    Attributes:
        lon, lat: Of the middle, degrees.
        km: Edge of the panel, kilometres.
    """

    lon: float
    lat: float
    km: float

    @property
    def pixels_per_km(self) -> float:
        """Scale."""
        return PANEL / self.km

    @property
    def box(self) -> Box:
        """West, south, east, north, degrees."""
        half = self.km / 2 / KM_PER_DEGREE
        wide = half / self._shrink
        west, east = (_turned(self.lon + side * wide) for side in (-1, 1))
        return (west, max(self.lat - half, -90.0), east, min(self.lat + half, 90.0))

    def place(self, lon_lat: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pixels from the panel's corner, (n, 2), x to the right and y down."""
        east = (lon_lat[:, 0] - self.lon + 180.0) % 360.0 - 180.0
        x = PANEL / 2 + east * self._shrink * KM_PER_DEGREE * self.pixels_per_km
        y = PANEL / 2 - (lon_lat[:, 1] - self.lat) * KM_PER_DEGREE * self.pixels_per_km
        return np.column_stack([x, y])

    @property
    def _shrink(self) -> float:
        return max(math.cos(math.radians(self.lat)), 0.01)


def view_of(cells: Sequence[str]) -> View:
    """A view of some cells with a margin."""
    lon_lat = centres(cells)
    lon = lon_lat[0, 0] + (lon_lat[:, 0] - lon_lat[0, 0] + 180.0) % 360.0 - 180.0
    middle = (lon.min() + lon.max()) / 2, (lon_lat[:, 1].min() + lon_lat[:, 1].max()) / 2
    wide = np.ptp(lon) * math.cos(math.radians(middle[1])) * KM_PER_DEGREE
    extent = float(max(wide, np.ptp(lon_lat[:, 1]) * KM_PER_DEGREE)) + 1.0
    return View(_turned(float(middle[0])), float(middle[1]), extent + 2 * max(MARGIN_KM, extent / 10))


def score_map(
    alert: Alert,
    scores: Sequence[CellScore],
    around: Mapping[Sensor, Mapping[str, CellState]],
    shown: Sequence[str],
    view: View,
) -> Picture:
    """The incident on a map.

    Args:
        alert: What it is about.
        scores: Of its cells, one per cell and sensor; at least one.
        around: Per sensor, what else could be seen there.
        shown: Cells that have plates, which get letters.
        view: Of the panels.
    """
    sensors = [sensor for sensor in ORDER if any(score.sensor == sensor for score in scores)]
    width = LEFT + len(sensors) * (PANEL + GAP)
    canvas = Canvas(width, TOP + PANEL + BOTTOM)
    _heading(canvas, alert, width)
    for number, sensor in enumerate(sensors):
        corner = (LEFT + number * (PANEL + GAP), TOP)
        mine = [score for score in scores if score.sensor == sensor]
        _panel(canvas, corner, view, mine, around.get(sensor, {}), shown, alert)
        canvas.words((corner[0], TOP - 22), f"{SENSORS[sensor]}: {len(mine)} cells", 14, INK)
        _bar(canvas, corner, mine)
    _legend(canvas, [state for state in STATES if any(state in states.values() for states in around.values())])
    return Picture("map.png", _caption(alert, scores, sensors), canvas.png())


def _heading(canvas: Canvas, alert: Alert, width: int) -> None:
    incident = alert.incident
    room = width - LEFT - GAP - (110 if alert.simulated else 0)
    canvas.words((LEFT, 8), f"{alert.query}: {len(incident.cells)} cells of 1 km", 20, INK, width=room)
    when = f"sensed {incident.first_sensing_at:%d %B %Y, %H:%M} to {incident.last_sensing_at:%d %B %Y, %H:%M} UTC"
    canvas.words((LEFT, 36), f"{incident.state.value}, {when}", 13, GREY, width=width - LEFT - GAP)
    if alert.simulated:
        canvas.words((width - GAP, 10), "SIMULATED", 16, WARNING, anchor="ra")


def _panel(
    canvas: Canvas,
    corner: tuple[int, int],
    view: View,
    scores: Sequence[CellScore],
    around: Mapping[str, CellState],
    shown: Sequence[str],
    alert: Alert,
) -> None:
    paper = Canvas(PANEL, PANEL)
    for state, (colour, _) in STATES.items():
        for square in outlines([cell for cell, known in around.items() if known is state]):
            _fill(paper, view, square, colour, WHITE)
    low, high = _range(scores)
    shades = ramped(np.array([(score.best.score - low) / (high - low) for score in scores]), HEAT)
    edge = WHITE if len(scores) <= MAX_LABELLED else None
    for square, shade in zip(outlines([score.cell for score in scores]), shades.tolist(), strict=True):
        _fill(paper, view, square, tuple(shade), edge)
    for part in shapely.get_parts(shapely.geometry.shape(alert.geometry)):
        for ring in (part.exterior, *part.interiors):
            paper.draw.line(_line(view, ring), fill=INK, width=2, joint="curve")
    for letter, cell in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", shown, strict=False):
        x, y = view.place(centres([cell]))[0]
        paper.words((x, y), letter, 13, INK, anchor="mm", halo=True)
    length = _one_two_five(view.km / 4)
    paper.scale_bar(12, PANEL - 12, length * view.pixels_per_km, f"{length:g} km")
    paper.north(PANEL - 20, 10, 24)
    canvas.image.paste(paper.image, corner)
    left, top = corner
    canvas.draw.rectangle((left, top, left + PANEL, top + PANEL), outline=INK)
    _graticule(canvas, corner, view)


def _fill(paper: Canvas, view: View, square: BaseGeometry, colour: Colour, edge: Colour | None) -> None:
    for part in shapely.get_parts(square):
        paper.draw.polygon(_line(view, part.exterior), fill=colour, outline=edge)


def _line(view: View, ring: BaseGeometry) -> list[tuple[float, float]]:
    return [(x, y) for x, y in view.place(shapely.get_coordinates(ring)).tolist()]


def _graticule(canvas: Canvas, corner: tuple[int, int], view: View) -> None:
    """Ticks with longitudes below and latitudes on the left."""
    left, top = corner
    step = _one_two_five(view.km / KM_PER_DEGREE / 4)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    half = view.km / 2 / KM_PER_DEGREE
    wide = view.km / 2 / KM_PER_DEGREE / max(math.cos(math.radians(view.lat)), 0.01)
    for number in range(math.ceil((view.lat - half) / step), math.floor((view.lat + half) / step) + 1):
        lat = number * step
        y = top + float(view.place(np.array([[view.lon, lat]]))[0, 1])
        canvas.draw.line((left - 5, y, left, y), fill=INK)
        canvas.words((left - 8, y), f"{abs(lat):.{digits}f}° {'N' if lat >= 0 else 'S'}", 11, GREY, anchor="rm")
    across = step * max(1, round(wide / half))
    for number in range(math.ceil((view.lon - wide) / across), math.floor((view.lon + wide) / across) + 1):
        lon = _turned(number * across)
        x = left + float(view.place(np.array([[lon, view.lat]]))[0, 0])
        canvas.draw.line((x, top + PANEL, x, top + PANEL + 5), fill=INK)
        word = f"{abs(lon):.{digits}f}° {'E' if lon >= 0 else 'W'}"
        canvas.words((x, top + PANEL + 8), word, 11, GREY, anchor="ma")


def _bar(canvas: Canvas, corner: tuple[int, int], scores: Sequence[CellScore]) -> None:
    """Colours of scores, from the lowest threshold to the highest score."""
    low, high = _range(scores)
    left, top, width = corner[0], corner[1] + PANEL + 38, PANEL // 2
    strip = np.repeat(ramped(np.linspace(0, 1, width), HEAT)[None], 12, axis=0)
    canvas.paste((left, top), strip, 1)
    canvas.draw.rectangle((left, top, left + width, top + 12), outline=PALE)
    canvas.words((left, top + 16), f"{low:.2f}", 11, GREY)
    canvas.words((left + width, top + 16), f"{high:.2f}", 11, GREY, anchor="ra")
    canvas.words((left + width / 2, top + 16), "score, from the threshold up", 11, GREY, anchor="ma")


def _legend(canvas: Canvas, states: Sequence[CellState]) -> None:
    x, y = LEFT, TOP + PANEL + 82
    for colour, label in [STATES[state] for state in states] + [(WHITE, "not acquired")]:
        canvas.draw.rectangle((x, y, x + 14, y + 14), fill=colour, outline=PALE)
        canvas.words((x + 20, y + 1), label, 12, GREY)
        x += 36 + int(canvas.draw.textlength(label)) + 24
    canvas.words((x + 8, y + 1), "line: outline of the alert   letters: cells shown as plates", 12, GREY)


def _range(scores: Sequence[CellScore]) -> tuple[float, float]:
    low = min(min(score.best.threshold, score.best.score) for score in scores)
    high = max(score.best.score for score in scores)
    return low, max(high, low + 0.01)


def _one_two_five(about: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not above a number."""
    power = 10.0 ** math.floor(math.log10(about))
    return next(step * power for step in (5, 2, 1) if step * power <= about)


def _turned(lon: float) -> float:
    return (lon + 180.0) % 360.0 - 180.0


def _caption(alert: Alert, scores: Sequence[CellScore], sensors: Sequence[Sensor]) -> str:
    said = "Simulated. " if alert.simulated else ""
    parts = [
        f"{sum(score.sensor == sensor for score in scores)} cells by {SENSORS[sensor]}, highest score "
        f"{max(score.best.score for score in scores if score.sensor == sensor):.3f}"
        for sensor in sensors
    ]
    return f"{said}{alert.query}: cells by score. {'; '.join(parts)}."
