"""Vectors and thresholds that are missing, or older than the archive has grown.

Flows in: the standing queries in force, the ledger, the archive's history. Flows out: rows of thresholds, and a new
revision of each query so that all matchers read them. Stops before the statistics themselves (`thresholds`).

Only acquisitions that have been matched count as history: what is on its way, the event itself above all, must not
raise the threshold that it has to pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Protocol
from uuid import UUID

import numpy as np
import structlog
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry
from sqlalchemy import Engine, func, select

from alerts.budgets.background import History, read_history
from alerts.budgets.thresholds import ReleaseBackground, Threshold, WithBackground, WithCalibration, threshold
from alerts.locks import serialise
from alerts.percolation.standing import Held
from alerts.queries import LOCK, bump
from alerts.settings import MatcherSettings
from archive.interface import Archive, ArchiveFilter
from schemas.database import reading, transaction
from schemas.errors import Rejected
from schemas.messages import Sensor, StandingQuery
from schemas.tables import AcquisitionRow, CoverageRow, QueryRow, ThresholdRow

Floats = NDArray[np.float32]
log = structlog.get_logger(__name__)


class TextEncoder(Protocol):
    """What is needed of `encoders.Encoder`."""

    @property
    def release(self) -> str:
        """Which vectors it makes."""

    def texts(self, sentences: list[str]) -> Floats:
        """float32 (n, 384), unit rows; `Rejected` if one of them cannot be understood."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A threshold that is to be computed."""

    query: StandingQuery
    sensor: Sensor
    area: BaseGeometry | None


@dataclass
class Past:
    """The archive's history of one sensor, read when first asked for.

    Attributes:
        archive: Where it is.
        release: Whose vectors.
        sensor: Whose pictures.
        unmatched: Acquisitions that don't count.
        settings: How much is read.
        fetches: How many areas may still be read on their own.
    """

    archive: Archive
    release: str
    sensor: Sensor
    unmatched: frozenset[UUID]
    settings: MatcherSettings
    fetches: int

    @cached_property
    def everywhere(self) -> History:
        """A sample of all cells."""
        return self._read(ArchiveFilter(sensors=(self.sensor,)))

    def here(self, area: BaseGeometry | None) -> History:
        """The cells of an area: out of the sample where that has enough of them, else read for themselves."""
        if area is None:
            return self.everywhere
        inside = self.everywhere.within(area)
        enough = len(inside.changed) >= self.settings.least_background
        if enough or self.everywhere.share >= 1 or self.fetches <= 0:
            return inside
        self.fetches -= 1
        return self._read(ArchiveFilter(area=area, sensors=(self.sensor,)))

    def _read(self, wanted: ArchiveFilter) -> History:
        there = self.archive.count(release=self.release, filter=wanted)
        found, vectors = self.archive.history(
            release=self.release, filter=wanted, max_points=self.settings.history_points
        )
        share = len(found) / there if there else 1.0
        kept = [i for i, embedding in enumerate(found) if embedding.acquisition_id not in self.unmatched]
        return read_history(
            [found[i] for i in kept], vectors[kept], min_baseline=self.settings.min_baseline, share=min(share or 1, 1)
        )


