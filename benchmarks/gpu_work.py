"""In: a model by recipe. Out: the engines and the pieces of work that `benchmarks.gpu` times.

Stops before the clock.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import recipe
from encoders.bands import BANDS_S2
from encoders.checks import check_pixels
from encoders.closp import layout
from encoders.closp_build import SAMPLE_PX, ClospBuilder, assemble
from encoders.closp_pixels import prepare
from encoders.runtime import EngineRefused, Inputs, disagreement
from encoders.runtimes import cuda, nvidia
from encoders.runtimes.engine_files import TensorRtBackend
from encoders.runtimes.onnx_files import read_onnx, stamp_model
from encoders.runtimes.onnx_precision import Floating, safe_half
from encoders.runtimes.reference import TorchEngine
from encoders.runtimes.tensorrt import TensorRtEngine, invalidity
from encoders.runtimes.tensorrt_build import build
from encoders.runtimes.torch_cuda import DTYPES, Halved, TorchCudaEngine

GpuEngine = TensorRtEngine | TorchCudaEngine
"""Engines that take chips which are on the GPU already."""

BATCH = 128
"""Chips of one run: enough to keep a GPU busy, 96 MB."""

CHECKED = 4
"""Chips that are compared with torch on the processor."""

SIDE = 8192
"""Side of the matrices whose product is the yardstick."""

CELLS = 64
"""Cells along a side of the tile in memory: 7680 px at 10 m, 0.65 GB, 4096 chips."""

COARSE = {"B01": 6, "B05": 2, "B06": 2, "B07": 2, "B8A": 2, "B09": 6, "B11": 2, "B12": 2}
"""How many pixels of 10 m a pixel of a band is wide; the others have 10 m. L2A has no B10."""

READ = tuple(name for name in BANDS_S2 if name != "B10")
"""Bands of a tile."""


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
    """A Sentinel-2 tile in page-locked memory, read in strips of cells; the next is uploaded while one is computed."""

    def __init__(self) -> None:
        self._rows = max(1, BATCH // CELLS)
        side = CELLS * SAMPLE_PX
        self._bands = {name: self._band(side // COARSE.get(name, 1)) for name in READ}
        self._upload = cuda.stream()
        self._slots = [self._strip() for _ in range(2)]
        self._uploaded, self._used = ([cuda.event() for _ in range(2)] for _ in range(2))

    def vectors(self, engine: GpuEngine) -> NDArray[np.float32]:
        """float32, (`CELLS`², width), row by row."""
        found = [self._computed(engine, strip) for strip in range(CELLS // self._rows)]
        vectors: NDArray[np.float32] = torch.cat(found).cpu().numpy()
        return vectors

    def _computed(self, engine: GpuEngine, strip: int) -> Tensor:
        slot, stream = strip % 2, cuda.current_stream()
        with cuda.on(self._upload):
            self._upload.wait_event(self._used[slot])
            for name, there in self._slots[slot].items():
                there.copy_(self._bands[name][strip * len(there) : (strip + 1) * len(there)], non_blocking=True)
            self._uploaded[slot].record(self._upload)
        stream.wait_event(self._uploaded[slot])
        chips = cells(self._slots[slot])
        self._used[slot].record(stream)
        return engine.on_device({"pixels": chips})

    def _band(self, side: int) -> Tensor:
        band = cuda.host((side, side), torch.int16)
        return band.copy_(torch.arange(side, dtype=torch.int16).expand(side, side))

    def _strip(self) -> dict[str, Tensor]:
        sides = {name: len(band) for name, band in self._bands.items()}
        return {name: cuda.device((side * self._rows // CELLS, side), torch.int16) for name, side in sides.items()}


def cells(strip: dict[str, Tensor]) -> Tensor:
    """Digital numbers of a strip of a tile to the chips in it.

    Args:
        strip: int16, (height, width) at the band's own resolution, by band.

    Returns:
        float32, (n, 13, 120, 120), reflectance, B10 zero, row by row.
    """
    height, width = strip["B02"].shape
    planes = torch.zeros((len(BANDS_S2), height, width), device=strip["B02"].device)
    for name, numbers in strip.items():
        plane = numbers.to(torch.float32).mul_(1e-4)
        if name in COARSE:
            plane = functional.interpolate(plane[None, None], (height, width), mode="bilinear")[0, 0]
        planes[BANDS_S2.index(name)] = plane
    grid = planes.reshape(len(BANDS_S2), height // SAMPLE_PX, SAMPLE_PX, width // SAMPLE_PX, SAMPLE_PX)
    return grid.permute(1, 3, 0, 2, 4).reshape(-1, len(BANDS_S2), SAMPLE_PX, SAMPLE_PX)


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
        library = nvidia.library(backend)
    except (ImportError, OSError):
        return ""
    targets = nvidia.targets(library)
    if not targets:
        return ""
    built = build(subject.onnx, backend, model=subject.model, example=subject.chips, buckets=(1,), targets=targets[1:])
    return f"; asked about one for {built.description.gpu}, it says: {invalidity(library, built.plan) or 'valid'}"
