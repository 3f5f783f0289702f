"""What a cell looked like before: running means that can always be made anew from the points.

Flows in: points already written, with what they replaced. Flows out: the mean of earlier acquisitions of each,
and updated baselines. Stops before matching.

A baseline is a cache of its series of points, which are the truth. A point is durable before its baseline is
touched, so after a crash in between the baseline merely lacks it, and the redelivered message finds a point that
the baseline does not know: then, as in every other case that simple arithmetic does not cover, the baseline is
made anew from the points. Two writers notice each other by the revision and the later one starts again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from archive.interface import DIMENSION, ArchiveFilter, Baselines, Vectors
from archive.points import baseline_id
from archive.records import is_point, members, names, ordered
from archive.store import Baseline, Members, Store
from schemas.errors import StoreUnavailable
from schemas.messages import Embedding

MEMBERS_LISTED = 64
"""Members kept by name: enough to spot redelivered and late acquisitions of a year without reading the series."""
OVERPASS = timedelta(hours=1)
"""What was sensed less than this before an acquisition is no past of it: neighbouring tiles and slices of one overpass
show the same ground within minutes, and the next overpass of any orbit comes hours later."""
CELLS_READ_AT_ONCE = 16
"""Series read from the points together: bounds the memory of remaking baselines."""
MOST_CONFLICTS = 20
"""Times that another writer may come first before we give up and let the message be retried."""


@dataclass(frozen=True, slots=True)
class Written:
    """One recorded acquisition of one cell.

    Attributes:
        embedding: As the archive holds it now: the recorded one, or the newer one that was there.
        vector: float32 (384,), likewise.
        before: What the point's id held before, or None.
        series: The baseline that it belongs to.
        member: What that baseline lists of it, `records.MEMBER` (1,).
    """

    embedding: Embedding
    vector: Vectors
    before: tuple[Embedding, Vectors] | None
    series: UUID
    member: Members

    @property
    def changed(self) -> bool:
        """Whether the point is another than before."""
        return (
            self.before is None or self.before[0] != self.embedding or not np.array_equal(self.before[1], self.vector)
        )


def written(embedding: Embedding, vector: Vectors, before: tuple[Embedding, Vectors] | None) -> Written:
    """What `update` needs of one point."""
    return Written(embedding, vector, before, baseline_id(embedding), members([embedding]))


_Sum = tuple[NDArray[np.float64], int]
"""Sum of vectors, float64 (384,), and how many they are."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    mean: NDArray[np.float64]
    count: int
    baseline: Baseline | None
    """To be written, or None where nothing changed."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A baseline that agrees with the points, seen from one acquisition of its series.

    Attributes:
        total: float64 (384,), sum over all members but this acquisition.
        others: All listed members but this acquisition.
        count: How many members there are but this acquisition, listed or not.
        earlier: Listed members of overpasses before its own.
        later: Listed members of its own overpass or later ones.
        lists_later: Whether there can be no later ones that are not listed.
    """

    baseline: Baseline
    total: NDArray[np.float64]
    others: Members
    count: int
    earlier: Members
    later: Members
    lists_later: bool

    @property
    def needed(self) -> Members:
        """Members whose vectors are needed: the fewer of both sides."""
        if not self.lists_later:
            return self.others[:0]
        return self.earlier if self._adds_up else self.later

    def past(self, vectors: Mapping[UUID, Vectors], read: _Sum | None) -> _Sum | None:
        """Sum over the earlier members; None where a vector is missing."""
        if not self.lists_later:
            return read
        if any(point_id not in vectors for point_id, _ in names(self.needed)):
            return None
        part = sum((vectors[point_id].astype(np.float64) for point_id, _ in names(self.needed)), np.zeros(DIMENSION))
        return (part if self._adds_up else self.total - part), self.count - len(self.later)

    @property
    def _adds_up(self) -> bool:
        return self.count == len(self.others) and len(self.earlier) < len(self.later)


def update(store: Store, points: Sequence[Written]) -> Baselines:
    """Bring baselines up to date with written points, and tell what came before each.

    Args:
        store: Where the points already are.
        points: Of one release, every series at most once.

    Raises:
        StoreUnavailable: other writers came first again and again.
    """
    outcomes: dict[UUID, _Outcome] = {}
    waiting = list(points)
    for _ in range(MOST_CONFLICTS):
        if not waiting:
            break
        fresh = _outcomes(store, waiting)
        changed = [outcome.baseline for outcome in fresh.values() if outcome.baseline]
        lost = store.write_baselines(waiting[0].embedding.release, changed) if changed else set()
        outcomes |= {series: outcome for series, outcome in fresh.items() if series not in lost}
        waiting = [one for one in waiting if one.series in lost]
    if waiting:
        raise StoreUnavailable(f"{len(waiting)} baselines are being changed by other writers: try again")
    return _answer([outcomes[one.series] for one in points])


def _outcomes(store: Store, points: Sequence[Written]) -> dict[UUID, _Outcome]:
    """What each point's baseline says and becomes: by arithmetic where that is safe, else by reading the series."""
    release = points[0].embedding.release
    stored = store.baselines(release, [one.series for one in points])
    known = {one.series: _known(one, stored[one.series]) for one in points if one.series in stored}
    wanted = [name for one in known.values() if one for name in names(one.needed)]
    vectors = store.vectors(release, wanted) if wanted else {}
    deep = [one for one in points if (seen := known.get(one.series)) and not seen.lists_later]
    read = _read_earlier(store, deep)
    outcomes: dict[UUID, _Outcome] = {}
    unclear: list[Written] = []
    for one in points:
        seen = known.get(one.series)
        past = seen.past(vectors, read.get(one.series)) if seen else None
        if seen and past:
            outcomes[one.series] = _by_arithmetic(one, seen, past)
        elif one.series not in known and one.before is None:
            outcomes[one.series] = _first(one)
        else:  # a crash came between point and baseline
            unclear.append(one)
    for start in range(0, len(unclear), CELLS_READ_AT_ONCE):
        outcomes |= _by_reading(store, unclear[start : start + CELLS_READ_AT_ONCE], stored)
    return outcomes