class Calibrator:
    """Keeps the thresholds of one release complete and current."""

    def __init__(self, engine: Engine, archive: Archive, encoder: TextEncoder, settings: MatcherSettings) -> None:
        """Remember where everything is; nothing is read yet."""
        self._engine, self._archive, self._encoder, self._settings = engine, archive, encoder, settings
        self._seen_at: dict[tuple[Sensor, datetime], int] = {}
        self._refused: set[str] = set()

    def run(self, held: Iterable[Held]) -> int:
        """Compute what is missing or outgrown.

        Returns:
            How many thresholds were written.

        Raises:
            StoreUnavailable: archive or database did not answer.
        """
        wanted = self._wanted(list(held))
        if not wanted:
            return 0
        vectors = self._vectors([each.query for each in wanted])
        wanted = [each for each in wanted if each.query.query_id in vectors]
        if not wanted:
            return 0
        unmatched = self._unmatched()
        computed: list[tuple[Wanted, Threshold]] = []
        for sensor in sorted({each.sensor for each in wanted}):
            past = Past(
                self._archive, self._encoder.release, sensor, unmatched, self._settings, self._settings.areas_per_round
            )
            release = self._release_background(sensor)
            computed += [
                (each, self._threshold(each, vectors[each.query.query_id], past, release))
                for each in wanted
                if each.sensor == sensor
            ]
        return self._store(computed, vectors)

    def _threshold(self, each: Wanted, vector: Floats, past: Past, release: ReleaseBackground | None) -> Threshold:
        return threshold(
            each.query,
            each.sensor,
            vector,
            here=past.here(each.area),
            everywhere=past.everywhere,
            release=release,
            settings=self._settings,
            plausible=self._plausible(each.sensor, vector),
        )

    def _plausible(self, sensor: Sensor, vector: Floats) -> float | None:
        if not isinstance(self._encoder, WithCalibration):
            return None
        return self._encoder.score_at(sensor, vector, self._settings.plausible)

    def _wanted(self, held: Sequence[Held]) -> list[Wanted]:
        """Thresholds without a row, then those computed when the archive was much smaller; one round's worth.

        Queries that the encoder has refused are left out: they would fill every round.
        """
        release = self._encoder.release
        held = [each for each in held if each.query.sentence not in self._refused]
        totals: dict[Sensor, int] = {}
        missing, outgrown = [], []
        for each in held:
            for sensor in each.query.sensors:
                stored = each.calibrated.get((release, sensor))
                if stored is None:
                    missing.append(Wanted(each.query, sensor, each.area))
                    continue
                now = totals[sensor] if sensor in totals else totals.setdefault(sensor, self._seen(sensor))
                if now >= max(self._seen_when(sensor, stored.computed_at), 1) * self._settings.recalibrate_growth:
                    outgrown.append(Wanted(each.query, sensor, each.area))
        return (missing + outgrown)[: self._settings.thresholds_per_round]

    def _seen(self, sensor: Sensor, until: datetime | None = None) -> int:
        """Cells of matched acquisitions that could be seen: how large the history is, by the ledger."""
        wanted = (
            select(func.coalesce(func.sum(CoverageRow.seen), 0))
            .join(AcquisitionRow, AcquisitionRow.acquisition_id == CoverageRow.acquisition_id)
            .where(AcquisitionRow.state == "matched", AcquisitionRow.sensor == sensor)
        )
        if until is not None:
            wanted = wanted.where(AcquisitionRow.matched_at <= until)
        with reading(self._engine) as session:
            return int(session.scalar(wanted) or 0)

    def _seen_when(self, sensor: Sensor, moment: datetime) -> int:
        if (sensor, moment) not in self._seen_at:
            self._seen_at[sensor, moment] = self._seen(sensor, moment)
        return self._seen_at[sensor, moment]

    def _unmatched(self) -> frozenset[UUID]:
        wanted = select(AcquisitionRow.acquisition_id).where(AcquisitionRow.state.in_(("queued", "encoded")))
        with reading(self._engine) as session:
            return frozenset(session.scalars(wanted))

    def _vectors(self, queries: Sequence[StandingQuery]) -> dict[UUID, Floats]:
        """Of those that the encoder understands; one that it does not must not hold up the others."""
        by_sentence = sorted({query.sentence for query in queries})
        try:
            vectors = dict(zip(by_sentence, self._encoder.texts(by_sentence), strict=True))
        except Rejected:
            vectors = {sentence: vector for sentence in by_sentence for vector in self._understood(sentence)}
        return {query.query_id: vectors[query.sentence] for query in queries if query.sentence in vectors}

    def _understood(self, sentence: str) -> Floats:
        """The vector of one sentence, (1, 384), or nothing, (0, 384), and a word in the log."""
        try:
            return self._encoder.texts([sentence])
        except Rejected as error:
            log.error("standing query is not understood: it never alarms", sentence=sentence, reason=str(error))
            self._refused.add(sentence)
            return np.empty((0, 384), np.float32)

    def _release_background(self, sensor: Sensor) -> ReleaseBackground | None:
        found = self._encoder.background(sensor) if isinstance(self._encoder, WithBackground) else None
        return None if found is None else ReleaseBackground(*found)

    def _store(self, computed: Sequence[tuple[Wanted, Threshold]], vectors: dict[UUID, Floats]) -> int:
        """Write the rows of queries that are still as they were."""
        now = datetime.now(UTC)
        written = 0
        with transaction(self._engine) as session:
            serialise(session, LOCK)
            for each, found in computed:
                row = session.get(QueryRow, each.query.query_id)
                if row is None or row.version != each.query.version:
                    continue
                session.merge(
                    ThresholdRow(
                        query_id=each.query.query_id,
                        release=self._encoder.release,
                        sensor=each.sensor,
                        stratum="",
                        vector=vectors[each.query.query_id].astype("<f4").tobytes(),
                        score=found.score,
                        presence=found.presence,
                        basis=found.basis,
                        background=found.background,
                        computed_at=now,
                    )
                )
                bump(session, row)
                written += 1
                log.info(
                    "threshold computed",
                    query_id=str(each.query.query_id),
                    sensor=each.sensor,
                    score=found.score,
                    presence=found.presence,
                    basis=found.basis,
                    background=found.background,
                )
        return written
