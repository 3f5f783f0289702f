"""`tocsin evaluate`: how well an encoder's words find what they mean.

Flows in: an encoder, and a feed, a corpus or a number of simulated chips. Flows out: tables, JSON, one HTML report.
Stops before measuring: `training.evaluate` does that.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.options import Json
from commands.output import note, print_json, table

if TYPE_CHECKING:
    from training.tables import Figures, Section

LEFT_OUT = 5
"""So many of the chips that were left out are named on stderr; JSON and report name all."""

NARROW = 5
"""Tables of up to so many columns have room for every interval; wider ones show that of AP (JSON has all)."""


def evaluate(
    feed: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder with labels.parquet, STAC items and COGs.")
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option(metavar="DIR", help="CrisisLandMark's layout; its test split is measured.")
    ] = None,
    simulated: Annotated[int | None, typer.Option(metavar="N", help="Simulate so many chips a sensor and set.")] = None,
    encoder: Annotated[str, typer.Option(metavar="NAME_OR_FOLDER", help="Release under test.")] = "nano",
    report: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write tables, curves and pictures.")] = None,
    as_json: Json = False,
) -> None:
    """Measure how well sentences find what they mean, beside plain indices.

    Example: tocsin evaluate --simulated 1000 --report report.html
    """
    from encoders import load
    from training.evaluate import evaluate as measure

    if report is not None:
        from training.report import check_writable, write_report

        check_writable(report)
    opened = load(encoder)
    sections = measure(opened, feed=feed, corpus=corpus, chips=simulated)
    if report is not None:
        write_report(report, opened.release, sections)
        note(f"{report} shows the figures with pictures")
    if as_json:
        sources = {section.name: section.document() for section in sections}
        print_json({"release": opened.release, "sources": sources})
        return
    for section in sections:
        _print(section)


def _print(section: Section) -> None:
    from training.tables import is_bound, shown

    rows = [
        (measure, name, shown(figures, name))
        for measure, figures in section.measures.items()
        for name in figures
        if not is_bound(name, figures)
    ]
    if rows:
        table(f"{section.name}: measures", ("measure", "of", "value"), rows, "none")
    for made in section.tables:
        columns = made.columns()
        table(f"{section.name}: {made.title}", ("", *columns), [_row(*pair, columns) for pair in made.rows.items()], "")
    for line in section.left_out[:LEFT_OUT]:
        note(f"left out: {line}")
    if len(section.left_out) > LEFT_OUT:
        note(f"left out: {len(section.left_out) - LEFT_OUT} more; --json names all")


def _row(name: str, figures: Figures, columns: list[str]) -> tuple[str, ...]:
    from training.tables import shown

    narrow = len(columns) <= NARROW
    return (name, *(shown(figures, column, interval=narrow or column == "AP") for column in columns))


def register(app: typer.Typer) -> None:
    """Put this command on the front door."""
    app.command()(evaluate)
