"""The standing queries in force, as matrices.

Flows in: rows of queries and thresholds, those with a newer revision than is held. Flows out: one `Standing` per
release and sensor. Stops before computing anything that is missing (`calibrate`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry
from sqlalchemy import Engine, Select, func, select

from alerts.percolation.percolate import Standing
from schemas.database import reading
from schemas.messages import Mode, QueryStatus, Sensor, StandingQuery
from schemas.tables import QueryRow, ThresholdRow

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A query's vector and thresholds for one release and sensor, as stored."""

    vector: Floats
    score: float | None
    presence: float | None
    computed_at: datetime


@dataclass(frozen=True, slots=True)
class Held:
    """One active standing query with all that is stored for it."""

    query: StandingQuery
    area: BaseGeometry | None
    calibrated: dict[tuple[str, Sensor], Calibrated]


@dataclass(frozen=True, slots=True)
class Matrix:
    """What `percolate` takes, and whose columns they are."""

    queries: tuple[StandingQuery, ...]
    standing: Standing


@dataclass
class StandingQueries:
    """All active standing queries, kept current by revision."""

    revision: int = 0
    held: dict[UUID, Held] = field(default_factory=dict)
    _matrices: dict[tuple[str, Sensor], Matrix] = field(default_factory=dict)

    def refresh(self, engine: Engine) -> bool:
        """Read what changed since the last time; whether anything did."""
        with reading(engine) as session:
            newest = session.scalar(select(func.max(QueryRow.revision))) or 0
            if newest == self.revision:
                return False
            rows = session.execute(
                select(QueryRow.query_id, QueryRow.status, QueryRow.message).where(QueryRow.revision > self.revision)
            ).all()
            stored: dict[UUID, dict[tuple[str, Sensor], Calibrated]] = {}
            newer = _thresholds().where(QueryRow.revision > self.revision)
            for query_id, release, name, vector, score, presence, computed_at in session.execute(newer):
                calibrated = Calibrated(np.frombuffer(vector, "<f4")[:384], score, presence, computed_at)
                stored.setdefault(query_id, {})[release, "s1" if name == "s1" else "s2"] = calibrated
        for query_id, status, message in rows:
            self._hold(query_id, status, message, stored.get(query_id, {}))
        self.revision = newest
        self._matrices.clear()
        return True

    def matrix(self, release: str, sensor: Sensor) -> Matrix:
        """The queries that can fire on vectors of one release and sensor."""
        if (release, sensor) not in self._matrices:
            self._matrices[release, sensor] = self._build(release, sensor)
        return self._matrices[release, sensor]

    def _hold(
        self, query_id: UUID, status: str, message: str, calibrated: dict[tuple[str, Sensor], Calibrated]
    ) -> None:
        if status != QueryStatus.ACTIVE.value:
            self.held.pop(query_id, None)
            return
        query = StandingQuery.from_bytes(message.encode())
        area = None if query.area is None else shape(query.area)
        self.held[query_id] = Held(query, area, calibrated)

    def _build(self, release: str, sensor: Sensor) -> Matrix:
        found = [
            (held, held.calibrated[release, sensor])
            for held in self.held.values()
            if sensor in held.query.sensors and (release, sensor) in held.calibrated
        ]
        able = [(held, stored) for held, stored in found if stored.score is not None]
        able.sort(key=lambda each: (each[0].query.mode is Mode.APPEARANCE, each[0].query.query_id))
        vectors = [stored.vector for _, stored in able]
        standing = Standing(
            np.stack(vectors) if vectors else np.empty((0, 384), np.float32),
            np.array([held.query.mode is Mode.APPEARANCE for held, _ in able], dtype=bool),
            np.array([stored.score for _, stored in able], dtype=np.float64),
            np.array([-np.inf if stored.presence is None else stored.presence for _, stored in able], dtype=np.float64),
            [held.area for held, _ in able],
        )
        return Matrix(tuple(held.query for held, _ in able), standing)


def _thresholds() -> Select[UUID, str, str, bytes, float | None, float | None, datetime]:
    row = ThresholdRow
    columns = (row.query_id, row.release, row.sensor, row.vector, row.score, row.presence, row.computed_at)
    return select(*columns).join(QueryRow, QueryRow.query_id == row.query_id).where(row.stratum == "")
