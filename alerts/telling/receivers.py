"""Who is told: terminal, webhooks, folders of CAP and GeoJSON files.

Flows in: what an operator adds. Flows out: receivers with checked settings, secrets masked where they are shown.
Stops before telling (`notify`). Where nothing is configured, the terminal and two folders are told.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit

from sqlalchemy import Engine, select, update

from alerts.telling.addresses import refuse_private
from schemas.database import reading, transaction
from schemas.errors import DeliveryFailed, NotFound, UsageError
from schemas.messages import DeliveryState
from schemas.tables import DeliveryRow, ReceiverRow

Kind = Literal["terminal", "webhook", "cap", "geojson"]
KINDS: tuple[Kind, ...] = get_args(Kind)
TOGETHER: frozenset[str] = frozenset({"terminal", "email", "chat"})
"""Kinds that are told what a route has gathered in one message (`Due.alerts`, `lines.group_text`)."""
SHORTEST_SECRET = 16
"""Characters: fewer can be guessed."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Receiver:
    """Somebody or something that is told.

    Attributes:
        name: As the operator calls it.
        kind: How it is told.
        url: Of a webhook.
        secret: With which a webhook's requests are signed; never in listings or logs.
        allow_private: Whether the webhook may lead to a private or loopback address.
        folder: Of files.
    """

    name: str
    kind: Kind
    url: str = ""
    secret: str = field(default="", repr=False)
    allow_private: bool = False
    folder: Path = Path()

    def shown(self) -> dict[str, object]:
        """For people: the secret is masked."""
        settings: dict[str, object] = {}
        if self.kind == "webhook":
            settings = {"url": self.url, "secret": f"{self.secret[:6]}…", "allow_private": self.allow_private}
        elif self.kind != "terminal":
            settings = {"folder": str(self.folder)}
        return {"name": self.name, "kind": self.kind, **settings}


def add(
    engine: Engine,
    name: str,
    kind: str,
    *,
    url: str = "",
    secret: str = "",
    folder: str | Path = "",
    allow_private: bool = False,
) -> Receiver:
    """Add a receiver; it is told of alerts from now on.

    Args:
        engine: The database.
        name: Lower case letters, digits, `.`, `_`, `-`.
        kind: terminal, webhook, cap or geojson.
        url: Of a webhook: https; http only together with `allow_private`.
        secret: Of a webhook; made where none is given.
        folder: Of cap and geojson files; made where it is missing.
        allow_private: Lets a webhook lead to a private or loopback address. For operators, never for an HTTP API.

    Returns:
        The receiver, with its secret: the only time that it is shown.

    Raises:
        UsageError: one of them cannot be used, or the name is taken.
    """
    checked = next((each for each in KINDS if each == kind), None)
    if checked is None:
        raise UsageError(f"receiver kind {kind!r}: it is one of {', '.join(KINDS)}")
    if not _NAME.fullmatch(name):
        raise UsageError(f"receiver name {name!r}: use lower case letters, digits, dots, dashes and underscores")
    receiver = Receiver(name, checked)
    if checked == "webhook":
        receiver = replace(receiver, url=_url(url, allow_private), secret=_secret(secret), allow_private=allow_private)
    elif checked != "terminal":
        receiver = replace(receiver, folder=_folder(folder))
    with transaction(engine) as session:
        if session.get(ReceiverRow, name) is not None:
            raise UsageError(f"there is a receiver {name!r} already: remove it first, or take another name")
        session.add(ReceiverRow(name=name, kind=checked, settings=_stored(receiver), added_at=datetime.now(UTC)))
    return receiver


def remove(engine: Engine, name: str) -> None:
    """Forget a receiver; what was on its way to it is given up.

    Raises:
        NotFound: no receiver of that name.
    """
    with transaction(engine) as session:
        row = session.get(ReceiverRow, name)
        if row is None:
            raise NotFound(f"no receiver {name!r}: `tocsin receiver list` shows them")
        session.delete(row)
        session.execute(
            update(DeliveryRow)
            .where(DeliveryRow.receiver == name, DeliveryRow.state == DeliveryState.PENDING.value)
            .values(state=DeliveryState.FAILED.value, error="the receiver was removed", next_attempt_at=None)
        )


def list_receivers(engine: Engine, data: Path) -> list[Receiver]:
    """All receivers by name; where none is configured, the terminal and files under the data folder.

    Args:
        engine: The database.
        data: The data folder.
    """
    with reading(engine) as session:
        rows = list(session.scalars(select(ReceiverRow).order_by(ReceiverRow.name)))
    if rows:
        return [_receiver(row) for row in rows]
    folder = data.resolve() / "alerts"
    return [
        Receiver("cap", "cap", folder=folder),
        Receiver("geojson", "geojson", folder=folder),
        Receiver("terminal", "terminal"),
    ]


def _receiver(row: ReceiverRow) -> Receiver:
    settings: Mapping[str, object] = row.settings
    kind = next(each for each in KINDS if each == row.kind)
    return Receiver(
        row.name,
        kind,
        url=str(settings.get("url", "")),
        secret=str(settings.get("secret", "")),
        allow_private=bool(settings.get("allow_private", False)),
        folder=Path(str(settings.get("folder", ""))),
    )


def _stored(receiver: Receiver) -> dict[str, object]:
    if receiver.kind == "webhook":
        return {"url": receiver.url, "secret": receiver.secret, "allow_private": receiver.allow_private}
    return {} if receiver.kind == "terminal" else {"folder": str(receiver.folder)}


def _url(url: str, allow_private: bool) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise UsageError(f"webhook address {url!r}: give https://HOST/PATH, without user name")
    if parts.scheme == "http" and not allow_private:
        raise UsageError(f"webhook address {url!r} is not encrypted: use https, or allow a private address for it")
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        refuse_private(parts.hostname, port, allow_private=allow_private, unknown_is_fine=True)
    except (ValueError, DeliveryFailed) as error:
        raise UsageError(f"webhook address {url!r}: {error}") from error
    return url


def _secret(secret: str) -> str:
    if secret and len(secret) < SHORTEST_SECRET:
        raise UsageError(f"the webhook's secret has {len(secret)} characters: at least {SHORTEST_SECRET} are needed")
    return secret or f"whsec_{secrets.token_urlsafe(32)}"


def _folder(folder: str | Path) -> Path:
    if not str(folder):
        raise UsageError("a receiver of files needs a folder")
    path = Path(folder).expanduser().resolve()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"folder {path} cannot be made: {error.strerror}") from error
    return path
