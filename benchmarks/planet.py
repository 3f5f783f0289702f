"""In: figures measured on some machine. Out: machines and euros a day to watch a country, a continent, the planet.

Stops at arithmetic: nothing is measured here. What was measured is in `docs/planet-figures.json`, what is assumed in
`benchmarks.planet_volumes`, and the page `docs/planet.md` says which is which.

    python -m benchmarks.planet [--json | --write] [--rates FILE | NAME=VALUE]... [--price MACHINE=EUROS_PER_HOUR]...

`--rates` takes the figures of another machine, a file like docs/planet-figures.json with `"kind": "gpu"` for one with a
GPU, or replaces single figures. Figures of a machine nobody measured are never made up: without a file there is no row.
"""

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.planet_page import render, written
from benchmarks.planet_volumes import MACHINES, REGIONS, Machine
from benchmarks.planet_work import STAGES, Figure, Measured, cells, gb_to_fetch, is_rate, lines, read_figures, stored_gb
from schemas.errors import UsageError

DOCS = Path(__file__).parents[1] / "docs"
FIGURES, PAGE = DOCS / "planet-figures.json", DOCS / "planet.md"


def committed() -> list[Measured]:
    """The figures that lie beside the page: planet-figures.json, and planet-figures-….json of other machines."""
    others = sorted(str(path) for path in DOCS.glob("planet-figures-*.json"))
    return with_rates([read_figures(FIGURES)], others)


def with_rates(known: Sequence[Measured], given: Sequence[str]) -> list[Measured]:
    """The figures after `--rates`: files replace those of their kind of machine, values replace single ones of the CPU.

    Raises:
        UsageError: no such file or figure, or no number; or a CPU's file lacks a figure (a GPU's may be about encoding
            only).
    """
    found = {measured.kind: measured for measured in known}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            new = read_figures(Path(each))
            lacking = STAGES - new.figures.keys() if new.kind == "cpu" else set()
            if lacking:
                raise UsageError(f"{each} lacks {', '.join(sorted(lacking))}")
            found[new.kind] = new
            continue
        figures = dict(found["cpu"].figures)
        old = figures.get(name)
        if old is None:
            raise UsageError(f"no figure is called {name!r}: use one of {', '.join(figures)}")
        figures[name] = Figure(_rate(each, value), old.cores, "given")
        found["cpu"] = replace(found["cpu"], figures=figures)
    return list(found.values())


def with_prices(given: Sequence[str]) -> list[Machine]:
    """The machines after `--price`.

    Raises:
        UsageError: no such machine, or no number.
    """
    prices = dict(each.rpartition("=")[::2] for each in given)
    unknown = sorted(prices.keys() - {machine.name for machine in MACHINES})
    if unknown:
        names = ", ".join(repr(machine.name) for machine in MACHINES)
        raise UsageError(f"no machine is called {unknown[0]!r}: write MACHINE=EUROS_PER_HOUR, with one of {names}")
    return [
        replace(machine, eur_per_hour=_rate(machine.name, prices[machine.name])) if machine.name in prices else machine
        for machine in MACHINES
    ]


def _rate(what: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not is_rate(value):
        raise UsageError(f"{what}: {text!r} is no number above 0")
    return value


def document(known: Sequence[Measured], machines: Sequence[Machine]) -> dict[str, object]:
    """All of it for programs."""
    return {
        "lines": [asdict(line) for line in lines(known, machines)],
        "regions": [
            asdict(each) | {"cells": cells(each), "gb_to_fetch": gb_to_fetch(each), "stored_gb": stored_gb(each)}
            for each in REGIONS
        ],
        "machines": [asdict(machine) for machine in machines],
        "measured": [asdict(measured) for measured in known],
    }


def main(words: Sequence[str] | None = None) -> None:
    """Print the tables, or one JSON document, or write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planet", description=__doc__.splitlines()[0])
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="one JSON document")
    how.add_argument("--write", action="store_true", help="put the tables into docs/planet.md")
    parser.add_argument("--rates", action="append", default=[], metavar="FILE|NAME=VALUE", help="other figures")
    parser.add_argument("--price", action="append", default=[], metavar="MACHINE=EUR", help="euros an hour")
    arguments = parser.parse_args(words)
    if arguments.write and (arguments.rates or arguments.price):
        parser.error("the page is made from docs/planet-figures*.json and the prices in benchmarks/planet_volumes.py")
    try:
        known = with_rates(committed(), arguments.rates)
        machines = with_prices(arguments.price)
    except UsageError as error:
        parser.error(str(error))
    if arguments.json:
        print(json.dumps(document(known, machines), indent=1))
    elif arguments.write:
        PAGE.write_text(written(PAGE.read_text("utf-8"), render(known, machines)), "utf-8")
    else:
        print(render(known, machines))


if __name__ == "__main__":
    main()
