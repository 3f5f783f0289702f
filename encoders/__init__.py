"""In: chips and sentences. Out: unit vectors of one space.

`load` opens a release; importing this package costs nothing, because the runtimes come with the release.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from encoders.interface import Encoder
    from encoders.runtime import Backend

__all__ = ["load"]


def load(release: str | Path, *, threads: int | None = None, backend: "Backend" = "auto") -> "Encoder":
    """Open an encoder release; see `encoders.release.load` for arguments and errors.

    Args:
        release: ``"nano"``, ``"closp-rn"``, ``"closp-vs"``, ``"closp-vl"``, ``"geoclosp-rn"``, or a path.
        threads: threads for one batch; ``None``: all cores that this process may use.
        backend: ``"auto"``, ``"onnxruntime"`` or ``"torch"``, for the CLOSP releases.
    """
    from encoders.release import load as open_release  # noqa: PLC0415 - importing encoders must stay free

    return open_release(release, threads=threads, backend=backend)
