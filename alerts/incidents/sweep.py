"""What time does to incidents.

Flows in: the sensing time that has been reached. Flows out: incidents that have expired, with their alerts; looks
and vectors that nothing can need any more, gone. Stops before the outbox leaves.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, select

from alerts.incidents import scenes
from alerts.incidents.announce import Telling
from alerts.incidents.follow import Cause, follow
from alerts.incidents.lifecycle import OPEN
from alerts.incidents.looks import forget_batches
from alerts.settings import MatcherSettings
from schemas.tables import IncidentRow, LookRow

KEEP_LOOKS = timedelta(days=366)
"""Looks older than this are dropped: the longest window there can be."""


def sweep(telling: Telling, rules: MatcherSettings) -> None:
    """Close what nothing has matched within the window; the caller holds the lock "incidents".

    Only sensing time counts, never the wall clock alone: while no scene comes, nothing expires, and a replay of the
    past expires the same incidents.
    """
    clock = scenes.sensed_until(telling.session, telling.now)
    if clock is None:
        return
    row = IncidentRow
    wanted = select(row.incident_id).where(
        row.state.in_([state.value for state in OPEN]), row.last_sensing_at <= clock - rules.window - rules.late
    )
    follow(telling, telling.session.scalars(wanted).all(), Cause(), clock, rules)
    forget(telling, telling.now, rules)


def forget(telling: Telling, now: datetime, rules: MatcherSettings) -> None:
    """Drop what nothing can need any more."""
    matched = scenes.matched_until(telling.session, now)
    if matched is not None:
        forget_batches(telling.session, matched - rules.late)
        telling.session.execute(delete(LookRow).where(LookRow.sensing_at < matched - KEEP_LOOKS))
