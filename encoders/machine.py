"""In: nothing. Out: what this machine is, as far as speed depends on it, and whether others are using it.

Stops at looking: what is fast on it, `encoders.tuning` measures.
"""

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

RUNTIMES = ("onnxruntime", "openvino", "torch", "tensorrt", "tensorrt-rtx")
"""Packages of which the choice of a runtime, and its speed, depends."""


@cache
def processor() -> str:
    """Model of the processor, for example ``"AMD EPYC"``."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def runtimes() -> str:
    """What is installed of `RUNTIMES`, for example ``"onnxruntime 1.32.0, torch 2.13.0"``."""
    return ", ".join(f"{name} {found}" for name in RUNTIMES if (found := _version(name)))


def busy_cores() -> float:
    """Cores that were busy on average over the last minute, with whatever runs here; 0 where nobody counts."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
