"""What the other sensor says about an incident: what it has seen since, or when it comes.

Flows in: an incident's evidence, coverage and ledger. Flows out: `OtherSensor` for its alert, and a sentence for
people. Stops before sending.
"""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from math import ceil, floor
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from alerts.incidents.cadence import Pass, next_expected, over, passes
from alerts.incidents.lifecycle import Evidence
from alerts.incidents.scenes import cell_states, sensed_until
from alerts.places import centres
from alerts.telling.phrases import SENSORS
from schemas.messages import CellState, OtherSensor, Sensor, StandingQuery, utc
from schemas.tables import MatchRow

MOST_LOOKS = 20
"""Scenes whose cells are looked up for one incident, the newest first."""


class OtherSensors:
    """Answers for the incidents of one batch; what it has read is kept for the next question."""

    def __init__(self, session: Session, now: datetime) -> None:
        """Remember where to read, and until when; nothing is read yet."""
        self._session, self._until = session, now
        self._passes: dict[tuple[Sensor, tuple[int, int, int, int]], list[Pass]] = {}
        self._states: dict[UUID, dict[str, str]] = {}

    def of(self, incident_id: UUID, query: StandingQuery, evidence: Evidence) -> OtherSensor | None:
        """What the sensor that did not match first says; none where the query does not watch with it."""
        first = evidence.first
        sensor: Sensor = "s2" if first.sensor == "s1" else "s1"
        if sensor not in query.sensors:
            return None
        best = max(evidence.cells, key=lambda cell: (evidence.cells[cell], cell))
        lon, lat = centres([best])[0].tolist()
        found = over(self._near(sensor, evidence), lon, lat)
        said = self._saw(incident_id, sensor, evidence, [one for one in found if one.sensing_at >= first.first_at])
        expected = next_expected(found, self._now)
        if expected is None:
            return said
        return said.model_copy(
            update={
                "next_expected_at": expected.at,
                "relative_orbit": expected.relative_orbit,
                "every_days": round(expected.every.total_seconds() / 86_400, 3),
                "passes": expected.passes,
            }
        )

    @cached_property
    def _now(self) -> datetime:
        """The newest sensing time: what comes after it is to come, also in a replay of the past."""
        return sensed_until(self._session, self._until) or self._until

    def _near(self, sensor: Sensor, evidence: Evidence) -> list[Pass]:
        """Passes round the incident; read once for all incidents of the same degrees."""
        lon, lat = centres(sorted(evidence.cells)).T
        box = (floor(lon.min()), floor(lat.min()), ceil(lon.max()), ceil(lat.max()))
        if (sensor, box) not in self._passes:
            self._passes[sensor, box] = passes(self._session, sensor, box, self._now)
        return self._passes[sensor, box]

    def _saw(self, incident_id: UUID, sensor: Sensor, evidence: Evidence, found: list[Pass]) -> OtherSensor:
        """Its newest look that saw anything of the incident; else its newest look."""
        matched = self._matched(incident_id, sensor)
        blind: OtherSensor | None = None
        for one in reversed(found[-MOST_LOOKS:]):
            states = self._cells(one.acquisition_id)
            seen = {states[cell] for cell in evidence.cells if cell in states}
            looked = OtherSensor(sensor=sensor, looked_at=one.sensing_at, item_id=one.item_id)
            if one.physical_key in matched:
                return looked.model_copy(update={"saw": "matched"})
            if CellState.SEEN.value in seen:
                return looked.model_copy(update={"saw": "not matched"})
            state = next((s for s in (CellState.OBSCURED, CellState.FAILED) if s.value in seen), None)
            if state is not None and blind is None:
                blind = looked.model_copy(update={"saw": state.value})
        if matched and (blind is None or blind.looked_at is None):
            key = max(matched, key=lambda key: (matched[key][0], key))
            return OtherSensor(sensor=sensor, looked_at=matched[key][0], saw="matched", item_id=matched[key][1])
        return blind or OtherSensor(sensor=sensor)

    def _matched(self, incident_id: UUID, sensor: Sensor) -> dict[str, tuple[datetime, str]]:
        """Scenes of a sensor that matched in an incident: sensing time and item by physical key."""
        row = MatchRow
        wanted = (
            select(row.physical_key, row.sensing_at, row.item_id)
            .where(row.incident_id == incident_id, row.sensor == sensor)
            .distinct()
        )
        return {key: (sensing_at, item_id) for key, sensing_at, item_id in self._session.execute(wanted)}

    def _cells(self, acquisition_id: UUID) -> dict[str, str]:
        """State of each cell that a scene covered."""
        if acquisition_id not in self._states:
            self._states[acquisition_id] = cell_states(self._session, acquisition_id)
        return self._states[acquisition_id]


def sentence(other: OtherSensor) -> str:
    """The same for people, in one sentence."""
    name = SENSORS[other.sensor]
    told = f"{name} has not looked there since"
    if other.looked_at is not None and other.saw is not None:
        what = {
            "matched": "and matched as well",
            "not matched": "and did not match",
            "obscured": "and saw nothing: obscured",
            "failed": "and could not be read",
        }[other.saw]
        told = f"{name} looked on {_day(other.looked_at)} {what}"
    if other.next_expected_at is None:
        return f"{told}; when it comes next is not known."
    orbit = "" if other.relative_orbit is None else f" on orbit {other.relative_orbit}"
    every = "" if other.every_days is None else f" (every {other.every_days:g} days, from {other.passes} passes)"
    return f"{told}; it is next expected about {_day(other.next_expected_at)}{orbit}{every}."


def _day(moment: datetime) -> str:
    return utc(moment)[:16].replace("T", " ") + " UTC"
