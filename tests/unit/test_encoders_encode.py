"""The encoder service without its loop: real files, real database; archive, model and broker are short fakes."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import active_count, current_thread
from threading import enumerate as enumerate_threads
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sqlalchemy import Engine, select

from archive import Baselines
from encoders.assets import Fetcher
from encoders.chips import ChipBlock
from encoders.encode import Encoding, ahead
from encoders.settings import EncoderSettings
from schemas.database import connect, migrate, reading, transaction
from schemas.errors import StoreUnavailable, UnreadableAsset
from schemas.messages import Acquisition, CellState, Coverage, Embedding, EmbeddingBatch, stable_id
from schemas.publisher import Record
from schemas.tables import AcquisitionRow, CoverageRow
from schemas.topics import ACQUISITIONS, BACKFILL, EMBEDDINGS

if TYPE_CHECKING:
    from tests.conftest import SceneMaker


@dataclass
class FakeEncoder:
    """Vectors that follow from the chips' mean; NaN where it is above `broken_above`."""

    release: str = "fake-1.0"
    sensors: tuple[str, ...] = ("s1", "s2")
    device: str | None = None
    broken_above: float = np.inf
    presents: set[tuple[str, ...]] = field(default_factory=set)

    def images(self, pixels: np.ndarray, sensor: str, present_bands: tuple[str, ...]) -> np.ndarray:
        assert isinstance(pixels, np.ndarray) == (self.device is None)
        pixels = np.asarray(pixels)
        assert pixels.dtype == np.float32 and pixels.shape[1:] == (13 if sensor == "s2" else 2, 120, 120)
        self.presents.add(present_bands)
        mean = np.nanmean(pixels, axis=(1, 2, 3))
        vectors = np.zeros((len(pixels), 384), np.float32)
        vectors[:, 0], vectors[:, 1] = np.cos(mean), np.sin(mean)
        vectors[mean > self.broken_above] = np.nan
        return vectors

    def texts(self, sentences: list[str]) -> np.ndarray:
        raise AssertionError("the encoder service embeds no sentences")


@dataclass
class FakeArchive:
    """Keeps points by id; a baseline is the cell's number of earlier points in every component."""

    points: dict[object, tuple[Embedding, np.ndarray]] = field(default_factory=dict)
    fails: int = 0
    calls: list[int] = field(default_factory=list)

    def record(self, embeddings: list[Embedding], vectors: np.ndarray) -> Baselines:
        if self.fails:
            self.fails -= 1
            raise StoreUnavailable("archive is away")
        self.calls.append(len(embeddings))
        counts = []
        for embedding, vector in zip(embeddings, vectors, strict=True):
            counts.append(sum(old.cell == embedding.cell for old, _ in self.points.values()))
            self.points[embedding.point_id] = (embedding, vector)
        return Baselines(np.repeat(np.array(counts, np.float32)[:, None], 384, axis=1), tuple(counts))


@dataclass
class FakePublisher:
    """Keeps what was sent."""

    sent: list[Record] = field(default_factory=list)

    def send(self, records: Iterable[Record]) -> None:
        self.sent += records

    @property
    def batches(self) -> list[EmbeddingBatch]:
        assert {record.topic for record in self.sent} <= {EMBEDDINGS.name}
        return [EmbeddingBatch.from_bytes(record.value) for record in self.sent]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    migrate(url)
    engine = connect(url)
    yield engine
    engine.dispose()


@dataclass
class Service:
    """An encoder service with its fakes."""

    engine: Engine
    scratch: Path
    fetcher: Fetcher
    encoding: Encoding
    encoder: FakeEncoder
    archive: FakeArchive
    publisher: FakePublisher

    def announce(self, acquisition: Acquisition, state: str = "queued") -> Acquisition:
        """As the poller enters it in the ledger."""
        with transaction(self.engine) as session:
            session.add(
                AcquisitionRow(
                    acquisition_id=acquisition.acquisition_id,
                    physical_key=acquisition.physical_key,
                    source=acquisition.source,
                    collection=acquisition.collection,
                    item_id=acquisition.item_id,
                    sensor=acquisition.sensor,
                    processed_at=acquisition.processed_at,
                    sensing_at=acquisition.sensing_at,
                    state=state,
                    message=acquisition.model_dump_json(),
                    topic=(BACKFILL if acquisition.backfill else ACQUISITIONS).name,
                    backfill=acquisition.backfill,
                    published_at=acquisition.published_at,
                    seen_at=acquisition.seen_at,
                )
            )
        return acquisition

    def row(self, acquisition: Acquisition) -> AcquisitionRow:
        with reading(self.engine) as session:
            row = session.get(AcquisitionRow, acquisition.acquisition_id)
            assert row is not None
            return row

    def coverages(self) -> list[tuple[CoverageRow, Coverage]]:
        with reading(self.engine) as session:
            rows = session.scalars(select(CoverageRow)).all()
        return [(row, Coverage.from_bytes(zlib.decompress(row.chips))) for row in rows]


