"""In: an evaluation. Out: one HTML file that needs nothing else: tables, contact sheets, reliability curves.

Stops at the file: what the figures mean is in docs/evaluation.md, the page itself in `report.html.j2`.
"""

from __future__ import annotations

import base64
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np

from schemas.errors import SettingsError
from simulation.gallery import Picture
from training.calibration import Curve
from training.evaluate import Evaluation, Sheet
from training.metrics import Measured
from training.tables import COUNTS, SENSORS, WORDS, Grid, grids_of, measures_grid, text

TEMPLATE: Final = Path(__file__).with_name("report.html.j2")
"""The page."""

ACROSS: Final = 4
"""Reliability curves in a row."""

SHADES: Final = 96
"""Colours of a picture: a third of the bytes of full colour, and no eye sees it at this size."""

INK, QUIET, LINE = "#1d2b33", "#8a979e", "#0b6e8a"
"""Colours of the curves, those of the page."""

TITLES: Final = {
    "feed": "Real acquisitions",
    "corpus": "CrisisLandMark",
    "simulated": "Simulated places that no model has seen",
}

READING: Final = {
    "retrieval": (
        "Chips are ranked by the cosine with the label's own name. AP: mean precision at each chip that carries the "
        "label. nDCG@k: gain of the first k over the best possible. Indented rows rank the same chips by a plain "
        "index: a model has to beat them."
    ),
    "paraphrases": "AP of other phrasings, and the most that one of them loses against the label's own words.",
    "calibration": (
        "A sigmoid turns scores into probabilities. It is fitted, and thresholds are chosen, on half of the places; "
        "all figures are from the other half. ECE: mean distance from the diagonal. False alarms: share of chips "
        "without the label that a threshold raises, which finds 90 % or 50 % of the events."
    ),
    "pairs": (
        "Share in order: pairs whose image after the event scores higher. AUC: chance that any image after scores "
        "higher than any before."
    ),
    "look-alikes": (
        "True events among chips that only look like them. Median rank 1: half of the events score higher than every "
        "look-alike."
    ),
    "appearance": (
        "Score of the last look minus the mean of the earlier ones, against series in which something else happens. "
        "Presence is what the last look alone can tell."
    ),
}
"""How to read each part."""


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    interval: str
    bar: float | None


@dataclass(frozen=True, slots=True)
class _Table:
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, str, list[_Cell]]]


def check_packages() -> None:
    """Whether a report can be made here.

    Raises:
        SettingsError: a package is missing.
    """
    for module in ("jinja2", "matplotlib", "PIL"):
        _needed(module)


def write_report(done: Evaluation, path: Path) -> None:
    """Write the page.

    Args:
        done: what was measured.
        path: of the HTML file.

    Raises:
        SettingsError: jinja2, matplotlib or Pillow (which comes with it) is not installed.
        OSError: the file cannot be written.
    """
    path.write_text(rendered(done), encoding="utf-8")


def rendered(done: Evaluation) -> str:
    """The page as text; errors as `write_report`."""
    jinja2 = _needed("jinja2")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    grids = grids_of(done.figures)
    page: str = environment.from_string(TEMPLATE.read_text("utf-8")).render(
        release=done.release,
        glance=_glance(grids),
        sources=[_source(done, grids, name, words) for name, words in done.sources.items()],
    )
    return page


def _source(done: Evaluation, grids: Sequence[Grid], name: str, words: str) -> dict[str, object]:
    """What the page shows of one source."""
    parts = []
    for part, heading in WORDS.items():
        tables = [_table(grid) for grid in grids if (grid.source, grid.part) == (name, part) and grid.rows]
        if tables:
            curves = _curve_images(done.curves.get(name, [])) if part == "calibration" else []
            parts.append({"id": part, "heading": heading, "reading": READING[part], "tables": tables, "curves": curves})
    measures = [measures_grid(measure, figures) for measure, figures in done.measures.items()]
    return {
        "id": name,
        "title": TITLES[name],
        "words": words,
        "measures": [_table(grid) for grid in measures if grid.rows] if name == "feed" else [],
        "parts": parts,
        "sheets": [_sheet(sheet) for sheet in done.sheets if sheet.source == name],
        "left_out": done.left_out.get(name, []),
    }


