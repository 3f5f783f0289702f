"""The poller against a small STAC API that can be told how to misbehave."""

from __future__ import annotations

import json
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, update

from ingest.catalogue import open_catalogue
from ingest.fetch import Patience
from ingest.poll import backfill, poll_source
from ingest.report import PollReport
from ingest.run import Poller
from ingest.settings import IngestSettings
from ingest.sources import Source, add_source, get_source, list_sources, remove_source
from ingest.upkeep import announce, republish_unfinished
from schemas import dead_letters
from schemas.database import connect, migrate, reading, transaction
from schemas.errors import CatalogueUnavailable, NotFound, StoreUnavailable, UsageError
from schemas.geometry import read_bbox, to_geojson
from schemas.messages import Acquisition, Coverage
from schemas.publisher import Record
from schemas.tables import AcquisitionRow, CoverageRow, CursorRow, OutboxRow
from schemas.topics import ACQUISITIONS, BACKFILL

LONG_AGO = datetime(2015, 1, 1, tzinfo=UTC)
S2, S1 = "sentinel-2-c1-l2a", "sentinel-1-rtc"
PAGE = 20
BANDS = {"blue": "B02", "green": "B03", "red": "B04", "nir": "B08", "swir22": "B12"}


@dataclass
class FakeApi:
    """Enough of a STAC API: landing page, collections, search with filter, sorting and offset paging.

    Attributes:
        items: What it holds.
        prefix: What it wants before the names of properties in filters and sorting.
        filters: Whether the CQL2 filter works; otherwise it is ignored silently.
        query: Whether the query extension works; otherwise it is ignored silently.
        sorts: Whether sorting works; otherwise HTTP 500.
        cap: It never gives more than so many items, though it says how many match.
        max_limit: A larger page answers HTTP 500.
        faults: Statuses for the next searches, before any answer.
        requests: Bodies of all searches.
        before_page: Called before each page is made.
    """

    items: list[dict[str, Any]] = field(default_factory=list)
    prefix: str = ""
    filters: bool = True
    query: bool = False
    sorts: bool = True
    cap: int | None = None
    max_limit: int = 1000
    faults: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    before_page: Callable[[], None] = lambda: None
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def landing(self) -> dict[str, Any]:
        links = [("self", ""), ("data", "collections"), ("search", "search")]
        return {
            "type": "Catalog",
            "id": "fake",
            "stac_version": "1.0.0",
            "description": "a fake",
            "conformsTo": [],
            "links": [
                {
                    "rel": rel,
                    "href": self.url + path,
                    "type": "application/geo+json" if rel == "search" else "application/json",
                    "method": "POST" if rel == "search" else "GET",
                }
                for rel, path in links
            ],
        }

    def collections(self) -> dict[str, Any]:
        extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}
        return {
            "collections": [
                {"type": "Collection", "id": name, "stac_version": "1.0.0", "description": name, "license": "other",
                 "extent": extent, "links": []}
                for name in (S2, S1)
            ],
            "links": [],
        }  # fmt: skip

    def search(self, body: dict[str, Any]) -> tuple[int, dict[str, Any], dict[str, str]]:
        self.requests.append(body)
        if self.faults:
            status, headers = self.faults.pop(0)
            return status, {"error": "fault"}, headers
        if body.get("limit", 10) > self.max_limit:
            return 500, {"error": "too much"}, {}
        self.before_page()
        found = [
            item for item in self.items if item.get("collection") in body["collections"] and self._near(item, body)
        ]
        if "filter" in body and self.filters:
            found = [item for item in found if self._passes(item, body["filter"])]
        if "query" in body and self.query:
            name, condition = next(iter(body["query"].items()))
            found = [item for item in found if _compare(self._value(item, name), *next(iter(condition.items())))]
        if "datetime" in body:
            found = [item for item in found if _between(item, body)]
        if "sortby" in body:
            name, direction = body["sortby"][0]["field"], body["sortby"][0]["direction"]
            if not self.sorts or not name.startswith(self.prefix):
                return 500, {"error": f"no column {name}"}, {}
            found.sort(key=lambda i: (self._value(i, name) or "", i["id"]), reverse=direction == "desc")
        offset, limit = body.get("offset", 0), body.get("limit", 10)
        end = min(offset + limit, self.cap) if self.cap is not None else offset + limit
        page: dict[str, Any] = {"type": "FeatureCollection", "features": found[offset:end], "links": []}
        page["numberMatched"] = len(found)
        if end < len(found) and (self.cap is None or end < self.cap):
            following = {**body, "offset": end}
            page["links"] = [{"rel": "next", "href": self.url + "search", "method": "POST", "body": following}]
        return 200, page, {}

    def _near(self, item: dict[str, Any], body: dict[str, Any]) -> bool:
        if "bbox" not in body:
            return True
        west, south, east, north = body["bbox"]
        if west > east:
            return True  # what real servers do with a box across the antimeridian: far too much
        return any(
            west <= lon <= east and south <= lat <= north for ring in _rings(item["geometry"]) for lon, lat in ring
        )

    def _passes(self, item: dict[str, Any], expression: dict[str, Any]) -> bool:
        named, bound = expression["args"]
        operator = {">=": "gte", "<": "lt"}[expression["op"]]
        value = self._value(item, named["property"])
        return value is not None and _compare(value, operator, bound["timestamp"])

    def _value(self, item: dict[str, Any], name: str) -> str | None:
        if not name.startswith(self.prefix):
            return None
        value: str | None = item["properties"].get(name.removeprefix(self.prefix))
        return value


