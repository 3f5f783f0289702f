"""In: a made-up year of passes and clouds over Germany. Out: what the coverage ledger takes, and how fast it answers.

Stops before pixels: states of cells are drawn, not judged. Orbits have the spacing, swath and revisit of two Sentinel-2
and two Sentinel-1; clouds are correlated fields whose cover follows the skies of Central Europe (64 % in the mean).
Raw rows are written as the encoder writes them, for the passes of one week, and folded by the service's own code; the
rest of the year is packed by the same code, straight from the states.
"""

import argparse
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median

import numpy as np
import shapely
from numpy.typing import NDArray
from sqlalchemy import Engine, func, select, text

from alerts import queries
from alerts.coverage.blind import BlindWatch
from alerts.coverage.blocks import CAUSES, CELLS, Block, cell_ids
from alerts.coverage.fold import fold
from alerts.coverage.ground import ground_of
from alerts.coverage.sights import sights
from alerts.coverage.weeks import midnight, weeks
from alerts.places import centres
from alerts.settings import CoverageSettings
from benchmarks.machine import elapsed
from benchmarks.report import emit
from schemas.cells import cells_in
from schemas.database import connect, migrate, reading, transaction
from schemas.geometry import to_geojson
from schemas.logs import configure
from schemas.messages import Cause, CellState, Chip, Coverage, Sensor, stable_id
from schemas.tables import CoverageRow, CoverageWeekRow, QueryRow

GERMANY = shapely.Polygon(
    [
        *((8.6, 54.9), (9.9, 54.8), (11.1, 54.4), (13.8, 54.6), (14.3, 53.3), (14.7, 51.9), (15.0, 51.0), (14.3, 50.9)),
        *((12.1, 50.3), (12.5, 49.7), (13.8, 48.7), (13.0, 47.7), (11.0, 47.4), (9.6, 47.5), (7.6, 47.6), (7.8, 48.6)),
        *((8.2, 49.0), (6.7, 49.2), (6.1, 50.0), (6.0, 51.5), (7.0, 52.2), (7.1, 53.6), (8.0, 53.8), (8.6, 54.9)),
    ]
)
"""A rough outline: 360,000 km²."""
MIDDLE_LON, MIDDLE_LAT, DEGREE_KM = 10.5, 51.0, 111.32
YEAR = date(2025, 1, 6)
"""Its first Monday."""
WEEKS = 52
YEARS = 5
QUERIES = 50
SAMPLE = 10
"""Raw rows of each sensor that are written and folded."""
FIELD_KM = 1024
"""Edge of the cloud fields, at 1 km."""
KINDS: tuple[tuple[CellState, Cause | None], ...] = (
    (CellState.NOT_ACQUIRED, None),
    (CellState.SEEN, None),
    (CellState.OBSCURED, Cause.CLOUD),
    (CellState.OBSCURED, Cause.SHADOW),
)
Kinds = NDArray[np.uint8]
"""Index into `KINDS`, one a cell."""


