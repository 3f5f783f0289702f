"""In: an evaluation. Out: its figures as grids, one for each question, source, rule and sensor.

Stops at rows and columns: the command line and the report draw them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from training.acceptance import Figures
from training.figures import Figure
from training.metrics import Measured
from training.scored import BOTH

COUNTS: Final = frozenset(
    {"positives", "items", "negatives", "pairs", "events", "look-alikes", "median rank", "slope a", "intercept b"}
)
"""Measures that are no share between 0 and 1."""

WORDS: Final = {
    "retrieval": "Retrieval: how well a label's own words rank the chips that carry it",
    "paraphrases": "Other words for the same thing",
    "calibration": "Calibration and false alarms",
    "pairs": "Before and after, the same place",
    "look-alikes": "The event among look-alikes",
    "appearance": "What appeared in the last look of a series",
}
"""Headings of the parts, in their order."""

SENSORS: Final = {"s2": "Sentinel-2", "s1": "Sentinel-1", BOTH: "both sensors"}


@dataclass(frozen=True, slots=True)
class Grid:
    """One table.

    Attributes:
        source: `feed`, `corpus` or `simulated`.
        part: of `WORDS`, or `measures`.
        title: rule and sensor in words.
        columns: measures.
        rows: subjects with a value, or none, for each column.
    """

    source: str
    part: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Measured | None, ...]], ...]


def grids_of(figures: Sequence[Figure]) -> list[Grid]:
    """A grid for each source, part, rule and sensor, in the order in which they were measured."""
    groups: dict[tuple[str, str, str, str], list[Figure]] = {}
    for figure in figures:
        groups.setdefault((figure.source, figure.part, figure.rule, figure.sensor), []).append(figure)
    return [
        _pivoted(source, part, f"{rule}, {SENSORS.get(sensor, sensor)}", group)
        for (source, part, rule, sensor), group in groups.items()
    ]


def _pivoted(source: str, part: str, title: str, figures: Sequence[Figure]) -> Grid:
    columns = tuple(dict.fromkeys(_column(figure) for figure in figures))
    rows: dict[str, dict[str, Measured]] = {}
    for figure in figures:
        rows.setdefault(figure.subject, {})[_column(figure)] = figure.value
    labels = [subject for subject in rows if " by " not in subject]
    order = [name for label in labels for name in (label, *(s for s in rows if s.startswith(f"{label} by ")))]
    kept = [subject for subject in order if part != "retrieval" or len(rows[subject]) > 2]  # more than its counts
    return Grid(source, part, title, columns, tuple((s, tuple(rows[s].get(n) for n in columns)) for s in kept))


def _column(figure: Figure) -> str:
    return "AP" if figure.measure == "mAP" else figure.measure


def measures_grid(measure: str, figures: Figures) -> Grid:
    """One measure of `training.acceptance`, intervals beside their values."""
    rows = [
        (name, (Measured(value, figures.get(f"{name} low", float("nan")), figures.get(f"{name} high", float("nan"))),))
        for name, value in figures.items()
        if not name.endswith((" low", " high"))
    ]
    return Grid("feed", "measures", measure, ("value",), tuple(rows))


def text(value: Measured | None, *, with_interval: bool) -> str:
    """A cell: three decimals, whole numbers whole, a dash where there is nothing."""
    if value is None or value.value != value.value:
        return "–"
    shown = str(value.value) if isinstance(value.value, int) else f"{value.value:.3f}"
    if with_interval and value.low == value.low:
        return f"{shown} ({value.low:.2f}–{value.high:.2f})"
    return shown
