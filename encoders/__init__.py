"""In: chips and sentences. Out: unit vectors of one space.

`load` opens a release, `load_for` the one that a stack is set to; importing this package costs nothing, because the
runtimes come with the release.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from encoders.interface import Encoder
    from schemas.backends import Backend, Precision
    from schemas.settings import Stack

__all__ = ["load", "load_for"]


def load(
    release: str | Path,
    *,
    threads: int | None = None,
    backend: "Backend" = "auto",
    precision: "Precision" = "auto",
) -> "Encoder":
    """Open an encoder release; see `encoders.release.load` for arguments and errors.

    Args:
        release: ``"nano"``, ``"closp-rn"``, ``"closp-vs"``, ``"closp-vl"``, ``"geoclosp-rn"``, or a path.
        threads: threads for one batch; ``None``: all cores that this process may use.
        backend: what runs a CLOSP release: ``"auto"``, or a name of `schemas.backends.BackendName`.
        precision: what a CLOSP release computes in: ``"auto"``, or a name of `schemas.backends.Arithmetic`.
    """
    from encoders.release import load as open_release  # noqa: PLC0415 - importing encoders must stay free

    return open_release(release, threads=threads, backend=backend, precision=precision)


def load_for(stack: "Stack") -> "Encoder":
    """Open the release that a stack is set to; all its services must agree on it. Errors: as `load`."""
    return load(stack.encoder, backend=stack.encoder_backend, precision=stack.encoder_precision)
