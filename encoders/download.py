"""In: one file of an offer. Out: the same bytes on disk, whole and verified.

Stops at one file. A partial file is kept under the hash it must come to, so that a later call goes on with it and
never with another revision's bytes.
"""

import errno
import hashlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from encoders.hub import Hub, Offer, RemoteFile
from schemas.errors import AssetUnavailable, ReleaseMismatch, SettingsError

Progress = Callable[[str, int, int], None]
"""Called with file name, bytes on disk, bytes in all."""

ATTEMPTS = 5
"""Tries in a row that bring no byte before giving up."""

FIRST_WAIT_S = 1.0
"""Seconds before the second try; doubles with each."""


def fetch(
    hub: Hub,
    offer: Offer,
    file: RemoteFile,
    path: Path,
    progress: Progress,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Bring a file to `path`, or leave what has come so far for the next call.

    Args:
        hub: where from.
        offer: repository and revision.
        file: which file.
        path: where to; replaced at once when the file is whole and verified, never before.
        progress: told of every chunk.
        wait: sleeps between tries.

    Raises:
        AssetUnavailable: the connection broke `ATTEMPTS` times in a row without a byte.
        ReleaseMismatch: the bytes are not those that the hub announced; they are deleted.
        SettingsError: the disk is full or the folder cannot be written.
        ReleaseNotFound: the file is gone.
    """
    part = path.with_name(f"{path.name}.{(file.sha256 or file.git_sha1 or offer.revision)[:12]}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_space(file, part)
        _receive_all(hub, offer, file, part, progress, wait)
        _verify(file, part, offer)
        part.replace(path)
    except OSError as error:
        raise SettingsError(f"cannot write {path}: {_said(error)}") from error


def _receive_all(
    hub: Hub, offer: Offer, file: RemoteFile, part: Path, progress: Progress, wait: Callable[[float], None]
) -> None:
    failures = 0
    while (before := _size(part)) < file.size or not part.exists():
        try:
            _receive(hub, offer, file, part, progress)
            trouble = "the connection ended early"
        except (httpx.HTTPError, AssetUnavailable) as error:
            trouble = str(error) or type(error).__name__
        failures = 0 if _size(part) > before else failures + 1
        if failures == ATTEMPTS:
            have = f"{_size(part):,} of {file.size:,} bytes"
            raise AssetUnavailable(f"{file.name}: {trouble}; {have} are here, run the command again to go on")
        if failures:
            wait(FIRST_WAIT_S * 2 ** (failures - 1))


def _receive(hub: Hub, offer: Offer, file: RemoteFile, part: Path, progress: Progress) -> None:
    """One request: append what it brings, up to the announced size."""
    start = _size(part)
    with hub.open(offer, file.name, start) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)
            return
        resumed = response.status_code == httpx.codes.PARTIAL_CONTENT and _starts_at(response, start)
        here = start if resumed else 0
        with part.open("ab" if resumed else "wb") as sink:
            for chunk in response.iter_raw():  # as it comes: a larger chunk size would drop the tail of a cut
                here += len(chunk)
                if here > file.size:
                    raise ReleaseMismatch(f"{file.name}: the hub sends more than the {file.size:,} bytes it announced")
                sink.write(chunk)
                progress(file.name, here, file.size)


def _starts_at(response: httpx.Response, start: int) -> bool:
    announced: str = response.headers.get("Content-Range", "")
    return announced.startswith(f"bytes {start}-")


def _verify(file: RemoteFile, part: Path, offer: Offer) -> None:
    with part.open("rb") as source:
        if file.sha256 is not None:
            found, wanted = hashlib.file_digest(source, "sha256").hexdigest(), file.sha256
        else:
            found, wanted = _git_sha1(source.read()), file.git_sha1 or ""
    if found != wanted and wanted:
        part.unlink()
        raise ReleaseMismatch(
            f"{offer.repository}/{file.name} has hash {found[:12]}, announced was {wanted[:12]}: deleted; pull again"
        )


def _git_sha1(content: bytes) -> str:
    """Git's name for a blob. Source: git-scm.com, Git Internals - Git Objects."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _check_space(file: RemoteFile, part: Path) -> None:
    needed = file.size - _size(part)
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise SettingsError(
            f"{file.name} needs {needed / 1e6:,.0f} MB more, {part.parent} has {free / 1e6:,.0f} MB: free some space "
            "or set TOCSIN_CACHE to another disk"
        )


def _said(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "the disk is full; free some space or set TOCSIN_CACHE to another disk, then run the command again"
    return error.strerror or str(error)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
