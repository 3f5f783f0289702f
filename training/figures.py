"""In: measured values, each with the words that say what it is of. Out: one list, a table's rows, a JSON document.

Stops at order: what is measured is in `retrieval`, `calibration`, `crises` and `appearance`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from training.metrics import Measured

Document = dict[str, "Document | float | int | None"]
"""Nested objects of JSON with numbers at their ends."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value.

    Attributes:
        part: what kind of question it answers: `retrieval`, `calibration`, `pairs`, `look-alikes`, `appearance`.
        rule: which chips count: `known`, `unknown as negative`, `as labelled`, `clear`, `strict`, or a set's name.
        sensor: ``"s2"`` or ``"s1"``.
        subject: a label, a look-alike or `mean`.
        measure: `AP`, `nDCG@10`, …
        value: with its interval.
        source: `feed`, `corpus` or `simulated`; set by `training.evaluate`.
    """

    part: str
    rule: str
    sensor: str
    subject: str
    measure: str
    value: Measured
    source: str = ""


def of_source(figures: Iterable[Figure], source: str) -> list[Figure]:
    """The same with their source named."""
    return [replace(figure, source=source) for figure in figures]


def nested(figures: Iterable[Figure]) -> Document:
    """Figures by part, rule, sensor, subject and measure; the sources must be one.

    A figure with an interval is an object of `value`, `low` and `high`, another is a number; what could not be
    measured is null.
    """
    document: Document = {}
    for figure in figures:
        here = document
        for key in (figure.part, figure.rule, figure.sensor, figure.subject):
            below = here.setdefault(key, {})
            if not isinstance(below, dict):
                raise TypeError(f"{key} is a number and an object")
            here = below
        here[figure.measure] = plain(figure.value)
    return document


def plain(measured: Measured) -> Document | float | int | None:
    """A figure as JSON has it."""
    if math.isnan(measured.low):
        return finite(measured.value)
    return {"value": finite(measured.value), "low": finite(measured.low), "high": finite(measured.high)}


def finite(value: float) -> float | int | None:
    """Four decimals, whole numbers whole, null for NaN."""
    if not math.isfinite(value):
        return None
    return value if isinstance(value, int) else round(float(value), 4)
