"""In: how many standing queries. Out: a database of them, and what a matcher needs to hold them.

Stops before products (`percolate`). Start-up and memory are those of a process of its own, which has nothing else.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from uuid import UUID

import numpy as np
import shapely
from sqlalchemy import Engine, func, insert, select

from alerts import queries
from alerts.budgets.calibrate import Calibrator
from alerts.matching import Matcher
from alerts.percolation.percolate import Points, percolate
from alerts.percolation.standing import StandingQueries
from alerts.settings import MatcherSettings
from benchmarks.percolate_work import appearance, interleaved, outlines, peak_rates, points, scores, unit
from encoders.nano import load_nano
from schemas.database import connect, migrate, reading, transaction
from schemas.messages import Acquisition, EmbeddingBatch, Mode, Sensor, StandingQuery, stable_id
from schemas.tables import IncidentRow, QueryRow, ThresholdRow

NOW = datetime(2026, 7, 1, 10, tzinfo=UTC)
SQUARE = "33TWN"
SIDE = 32
"""Cells of the batch along each side: 1024 in all."""
_AT_ONCE = 20_000
_NAME = stable_id("made up")


def written(
    folder: Path, number: int, release: str, passing: float, sensors: Sequence[Sensor] = ("s1", "s2")
) -> Engine:
    """A database with so many standing queries calibrated for these sensors; nine of ten have an area."""
    url = f"sqlite:///{folder / f'queries-{number}.sqlite'}"
    migrate(url)
    engine, rng = connect(url), np.random.default_rng(1)
    new, least = appearance(number), scores(number, passing)
    for start in range(0, number, _AT_ONCE):
        some = slice(start, min(start + _AT_ONCE, number))
        names = [stable_id("made up", i) for i in range(some.start, some.stop)]
        areas = shapely.to_geojson(outlines(rng, len(names)))
        vectors = unit(rng, len(names))
        with transaction(engine) as session:
            rows = zip(names, areas.tolist(), new[some].tolist(), range(some.start, some.stop), strict=True)
            session.connection().execute(insert(QueryRow), [_query(*row) for row in rows])
            thresholds = zip(names, vectors, least[some].tolist(), strict=True)
            session.connection().execute(
                insert(ThresholdRow),
                [
                    _threshold(name, release, sensor, vector.tobytes(), score)
                    for name, vector, score in thresholds
                    for sensor in sensors
                ],
            )
    return engine


def _query(name: UUID, area: str | None, new: bool, number: int) -> dict[str, object]:
    message = _template(new).replace(str(_NAME), str(name)).replace('"area":null', f'"area":{area or "null"}')
    times = {"created_at": NOW, "updated_at": NOW}
    return {"query_id": name, "version": 1, "status": "active", "message": message, "revision": number + 1} | times


@cache
def _template(new: bool) -> str:
    """The message of a query, by mode."""
    mode = Mode.APPEARANCE if new else Mode.PRESENCE
    return StandingQuery(query_id=_NAME, version=1, sentence="made up", mode=mode, created_at=NOW).model_dump_json()


def _threshold(name: UUID, release: str, sensor: str, vector: bytes, score: float) -> dict[str, object]:
    return {
        "query_id": name,
        "release": release,
        "sensor": sensor,
        "stratum": "",
        "vector": vector,
        "score": score,
        "presence": -1.0,
        "basis": "archive",
        "background": 1000,
        "computed_at": NOW,
    }


def started(url: str, release: str, seconds: float) -> dict[str, float]:
    """Read all queries of a database into this process, then match; what it took and what stays resident.

    Args:
        url: The database.
        release: Whose vectors.
        seconds: How long to measure products.
    """
    before = time.perf_counter()
    held = StandingQueries()
    held.refresh(connect(url))
    matrix = held.matrix(release, "s2")
    rng = np.random.default_rng(2)
    cells = {number: points(rng, number) for number in (1024, 4096)}
    percolate(matrix.standing, _first(cells[1024], 32))  # the codes are made with the first cells
    found = {"startup_s": time.perf_counter() - before, "memory_gib": _resident_gib()}
    tasks = {str(number): lambda each=each: percolate(matrix.standing, each) for number, each in cells.items()}
    taken = interleaved(tasks, seconds)  # type: ignore[arg-type]
    found |= {f"pairs_per_s_{number}": number * len(held) / taken[str(number)] for number in cells}
    found["peak"] = peak_rates(min(seconds, 2.0))[matrix.standing.present.bank.product.name]
    return found | {"memory_peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def _first(cells: Points, n: int) -> Points:
    return Points(cells.vectors[:n], cells.baselines[:n], cells.counts[:n], cells.lon[:n], cells.lat[:n])


def _resident_gib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**30


def in_a_process(url: str, release: str, seconds: float) -> Mapping[str, float]:
    """`started` in a process of its own."""
    call = f"started({url!r}, {release!r}, {seconds})"
    code = f"import json; from benchmarks.percolate_store import started; print(json.dumps({call}))"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return found


class _Nowhere:
    """A broker that takes everything."""

    def send(self, records: Iterable[object]) -> None:
        """Forget them."""


class _NoHistory:
    """An archive that has seen nothing, which a person's own threshold does not need."""

    def count(self, **_: object) -> int:
        return 0

    def history(self, **_: object) -> tuple[list[object], np.ndarray[tuple[int, int], np.dtype[np.float32]]]:
        return [], np.empty((0, 384), np.float32)


