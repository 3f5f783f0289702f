"""An acquisition's files, brought here whole before they are decoded.

In: hrefs of an acquisition, the hosts that its source allows. Out: files in a scratch folder that is gone when the
scene is done. Stops before looking into them.

Whole files, not ranges: every cell of a scene is encoded, so every block is needed once. GDAL's own network layer
follows redirects wherever they lead and remembers failed reads; here each hop is checked, each answer is told apart,
and GDAL opens local files only.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import httpx

from encoders.buckets import bucket_url
from encoders.settings import EncoderSettings
from encoders.signing import RETRYABLE_STATUS, Signer
from schemas.errors import AssetUnavailable, UnreadableAsset
from schemas.hosts import host_allowed
from schemas.messages import Acquisition

MAX_REDIRECTS = 3
"""Hops of one href; each must stay on allowed hosts."""
CHUNK_BYTES = 1 << 20
"""Read from the network at a time."""
PARTIAL = 206
"""Answer to a request for a range, by hosts that know ranges."""
PREFIX = "tocsin-scene"
"""Start of the name of a scratch folder; host and process that made it follow."""


@dataclass(frozen=True, slots=True)
class Version:
    """What tells one state of a remote file from another."""

    etag: str | None
    modified: str | None
    length: int | None

    @classmethod
    def of(cls, answer: httpx.Response) -> Version:
        """From the headers of an answer."""
        length = answer.headers.get("content-length", "")
        return cls(answer.headers.get("etag"), answer.headers.get("last-modified"), int(length) if length else None)

    def same_state(self, other: Version) -> bool:
        """Whether two answers, of which either may be a part, are of the same file."""
        return (self.etag, self.modified) == (other.etag, other.modified)


@dataclass(frozen=True, slots=True)
class Fetched:
    """One asset's file.

    Attributes:
        band: Name of the asset in the acquisition, for example `B02` or `SCL`.
        label: Item, asset and unsigned href, for messages.
        path: Where it lies.
        version: Which state of it this is.
    """

    band: str
    label: str
    path: Path
    version: Version


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of an asset's file.

    Attributes:
        content: Them; fewer than asked for where the file ends.
        total: Length of the whole file.
        version: Which state of it this is; its length is the piece's.
    """

    content: bytes
    total: int
    version: Version