@dataclass(frozen=True)
class Orbit:
    """A strip that a sensor sees every so many days.

    Attributes:
        sensor: Whose.
        centre_km: Of the strip, across the track.
        half_km: Half of its width.
        tilt: Sine of the track's angle to the meridian, positive leans to the east.
        every: Days.
        phase: First day.
    """

    sensor: Sensor
    centre_km: float
    half_km: float
    tilt: float
    every: int
    phase: int

    def inside(self, xy: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which points (n, 2), km, lie in the strip."""
        across = xy[:, 0] * np.sqrt(1 - self.tilt**2) - xy[:, 1] * self.tilt
        return np.asarray(np.abs(across - self.centre_km) < self.half_km)


def orbits() -> list[Orbit]:
    """143 orbits of 290 km in 10 days with two satellites; 175 of 250 km in 12 days, ascending and descending."""
    s2, s1 = (40_075 / count * np.cos(np.radians(MIDDLE_LAT)) for count in (143, 175))
    return [
        *(Orbit("s2", i * s2, 145, -0.26, 5, 3 * i % 5) for i in range(-4, 5)),
        *(Orbit("s1", i * s1, 125, tilt, 6, (5 * i + shift) % 6) for i in range(-5, 6) for tilt, shift in SIDES),
    ]


SIDES = ((-0.24, 0), (0.24, 3))
"""Descending and ascending: tilt, and days between them."""


def plane(lon_lat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kilometres east and north of the middle, good enough for strips."""
    lon, lat = lon_lat.T
    east = (lon - MIDDLE_LON) * np.cos(np.radians(MIDDLE_LAT)) * DEGREE_KM
    return np.column_stack([east, (lat - MIDDLE_LAT) * DEGREE_KM])


def sky(rng: np.random.Generator) -> NDArray[np.float32]:
    """Cloud depth over 1 km pixels, above 0 where it hides the ground.

    Source: power spectra of cloud fields fall with k^(-5/3) along a line (Cahalan and Snider, 1989, Remote Sensing of
    Environment 28), so with k^(-8/3) in the plane, and amplitudes with k^(-4/3).
    """
    k = np.hypot(np.fft.fftfreq(FIELD_KM)[:, None], np.fft.rfftfreq(FIELD_KM)[None, :])
    k[0, 0] = np.inf
    noise = np.fft.rfft2(rng.standard_normal((FIELD_KM, FIELD_KM)))
    field = np.fft.irfft2(noise * k ** -(4 / 3), s=(FIELD_KM, FIELD_KM))
    cover = rng.beta(0.9, 0.5)
    return np.asarray(field - np.quantile(field, 1 - cover), np.float32)


def kinds(xy: NDArray[np.float64], orbit: Orbit, field: NDArray[np.float32]) -> Kinds:
    """What an orbit shows of cells."""
    inside = orbit.inside(xy)
    if orbit.sensor == "s1":
        return inside.astype(np.uint8)
    row, column = ((xy + FIELD_KM / 2).astype(int) % FIELD_KM).T
    cloud = field[row, column] > 0
    shadow = ~cloud & (field[(row + 2) % FIELD_KM, column] > 0) & ((row * 7 + column * 13) % 5 == 0)
    return np.where(inside, np.where(cloud, 2, np.where(shadow, 3, 1)), 0).astype(np.uint8)


def year(engine: Engine, places: dict[str, NDArray[np.float64]], skies: list[NDArray[np.float32]]) -> None:
    """Write the blocks of a year, week by week."""
    passes = orbits()
    for week in range(WEEKS):
        blocks: dict[tuple[str, str], Block] = {}
        for day in range(7):
            number = 7 * week + day
            for orbit in (each for each in passes if number % each.every == each.phase):
                for square, xy in places.items():
                    add(blocks, square, orbit.sensor, day, kinds(xy, orbit, skies[number]))
        monday = YEAR + timedelta(weeks=week)
        with transaction(engine) as session:
            session.add_all(
                CoverageWeekRow(square=square, sensor=sensor, monday=monday, planes=block.pack(), sealed=True)
                for (square, sensor), block in sorted(blocks.items())
            )


def add(blocks: dict[tuple[str, str], Block], square: str, sensor: str, day: int, found: Kinds) -> None:
    """Enter a look at a square."""
    if not found.any():
        return
    block, bit = blocks.setdefault((square, sensor), Block()), np.uint8(1 << day)
    block.seen[found == 1] |= bit
    block.obscured[found > 1] |= bit
    for kind in (2, 3):
        block.causes[found == kind] |= np.uint8(CAUSES[KINDS[kind][1]])


def scenes(day: int) -> Iterator[tuple[Orbit, str, shapely.Polygon]]:
    """Acquisitions of a day: Sentinel-2 tiles of 110 km, Sentinel-1 slices of 170 km along the strip."""
    lat_step, lon_step = 100 / DEGREE_KM, 100 / DEGREE_KM / np.cos(np.radians(MIDDLE_LAT))
    for number, orbit in enumerate(each for each in orbits() if day % each.every == each.phase):
        high, wide = (1.7, 2.6) if orbit.sensor == "s1" else (1.0, 1.0)
        for i in range(12):
            for j in range(12):
                west, south = 4 + i * lon_step * wide, 46 + j * lat_step * high
                box = shapely.box(west, south, west + lon_step * wide * 1.1, south + lat_step * high * 1.1)
                touched = orbit.inside(plane(shapely.get_coordinates(box))).any()
                if touched and GERMANY.intersects(box):
                    yield orbit, f"{orbit.sensor}-{day}-{number}-{i}-{j}", box


def raw_row(orbit: Orbit, name: str, box: shapely.Polygon, day: int, field: NDArray[np.float32]) -> CoverageRow:
    """As the encoder writes it."""
    cells = cells_in(box)
    found = kinds(plane(centres([cell.id for cell in cells])), orbit, field)
    rng = np.random.default_rng(day)
    clouds = np.where(found == 1, rng.integers(0, 4000, len(cells)), rng.integers(4001, 10_000, len(cells))) / 1e4
    chips = tuple(
        Chip(
            cell=cell.id,
            state=KINDS[kind][0],
            valid_fraction=1.0 if kind else 0.0,
            cloud_fraction=cloud if orbit.sensor == "s2" and kind else 0.0,
            cause=KINDS[kind][1],
        )
        for cell, kind, cloud in zip(cells, found.tolist(), clouds.tolist(), strict=True)
    )
    sensing_at = midnight(YEAR + timedelta(days=day)) + timedelta(hours=10)
    coverage = Coverage(
        acquisition_id=stable_id(name),
        physical_key=name,
        source="made up",
        item_id=name,
        sensor=orbit.sensor,
        sensing_at=sensing_at,
        chips=chips,
    )
    west, south, east, north = box.bounds
    return CoverageRow(
        acquisition_id=coverage.acquisition_id,
        physical_key=name,
        source="made up",
        item_id=name,
        sensor=orbit.sensor,
        sensing_at=sensing_at,
        west=west,
        south=south,
        east=east,
        north=north,
        seen=int((found == 1).sum()),
        obscured=int((found > 1).sum()),
        failed=0,
        chips=zlib.compress(coverage.model_dump_json().encode()),
    )


def database(folder: Path, name: str) -> tuple[Engine, Path]:
    """An empty one."""
    path = folder / name
    migrate(f"sqlite:///{path}")
    return connect(f"sqlite:///{path}"), path


def size(engine: Engine, path: Path) -> int:
    """Bytes of the file, with everything in it written out."""
    with engine.connect().execution_options(tocsin_reading=True) as connection:
        connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    return path.stat().st_size


def timed(work: Callable[[], object], repeats: int) -> float:
    """Median seconds of processor time: one thread does it all, and whatever else the machine does is left out."""
    return median(elapsed(work).cpu_s for _ in range(repeats))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--repeats", type=int, default=3, help="repeats of each question (median is reported)")
    arguments = parser.parse_args()
    configure("warning", "benchmark")  # to stderr: stdout is for figures
    rng = np.random.default_rng(0)
    skies = [sky(rng) for _ in range(7 * WEEKS)]
    ground = ground_of(GERMANY)
    squares = sorted(ground.masks or {})
    places = {square: plane(centres(cell_ids(square, range(CELLS)))) for square in squares}
    emit("coverage_cells_germany", ground.cells or 0, "cells")
    emit("coverage_squares_germany", len(squares), "squares of 100 km")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        emit("coverage_block_worst", len(noise(rng).pack()), "bytes a square and week")
        ledger_bytes = of_the_ledger(folder, places, skies, arguments.repeats)
        raw_bytes = of_raw_rows(folder, skies)
    emit("coverage_raw_germany_5_years", YEARS * WEEKS * raw_bytes / 1e6, "MB")
    emit("coverage_raw_to_ledger", WEEKS * raw_bytes / ledger_bytes, "1", peer="raw rows")


def noise(rng: np.random.Generator) -> Block:
    """The hardest to pack: every cell looked at on every day, and each of them decided by a coin."""
    seen = rng.integers(0, 128, CELLS).astype(np.uint8)
    return Block(seen, 127 - seen, np.zeros(CELLS, np.uint8), (2 ** rng.integers(0, 3, CELLS)).astype(np.uint8))


def of_the_ledger(
    folder: Path, places: dict[str, NDArray[np.float64]], skies: list[NDArray[np.float32]], repeats: int
) -> int:
    """Size of a year of blocks, and what they answer how fast; returns the file's bytes."""
    engine, path = database(folder, "year.sqlite")
    empty = size(engine, path)
    year(engine, places, skies)
    taken = size(engine, path) - empty
    with reading(engine) as session:
        means = session.execute(
            select(CoverageWeekRow.sensor, func.avg(func.length(CoverageWeekRow.planes)), func.count()).group_by(
                CoverageWeekRow.sensor
            )
        ).all()
    for sensor, mean, count in means:
        emit(f"coverage_block_{sensor}", float(mean), "bytes a square and week")
        emit(f"coverage_blocks_{sensor}_year", count, "blocks")
    emit("coverage_ledger_germany_5_years", YEARS * taken / 1e6, "MB", ceiling=1000)
    since, until = midnight(YEAR), midnight(YEAR + timedelta(weeks=WEEKS))
    emit(
        "coverage_weeks_of_a_year", timed(lambda: weeks(engine, ("s1", "s2"), GERMANY, since, until), repeats), "CPU s"
    )
    last = YEAR + timedelta(weeks=WEEKS, days=-1)
    ground = ground_of(GERMANY)
    emit(
        "coverage_cells_of_a_year",
        timed(lambda: list(sights(engine, ground, ("s1", "s2"), YEAR, last)), repeats),
        "CPU s",
    )
    of_blindness(engine, datetime.combine(last, datetime.min.time(), UTC))
    engine.dispose()
    return taken


def of_blindness(engine: Engine, now: datetime) -> None:
    """What it takes to look at queries over 30 km boxes: the first time, and then every ten minutes."""
    rng = np.random.default_rng(0)
    for lon, lat in rng.uniform((8, 48), (12, 53), (QUERIES, 2)):
        area = to_geojson(shapely.box(lon, lat, lon + 0.4, lat + 0.27))
        query = queries.add(engine, f"query {lon}", area=area).query
        older = query.model_copy(update={"created_at": now - timedelta(days=90)})
        with transaction(engine) as session:
            session.get_one(QueryRow, query.query_id).message = older.model_dump_json()
    watch = BlindWatch(engine, CoverageSettings())
    for name in ("coverage_blind_first_look", "coverage_blind_look"):
        emit(name, elapsed(lambda: watch.look(now)).cpu_s / QUERIES, "CPU s a query")


def of_raw_rows(folder: Path, skies: list[NDArray[np.float32]]) -> float:
    """Size of a week of raw rows, from a sample, and the time to fold one; returns bytes a week."""
    engine, path = database(folder, "week.sqlite")
    empty = size(engine, path)
    week = [(day, *scene) for day in range(7) for scene in scenes(day)]
    total = 0.0
    for sensor in ("s1", "s2"):
        of_sensor = [each for each in week if each[1].sensor == sensor]
        sample = of_sensor[:: max(len(of_sensor) // SAMPLE, 1)]
        rows = [raw_row(orbit, name, box, day, skies[day]) for day, orbit, name, box in sample]
        emit(f"coverage_raw_row_{sensor}", float(np.mean([len(row.chips) for row in rows])), "bytes an acquisition")
        emit(f"coverage_raw_rows_{sensor}_week", len(of_sensor), "acquisitions")
        with transaction(engine) as session:
            session.add_all(rows)
        taken = size(engine, path) - empty
        total += taken * len(of_sensor) / len(rows)
        start = time.process_time()
        folded = fold(engine)
        emit(f"coverage_fold_{sensor}", (time.process_time() - start) / len(rows), "CPU s an acquisition")
        if folded != len(rows):
            raise SystemExit(f"{folded} of {len(rows)} rows were folded: the benchmark is void")
        empty = size(engine, path)
    with reading(engine) as session:
        mondays = set(session.scalars(select(CoverageWeekRow.monday)))
    if mondays != {YEAR}:
        raise SystemExit(f"rows of one week were folded into {sorted(mondays)}: the benchmark is void")
    engine.dispose()
    return total


if __name__ == "__main__":
    main()
