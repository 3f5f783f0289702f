"""In: sections of figures, curves and pictures. Out: one HTML file that needs nothing beside it.

Stops at drawing: nothing is measured here, and nothing is fetched when the file is opened.
"""

import base64
import importlib
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from schemas.errors import SettingsError, UsageError
from training.calibration import Curve
from training.indices import INDICES
from training.tables import Figures, Picture, Section, Sheet, Table, Tile, is_bound, shown

TEMPLATE = "report.html.j2"
"""Beside this module."""

INDEX_NAMES = frozenset(name for some in INDICES.values() for name in some)
"""Baselines: they are drawn in another colour."""

_GAP = 2


def check_writable(path: Path) -> None:
    """Find out before hours of measuring that the report can't be written.

    Raises:
        UsageError: it can't.
        SettingsError: what draws it is not installed.
    """
    _needed("jinja2"), _needed("matplotlib")
    if path.is_dir():
        raise UsageError(f"--report {path} is a folder: name a file, for example report.html")
    existed = path.exists()
    try:
        with path.open("ab"):
            pass
    except OSError as error:
        raise UsageError(f"--report {path} cannot be written ({error.strerror}): name another file") from error
    if not existed:
        path.unlink()


def write_report(path: Path, release: str, sections: Sequence[Section], now: datetime | None = None) -> None:
    """Draw a report.

    Args:
        path: to write.
        release: of the encoder.
        sections: of the evaluation.
        now: time of the report; none: this moment.

    Raises:
        UsageError: the file cannot be written.
        SettingsError: what draws it is not installed.
    """
    jinja2 = _needed("jinja2")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    made = (now or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC")
    text = environment.get_template(TEMPLATE).render(
        release=release, made=made, sections=[_drawn(section) for section in sections], headlines=_headlines(sections)
    )
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(f"--report {path} cannot be written ({error.strerror}): name another file") from error


def _needed(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise SettingsError(
            f"the report needs {module}, which is not installed: pip install 'tocsin[training]'"
        ) from error


def _headlines(sections: Sequence[Section]) -> list[dict[str, str]]:
    """The figures at the top: the first word of each measure, or its mean."""
    found = []
    for section in sections:
        for title, figures in section.measures.items():
            bars = _bars(figures)
            if not bars:
                continue
            bar = next((bar for bar in bars if bar["kind"] == "mean"), bars[0])
            best = max((float(figures[n]) for n in INDEX_NAMES if n in figures), default=None)
            text, _, interval = shown(figures, bar["name"]).partition(" [")
            value = f"{figures[bar['name']]} of {figures['pairs']}" if "pairs" in figures else text
            beside = "" if best is None else f"best plain index {best:.3f}"
            interval = interval and f"[{interval}"
            found.append({"title": title, "name": bar["name"], "value": value, "interval": interval, "beside": beside})
    return found


def _drawn(section: Section) -> dict[str, object]:
    return {
        "name": section.name,
        "intro": section.intro,
        "measures": [{"title": t, "bars": _bars(f), "facts": _facts(f)} for t, f in section.measures.items()],
        "tables": [_cells(table) for table in section.tables],
        "curves": _curves(section.curves) if section.curves else "",
        "sheets": [_sheet(sheet) for sheet in section.sheets],
        "left_out": section.left_out,
    }


class _Bar(TypedDict):
    name: str
    value: float
    text: str
    low: float
    high: float
    kind: str


def _bars(figures: Figures) -> list[_Bar]:
    """Shares between 0 and 1, and pairs in order, as bars with whiskers; plain indices marked."""
    bars: list[_Bar] = []
    for name, value in figures.items():
        if "pairs" in figures and name != "pairs" and isinstance(value, int):
            share = value / max(figures["pairs"], 1)
            bars.append(_Bar(name=name, value=share, text=str(value), low=share, high=share, kind="model"))
            continue
        if isinstance(value, int) or is_bound(name, figures) or name == "largest loss" or not np.isfinite(value):
            continue
        low, high = figures.get(f"{name} low", value), figures.get(f"{name} high", value)
        kind = "index" if name in INDEX_NAMES else "mean" if name == "mean" else "model"
        bars.append(_Bar(name=name, value=value, text=f"{value:.3f}", low=low, high=high, kind=kind))
    return bars


def _facts(figures: Figures) -> list[str]:
    """What is no bar: counts, and the loss of a paraphrase."""
    drawn = {bar["name"] for bar in _bars(figures)}
    return [f"{n}: {shown(figures, n)}" for n in figures if n not in drawn and not is_bound(n, figures)]


def _cells(table: Table) -> dict[str, object]:
    columns = table.columns()
    rows = [
        {
            "name": name,
            "kind": "index" if name.rpartition(": ")[2] in INDEX_NAMES else "mean" if name == "mean" else "",
            "cells": [{"text": shown(row, column), "heat": _heat(row, column)} for column in columns],
        }
        for name, row in table.rows.items()
    ]
    return {"title": table.title, "note": table.note, "columns": columns, "rows": rows}


def _heat(row: Figures, column: str) -> float:
    """Strength of a cell's colour, 0 to 1: only where more is better."""
    good = ("AP", "nDCG", "recall@", "right order", "AUC", "ranked first")
    value = row.get(column, 0.0)
    return float(np.clip(value, 0, 1)) if column.startswith(good) and np.isfinite(value) else 0.0


def _sheet(sheet: Sheet) -> dict[str, object]:
    right = sum(tile.verdict == "right" for tile in sheet.tiles)
    known = sum(tile.verdict != "unknown" for tile in sheet.tiles)
    tiles = [
        {"name": t.name, "score": f"{t.score:.3f}", "verdict": t.verdict, "src": _png(_side_by_side(t))}
        for t in sheet.tiles
    ]
    return {"query": sheet.query, "of": sheet.of, "tiles": tiles, "right": right, "known": known}


def _side_by_side(tile: Tile) -> Picture:
    """The pictures of a chip under each other."""
    gap = np.full((_GAP, tile.pictures[0].shape[1], 3), 255, np.uint8)
    parts: list[Picture] = [tile.pictures[0]]
    for picture in tile.pictures[1:]:
        parts += [gap, picture]
    return np.concatenate(parts)


def _png(picture: Picture) -> str:
    image = _needed("matplotlib.image")
    held = io.BytesIO()
    image.imsave(held, np.ascontiguousarray(picture), format="png")
    return _inline(held)


def _inline(held: io.BytesIO) -> str:
    return "data:image/png;base64," + base64.b64encode(held.getvalue()).decode("ascii")


def _curves(curves: dict[str, Curve]) -> str:
    """Reliability curves as one picture, a panel a label."""
    figure_of, canvas_of = _needed("matplotlib.figure"), _needed("matplotlib.backends.backend_agg")
    columns = min(4, len(curves))
    lines = -(-len(curves) // columns)
    figure = figure_of.Figure(figsize=(3.1 * columns, 3.0 * lines), layout="constrained")
    canvas_of.FigureCanvasAgg(figure)
    for number, (name, curve) in enumerate(curves.items()):
        axes = figure.add_subplot(lines, columns, number + 1)
        axes.plot([0, 1], [0, 1], color="#b8b8b8", linewidth=1, linestyle="--")
        said, was, count = zip(*curve, strict=True)
        axes.plot(said, was, color="#1f5f8b", linewidth=1.6)
        axes.scatter(said, was, s=[14 + 90 * c / sum(count) for c in count], color="#1f5f8b", zorder=3)
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        axes.set_title(name.replace(", ", "\n", 1), fontsize=8.5)
        axes.tick_params(labelsize=7)
        axes.set_xlabel("said", fontsize=7.5)
        axes.set_ylabel("was", fontsize=7.5)
    held = io.BytesIO()
    figure.savefig(held, format="png", dpi=110)
    return _inline(held)
