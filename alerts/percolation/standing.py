"""The standing queries in force, as matrices.

Flows in: rows of queries and thresholds, those with a newer revision than is held. Flows out: one `Standing` per
release, sensor and stratum. Stops before computing anything that is missing (`calibrate`).

A million queries fit because little is held of each: its vectors, thresholds and area, and a few numbers by *slot*, a
number that is given again when a query goes. The message is read from the database when a query hits. What changed is
written in place: a change costs what it changes, however many queries stand.
"""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import numpy as np
import structlog
from numpy.typing import NDArray
from pydantic_core import from_json
from shapely.geometry.base import BaseGeometry
from sqlalchemy import Engine, Row, Select, func, select

from alerts.asked import SENSORS
from alerts.percolation.areas import Areas
from alerts.percolation.bank import LARGE, NONE, Bank
from alerts.percolation.growing import Column, Indexes
from alerts.percolation.outlines import GeoJSON, read_outlines
from alerts.percolation.percolate import Side, Standing
from alerts.percolation.products import Arithmetic
from archive.interface import DIMENSION
from schemas.database import reading
from schemas.messages import Mode, QueryStatus, Sensor, StandingQuery
from schemas.tables import QueryRow, ThresholdRow

Floats = NDArray[np.float32]
log = structlog.get_logger(__name__)

PAGE = 1024
"""Queries read at once."""
MESSAGES_KEPT = 8192
"""Messages of queries that hit, kept for the next hit."""
_IDS_AT_ONCE = 1000
_Stored = Row[UUID, str, str, str, bytes, float | None, float | None, datetime]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A query's vectors, float32 (k, 384), and thresholds for one release and sensor, as stored."""

    vector: Floats
    score: float | None
    presence: float | None
    computed_at: datetime


@dataclass(frozen=True, slots=True)
class Held:
    """One active standing query with all that is stored for it where no stratum has thresholds of its own."""

    query: StandingQuery
    area: BaseGeometry | None
    calibrated: dict[tuple[str, Sensor], Calibrated]


@dataclass(frozen=True, slots=True)
class Matrix:
    """What `percolate` takes, and whose slots they are. Good until the next `refresh`."""

    standing: Standing
    queries: StandingQueries

    def __len__(self) -> int:
        """How many vectors can fire."""
        return sum(int((side.score < np.inf).sum()) for side in (self.standing.present, self.standing.appeared))


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is held of a query's message: sensors as bits, in the order of `SENSORS`."""

    version: int
    question: int
    appearance: bool
    sensors: int
    area: GeoJSON | None


@dataclass
class _Entry:
    """One query's vectors of one release that are about to be held, and the thresholds that go with them."""

    slot: int
    vectors: Floats
    fires: list[tuple[str, str, float, float]] = field(default_factory=list)


