"""One acquisition's way from its files to the archive and to the matcher.

In: an acquisition message. Out: points in the archive, one coverage row, embedding batches on their topic. Stops
before matching.

Every step may be repeated: points have stable ids, coverage is replaced, a batch that was matched is not matched
again. So a message that comes twice, or a service that was killed half-way, ends in the same state.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import structlog
from shapely.geometry import shape
from sqlalchemy import Engine

from archive import Archive, Baselines
from archive.interface import DIMENSION
from encoders import ledger
from encoders.assets import Fetcher
from encoders.chips import ChipBlock
from encoders.interface import Encoder, Vectors
from encoders.reading import read_scene
from encoders.settings import EncoderSettings
from schemas.cells import Cell, cells_in, centres_lon_lat
from schemas.errors import InvalidArea
from schemas.messages import (
    MAX_CELLS_PER_BATCH,
    Acquisition,
    CellState,
    Chip,
    Embedding,
    EmbeddingBatch,
    stable_id,
)
from schemas.outbox import Sender
from schemas.publisher import Outgoing
from schemas.topics import EMBEDDINGS

RECORD_CELLS = 1024
"""Cells that are recorded together, in a thread, while the next ones are encoded: each call waits for the disk."""
UNIT_TOLERANCE = 1e-3
"""How far a vector's norm may be from 1; anything else (NaN, zero) means that the encoder failed on that chip."""

_log = structlog.get_logger("encoders")


