"""What people answer: "I have it in hand", and whether it was what the query asks for.

In: an alert's id, a person, an answer. Out: acknowledgements and verdicts on record. Stops before what follows from
them: repeats and escalation look here (`telling.reminders`), look-alikes and heads read `verdicts_of`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Engine, select
from sqlalchemy.orm import Session

from alerts.budgets.strata import stratum_at
from alerts.budgets.surprise import expected_every_days
from alerts.incidents.announce import Telling
from alerts.incidents.lifecycle import OPEN
from alerts.incidents.retract import reinstate, retract
from alerts.locks import serialise
from alerts.settings import MatcherSettings
from alerts.telling.lines import one_line
from alerts.telling.reminders import acknowledgement
from alerts.telling.told import is_over, newest
from schemas.database import reading, transaction
from schemas.errors import NotFound, UsageError
from schemas.messages import Alert, IncidentState, stable_id, utc
from schemas.tables import AcknowledgementRow, AlertRow, IncidentRow, VerdictRow
from schemas.verdicts import Answer, Reason, Verdict

LONGEST_NAME, LONGEST_NOTE = 200, 2000
"""Characters, as in the messages."""
SHORTEST_PREFIX = 4
"""Characters of an id by which an alert can be named."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Somebody has an alert in hand.

    Attributes:
        alert_id: Which.
        person: Who was first.
        note: What that person said.
        acknowledged_at: When.
        first: Whether it is this answer; False where somebody was before.
    """

    alert_id: UUID
    person: str
    note: str
    acknowledged_at: datetime
    first: bool


def acknowledge(engine: Engine, name: str, *, person: str, note: str = "") -> Acknowledgement:
    """Take an alert in hand: it is not told again and not escalated, unless it is reopened; news of it still come.

    Args:
        engine: The database.
        name: Id of the alert, or the first 4 or more characters of it.
        person: Who.
        note: What else.

    Returns:
        The first acknowledgement: a second one changes nothing.

    Raises:
        NotFound: no such alert, or it is over.
        UsageError: no name, or too long a note.
    """
    who, said = one_line(person, "name", LONGEST_NAME), _note(note)
    with transaction(engine) as session:
        alert = find_alert(session, name, lock=True)
        if is_over(alert) and acknowledgement(session, alert.alert_id) is None:
            raise NotFound(f"alert {_short(alert)} is {alert.kind.value}: there is nothing to take in hand any more")
        return _acknowledged(session, alert, who, said)


def judge(
    engine: Engine,
    name: str,
    answer: str,
    *,
    person: str,
    reason: str | None = None,
    note: str = "",
    cells: Sequence[str] = (),
    rules: MatcherSettings | None = None,
) -> Verdict:
    """Say whether an alert was what its query asks for; a later answer of the same person replaces the earlier.

    Whoever judges has it in hand: it is acknowledged, if it was not. `false` on all of it retracts the incident, and
    who was told of it is told so; unless it has expired, is retracted already, or was merged into another. When no
    such `false` is the last word any more, because somebody said `true` since, or whoever said it thinks otherwise,
    the incident goes on, and that is told too.

    Args:
        engine: The database.
        name: Id of the alert, or the first 4 or more characters of it; also of one that is over.
        answer: true, false or unsure.
        person: Who.
        reason: What it was instead, only with false: cloud, agriculture, water level, season, artefact or other.
        note: What else.
        cells: Cells of the incident that it is about; none: all of it.
        rules: By which an incident goes on, as the matcher's; none: from the environment.

    Raises:
        NotFound: no such alert.
        UsageError: another answer or reason, a reason without `false`, a cell that is not the incident's, no name.
    """
    given, why = _answer(answer), _reason(reason)
    if why is not None and given is not Answer.FALSE:
        raise UsageError(f"a reason says what it was instead, so it goes with false, not with {given.value}")
    who, said = one_line(person, "name", LONGEST_NAME), _note(note)
    with transaction(engine) as session:
        serialise(session, "incidents")  # what is judged is what the matcher has said last
        alert = find_alert(session, name, lock=True)
        if strange := sorted(set(cells) - set(alert.incident.cells)):
            raise UsageError(
                f"cell {strange[0]!r} is not of alert {_short(alert)}: `tocsin alerts show` lists its cells"
            )
        verdict = Verdict(
            verdict_id=stable_id("verdict", alert.alert_id, who),
            alert_id=alert.alert_id,
            incident_id=alert.incident.incident_id,
            query_id=alert.incident.query_id,
            answer=given,
            reason=why,
            note=said,
            person=who,
            cells=tuple(sorted(set(cells))),
            given_at=datetime.now(UTC),
        )
        session.merge(_row(verdict))
        if not is_over(alert):
            _acknowledged(session, alert, who, f"verdict: {given.value}")
        if given is Answer.FALSE and not cells:
            if _may_be_retracted(session, alert):
                retract(session, verdict.incident_id, f"{who}: {why.value if why else 'false'}")
        elif alert.incident.state is IncidentState.RETRACTED and not _called_false(session, verdict):
            _reinstate(session, alert, verdict, rules or MatcherSettings())
    return verdict


def verdicts_of(engine: Engine, query_id: UUID) -> list[Verdict]:
    """All verdicts on alerts of a standing query, the newest first; one for each alert and person."""
    return _verdicts(engine, VerdictRow.query_id == query_id)


def verdicts_on(engine: Engine, alert_id: UUID) -> list[Verdict]:
    """All verdicts on an alert, the newest first."""
    return _verdicts(engine, VerdictRow.alert_id == alert_id)


def answers(session: Session, alert_ids: Sequence[UUID]) -> dict[UUID, dict[str, object]]:
    """What has been answered to some alerts, as listings show it: `acknowledged` and `verdicts` of each."""
    found: dict[UUID, dict[str, object]] = {each: {"acknowledged": None, "verdicts": []} for each in alert_ids}
    known = session.scalars(select(AcknowledgementRow.alert_id).where(AcknowledgementRow.alert_id.in_(alert_ids)))
    for row in filter(None, [acknowledgement(session, each) for each in known.all()]):
        found[row.alert_id]["acknowledged"] = {
            "person": row.person,
            "note": row.note,
            "at": utc(row.acknowledged_at),
            "sequence": row.sequence,
        }
    judged = session.scalars(
        select(VerdictRow).where(VerdictRow.alert_id.in_(alert_ids)).order_by(VerdictRow.given_at.desc())
    )
    given: dict[UUID, list[dict[str, object]]] = {}
    for each in judged:
        verdict = Verdict.from_bytes(each.message.encode())
        shown = verdict.model_dump(mode="json", include={"answer", "reason", "note", "person", "cells"})
        given.setdefault(each.alert_id, []).append(shown | {"at": utc(verdict.given_at)})
    for alert_id, verdicts in given.items():
        found[alert_id]["verdicts"] = verdicts
    return found


def find_alert(session: Session, name: str, *, lock: bool = False) -> Alert:
    """An alert as it stands, by its id or the first 4 or more characters of it.

    Args:
        session: A transaction.
        name: The id.
        lock: Let nobody else answer to it until the transaction ends.

    Raises:
        NotFound: no alert has that id, or several begin so.
    """
    digits = name.strip().lower().replace("-", "")
    found: Sequence[UUID] = []
    if SHORTEST_PREFIX <= len(digits) <= 32 and set(digits) <= set("0123456789abcdef"):
        first, last = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
        within = (AlertRow.alert_id >= first) & (AlertRow.alert_id <= last)
        found = session.scalars(select(AlertRow.alert_id).where(within).distinct().limit(2)).all()
    if len(found) != 1:
        many = "several alerts begin with" if found else "there is no alert"
        raise NotFound(
            f"{many} {name!r} (or it is gone from this database): `tocsin alerts list --json` shows their ids"
        )
    if lock:
        first_message = select(AlertRow).where(AlertRow.alert_id == found[0]).order_by(AlertRow.sequence).limit(1)
        session.scalars(first_message.with_for_update()).one()
    alert = newest(session, found[0])
    if alert is None:
        raise NotFound(f"there is no alert {name!r} any more")
    return alert


def _acknowledged(session: Session, alert: Alert, person: str, note: str) -> Acknowledgement:
    row = acknowledgement(session, alert.alert_id)
    first = row is None
    if row is None:
        row = session.merge(
            AcknowledgementRow(
                alert_id=alert.alert_id,
                sequence=alert.sequence,
                person=person,
                note=note,
                acknowledged_at=datetime.now(UTC),
            )
        )
    return Acknowledgement(row.alert_id, row.person, row.note, row.acknowledged_at, first)


def _called_false(session: Session, verdict: Verdict) -> bool:
    """Whether the last word on all of an alert is `false`, given this verdict; unsure is no word."""
    if verdict.answer is Answer.TRUE:
        return False
    given = select(VerdictRow.message).where(
        VerdictRow.alert_id == verdict.alert_id, VerdictRow.answer != Answer.UNSURE.value
    )
    words = map(Verdict.from_bytes, map(str.encode, session.scalars(given.order_by(VerdictRow.given_at.desc()))))
    return next((each.answer is Answer.FALSE for each in words if each.answer is Answer.TRUE or not each.cells), False)


def _reinstate(session: Session, alert: Alert, verdict: Verdict, rules: MatcherSettings) -> None:
    """The incident goes on, in the hands of whoever says so."""
    if session.get(IncidentRow, verdict.incident_id) is None:
        return
    telling = Telling(session, datetime.now(UTC), expected_every_days, stratum_at)
    reinstate(telling, verdict.incident_id, rules)
    now = newest(session, alert.alert_id) or alert
    if not is_over(now):
        _acknowledged(session, now, verdict.person, f"verdict: {verdict.answer.value}")


def _may_be_retracted(session: Session, alert: Alert) -> bool:
    """Whether more may come of its incident: one that is resolved could be reopened."""
    goes_on = alert.incident.state in OPEN or alert.incident.state is IncidentState.RESOLVED
    return goes_on and session.get(IncidentRow, alert.incident.incident_id) is not None


def _verdicts(engine: Engine, chosen: ColumnElement[bool]) -> list[Verdict]:
    wanted = select(VerdictRow).where(chosen).order_by(VerdictRow.given_at.desc(), VerdictRow.verdict_id)
    with reading(engine) as session:
        return [Verdict.from_bytes(row.message.encode()) for row in session.scalars(wanted)]


def _row(verdict: Verdict) -> VerdictRow:
    return VerdictRow(
        verdict_id=verdict.verdict_id,
        alert_id=verdict.alert_id,
        incident_id=verdict.incident_id,
        query_id=verdict.query_id,
        answer=verdict.answer.value,
        message=verdict.model_dump_json(),
        given_at=verdict.given_at,
    )


def _answer(text: str) -> Answer:
    try:
        return Answer(text.strip().lower())
    except ValueError as error:
        raise UsageError(f"verdict {text!r}: give true, false or unsure") from error


def _reason(text: str | None) -> Reason | None:
    if text is None:
        return None
    try:
        return Reason(" ".join(text.replace("-", " ").replace("_", " ").lower().split()))
    except ValueError as error:
        raise UsageError(f"reason {text!r}: give {', '.join(reason.value for reason in Reason)}") from error


def _note(text: str) -> str:
    return one_line(text, "note", LONGEST_NOTE) if text.strip() else ""


def _short(alert: Alert) -> str:
    return str(alert.alert_id)[:8]
