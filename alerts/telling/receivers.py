"""Who is told: receivers of every kind, by name.

Flows in: what an operator adds. Flows out: receivers with checked settings, secrets masked where they are shown.
Stops before telling (`notify`). Where nothing is configured, the terminal and two folders are told.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine, select, update

from alerts.telling.kinds.cap_files import CapFiles
from alerts.telling.kinds.geojson_files import GeojsonFiles
from alerts.telling.kinds.kind import Kind
from alerts.telling.kinds.registry import Unusable, made, restored
from alerts.telling.kinds.terminal import Terminal
from alerts.telling.kinds.webhook import Webhook
from schemas.database import reading, transaction
from schemas.errors import NotFound, UsageError
from schemas.messages import DeliveryState
from schemas.tables import DeliveryRow, ReceiverRow

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Receiver:
    """Somebody or something that is told.

    Attributes:
        name: As the operator calls it.
        way: How it is told, with its settings.
    """

    name: str
    way: Kind

    @property
    def kind(self) -> str:
        """Name of the way."""
        return self.way.of_kind if isinstance(self.way, Unusable) else self.way.name

    @property
    def secret(self) -> str:
        """With which its requests are signed; empty for kinds that sign nothing. Never in listings or logs."""
        return self.way.secret if isinstance(self.way, Webhook) else ""

    def shown(self) -> dict[str, object]:
        """For people: secrets are masked."""
        return {"name": self.name, "kind": self.kind, **self.way.shown()}


def add(engine: Engine, name: str, kind: str, **settings: object) -> Receiver:
    """Add a receiver; it is told of alerts from now on.

    Args:
        engine: The database.
        name: Lower case letters, digits, `.`, `_`, `-`.
        kind: One of `kinds.registry.KINDS`.
        **settings: Of that kind. `allow_private` is for operators, never for an HTTP API.

    Returns:
        The receiver, with its secret: the only time that it is shown.

    Raises:
        UsageError: one of them cannot be used, or the name is taken.
        SettingsError: a package that the kind needs is not installed.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"receiver name {name!r}: use lower case letters, digits, dots, dashes and underscores")
    with reading(engine) as session:
        _check_free(session.get(ReceiverRow, name))  # before anything is made or asked for it
    receiver = Receiver(name, made(kind, settings))
    with transaction(engine) as session:
        _check_free(session.get(ReceiverRow, name))
        stored = receiver.way.stored()
        session.add(ReceiverRow(name=name, kind=receiver.kind, settings=stored, added_at=datetime.now(UTC)))
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


def rotate(engine: Engine, name: str, secret: str = "", *, finish: bool = False, undo: bool = False) -> Receiver:
    """Change a webhook's secret in two steps, so that no request is refused meanwhile.

    Args:
        engine: The database.
        name: Of a webhook.
        secret: The new one; made where none is given.
        finish: The second step: the old secret no longer signs.
        undo: Instead of the second step: the new secret no longer signs.

    Returns:
        The receiver, with its secret.

    Raises:
        NotFound: no receiver of that name.
        UsageError: it signs nothing, the step is not its turn, or the secret is too short.
    """
    with transaction(engine) as session:
        row = session.get(ReceiverRow, name, with_for_update=True)
        if row is None:
            raise NotFound(f"no receiver {name!r}: `tocsin receiver list` shows them")
        way = restored(row.kind, row.settings)
        if not isinstance(way, Webhook):
            raise UsageError(
                f"receiver {name!r} is of kind {row.kind}, which signs nothing: only a webhook has a secret"
            )
        changed = way.finished() if finish else way.undone() if undo else way.rotated(secret)
        row.settings = changed.stored()
    return Receiver(name, changed)


def find(engine: Engine, data: Path, name: str) -> Receiver:
    """The receiver of a name, those that are there when none is configured among them.

    Raises:
        NotFound: no receiver of that name.
    """
    found = named(engine, data, name)
    if found is None:
        raise NotFound(f"no receiver {name!r}: `tocsin receiver list` shows them")
    return found


def named(engine: Engine, data: Path, name: str) -> Receiver | None:
    """The same; none where there is no receiver of that name."""
    with reading(engine) as session:
        row = session.get(ReceiverRow, name)
        configured = session.scalars(select(ReceiverRow.name).limit(1)).first() is not None
    if row is not None:
        return Receiver(row.name, restored(row.kind, row.settings))
    return None if configured else next((each for each in _unconfigured(data) if each.name == name), None)


def list_receivers(engine: Engine, data: Path) -> list[Receiver]:
    """All receivers by name; where none is configured, the terminal and files under the data folder.

    Args:
        engine: The database.
        data: The data folder.
    """
    with reading(engine) as session:
        rows = list(session.scalars(select(ReceiverRow).order_by(ReceiverRow.name)))
    return [Receiver(row.name, restored(row.kind, row.settings)) for row in rows] or _unconfigured(data)


def _unconfigured(data: Path) -> list[Receiver]:
    folder = str(data.resolve() / "alerts")
    return [
        Receiver("cap", CapFiles(folder=folder)),
        Receiver("geojson", GeojsonFiles(folder=folder)),
        Receiver("terminal", Terminal()),
    ]


def _check_free(row: ReceiverRow | None) -> None:
    if row is not None:
        raise UsageError(f"there is a receiver {row.name!r} already: remove it first, or take another name")
