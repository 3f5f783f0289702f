"""In: nothing. Out: how fast chips and sentences become vectors here, and what share of the machine that is.

Stops at speed: what the vectors are worth, `tocsin evaluate` measures. Weights are made by a recipe, nothing is
downloaded. CLOSP-RN's engine is built on first use and kept with the others in the cache.

    python -m benchmarks.encode [--json] [--threads N] [--rounds N]
"""

import argparse
import os
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version

from benchmarks.report import emit
from schemas.logs import configure

CLOSP_FLOPS = 2_747_492_352
"""Floating point operations of CLOSP-RN's S2 tower for one chip of 120 px: 2 x multiply-adds of its convolutions
and linear layers, padding included, as `torch.utils.flop_counter` counts them."""

CHIPS = 32
"""Chips of one measurement of CLOSP."""

NANO_CHIPS = 128
"""Chips of one measurement of nano: about as long."""

SENTENCES = 64
"""Sentences of one measurement."""

SHARE_FLOOR = 0.80
"""Least share of the machine's matrix product rate."""

NANO_FLOOR = 10.0
"""Least rate of nano over CLOSP-RN's."""

Work = Callable[[], object]


def main() -> None:
    """Measure and print; every figure is the median over the rounds, in which all take turns."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encode", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--threads", type=int, default=1, help="threads of every runtime and of the matrix product")
    parser.add_argument("--rounds", type=int, default=9, help="measurements of each figure")
    arguments = parser.parse_args()
    limit_threads(arguments.threads)
    configure("info", "benchmarks")
    report(measure(arguments.threads, arguments.rounds))


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


def measure(threads: int, rounds: int) -> dict[str, Figures]:
    """Rates by name.

    Ratios compare processor seconds where there is one thread, because other processes then cannot distort them,
    and wall seconds where there are several.
    """
    from benchmarks.machine import FLOPS, Gemm, elapsed  # noqa: PLC0415 - numpy must not load before its limit is set

    closp, works = _closp(threads), _nano(threads)
    gemm = Gemm().multiply
    turns: dict[str, tuple[Work, float]] = {"gemm": (gemm, FLOPS), **closp, "gemm again": (gemm, FLOPS), **works}
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
    closp, gemm, nano = figures["closp"], figures["gemm"], figures["nano s2"]
    share = statistics.mean(closp.over(each, CLOSP_FLOPS) for each in (gemm, figures["gemm again"]))
    peak = statistics.median(gemm.own_rates) / 1e9
    emit(
        "closp_rn_fp32_share_of_gemm",
        share,
        "1",
        peer=f"fp32 matrix product, {peak:.1f} GFLOP/s",
        ratio=share,
        floor=SHARE_FLOOR,
    )
    eager = f"torch {version('torch')} eager"
    emit("closp_rn_chips_per_s", closp.rate, "chips/s", peer=eager, ratio=closp.over(figures["eager"]))
    emit("closp_rn_torch_eager_chips_per_s", figures["eager"].rate, "chips/s")
    emit("nano_s2_chips_per_s", nano.rate, "chips/s", peer="CLOSP-RN S2", ratio=nano.over(closp))
    emit(
        "nano_s1_chips_per_s",
        figures["nano s1"].rate,
        "chips/s",
        peer="CLOSP-RN S2",
        ratio=figures["nano s1"].over(closp),
    )
    emit("nano_over_closp_rn", nano.over(closp), "1", peer="CLOSP-RN S2", ratio=nano.over(closp), floor=NANO_FLOOR)
    emit("nano_sentences_per_s", figures["nano text"].rate, "sentences/s")


def _closp(threads: int) -> dict[str, tuple[Work, float]]:
    from benchmarks import recipe  # noqa: PLC0415 - as in `measure`
    from encoders.cache import engines_folder  # noqa: PLC0415
    from encoders.checks import check_pixels  # noqa: PLC0415
    from encoders.closp import layout  # noqa: PLC0415
    from encoders.closp_build import ClospBuilder, assemble  # noqa: PLC0415
    from encoders.closp_pixels import prepare  # noqa: PLC0415
    from encoders.closp_release import GRAPH  # noqa: PLC0415
    from encoders.engines import checked_engine  # noqa: PLC0415

    builder = ClospBuilder(assemble("closp-rn", recipe.weights(layout("closp-rn"))), threads)
    key = f"recipe-rn-g{GRAPH}-ort{version('onnxruntime')}"
    engine = checked_engine("s2", key, engines_folder(), lambda: builder, threads)
    reference = builder.reference("s2")
    chips = recipe.chips("s2", CHIPS)
    mask = check_pixels(chips, "s2", None)
    return {
        "closp": (lambda: engine.run({"pixels": prepare(chips, "s2", mask)}), CHIPS),
        "eager": (lambda: reference.run({"pixels": prepare(chips, "s2", mask)}), CHIPS),
    }


def _nano(threads: int) -> dict[str, tuple[Work, float]]:
    from benchmarks import recipe  # noqa: PLC0415 - as in `measure`
    from encoders import load  # noqa: PLC0415

    encoder = load("nano", threads=threads)
    s2, s1, texts = recipe.chips("s2", NANO_CHIPS), recipe.chips("s1", NANO_CHIPS), recipe.sentences(SENTENCES)
    return {
        "nano s2": (lambda: encoder.images(s2, "s2"), NANO_CHIPS),
        "nano s1": (lambda: encoder.images(s1, "s1"), NANO_CHIPS),
        "nano text": (lambda: encoder.texts(texts), SENTENCES),
    }


if __name__ == "__main__":
    main()