def _rings(geometry: dict[str, Any]) -> list[list[list[float]]]:
    shapes = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    return [ring for rings in shapes for ring in rings]


def _between(item: dict[str, Any], body: dict[str, Any]) -> bool:
    first, last = body["datetime"].split("/")
    when = item["properties"]["datetime"] or item["properties"]["end_datetime"]
    return bool(first <= when and (last == ".." or when <= last))


def _compare(value: str | None, operator: str, bound: str) -> bool:
    return value is not None and (value >= bound if operator == "gte" else value < bound)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that 50 items are three pages."""
    monkeypatch.setattr("ingest.catalogue.page_limit", lambda _preset: PAGE)


@pytest.fixture
def api() -> Iterator[FakeApi]:
    fake = FakeApi()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_args: object) -> None:
            pass

        def do_GET(self) -> None:
            if self.path == "/":
                self.answer(200, fake.landing(), {})
            elif self.path == "/collections":
                self.answer(200, fake.collections(), {})
            else:
                self.answer(404, {}, {})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self.answer(*fake.search(body))

        def answer(self, status: int, body: dict[str, Any], headers: dict[str, str]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    migrate(url)
    engine = connect(url)
    yield engine
    engine.dispose()


@dataclass
class FakeKafka:
    """Takes records, or refuses while it is down."""

    down: bool = False
    records: list[Record] = field(default_factory=list)

    def send(self, records: Iterable[Record]) -> None:
        taken = list(records)
        if self.down and taken:
            raise StoreUnavailable("broker does not answer")
        self.records += taken

    def item_ids(self, topic: str = ACQUISITIONS.name) -> list[str]:
        return [Acquisition.from_bytes(r.value).item_id for r in self.records if r.topic == topic]


@pytest.fixture
def kafka() -> FakeKafka:
    return FakeKafka()


def s2_item(name: str = "one", **changes: Any) -> dict[str, Any]:
    """A complete Sentinel-2 item; `changes` go to the properties."""
    published = changes.pop("updated", "2024-05-01T16:00:00.000Z")
    bands = changes.pop("bands", tuple(BANDS))
    place = changes.pop("place", (10.0, 50.0))
    lon, lat = place
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": f"S2A_{name}",
        "collection": S2,
        "geometry": {"type": "Polygon", "coordinates": [
            [[lon, lat], [lon + 0.02, lat], [lon + 0.02, lat + 0.02], [lon, lat + 0.02], [lon, lat]]]},
        "bbox": [lon, lat, lon + 0.02, lat + 0.02],
        "properties": {
            "datetime": "2024-05-01T10:10:31.000Z",
            "platform": "sentinel-2a",
            "constellation": "sentinel-2",
            "grid:code": f"MGRS-32UNA{zlib.crc32(name.encode()) % 9000 + 1000:04d}",
            "s2:generation_time": "2024-05-01T14:00:00.000Z",
            "created": published,
            "updated": published,
            **changes,
        },
        "links": [],
        "assets": {
            key: {"href": f"http://127.0.0.1:1/{name}/{key}.tif", "eo:bands": [{"name": BANDS[key]}],
                  "raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": -0.1}]}
            for key in bands
        },
    }  # fmt: skip


def many(count: int, start: str = "2024-05-01T00:00:00") -> list[dict[str, Any]]:
    """Items one minute apart."""
    first = datetime.fromisoformat(start).replace(tzinfo=UTC)
    times = [(first + timedelta(minutes=n)).strftime("%Y-%m-%dT%H:%M:%S.000Z") for n in range(count)]
    return [s2_item(f"scene{n:04d}", updated=t, **{"grid:code": f"MGRS-32UNA{n:04d}"}) for n, t in enumerate(times)]


def add(engine: Engine, api: FakeApi, **options: Any) -> Source:
    options = {"collections": [S2], "since": LONG_AGO, **options}
    return add_source(engine, "fake", api.url, **options)


def fast(source: Source) -> Any:
    """The source's catalogue, without the patience that a real one deserves."""
    return open_catalogue(
        source.url,
        preset=source.preset,
        collections=source.collections,
        allowed_hosts=source.allowed_hosts,
        patience=Patience(attempts=2, sleep=lambda _: None),
    )


def poll(engine: Engine, kafka: FakeKafka | None, **options: Any) -> PollReport:
    return poll_source(engine, "fake", kafka, settings=IngestSettings(), opened=fast, **options)


def rows(engine: Engine) -> dict[str, str]:
    """State of each announcement by item id; the last one of an item counts."""
    with reading(engine) as session:
        found = session.scalars(select(AcquisitionRow).order_by(AcquisitionRow.processed_at))
        return {row.item_id: row.state for row in found}


def states(engine: Engine) -> Counter[str]:
    with reading(engine) as session:
        return Counter(session.scalars(select(AcquisitionRow.state)))


def cursor(engine: Engine) -> CursorRow:
    with reading(engine) as session:
        row = session.get(CursorRow, ("fake", S2))
        assert row is not None
        return row


# --- reading to the end -------------------------------------------------------------------------------------------


