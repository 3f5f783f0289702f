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
NANO_FLOOR = 10.0

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


def measure(threads: int, rounds: int) -> dict[str, list[float]]:
    """Rates by name, one entry a round."""
    from benchmarks.machine import Gemm, seconds  # noqa: PLC0415 - numpy must not be loaded before its limit is set

    gemm = Gemm()
    works = {**_closp(threads), **_nano(threads)}
    for work, _count in works.values():
        work()
    rates: dict[str, list[float]] = {name: [] for name in (*works, "gemm")}
    for _ in range(rounds):
        for name, (work, count) in works.items():
            if name == "closp":
                before = gemm.flops_per_s()
                rates[name].append(count / seconds(work))
                rates["gemm"].append((before + gemm.flops_per_s()) / 2.0)
            else:
                rates[name].append(count / seconds(work))
    return rates


def report(rates: dict[str, list[float]]) -> None:
    """Print the figures that the project promises."""
    closp, gemm = statistics.median(rates["closp"]), statistics.median(rates["gemm"])
    share = _median_ratio(rates["closp"], rates["gemm"], CLOSP_FLOPS)
    emit(
        "closp_rn_fp32_share_of_gemm",
        share,
        "1",
        peer=f"numpy fp32 product, {gemm / 1e9:.1f} GFLOP/s",
        ratio=share,
        floor=SHARE_FLOOR,
    )
    eager = statistics.median(rates["eager"])
    emit(
        "closp_rn_chips_per_s",
        closp,
        "chips/s",
        peer=f"torch {version('torch')} eager",
        ratio=_median_ratio(rates["closp"], rates["eager"]),
    )
    emit("closp_rn_torch_eager_chips_per_s", eager, "chips/s")
    for sensor in ("s2", "s1"):
        rate = rates[f"nano {sensor}"]
        emit(
            f"nano_{sensor}_chips_per_s",
            statistics.median(rate),
            "chips/s",
            peer="CLOSP-RN S2",
            ratio=_median_ratio(rate, rates["closp"]),
        )
    over = _median_ratio(rates["nano s2"], rates["closp"])
    emit("nano_over_closp_rn", over, "1", peer="CLOSP-RN S2", ratio=over, floor=NANO_FLOOR)
    emit("nano_sentences_per_s", statistics.median(rates["nano text"]), "sentences/s")


def _median_ratio(one: list[float], other: list[float], scale: float = 1.0) -> float:
    """Median over rounds of the ratio within a round: the machine's own ups and downs cancel."""
    return statistics.median(each * scale / peer for each, peer in zip(one, other, strict=True))


def _closp(threads: int) -> dict[str, tuple[Work, int]]:
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


def _nano(threads: int) -> dict[str, tuple[Work, int]]:
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
