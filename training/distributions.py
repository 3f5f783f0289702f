"""In: chips of a feed and chips of the simulation. Out: how far apart their reflectances and indices lie, worst first.

Stops at distances: nothing is trained, and no constant of the simulation is chosen here.

    python -m training.distributions --feed DIR --json
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from encoders.bands import BANDS
from simulation.chips import Chips, make_chips
from simulation.labels import LABELS
from training.feed import LabelledChip, read_feed

PIXELS_PER_CHIP = 200
"""Enough for a distribution over chips; more of one chip says little, since neighbours are alike."""

RATIOS: dict[str, tuple[str, str]] = {
    "NDVI": ("B08", "B04"),
    "NBR": ("B08", "B12"),
    "NDWI": ("B03", "B08"),
    "NDMI": ("B08", "B11"),
}
"""Normalised differences. Source: Tucker 1979; Key and Benson 2006; McFeeters 1996; Gao 1996."""

SINGLE_CLASS = 0.6
"""A simulated chip stands for a class from this share; a real one where the label is its only land cover."""

Values = NDArray[np.float64]
Samples = dict[str, Values]


@dataclass(frozen=True, slots=True)
class Distance:
    """How far a simulated distribution lies from a real one.

    Attributes:
        group: `all`, or a label.
        quantity: band or index.
        wasserstein: Wasserstein-1 distance in units of the real standard deviation.
        ks: largest difference of the cumulative distributions, 0-1.
        real_median: of the real values.
        simulated_median: of the simulated values.
        chips: real chips that were compared.
    """

    group: str
    quantity: str
    wasserstein: float
    ks: float
    real_median: float
    simulated_median: float
    chips: int


def quantities(pixels: NDArray[np.float32], sensor: str) -> Samples:
    """Bands and indices of pixels that are all finite where a band is present.

    Args:
        pixels: float32, (bands, n), reflectance or linear power, as in `encoders.bands.BANDS`; NaN is none.
        sensor: `s2` or `s1`.

    Returns:
        Values by name, each (n,): bands, NDVI, NBR, NDWI, NDMI and BSI (Rikimaru et al. 2002), or VV, VH, VH-VV in dB.
    """
    bands = {name: plane.astype(np.float64) for name, plane in zip(BANDS[sensor], pixels, strict=True)}
    if sensor == "s1":
        decibel = {name: 10 * np.log10(np.maximum(plane, 1e-5)) for name, plane in bands.items()}
        return decibel | {"VH-VV": decibel["VH"] - decibel["VV"]}
    ratios = {name: _ratio(bands[plus], bands[minus]) for name, (plus, minus) in RATIOS.items()}
    bare = _ratio(bands["B11"] + bands["B04"], bands["B08"] + bands["B02"])
    ground = {name: plane for name, plane in bands.items() if name != "B10"}  # B10 sees water vapour, not the ground
    return ground | ratios | {"BSI": bare}


def _ratio(plus: Values, minus: Values) -> Values:
    return (plus - minus) / np.maximum(plus + minus, 1e-4)


def sample(chips: Iterable[NDArray[np.float32]], sensor: str, seed: int = 0) -> Samples:
    """Quantities of at most `PIXELS_PER_CHIP` pixels of every chip (each (bands, h, w)), joined."""
    rng = np.random.default_rng(seed)
    columns: list[NDArray[np.float32]] = []
    for pixels in chips:
        flat = pixels.reshape(len(pixels), -1)
        flat = flat[:, np.isfinite(flat).any(axis=0)]
        if flat.shape[1]:
            columns.append(flat[:, rng.integers(0, flat.shape[1], PIXELS_PER_CHIP)])
    if not columns:
        return {}
    return {name: values[np.isfinite(values)] for name, values in quantities(np.hstack(columns), sensor).items()}


def wasserstein(real: Values, simulated: Values) -> float:
    """Wasserstein-1 distance over the real standard deviation, by 200 quantiles. Source: Villani 2009, remark 2.19."""
    at = (np.arange(200) + 0.5) / 200
    spread = float(real.std()) or 1e-9
    return float(np.abs(np.quantile(real, at) - np.quantile(simulated, at)).mean()) / spread


def kolmogorov(real: Values, simulated: Values) -> float:
    """Largest difference of the two cumulative distributions, 0-1. Source: Kolmogorov 1933, Smirnov 1948."""
    at = np.concatenate([real, simulated])
    below = (np.searchsorted(np.sort(values), at, side="right") / len(values) for values in (real, simulated))
    first, second = below
    return float(np.abs(first - second).max())


def compare(group: str, real: Samples, simulated: Samples, chips: int) -> list[Distance]:
    """Distances of every quantity that both sides hold."""
    return [
        Distance(
            group=group,
            quantity=name,
            wasserstein=round(wasserstein(real[name], simulated[name]), 3),
            ks=round(kolmogorov(real[name], simulated[name]), 3),
            real_median=round(float(np.median(real[name])), 4),
            simulated_median=round(float(np.median(simulated[name])), 4),
            chips=chips,
        )
        for name in real
        if len(real[name]) and len(simulated.get(name, ()))
    ]


def groups_of(chips: list[LabelledChip]) -> dict[str, list[NDArray[np.float32]]]:
    """Real chips by what they can be compared as: all whole items, items of one land cover, windows of an event."""
    groups: dict[str, list[NDArray[np.float32]]] = {"all": [c.pixels for c in chips if c.level == "item"]}
    for chip in chips:
        if chip.level == "item" and len(chip.labels) == 1:
            groups.setdefault(next(iter(chip.labels)), []).append(chip.pixels)
        if chip.level == "window" and chip.state == "positive":
            for label in chip.labels:
                groups.setdefault(f"{label} (windows)", []).append(chip.pixels)
    return groups


def like(group: str, made: Chips) -> list[NDArray[np.float32]]:
    """Simulated chips that a real group is compared with: all that had no event, or those that the label fills."""
    if group == "all":
        return [made.pixels[i] for i, facts in enumerate(made.attributes) if facts["event"] == "none"]
    label = group.removesuffix(" (windows)")
    least = 0.0 if group != label else SINGLE_CLASS
    column = LABELS.index(label)
    full = made.fractions[:, column] >= least
    return [made.pixels[i] for i, names in enumerate(made.labels) if label in names and full[i]]


def distances(feed: Path, sensor: str, *, seed: int = 0, count: int = 600) -> list[Distance]:
    """Every group and quantity of a feed against `count` fresh simulated chips, worst Wasserstein distance first."""
    real = groups_of([chip for chip in read_feed(feed) if chip.sensor == sensor])
    made = make_chips(count, seed=seed, sensor="s2" if sensor == "s2" else "s1")
    found: list[Distance] = []
    for group, chips in real.items():
        found += compare(group, sample(chips, sensor), sample(like(group, made), sensor), len(chips))
    return sorted(found, key=lambda distance: -distance.wasserstein)


def as_table(found: Iterable[Mapping[str, object]]) -> Table:
    """Distances as a table for people."""
    rows = [{key: str(value) for key, value in row.items()} for row in found]
    table = Table(*(rows[0] if rows else ("nothing to compare",)))
    for row in rows:
        table.add_row(*row.values())
    return table


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.distributions", description=__doc__)
    parser.add_argument("--feed", type=Path, required=True, help="folder with labels.parquet and items/")
    parser.add_argument("--sensor", choices=("s2", "s1"), default="s2")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=600, help="simulated chips")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    rows = [asdict(d) for d in distances(options.feed, options.sensor, seed=options.seed, count=options.count)]
    if options.json:
        sys.stdout.write(json.dumps(rows) + "\n")
    else:
        Console().print(as_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