def _first(one: Written) -> _Outcome:
    """The first of its series."""
    return _Outcome(np.zeros(DIMENSION), 0, Baseline(one.series, one.vector, 1, one.member, 1))


def _known(one: Written, baseline: Baseline) -> _Known | None:
    """A baseline seen from one acquisition; None where it and the points do not agree."""
    own = is_point(baseline.members, one.embedding.point_id)
    listed, others = baseline.members[own], baseline.members[~own]
    expected = members([one.before[0]]) if one.before else listed[:0]
    if not np.array_equal(listed, expected) or (own.any() and listed["sensing_us"][0] != one.member["sensing_us"][0]):
        return None
    at = one.member["sensing_us"][0] - OVERPASS // timedelta(microseconds=1)
    total = baseline.vector.astype(np.float64) * baseline.count
    if one.before:
        total -= one.before[1]
    earlier = others["sensing_us"] < at
    lists_later = baseline.count == len(baseline.members) or bool(baseline.members["sensing_us"][0] < at)
    count = baseline.count - len(listed)
    return _Known(baseline, total, others, count, others[earlier], others[~earlier], lists_later)


def _by_arithmetic(one: Written, known: _Known, past: _Sum) -> _Outcome:
    """Add or exchange one member."""
    changed = None
    if one.changed:
        mean = ((known.total + one.vector) / (known.count + 1)).astype(np.float32)
        listed = ordered(np.concatenate([known.others, one.member]))[-MEMBERS_LISTED:]
        changed = Baseline(one.series, mean, known.count + 1, listed, known.baseline.revision + 1)
    total, count = past
    return _Outcome(total / count if count else np.zeros(DIMENSION), count, changed)


def _read_earlier(store: Store, points: Sequence[Written]) -> dict[UUID, _Sum]:
    """Sums over the points sensed before very late arrivals, older than all that their baselines list."""
    sums: dict[UUID, _Sum] = {one.series: (np.zeros(DIMENSION), 0) for one in points}
    own = {one.embedding.point_id for one in points}
    for at in sorted({one.embedding.sensing_at for one in points}):
        now = {one.series: one.embedding for one in points if one.embedding.sensing_at == at}
        cells, sensors = {one.cell for one in now.values()}, {one.sensor for one in now.values()}
        narrowed = ArchiveFilter(until=at - OVERPASS, cells=tuple(sorted(cells)), sensors=tuple(sorted(sensors)))
        for page in store.scroll(next(iter(now.values())).release, narrowed):
            for embedding, vector in zip(page.embeddings, page.vectors, strict=True):
                series = baseline_id(embedding)
                if series in now and embedding.point_id not in own:
                    total, count = sums[series]
                    sums[series] = (total + vector, count + 1)
    return sums


def _by_reading(store: Store, points: Sequence[Written], stored: Mapping[UUID, Baseline]) -> dict[UUID, _Outcome]:
    """Make baselines anew from all points of their cells."""
    release = points[0].embedding.release
    cells = tuple(sorted({one.embedding.cell for one in points}))
    sensors = tuple(sorted({one.embedding.sensor for one in points}))
    series: dict[UUID, list[tuple[Embedding, Vectors]]] = {}
    for page in store.scroll(release, ArchiveFilter(cells=cells, sensors=sensors)):
        for embedding, vector in zip(page.embeddings, page.vectors, strict=True):
            series.setdefault(baseline_id(embedding), []).append((embedding, vector))
    return {one.series: _read_outcome(one, series[one.series], stored.get(one.series)) for one in points}


def _read_outcome(one: Written, rows: Sequence[tuple[Embedding, Vectors]], stored: Baseline | None) -> _Outcome:
    past = [
        vector
        for embedding, vector in rows
        if embedding.sensing_at < one.embedding.sensing_at - OVERPASS and embedding.point_id != one.embedding.point_id
    ]
    made = Baseline(
        one.series,
        _mean([vector for _, vector in rows]).astype(np.float32),
        len(rows),
        members([embedding for embedding, _ in rows])[-MEMBERS_LISTED:],
        stored.revision + 1 if stored else 1,
    )
    return _Outcome(_mean(past), len(past), None if stored and _same(made, stored) else made)


def _mean(vectors: Sequence[Vectors]) -> NDArray[np.float64]:
    """Mean of vectors, float64 (384,); zeros of none."""
    total = np.sum(vectors, axis=0, dtype=np.float64) if vectors else np.zeros(DIMENSION)
    return np.asarray(total / max(len(vectors), 1))


def _same(made: Baseline, stored: Baseline) -> bool:
    return (
        made.count == stored.count
        and np.array_equal(made.members, stored.members)
        and np.allclose(made.vector, stored.vector, rtol=0, atol=1e-7)
    )


def _answer(outcomes: Sequence[_Outcome]) -> Baselines:
    vectors = np.zeros((len(outcomes), DIMENSION), dtype=np.float32)
    for row, outcome in enumerate(outcomes):
        vectors[row] = outcome.mean
    return Baselines(vectors, tuple(outcome.count for outcome in outcomes))
