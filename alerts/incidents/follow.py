"""What becomes of incidents that something has touched, and who is told.

Flows in: incidents with new matches, looks or losses, and what caused them. Flows out: their rows as their evidence
has them, and at most one alert each. Stops before the outbox leaves (`announce`).

What an incident is follows from its evidence alone (`lifecycle`); whether people hear of it follows from what they
were told last and from whether the cause is news.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from alerts.incidents.announce import Telling, last_told, tell, tell_end
from alerts.incidents.lifecycle import OPEN, Evidence, read, state_of
from alerts.incidents.looks import batched
from alerts.incidents.scenes import cell_states
from alerts.incidents.withdraw import Withdrawn
from alerts.settings import MatcherSettings
from schemas.messages import Acquisition, CellState, IncidentState, QueryStatus
from schemas.tables import IncidentRow, LookRow, MatchRow

INCIDENTS_AT_ONCE = 200
"""Incidents whose evidence is read together."""
NOT_MATCHED = "a newer processing version of its scenes does not match"
NOT_SEEN = "a newer processing version of its scenes shows nothing there: cloud, or no data"


@dataclass(frozen=True)
class Cause:
    """Why incidents are looked at.

    Attributes:
        news: Whether it may tell of more than ends: a scene that was not matched before.
        sensing_at: When its scene was sensed; none: time has passed, nothing else.
        matched: Incidents in which that scene matches.
    """

    news: bool = False
    sensing_at: datetime | None = None
    matched: frozenset[UUID] = frozenset()


def follow(
    telling: Telling, names: Iterable[UUID], cause: Cause, clock: datetime | None, rules: MatcherSettings
) -> None:
    """Bring incidents up to date with their evidence, and tell what people should know.

    Args:
        telling: Session, time and what makes alerts richer.
        names: Incidents that have matches.
        cause: Why.
        clock: Sensing time reached.
        rules: When they are what.
    """
    for some in batched(sorted(set(names), key=str), INCIDENTS_AT_ONCE):
        for name, evidence in read(telling.session, some, rules).items():
            row = telling.session.get_one(IncidentRow, name)
            _refresh(row, evidence, clock, rules)
            if row.retracted_at is None:
                _tell(telling, row, evidence, cause, clock, rules)


def tell_opened(telling: Telling, rows: Sequence[IncidentRow], clock: datetime | None, rules: MatcherSettings) -> None:
    """Tell of new incidents at once; what was known before and stands again waits for its scene's end."""
    new = {row.incident_id: row for row in rows if row.sequence == 0}
    for some in batched(list(new), INCIDENTS_AT_ONCE):
        for name, evidence in read(telling.session, some, rules).items():
            row = new[name]
            _refresh(row, evidence, clock, rules)
            if IncidentState(row.state) not in OPEN:  # seen clear since, by what came before it: told with its end
                row.state, row.closed_at = IncidentState.OPENED.value, None
            tell(telling, row, IncidentState.OPENED, evidence)


def tell_merged(telling: Telling, rows: Sequence[IncidentRow], clock: datetime | None, rules: MatcherSettings) -> None:
    """Tell those who think that an incident goes on that another one does, and that one's message with all cells.

    Whom its end was told hear no more of it. The other one is told of whether or not the scene that joined them is
    news: its new cells were known already, under the name that is cancelled.
    """
    keepers: dict[UUID, IncidentRow] = {}
    for row in rows:
        if row.told_state in {state.value for state in OPEN}:
            tell_end(telling, row, IncidentState.MERGED)
            keeper = row
            while keeper.merged_into is not None:
                keeper = telling.session.get_one(IncidentRow, keeper.merged_into)
            keepers[keeper.incident_id] = keeper
    for name, evidence in read(telling.session, list(keepers), rules).items():
        row = keepers[name]
        _refresh(row, evidence, clock, rules)
        if IncidentState(row.state) in OPEN:
            tell(telling, row, _goes_on_as(row), evidence)


def tell_withdrawn(telling: Telling, withdrawn: Withdrawn, rules: MatcherSettings, clock: datetime | None) -> None:
    """Tell of incidents that a newer version has emptied or cut; new parts of what nobody knew stay untold.

    Of a part that is over nobody hears that it is one: `follow` tells its end to those who think that it goes on.
    """
    states = cell_states(telling.session, withdrawn.by) if withdrawn.empty else {}
    for row in withdrawn.empty:
        if row.retracted_at is not None:  # people know that it never was
            continue
        row.state, row.closed_at = IncidentState.RETRACTED.value, telling.now
        row.why = NOT_MATCHED if not states or _seen(telling, row, states) else NOT_SEEN
        tell_end(telling, row, IncidentState.RETRACTED)
    for row, parts in withdrawn.cut:
        if row.sequence == 0 or row.retracted_at is not None:
            continue
        evidence = read(telling.session, [each.incident_id for each in (row, *parts)], rules)
        for each in (row, *parts):
            _refresh(each, evidence[each.incident_id], clock, rules)
            if IncidentState(each.state) in OPEN:
                tell(telling, each, IncidentState.SPLIT, evidence[each.incident_id])


