"""In: figures, machines and regions. Out: the tables of `docs/planet.md`.

Stops at Markdown between two marks; the words around them are written by hand.
"""

from collections.abc import Sequence
from itertools import product

from benchmarks.planet_volumes import (
    DISK_EUR_PER_GB_MONTH,
    EGRESS_EUR_PER_GB,
    EXPECTED,
    LOAD,
    MACHINES,
    REGIONS,
    SCENE_GB,
    TILE_CELLS,
    TILE_GB,
    Machine,
    Region,
)
from benchmarks.planet_work import DAY_S, ENCODERS, FORMATS, Line, Measured, cells, gb_to_fetch, lines, stored_gb, work

BEGIN, END = "<!-- made by python -m benchmarks.planet --write -->", "<!-- end -->"
"""What lies between these lines of the page is written by `benchmarks.planet`."""


def render(known: Sequence[Measured], machines: Sequence[Machine]) -> str:
    """The tables of the page, Markdown."""
    parts = [
        "## What has to be watched",
        _volume_table(),
        "\n".join(f"- {region.name}: {region.why}." for region in REGIONS),
        "## What one machine does",
        "An average Sentinel-2 tile on two cores, one stage after another:",
        _tile_table(known[0]),
        "## Machines and euros a day",
        _cost_table(lines(known, machines), machines),
        *_missing(known),
        "## What the archive grows by",
        _storage_table(),
        "## What was measured",
        *(_figures(measured) for measured in known),
        "## What is assumed of prices and use",
        _table(("machine", "cores", "€ an hour"), [(m.name, str(m.cores), f"{m.eur_per_hour:.2f}") for m in machines]),
        f"A machine is busy {LOAD:.0%} of the day at most. A Sentinel-2 tile is {TILE_GB} GB to fetch, a Sentinel-1 "
        f"scene {SCENE_GB} GB; paid egress costs € {EGRESS_EUR_PER_GB} a GB, disks € {DISK_EUR_PER_GB_MONTH} a GB and "
        "month.",
    ]
    return "\n\n".join(parts)


def _volume_table() -> str:
    columns = (
        "where",
        "S2 tiles a day",
        "S1 scenes a day",
        "cells a day",
        "GB to fetch a day",
        "Mbit/s",
        "€ if paid for",
    )
    rows = []
    for region in REGIONS:
        gb = gb_to_fetch(region)
        counts = (region.tiles, region.scenes, cells(region), gb, gb * 8e3 / DAY_S)
        rows.append((region.name, *map(_short, counts), _euros(gb * EGRESS_EUR_PER_GB)))
    return _table(columns, rows)


def _storage_table() -> str:
    rows = []
    for region in REGIONS:
        for kind, gb in stored_gb(region).items():
            year = gb * 365
            rows.append(
                (region.name, kind, _short(gb), _short(year / 1e3), _euros(year * DISK_EUR_PER_GB_MONTH * 12 / 365))
            )
    return _table(("where", "vectors", "GB a day", "TB a year", "€ a day to keep a year"), rows)


def _tile_table(measured: Measured) -> str:
    tile, machine = Region("a tile", 1, 0, ""), MACHINES[0]
    rows = []
    for encoder, files in product(ENCODERS, FORMATS):
        took = work(tile, encoder, files, measured, machine, EXPECTED)
        stages = (took.decode, took.encode, took.archive)
        rows.append((encoder, files, *(f"{each:.1f}" for each in stages), _short(TILE_CELLS / sum(stages))))
    return _table(("encoder", "files", "decoding, s", "encoding, s", "archive, s", "cells/s"), rows)


def _cost_table(found: Sequence[Line], machines: Sequence[Machine]) -> str:
    columns = [machine.name for machine in machines if any(line.machine == machine.name for line in found)]
    groups: dict[tuple[str, str, str], list[Line]] = {}
    for line in found:
        groups.setdefault((line.region, line.encoder, line.files), []).append(line)
    rows = [(*key, group[0].dominant, *(_cost(line) for line in group)) for key, group in groups.items()]
    return _table(("where", "encoder", "S2 files", "most of the time", *columns), rows)


def _cost(line: Line) -> str:
    least, most = _euros(line.least_eur_per_day), _euros(line.most_eur_per_day)
    between = f" ({least}–{most})" if least != most else ""
    return f"{_short(line.machines)} → {line.rented}, € {_euros(line.eur_per_day)}{between}"


def _missing(known: Sequence[Measured]) -> list[str]:
    """What these figures do not say."""
    said = []
    if not any("_path_" in name for measured in known for name in measured.figures):
        said.append(
            "No figure of the whole path is among those measured: fetching, cutting chips out, calibrating and masking "
            "clouds are not in these stages, so that machines and euros are lower bounds."
        )
    if not any(measured.kind == "gpu" for measured in known):
        said.append("No machine with a GPU has been measured for this page, so it has no column for one.")
    return said


def _figures(measured: Measured) -> str:
    rows = [
        (f"`{name}`", f"{figure.value:,g}", str(figure.cores or "GPU"), figure.by)
        for name, figure in measured.figures.items()
    ]
    return f"{measured.machine}, {measured.measured}:\n\n" + _table(("figure", "value", "cores", "by"), rows)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (columns, ["---"] * len(columns), *rows))


def _short(value: float) -> str:
    """Two or three digits that matter."""
    if value >= 1e6:
        return f"{value / 1e6:,.3g} M"
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f"{value:.2g}"


def _euros(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def written(page: str, tables: str) -> str:
    """The page with other tables between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}"
