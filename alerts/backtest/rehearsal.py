"""A matcher of its own that lives through the past: nothing it does leaves this process.

Flows in: a standing query, scenes in order of time. Flows out: what live matching would have written, in a database
in memory of the same tables. Stops before counting (`tally`) and before any report.

It is `alerts.matching.Matcher`, the live one, with three things put in its place: a clock that shows when the scene
was sensed, an archive that knows nothing later, and a broker that nobody listens to. So thresholds are computed from
what had been sensed by then, anew when that has doubled, exactly when a live matcher would have done it: no score is
ever judged by a threshold that has seen it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID, uuid4

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, select

from alerts.backtest.scenes import Scene
from alerts.budgets.calibrate import Calibrator, TextEncoder
from alerts.learning.examples import Judged, to_json
from alerts.matching import Matcher
from alerts.settings import MatcherSettings
from archive.in_time import EARLIEST, INSTANT, AsOf
from archive.interface import Archive
from schemas.database import Base, connect, reading, transaction
from schemas.messages import CellState, Chip, Coverage, Sensor, StandingQuery
from schemas.publisher import Record
from schemas.tables import AcquisitionRow, CoverageRow, HeadRow, QueryRow, ThresholdRow


class Nobody:
    """A broker without listeners."""

    def send(self, records: Iterable[Record]) -> None:
        """Forget them."""


class Rehearsal:
    """One standing query through the past.

    Attributes:
        engine: The database in memory.
        now: What the clock shows.
        calibrated: Rows of thresholds as they came about, oldest first.
    """

    def __init__(
        self,
        query: StandingQuery,
        archive: Archive,
        encoder: TextEncoder,
        settings: MatcherSettings,
        judged: Sequence[Judged] = (),
    ) -> None:
        """Nothing is read yet.

        Args:
            query: Added to the database as the only one.
            archive: Of the whole past.
            encoder: Of the release to test with.
            settings: As the live matcher's.
            judged: What the query is to have learnt from.
        """
        self.engine = scratch([query])
        if judged:
            _teach(self.engine, query, judged)
        self.now = self._sensed = EARLIEST
        self.calibrated: list[ThresholdRow] = []
        self._in_force: dict[Sensor, ThresholdRow] = {}
        past = AsOf(archive, lambda: self._sensed)
        calibrator = Calibrator(self.engine, past, encoder, settings, self._clock, examples=archive)
        self._matcher = Matcher(self.engine, Nobody(), calibrator, encoder.release, settings, clock=self._clock)

    def look_back(self, scene: Scene) -> None:
        """A scene from before the query stood: history, and nothing else."""
        self._advance(scene.points[0].sensing_at)
        with transaction(self.engine) as session:
            session.add_all(_ledger(scene, matched_at=self._clock()))

    def stand(self, start: datetime) -> None:
        """The query is added now: its first thresholds are computed."""
        self._advance(start)
        self._matcher.prepare()
        self._note_thresholds()

    def live_through(self, scene: Scene) -> None:
        """A scene is matched; what has expired by then is closed."""
        self._advance(scene.points[0].sensing_at)
        with transaction(self.engine) as session:
            session.add_all(_ledger(scene, matched_at=None))
        for batch in scene.batches():
            self._matcher.handle(batch)
        self._matcher.sweep()
        self._note_thresholds()

    def in_force(self, sensor: Sensor) -> ThresholdRow | None:
        """The threshold of a sensor that holds where no stratum has its own; none before `stand`."""
        return self._in_force.get(sensor)

    def _clock(self) -> datetime:
        """A moment later at every look: what happens one after the other live does so here."""
        self.now += INSTANT
        return self.now

    def _advance(self, sensed: datetime) -> None:
        self._sensed, self.now = sensed, max(sensed, self.now)

    def _note_thresholds(self) -> None:
        """Keep what was computed since the last time; rows of the database are replaced."""
        known = {_name(row): row.computed_at for row in self.calibrated}
        with reading(self.engine) as session:
            rows = session.scalars(select(ThresholdRow).order_by(ThresholdRow.sensor, ThresholdRow.stratum)).all()
        self.calibrated += [row for row in rows if known.get(_name(row)) != row.computed_at]
        self._in_force = {"s1" if row.sensor == "s1" else "s2": row for row in rows if not row.stratum}


def scratch(queries: Iterable[StandingQuery]) -> Engine:
    """A database in memory with all tables, in which these queries stand."""
    engine = connect("sqlite://")
    Base.metadata.create_all(engine)
    with transaction(engine) as session:
        for revision, query in enumerate(queries, start=1):
            session.add(
                QueryRow(
                    query_id=query.query_id,
                    version=query.version,
                    status=query.status.value,
                    message=query.model_dump_json(),
                    revision=revision,
                    created_at=query.created_at,
                    updated_at=query.created_at,
                )
            )
    return engine


def _teach(engine: Engine, query: StandingQuery, judged: Sequence[Judged]) -> None:
    """Put a head in force that learns from these answers."""
    with transaction(engine) as session:
        session.add(
            HeadRow(
                head_id=uuid4(),
                query_id=query.query_id,
                query_version=query.version,
                examples=to_json(judged),
                report={},
                made_at=EARLIEST,
                applied_at=EARLIEST,
            )
        )


def vectors_of(row: ThresholdRow) -> NDArray[np.float32]:
    """The unit vectors whose highest product is a chip's score, float32 (k, 384)."""
    return np.frombuffer(row.vector, dtype="<f4").astype(np.float32).reshape(-1, 384)


def _name(row: ThresholdRow) -> tuple[UUID, str, str, str]:
    return (row.query_id, row.release, row.sensor, row.stratum)


def _ledger(scene: Scene, matched_at: datetime | None) -> list[AcquisitionRow | CoverageRow]:
    """What poller and encoder would have written of a scene: calibration asks how much has been matched."""
    acquisition = scene.acquisition
    lon, lat = np.array([(point.lon, point.lat) for point in scene.points]).T
    return [
        AcquisitionRow(
            **acquisition.model_dump(include=_IN_LEDGER),
            state="matched" if matched_at else "encoded",
            message=acquisition.model_dump_json(),
            topic="",
            matched_at=matched_at,
        ),
        CoverageRow(
            **acquisition.model_dump(include=_IN_COVERAGE),
            west=float(lon.min()),
            south=float(lat.min()),
            east=float(lon.max()),
            north=float(lat.max()),
            seen=len(scene.points),
            obscured=0,
            failed=0,
            chips=zlib.compress(_seen(scene).to_bytes()),
        ),
    ]


def _seen(scene: Scene) -> Coverage:
    """What the scene showed: of the cells that it has no point of, the archive knows nothing."""
    chips = [
        Chip(
            cell=point.cell,
            state=CellState.SEEN,
            valid_fraction=point.valid_fraction,
            cloud_fraction=point.cloud_fraction,
        )
        for point in scene.points
    ]
    return Coverage(**scene.acquisition.model_dump(include=_IN_COVERAGE), chips=tuple(chips))


_IN_COVERAGE = {"acquisition_id", "physical_key", "source", "item_id", "sensor", "sensing_at"}
_IN_LEDGER = {*_IN_COVERAGE, "collection", "processed_at", "published_at", "seen_at"}
