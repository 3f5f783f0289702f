"""Signed hrefs of catalogues whose storage asks for a token (Planetary Computer).

In: an unsigned href and the catalogue's signing endpoint. Out: the href with a token, asked for once per container
and kept until shortly before it expires. Stops before fetching.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit, urlunsplit

import httpx
from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from schemas.errors import AssetUnavailable, UnreadableAsset

RENEW_BEFORE = timedelta(minutes=5)
"""A token is renewed this long before its end: the largest file must still come through."""
RETRYABLE_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504, 507, 509, 522, 524})
"""Answers after which the same request may work later."""


class _Signed(BaseModel):
    """Answer of the endpoint. Source: planetarycomputer.microsoft.com/docs/concepts/sas."""

    href: str
    expiry: AwareDatetime = Field(alias="msft:expiry")


@dataclass(frozen=True, slots=True)
class _Token:
    query: str
    expires_at: datetime


class Signer:
    """Signs hrefs; safe to share between threads."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._tokens: dict[tuple[str, str, str], _Token] = {}
        self._lock = threading.Lock()

    def sign(self, href: str, signing_url: str) -> str:
        """The href with a valid token.

        Args:
            href: Absolute, unsigned.
            signing_url: Endpoint that takes `?href=` and answers `{"href", "msft:expiry"}`.

        Raises:
            AssetUnavailable: the endpoint is down, slow, or refuses for the moment.
            UnreadableAsset: it will not sign this href, or answers something else.
        """
        key = _container(href, signing_url)
        with self._lock:  # threads of one scene want the same token: let one ask
            token = self._tokens.get(key)
            if token is None or token.expires_at - RENEW_BEFORE <= datetime.now(UTC):
                token = self._tokens[key] = self._ask(href, signing_url)
        return urlunsplit(urlsplit(href)._replace(query=token.query))

    def forget(self, href: str, signing_url: str) -> None:
        """Drop the token of an href's container: storage has just refused it."""
        with self._lock:
            self._tokens.pop(_container(href, signing_url), None)

    def _ask(self, href: str, signing_url: str) -> _Token:
        try:
            answer = self._client.get(signing_url, params={"href": href})
        except httpx.TransportError as error:
            raise AssetUnavailable(f"signing endpoint {signing_url} does not answer: {error!r}") from error
        if answer.status_code in RETRYABLE_STATUS:
            raise AssetUnavailable(f"signing endpoint {signing_url}: HTTP {answer.status_code}, try again later")
        if answer.status_code != 200:
            raise UnreadableAsset(f"signing endpoint {signing_url} will not sign {href}: HTTP {answer.status_code}")
        try:
            signed = _Signed.model_validate_json(answer.content)
        except ValidationError as error:
            raise UnreadableAsset(f"signing endpoint {signing_url}: expected href and msft:expiry") from error
        return _Token(urlsplit(signed.href).query, signed.expiry)


def _container(href: str, signing_url: str) -> tuple[str, str, str]:
    """What one token is good for: endpoint, storage account and container."""
    parts = urlsplit(href)
    return (signing_url, parts.netloc, parts.path.split("/")[1] if "/" in parts.path else "")
