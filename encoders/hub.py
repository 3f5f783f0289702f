"""In: the name of a model repository. Out: what it offers (files, hashes, licence), and the bytes of one file.

Stops before the disk: `encoders.pull` resumes, verifies and installs.

Source: huggingface.co/docs/hub/api, `GET /api/models/{id}?blobs=true` and `/{id}/resolve/{revision}/{file}`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote

import httpx
from pydantic import BaseModel, Field, ValidationError

from schemas.errors import AssetUnavailable, ReleaseMismatch, ReleaseNotFound, SettingsError

ENDPOINT = "https://huggingface.co"
"""The public hub."""

TIMEOUT_S = 30.0
"""Longest silence of the hub, seconds: of one read, not of the whole download."""

RETRYABLE_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which the same request may work later."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a repository.

    Attributes:
        name: path within the repository.
        size: bytes.
        sha256: hex digest, for large files.
        git_sha1: hex digest of the git blob, for small ones.
    """

    name: str
    size: int
    sha256: str | None
    git_sha1: str | None


@dataclass(frozen=True, slots=True)
class Offer:
    """What a repository offers at one revision.

    Attributes:
        repository: ``owner/name``.
        revision: commit hash: what is shown is what is fetched.
        licence: identifier from the model card, ``"not stated"`` where it has none.
        page: address where a person can read licence and terms.
        files: everything in it.
    """

    repository: str
    revision: str
    licence: str
    page: str
    files: tuple[RemoteFile, ...]


class _Lfs(BaseModel):
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size: int = Field(ge=0)


class _Sibling(BaseModel):
    rfilename: str
    size: int | None = Field(default=None, ge=0)
    blobId: str | None = None  # noqa: N815 - the hub's spelling
    lfs: _Lfs | None = None


class _Card(BaseModel):
    license: str | list[str] | None = None
    license_name: str | None = None


class _Model(BaseModel):
    sha: str = Field(pattern="^[0-9a-f]{40,64}$")
    cardData: _Card | None = None  # noqa: N815 - the hub's spelling
    siblings: list[_Sibling] = []


class Hub:
    """A client of one hub.

    Args:
        endpoint: its address.
        token: access token for gated repositories; sent to the hub only, never to where it redirects.
    """

    def __init__(self, endpoint: str = ENDPOINT, token: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._endpoint = endpoint.rstrip("/")
        self._client = httpx.Client(headers=headers, timeout=TIMEOUT_S, follow_redirects=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._client.close()

    def offer(self, repository: str) -> Offer:
        """Look a repository up.

        Raises:
            ReleaseNotFound: the hub knows no such repository.
            SettingsError: it is gated, or the token is wrong.
            AssetUnavailable: the hub does not answer.
            ReleaseMismatch: the answer is not the hub's.
        """
        try:
            response = self._client.get(f"{self._endpoint}/api/models/{quote(repository)}", params={"blobs": "true"})
        except httpx.HTTPError as error:
            raise AssetUnavailable(f"{self._endpoint} does not answer ({error!r}): try again later") from error
        self._check(response, repository, repository)
        try:
            model = _Model.model_validate_json(response.content)
        except ValidationError as error:
            raise ReleaseMismatch(f"{response.url} did not answer as the hub does: {error}") from error
        return self._offer(repository, model)

    @contextmanager
    def open(self, offer: Offer, name: str, start: int) -> Iterator[httpx.Response]:
        """Stream a file from byte `start` on.

        Yields:
            status 206 with the rest of the file, 200 with all of it, or 416 where `start` is past its end.

        Raises:
            ReleaseNotFound, SettingsError, AssetUnavailable: as `offer`.
        """
        url = f"{self._endpoint}/{quote(offer.repository)}/resolve/{offer.revision}/{quote(name)}"
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        with self._client.stream("GET", url, headers=headers) as response:
            if response.status_code != httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                self._check(response, f"{offer.repository}/{name}", offer.repository)
            yield response

    def _offer(self, repository: str, model: _Model) -> Offer:
        card = model.cardData or _Card()
        stated = ", ".join(card.license) if isinstance(card.license, list) else card.license
        return Offer(
            repository=repository,
            revision=model.sha,
            licence=(card.license_name if stated == "other" else stated) or "not stated",
            page=f"{self._endpoint}/{repository}",
            files=tuple(_remote_file(each) for each in model.siblings),
        )

    def _check(self, response: httpx.Response, what: str, repository: str) -> None:
        status = response.status_code
        if status in {401, 403}:
            raise SettingsError(
                f"{what}: the hub answers {status}; it is gated, private or does not exist. Accept its terms at "
                f"{self._endpoint}/{repository} and set HF_TOKEN"
            )
        if status == httpx.codes.NOT_FOUND:
            raise ReleaseNotFound(f"{what}: no such model on {self._endpoint}")
        if status in RETRYABLE_STATUS:
            raise AssetUnavailable(f"{what}: the hub answers {status}; try again later")
        if not response.is_success:
            raise ReleaseMismatch(f"{what}: the hub answers {status}, which we cannot use")


def _remote_file(sibling: _Sibling) -> RemoteFile:
    if sibling.lfs is not None:
        return RemoteFile(sibling.rfilename, sibling.lfs.size, sibling.lfs.sha256, None)
    return RemoteFile(sibling.rfilename, sibling.size or 0, None, sibling.blobId)
