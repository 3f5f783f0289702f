"""In: nothing. Out: how fast chips and sentences become vectors here, and what share of the machine that is.

Stops at speed, and at how far bf16 and int8 are from fp32: what vectors are worth, `tocsin evaluate` measures.
Weights are made by a recipe, nothing is downloaded. CLOSP-RN's engines are built on first use and kept with the
others in the cache, but for int8, which is calibrated on simulated chips each time.

    python -m benchmarks.encode [--json] [--threads N] [--rounds N] [--feed FOLDER]
"""

import argparse
import itertools
import os
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.report import emit
from schemas.logs import configure

if TYPE_CHECKING:
    from benchmarks.towers import Towers

CLOSP_FLOPS = 2_747_492_352
"""Floating point operations of CLOSP-RN's S2 tower for one chip of 120 px: 2 x multiply-adds of its convolutions
and linear layers, padding included, as `torch.utils.flop_counter` counts them."""

NANO_CHIPS = 128
"""Chips of one measurement of nano: about as long."""

SENTENCES = 64
"""Sentences of one measurement."""

SHARE_FLOOR = 0.95
"""Least share of the machine's fp32 matrix product rate, by the fastest library for it that is here."""

BF16_FLOOR = 1.9
"""Least rate of bf16 over fp32, where the processor multiplies bf16."""

INT8_FLOOR = 3.5
"""Least rate of int8 over fp32."""

COSINE_FLOOR = 0.999
"""Least mean cosine between int8 and fp32 vectors."""

NANO_RATE = 600.0
"""Least rate of nano on Sentinel-2 chips, on two cores."""

Work = Callable[[], object]


def main() -> None:
    """Measure and print; every figure is the median over the rounds, in which all take turns."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encode", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--threads", type=int, default=1, help="threads of every runtime and of the matrix product")
    parser.add_argument("--rounds", type=int, default=9, help="measurements of each figure")
    parser.add_argument("--feed", type=Path, help="compare vectors on this labelled feed, not on simulated chips")
    arguments = parser.parse_args()
    limit_threads(arguments.threads)
    configure("info", "benchmarks")
    from benchmarks.towers import Towers  # noqa: PLC0415 - numpy must not load before its limit is set

    towers = Towers(arguments.threads)
    report(measure(towers, arguments.threads, arguments.rounds))
    report_agreement(towers, arguments.feed)


def limit_threads(threads: int) -> None:
    """Start again with the BLAS library's own limit, which it reads once, when it is loaded."""
    if os.environ.get("OPENBLAS_NUM_THREADS") != str(threads) or os.environ.get("OMP_NUM_THREADS") != str(threads):
        os.environ |= {"OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.encode", *sys.argv[1:]])


@dataclass(frozen=True, slots=True)
class Figures:
    """Measurements of one kind of work, one entry a round: rates per wall second, and per second that ratios use."""

    rates: list[float] = field(default_factory=list)
    own_rates: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Median rate on the wall."""
        return statistics.median(self.rates)

    def over(self, other: "Figures", scale: float = 1.0) -> float:
        """Median over rounds of the ratio within a round: the machine's ups and downs cancel."""
        return statistics.median(one * scale / two for one, two in zip(self.own_rates, other.own_rates, strict=True))


def measure(towers: "Towers", threads: int, rounds: int) -> dict[str, Figures]:
    """Rates by name.

    Ratios compare processor seconds where there is one thread, because other processes then cannot distort them,
    and wall seconds where there are several.
    """
    from benchmarks.machine import FLOPS, elapsed, products  # noqa: PLC0415 - as in `main`

    multiplied = {f"gemm {name}": (work, float(FLOPS)) for name, work in products(threads).items()}
    turns: dict[str, tuple[Work, float]] = multiplied | _closp(towers) | _nano(threads)
    for work, _count in turns.values():
        work()
    figures = {name: Figures() for name in turns}
    for _ in range(rounds):
        for name, (work, count) in turns.items():
            took = elapsed(work)
            figures[name].rates.append(count / took.wall_s)
            figures[name].own_rates.append(count / (took.cpu_s if threads == 1 else took.wall_s))
    return figures


