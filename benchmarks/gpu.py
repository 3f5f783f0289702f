"""In: nothing. Out: how fast an NVIDIA GPU turns chips into vectors, and what share of it that is.

Stops at speed: what the vectors are worth, `tocsin evaluate` measures. Weights are made by a recipe, nothing is
downloaded. TensorRT where it runs, torch.compile and eager torch take turns in one run, in the same half precision.

    python -m benchmarks.gpu [--json] [--rounds N]
"""

import argparse
import statistics
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.report import emit
from encoders.runtimes import nvidia
from schemas.logs import configure

if TYPE_CHECKING:
    from benchmarks.gpu_work import GpuEngine, Subject, Turn

VARIANTS = ("closp-rn", "closp-vs")
"""A ResNet-50 at 120 px, and a ViT-S that computes at 224 px what it is given at 120."""

ROUND_S = 0.5
"""A measurement lasts at least so long."""

WHOLE_PATH_FLOOR = 0.60
"""Least share of the engine's own rate, from a tile in memory to vectors in memory."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each figure")
    rounds = parser.parse_args().rounds
    reason = nvidia.no_gpu()
    if reason is not None:
        raise SystemExit(f"nothing to measure: {reason}")
    configure("info", "benchmarks")
    for variant in VARIANTS:
        with TemporaryDirectory(prefix="tocsin-gpu-") as folder:
            measure(variant, Path(folder), rounds)


def measure(variant: str, folder: Path, rounds: int) -> None:
    """All figures of one model."""
    from benchmarks import gpu_work as work  # noqa: PLC0415 - needs torch, which `main` has asked for

    subject = work.subject(variant, folder)
    with ExitStack() as stack:
        engines = opened(subject, stack)
        turns = {"gemm": work.gemm(subject), "eager": work.eager(subject)}
        turns |= {name: work.on_device(engine, subject) for name, engine in engines.items()}
        if engines:
            turns["whole path"] = work.whole_path(next(iter(engines.values())))
        report(subject, take_turns(turns, rounds), tuple(engines))


def opened(subject: "Subject", stack: ExitStack) -> dict[str, "GpuEngine"]:
    """Engines that run here, the fastest kind first; how long each took to serve, and how exact it is, is printed."""
    from benchmarks import gpu_work as work  # noqa: PLC0415 - as in `measure`
    from encoders.runtime import EngineRefused  # noqa: PLC0415
    from encoders.runtimes.tensorrt import TensorRtEngine  # noqa: PLC0415

    engines: dict[str, GpuEngine] = {}
    for name, maker in work.MAKERS.items():
        figure, started = f"{subject.figure}_{name}", time.perf_counter()
        try:
            engine = stack.enter_context(maker(subject))
            emit(f"{figure}_build_to_serving_s", time.perf_counter() - started, "s")
            if isinstance(engine, TensorRtEngine):
                started = time.perf_counter()
                engine.refit(subject.onnx, subject.model)
                emit(f"{figure}_refit_to_serving_s", time.perf_counter() - started, "s")
            emit(f"{figure}_disagreement", work.disagreement_of(engine, subject), "1", peer="torch, fp32")
            engines[name] = engine
        except EngineRefused as refusal:
            print(f"{figure}: {refusal}", file=sys.stderr, flush=True)
    return engines


def take_turns(turns: Mapping[str, "Turn"], rounds: int) -> dict[str, float]:
    """Median rate of each work per second, over rounds in which all take turns, after one that nobody counts."""
    measured = [{name: rate(turn) for name, turn in turns.items()} for _ in range(rounds + 1)][1:]
    return {name: statistics.median(each[name] for each in measured) for name in turns}


def rate(turn: "Turn") -> float:
    """How much of it is done a second, from an idle GPU to an idle GPU."""
    from encoders.runtimes import cuda  # noqa: PLC0415 - as in `measure`

    cuda.synchronize()
    started, repeats = time.perf_counter(), 0
    while repeats == 0 or time.perf_counter() - started < ROUND_S:
        turn.work()
        cuda.synchronize()
        repeats += 1
    return repeats * turn.count / (time.perf_counter() - started)


def report(subject: "Subject", rates: Mapping[str, float], engines: tuple[str, ...]) -> None:
    """Print the rates of one model."""
    gemm = rates["gemm"]
    peak = f"{subject.precision} matrix product, {gemm / 1e12:.0f} TFLOP/s, {nvidia.gpu().name}"
    for name in ("eager", *engines):
        figure, speedup = f"{subject.figure}_{name}", rates[name] / rates["eager"]
        emit(f"{figure}_chips_per_s", rates[name], "chips/s", peer="torch eager", ratio=speedup)
        share = rates[name] * subject.flops / gemm
        emit(f"{figure}_share_of_gemm", share, "1", peer=peak, ratio=share)
    if engines:
        share = rates["whole path"] / rates[engines[0]]
        emit(
            f"{subject.figure}_whole_path_over_engine", share, "1", peer=engines[0], ratio=share, floor=WHOLE_PATH_FLOOR
        )


if __name__ == "__main__":
    main()