class StandingQueries:
    """All active standing queries, kept current by revision. One thread at a time."""

    def __init__(self, arithmetic: Arithmetic = "auto", large: int = LARGE) -> None:
        """Nothing is read yet.

        Args:
            arithmetic: What multiplies.
            large: With "auto", fewer vectors than this are multiplied by numpy.
        """
        self.revision = 0
        self._arithmetic, self._large = arithmetic, large
        self._engine: Engine | None = None
        self._slots: dict[bytes, int] = {}
        self._ids: list[bytes | None] = []
        self._free: list[int] = []
        self._versions, self._questions = Column(np.int32, 0), Column(np.int32, 0)
        self._appearance = Column(np.bool_, False)
        self._sensors, self._area = Column(np.uint8, 0), Column(np.int32, 0)
        self._areas = Areas()
        self._banks: dict[tuple[str, bool], Bank] = {}
        self._heads: dict[str, Column[np.int32]] = {}
        self._more: dict[tuple[str, int], list[int]] = {}
        self._computed: dict[tuple[str, Sensor], Column[np.float64]] = {}
        self._messages: OrderedDict[int, StandingQuery] = OrderedDict()
        self._next = 0

    def __len__(self) -> int:
        """How many are active."""
        return len(self._slots)

    @property
    def ids(self) -> list[UUID]:
        """Of all active queries, ascending."""
        return sorted(UUID(bytes=key) for key in self._slots)

    def refresh(self, engine: Engine) -> bool:
        """Read what changed since the last time; whether anything did."""
        self._engine = engine
        with _uncollected(), reading(engine) as session:
            newest = session.scalar(select(func.max(QueryRow.revision))) or 0
            if newest == self.revision:
                return False
            columns = (QueryRow.query_id, QueryRow.status, QueryRow.message, QueryRow.revision)
            while self.revision < newest:
                newer = select(*columns).where(QueryRow.revision > self.revision).order_by(QueryRow.revision)
                rows = session.execute(newer.limit(PAGE)).all()
                last = rows[-1].revision
                stored: dict[UUID, list[_Stored]] = {}
                between = _thresholds().where(QueryRow.revision > self.revision, QueryRow.revision <= last)
                for row in session.execute(between):
                    stored.setdefault(row[0], []).append(row)
                self._take([(row.query_id, row.status, row.message) for row in rows], stored)
                self.revision = last
        return True

    def matrix(self, release: str, sensor: Sensor, stratum: str = "") -> Matrix:
        """The queries that can fire on vectors of one release and sensor, in a stratum (`alerts.budgets.strata`)."""
        present, appeared = (self._bank(release, appearance) for appearance in (False, True))
        sides = [Side(bank, *bank.in_force(sensor, stratum)) for bank in (present, appeared)]
        return Matrix(Standing(sides[0], sides[1], self._areas, self._area.values), self)

    def messages(self, slots: Iterable[int]) -> dict[int, StandingQuery]:
        """The queries of slots as they are in force here, which may be a moment behind the database."""
        wanted = sorted(set(slots))
        missing = {key: slot for slot in wanted if slot not in self._messages and (key := self._ids[slot]) is not None}
        for query in self._read([UUID(bytes=key) for key in missing]):
            slot = missing[query.query_id.bytes]
            held = {
                "version": int(self._versions.values[slot]),
                "question_version": int(self._questions.values[slot]),
                "mode": self._mode(slot),
                "status": QueryStatus.ACTIVE,
            }
            self._messages[slot] = query.model_copy(update=held)
        found = {slot: self._messages[slot] for slot in wanted}
        for slot in wanted:
            self._messages.move_to_end(slot)
        while len(self._messages) > MESSAGES_KEPT:
            self._messages.popitem(last=False)
        return found

    def due(self, release: str, limit: int) -> list[Held]:
        """Queries whose thresholds should be looked at: some of those that lack one, and those with the oldest ones.

        The former take turns, so that some that never get thresholds don't keep the others from theirs.

        Args:
            release: Whose thresholds.
            limit: How many of the former, and of the latter by sensor.
        """
        lacking, oldest = np.zeros(len(self._ids), np.bool_), []
        for bit, sensor in enumerate(SENSORS):
            computed = self._computed_at(release, sensor)
            asked = (self._sensors.values & (1 << bit)) != 0
            lacking |= asked & np.isnan(computed)
            there = np.flatnonzero(asked & ~np.isnan(computed))
            some = np.argpartition(computed[there], limit)[:limit] if len(there) > limit else slice(None)
            oldest.append(there[some])
        turn = np.flatnonzero(lacking)
        turn = np.roll(turn, -int(np.searchsorted(turn, self._next)))[:limit]
        self._next = int(turn[-1]) + 1 if len(turn) else 0
        return self._held(np.unique(np.concatenate([turn, *oldest])))

    def _held(self, slots: Indexes) -> list[Held]:
        stored: dict[UUID, dict[tuple[str, Sensor], Calibrated]] = {}
        messages = self.messages(slots.tolist())
        for row in self._stored([query.query_id for query in messages.values()]):
            query_id, release, name, stratum, vector, score, presence, computed_at = row
            if stratum == "":
                calibrated = Calibrated(_vectors(vector), score, presence, computed_at)
                stored.setdefault(query_id, {})[release, _sensor(name)] = calibrated
        return [
            Held(query, self._areas.outline(int(self._area.values[slot])), stored.get(query.query_id, {}))
            for slot, query in messages.items()
        ]

    def _read(self, query_ids: Sequence[UUID]) -> Iterable[StandingQuery]:
        for start in range(0, len(query_ids), _IDS_AT_ONCE):
            some = query_ids[start : start + _IDS_AT_ONCE]
            with reading(self._database) as session:
                found = session.scalars(select(QueryRow.message).where(QueryRow.query_id.in_(some))).all()
            yield from (StandingQuery.from_bytes(message.encode()) for message in found)

    def _stored(self, query_ids: Sequence[UUID]) -> Iterable[_Stored]:
        for start in range(0, len(query_ids), _IDS_AT_ONCE):
            some = query_ids[start : start + _IDS_AT_ONCE]
            with reading(self._database) as session:
                yield from session.execute(_thresholds().where(ThresholdRow.query_id.in_(some))).all()

    @property
    def _database(self) -> Engine:
        if self._engine is None:
            raise RuntimeError("nothing has been read: call refresh first")
        return self._engine

    def _take(self, rows: Sequence[tuple[UUID, str, str]], stored: Mapping[UUID, Sequence[_Stored]]) -> None:
        """Put queries in force, change them or forget them, as their rows say."""
        active: list[tuple[UUID, _Facts]] = []
        for query_id, status, message in rows:
            if status == QueryStatus.ACTIVE.value:
                active.append((query_id, _facts(message)))
            elif query_id.bytes in self._slots:
                self._forget(query_id.bytes)
        areas = self._areas.hold(read_outlines([facts.area for _, facts in active]))
        entries: dict[tuple[str, bool], list[_Entry]] = {}
        slots = [self._slot(query_id.bytes) for query_id, _ in active]
        self._note_when(dict(zip((query_id for query_id, _ in active), slots, strict=True)), stored)
        for (query_id, facts), slot, area in zip(active, slots, areas, strict=True):
            self._versions.values[slot], self._questions.values[slot] = facts.version, facts.question
            self._appearance.values[slot] = facts.appearance
            self._sensors.values[slot], self._area.values[slot] = facts.sensors, area
            for release, each in self._entries(slot, stored.get(query_id, ())):
                entries.setdefault((release, bool(self._appearance.values[slot])), []).append(each)
        for (release, appearance), some in entries.items():
            self._hold(release, self._bank(release, appearance), some)

    def _entries(self, slot: int, stored: Sequence[_Stored]) -> Iterable[tuple[str, _Entry]]:
        """What is to be held of a query, by release: one entry for each set of vectors, nearly always one."""
        found: dict[tuple[str, bytes], _Entry] = {}
        base = {(release, name): vector for _, release, name, stratum, vector, *_ in stored if stratum == ""}
        sensors = int(self._sensors.values[slot])
        for _, release, name, stratum, vector, score, presence, _ in stored:
            if not sensors & (1 << SENSORS.index(_sensor(name))):
                continue
            elsewhere = base.get((release, name), vector)
            if score is None or elsewhere != vector:
                silent = found.setdefault((release, elsewhere), _Entry(slot, _vectors(elsewhere)))
                silent.fires.append((name, stratum, np.inf, -np.inf))
            if score is not None:
                entry = found.setdefault((release, vector), _Entry(slot, _vectors(vector)))
                entry.fires.append((name, stratum, score, -np.inf if presence is None else presence))
        for (release, _), entry in found.items():
            if not np.isfinite(entry.vectors).all():
                log.error("vectors of a standing query are not finite: it never alarms", slot=slot, release=release)
            elif any(score < np.inf for _, _, score, _ in entry.fires):
                yield release, entry

    def _note_when(self, slots: Mapping[UUID, int], stored: Mapping[UUID, Sequence[_Stored]]) -> None:
        """Remember when the thresholds of slots were computed."""
        columns: dict[tuple[str, str], NDArray[np.float64]] = {}
        for query_id, slot in slots.items():
            for _, release, name, stratum, *_, computed_at in stored.get(query_id, ()):
                if stratum == "":
                    if (release, name) not in columns:
                        columns[release, name] = self._computed_at(release, _sensor(name))
                    columns[release, name][slot] = computed_at.timestamp()

    def _hold(self, release: str, bank: Bank, entries: Sequence[_Entry]) -> None:
        heads = bank.add([entry.slot for entry in entries], [entry.vectors for entry in entries])
        first = self._heads.setdefault(release, Column(np.int32, NONE))
        first.grow(len(self._ids))
        by_sensor: dict[str, list[tuple[int, float, float]]] = {}
        for entry, head in zip(entries, heads, strict=True):
            if first.values[entry.slot] == NONE:
                first.values[entry.slot] = head
            else:
                self._more.setdefault((release, entry.slot), []).append(head)
            for name, stratum, score, presence in entry.fires:
                if stratum:
                    bank.fire_in(name, stratum, head, score, presence)
                else:
                    by_sensor.setdefault(name, []).append((head, score, presence))
        for name, fires in by_sensor.items():
            bank.fire(name, *zip(*fires, strict=True))

    def _slot(self, key: bytes) -> int:
        """The slot of a query, emptied if it had one."""
        slot = self._slots.get(key)
        if slot is not None:
            self._empty(slot)
            return slot
        slot = self._free.pop() if self._free else len(self._ids)
        if slot == len(self._ids):
            self._ids.append(None)
            for column in (self._versions, self._questions, self._appearance, self._sensors, self._area):
                column.grow(slot + 1)
        self._slots[key], self._ids[slot] = slot, key
        return slot

    def _forget(self, key: bytes) -> None:
        slot = self._slots.pop(key)
        self._empty(slot)
        self._ids[slot], self._sensors.values[slot] = None, 0
        self._free.append(slot)

    def _empty(self, slot: int) -> None:
        """Take vectors, thresholds, area and message of a slot away."""
        for release, first in self._heads.items():
            if slot < len(first.values) and first.values[slot] != NONE:
                bank = self._bank(release, bool(self._appearance.values[slot]))
                for head in (int(first.values[slot]), *self._more.pop((release, slot), ())):
                    bank.remove(head)
                first.values[slot] = NONE
        for column in self._computed.values():
            if slot < len(column.values):
                column.values[slot] = np.nan
        self._areas.drop(int(self._area.values[slot]))
        self._area.values[slot] = 0
        self._messages.pop(slot, None)

    def _bank(self, release: str, appearance: bool) -> Bank:
        if (release, appearance) not in self._banks:
            self._banks[release, appearance] = Bank(self._arithmetic, self._large)
        return self._banks[release, appearance]

    def _computed_at(self, release: str, sensor: Sensor) -> NDArray[np.float64]:
        """When each slot's thresholds were computed, seconds since 1970; NaN: never."""
        column = self._computed.setdefault((release, sensor), Column(np.float64, np.nan))
        column.grow(len(self._ids))
        return column.values

    def _mode(self, slot: int) -> Mode:
        return Mode.APPEARANCE if self._appearance.values[slot] else Mode.PRESENCE


def _thresholds() -> Select[UUID, str, str, str, bytes, float | None, float | None, datetime]:
    row = ThresholdRow
    columns = (row.query_id, row.release, row.sensor, row.stratum, row.vector, row.score, row.presence, row.computed_at)
    return select(*columns).join(QueryRow, QueryRow.query_id == row.query_id)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without garbage collection: an area is hundreds of small lists, and looking through them doubles a start."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _vectors(stored: bytes) -> Floats:
    return np.frombuffer(stored, "<f4").reshape(-1, DIMENSION)


def _facts(message: str) -> _Facts:
    """What is held of a query's message; checking the rest of it would take most of the start."""
    read = from_json(message)
    sensors = sum(1 << bit for bit, sensor in enumerate(SENSORS) if sensor in read["sensors"])
    version = int(read["version"])
    question = int(read.get("question_version") or version)
    return _Facts(version, question, read["mode"] == Mode.APPEARANCE.value, sensors, read.get("area"))


def _sensor(name: str) -> Sensor:
    return "s1" if name == "s1" else "s2"
