"""Vectors and thresholds that are missing, or older than the archive has grown.

Flows in: the standing queries in force, the ledger, the archive's history. Flows out: rows of thresholds, and a new
revision of each query so that all matchers read them. Stops before the statistics themselves (`thresholds`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol
from uuid import UUID

import numpy as np
import structlog
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry
from sqlalchemy import Engine, delete, func, select
from sqlalchemy.orm import Session

from alerts.budgets.exits import clear_below, noise
from alerts.budgets.pasts import Past, Pasts
from alerts.budgets.thresholds import ReleaseBackground, Threshold, WithBackground, WithCalibration
from alerts.budgets.together import Background, Found, thresholds_together
from alerts.clock import Clock, machine_time
from alerts.learning.examples import embedded, of_query
from alerts.learning.fit import head
from alerts.learning.heads import Head, all_in_force
from alerts.locks import serialise
from alerts.percolation.standing import Held
from alerts.queries import LOCK, bump
from alerts.settings import MatcherSettings
from archive.interface import Archive
from schemas.database import reading, transaction
from schemas.errors import Rejected
from schemas.messages import Sensor, StandingQuery
from schemas.tables import AcquisitionRow, CoverageRow, QueryRow, ThresholdRow

Floats = NDArray[np.float32]
log = structlog.get_logger(__name__)

ORDINARY = 500
"""Ordinary chips that a head is learnt against: enough for their mean and spread, and quick."""


class TextEncoder(Protocol):
    """What is needed of `encoders.Encoder`."""

    @property
    def release(self) -> str:
        """Which vectors it makes."""

    def texts(self, sentences: list[str]) -> Floats:
        """float32 (n, 384), unit rows; `Rejected` if one of them cannot be understood."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A query whose thresholds are to be computed, of all its sensors: they share a budget."""

    query: StandingQuery
    area: BaseGeometry | None


@dataclass(frozen=True, slots=True)
class Computed:
    """By sensor its vectors, float32 (k, 384), and its thresholds by stratum."""

    wanted: Wanted
    vectors: dict[Sensor, Floats]
    found: Found


@dataclass(frozen=True, slots=True)
class _Sources:
    """What all thresholds of a round come from, by sensor, and what queries have learnt."""

    pasts: Mapping[Sensor, Past]
    releases: Mapping[Sensor, ReleaseBackground | None]
    heads: Mapping[UUID, Head]


