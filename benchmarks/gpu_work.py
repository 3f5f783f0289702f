"""In: a model by recipe. Out: the engines and the pieces of work that `benchmarks.gpu` times.

Stops before the clock.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import recipe
from encoders.arrays import empty
from encoders.bands import BANDS_S2, present_mask
from encoders.checks import check_pixels
from encoders.closp import layout
from encoders.closp_build import ClospBuilder, assemble
from encoders.closp_pixels import prepare
from encoders.offsets import Calibration
from encoders.rasters import Patch
from encoders.runtime import EngineRefused, Inputs, disagreement
from encoders.runtimes import cuda, nvidia
from encoders.runtimes.engine_files import TensorRtBackend
from encoders.runtimes.onnx_files import read_onnx, stamp_model
from encoders.runtimes.onnx_precision import Floating, safe_half
from encoders.runtimes.reference import TorchEngine
from encoders.runtimes.tensorrt import TensorRtEngine, invalidity
from encoders.runtimes.tensorrt_build import build
from encoders.runtimes.torch_cuda import DTYPES, Halved, TorchCudaEngine
from encoders.unfold import CELL_PX, unfold
from schemas.cells import CELL_M, CHIP_PX, GSD_M

GpuEngine = TensorRtEngine | TorchCudaEngine
"""Engines that take chips which are on the GPU already."""

BATCH = 128
"""Chips of one run: enough to keep a GPU busy, 96 MB."""

CHECKED = 4
"""Chips that are compared with torch on the processor."""

SIDE = 8192
"""Side of the matrices whose product is the yardstick."""

CELLS = 64
"""Cells along a side of the tile in memory: 6420 px at 10 m, 0.5 GB, 4096 chips."""

COARSE = {"B01": 6, "B05": 2, "B06": 2, "B07": 2, "B8A": 2, "B09": 6, "B11": 2, "B12": 2}
"""How many pixels of 10 m a pixel of a band is wide; the others have 10 m. L2A has no B10."""

READ = tuple(name for name in BANDS_S2 if name != "B10")
"""Bands of a tile."""

REFLECTANCE = Calibration(1e-4, -0.1, 0)
"""What their numbers mean, since processing baseline 04.00."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Work on the GPU, and how many chips or floating point operations it does."""

    work: Callable[[], object]
    count: float


@dataclass(frozen=True, slots=True)
class Subject:
    """The S2 tower of a model.

    Attributes:
        model: its name, with which its file is stamped.
        tower: in torch, on the processor.
        onnx: its file.
        chips: float32, (`BATCH`, 13, 120, 120), prepared.
        precision: half precision that its activations allow.
        flops: floating point operations of one chip.
    """

    model: str
    tower: nn.Module
    onnx: Path
    chips: Inputs
    precision: Floating
    flops: float

    @property
    def figure(self) -> str:
        """Start of the names of its figures, for example ``"closp_rn"``."""
        return self.model.removesuffix("-recipe-s2").replace("-", "_")

    @property
    def few(self) -> Inputs:
        """Chips to compare."""
        return {name: each[:CHECKED] for name, each in self.chips.items()}


def subject(variant: str, folder: Path) -> Subject:
    """The S2 tower of a variant by recipe, as torch and as ONNX."""
    builder = ClospBuilder(assemble(variant, recipe.weights(layout(variant))), heads={})
    path, model, tower = folder / f"{variant}-s2.onnx", f"{variant}-recipe-s2", builder.tower("s2").eval()
    builder.export("s2", path, lowered=False)
    stamp_model(path, model)
    drawn = recipe.chips("s2", BATCH)
    chips = {"pixels": prepare(drawn, "s2", check_pixels(drawn, "s2", None))}
    few = {"pixels": chips["pixels"][:CHECKED]}
    return Subject(model, tower, path, chips, safe_half(read_onnx(path), [few]), _flops(tower, few["pixels"][:1]))


