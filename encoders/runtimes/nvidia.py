"""In: the name of an NVIDIA backend. Out: its library, the GPU here, or the reason why it cannot run here.

Stops at looking: nothing is allocated, and torch is imported only where it is installed.
"""

import ctypes
import re
import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Literal

NvidiaBackend = Literal["tensorrt", "tensorrt-rtx", "torch-cuda"]
"""Backends that run on NVIDIA GPUs."""

MODULES: dict[NvidiaBackend, tuple[str, ...]] = {
    "tensorrt": ("tensorrt", "tensorrt_bindings"),
    "tensorrt-rtx": ("tensorrt_rtx", "tensorrt_rtx_bindings"),
    "torch-cuda": ("triton",),
}
"""What each needs beside torch; one of them is enough. The bindings work without the package that renames them."""

INSTALL: dict[NvidiaBackend, str] = {
    "tensorrt": "pip install 'tocsin[torch,tensorrt]'",
    "tensorrt-rtx": "pip install 'tocsin[torch,tensorrt-rtx]'",
    "torch-cuda": "install torch for CUDA, which brings triton",
}


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU.

    Attributes:
        name: as its driver says it, for example ``"NVIDIA H100 80GB HBM3"``.
        sm: compute capability times ten, for example 90.
    """

    name: str
    sm: int

    @property
    def slug(self) -> str:
        """For file names: ``"nvidia-h100-80gb-hbm3-sm90"``."""
        return f"{re.sub(r'[^a-z0-9]+', '-', self.name.lower()).strip('-')}-sm{self.sm}"


def unavailable(backend: NvidiaBackend) -> str | None:
    """Why a backend cannot run here; ``None`` where it can."""
    if not is_installed(backend):
        return f"{backend} is not installed (no module {MODULES[backend][0]}): {INSTALL[backend]}"
    return no_gpu() or _without_library(backend) or _unserved(backend)


def no_gpu() -> str | None:
    """Why there is no GPU to run anything on; ``None`` where there is one."""
    if find_spec("torch") is None:
        return "torch is not installed: pip install 'tocsin[torch]'"
    if not has_driver():
        return "no NVIDIA driver is installed"
    import torch  # noqa: PLC0415 - as in `gpu`

    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]  # torch has no types for it
    except (AssertionError, RuntimeError) as error:
        return f"no GPU that torch {torch.__version__} can use: {str(error).splitlines()[0]}"
    return None


def is_installed(backend: NvidiaBackend) -> bool:
    """Whether the backend's library could be imported; it may still lack what it links to."""
    return any(find_spec(name) is not None for name in MODULES[backend])


def has_driver() -> bool:
    """Whether NVIDIA's driver can be loaded; asked before libraries that take seconds."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def bindings(backend: NvidiaBackend) -> ModuleType:
    """The backend's library.

    Raises:
        ImportError: it is not installed, or what it links to is not.
    """
    found = [name for name in MODULES[backend] if find_spec(name) is not None]
    if not found:
        raise ImportError(f"no module {MODULES[backend][0]}")
    return import_module(found[0])


def gpu() -> Gpu:
    """The GPU that is used: the first that CUDA shows."""
    import torch  # noqa: PLC0415 - takes seconds, and machines without a GPU may do without

    major, minor = torch.cuda.get_device_capability(0)
    return Gpu(torch.cuda.get_device_name(0), major * 10 + minor)


def targets(library: ModuleType) -> tuple[int, ...]:
    """Compute capabilities, times ten, that a library can be told to build for; none where its API has no such word."""
    capabilities = getattr(library, "ComputeCapability", None)
    names = capabilities.__members__ if capabilities is not None else ()
    return tuple(sorted(int(name.removeprefix("SM")) for name in names if name.startswith("SM")))


def _without_library(backend: NvidiaBackend) -> str | None:
    try:
        bindings(backend)
    except (ImportError, OSError) as error:
        return f"{backend} is not installed ({error}): {INSTALL[backend]}"
    return None


def _unserved(backend: NvidiaBackend) -> str | None:
    """Whether the library names the architectures that it compiles for, and the GPU here is not among them."""
    module = bindings(backend)
    served, here = targets(module), gpu()
    if not served or here.sm in served:
        return None
    named = ", ".join(str(each) for each in served)
    return f"{backend} {module.__version__} serves SM {named}, not SM {here.sm} ({here.name}): use another backend"