def report(figures: dict[str, Figures]) -> None:
    """Print the figures that the project promises."""
    products = {name: each for name, each in figures.items() if name.startswith("gemm ")}
    fastest = max(products, key=lambda name: statistics.median(products[name].own_rates))
    closp, nano = figures["closp fp32"], figures["nano s2"]
    share = closp.over(figures[fastest], CLOSP_FLOPS)
    peak = statistics.median(figures[fastest].own_rates) / 1e9
    emit(
        "closp_rn_fp32_share_of_gemm",
        share,
        "1",
        peer=f"fp32 matrix product of {fastest.removeprefix('gemm ')}, {peak:.1f} GFLOP/s",
        ratio=share,
        floor=SHARE_FLOOR,
    )
    for arithmetic, floor in (("bf16", BF16_FLOOR), ("int8", INT8_FLOOR)):
        if f"closp {arithmetic}" in figures:
            ratio = figures[f"closp {arithmetic}"].over(closp)
            emit(f"closp_rn_{arithmetic}_over_fp32", ratio, "1", peer="CLOSP-RN in fp32", ratio=ratio, floor=floor)
            emit(f"closp_rn_{arithmetic}_chips_per_s", figures[f"closp {arithmetic}"].rate, "chips/s")
    torch = f"torch {version('torch')} eager, batches of"
    emit("closp_rn_chips_per_s", closp.rate, "chips/s", peer=f"{torch} 32", ratio=closp.over(figures["eager"]))
    emit("closp_rn_over_reference_code", closp.over(figures["eager 1"]), "1", peer=f"{torch} 1, as its code runs")
    emit("closp_rn_onnxruntime_chips_per_s", figures["onnxruntime"].rate, "chips/s")
    emit("closp_rn_torch_eager_chips_per_s", figures["eager"].rate, "chips/s")
    emit("nano_s2_chips_per_s", nano.rate, "chips/s", peer="CLOSP-RN S2", ratio=nano.over(closp), floor=NANO_RATE)
    s1 = figures["nano s1"]
    emit("nano_s1_chips_per_s", s1.rate, "chips/s", peer="CLOSP-RN S2", ratio=s1.over(closp))
    emit("nano_over_closp_rn", nano.over(closp), "1", peer="CLOSP-RN S2", ratio=nano.over(closp))
    emit("nano_sentences_per_s", figures["nano text"].rate, "sentences/s")


def report_agreement(towers: "Towers", feed: Path | None) -> None:
    """Print how far bf16 and int8 vectors are from fp32."""
    on = "simulated chips" if feed is None else "real chips"
    for arithmetic in [each for each in ("bf16", "int8") if each in towers.engines]:
        found = towers.agreement(arithmetic, feed)
        for name, value in found.items():
            floor = COSINE_FLOOR if (arithmetic, name) == ("int8", "cosine") else None
            emit(f"closp_rn_{arithmetic}_{name}", value, "1", peer=f"fp32 on {on}", floor=floor)


def _closp(towers: "Towers") -> dict[str, tuple[Work, float]]:
    from encoders.backends import OnnxRuntime  # noqa: PLC0415 - as in `main`

    pixels, count = towers.pixels, len(towers.pixels)
    eager, lowered = towers.reference, towers.kept(OnnxRuntime())
    works: dict[str, tuple[Work, float]] = {
        f"closp {name}": (partial(engine.run, {"pixels": pixels}), count) for name, engine in towers.engines.items()
    }
    return works | {
        "onnxruntime": (lambda: lowered.run({"pixels": pixels}), count),
        "eager": (lambda: eager.run({"pixels": pixels}), count),
        "eager 1": (lambda: [eager.run({"pixels": pixels[row : row + 1]}) for row in range(count)], count),
    }


def _nano(threads: int) -> dict[str, tuple[Work, float]]:
    from benchmarks import recipe  # noqa: PLC0415 - as in `main`
    from encoders import load  # noqa: PLC0415

    encoder = load("nano", threads=threads)
    fresh = itertools.count()
    s2, s1, texts = recipe.chips("s2", NANO_CHIPS), recipe.chips("s1", NANO_CHIPS), recipe.sentences(SENTENCES)
    return {
        "nano s2": (lambda: encoder.images(s2, "s2"), NANO_CHIPS),
        "nano s1": (lambda: encoder.images(s1, "s1"), NANO_CHIPS),
        # New words each time: an encoder computes a sentence once.
        "nano text": (lambda: encoder.texts([f"{text} {next(fresh)}" for text in texts]), SENTENCES),
    }


if __name__ == "__main__":
    main()
