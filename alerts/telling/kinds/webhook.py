"""A signed webhook: one HTTP POST for each message.

Flows in: what is told. Flows out: a request with an HMAC of its body. Stops before the wire (`webhook`).

What receivers must know is in docs/webhooks.md.
"""

from __future__ import annotations

import json
import secrets
from typing import ClassVar, Self
from urllib.parse import urlsplit

import httpx
from pydantic import Field

from alerts.telling import webhook
from alerts.telling.addresses import refuse_private
from alerts.telling.geojson import told
from alerts.telling.kinds.kind import MASK, Kind, Telling
from schemas.errors import DeliveryFailed, UsageError

SHORTEST_SECRET = 16
"""Characters: fewer can be guessed."""


class Webhook(Kind):
    """A signed POST.

    Attributes:
        url: https; http only together with `allow_private`.
        secret: Signs the requests.
        old_secret: Signs them too while a new secret takes its place; empty: there is none.
        allow_private: Whether it may lead to a private or loopback address.
    """

    name: ClassVar[str] = "webhook"
    about: ClassVar[str] = "a signed HTTP POST for each message"
    target: ClassVar[str] = "url"
    hidden: ClassVar[frozenset[str]] = frozenset({"old_secret"})

    url: str = ""
    secret: str = Field(default="", repr=False)
    old_secret: str = Field(default="", repr=False)
    allow_private: bool = False

    def checked(self) -> Self:
        """With a secret, made where none is given."""
        _check_url(self.url, self.allow_private)
        return self.model_copy(update={"secret": _checked_secret(self.secret)})

    def shown(self) -> dict[str, object]:
        """Secrets are masked."""
        shown = {"url": self.url, "secret": f"{self.secret[:6]}{MASK}", "allow_private": self.allow_private}
        return shown | ({"old_secret": f"{self.old_secret[:6]}{MASK}"} if self.old_secret else {})

    def stored(self) -> dict[str, object]:
        """As ever, with the old secret only while there is one."""
        return self.model_dump(exclude=set() if self.old_secret else {"old_secret"})

    def rotated(self, secret: str) -> Self:
        """The same with a new secret, made where none is given; the present one signs beside it.

        Raises:
            UsageError: a change is under way already, or the secret is too short.
        """
        if self.old_secret:
            raise UsageError("a change of its secret is under way: finish that one first (--finish)")
        return self.model_copy(update={"secret": _checked_secret(secret), "old_secret": self.secret})

    def finished(self) -> Self:
        """The same without its old secret.

        Raises:
            UsageError: no change is under way.
        """
        if not self.old_secret:
            raise UsageError("no change of its secret is under way: begin one without --finish")
        return self.model_copy(update={"old_secret": ""})

    def undone(self) -> Self:
        """The same with its old secret alone.

        Raises:
            UsageError: no change is under way.
        """
        if not self.old_secret:
            raise UsageError("no change of its secret is under way: there is nothing to undo")
        return self.model_copy(update={"secret": self.old_secret, "old_secret": ""})

    def tell(self, telling: Telling) -> None:
        """Post it."""
        both = [secret for secret in (self.secret, self.old_secret) if secret]
        webhook.post(
            self.url, both, body(telling), telling.key, telling.settings.timeout_s, allow_private=self.allow_private
        )


def body(telling: Telling) -> bytes:
    """What is posted: the message as a GeoJSON Feature, the same bytes in every attempt."""
    return json.dumps(told(telling), separators=(",", ":"), sort_keys=True).encode()


def _check_url(url: str, allow_private: bool) -> None:
    try:
        parts = urlsplit(url)
        httpx.URL(url)  # what will be asked for it is stricter
    except (ValueError, httpx.InvalidURL) as error:
        raise UsageError(f"webhook address {url!r}: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise UsageError(f"webhook address {url!r}: give https://HOST/PATH, without user name")
    if parts.scheme == "http" and not allow_private:
        raise UsageError(f"webhook address {url!r} is not encrypted: use https, or allow a private address for it")
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        refuse_private(parts.hostname, port, allow_private=allow_private, unknown_is_fine=True)
    except (ValueError, DeliveryFailed) as error:
        raise UsageError(f"webhook address {url!r}: {error}") from error


def _checked_secret(secret: str) -> str:
    if secret and len(secret) < SHORTEST_SECRET:
        raise UsageError(f"the webhook's secret has {len(secret)} characters: at least {SHORTEST_SECRET} are needed")
    return secret or f"whsec_{secrets.token_urlsafe(32)}"