@dataclass
class Spool:
    """What an acquisition has given so far: 5 KB a cell, so 60 MB for a full Sentinel-2 tile.

    Attributes:
        record: Begins to put points into the archive; they are recorded in the order of the calls.
        cells, chips: Everything that was read.
        points, vectors: What was encoded, of it.
        recorded: How many of the points the archive was given.
        baselines: What it answers, call by call.
    """

    record: Callable[[list[Embedding], Vectors], Future[Baselines]]
    cells: list[Cell] = field(default_factory=list)
    chips: list[Chip] = field(default_factory=list)
    points: list[Embedding] = field(default_factory=list)
    vectors: list[Vectors] = field(default_factory=list)
    recorded: int = 0
    baselines: list[Future[Baselines]] = field(default_factory=list)

    def add(self, points: list[Embedding], vectors: Vectors) -> None:
        """Take encoded cells; record when there are enough for a call."""
        self.points += points
        self.vectors.append(vectors)
        if len(self.points) - self.recorded >= RECORD_CELLS:
            self.flush()

    def flush(self) -> None:
        """Begin to record what has not been; a call that has failed by now is the end."""
        for job in self.baselines:
            if job.done():
                job.result()
        if self.recorded < len(self.points):
            self.vectors = [np.concatenate(self.vectors)]
            self.baselines.append(self.record(self.points[self.recorded :], self.vectors[0][self.recorded :]))
            self.recorded = len(self.points)

    def settle(self) -> None:
        """Return when all that was begun is durable."""
        for job in self.baselines:
            job.result()

    def batches(self, acquisition: Acquisition, release: str) -> Iterator[EmbeddingBatch]:
        """Messages of at most `MAX_CELLS_PER_BATCH` cells, once everything is durable; none: one of none."""
        none = np.empty((0, DIMENSION), np.float32)
        vectors = np.concatenate(self.vectors or [none])
        answers = [job.result() for job in self.baselines]
        baselines = np.concatenate([answer.vectors for answer in answers] or [none])
        counts = [count for answer in answers for count in answer.counts]
        for number, start in enumerate(range(0, len(self.points) or 1, MAX_CELLS_PER_BATCH)):
            rows = slice(start, start + MAX_CELLS_PER_BATCH)
            yield EmbeddingBatch(
                acquisition=acquisition,
                release=release,
                batch=number,
                batches=self.batch_count or 1,
                cells=tuple(point.cell for point in self.points[rows]),
                vectors=vectors[rows],
                baselines=baselines[rows],
                baseline_counts=tuple(counts[rows]),
            )

    @property
    def batch_count(self) -> int:
        """How many messages the cells need."""
        return -(-len(self.points) // MAX_CELLS_PER_BATCH)


@dataclass(frozen=True)
class Encoding:
    """The encoder service's work, without its loop.

    Attributes:
        engine: Ledger and coverage.
        publisher: Sends batches.
        archive: Takes vectors, gives baselines.
        encoder: Chips to vectors.
        settings: Limits.
        fetcher: Connections to asset hosts.
    """

    engine: Engine
    publisher: Sender
    archive: Archive
    encoder: Encoder
    settings: EncoderSettings
    fetcher: Fetcher

    def handle(self, acquisition: Acquisition) -> None:
        """Encode an acquisition; returns when everything is durable.

        Raises:
            Rejected: it cannot be read.
            Retryable: an asset host, a store or the broker does not answer.
        """
        with structlog.contextvars.bound_contextvars(
            acquisition_id=str(acquisition.acquisition_id), item_id=acquisition.item_id
        ):
            if not ledger.is_wanted(self.engine, acquisition):
                _log.info("acquisition needs no encoding any more")
                return
            with ThreadPoolExecutor(1, thread_name_prefix="record") as recorder:
                spool = Spool(lambda points, vectors: recorder.submit(self.archive.record, points, vectors))
                try:
                    self._encode_all(acquisition, spool)
                finally:  # after a failure what waits need not be recorded
                    recorder.shutdown(cancel_futures=True)
            self._finish(acquisition, spool)

    def on_dead_letter(self, acquisition: Acquisition | None, reason: str) -> None:
        """An acquisition was given up: its ledger row and its coverage say so."""
        if acquisition is None:
            return
        try:
            cells = cells_in(shape(acquisition.footprint))
        except InvalidArea as error:
            _log.warning("footprint too large for coverage", item_id=acquisition.item_id, reason=str(error))
            cells = []
        ledger.record_failed(self.engine, acquisition, cells, reason)

    def _encode_all(self, acquisition: Acquisition, spool: Spool) -> None:
        """The whole scene, encoded and recorded."""
        scene = read_scene(acquisition, self.settings, self.fetcher, self.encoder.device)
        with closing(ahead(scene, self.settings.read_ahead)) as blocks:
            for block in blocks:
                self._encode(acquisition, block, spool)
        spool.flush()
        spool.settle()

    def _encode(self, acquisition: Acquisition, block: ChipBlock, spool: Spool) -> None:
        """Vectors of a block's seen cells into the spool."""
        chips = list(block.chips)
        rows = np.array(block.seen, dtype=int)
        if rows.size:
            pixels = block.pixels if rows.size == len(chips) else block.pixels[rows]
            vectors = self.encoder.images(pixels, acquisition.sensor, block.present_bands)
            sound = np.abs(np.linalg.norm(vectors, axis=1) - 1) <= UNIT_TOLERANCE  # false for NaN
            for row in rows[~sound]:
                chips[row] = chips[row].model_copy(update={"state": CellState.FAILED})
            rows = rows[sound]
            seen = [block.cells[row] for row in rows], [chips[row] for row in rows]
            spool.add(_embeddings(acquisition, *seen, self.encoder.release), vectors[sound])
        spool.cells += block.cells
        spool.chips += chips

    def _finish(self, acquisition: Acquisition, spool: Spool) -> None:
        """State and coverage, then the messages: a crash between the two repeats both."""
        batches = 0 if acquisition.backfill else spool.batch_count or int(self._takes_back(acquisition, spool))
        may_go = ledger.record_encoded(self.engine, acquisition, spool.cells, spool.chips, batches)
        if may_go and batches:
            for batch in spool.batches(acquisition, self.encoder.release):
                self.publisher.send([Outgoing(EMBEDDINGS.name, acquisition.key, batch).record()])
        _log.info("encoded", cells=len(spool.chips), seen=len(spool.points), batches=batches, superseded=not may_go)

    def _takes_back(self, acquisition: Acquisition, spool: Spool) -> bool:
        """Whether the matcher must hear of a version that shows nothing: what an older one has shown is void then.

        Not where cells could not be encoded: that says something of us, and nothing of the scene.
        """
        was_read = bool(spool.chips) and all(chip.state is not CellState.FAILED for chip in spool.chips)
        return was_read and ledger.shown_before(self.engine, acquisition)


def ahead(blocks: Generator[ChipBlock], depth: int) -> Generator[ChipBlock]:
    """The same blocks, read in a thread up to `depth` before they are asked for; errors come where they happened."""
    end: list[ChipBlock] = []  # `next` of an exhausted or failed generator gives this

    def read() -> list[ChipBlock]:
        return next(([block] for block in blocks), end)

    with ThreadPoolExecutor(1, thread_name_prefix="read") as pool:
        waiting: deque[Future[list[ChipBlock]]] = deque(pool.submit(read) for _ in range(depth))
        try:
            while block := waiting.popleft().result():
                waiting.append(pool.submit(read))
                yield block[0]
        finally:
            pool.shutdown(cancel_futures=True)
            blocks.close()


def _embeddings(acquisition: Acquisition, cells: list[Cell], chips: list[Chip], release: str) -> list[Embedding]:
    return [
        Embedding(
            point_id=stable_id("point", cell.id, acquisition.physical_key, release),
            cell=cell.id,
            sensor=acquisition.sensor,
            sensing_at=acquisition.sensing_at,
            physical_key=acquisition.physical_key,
            acquisition_id=acquisition.acquisition_id,
            processed_at=acquisition.processed_at,
            source=acquisition.source,
            collection=acquisition.collection,
            item_id=acquisition.item_id,
            platform=acquisition.platform,
            relative_orbit=acquisition.relative_orbit,
            release=release,
            lon=float(lon),
            lat=float(lat),
            valid_fraction=chip.valid_fraction,
            cloud_fraction=chip.cloud_fraction,
            simulated=acquisition.simulated,
        )
        for cell, chip, (lon, lat) in zip(cells, chips, centres_lon_lat(cells), strict=True)
    ]