class Calibrator:
    """Keeps the thresholds of one release complete and current."""

    def __init__(
        self,
        engine: Engine,
        archive: Archive,
        encoder: TextEncoder,
        settings: MatcherSettings,
        clock: Clock = machine_time,
        examples: Archive | None = None,
    ) -> None:
        """Remember where everything is; nothing is read yet.

        Args:
            engine: The database.
            archive: The history that thresholds are computed from.
            encoder: Of the release.
            settings: How much is read, and the least that a threshold needs.
            clock: When thresholds are computed.
            examples: Where chips that people have judged are looked up; none: in the same archive. A back-test knows no
                later history, but what people have answered by now.
        """
        self._examples = examples or archive
        self._clock = clock
        self._engine, self._archive, self._encoder, self._settings = engine, archive, encoder, settings
        self._pasts = Pasts(archive, encoder.release, settings)
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
        return self._store(self._computed(wanted, vectors))

    def _computed(self, wanted: Sequence[Wanted], vectors: Mapping[UUID, Floats]) -> list[Computed]:
        """As many of them as a round has time for, at least one."""
        started, sources = time.monotonic(), self._sources({sensor for each in wanted for sensor in each.query.sensors})
        computed: list[Computed] = []
        for each in wanted:
            if computed and time.monotonic() - started > self._settings.round_s:
                log.info("calibration goes on with the next round", done=len(computed), wanted=len(wanted))
                break
            texts = vectors[each.query.query_id]
            own = {sensor: self._learnt(each, sensor, texts, sources) for sensor in each.query.sensors}
            computed.append(Computed(each, own, self._thresholds(each, own, sources)))
        return computed

    def _sources(self, sensors: Iterable[Sensor]) -> _Sources:
        unmatched = self._unmatched()
        return _Sources(
            {sensor: self._pasts.of(sensor, seen=self._seen(sensor), unmatched=unmatched) for sensor in sensors},
            {sensor: self._release_background(sensor) for sensor in sensors},
            self._heads(),
        )

    def _learnt(self, each: Wanted, sensor: Sensor, texts: Floats, sources: _Sources) -> Floats:
        """The vectors of one sensor: of the words, moved by example chips and by answers where there are any."""
        learnt, background = sources.heads.get(each.query.query_id), sources.releases[sensor]
        judged = [*of_query(each.query), *(learnt.judged if learnt is not None else ())]
        if not judged:
            return texts
        examples = embedded(self._examples, self._encoder.release, sensor, judged)
        ground = sources.pasts[sensor].everywhere.vectors if background is None else background.vectors
        return np.stack([head(text, examples, ground[:ORDINARY]) for text in texts])

    def _thresholds(self, each: Wanted, vectors: Mapping[Sensor, Floats], sources: _Sources) -> Found:
        backgrounds = {
            sensor: Background(
                vector,
                sources.pasts[sensor].here(each.area),
                sources.pasts[sensor].everywhere,
                sources.releases[sensor],
                self._plausible(sensor, vector[0]),
            )
            for sensor, vector in vectors.items()
        }
        found = thresholds_together(each.query, backgrounds, self._settings)
        return {sensor: self._with_exits(each.query, backgrounds[sensor], strata) for sensor, strata in found.items()}

    def _with_exits(
        self, query: StandingQuery, background: Background, strata: Mapping[str, Threshold]
    ) -> dict[str, Threshold]:
        """The same, with what is clear again said too."""
        around = noise(
            background.vector,
            here=background.here,
            everywhere=background.everywhere,
            release=background.release,
            settings=self._settings,
        )
        return {
            name: replace(one, clear=clear_below(one, query.mode, around, self._settings))
            for name, one in strata.items()
        }

    def _plausible(self, sensor: Sensor, vector: Floats) -> float | None:
        if not isinstance(self._encoder, WithCalibration):
            return None
        return self._encoder.score_at(sensor, vector, self._settings.plausible)

    def _wanted(self, held: Sequence[Held]) -> list[Wanted]:
        """Queries without all their rows, then those computed when the archive was much smaller; one round's worth.

        Queries that the encoder has refused are left out: they would fill every round.
        """
        totals: dict[Sensor, int] = {}
        missing, outgrown = [], []
        for each in held:
            if each.query.sentence in self._refused:
                continue
            stored = {sensor: each.calibrated.get((self._encoder.release, sensor)) for sensor in each.query.sensors}
            computed = {sensor: one.computed_at for sensor, one in stored.items() if one is not None}
            if len(computed) < len(stored):
                missing.append(Wanted(each.query, each.area))
            elif any(self._outgrown(sensor, moment, totals) for sensor, moment in computed.items()):
                outgrown.append(Wanted(each.query, each.area))
        wanted = missing + outgrown
        thresholds = np.cumsum([len(each.query.sensors) for each in wanted])
        return wanted[: max(int((thresholds <= self._settings.thresholds_per_round).sum()), 1)]

    def _outgrown(self, sensor: Sensor, computed_at: datetime, totals: dict[Sensor, int]) -> bool:
        """Whether the archive holds much more than when a threshold was computed; `totals` keeps what it holds now."""
        now = totals[sensor] if sensor in totals else totals.setdefault(sensor, self._seen(sensor))
        return now >= max(self._seen_when(sensor, computed_at), 1) * self._settings.recalibrate_growth

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
        """float32 (k, 384) of those that the encoder understands: the sentence, and those of its wordings that it does.

        One that it does not understand must not hold up the others.
        """
        by_sentence = sorted({words for query in queries for words in (query.sentence, *query.wordings)})
        try:
            vectors = dict(zip(by_sentence, self._encoder.texts(by_sentence), strict=True))
        except Rejected:
            vectors = {sentence: vector for sentence in by_sentence for vector in self._understood(sentence)}
        return {
            query.query_id: np.stack([vectors[words] for words in _wordings(query) if words in vectors])
            for query in queries
            if query.sentence in vectors
        }

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

    def _heads(self) -> dict[UUID, Head]:
        """What queries have learnt from answers, and use."""
        return all_in_force(self._engine)

    def _store(self, computed: Sequence[Computed]) -> int:
        """Write the rows of queries that are still as they were."""
        now = self._clock()
        written = 0
        with transaction(self._engine) as session:
            serialise(session, LOCK)
            for each in computed:
                row = session.get(QueryRow, each.wanted.query.query_id)
                if row is None or row.version != each.wanted.query.version:
                    continue
                for sensor in each.found:
                    self._write(session, each, sensor, now)
                    written += 1
                bump(session, row)
        return written

    def _write(self, session: Session, each: Computed, sensor: Sensor, now: datetime) -> None:
        """All strata of one query and sensor, in place of those that were."""
        names = {"query_id": each.wanted.query.query_id, "release": self._encoder.release, "sensor": sensor}
        strata = each.found[sensor]
        session.execute(delete(ThresholdRow).filter_by(**names).where(ThresholdRow.stratum.not_in(list(strata))))
        for stratum, found in strata.items():
            session.merge(
                ThresholdRow(
                    **names,
                    stratum=stratum,
                    question=each.wanted.query.question,
                    vector=each.vectors[sensor].astype("<f4").tobytes(),
                    score=found.score,
                    presence=found.presence,
                    score_low=found.low,
                    score_high=found.high,
                    clear=found.clear,
                    basis=found.basis,
                    background=found.background,
                    needed=found.needed,
                    expected_per_week=found.expected_per_week,
                    tail=found.tail,
                    computed_at=now,
                )
            )
            log.info(
                "threshold computed",
                query_id=str(each.wanted.query.query_id),
                sensor=sensor,
                stratum=stratum,
                score=found.score,
                presence=found.presence,
                basis=found.basis,
                background=found.background,
                needed=found.needed,
            )


def _wordings(query: StandingQuery) -> tuple[str, ...]:
    """The sentence first, each once."""
    return tuple(dict.fromkeys((query.sentence, *query.wordings)))
