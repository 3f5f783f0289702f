"""`tocsin evaluate`: how good an encoder is, on real, published or simulated chips.

Flows in: an encoder's name and sources of labelled chips. Flows out: tables, one JSON document, an HTML report. Stops
before measuring: `training.evaluate` does.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.options import Json
from commands.output import note, print_json, say, table
from schemas.errors import UsageError

if TYPE_CHECKING:
    from training.evaluate import Evaluation

WIDE = 6
"""Tables with more columns show intervals only of the first measures: a terminal has 160 columns."""

ALWAYS = ("AP", "nDCG@10", "value")
"""Measures whose intervals are always shown."""


def evaluate(
    feed: Annotated[
        Path | None, typer.Option("--feed", metavar="DIR", help="Folder with labels.parquet, items and COGs.")
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option("--corpus", metavar="DIR", help="Folder in CrisisLandMark's layout; split test.")
    ] = None,
    simulated: Annotated[
        int | None, typer.Option("--simulated", metavar="N", help="N simulated chips for each sensor and set.")
    ] = None,
    encoder: Annotated[
        str, typer.Option("--encoder", metavar="NAME", help="Name or folder of a release.", envvar="TOCSIN_ENCODER")
    ] = "nano",
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write one self-contained HTML file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure how well words find chips: retrieval, calibration, crises; intervals are over places."""
    from encoders import load
    from training.evaluate import document
    from training.evaluate import evaluate as measure
    from training.report import check_packages, write_report

    if report is not None:
        _check_writable(report)
        check_packages()
    tell = note if sys.stderr.isatty() else (lambda _: None)
    done = measure(load(encoder), feed=feed, corpus=corpus, simulated=simulated, tell=tell)
    if report is not None:
        try:
            write_report(done, report)
        except OSError as error:
            raise UsageError(f"--report {report}: cannot be written ({error.strerror})") from error
    if as_json:
        print_json(document(done))
        return
    _show(done)
    if report is not None:
        say(f"report: {report}")


def _check_writable(report: Path) -> None:
    """Before minutes of work.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        if report.is_dir():
            raise UsageError(f"--report {report}: is a folder, name a file in it")
        if not report.parent.is_dir():
            raise UsageError(f"--report {report}: there is no folder {report.parent}, make it first")
        there = report.exists()
    except OSError as error:
        raise UsageError(f"--report {report}: cannot be written ({error.strerror})") from error
    if not os.access(report if there else report.parent, os.W_OK):
        raise UsageError(f"--report {report}: cannot be written, choose another place")


def _show(done: Evaluation) -> None:
    from training.tables import WORDS, grids_of, measures_grid, text

    for measure, figures in done.measures.items():
        grid = measures_grid(measure, figures)
        rows = [(subject, text(values[0], with_interval=True)) for subject, values in grid.rows]
        table(f"feed, {measure}", ("of", "value (90 %)"), rows, f"feed, {measure}: nothing to measure")
    for grid in grids_of(done.figures):
        many = len(grid.columns) > WIDE
        cells = [
            (
                subject,
                *(
                    text(value, with_interval=not many or column in ALWAYS)
                    for column, value in zip(grid.columns, values, strict=True)
                ),
            )
            for subject, values in grid.rows
        ]
        title = f"{grid.source}: {WORDS[grid.part].split(':')[0]}, {grid.title}"
        table(title, ("", *grid.columns), cells, f"{title}: too few positives to say anything")
    for source, left_out in done.left_out.items():
        if left_out:
            note(f"{source}: {len(left_out)} left out: {'; '.join(left_out[:5])}{' …' if len(left_out) > 5 else ''}")


def register(app: typer.Typer) -> None:
    """Put this command on the front door."""
    app.command("evaluate", epilog="Example: tocsin evaluate --simulated 1000 --report nano.html")(evaluate)
