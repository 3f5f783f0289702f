"""Every test here needs an NVIDIA GPU: pytest -m gpu."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def gpu() -> None:
    """Skip without one."""
    from encoders.runtimes import nvidia

    reason = nvidia.no_gpu()
    if reason is not None:
        pytest.skip(f"needs an NVIDIA GPU: {reason}")


@pytest.fixture(scope="session")
def closp(tmp_path_factory: pytest.TempPathFactory):
    """CLOSP-RN's S2 tower by recipe: `benchmarks.gpu_work.Subject`."""
    from benchmarks.gpu_work import subject

    return subject("closp-rn", tmp_path_factory.mktemp("closp"))
