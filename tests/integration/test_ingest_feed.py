"""The poller against real STAC servers: the feed of real acquisitions, hostile cases included, released over time.

Both servers are third-party. Their packages live in a virtual environment of their own: TOCSIN_TEST_FEED_PYTHON
(geoparquet) and TOCSIN_TEST_PGSTAC_PYTHON name an interpreter that has them; otherwise one is made beside `.venv`.
pgstac needs PostgreSQL with PostGIS as well, and is in the slow ring.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import pytest
from sqlalchemy import Engine, select

from ingest.poll import backfill, poll_source
from ingest.report import PollReport
from ingest.settings import IngestSettings
from ingest.sources import add_source
from schemas.database import connect, migrate, reading
from schemas.geometry import read_bbox, to_geojson
from schemas.messages import Acquisition
from schemas.publisher import Record
from schemas.tables import AcquisitionRow, CoverageRow, CursorRow, DeadLetterRow
from schemas.topics import ACQUISITIONS, BACKFILL

COLLECTIONS = ["sentinel-2-c1-l2a", "sentinel-1-rtc", "sentinel-2-l1c"]
LONG_AGO = datetime(2015, 1, 1, tzinfo=UTC)
STAGES = ("2018-01-01T00:00:00Z", "2019-01-01T00:00:00Z", "2025-03-09T11:30:00Z", "2100-01-01T00:00:00Z")
"""Release times: before and after each of the versions of one item."""


@dataclass
class FakeKafka:
    """Takes every record."""

    records: list[Record] = field(default_factory=list)

    def send(self, records: Iterable[Record]) -> None:
        self.records += records

    def acquisitions(self) -> list[Acquisition]:
        return [Acquisition.from_bytes(record.value) for record in self.records if "dlq" not in record.topic]


class Feed(Protocol):
    """A STAC server of the feed (`conftest.Feed`)."""

    url: str

    def release(self, until: str) -> None: ...


@dataclass
class Story:
    """What happened while the feed was released in stages, with a poll after each."""

    reports: list[PollReport]
    kafka: FakeKafka
    rows: list[AcquisitionRow]
    after: list[dict[str, str]]
    cursors: list[CursorRow]
    letters: int

    def of(self, *item_ids: str) -> list[Acquisition]:
        return [one for one in self.kafka.acquisitions() if one.item_id in item_ids]


@pytest.fixture(scope="module", params=["geoparquet", pytest.param("pgstac", marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest, new_feed: Callable[..., AbstractContextManager[Feed]]) -> Iterator[Feed]:
    with new_feed(request.param, "--nasty", "--hold", "--keep-times") as feed:
        yield feed


@pytest.fixture(scope="module")
def story(server: Feed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with _database(tmp_path_factory.mktemp("story")) as engine:
        add_source(engine, "feed", server.url, collections=COLLECTIONS, since=LONG_AGO)
        kafka, reports, after = FakeKafka(), [poll_source(engine, "feed", settings=IngestSettings())], []
        for stage in STAGES:
            server.release(stage)
            reports.append(poll_source(engine, "feed", kafka, settings=IngestSettings()))
            after.append({row.item_id: row.state for row in _rows(engine)})
        reports.append(poll_source(engine, "feed", kafka, settings=IngestSettings()))
        with reading(engine) as session:
            cursors = list(session.scalars(select(CursorRow)))
            letters = len(session.scalars(select(DeadLetterRow)).all())
        yield Story(reports, kafka, _rows(engine), after, cursors, letters)


def test_every_item_is_accounted_for(story: Story, shared: Path) -> None:
    files = {path.stem for path in (shared / "feed/items").glob("*/*.json")}
    nasty = {item["id"] for item in json.loads((shared / "feed/nasty.json").read_text())["features"]}
    assert {row.item_id for row in story.rows} == files | nasty
    # 141 + 16 announcements; the fully clouded one has the id and the times of its twin in the main feed
    assert len(story.rows) == 156
    assert Counter(row.state for row in story.rows) == {"queued": 142, "superseded": 13, "waiting": 1}
    assert story.letters == 0
    assert [report.errors for report in story.reports] == [[]] * 6
    assert [report.warnings for report in story.reports] == [[]] * 6


def test_nothing_is_announced_twice(story: Story) -> None:
    ids = [one.acquisition_id for one in story.kafka.acquisitions()]
    assert len(ids) == len(set(ids)) == 154
    assert {record.topic for record in story.kafka.records} == {ACQUISITIONS.name}
    last = story.reports[-1]
    assert (last.new, last.superseding, last.waiting, last.ignored, last.failed) == (0, 0, 0, 0, 0)


def test_cursors_stand_at_the_newest(story: Story) -> None:
    until = {cursor.collection: cursor.read_until for cursor in story.cursors}
    assert until["sentinel-2-c1-l2a"] == datetime(2025, 3, 9, 12, 0, 54, 233000, tzinfo=UTC)


def test_reprocessed_new_id(story: Story) -> None:
    first, second, *_ = story.of(
        "S2A_T33UUP_20170613T101031_L2A_BEN87-48", "S2A_T33UUP_20170613T101031_L2A_BEN87-48_REPROC"
    )
    assert second.item_id.endswith("REPROC")
    assert second.supersedes == first.acquisition_id
    assert second.physical_key == first.physical_key
    assert story.after[0]["S2A_T33UUP_20170613T101031_L2A_BEN87-48"] == "queued"


def test_reprocessed_same_id(story: Story) -> None:
    versions = story.of("S2A_T33UUP_20170613T101031_L2A_BEN87-48")
    assert [one.processed_at.year for one in versions] == [2017, 2019]
    assert versions[1].supersedes is not None
    assert versions[0].physical_key == versions[1].physical_key


def test_incomplete_assets_then_complete(story: Story) -> None:
    partial = "S2_COMPOSITE_LIDIA_20250108_POST_L2A_PARTIAL"
    assert story.after[2][partial] == "waiting"
    assert story.after[2]["S2_COMPOSITE_LIDIA_20250108_POST_L2A"] == "queued"
    (announced,) = story.of(partial)
    assert set(announced.assets) == {"B02", "B03", "B04", "B08", "B12"}
    assert sorted(row.state for row in story.rows if row.item_id == partial) == ["queued", "superseded"]


def test_incomplete_forever(story: Story) -> None:
    (row,) = (row for row in story.rows if row.item_id.endswith("NEVERCOMPLETE"))
    assert (row.state, row.reason) == ("waiting", "incomplete: without B08, B12")
    assert story.of(row.item_id) == []


def test_antimeridian(story: Story) -> None:
    (one,) = story.of("S2_SATCLIP_322265_L2A_ANTIMERIDIAN")
    assert one.footprint["type"] == "MultiPolygon"
    assert one.epsg == 32660


def test_datetime_null(story: Story) -> None:
    (one,) = story.of("S2_COMPOSITE_DOVE_20241019_PRE_L2A_NULLDT")
    assert one.sensing_at == datetime(2024, 10, 18, tzinfo=UTC)


def test_s1_reprocessed(story: Story) -> None:
    base = "S1A_IW_GRDH_1SDV_20170617T064724_20170617T064749_017070_01C718_rtc_BEN36-85"
    first, second = story.of(base, f"{base}_A1B2")
    assert second.supersedes == first.acquisition_id
    other = story.of("S1A_IW_GRDH_1SDV_20170617T064724_20170617T064749_017070_01C718_rtc_BEN4-55")
    assert other[0].supersedes is None


def test_s1_single_polarisation(story: Story) -> None:
    (one,) = story.of("S1_TERRAMIND_282D485L33_20210721T084010_rtc_ONLYVV")
    assert set(one.assets) == {"VV"}


def test_published_days_late(story: Story) -> None:
    (one,) = story.of("S2_EOTDL_DKSTRAIT220352000_20220825_L2A")
    assert (one.published_at - one.sensing_at).days >= 3


def test_offsets_are_carried_as_declared(story: Story) -> None:
    declared = {
        name: {asset.offset for asset in story.of(name)[0].assets.values()}
        for name in (
            "S2_COMPOSITE_APACHE_20240624_POST_L2A_N0511",
            "S2_COMPOSITE_BRECKENRIDGE_20240709_POST_L2A_LIE1",
            "S2_COMPOSITE_BITTERWATER_20240605_POST_L2A_LIE2",
        )
    }
    assert list(declared.values()) == [{-0.1}, {0.0}, {-0.1}]


def test_scenes_of_one_product_and_time_are_not_confused(story: Story) -> None:
    keys = Counter(row.physical_key for row in story.rows)
    nasty = ("_REPROC", "_PARTIAL", "_NEVERCOMPLETE", "_404", "_TRUNCATED", "_N0511", "_LIE1", "_LIE2", "_NULLDT",
             "_DB", "_A1B2", "_ONLYVV")  # fmt: skip
    twins = {row.physical_key for row in story.rows if row.item_id.endswith(nasty)}
    assert {key for key, count in keys.items() if count > 1} == twins


def test_incomplete_forever_fails_when_its_time_is_over(server: Feed, story: Story, tmp_path: Path) -> None:
    with _database(tmp_path) as engine:
        box = to_geojson(read_bbox([-118.3, 34.4, -118.2, 34.5]))
        since = datetime(2025, 3, 9, 10, 30, tzinfo=UTC)  # its complete twin of the morning is not seen
        add_source(engine, "feed", server.url, collections=COLLECTIONS[:1], since=since, area=box)
        for _ in range(2):
            poll_source(engine, "feed", FakeKafka(), settings=IngestSettings(waiting_days=0))
        states = {row.item_id: row.state for row in _rows(engine)}
        assert states["S2_COMPOSITE_LIDIA_20250108_POST_L2A_NEVERCOMPLETE"] == "failed"
        with reading(engine) as session:
            coverage = session.scalars(select(CoverageRow)).all()
        assert coverage == []  # the scene itself was seen, through PARTIAL


def test_area_across_the_antimeridian(server: Feed, story: Story, tmp_path: Path) -> None:
    with _database(tmp_path) as engine:
        box = to_geojson(read_bbox([179.5, 50, -179.5, 52]))
        add_source(engine, "feed", server.url, collections=COLLECTIONS, since=LONG_AGO, area=box)
        kafka = FakeKafka()
        report = poll_source(engine, "feed", kafka, settings=IngestSettings())
        assert (report.new, report.outside) == (1, 0)
        assert [one.item_id for one in kafka.acquisitions()] == ["S2_SATCLIP_322265_L2A_ANTIMERIDIAN"]


def test_backfill_of_a_year(server: Feed, story: Story, tmp_path: Path) -> None:
    with _database(tmp_path) as engine:
        add_source(engine, "feed", server.url, collections=COLLECTIONS)
        kafka = FakeKafka()
        assert poll_source(engine, "feed", kafka, settings=IngestSettings()).new == 0
        span = (datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))
        first, second = (backfill(engine, "feed", *span, kafka) for _ in range(2))
        assert first.new > 10
        assert (second.new, second.superseding) == (0, 0)
        assert {record.topic for record in kafka.records} == {BACKFILL.name}
        assert all(one.backfill and one.sensing_at.year == 2024 for one in kafka.acquisitions())


# --- making it possible -------------------------------------------------------------------------------------------


class _database:  # noqa: N801  (a context manager, used as one)
    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'ledger.sqlite'}"

    def __enter__(self) -> Engine:
        migrate(self.url)
        self.engine = connect(self.url)
        return self.engine

    def __exit__(self, *_: object) -> None:
        self.engine.dispose()


def _rows(engine: Engine) -> list[AcquisitionRow]:
    with reading(engine) as session:
        return list(session.scalars(select(AcquisitionRow).order_by(AcquisitionRow.processed_at)))
