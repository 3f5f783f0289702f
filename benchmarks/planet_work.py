"""In: measured rates and what there is to watch. Out: busy seconds, machines and euros a day.

Stops at numbers: `benchmarks.planet_page` writes them down.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.planet_volumes import (
    EXPECTED,
    LEAST,
    LOAD,
    MOST,
    REGIONS,
    SCENE_GB,
    SCENE_MPX,
    TILE_GB,
    TILE_MPX,
    VECTOR_BYTES,
    Kind,
    Machine,
    Region,
    Volume,
)
from schemas.errors import UsageError

DAY_S = 86_400
"""Seconds."""

ENCODERS = {"nano": "nano", "CLOSP-RN": "closp_rn"}
"""Start of the names of their figures."""

FORMATS = {"COG": "cog", "JP2": "jp2"}
"""Of Sentinel-2's files, and the figure that applies; Sentinel-1's are GeoTIFFs."""


STAGES = frozenset(
    {f"decode_{kind}_mpx_per_s" for kind in FORMATS.values()}
    | {f"{prefix}_{sensor}_chips_per_s" for prefix in ENCODERS.values() for sensor in ("s1", "s2")}
    | {"archive_record_points_per_s"}
)
"""Figures that every page needs."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured rate.

    Attributes:
        value: per second.
        cores: that it was measured with; 0: it was the GPU's.
        by: how it was measured.
    """

    value: float
    cores: int
    by: str


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured on one machine.

    Attributes:
        machine: its name.
        measured: when.
        kind: ``"cpu"`` or ``"gpu"``.
        figures: by name.
    """

    machine: str
    measured: str
    kind: Kind
    figures: Mapping[str, Figure]

    def seconds(self, name: str, amount: float, machine: Machine) -> float:
        """What a machine needs for an amount of work."""
        figure = self.figures[name]
        return amount / (figure.value * (machine.cores / figure.cores if figure.cores else 1))


@dataclass(frozen=True, slots=True)
class Work:
    """Busy seconds a day of one machine.

    Attributes:
        decode, encode, archive: by stage.
        on_gpu: encoding runs beside the rest, not after it.
    """

    decode: float
    encode: float
    archive: float
    on_gpu: bool

    @property
    def machines(self) -> float:
        """How many machines it takes, before rounding up."""
        cpu = self.decode + self.archive
        return (max(cpu, self.encode) if self.on_gpu else cpu + self.encode) / DAY_S / LOAD

    @property
    def dominant(self) -> str:
        """The stage that takes most, with its share of all of them."""
        stages = {"decoding": self.decode, "encoding": self.encode, "archive": self.archive}
        name = max(stages, key=lambda stage: stages[stage])
        return f"{name} {stages[name] / sum(stages.values()):.0%}"


@dataclass(frozen=True, slots=True)
class Line:
    """A region watched with an encoder on a kind of machine.

    Attributes:
        region, encoder, files, machine: what.
        busy_s: seconds a day by stage, of one machine.
        dominant: the stage that takes most.
        machines: needed, before rounding up.
        rented: after.
        eur_per_day: for those.
        least_eur_per_day, most_eur_per_day: with the bounds of the volume.
    """

    region: str
    encoder: str
    files: str
    machine: str
    busy_s: Work
    dominant: str
    machines: float
    rented: int
    eur_per_day: float
    least_eur_per_day: float
    most_eur_per_day: float