def registered(engine: Engine, release: str) -> tuple[float, float]:
    """Seconds from adding a query to the end of the next batch, which it matches; and of these, matching as such.

    Everything is the real thing but for an empty archive and a broker that takes everything: the row, the sentence's
    vector, its threshold, the standing matrix, the product of 1024 cells with all queries, the incident.
    """
    encoder, settings = load_nano(1), MatcherSettings()
    calibrator = Calibrator(engine, _NoHistory(), encoder, settings)  # type: ignore[arg-type]
    matcher = Matcher(engine, _Nowhere(), calibrator, release, settings)
    sentence = "a lake that was not there"
    vector = encoder.texts([sentence])[0]
    matcher.handle(_batch(0, vector, release))  # everything has been read and done once
    before = time.perf_counter()
    matcher.handle(_batch(1, vector, release))
    alone = time.perf_counter() - before
    before = time.perf_counter()
    query = queries.add(engine, sentence, mode="presence", threshold=0.9).query
    matcher.handle(_batch(2, vector, release))
    taken = time.perf_counter() - before
    with reading(engine) as session:
        incidents = select(func.count()).where(IncidentRow.query_id == query.query_id)
        if not session.scalar(incidents):
            raise SystemExit("the new query did not match the next batch: the benchmark is void")
    return taken, alone


def _batch(number: int, like: np.ndarray[tuple[int], np.dtype[np.float32]], release: str) -> EmbeddingBatch:
    sensor: Sensor = "s2"
    name = f"scene-{number}"
    acquisition = Acquisition(
        acquisition_id=stable_id("benchmark", name),
        physical_key=name,
        source="benchmark",
        collection="benchmark",
        item_id=name,
        sensor=sensor,
        footprint={},
        sensing_at=NOW,
        published_at=NOW,
        processed_at=NOW,
        seen_at=NOW,
        assets={},
        allowed_hosts=(),
    )
    cells = tuple(f"{SQUARE}{10 + i % SIDE:02d}{10 + i // SIDE:02d}" for i in range(SIDE * SIDE))
    vectors = unit(np.random.default_rng(number), len(cells))
    vectors[0] = like
    counts = (5,) * len(cells)
    baselines = np.float32(0.9) * unit(np.random.default_rng(100 + number), len(cells))
    return EmbeddingBatch(
        acquisition=acquisition,
        release=release,
        batch=0,
        batches=1,
        cells=cells,
        vectors=vectors,
        baselines=baselines,
        baseline_counts=counts,
    )
