"""Why an NVIDIA backend cannot run here, in one line that says what to do."""

import re
from types import ModuleType, SimpleNamespace

import pytest

pytest.importorskip("torch", reason="needs the [torch] extra")

import torch

from encoders.runtimes import nvidia

CAPABILITIES = SimpleNamespace(__members__=dict.fromkeys(("NONE", "CURRENT", "SM120", "SM75", "SM86")))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Every library is installed, and the GPU is an H100."""
    rtx, other = SimpleNamespace(__version__="1.7.1.116", ComputeCapability=CAPABILITIES), SimpleNamespace()
    monkeypatch.setattr(nvidia, "bindings", lambda backend: rtx if backend == "tensorrt-rtx" else other)
    monkeypatch.setattr(nvidia, "gpu", lambda: nvidia.Gpu("NVIDIA H100 80GB HBM3", 90))
    monkeypatch.setattr(nvidia, "is_installed", lambda _backend: True)
    monkeypatch.setattr(nvidia, "has_driver", lambda: True)
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    return rtx


@pytest.mark.parametrize(
    ("backend", "advice"),
    [
        ("tensorrt", r"pip install 'tocsin\[torch,tensorrt\]'"),
        ("tensorrt-rtx", r"pip install 'tocsin\[torch,tensorrt-rtx\]'"),
        ("torch-cuda", "install torch for CUDA"),
    ],
)
def test_library_is_absent(monkeypatch: pytest.MonkeyPatch, backend: str, advice: str) -> None:
    monkeypatch.setitem(nvidia.MODULES, backend, ("no_such_module_here",))
    with pytest.raises(ImportError, match="no module no_such_module_here"):
        nvidia.bindings(backend)
    reason = nvidia.unavailable(backend)
    assert reason is not None and reason.startswith(f"{backend} is not installed (no module")
    assert re.search(advice, reason)


@pytest.mark.usefixtures("installed")
def test_library_that_cannot_find_what_it_links_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_backend: str) -> ModuleType:
        raise OSError("libtensorrt_rtx.so.1: cannot open shared object file")

    monkeypatch.setattr(nvidia, "bindings", broken)
    assert "cannot open shared object file" in str(nvidia.unavailable("tensorrt-rtx"))


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    "error",
    [AssertionError("Torch not compiled with CUDA enabled"), RuntimeError("Found no NVIDIA driver on your system.\nX")],
)
def test_no_driver(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(torch.cuda, "init", fail)
    reason = nvidia.unavailable("tensorrt")
    assert reason == f"no GPU that torch {torch.__version__} can use: {str(error).splitlines()[0]}"


@pytest.mark.usefixtures("installed")
def test_without_a_driver_nothing_heavy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia, "has_driver", lambda: False)
    monkeypatch.setattr(nvidia, "bindings", lambda _backend: pytest.fail("imported"))
    assert nvidia.unavailable("tensorrt") == "no NVIDIA driver is installed"


@pytest.mark.usefixtures("installed")
def test_torch_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia, "find_spec", lambda _name: None)
    assert nvidia.unavailable("torch-cuda") == "torch is not installed: pip install 'tocsin[torch]'"


@pytest.mark.usefixtures("installed")
def test_rtx_does_not_serve_a_data_centre_gpu() -> None:
    assert nvidia.unavailable("tensorrt-rtx") == (
        "tensorrt-rtx 1.7.1.116 serves SM 75, 86, 120, not SM 90 (NVIDIA H100 80GB HBM3): use another backend"
    )


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("backend", ["tensorrt", "torch-cuda"])
def test_the_others_do(backend: str) -> None:
    assert nvidia.unavailable(backend) is None


def test_targets_are_what_the_api_has(installed: SimpleNamespace) -> None:
    assert nvidia.targets(installed) == (75, 86, 120)
    assert nvidia.targets(SimpleNamespace()) == ()


def test_name_of_a_gpu_in_files() -> None:
    assert nvidia.Gpu("NVIDIA H100 80GB HBM3", 90).slug == "nvidia-h100-80gb-hbm3-sm90"
