"""Who must still be told of what: the record of deliveries, their waits and their ends.

Flows in: alerts, notices and receivers, outcomes of attempts. Flows out: what is due to one receiver, claimed for us.
Stops before telling (`notify`).

A delivery that is claimed is not due again for a while: two notifiers don't attempt it at once, and one that dies
in the middle leaves it to the next. So an attempt may be repeated, always with the same idempotency key.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, Engine, func, select, update
from sqlalchemy.orm import Session

from alerts.locks import serialise
from alerts.settings import NotifierSettings
from alerts.telling import silences
from alerts.telling.dispatch import arrange
from alerts.telling.stages import BEING_SENT, Passing, passes
from alerts.telling.told import Told, id_of, row_of, stored, what
from schemas.database import reading, transaction
from schemas.errors import MalformedMessage, NotFound, Rejected
from schemas.messages import Alert, DeliveryState, stable_id
from schemas.tables import DeliveryRow, SilenceRow

LOCK = "claim deliveries"
LONGEST_ERROR = 2000
MAX_TOGETHER = 200
"""Messages told in one: the rest come in the next."""
log = structlog.get_logger(__name__)

_PENDING = DeliveryState.PENDING.value
_AT_ONCE, _AFTER_OTHERS = timedelta(0), timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Due:
    """What is ours to attempt now: a delivery, or several that are told in one message.

    Attributes:
        delivery_id: The idempotency key: of the delivery, or of these deliveries together.
        receiver: Name of the receiver.
        attempt: Which attempt it is, from 1.
        told: The message; of several the last.
        together: All messages that are told in one, in order; empty where it is `told` alone.
        delivery_ids: The deliveries; empty where it is `delivery_id` alone.
        occasion: Empty where it is news; "repeat N" and "step N" where nobody has acknowledged it.
        waited: How long it has been due.
    """

    delivery_id: UUID
    receiver: str
    attempt: int
    told: Told
    together: tuple[Told, ...] = ()
    delivery_ids: tuple[UUID, ...] = ()
    occasion: str = ""
    waited: timedelta = timedelta(0)

    @property
    def alert(self) -> Alert:
        """The alert; asking it of a notice is a bug."""
        if not isinstance(self.told, Alert):
            raise TypeError(f"delivery {self.delivery_id} is of a notice")
        return self.told

    @property
    def alerts(self) -> tuple[Told, ...]:
        """All messages that are told in one: for kinds of receivers that take several (`Kind.gathers`)."""
        return self.together or (self.told,)

    @property
    def ids(self) -> tuple[UUID, ...]:
        """All deliveries that an attempt settles."""
        return self.delivery_ids or (self.delivery_id,)


def plan(engine: Engine, told: Told, receivers: Sequence[str], now: datetime | None = None) -> int:
    """Write the deliveries of a message and note that it was taken up; a second time changes nothing.

    Args:
        engine: The database.
        told: An alert or a notice.
        receivers: Whom to tell where no route takes it.
        now: The time; the clock's where none is given. What the message says of its own time does not count: the host
            that wrote it may have another clock.

    Returns:
        How many deliveries were written.

    Raises:
        Rejected: the message is not in the database: it belongs to another one.
    """
    now = now or datetime.now(UTC)
    with transaction(engine) as session:
        row = row_of(session, told)
        if row is None:
            raise Rejected(
                f"{what(told)} {id_of(told)} #{told.sequence} is not in this database: whose broker is this?"
            )
        if row.notified_at is not None:
            return 0
        row.notified_at = now
        rows = arrange(session, told, receivers, now)
        session.add_all(rows)
    return len(rows)


def waiting(engine: Engine, now: datetime) -> list[str]:
    """Receivers that something is due to, who has waited longest first."""
    wanted = (
        select(DeliveryRow.receiver)
        .where(DeliveryRow.state == _PENDING, DeliveryRow.next_attempt_at <= now)
        .group_by(DeliveryRow.receiver)
        .order_by(func.min(DeliveryRow.next_attempt_at), DeliveryRow.receiver)
    )
    with reading(engine) as session:
        return list(session.scalars(wanted))


def claim(
    engine: Engine,
    hold: timedelta,
    *,
    receiver: str | None = None,
    together: Collection[str] = (),
    now: datetime | None = None,
    holder: str | None = None,
) -> Due | None:
    """Take the next delivery that is due and passes all `stages`.

    What has waited longest comes first; at the same moment the first messages of all alerts before the later.

    Args:
        engine: The database.
        hold: For how long it is ours; longer than an attempt can last.
        receiver: Only what is due to this one; none: to anybody.
        together: Receivers that are told in one message what a route has gathered for them.
        now: The time; the clock's where none is given.
        holder: Who attempts it; this process where none is given.
    """
    now = now or datetime.now(UTC)
    with transaction(engine) as session:
        serialise(session, LOCK)  # what one notifier gathers, another one does not tear apart
        quiet = silences.in_force(session, now)
        while (row := _next(session, receiver, now)) is not None:
            rows = _gathered(session, row, now) if row.gathered and row.receiver in together else [row]
            passed = _passing(session, rows, quiet, now)
            session.flush()
            if passed:
                return _take(passed, now, now + hold, holder or this_process())
    return None


def delivered(engine: Engine, due: Due) -> None:
    """The receiver took it."""
    _set(
        engine,
        DeliveryRow.delivery_id.in_(due.ids),
        state=DeliveryState.DELIVERED.value,
        delivered_at=datetime.now(UTC),
        next_attempt_at=None,
        error=None,
    )


def failed(engine: Engine, due: Due, reason: str, wait: timedelta, most: int, now: datetime | None = None) -> None:
    """The receiver did not take it: all that is due to it waits as well, and what has waited too often is given up.

    Next time something else is tried first: where a receiver takes all but one message, that one alone is given up.

    Args:
        engine: The database.
        due: What was attempted.
        reason: For people.
        wait: Until the next attempt.
        most: Attempts before a delivery is given up.
        now: The time; the clock's where none is given.
    """
    now = now or datetime.now(UTC)
    with transaction(engine) as session:
        rows = (
            select(DeliveryRow)
            .where(
                DeliveryRow.receiver == due.receiver,
                DeliveryRow.state == _PENDING,
                (DeliveryRow.next_attempt_at <= now) | DeliveryRow.delivery_id.in_(due.ids),
            )
            .order_by(DeliveryRow.delivery_id)
            .with_for_update()  # not what another notifier claims meanwhile
        )
        for row in session.scalars(rows):
            tried = row.delivery_id in due.ids
            row.attempts += not tried
            row.error, row.next_attempt_at = reason[:LONGEST_ERROR], now + wait + (_AFTER_OTHERS if tried else _AT_ONCE)
            if row.attempts >= most:
                row.state, row.next_attempt_at = DeliveryState.FAILED.value, None


def give_up(engine: Engine, due: Due, reason: str, state: DeliveryState = DeliveryState.FAILED) -> None:
    """It can never be delivered; or, withdrawn, it need not be."""
    _set(
        engine,
        DeliveryRow.delivery_id.in_(due.ids),
        state=state.value,
        next_attempt_at=None,
        error=reason[:LONGEST_ERROR],
    )


def failures(engine: Engine, receiver: str | None = None) -> list[DeliveryRow]:
    """Deliveries that were given up, of all receivers or of one."""
    wanted = select(DeliveryRow).where(DeliveryRow.state == DeliveryState.FAILED.value)
    if receiver is not None:
        wanted = wanted.where(DeliveryRow.receiver == receiver)
    with reading(engine) as session:
        return list(session.scalars(wanted.order_by(DeliveryRow.receiver, DeliveryRow.alert_id, DeliveryRow.sequence)))


def failed_ids(engine: Engine, names: Sequence[str]) -> list[UUID]:
    """Ids of failed deliveries by the start of them.

    Raises:
        NotFound: none of them begins so, or several do.
    """
    known = [str(row.delivery_id) for row in failures(engine)]
    chosen = []
    for name in names:
        found = [each for each in known if len(name) >= 4 and each.startswith(name.lower())]
        if len(found) != 1:
            raise NotFound(f"{len(found)} failed deliveries begin with {name!r}: see `tocsin alerts failed`")
        chosen.append(UUID(found[0]))
    return chosen


def redeliver(engine: Engine, *, delivery_ids: Sequence[UUID] | None = None, receiver: str | None = None) -> int:
    """Attempt failed deliveries again, all of them or those named.

    Returns:
        How many that is.
    """
    chosen = DeliveryRow.state == DeliveryState.FAILED.value
    if delivery_ids is not None:
        chosen &= DeliveryRow.delivery_id.in_(delivery_ids)
    if receiver is not None:
        chosen &= DeliveryRow.receiver == receiver
    return _set(engine, chosen, state=_PENDING, attempts=0, next_attempt_at=datetime.now(UTC))


def resume(engine: Engine) -> int:
    """At start: what a notifier of this host was sending when it died is due at once.

    It may go out twice, with one key. What others are sending is left to them: if they die as well, it is due when
    their hold on it ends.

    Returns:
        How many deliveries that is.
    """
    sending = (DeliveryRow.state == _PENDING) & (DeliveryRow.error == BEING_SENT)
    with reading(engine) as session:
        holders = session.scalars(select(DeliveryRow.holder).where(sending).distinct()).all()
    dead = [holder for holder in holders if holder is None or not _lives(holder)]
    known = DeliveryRow.holder.in_([holder for holder in dead if holder]) | DeliveryRow.holder.is_(None)
    return _set(engine, sending & known, next_attempt_at=datetime.now(UTC)) if dead else 0


def this_process() -> str:
    """Host and number of this process."""
    return f"{socket.gethostname()}/{os.getpid()}"[:200]


def wait_after(attempt: int, settings: NotifierSettings) -> timedelta:
    """How long to wait after so many attempts: doubling up to a limit, give or take a fifth."""
    seconds = min(settings.first_delay_s * 2.0 ** min(attempt - 1, 60), settings.longest_delay_s)
    return timedelta(seconds=seconds * random.uniform(0.8, 1.2))


def _next(session: Session, receiver: str | None, now: datetime) -> DeliveryRow | None:
    wanted = select(DeliveryRow).where(DeliveryRow.state == _PENDING, DeliveryRow.next_attempt_at <= now)
    if receiver is not None:
        wanted = wanted.where(DeliveryRow.receiver == receiver)
    wanted = wanted.order_by(DeliveryRow.next_attempt_at, DeliveryRow.sequence, DeliveryRow.delivery_id)
    return session.scalars(wanted.limit(1).with_for_update(skip_locked=True)).first()


def _gathered(session: Session, row: DeliveryRow, now: datetime) -> list[DeliveryRow]:
    """What is told in one message with a delivery: what was so in its last attempt, else all that is due with it."""
    wanted = select(DeliveryRow).where(
        DeliveryRow.state == _PENDING,
        DeliveryRow.next_attempt_at <= now,
        DeliveryRow.receiver == row.receiver,
        DeliveryRow.gathered == row.gathered,
        DeliveryRow.batch.is_(None) if row.batch is None else DeliveryRow.batch == row.batch,
    )
    wanted = wanted.order_by(DeliveryRow.sequence, DeliveryRow.next_attempt_at, DeliveryRow.delivery_id)
    return list(session.scalars(wanted.limit(MAX_TOGETHER).with_for_update(skip_locked=True)))


def _passing(
    session: Session, rows: Sequence[DeliveryRow], quiet: list[SilenceRow], now: datetime
) -> list[tuple[DeliveryRow, Told]]:
    """Those of some deliveries that may be told now, with their messages; what cannot be read is given up."""
    passed: list[tuple[DeliveryRow, Told]] = []
    for row in rows:
        try:
            told = stored(session, row.what, row.alert_id, row.sequence)
        except MalformedMessage as error:  # of a newer build, say, which then can send it (`redeliver`)
            row.state, row.next_attempt_at = DeliveryState.FAILED.value, None
            row.error = f"this build cannot read the stored {row.what}: {error}"[:LONGEST_ERROR]
            log.error("stored message cannot be read", delivery_id=str(row.delivery_id), reason=str(error))
            continue
        before = [earlier.delivery_id for earlier, _ in passed]
        if passes(Passing(session, row, told, quiet, before, now)):
            passed.append((row, told))
    return passed


def _take(passed: Sequence[tuple[DeliveryRow, Told]], now: datetime, until: datetime, holder: str) -> Due:
    """Claim deliveries that are told in one message."""
    rows = [row for row, _ in passed]
    waited = max(now - (row.next_attempt_at or now) for row in rows)
    ids = tuple(row.delivery_id for row in rows)
    key = ids[0] if len(ids) == 1 else stable_id("digest", *sorted(map(str, ids)))
    for row in rows:
        row.attempts += 1
        row.error, row.next_attempt_at, row.holder = BEING_SENT, until, holder
        row.batch = key if row.gathered else None
    began: dict[UUID, datetime] = {}
    for _, each in passed:
        began[id_of(each)] = min(each.sent_at, began.get(id_of(each), each.sent_at))
    told = tuple(
        sorted((each for _, each in passed), key=lambda each: (began[id_of(each)], id_of(each), each.sequence))
    )
    return Due(key, rows[0].receiver, rows[0].attempts, told[-1], told, ids, rows[0].occasion, waited)


def _lives(holder: str) -> bool:
    """Whether the process that holds a delivery may still be at it; one with our own number was here before us."""
    host, _, number = holder.rpartition("/")
    if host != socket.gethostname():
        return True
    if int(number) == os.getpid():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _set(engine: Engine, chosen: ColumnElement[bool], **values: object) -> int:
    with transaction(engine) as session:
        rows = session.scalars(update(DeliveryRow).where(chosen).values(**values).returning(DeliveryRow.delivery_id))
        return len(list(rows))