def test_every_item_is_announced_once_and_a_second_poll_says_nothing(
    api: FakeApi, engine: Engine, kafka: FakeKafka
) -> None:
    api.items = many(50)
    add(engine, api)
    first, second = poll(engine, kafka), poll(engine, kafka)
    assert (first.new, first.failed, first.errors) == (50, 0, [])
    assert (second.new, second.superseding, second.waiting) == (0, 0, 0)
    assert sorted(kafka.item_ids()) == sorted(item["id"] for item in api.items)
    assert states(engine) == {"queued": 50}
    with reading(engine) as session:
        assert session.scalars(select(OutboxRow)).all() == []
        assert all(row.queued_at for row in session.scalars(select(AcquisitionRow)))


def test_published_days_late_with_an_old_time_is_found_by_the_look_back(
    api: FakeApi, engine: Engine, kafka: FakeKafka
) -> None:
    api.items = [s2_item("new", updated="2024-05-10T00:00:00.000Z")]
    add(engine, api)
    poll(engine, kafka)
    api.items.append(s2_item("late", updated="2024-05-06T00:00:00.000Z"))
    assert poll(engine, kafka, thorough=False).new == 0
    assert poll(engine, kafka, thorough=True).new == 1


def test_old_sensing_time_does_not_hide_a_scene(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.items = [s2_item("a")]
    add(engine, api)
    poll(engine, kafka)
    api.items.append(s2_item("b", updated="2024-05-02T00:00:00.000Z", datetime="2019-01-01T00:00:00.000Z"))
    assert poll(engine, kafka).new == 1


def test_what_was_published_before_since_is_left_alone(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.items = [s2_item("old", updated="2024-04-30T00:00:00.000Z"), s2_item("new")]
    add(engine, api, since=datetime(2024, 5, 1, tzinfo=UTC))
    assert poll(engine, kafka).new == 1
    assert kafka.item_ids() == ["S2A_new"]


def test_an_item_that_comes_while_pages_are_read_is_not_lost(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.items = many(50)
    add(engine, api)
    came: list[bool] = []

    def arrive() -> None:
        if len(api.requests) > 7 and not came:
            came.append(True)
            api.items.insert(0, s2_item("between", updated="2024-04-30T23:59:00.000Z"))  # pushes the rest on

    api.before_page = arrive
    first, second = poll(engine, kafka), poll(engine, kafka)
    assert came
    assert first.new + second.new == 51
    assert len(set(kafka.item_ids())) == 51


# --- catalogues that cannot do everything -------------------------------------------------------------------------


def test_names_with_a_prefix_are_found_out(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.prefix, api.items = "properties.", many(25)
    add(engine, api)
    report = poll(engine, kafka)
    assert (report.new, report.warnings) == (25, [])
    assert api.requests[-1]["filter"]["args"][0] == {"property": "properties.updated"}


def test_query_extension_serves_where_filter_is_ignored(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.filters, api.query, api.items = False, True, many(25)
    add(engine, api)
    assert poll(engine, kafka).new == 25
    assert "query" in api.requests[-1]


def test_filter_that_is_ignored_silently_is_noticed_and_nothing_is_lost(
    api: FakeApi, engine: Engine, kafka: FakeKafka
) -> None:
    api.filters, api.items = False, many(50)
    add(engine, api)
    report = poll(engine, kafka)
    assert report.new == 50
    assert any("filtering by updated does not work" in warning for warning in report.warnings)
    assert "note: filtering by updated" in (cursor(engine).error or "")
    api.items.append(s2_item("next", updated="2024-06-01T00:00:00.000Z"))
    before = len(api.requests)
    assert poll(engine, kafka, thorough=False).new == 1
    offsets = [body.get("offset", 0) for body in api.requests[before:] if body["limit"] == PAGE]
    assert offsets == [0, PAGE]  # newest first, and no further than the last known


def test_sort_that_fails_is_noticed_and_nothing_is_lost(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.sorts, api.items = False, many(50)
    add(engine, api)
    report = poll(engine, kafka)
    assert report.new == 50
    assert any("sorting by updated does not work" in warning for warning in report.warnings)


def test_neither_filter_nor_sort_reads_everything_each_time(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.filters = api.sorts = False
    api.items = many(50)
    add(engine, api)
    report = poll(engine, kafka)
    assert report.new == 50
    assert any("everything is read at every poll" in warning for warning in report.warnings)
    api.items.insert(7, s2_item("hidden", updated="2016-01-01T00:00:00.000Z"))  # no look-back reaches this
    assert poll(engine, kafka, thorough=False).new == 1


def test_items_without_any_time_of_publication_are_all_read(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.items = many(25)
    for item in api.items:
        del item["properties"]["updated"], item["properties"]["created"]
    add(engine, api)
    assert poll(engine, kafka).new == 25
    assert poll(engine, kafka).new == 0


def test_catalogue_that_stops_at_a_cap_is_asked_on_from_there(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.cap, api.items = 2 * PAGE, many(90)
    add(engine, api)
    report = poll(engine, kafka)
    assert report.errors == []
    assert len(set(kafka.item_ids())) == 90


def test_cap_that_cannot_be_passed_fails_loudly(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.cap, api.items = 2 * PAGE, many(50)
    for item in api.items:
        item["properties"]["updated"] = "2024-05-01T00:00:00.000Z"
    add(engine, api)
    report = poll(engine, kafka)
    assert "says that 50 items match and stopped after 40" in report.errors[0]
    assert "stopped after 40" in (cursor(engine).error or "")


def test_large_pages_that_fail_are_asked_for_in_small_ones(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.max_limit, api.items = 15, many(50)
    add(engine, api)
    assert poll(engine, kafka).new == 50


def test_paging_in_a_circle_ends_with_a_reason(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.items = many(25)
    add(engine, api)
    honest = api.search

    def circular(body: dict[str, Any]) -> tuple[int, dict[str, Any], dict[str, str]]:
        status, page, headers = honest(body)
        for link in page.get("links", []):
            link["body"] = {key: value for key, value in body.items() if key != "offset"}
        return status, page, headers

    api.search = circular  # type: ignore[method-assign]
    assert "circle" in poll(engine, kafka).errors[0]


def test_next_page_on_a_foreign_host_is_not_followed(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.items = many(25)
    add(engine, api)
    honest = api.search

    def foreign(body: dict[str, Any]) -> tuple[int, dict[str, Any], dict[str, str]]:
        status, page, headers = honest(body)
        for link in page.get("links", []):
            link["href"] = "http://evil.example/search"
        return status, page, headers

    api.search = foreign  # type: ignore[method-assign]
    assert "evil.example" in poll(engine, kafka).errors[0]


# --- places -------------------------------------------------------------------------------------------------------


def test_area_across_the_antimeridian_is_asked_for_in_two_boxes(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.items = [s2_item("east", place=(179.9, 50.0)), s2_item("west", place=(-179.9, 50.0)), s2_item("far")]
    add(engine, api, area=to_geojson(read_bbox([179, 49, -179, 51])))
    assert poll(engine, kafka).new == 2
    assert sorted(kafka.item_ids()) == ["S2A_east", "S2A_west"]
    assert all(body["bbox"][0] < body["bbox"][2] for body in api.requests)


@pytest.mark.parametrize("lon", [179.9, -179.9])
def test_one_empty_side_of_the_antimeridian_does_not_hide_the_other(
    lon: float, api: FakeApi, engine: Engine, kafka: FakeKafka
) -> None:
    api.items = [s2_item("one", place=(lon, 50.0))]
    add(engine, api, area=to_geojson(read_bbox([179, 49, -179, 51])))
    assert poll(engine, kafka).new == 1


def test_antimeridian_footprint_is_split_and_entered_once(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    item = s2_item("both")
    item["geometry"] = {"type": "MultiPolygon", "coordinates": [
        [[[179.98, 51.1], [180.0, 51.1], [180.0, 51.2], [179.98, 51.2], [179.98, 51.1]]],
        [[[-180.0, 51.1], [-179.98, 51.1], [-179.98, 51.2], [-180.0, 51.2], [-180.0, 51.1]]]]}  # fmt: skip
    item["bbox"] = [179.98, 51.1, -179.98, 51.2]
    api.items = [item]
    add(engine, api, area=to_geojson(read_bbox([179, 49, -179, 52])))
    assert poll(engine, kafka).new == 1
    footprint = Acquisition.from_bytes(kafka.records[0].value).footprint
    assert footprint["type"] == "MultiPolygon"
    assert len(kafka.records) == 1


def test_item_outside_the_area_that_a_generous_server_gives_is_dropped(
    api: FakeApi, engine: Engine, kafka: FakeKafka
) -> None:
    corner = [[10.0, 50.0], [10.4, 50.0], [10.0, 50.4], [10.0, 50.0]]
    api.items = [s2_item("in", place=(10.05, 50.05)), s2_item("out", place=(10.35, 50.35))]
    add(engine, api, area={"type": "Polygon", "coordinates": [corner]})
    report = poll(engine, kafka)
    assert (report.new, report.outside) == (1, 1)


# --- versions and incomplete items --------------------------------------------------------------------------------


def test_reprocessed_new_id_supersedes(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.items = [s2_item("a", **{"grid:code": "MGRS-32UNA0001"})]
    add(engine, api)
    poll(engine, kafka)
    api.items.append(s2_item("a_reproc", updated="2025-05-01T00:00:00.000Z", **{
        "grid:code": "MGRS-32UNA0001", "s2:generation_time": "2025-05-01T00:00:00.000Z"}))  # fmt: skip
    assert poll(engine, kafka).superseding == 1
    first, second = (Acquisition.from_bytes(record.value) for record in kafka.records)
    assert second.supersedes == first.acquisition_id
    assert second.physical_key == first.physical_key
    assert rows(engine) == {"S2A_a": "superseded", "S2A_a_reproc": "queued"}


def test_reprocessed_same_id_supersedes(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.items = [s2_item("a")]
    add(engine, api)
    poll(engine, kafka)
    api.items = [s2_item("a", updated="2025-05-01T00:00:00.000Z", **{"s2:generation_time": "2025-04-30T00:00:00.000Z"})]
    report = poll(engine, kafka)
    assert (report.new, report.superseding) == (0, 1)
    assert states(engine) == {"superseded": 1, "queued": 1}


def test_matched_scene_stays_matched_when_it_is_superseded(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.items = [s2_item("a")]
    add(engine, api)
    poll(engine, kafka)
    with transaction(engine) as session:
        session.execute(update(AcquisitionRow).values(state="matched"))
    api.items = [s2_item("a", updated="2025-05-01T00:00:00.000Z", **{"s2:generation_time": "2025-04-30T00:00:00.000Z"})]
    poll(engine, kafka)
    assert states(engine) == {"matched": 1, "queued": 1}


def test_stale_version_that_arrives_late_is_ignored(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.items = [s2_item("new", **{"grid:code": "MGRS-32UNA0001", "s2:generation_time": "2024-06-01T00:00:00.000Z"})]
    add(engine, api)
    poll(engine, kafka)
    api.items.append(s2_item("old", updated="2024-06-02T00:00:00.000Z", **{"grid:code": "MGRS-32UNA0001"}))
    assert poll(engine, kafka).ignored == 1
    assert rows(engine)["S2A_old"] == "ignored"
    assert len(kafka.records) == 1


def test_metadata_touched_without_reprocessing_is_not_news(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.items = [s2_item("a")]
    add(engine, api)
    poll(engine, kafka)
    api.items = [s2_item("a", updated="2024-07-01T00:00:00.000Z")]
    assert poll(engine, kafka).ignored == 1
    assert poll(engine, kafka).known == 1
    assert len(kafka.records) == 1


def test_new_version_under_an_unchanged_updated_is_still_news(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.items = [s2_item("a")]
    add(engine, api)
    poll(engine, kafka)
    api.items = [s2_item("a", **{"s2:generation_time": "2024-05-01T15:30:00.000Z"})]
    assert poll(engine, kafka).superseding == 1
    assert poll(engine, kafka).superseding == 0
    assert len({Acquisition.from_bytes(r.value).acquisition_id for r in kafka.records}) == 2


def test_incomplete_assets_wait_and_complete_later(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.items = [s2_item("a", bands=("blue", "green", "red"))]
    add(engine, api)
    assert poll(engine, kafka).waiting == 1
    assert kafka.records == []
    assert poll(engine, kafka).waiting == 0
    api.items = [s2_item("a", updated="2024-05-01T18:00:00.000Z", **{"s2:generation_time": "2024-05-01T17:00:00.000Z"})]
    assert poll(engine, kafka).new == 1
    assert kafka.item_ids() == ["S2A_a"]
    assert states(engine) == {"superseded": 1, "queued": 1}


def test_incomplete_item_that_completes_without_a_new_updated_is_taken(
    api: FakeApi, engine: Engine, kafka: FakeKafka
) -> None:
    api.items = [s2_item("a", bands=("blue", "green", "red"))]
    add(engine, api)
    poll(engine, kafka)
    api.items = [s2_item("a")]
    assert poll(engine, kafka).new == 1
    assert states(engine) == {"queued": 1}


def test_incomplete_forever_fails_with_its_reason_and_shows_in_coverage(
    api: FakeApi, engine: Engine, kafka: FakeKafka
) -> None:
    api.items = [s2_item("a", bands=("blue", "green", "red"))]
    add(engine, api)
    impatient = IngestSettings(waiting_days=0)
    poll_source(engine, "fake", kafka, settings=impatient, opened=fast)
    poll_source(engine, "fake", kafka, settings=impatient, opened=fast)
    with reading(engine) as session:
        row = session.scalars(select(AcquisitionRow)).one()
        coverage = session.scalars(select(CoverageRow)).one()
    assert (row.state, row.reason) == ("failed", "incomplete: without B08, B12; never completed in 0 days")
    assert coverage.failed > 0
    assert (coverage.seen, coverage.obscured, coverage.reason) == (0, 0, row.reason)
    api.items = [s2_item("a", updated="2024-08-01T18:00:00.000Z", **{"s2:generation_time": "2024-08-01T17:00:00.000Z"})]
    assert poll(engine, kafka).new == 1
    with reading(engine) as session:
        assert session.scalars(select(CoverageRow)).all() == []


def test_incomplete_forever_is_not_blind_where_another_version_was_read(
    api: FakeApi, engine: Engine, kafka: FakeKafka
) -> None:
    place = {"grid:code": "MGRS-32UNA0001"}
    later = {**place, "s2:generation_time": "2024-05-02T00:00:00.000Z", "updated": "2024-05-02T01:00:00.000Z"}
    api.items = [s2_item("a", **place), s2_item("b", bands=("blue", "green"), **later)]
    add(engine, api)
    impatient = IngestSettings(waiting_days=0)
    for _ in range(2):
        poll_source(engine, "fake", kafka, settings=impatient, opened=fast)
    assert rows(engine) == {"S2A_a": "queued", "S2A_b": "failed"}
    with reading(engine) as session:
        assert session.scalars(select(CoverageRow)).all() == []


def test_older_version_is_taken_up_again_when_the_newer_one_cannot_be_read(
    api: FakeApi, engine: Engine, kafka: FakeKafka
) -> None:
    place = {"grid:code": "MGRS-32UNA0001"}
    later = {**place, "s2:generation_time": "2024-05-02T00:00:00.000Z", "updated": "2024-05-02T01:00:00.000Z"}
    api.items = [s2_item("a", **place), s2_item("b", **later)]
    add(engine, api)
    poll(engine, kafka)
    assert rows(engine) == {"S2A_a": "superseded", "S2A_b": "queued"}
    with transaction(engine) as session:
        broken = update(AcquisitionRow).where(AcquisitionRow.item_id == "S2A_b")
        session.execute(broken.values(state="failed", reason="HTTP 404"))
    poll(engine, kafka)
    assert rows(engine) == {"S2A_a": "queued", "S2A_b": "failed"}
    assert kafka.item_ids() == ["S2A_a", "S2A_b", "S2A_a"]


# --- items that lie or lack things --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (lambda item: item["properties"].update(datetime=None), "no datetime"),
        (lambda item: item["properties"].update(datetime="yesterday"), "no datetime"),
        (lambda item: item["properties"].update(datetime="2124-05-01T00:00:00Z"), "has not been yet"),
        (lambda item: item.update(geometry=None, bbox=None), "neither geometry nor bbox"),
        (lambda item: item.update(geometry={"type": "Point", "coordinates": [1, 2]}), "footprint cannot be used"),
        (lambda item: item.update(geometry={"type": "Polygon", "coordinates": [[["x"]]]}), "footprint cannot be used"),
        (lambda item: item.update(assets={}), "no asset is one of the s2 bands"),
        (lambda item: item.update(assets=["a"]), "no asset is one of the s2 bands"),
        (
            lambda item: item["assets"]["red"].update(href="http://evil.example/red.tif"),
            "where its source may not read",
        ),
        (lambda item: item["assets"]["red"].update(href="file:///etc/passwd"), "where its source may not read"),
    ],
)
def test_item_that_cannot_be_used_is_a_dead_letter_and_stops_nobody(
    fault: Callable[[dict[str, Any]], None], reason: str, api: FakeApi, engine: Engine, kafka: FakeKafka
) -> None:
    bad, good = s2_item("bad"), s2_item("good", updated="2024-05-01T17:00:00.000Z")
    fault(bad)
    api.items = [bad, good]
    add(engine, api)
    report = poll(engine, kafka)
    assert (report.new, report.failed) == (1, 1)
    (letter,) = dead_letters.list_dead_letters(engine)
    assert letter.item_id == "S2A_bad"
    assert reason in letter.reason
    assert "S2A_bad" in letter.reason
    assert json.loads(dead_letters.original(dead_letters.show(engine, letter.dead_letter_id)))["id"] == "S2A_bad"
    assert [record.topic for record in kafka.records].count(ACQUISITIONS.dead_letters) == 1
    assert poll(engine, kafka).failed == 0  # the same bad item again is the same dead letter


@pytest.mark.parametrize("feature", [None, 7, "x", [], {"id": 5}, {"id": ""}, {"id": "S2A_x" * 100}])
def test_feature_that_is_no_item_is_a_dead_letter(feature: Any, api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.items = [s2_item("good")]
    add(engine, api)
    honest = api.search

    def search(body: dict[str, Any]) -> tuple[int, dict[str, Any], dict[str, str]]:
        status, page, headers = honest(body)
        if "filter" in body and body["filter"]["op"] == ">=" and body["limit"] == PAGE:
            page["features"].append(feature)
        return status, page, headers

    api.search = search  # type: ignore[method-assign]
    report = poll(engine, kafka)
    assert (report.new, report.failed, report.errors) == (1, 1, [])


# --- trouble with the catalogue -----------------------------------------------------------------------------------


def test_busy_catalogue_is_asked_again_after_the_pause_it_wants(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.items = many(3)
    add(engine, api)
    api.faults = [(429, {"retry-after": "7"}), (503, {})]
    waits: list[float] = []

    def opened(source: Source) -> Any:
        return open_catalogue(
            source.url, preset=None, collections=[S2], allowed_hosts=source.allowed_hosts,
            patience=Patience(attempts=4, sleep=waits.append))  # fmt: skip

    report = poll_source(engine, "fake", kafka, settings=IngestSettings(), opened=opened)
    assert (report.new, report.errors) == (3, [])
    assert waits == [7.0, 2.0]


def test_catalogue_that_stays_down_is_noted_and_the_next_poll_goes_on(
    api: FakeApi, engine: Engine, kafka: FakeKafka
) -> None:
    api.items = many(3)
    add(engine, api)
    api.faults = [(503, {})] * 2
    report = poll(engine, kafka)
    assert "HTTP 503" in report.errors[0]
    assert "HTTP 503" in (cursor(engine).error or "")
    assert cursor(engine).polled_at is not None
    assert poll(engine, kafka).new == 3
    assert cursor(engine).error is None


def test_failure_in_the_middle_keeps_what_was_acknowledged(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.items = many(50)
    add(engine, api)
    fast_source = fast(get_source(engine, "fake"))
    poll_source(engine, "fake", kafka, settings=IngestSettings(), opened=lambda _: fast_source, go_on=lambda: False)
    assert len(kafka.records) == PAGE
    assert cursor(engine).read_until == datetime(2024, 5, 1, 0, PAGE - 1, tzinfo=UTC)
    poll(engine, kafka)
    assert len(set(kafka.item_ids())) == 50


# --- Kafka down, and killed at the worst moment -------------------------------------------------------------------


def test_cursor_does_not_move_while_kafka_does_not_acknowledge(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.items = many(3)
    add(engine, api)
    kafka.down = True
    report = poll(engine, kafka)
    assert "broker does not answer" in report.errors[0]
    assert cursor(engine).read_until == LONG_AGO
    with reading(engine) as session:
        assert len(session.scalars(select(OutboxRow)).all()) == 3
        assert all(row.queued_at is None for row in session.scalars(select(AcquisitionRow)))
    kafka.down = False
    announce(engine, kafka, datetime.now(UTC))  # what the next round of the poller, or any flush, does
    assert len(kafka.item_ids()) == 3
    poll(engine, kafka)
    assert cursor(engine).read_until == datetime(2024, 5, 1, 0, 2, tzinfo=UTC)
    assert len(kafka.item_ids()) == 3


@pytest.mark.parametrize("survive", [0, 1, 2])
def test_killed_between_commit_and_acknowledgement_loses_nothing(
    survive: int, api: FakeApi, engine: Engine, kafka: FakeKafka
) -> None:
    """The process ends after so many calls of the producer: some acknowledged, one not, the database as it stands."""
    api.items = many(50)
    add(engine, api)

    class Killed(BaseException):
        pass

    class Mortal(FakeKafka):
        left = survive

        def send(self, records: Iterable[Record]) -> None:
            if self.left == 0:
                raise Killed
            self.left -= 1
            kafka.send(records)

    with pytest.raises(Killed):
        poll(engine, Mortal())
    poll(engine, kafka)
    assert set(kafka.item_ids()) == {item["id"] for item in api.items}
    with reading(engine) as session:
        assert session.scalars(select(OutboxRow)).all() == []
    assert states(engine) == {"queued": 50}


def test_without_a_publisher_news_waits_in_the_outbox_and_the_cursor_stays(api: FakeApi, engine: Engine) -> None:
    api.items = many(3)
    add(engine, api)
    assert poll(engine, None).new == 3
    assert cursor(engine).read_until == LONG_AGO
    with reading(engine) as session:
        assert len(session.scalars(select(OutboxRow)).all()) == 3


def test_unfinished_acquisitions_are_announced_again_when_a_broker_forgot(
    api: FakeApi, engine: Engine, kafka: FakeKafka
) -> None:
    api.items = many(4)
    add(engine, api)
    poll(engine, kafka)
    with transaction(engine) as session:
        for row, state in zip(session.scalars(select(AcquisitionRow)).all(), ("queued", "encoded", "matched", "failed"),
                              strict=True):  # fmt: skip
            row.state = state
    forgetful = FakeKafka()
    assert republish_unfinished(engine) == 2
    announce(engine, forgetful, datetime.now(UTC))
    assert len(forgetful.item_ids()) == 2


# --- back-fill ----------------------------------------------------------------------------------------------------


def _fill(engine: Engine, kafka: FakeKafka, first: str = "2024-01-01", last: str = "2025-01-01") -> PollReport:
    start, end = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in (first, last))
    return backfill(engine, "fake", start, end, kafka, opened=fast)


def test_backfill_goes_its_own_way_and_is_idempotent(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.items = [s2_item("in"), s2_item("out", datetime="2019-01-01T00:00:00.000Z")]
    add(engine, api, since=datetime(2025, 1, 1, tzinfo=UTC))
    assert _fill(engine, kafka).new == 1
    assert _fill(engine, kafka).new == 0
    (record,) = kafka.records
    assert record.topic == BACKFILL.name
    assert Acquisition.from_bytes(record.value).backfill
    assert poll(engine, kafka).new == 0


def test_backfilled_scene_that_is_reprocessed_later_still_never_alerts(
    api: FakeApi, engine: Engine, kafka: FakeKafka
) -> None:
    api.items = [s2_item("a")]
    add(engine, api, since=datetime(2025, 1, 1, tzinfo=UTC))
    _fill(engine, kafka)
    api.items = [s2_item("a", updated="2025-06-01T00:00:00.000Z", **{"s2:generation_time": "2025-05-30T00:00:00.000Z"})]
    assert poll(engine, kafka).superseding == 1
    assert [record.topic for record in kafka.records] == [BACKFILL.name] * 2


def test_backfill_that_a_cap_cuts_short_fails_loudly(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.cap, api.items = 2 * PAGE, many(50)
    add(engine, api)
    report = _fill(engine, kafka)
    assert "stopped after 40" in report.errors[0]
    assert report.new == 40  # what was read is kept


def test_catalogue_polled_by_sensing_time_looks_back_for_what_came_late(
    api: FakeApi, engine: Engine, kafka: FakeKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.catalogue.time_fields", lambda *_: ("updated", "datetime"))
    api.items = many(3)
    for number, item in enumerate(api.items):
        item["properties"].update(datetime=f"2024-05-0{number + 1}T10:00:00.000Z")
        del item["properties"]["updated"], item["properties"]["created"], item["properties"]["s2:generation_time"]
    late = api.items.pop(1)
    add(engine, api)
    report = poll(engine, kafka)
    assert report.new == 2
    assert any("polled by sensing time" in warning for warning in report.warnings)
    api.items.append(late)
    assert poll(engine, kafka, thorough=False).new == 1
    assert api.requests[-1]["datetime"] == "2024-04-28T10:00:00.000Z/.."


def test_backfill_leaves_to_the_poller_what_it_has_not_read_yet(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.items = [s2_item("read")]
    add(engine, api)
    poll(engine, kafka)
    api.items.append(s2_item("unread", updated="2024-06-01T00:00:00.000Z"))
    assert _fill(engine, kafka).new == 0
    assert poll(engine, kafka).new == 1
    assert [record.topic for record in kafka.records] == [ACQUISITIONS.name] * 2


# --- sources ------------------------------------------------------------------------------------------------------


def test_unknown_collection_says_what_is_offered(api: FakeApi, engine: Engine) -> None:
    with pytest.raises(UsageError, match=r"no collection sentinel-3: it offers sentinel-1-rtc, sentinel-2-c1-l2a"):
        add(engine, api, collections=["sentinel-3"])
    assert list_sources(engine) == []


@pytest.mark.parametrize("name", ["", "a b", "../x", "-x", "a" * 101, "ä"])
def test_bad_names_are_refused(name: str, api: FakeApi, engine: Engine) -> None:
    with pytest.raises(UsageError, match="source name"):
        add_source(engine, name, api.url, collections=[S2])


@pytest.mark.parametrize("url", ["ftp://x/", "file:///etc/passwd", "x", "http://", "http://user:word@host/"])
def test_bad_addresses_are_refused(url: str, engine: Engine) -> None:
    with pytest.raises(UsageError, match="no address of a catalogue"):
        add_source(engine, "x", url, collections=[S2])


@pytest.mark.parametrize("host", ["a b", "file:///etc", "user@host", "host/path?", "http://", "*"])
def test_bad_extra_hosts_are_refused(host: str, api: FakeApi, engine: Engine) -> None:
    with pytest.raises(UsageError, match="--allow-host"):
        add(engine, api, allow_hosts=[host])


def test_name_that_is_taken_is_refused_and_removal_frees_it(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.items = many(1)
    add(engine, api, allow_hosts=["https://data.example.com/x", "s3://eodata"])
    with pytest.raises(UsageError, match="exists"):
        add(engine, api)
    poll(engine, kafka)
    shown = list_sources(engine)[0].as_dict()
    assert shown["read_until"] == "2024-05-01T00:00:00.000Z"
    assert {"data.example.com", "s3://eodata", "127.0.0.1:*"} <= set(shown["allowed_hosts"])  # type: ignore[call-overload]
    remove_source(engine, "fake")
    with pytest.raises(NotFound):
        remove_source(engine, "fake")
    with pytest.raises(NotFound):
        poll(engine, kafka)
    add(engine, api)
    assert poll(engine, kafka).new == 0  # what it brought has stayed


def test_private_addresses_are_refused_where_they_are_not_allowed(api: FakeApi, engine: Engine) -> None:
    with pytest.raises(UsageError, match="private network"):
        add(engine, api, allow_private=False)
    with pytest.raises(UsageError, match="private network"):  # 10.0.0.1 behind a translator
        add_source(engine, "hidden", "http://[64:ff9b::a00:1]/v1", collections=["sentinel-2-l2a"], allow_private=False)


def test_collection_that_cannot_be_watched_says_what_to_use_instead(engine: Engine) -> None:
    with pytest.raises(UsageError, match="sentinel-1-rtc of the Planetary Computer"):
        add_source(engine, "es", "https://earth-search.aws.element84.com/v1", collections=["sentinel-1-grd"])


# --- the loop -----------------------------------------------------------------------------------------------------


def _poller(engine: Engine, kafka: FakeKafka, **settings: Any) -> Poller:
    return Poller(engine, kafka, IngestSettings(**settings), threading.Event())


def test_a_source_that_fails_does_not_stop_the_others(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.items = many(3)
    add(engine, api)
    with transaction(engine) as session:
        from schemas.tables import SourceRow

        session.add(SourceRow(name="broken", url=f"{api.url}nowhere", collections=[S2], since=LONG_AGO,
                              allowed_hosts=["127.0.0.1:*"], added_at=LONG_AGO))  # fmt: skip
    reports = {report.source: report for report in _poller(engine, kafka).round()}
    assert reports["fake"].new == 3
    assert "HTTP 404" in reports["broken"].errors[0]
    assert "HTTP 404" in (list_sources(engine)[0].error or "")


def test_loop_polls_once_when_told_so_and_ends_when_stopped(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.items = many(3)
    add(engine, api)
    _poller(engine, kafka, once=True).run()
    assert len(kafka.item_ids()) == 3
    poller = _poller(engine, kafka, interval_s=3600)
    thread = threading.Thread(target=poller.run)
    thread.start()
    poller.stop.set()
    thread.join(timeout=20)
    assert not thread.is_alive()


def test_loop_ends_when_the_broker_has_forgotten(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    api.items = many(3)
    add(engine, api)
    poller = _poller(engine, kafka)
    poller.forgotten = lambda: len(kafka.records) == 3
    poller.run()
    assert len(kafka.records) == 3


def test_abilities_are_probed_once_while_the_catalogue_stays_open(
    api: FakeApi, engine: Engine, kafka: FakeKafka
) -> None:
    api.items = many(3)
    add(engine, api)
    poller = _poller(engine, kafka)
    poller.round()
    before = len(api.requests)
    poller.round()
    assert len(api.requests) == before + 1


def test_catalogue_that_is_none_says_so(api: FakeApi, engine: Engine) -> None:
    with pytest.raises(CatalogueUnavailable, match="HTTP 404"):
        add_source(engine, "x", f"{api.url}nothing", collections=[S2])


def test_coverage_of_a_failed_item_reads_back(api: FakeApi, engine: Engine, kafka: FakeKafka) -> None:
    import zlib

    api.items = [s2_item("a", bands=("blue",))]
    add(engine, api)
    for _ in range(2):
        poll_source(engine, "fake", kafka, settings=IngestSettings(waiting_days=0), opened=fast)
    with reading(engine) as session:
        row = session.scalars(select(CoverageRow)).one()
    coverage = Coverage.from_bytes(zlib.decompress(row.chips))
    assert {chip.state.value for chip in coverage.chips} == {"failed"}
    assert len(coverage.chips) == row.failed