class Fetcher:
    """Fetches files over HTTP; one for the life of a service, safe to share between threads."""

    def __init__(self, settings: EncoderSettings) -> None:
        self._settings = settings
        self._client = httpx.Client(timeout=settings.timeout_s, headers={"Accept-Encoding": "identity"})
        self._signer = Signer(self._client)

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    @contextmanager
    def scene(self, acquisition: Acquisition, bands: list[str]) -> Iterator[dict[str, Fetched]]:
        """The files of some of an acquisition's assets, by band, until the block ends.

        Raises:
            UnreadableAsset: missing, too large, or on a host that the source may not use.
            AssetUnavailable: a host is down, slow, or answers 429 or 5xx.
        """
        with self.folder() as folder:
            yield self._fetch_all(acquisition, bands, folder)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A scratch folder, gone when the block ends."""
        scratch = self._settings.scratch
        if scratch is not None:
            scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{_own_prefix()}{os.getpid()}-", dir=scratch) as folder:
            yield Path(folder)

    def is_unchanged(self, acquisition: Acquisition, fetched: Fetched) -> bool:
        """Whether the host still has what was fetched: then another try cannot help.

        Raises:
            UnreadableAsset, AssetUnavailable: as `scene`.
        """
        with self._answer(acquisition, fetched.band) as answer:
            return Version.of(answer) == fetched.version

    def _fetch_all(self, acquisition: Acquisition, bands: list[str], folder: Path) -> dict[str, Fetched]:
        with ThreadPoolExecutor(self._settings.threads, thread_name_prefix="fetch") as pool:
            jobs = [pool.submit(self.fetch, acquisition, band, folder / f"{band}.tif") for band in bands]
            try:
                return {band: job.result() for band, job in zip(bands, jobs, strict=True)}
            finally:  # after one failure the others need not start
                pool.shutdown(wait=False, cancel_futures=True)

    def fetch(self, acquisition: Acquisition, band: str, path: Path, until: float | None = None) -> Fetched:
        """One asset's file; errors as `scene`.

        Args:
            acquisition: Whose.
            band: Which of its assets.
            path: Where it shall lie.
            until: Monotonic time by which it must be complete; none: `deadline_s` from now.
        """
        label = describe(acquisition, band)
        with self._answer(acquisition, band) as answer:
            version = Version.of(answer)
            if (version.length or 0) > self._settings.max_asset_bytes:
                raise UnreadableAsset(f"{label}: {version.length} bytes, more than {self._settings.max_asset_bytes}")
            with _network(label), path.open("wb") as file:
                self._copy(answer, file.write, label, until)
        return Fetched(band, label, path, version)

    def piece(self, acquisition: Acquisition, band: str, start: int, stop: int, until: float) -> Piece | None:
        """Bytes `start` to `stop` of an asset's file; none where its host does not answer ranges. Errors as `scene`.

        Args:
            acquisition: Whose.
            band: Which of its assets.
            start: First byte.
            stop: The byte after the last.
            until: Monotonic time by which they must be here.
        """
        label = describe(acquisition, band)
        with self._answer(acquisition, band, {"Range": f"bytes={start}-{stop - 1}"}) as answer:
            total = answer.headers.get("content-range", "").rpartition("/")[2]
            if answer.status_code != PARTIAL or not total.isdecimal():
                return None
            if int(total) > self._settings.max_asset_bytes:
                raise UnreadableAsset(f"{label}: {total} bytes, more than {self._settings.max_asset_bytes}")
            content = bytearray()
            with _network(label):
                for chunk in answer.iter_bytes(CHUNK_BYTES):
                    content += chunk
                    if time.monotonic() > until:
                        raise AssetUnavailable(f"{label}: time is up")
                    if len(content) > stop - start:
                        raise UnreadableAsset(f"{label}: more bytes than asked for")
            return Piece(bytes(content), int(total), Version.of(answer))

    def _copy(self, answer: httpx.Response, write: Callable[[bytes], int], label: str, until: float | None) -> None:
        until = time.monotonic() + self._settings.deadline_s if until is None else until
        size = 0
        for chunk in answer.iter_bytes(CHUNK_BYTES):
            size += len(chunk)
            if size > self._settings.max_asset_bytes:
                raise UnreadableAsset(f"{label}: more than {self._settings.max_asset_bytes} bytes")
            if time.monotonic() > until:
                raise AssetUnavailable(f"{label}: not complete after {self._settings.deadline_s:.0f} s")
            write(chunk)

    @contextmanager
    def _answer(
        self, acquisition: Acquisition, band: str, headers: dict[str, str] | None = None
    ) -> Iterator[httpx.Response]:
        """The 200 answer for an asset, 206 where a range is asked for; a token that storage refuses is renewed once."""
        href, signing_url = acquisition.assets[band].href, acquisition.signing_url
        label = describe(acquisition, band)
        _check_host(href, acquisition.allowed_hosts, label)
        for last in (signing_url is None, True):
            url = self._url(href, signing_url)
            with _network(label):
                answer = self._follow(url, acquisition.allowed_hosts, label, headers)
            try:
                if answer.status_code in (401, 403) and signing_url and not last:
                    self._signer.forget(href, signing_url)
                    continue
                if not (headers and answer.status_code == PARTIAL):
                    _check_status(answer.status_code, label)
                yield answer
                return
            finally:
                answer.close()

    def _url(self, href: str, signing_url: str | None) -> str:
        if href.startswith("s3://"):
            return bucket_url(href, self._settings)
        return self._signer.sign(href, signing_url) if signing_url else href

    def _follow(
        self, url: str, allowed_hosts: tuple[str, ...], label: str, headers: dict[str, str] | None
    ) -> httpx.Response:
        """The first answer that is no redirect, its body still to be read."""
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._client.send(self._client.build_request("GET", url, headers=headers), stream=True)
            if not answer.has_redirect_location:
                return answer
            answer.close()
            url = urljoin(url, answer.headers["location"])
            _check_host(url, allowed_hosts, label)
        raise UnreadableAsset(f"{label}: more than {MAX_REDIRECTS} redirects")


def sweep_scratch(settings: EncoderSettings) -> int:
    """Remove what processes of this host left behind when they were killed.

    Returns:
        How many folders.
    """
    if settings.scratch is None or not settings.scratch.is_dir():
        return 0
    removed = 0
    for folder in settings.scratch.glob(f"{_own_prefix()}*"):
        pid = folder.name.removeprefix(_own_prefix()).partition("-")[0]
        if pid.isdecimal() and not _lives(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    return removed


def _own_prefix() -> str:
    """Hosts may share a folder and number their processes alike."""
    return f"{PREFIX}-{platform.node()}-"


def _lives(pid: int) -> bool:
    """Whether another process has this number; our own number on a folder from before us is a namesake's."""
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def describe(acquisition: Acquisition, band: str) -> str:
    """Item, asset and href, as they stand in messages."""
    return f"item {acquisition.item_id}: asset {band} ({acquisition.assets[band].href})"


@contextmanager
def _network(label: str) -> Iterator[None]:
    try:
        yield
    except httpx.InvalidURL as error:
        raise UnreadableAsset(f"{label}: not a URL: {error}") from error
    except httpx.TransportError as error:
        raise AssetUnavailable(f"{label}: {type(error).__name__}: {error}") from error
    except httpx.DecodingError as error:
        raise UnreadableAsset(f"{label}: the body is not what its headers say: {error}") from error


def _check_host(href: str, allowed_hosts: tuple[str, ...], label: str) -> None:
    if not host_allowed(href, allowed_hosts):
        shown = httpx.URL(href).copy_with(query=None) if href.startswith("http") else href
        raise UnreadableAsset(f"{label}: leads to {shown}, which is not among the source's hosts {allowed_hosts}")


def _check_status(status: int, label: str) -> None:
    if status in RETRYABLE_STATUS:
        raise AssetUnavailable(f"{label}: HTTP {status}, try again later")
    if status != 200:
        raise UnreadableAsset(f"{label}: HTTP {status}")
