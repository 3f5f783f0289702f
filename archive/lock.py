"""One owner per archive folder.

Flows in: a folder. Flows out: a lock that ends with its process, however it ends. Stops before the engine, whose
own lock refuses a second opener too late: it has then already damaged the live shard (qdrant-edge-py 0.9.0).
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from schemas.errors import StoreUnavailable

LOCK_FILE = "owner.lock"


class FolderLock:
    """Holds `owner.lock` in a folder until released, or until the process ends.

    Raises:
        StoreUnavailable: another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._file, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise StoreUnavailable(f"the archive in {folder} is in use by process {owner}: stop that first") from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the next owner in."""
        os.close(self._file)


def is_owned(folder: Path) -> bool:
    """Whether some process holds the lock of a folder now."""
    try:
        FolderLock(folder).release()
    except StoreUnavailable:
        return True
    return False