@contextmanager
def tensorrt(backend: TensorRtBackend, subject: Subject) -> Iterator[TensorRtEngine]:
    """An engine built for the GPU here.

    Raises:
        EngineRefused: it cannot be built or does not run; the library's own answer is in the message if it has one.
    """
    reason = nvidia.unavailable(backend)
    if reason is not None:
        raise EngineRefused(f"{reason}{_asked(backend, subject)}")
    built = build(
        subject.onnx,
        backend,
        model=subject.model,
        example=subject.chips,
        precision=subject.precision,
        buckets=(BATCH,),
    )
    with closing(TensorRtEngine(built.write(subject.onnx.parent), subject.model)) as engine:
        yield engine


@contextmanager
def torch_cuda(subject: Subject) -> Iterator[TorchCudaEngine]:
    """The tower through torch.compile.

    Raises:
        EngineRefused: torch cannot compile here.
    """
    with closing(TorchCudaEngine(subject.tower, subject.chips, subject.precision, (BATCH,))) as engine:
        yield engine


MAKERS: dict[str, Callable[[Subject], AbstractContextManager[GpuEngine]]] = {
    "tensorrt": partial(tensorrt, "tensorrt"),
    "tensorrt_rtx": partial(tensorrt, "tensorrt-rtx"),
    "torch_cuda": torch_cuda,
}
"""The fastest kind first, by the name of their figures."""


def disagreement_of(engine: GpuEngine, subject: Subject) -> float:
    """How far an engine is from torch in fp32 on the processor."""
    return disagreement(engine.run(subject.few), TorchEngine(subject.tower).run(subject.few))


def on_device(engine: GpuEngine, subject: Subject) -> Turn:
    """An engine alone: chips and vectors stay on the GPU."""
    chips = _chips(subject)
    return Turn(lambda: engine.on_device({"pixels": chips}), BATCH)


def eager(subject: Subject) -> Turn:
    """The tower in eager torch, as one would write it: half precision, channels last."""
    module = Halved(deepcopy(subject.tower), DTYPES[subject.precision]).to(cuda.DEVICE)
    nn.utils.convert_conv2d_weight_memory_format(module, torch.channels_last)
    chips = _chips(subject).contiguous(memory_format=torch.channels_last)
    return Turn(lambda: torch.inference_mode()(module)(chips), BATCH)


def gemm(subject: Subject) -> Turn:
    """The GPU's matrix product in the subject's precision."""
    left = torch.randn(SIDE, SIDE, dtype=DTYPES[subject.precision], device=cuda.DEVICE)
    right, product = torch.randn_like(left), torch.empty_like(left)
    return Turn(lambda: torch.matmul(left, right, out=product), 2.0 * SIDE**3)


def whole_path(engine: GpuEngine) -> Turn:
    """From a tile in memory, each band in its own resolution, to vectors in memory."""
    tile = Tile()
    return Turn(lambda: tile.vectors(engine), CELLS * CELLS)


