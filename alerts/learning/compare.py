"""What a query would have reported with and without what it is to learn.

In: a standing query, its answers, the archive. Out: both back-tests in a few numbers, and how each answer would have
fared. Stops before putting anything in force (`heads`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from alerts.backtest import Report, backtest
from alerts.budgets.calibrate import ORDINARY, TextEncoder
from alerts.budgets.thresholds import WithBackground
from alerts.learning.examples import Judged, embedded, of_query
from alerts.learning.judge import Agreement, agreement
from alerts.settings import MatcherSettings
from archive.interface import DIMENSION, Archive, ArchiveFilter, Vectors
from schemas.messages import Sensor, StandingQuery

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Fared:
    """A back-test in a few numbers.

    Attributes:
        incidents: That would have been reported.
        a_week: The same as a rate; none where no time passed.
        true_told: Of the true answers, those whose chips would have matched.
        false_told: Of the false ones.
    """

    incidents: int
    a_week: float | None
    true_told: int
    false_told: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is shown before a head is put in force.

    Attributes:
        true: Answers that it was what the query asks for.
        false: Answers that it was not.
        now: The query as it stands.
        then: The same with what it would learn.
        agreement: By sensor; one without judged chips is not among them.
        since: The back-test's beginning.
        until: And its end.
    """

    true: int
    false: int
    now: Fared
    then: Fared
    agreement: dict[Sensor, Agreement]
    since: datetime
    until: datetime

    def as_dict(self) -> dict[str, object]:
        """For programs and for the record."""
        return asdict(self) | {"since": self.since.isoformat(), "until": self.until.isoformat()}


def compare(
    query: StandingQuery,
    judged: Sequence[Judged],
    archive: Archive,
    encoder: TextEncoder,
    *,
    standing: Sequence[Judged] = (),
    settings: MatcherSettings | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Both states over the same history.

    The whole history is judged with thresholds that it has calibrated itself as it went; what falls into the part that
    the first thresholds are computed from is not reported by either.

    Args:
        query: As it stands.
        judged: What it would learn from.
        archive: Its history; only read.
        encoder: Of the release in use.
        standing: What it has learnt from so far.
        settings: As the live matcher's; none: from the environment.
        progress: Told now and then how far it is.

    Raises:
        Rejected: the encoder does not understand the sentence.
        StoreUnavailable: the archive does not answer.
    """
    now, then = (
        backtest(query, archive, encoder, settings=settings, answers=learnt, progress=progress)
        for learnt in (standing, judged)
    )
    agreed: dict[Sensor, Agreement] = {}
    text = encoder.texts([query.sentence])[0]
    for sensor in query.sensors:
        chips = embedded(archive, encoder.release, sensor, [*of_query(query), *judged])
        if len(chips.vectors):
            agreed[sensor] = agreement(text, chips, _ordinary(archive, encoder, sensor))
    true = sum(each.shown for each in judged)
    return Comparison(
        true, len(judged) - true, _fared(now, judged), _fared(then, judged), agreed, then.since, then.until
    )


def _fared(report: Report, judged: Sequence[Judged]) -> Fared:
    matched = {(match.cell, match.physical_key) for raised in report.incidents for match in raised.matches}
    told = [each.shown for each in judged if any((chip.cell, chip.physical_key) in matched for chip in each.chips)]
    rate = None if report.rate is None else report.rate.per_week
    return Fared(len(report.incidents), rate, sum(told), len(told) - sum(told))


def _ordinary(archive: Archive, encoder: TextEncoder, sensor: Sensor) -> Vectors:
    """Ordinary ground: the release's own where it brings some, else a sample of the archive."""
    brought = encoder.background(sensor) if isinstance(encoder, WithBackground) else None
    if brought is not None:
        return brought[0][:ORDINARY]
    wanted = ArchiveFilter(sensors=(sensor,))
    _, vectors = archive.history(release=encoder.release, filter=wanted, max_points=ORDINARY)
    return vectors.reshape(-1, DIMENSION)
