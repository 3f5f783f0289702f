"""In: threads. Out: CLOSP-RN's S2 tower on every backend and in every arithmetic that this processor has.

Stops at towers: `benchmarks.encode` times them. Weights by recipe. Vectors of random networks all but agree with each
other, so besides their cosines those of their deviations from the mean vector are compared, which do not.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from numpy.typing import NDArray

from benchmarks import recipe
from encoders.backends import OnnxRuntime, OpenVino
from encoders.cache import engines_folder
from encoders.checks import check_pixels
from encoders.closp import layout
from encoders.closp_build import ClospBuilder, assemble
from encoders.closp_pixels import prepare
from encoders.closp_release import CALIBRATION_CHIPS, GRAPH, head_of
from encoders.engines import Request, Runtime, checked_engine
from encoders.heads import unit
from encoders.interface import Pixels, Vectors
from encoders.runtime import Engine, EngineRefused
from encoders.runtimes.openvino import unavailable
from encoders.runtimes.quantised import neighbours_kept
from schemas.backends import Arithmetic
from simulation.chips import make_chips
from training.feed import read_feed

CHIPS = 32
"""Chips of one measurement."""

COMPARED = 128
"""Chips that vectors are compared on, at most."""

SIDE_PX = 120
"""Side of a chip."""


class Towers:
    """Engines of the recipe's CLOSP-RN.

    Args:
        threads: of each.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        tensors = recipe.weights(layout("closp-rn"))
        self._head = head_of("s2", tensors)
        self._builder = ClospBuilder(assemble("closp-rn", tensors), {"s2": self._head}, threads, _calibration)
        self.reference: Engine = self._builder.reference("s2")
        self.runtime: Runtime = OnnxRuntime() if unavailable() else OpenVino()
        self.pixels = self._prepared(recipe.chips("s2", CHIPS))

    @cached_property
    def engines(self) -> dict[Arithmetic, Engine]:
        """By arithmetic, on the fastest backend; those that this machine lacks are left out and said so."""
        found: dict[Arithmetic, Engine] = {"fp32": self.kept(self.runtime)}
        if isinstance(self.runtime, OpenVino):
            try:
                found["bf16"] = self.kept(self.runtime, "bf16")
            except EngineRefused as refusal:
                print(f"no bf16: {refusal}")
        found["int8"] = self._int8()
        return found

    def kept(self, runtime: Runtime, arithmetic: Arithmetic = "fp32") -> Engine:
        """An engine from the cache, built and checked where it is not there."""
        request = Request("s2", f"recipe-rn-g{GRAPH}", engines_folder(), arithmetic, self._threads)
        return checked_engine(runtime, request, lambda: self._builder)

    def _int8(self) -> Engine:
        """Past the gate, which is not for random networks: how they rank is what noise makes of it."""
        path = Path(mkdtemp(prefix="tocsin-int8-")) / "s2.onnx"
        request = Request("s2", "recipe-rn", path.parent, "int8", self._threads)
        self.runtime.build(self._builder, request, path)
        try:
            return self.runtime.open(path, request)
        finally:
            path.unlink()
            path.parent.rmdir()

    def agreement(self, arithmetic: Arithmetic, feed: Path | None) -> dict[str, float]:
        """Least and mean cosine to fp32, of vectors and of their deviations, and the share of neighbours kept."""
        chips = self._prepared(_simulated("s2", 91) if feed is None else _real(feed))
        found, exact = (self._vectors(self.engines[each], chips) for each in (arithmetic, "fp32"))
        plain = (found * exact).sum(axis=1)
        away, exactly_away = (unit(each - exact.mean(axis=0)) for each in (found, exact))
        return {
            "cosine": float(plain.mean()),
            "least_cosine": float(plain.min()),
            "cosine_of_deviations": float((away * exactly_away).sum(axis=1).mean()),
            "neighbours_kept": neighbours_kept(found, exact),
        }

    def _vectors(self, engine: Engine, pixels: Pixels) -> Vectors:
        parts = [engine.run({"pixels": pixels[start : start + CHIPS]}) for start in range(0, len(pixels), CHIPS)]
        return unit(self._head(np.concatenate(parts)))

    @staticmethod
    def _prepared(chips: Pixels) -> Pixels:
        return prepare(chips, "s2", check_pixels(chips, "s2", None))


def _calibration(sensor: str) -> Pixels:
    return make_chips(CALIBRATION_CHIPS, seed=90, sensor="s1" if sensor == "s1" else "s2").pixels


def _simulated(sensor: str, seed: int) -> Pixels:
    return make_chips(COMPARED, seed=seed, sensor="s1" if sensor == "s1" else "s2").pixels


def _real(feed: Path) -> NDArray[np.float32]:
    """Windows of the feed's Sentinel-2 images, evenly drawn from all of them."""
    windows = [
        chip.pixels[:, row : row + SIDE_PX, column : column + SIDE_PX]
        for chip in read_feed(feed)
        if chip.sensor == "s2" and chip.level == "item"
        for row in range(0, chip.pixels.shape[1] - SIDE_PX + 1, SIDE_PX)
        for column in range(0, chip.pixels.shape[2] - SIDE_PX + 1, SIDE_PX)
    ]
    valid = [each for each in windows if np.isfinite(each).any()]
    return np.stack(valid[:: max(1, len(valid) // COMPARED)][:COMPARED])