class Tile:
    """A Sentinel-2 tile in page-locked memory, read in strips of cells; the next is uploaded while one is computed.

    Its north-western corner is at 0, 0.
    """

    def __init__(self) -> None:
        self.rows = max(1, BATCH // CELLS)
        self.bands = {name: self._band(_covered(CELLS, COARSE.get(name, 1))) for name in READ}
        self._upload = cuda.stream()
        self._slots = [self._strip() for _ in range(2)]
        self._uploaded, self._used = ([cuda.event() for _ in range(2)] for _ in range(2))

    def vectors(self, engine: GpuEngine) -> NDArray[np.float32]:
        """float32, (`CELLS`², width), row by row."""
        found = [self._computed(engine, row) for row in range(0, CELLS, self.rows)]
        vectors: NDArray[np.float32] = torch.cat(found).cpu().numpy()
        return vectors

    def _computed(self, engine: GpuEngine, row: int) -> Tensor:
        slot, stream = row // self.rows % 2, cuda.current_stream()
        there = self._slots[slot]
        first = {name: self._first(name, row) for name in there}
        with cuda.on(self._upload):
            self._upload.wait_event(self._used[slot])
            for name, strip in there.items():
                strip.copy_(self.bands[name][first[name] : first[name] + len(strip)], non_blocking=True)
            self._uploaded[slot].record(self._upload)
        stream.wait_event(self._uploaded[slot])
        chips = cells(
            {name: patch(name, strip, first[name]) for name, strip in there.items()}, range(row, row + self.rows)
        )
        self._used[slot].record(stream)
        return engine.on_device({"pixels": chips})

    def _first(self, name: str, row: int) -> int:
        """First pixel row of a band that a row of cells needs, or an earlier one, so that a strip ends in the band."""
        return min(row * CELL_PX // COARSE.get(name, 1), len(self.bands[name]) - len(self._slots[0][name]))

    def _band(self, side: int) -> Tensor:
        band = cuda.host((side, side), torch.uint16)
        return band.copy_(torch.arange(1000, 1000 + side, dtype=torch.int32) + torch.arange(side)[:, None])

    def _strip(self) -> dict[str, Tensor]:
        """A row more than the cells', because pixels of 60 m do not begin where cells do."""
        heights = {
            name: min(_covered(self.rows, COARSE.get(name, 1)) + 1, len(band)) for name, band in self.bands.items()
        }
        return {name: cuda.device((heights[name], len(band)), torch.uint16) for name, band in self.bands.items()}


def patch(name: str, numbers: Tensor, first: int) -> Patch:
    """Rows of a band of the tile, as reading hands them to `encoders.unfold`.

    Args:
        name: of the band.
        numbers: uint16, (height, width).
        first: row of the band that they begin with.
    """
    gsd_m = int(GSD_M) * COARSE.get(name, 1)
    return Patch(numbers, REFLECTANCE, 0.0, -float(first * gsd_m), gsd_m)  # type: ignore[arg-type]  # a tensor's


def cells(bands: Mapping[str, Patch], rows: Iterable[int]) -> Tensor:
    """What the product makes of some rows of cells, all but looking for cloud.

    Args:
        bands: patches that cover them.
        rows: of the tile's cells.

    Returns:
        float32, (n, 13, 120, 120), prepared, row by row.
    """
    corners = [(column * CELL_M, -row * CELL_M) for row in rows for column in range(CELLS)]
    windows = [(west, north - CHIP_PX * GSD_M, west + CHIP_PX * GSD_M, north) for west, north in corners]
    chips = empty((len(windows), len(BANDS_S2), CHIP_PX, CHIP_PX), cuda.DEVICE)
    for name, band in bands.items():
        unfold(band, windows, chips[:, BANDS_S2.index(name)])
    return cast("Tensor", prepare(chips, "s2", present_mask("s2", READ)))


def _covered(cells: int, times: int) -> int:
    """Pixels, each as wide as so many of 10 m, that the chips of cells side by side take."""
    return -(-((cells - 1) * CELL_PX + CHIP_PX) // times)


def _chips(subject: Subject) -> Tensor:
    return torch.from_numpy(subject.chips["pixels"]).to(cuda.DEVICE)


def _flops(tower: nn.Module, chip: NDArray[np.float32]) -> float:
    # The counter knows the products of attention, but not the processor's fused kernel for it.
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        tower(torch.from_numpy(chip))
    return float(counter.get_total_flops())


def _asked(backend: TensorRtBackend, subject: Subject) -> str:
    """What the library itself says of an engine for the GPUs that it names, on the one here; empty without a word."""
    try:
        library = nvidia.bindings(backend)
    except (ImportError, OSError):
        return ""
    targets = nvidia.targets(library)
    if not targets:
        return ""
    built = build(subject.onnx, backend, model=subject.model, example=subject.chips, buckets=(1,), targets=targets[1:])
    return f"; asked about one for {built.description.gpu}, it says: {invalidity(library, built.plan) or 'valid'}"
