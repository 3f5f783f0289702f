"""Folders that several notifiers write and anybody reads.

Flows in: whole files. Flows out: files that a reader sees complete or not at all, also after a power cut. Stops before
what is in them.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from schemas.errors import DeliveryFailed

LOCK = ".lock"
_LOOK_AGAIN_S = 0.02


def write_file(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees all of it or nothing, also after a power cut.

    Raises:
        DeliveryFailed: the disk does not take it.
    """
    part_name: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part", delete=False) as part:
            part_name = part.name
            part.write(content)
            part.flush()
            os.fsync(part.fileno())
        Path(part_name).chmod(0o644)
        Path(part_name).replace(path)
        _keep_name(path.parent)
    except OSError as error:
        if part_name is not None:
            Path(part_name).unlink(missing_ok=True)
        raise DeliveryFailed(f"file {path} cannot be written: {error.strerror}") from error


@contextmanager
def locked(folder: Path, timeout_s: float) -> Iterator[None]:
    """Hold a folder alone: whoever reads a file, changes it and writes it back needs this round all three.

    The lock is the operating system's, on a file of the folder: it ends with its process.

    Args:
        folder: Made where it is missing.
        timeout_s: How long to wait for another notifier, seconds.

    Raises:
        DeliveryFailed: somebody else holds it, or the folder does not take files.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise DeliveryFailed(f"folder {folder} cannot be written: {error.strerror}") from error
    try:
        _wait(handle, folder, timeout_s)
        yield
    finally:
        os.close(handle)  # the lock goes with it


def _wait(handle: int, folder: Path, timeout_s: float) -> None:
    until = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() >= until:
                raise DeliveryFailed(f"folder {folder} was in another notifier's hands for {timeout_s:g} s") from error
            time.sleep(_LOOK_AGAIN_S)
        except OSError as error:
            raise DeliveryFailed(f"folder {folder} cannot be locked: {error.strerror}") from error


def _keep_name(folder: Path) -> None:
    """A renamed file outlives a power cut only when its folder is on the disk too."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
