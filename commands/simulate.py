"""`tocsin simulate`: made-up chips to look at, to count with and to compare with real ones.

Flows in: a seed and what to draw; a folder of real chips to stand beside them. Flows out: a contact sheet, an array
file, chips per second, or distances between distributions. Stops before training.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.options import Json
from commands.output import print_json, say, table
from schemas.errors import SettingsError, UsageError

if TYPE_CHECKING:
    from simulation.chips import Chips, Sensor
    from simulation.gallery import RealPixels, Row

BATCH = 200
"""Chips drawn at a time where none is kept: 13 bands of 200 chips are 150 MB."""
COMPARED = 600
"""Simulated chips per sensor behind a distance."""
WORST = 40
"""Rows of the table of distances; `--json` has all."""


def simulate(
    gallery: Annotated[
        Path | None, typer.Option("--gallery", metavar="FILE", help="Draw a contact sheet, PNG.", dir_okay=False)
    ] = None,
    chips: Annotated[int | None, typer.Option("--chips", metavar="N", help="Draw N chips and say how fast.")] = None,
    compare: Annotated[
        Path | None, typer.Option("--compare", metavar="DIR", help="Distances from real chips in the feed's layout.")
    ] = None,
    sensor: Annotated[str, typer.Option(help="s2 or s1, with --chips.")] = "s2",
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same chips.")] = 7,
    columns: Annotated[int, typer.Option(help="Chips in a row of the sheet.")] = 8,
    label: Annotated[
        list[str] | None, typer.Option("--label", help="Only this label on the sheet; repeatable.")
    ] = None,
    lookalike: Annotated[
        list[str] | None, typer.Option("--lookalike", metavar="KIND", help="What only resembles a crisis; repeatable.")
    ] = None,
    series: Annotated[
        list[str] | None, typer.Option("--series", metavar="KIND", help="A place over time on the sheet; repeatable.")
    ] = None,
    beside: Annotated[
        Path | None, typer.Option("--beside", metavar="DIR", help="Real chips to stand on the sheet, feed's layout.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Keep the chips of --chips, .npz.")] = None,
    as_json: Json = False,
) -> None:
    """Draw made-up chips: a sheet to judge by eye, an array file, or their distance from real ones."""
    if sum(choice is not None for choice in (gallery, chips, compare)) != 1:
        raise UsageError("say one of --gallery FILE, --chips N and --compare DIR")
    if gallery is not None:
        _gallery(gallery, seed, columns, label or [], lookalike or [], series or [], beside, as_json)
    elif chips is not None:
        _chips(chips, sensor, seed, lookalike or [], out, as_json)
    elif compare is not None:
        _compare(compare, seed, as_json)


def _gallery(
    path: Path,
    seed: int,
    columns: int,
    labels: list[str],
    lookalikes: list[str],
    series: list[str],
    beside: Path | None,
    as_json: bool,
) -> None:
    from simulation.gallery import label_rows, lookalike_rows, series_rows, write_sheet
    from simulation.labels import LABELS

    if not 1 <= columns <= 40:
        raise UsageError(f"--columns {columns}: a sheet has 1 to 40")
    _check_writable(path)
    wanted = [_label(name) for name in labels]
    if not (labels or lookalikes or series):
        wanted = list(LABELS)
    rows: list[Row] = lookalike_rows(lookalikes, seed=seed, columns=columns)
    rows += series_rows(series, seed=seed, columns=columns)
    if wanted:
        real = _real(beside, columns) if beside else None
        rows = label_rows(wanted, seed=seed, columns=columns, real=real) + rows
    write_sheet(path, rows)
    if as_json:
        shown = [{"title": r.title, "simulated": len(r.simulated), "real": len(r.real)} for r in rows]
        print_json({"file": str(path), "seed": seed, "rows": shown})
    else:
        say(f"{len(rows)} rows of up to {columns} chips are in {path}")


def _label(name: str) -> str:
    from simulation.labels import LABELS

    for known in LABELS:
        if known.lower() == name.strip().lower():
            return known
    raise UsageError(f"no label is called {name!r}: choose from {', '.join(LABELS)}")


def _real(folder: Path, columns: int) -> RealPixels:
    """Pixels of real chips by label and sensor: of as many places as there are first, then more of the same."""
    _check_feed(folder)
    with _training():
        from pyarrow import parquet

        from training.feed import read_feed
    from simulation.gallery import centred

    firsts: dict[tuple[str, Sensor], list[Any]] = defaultdict(list)
    others: dict[tuple[str, Sensor], list[Any]] = defaultdict(list)
    seen = set()
    with _feed_errors(folder):
        known = parquet.read_table(folder / "labels.parquet", columns=["item_id", "bbox_lon_lat"]).to_pylist()
        places = {row["item_id"]: tuple(round(edge, 1) for edge in row["bbox_lon_lat"][:2]) for row in known}
        for chip in read_feed(folder):
            whose: Sensor = "s2" if chip.sensor == "s2" else "s1"
            for name in chip.labels:
                new = (name, whose, places[chip.item]) not in seen
                seen.add((name, whose, places[chip.item]))
                (firsts if new else others)[name, whose].append(centred(chip.pixels))
    return {key: (firsts[key] + others[key])[:columns] for key in firsts}


def _chips(count: int, sensor: str, seed: int, lookalikes: list[str], out: Path | None, as_json: bool) -> None:
    from simulation.fields import pool_for

    if count < 1:
        raise UsageError(f"--chips {count}: ask for one or more")
    if sensor not in ("s1", "s2"):
        raise UsageError(f"--sensor {sensor!r}: choose s1 or s2")
    if len(lookalikes) > 1:
        raise UsageError("--chips draws one kind of look-alike at a time: give --lookalike once")
    if out is not None:
        _check_writable(out)
    whose: Sensor = "s2" if sensor == "s2" else "s1"
    pool_for(seed)  # made once per seed, so not part of what a chip costs
    begun = time.perf_counter()
    labels: Counter[str] = Counter()
    step = count if out is not None else BATCH
    for start in range(0, count, step):
        batch = _draw(min(step, count - start), whose, seed, lookalikes)
        labels.update(name for names in batch.labels for name in names)
    took = time.perf_counter() - begun
    if out is not None:
        _keep(out, batch)
    document = {
        "chips": count,
        "sensor": sensor,
        "seed": seed,
        "lookalike": lookalikes[0] if lookalikes else None,
        "seconds": round(took, 3),
        "chips_per_s": round(count / took, 1),
        "labels": dict(labels.most_common()),
        "file": None if out is None else str(out),
    }
    if as_json:
        print_json(document)
        return
    say(f"{count} {sensor} chips in {took:.1f} s: {count / took:.0f} chips/s")
    say(", ".join(f"{name} {times}" for name, times in labels.most_common()))
    if out is not None:
        say(f"they are in {out}")


def _draw(count: int, sensor: Sensor, seed: int, lookalikes: list[str]) -> Chips:
    from simulation.chips import make_chips
    from simulation.lookalikes import make_lookalikes

    if lookalikes:
        return make_lookalikes(count, seed=seed, sensor=sensor, kind=lookalikes[0])
    return make_chips(count, seed=seed, sensor=sensor)


def _keep(path: Path, chips: Chips) -> None:
    """Arrays `pixels`, `fractions`, `present`, `ambiguous`, names of bands and labels, and attributes as JSON."""
    import numpy as np

    from simulation.labels import LABELS

    arrays: dict[str, Any] = {
        "pixels": chips.pixels,
        "fractions": chips.fractions,
        "present": np.array([[name in names for name in LABELS] for names in chips.labels]),
        "ambiguous": np.array([[name in names for name in LABELS] for names in chips.ambiguous]),
        "bands": np.array(chips.bands),
        "labels": np.array(LABELS),
        "attributes": np.array([json.dumps(dict(words)) for words in chips.attributes]),
    }
    try:
        with path.open("wb") as file:
            np.savez(file, **arrays)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error


def _compare(folder: Path, seed: int, as_json: bool) -> None:
    _check_feed(folder)
    with _training():
        from training.distributions import distances, real_chips, simulated_chips

    sensors: tuple[Sensor, ...] = ("s2", "s1")
    with _feed_errors(folder):
        real = {sensor: real_chips(folder, sensor) for sensor in sensors}
    made = {sensor: simulated_chips(COMPARED, seed=seed, sensor=sensor) for sensor in sensors}
    found = [one for sensor in sensors for one in distances(real[sensor], made[sensor], sensor)]
    found.sort(key=lambda one: -one.wasserstein)
    if as_json:
        print_json([{k: _known(value) for k, value in asdict(one).items()} for one in found])
        return
    columns = ("sensor", "shows", "measurand", "W1 / spread", "ordinary", "KS", "real 5/50/95", "simulated", "places")
    rows = [
        (d.sensor, d.shows, d.measurand, d.wasserstein, d.ordinary, d.ks, _marks(d.real), _marks(d.simulated), d.places)
        for d in found[:WORST]
    ]
    table("Distances between simulated and real pixels, worst first", columns, rows, "nothing to compare")


def _known(value: object) -> object:
    """JSON has no NaN: what is unknown is null."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _marks(quantiles: tuple[float, float, float]) -> str:
    return " ".join(f"{value:.3f}" for value in quantiles)


def _check_writable(path: Path) -> None:
    """Before minutes of work: the folder is there, and the file is none."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name a file in it")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no folder {path.absolute().parent}")


def _check_feed(folder: Path) -> None:
    if not (folder / "labels.parquet").is_file():
        raise UsageError(f"{folder} holds no labels.parquet: name a folder of real chips in the feed's layout")


@contextmanager
def _training() -> Iterator[None]:
    """What reads real chips is optional: name the extra where it is missing."""
    try:
        yield
    except ImportError as error:
        raise SettingsError(f"real chips need {error.name}: pip install 'tocsin[training]'") from error


@contextmanager
def _feed_errors(folder: Path) -> Iterator[None]:
    """A table, an item or a COG that is not what the layout says."""
    try:
        yield
    except (OSError, ValueError, KeyError) as error:  # of parquet, JSON and GDAL alike
        raise UsageError(f"{folder} is not in the feed's layout: {str(error).splitlines()[0]}") from error


def register(app: typer.Typer) -> None:
    """Put this command on the front door."""
    app.command()(simulate)