def tell_reinstated(
    telling: Telling, rows: Sequence[IncidentRow], clock: datetime | None, rules: MatcherSettings
) -> None:
    """Tell what incidents are that a person had retracted and stands by again; long over, they are so in silence."""
    found = read(telling.session, [row.incident_id for row in rows], rules)
    for row in rows:
        evidence = found.get(row.incident_id)
        if evidence is None:  # a newer version has withdrawn its matches meanwhile
            row.why = NOT_MATCHED
            continue
        _refresh(row, evidence, clock, rules)
        state = IncidentState(row.state)
        if not row.sequence and (row.split_from is None or state not in OPEN):  # nobody was told of it
            continue
        if state in OPEN:
            tell(telling, row, IncidentState.REOPENED if row.sequence else IncidentState.SPLIT, evidence)
        elif _long_over(row, clock, rules):
            row.told_state = row.state
        else:
            tell(telling, row, state, evidence)


def _seen(telling: Telling, row: IncidentRow, states: Mapping[str, str]) -> bool:
    """Whether a version of a scene saw any cell of an incident that people know."""
    last = last_told(telling.session, row)
    cells = () if last is None else last.incident.cells
    return any(states.get(cell) == CellState.SEEN.value for cell in cells)


def _goes_on_as(row: IncidentRow) -> IncidentState:
    """What happened to an open incident that has grown, seen from what people were told last."""
    told = None if row.told_state is None else IncidentState(row.told_state)
    if told not in OPEN:
        return IncidentState.OPENED if told is None else IncidentState.REOPENED
    newly_confirmed = row.state == IncidentState.CONFIRMED.value and told is not IncidentState.CONFIRMED
    return IncidentState.CONFIRMED if newly_confirmed else IncidentState.GROWING


def matched_in(session: Session, acquisition: Acquisition) -> set[UUID]:
    """Incidents in which a scene matches."""
    session.flush()
    wanted = select(MatchRow.incident_id).where(MatchRow.physical_key == acquisition.physical_key)
    return set(session.scalars(wanted.distinct()))


def looked_at_in(session: Session, acquisition: Acquisition, rules: MatcherSettings) -> set[UUID]:
    """Incidents at whose cells a scene looked, in whatever version, without a match."""
    session.flush()
    match, look = MatchRow, LookRow
    wanted = (
        select(match.incident_id)
        .join(
            look,
            and_(
                look.query_id == match.query_id,
                look.query_version == match.query_version,
                look.cell == match.cell,
                look.sensor == match.sensor,
            ),
        )
        .where(
            look.physical_key == acquisition.physical_key,
            match.sensing_at < acquisition.sensing_at,
            match.sensing_at >= acquisition.sensing_at - rules.window,
        )
    )
    return set(session.scalars(wanted.distinct()))


def _refresh(row: IncidentRow, evidence: Evidence, clock: datetime | None, rules: MatcherSettings) -> None:
    """The row as the evidence has it; a person's word stands above it."""
    row.first_sensing_at, row.last_sensing_at = evidence.first.first_at, evidence.last_at
    row.score = max(evidence.cells.values())
    if row.retracted_at is not None:
        row.state = IncidentState.RETRACTED.value
    else:
        status = state_of(evidence, clock, rules)
        row.state, row.closed_at, row.why = status.state.value, status.closed_at, None


def _tell(
    telling: Telling,
    row: IncidentRow,
    evidence: Evidence,
    cause: Cause,
    clock: datetime | None,
    rules: MatcherSettings,
) -> None:
    """One message about what changed since people last heard of it, or none."""
    state = IncidentState(row.state)
    told = None if row.told_state is None else IncidentState(row.told_state)
    if state not in OPEN:
        if told in OPEN and (_long_over(row, clock, rules) or _unwatched(telling, row)):
            row.told_state = row.state
        elif told in OPEN:
            tell(telling, row, state, evidence)
        return
    if not cause.news or row.incident_id not in cause.matched:
        return
    if told is None:
        tell(telling, row, IncidentState.OPENED, evidence)
    elif told not in OPEN:
        if _after_its_end(telling, row, cause):
            tell(telling, row, IncidentState.REOPENED, evidence)
    elif state is IncidentState.CONFIRMED and told is not IncidentState.CONFIRMED:
        known = {place.sensor for place in evidence.places if place.told}
        tell(telling, row, state, evidence, sensors=(set(evidence.sensors) - known) or None)
    else:
        new = set(evidence.cells) - evidence.told_cells
        late = cause.sensing_at is None or evidence.last_at - cause.sensing_at > rules.late
        if not late and len(new) >= max(1.0, rules.growth_share * len(evidence.told_cells)):
            tell(telling, row, IncidentState.GROWING, evidence, cells=new)


def _after_its_end(telling: Telling, row: IncidentRow, cause: Cause) -> bool:
    """Whether a scene was sensed after the end that people were told of: what was sensed before it reopens nothing.

    A retraction has no sensing time: whatever matches after it was said is news.
    """
    last = last_told(telling.session, row)
    if last is None or cause.sensing_at is None or last.incident.closed_at is None:
        return True
    return last.kind is IncidentState.RETRACTED or cause.sensing_at > last.incident.closed_at


def _unwatched(telling: Telling, row: IncidentRow) -> bool:
    """Whether nobody wants to hear of its query any more."""
    return telling.query(row.query_id).status is QueryStatus.REMOVED


def _long_over(row: IncidentRow, clock: datetime | None, rules: MatcherSettings) -> bool:
    """What ended a window ago is no news: it is closed in silence."""
    waited = timedelta(0) if clock is None or row.closed_at is None else clock - row.closed_at
    return waited > rules.window