@pytest.fixture
def service(engine: Engine, tmp_path: Path) -> Iterator[Service]:
    settings = EncoderSettings(threads=2, block_cells=40, scratch=tmp_path / "scratch")
    encoder, archive, publisher, fetcher = FakeEncoder(), FakeArchive(), FakePublisher(), Fetcher(settings)
    encoding = Encoding(engine, publisher, archive, encoder, settings, fetcher)  # type: ignore[arg-type]
    yield Service(engine, tmp_path / "scratch", fetcher, encoding, encoder, archive, publisher)
    fetcher.close()


@pytest.fixture
def wide(scenes: SceneMaker) -> Acquisition:
    """150 cells: 144 in the clear, six (the easternmost column) without data."""
    values = np.full((600, 2500), 900, np.uint16)
    values[:, 2400:] = 0
    return scenes.acquisition({"B02": scenes.band("b02.tif", values), "B03": scenes.band("b03.tif", values)})


def test_acquisition_is_recorded_covered_and_published(service: Service, wide: Acquisition) -> None:
    service.encoding.handle(service.announce(wide))

    row = service.row(wide)
    assert (row.state, row.batches) == ("encoded", 2)
    assert row.encoded_at is not None and row.matched_at is None
    batches = service.publisher.batches
    assert [(b.batch, b.batches, len(b.cells)) for b in batches] == [(0, 2, 128), (1, 2, 16)]
    assert {record.key for record in service.publisher.sent} == {wide.key.encode()}
    assert {b.release for b in batches} == {"fake-1.0"} and all(b.acquisition == wide for b in batches)
    cells = [cell for b in batches for cell in b.cells]
    assert len(set(cells)) == 144
    for b in batches:
        for cell, vector in zip(b.cells, b.vectors, strict=True):
            embedding, stored = service.archive.points[stable_id("point", cell, wide.physical_key, "fake-1.0")]
            np.testing.assert_array_equal(vector, stored)
            assert (embedding.cell, embedding.valid_fraction, embedding.item_id) == (
                cell,
                pytest.approx(1, abs=0.2),
                "ITEM",
            )
    assert service.encoder.presents == {("B02", "B03")}
    ((coverage_row, coverage),) = service.coverages()
    assert (coverage_row.seen, coverage_row.obscured, coverage_row.failed) == (144, 0, 0)
    assert len(coverage.chips) == 150
    assert coverage_row.west < 3.0 < coverage_row.east and coverage_row.south < 45.13 < coverage_row.north


def test_encoder_with_a_device_gets_pixels_there_and_gives_the_same(service: Service, wide: Acquisition) -> None:
    pytest.importorskip("torch", reason="needs the [torch] extra")
    service.encoding.handle(service.announce(wide))
    expected = {embedding.cell: vector for embedding, vector in service.archive.points.values()}
    service.archive.points.clear()
    service.encoder.device = "cpu"
    again = wide.model_copy(update={"physical_key": "AGAIN", "acquisition_id": stable_id("again")})
    service.encoding.handle(service.announce(again))
    found = {embedding.cell: vector for embedding, vector in service.archive.points.values()}
    assert found.keys() == expected.keys()
    np.testing.assert_allclose(list(found.values()), list(expected.values()), atol=1e-6)


def test_baselines_travel_with_their_cells(service: Service, wide: Acquisition) -> None:
    earlier = wide.model_copy(update={"physical_key": "EARLIER", "acquisition_id": stable_id("earlier")})
    service.encoding.handle(service.announce(earlier))
    assert {c for b in service.publisher.batches for c in b.baseline_counts} == {0}
    service.publisher.sent.clear()
    service.encoding.handle(service.announce(wide))
    for batch in service.publisher.batches:
        assert set(batch.baseline_counts) == {1}
        np.testing.assert_array_equal(batch.baselines, 1)


