"""In: figures by name. Out: tables of them, and the section of a report that one source fills.

Stops at structure: how they look is `report`'s matter, and the command line's.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.calibration import Curve

Figures = dict[str, float]
"""Value by name; an interval stands beside its figure as "NAME low" and "NAME high"."""

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of figures.

    Attributes:
        title: what was measured.
        note: what a reader must know, one sentence.
        rows: figures by the row's name.
    """

    title: str
    note: str
    rows: dict[str, Figures]

    def columns(self) -> list[str]:
        """Names of the figures that any row has, in order, without the bounds of intervals."""
        names = dict.fromkeys(name for figures in self.rows.values() for name in figures)
        return [name for name in names if not is_bound(name, names)]


def is_bound(name: str, names: Mapping[str, object]) -> bool:
    """Whether a figure is the bound of another's interval."""
    return name.endswith((" low", " high")) and name.rpartition(" ")[0] in names


@dataclass(frozen=True, slots=True)
class Tile:
    """One find on a contact sheet.

    Attributes:
        name: of the chip.
        score: its cosine.
        verdict: ``"right"``, ``"wrong"`` or ``"unknown"``.
        pictures: uint8, (h, w, 3) each: true and false colour, or radar.
    """

    name: str
    score: float
    verdict: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """The best of one query."""

    query: str
    of: str
    tiles: list[Tile]


@dataclass(slots=True)
class Section:
    """What one source said.

    Attributes:
        name: of the source.
        intro: what it is, in a sentence or two.
        measures: the figures that the acceptance table of the project is written against.
        tables: everything else.
        curves: reliability curves by name.
        sheets: contact sheets.
        left_out: chips that were not measured, and why.
    """

    name: str
    intro: str
    measures: dict[str, Figures] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    curves: dict[str, Curve] = field(default_factory=dict)
    sheets: list[Sheet] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def document(self) -> dict[str, object]:
        """The section as JSON can hold it: four digits, null where there is no number."""
        return {
            "measures": {name: rounded(figures) for name, figures in self.measures.items()},
            "tables": {t.title: {name: rounded(row) for name, row in t.rows.items()} for t in self.tables},
            "curves": self.curves,
            "left_out": self.left_out,
        }


def rounded(figures: Figures) -> dict[str, float | None]:
    """Four digits; null for what is not a number."""
    return {name: round(value, 4) if math.isfinite(value) else None for name, value in figures.items()}


def shown(figures: Figures, name: str, *, interval: bool = True) -> str:
    """A figure for people, with its interval where it has one and it is wanted."""
    if name not in figures or not math.isfinite(figures[name]):
        return "–"
    value = figures[name]
    text = str(value) if isinstance(value, int) else f"{value:.3f}"
    low, high = figures.get(f"{name} low"), figures.get(f"{name} high")
    if not interval or low is None or high is None or not math.isfinite(low):
        return text
    return f"{text} [{low:.2f}, {high:.2f}]"