def work(region: Region, encoder: str, files: str, measured: Measured, machine: Machine, volume: Volume) -> Work:
    """Seconds a day on one machine.

    A figure for the whole way from files to vectors (for example ``nano_cog_path_cells_per_s``), where there is one,
    says by how much reading and encoding Sentinel-2 take longer, or less long, than their stages.
    """
    s2_cells, s1_cells = region.tiles * volume.tile_cells, region.scenes * volume.scene_cells
    prefix, kind = ENCODERS[encoder], FORMATS[files]
    on_gpu = measured.figures[f"{prefix}_s2_chips_per_s"].cores == 0
    decode = measured.seconds(f"decode_{kind}_mpx_per_s", region.tiles * TILE_MPX, machine)
    encode = measured.seconds(f"{prefix}_s2_chips_per_s", s2_cells, machine)
    if (path := f"{prefix}_{kind}_path_cells_per_s") in measured.figures:
        stages = max(decode, encode) if on_gpu else decode + encode
        longer = measured.seconds(path, s2_cells, machine) / stages
        decode, encode = decode * longer, encode * longer
    return Work(
        decode=decode + measured.seconds("decode_cog_mpx_per_s", region.scenes * SCENE_MPX, machine),
        encode=encode + measured.seconds(f"{prefix}_s1_chips_per_s", s1_cells, machine),
        archive=measured.seconds("archive_record_points_per_s", s2_cells + s1_cells, machine),
        on_gpu=on_gpu,
    )


def lines(known: Sequence[Measured], machines: Sequence[Machine]) -> list[Line]:
    """Every region with every encoder, on every kind of machine that somebody measured."""
    by_kind = {measured.kind: measured for measured in known}
    if "gpu" in by_kind:  # what its file does not give, its CPU does as others do
        figures = {**by_kind["cpu"].figures, **by_kind["gpu"].figures}
        by_kind["gpu"] = replace(by_kind["gpu"], figures=figures)
    usable = [(machine, by_kind[machine.kind]) for machine in machines if machine.kind in by_kind]
    return [
        _line(region, encoder, files, measured, machine)
        for region in REGIONS
        for encoder in ENCODERS
        for files in FORMATS
        for machine, measured in usable
    ]


def gb_to_fetch(region: Region) -> float:
    """Files a day, 10^9 bytes."""
    return region.tiles * TILE_GB + region.scenes * SCENE_GB


def stored_gb(region: Region) -> dict[str, float]:
    """What the archive's vectors grow by a day, 10^9 bytes, by their type."""
    return {kind: cells(region) * size / 1e9 for kind, size in VECTOR_BYTES.items()}


def _line(region: Region, encoder: str, files: str, measured: Measured, machine: Machine) -> Line:
    expected, least, most = (
        work(region, encoder, files, measured, machine, volume) for volume in (EXPECTED, LEAST, MOST)
    )
    return Line(
        region=region.name,
        encoder=encoder,
        files=files,
        machine=machine.name,
        busy_s=expected,
        dominant=expected.dominant,
        machines=expected.machines,
        rented=rented(expected),
        eur_per_day=rented(expected) * machine.eur_per_hour * 24,
        least_eur_per_day=rented(least) * machine.eur_per_hour * 24,
        most_eur_per_day=rented(most) * machine.eur_per_hour * 24,
    )


def rented(needed: Work) -> int:
    """Whole machines, one at least."""
    return max(1, math.ceil(needed.machines))


def cells(region: Region, volume: Volume = EXPECTED) -> float:
    """Vectors a day."""
    return region.tiles * volume.tile_cells + region.scenes * volume.scene_cells


def read_figures(path: Path) -> Measured:
    """A file of figures.

    Raises:
        UsageError: it is none.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
        figures = {name: Figure(**each) for name, each in document["figures"].items()}
        measured = Measured(document["machine"], document["measured"], document["kind"], figures)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{path} holds no figures ({error!r}): write it like docs/planet-figures.json") from error
    wrong = [name for name, each in figures.items() if not is_rate(each.value) or each.cores < 0]
    if wrong or measured.kind not in {"cpu", "gpu"}:
        raise UsageError(f"{path}: {', '.join(wrong) or 'kind'} is wrong: rates are above 0, kind is cpu or gpu")
    return measured


def is_rate(value: float) -> bool:
    """Whether something can be done at this speed."""
    return isinstance(value, int | float) and math.isfinite(value) and value > 0