def test_cells_are_recorded_many_at_a_time_in_order(
    service: Service, wide: Acquisition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("encoders.encode.RECORD_CELLS", 60)  # blocks of 24: three make a call
    service.encoding.handle(service.announce(wide))
    assert service.archive.calls == [72, 72]
    assert [cell for b in service.publisher.batches for cell in b.cells] == [
        embedding.cell for embedding, _ in service.archive.points.values()
    ]


def test_same_message_again_changes_nothing_but_is_published_again(service: Service, wide: Acquisition) -> None:
    """The broker may have forgotten the batches: the matcher tells them apart."""
    service.encoding.handle(service.announce(wide))
    points = set(service.archive.points)
    service.encoding.handle(wide)
    assert set(service.archive.points) == points
    assert len(service.coverages()) == 1
    assert [b.batch for b in service.publisher.batches] == [0, 1, 0, 1]
    assert service.row(wide).state == "encoded"


@pytest.mark.parametrize("state", ["matched", "superseded", "ignored"])
def test_settled_acquisitions_are_not_read(service: Service, wide: Acquisition, state: str) -> None:
    service.encoding.handle(service.announce(wide, state))
    assert not service.archive.points and not service.publisher.sent and not service.coverages()
    assert service.row(wide).state == state


def test_redriven_failure_is_encoded_and_its_reason_gone(service: Service, wide: Acquisition) -> None:
    service.encoding.on_dead_letter(service.announce(wide), "asset B02 was away")
    assert service.row(wide).state == "failed"
    service.encoding.handle(wide)
    assert (service.row(wide).state, service.row(wide).reason) == ("encoded", None)
    ((row, coverage),) = service.coverages()
    assert (row.failed, coverage.reason) == (0, None)


def test_backfill_feeds_the_archive_and_nobody_else(service: Service, wide: Acquisition) -> None:
    past = wide.model_copy(update={"backfill": True})
    service.encoding.handle(service.announce(past))
    assert len(service.archive.points) == 144 and not service.publisher.sent
    row = service.row(past)
    assert (row.state, row.batches) == ("matched", 0)
    assert row.encoded_at is not None and row.matched_at is not None


def test_scene_of_which_nothing_is_seen_is_done_at_once(service: Service, scenes: SceneMaker) -> None:
    cloud = scenes.band("scl.tif", np.full((300, 300), 9, np.uint8))
    hidden = scenes.acquisition({"B02": scenes.band("b.tif", np.full((300, 300), 4000, np.uint16)), "SCL": cloud})
    service.encoding.handle(service.announce(hidden))
    assert (service.row(hidden).state, service.row(hidden).batches) == ("matched", 0)
    assert not service.archive.points and not service.publisher.sent
    ((row, _),) = service.coverages()
    assert (row.seen, row.obscured) == (0, 9)


def test_version_that_shows_nothing_says_so_where_an_older_one_had_shown_something(
    service: Service, wide: Acquisition, scenes: SceneMaker
) -> None:
    service.encoding.handle(service.announce(wide))
    service.publisher.sent.clear()
    cloud = scenes.band("scl.tif", np.full((300, 300), 9, np.uint8))
    hidden = scenes.acquisition({"B02": scenes.band("b.tif", np.full((300, 300), 4000, np.uint16)), "SCL": cloud})
    hidden = hidden.model_copy(update={"acquisition_id": stable_id("v2"), "physical_key": wide.physical_key})
    for _ in range(2):
        service.encoding.handle(hidden if service.publisher.sent else service.announce(hidden))
    assert [(b.acquisition, b.batch, b.batches, b.cells) for b in service.publisher.batches] == [(hidden, 0, 1, ())] * 2
    assert service.publisher.batches[0].vectors.shape == (0, 384)
    assert (service.row(hidden).state, service.row(hidden).batches) == ("encoded", 1)  # the matcher has not heard of it


def test_version_whose_cells_could_not_be_encoded_takes_nothing_back(
    service: Service, wide: Acquisition, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.encoding.handle(service.announce(wide))
    service.publisher.sent.clear()
    monkeypatch.setattr(service.encoder, "images", lambda pixels, *_: np.full((len(pixels), 384), np.nan, np.float32))
    newer = wide.model_copy(update={"acquisition_id": stable_id("v2")})
    service.encoding.handle(service.announce(newer))
    assert not service.publisher.sent
    assert (service.row(newer).state, service.row(newer).batches) == ("matched", 0)


def test_newer_version_that_arrives_meanwhile_silences_this_one(
    service: Service, wide: Acquisition, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.announce(wide)
    record = service.archive.record

    def overtaken(embeddings: list[Embedding], vectors: np.ndarray) -> Baselines:
        with transaction(service.engine) as session:
            session.get_one(AcquisitionRow, wide.acquisition_id).state = "superseded"
        return record(embeddings, vectors)

    monkeypatch.setattr(service.archive, "record", overtaken)
    service.encoding.handle(wide)
    assert service.row(wide).state == "superseded"
    assert not service.publisher.sent and not service.coverages()


def test_coverage_of_an_older_version_gives_way(service: Service, wide: Acquisition) -> None:
    from datetime import timedelta

    service.encoding.handle(service.announce(wide))
    newer = wide.model_copy(
        update={"acquisition_id": stable_id("v2"), "processed_at": wide.processed_at + timedelta(days=1)}
    )
    service.encoding.handle(service.announce(newer))
    assert [row.acquisition_id for row, _ in service.coverages()] == [newer.acquisition_id]


def test_archive_that_is_away_leaves_the_acquisition_unfinished(service: Service, wide: Acquisition) -> None:
    service.archive.fails = 1
    with pytest.raises(StoreUnavailable):
        service.encoding.handle(service.announce(wide))
    assert service.row(wide).state == "queued" and not service.publisher.sent and not service.coverages()
    assert not list(service.scratch.iterdir())
    service.encoding.handle(wide)
    assert service.row(wide).state == "encoded"


def test_archive_that_goes_away_early_ends_the_work_early(
    service: Service, wide: Acquisition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("encoders.encode.RECORD_CELLS", 1)
    service.archive.fails = 1
    with pytest.raises(StoreUnavailable):
        service.encoding.handle(service.announce(wide))
    assert len(service.archive.points) < 144
    assert not [thread for thread in enumerate_threads() if thread.name.startswith(("record", "read", "decode"))]


def test_vectors_that_are_not_finite_are_failed_cells(service: Service, scenes: SceneMaker) -> None:
    values = np.full((200, 400), 900, np.uint16)
    values[:, 200:] = 6000
    service.encoder.broken_above = 0.5
    acquisition = scenes.acquisition({"B02": scenes.band("b.tif", values)})
    service.encoding.handle(service.announce(acquisition))
    ((row, coverage),) = service.coverages()
    assert row.failed == 4 and row.seen == 4
    failed = {chip.cell for chip in coverage.chips if chip.state is CellState.FAILED}
    assert failed and not failed & {cell for b in service.publisher.batches for cell in b.cells}
    assert len(service.archive.points) == 4


def test_dead_letter_is_failed_coverage_over_the_footprint(service: Service, scenes: SceneMaker) -> None:
    acquisition = scenes.acquisition({"B02": scenes.band("b.tif", np.full((300, 300), 900, np.uint16))})
    acquisition = acquisition.model_copy(
        update={"assets": {"B02": acquisition.assets["B02"].model_copy(update={"href": scenes.files.url("gone.tif")})}}
    )
    with pytest.raises(UnreadableAsset, match=r"ITEM: asset B02 .*gone.tif.*HTTP 404") as caught:
        service.encoding.handle(service.announce(acquisition))
    service.encoding.on_dead_letter(acquisition, str(caught.value))
    service.encoding.on_dead_letter(acquisition, str(caught.value))
    row = service.row(acquisition)
    assert row.state == "failed" and "HTTP 404" in (row.reason or "")
    ((coverage_row, coverage),) = service.coverages()
    assert coverage_row.failed == len(coverage.chips) > 80
    assert {chip.state for chip in coverage.chips} == {CellState.FAILED}
    assert "HTTP 404" in (coverage_row.reason or "")


def test_dead_letter_of_a_superseded_version_leaves_it_so(service: Service, wide: Acquisition) -> None:
    service.encoding.on_dead_letter(service.announce(wide, "superseded"), "gone")
    assert service.row(wide).state == "superseded" and not service.coverages()


def test_dead_letter_that_was_no_acquisition_is_nothing_to_us(service: Service) -> None:
    service.encoding.on_dead_letter(None, "not JSON")
    assert not service.coverages()


def blocks(
    count: int, fails_at: int | None = None, seen: Callable[[int], None] = lambda _: None
) -> Iterator[ChipBlock]:
    for number in range(count):
        if number == fails_at:
            raise UnreadableAsset("damaged")
        seen(number)
        yield ChipBlock((), np.full((1, 1, 1, 1), number, np.float32), (), ())


def numbers(found: Iterable[ChipBlock]) -> list[int]:
    return [int(block.pixels[0, 0, 0, 0]) for block in found]


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_reading_ahead_keeps_all_blocks_in_order(count: int) -> None:
    assert numbers(ahead(blocks(count), 2)) == list(range(count))


def test_reading_ahead_is_bounded_and_in_another_thread() -> None:
    made: list[int] = []
    threads = set()

    def seen(number: int) -> None:
        made.append(number)
        threads.add(current_thread().name)

    taken = 0
    for _ in ahead(blocks(20, seen=seen), depth=2):
        taken += 1
        assert len(made) <= taken + 3
    assert taken == 20 and current_thread().name not in threads


def test_error_while_reading_ahead_comes_in_its_place_and_leaves_no_thread() -> None:
    before = active_count()
    found = []
    with pytest.raises(UnreadableAsset):
        for block in ahead(blocks(9, fails_at=5), 2):
            found.append(block)
    assert numbers(found) == [0, 1, 2, 3, 4]
    assert active_count() == before


def test_giving_up_half_way_closes_the_reader() -> None:
    closed = []

    def reader() -> Generator[ChipBlock]:
        try:
            yield from blocks(9)
        finally:
            closed.append(True)

    for _ in (reading_ahead := ahead(reader(), 2)):
        break
    reading_ahead.close()
    assert closed == [True]