def _glance(grids: Sequence[Grid]) -> list[dict[str, object]]:
    """Means over labels of every list, for the top of the page."""
    found: list[dict[str, object]] = []
    for grid in grids:
        means = dict(grid.rows).get("mean") if grid.part == "retrieval" else None
        if means is None:
            continue
        values = dict(zip(grid.columns, means, strict=True))
        found.append(
            {
                "source": TITLES[grid.source],
                "title": grid.title,
                "cells": [_cell(name, values.get(name)) for name in ("AP", "nDCG@10", "nDCG@1000", "recall@100")],
            }
        )
    return found


def _table(grid: Grid) -> _Table:
    rows = []
    for subject, values in grid.rows:
        index = " by " in subject and grid.part == "retrieval"
        kind = "mean" if subject in ("mean", "all", "all distractors") else "index" if index else ""
        shown = subject.split(" by ")[1] if index else subject
        rows.append((shown, kind, [_cell(name, value) for name, value in zip(grid.columns, values, strict=True)]))
    return _Table(grid.title, grid.columns, rows)


def _cell(column: str, value: Measured | None) -> _Cell:
    if value is None or not np.isfinite(value.value):
        return _Cell("–", "", None)
    interval = f"{value.low:.2f}–{value.high:.2f}" if np.isfinite(value.low) else ""
    share = column not in COUNTS and not isinstance(value.value, int) and 0 <= value.value <= 1
    return _Cell(text(value, with_interval=False), interval, round(100 * value.value, 1) if share else None)


def _sheet(sheet: Sheet) -> dict[str, object]:
    """A row of framed pictures for each colouring."""
    colourings = list(sheet.shown[0].pictures) if sheet.shown else []
    rows = [
        {
            "colouring": colouring,
            "chips": [
                {
                    "image": inline_png(shown.pictures[colouring]),
                    "verdict": shown.verdict,
                    "name": shown.name,
                    "score": f"{shown.score:.2f}",
                }
                for shown in sheet.shown
            ],
        }
        for colouring in colourings
    ]
    right = sum(shown.verdict == "right" for shown in sheet.shown)
    return {
        "query": sheet.label.lower(),
        "where": f"{sheet.rule}, {SENSORS[sheet.sensor]}",
        "right": right,
        "shown": len(sheet.shown),
        "unknown": sum(shown.verdict == "unknown" for shown in sheet.shown),
        "rows": rows,
    }


def inline_png(picture: Picture) -> str:
    """A picture, uint8 (rows, columns, 3), as the address of an image that is in the page itself."""
    buffer = BytesIO()
    _needed("PIL.Image").fromarray(picture).quantize(SHADES).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _curve_images(curves: Sequence[Curve]) -> list[dict[str, str]]:
    """One image of small curves for each rule and sensor."""
    groups: dict[str, list[Curve]] = {}
    for curve in curves:
        groups.setdefault(f"{curve.rule}, {SENSORS[curve.sensor]}", []).append(curve)
    return [{"title": title, "image": _reliability_png(group)} for title, group in groups.items()]


def _reliability_png(curves: Sequence[Curve]) -> str:
    """Predicted against observed, a point for each bin, its area by the chips in it."""
    figure_module, agg = _needed("matplotlib.figure"), _needed("matplotlib.backends.backend_agg")
    rows = -(-len(curves) // ACROSS)
    figure = figure_module.Figure(figsize=(2.5 * ACROSS, 2.55 * rows), dpi=110, layout="constrained")
    agg.FigureCanvasAgg(figure)
    for number, curve in enumerate(curves):
        axes = figure.add_subplot(rows, ACROSS, number + 1)
        axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.plot(curve.predicted, curve.observed, color=LINE, linewidth=1.3)
        sizes = 8 + 110 * np.array(curve.counts) / sum(curve.counts)
        axes.scatter(curve.predicted, curve.observed, s=sizes, color=LINE, alpha=0.85, linewidths=0)
        _trimmed(axes, curve.label)
    figure.supxlabel("predicted probability", fontsize=8, color=INK)
    figure.supylabel("share that carries the label", fontsize=8, color=INK)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", facecolor="white")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _trimmed(axes: Any, title: str) -> None:
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1], aspect="equal")
    axes.set_title(title, fontsize=9, color=INK, loc="left")
    axes.tick_params(labelsize=7, colors=QUIET, length=2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#cfd6da")


def _needed(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise SettingsError(f"a report needs {name}, which is not installed: pip install 'tocsin[training]'") from error
