"""The Atom feed: valid, updated in place, safe with several writers, and whole after everything that goes wrong."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import shapely
from lxml import etree

from alerts.incidents.announce import outline
from alerts.settings import NotifierSettings
from alerts.telling.bounds import across, box, one_ring
from alerts.telling.cap import Earlier
from alerts.telling.feed import where
from alerts.telling.folders import locked
from alerts.telling.kinds.atom import AtomFeed
from alerts.telling.kinds.kind import Telling
from alerts.telling.kinds.registry import made
from alerts.telling.notify import trial_alert
from schemas.cells import cell_at
from schemas.errors import DeliveryFailed, UsageError
from schemas.geometry import to_geojson
from schemas.messages import Alert, IncidentState, stable_id
from schemas.notices import Notice, NoticeKind

NOW = datetime(2026, 7, 1, 10, 30, 15, tzinfo=UTC)
NAMES = {"a": "http://www.w3.org/2005/Atom", "g": "http://www.georss.org/georss", "t": "urn:tocsin:feed:1"}


def alert(name: str = "one", sequence: int = 1, kind: IncidentState = IncidentState.OPENED, **more) -> Alert:
    sent_at = NOW + timedelta(minutes=more.pop("minute", sequence))
    fields = {"query": "wildfire burn scar", "simulated": False, "kind": kind, "sequence": sequence, "sent_at": sent_at}
    return trial_alert(name, NOW).model_copy(update=fields | more)


def telling(message: Alert | Notice, timeout_s: float = 5, **more) -> Telling:
    earlier = [Earlier(n, NOW + timedelta(minutes=n)) for n in range(1, message.sequence)]
    return Telling("feed", "key", (message,), NotifierSettings(timeout_s=timeout_s), earlier=earlier, **more)


def feed_in(folder: Path, **settings) -> AtomFeed:
    found = made("atom", {"folder": folder} | settings)
    assert isinstance(found, AtomFeed)
    return found


def read(folder: Path) -> etree._Element:
    document = etree.parse(folder / "alerts.atom").getroot()
    etree.RelaxNG(etree.parse(Path(__file__).parent / "data" / "atom.rng")).assertValid(document)
    updated = texts(document, "a:entry/a:updated")
    assert updated == sorted(updated, reverse=True)
    assert texts(document, "a:updated") == updated[:1]
    ids = texts(document, "a:entry/a:id")
    assert len(ids) == len(set(ids))
    for link in document.xpath("a:entry/a:link/@href", namespaces=NAMES):
        assert (folder / link.rpartition("/")[2]).is_file()
    return document


def texts(document: etree._Element, path: str) -> list[str]:
    return [each.text for each in document.xpath(path, namespaces=NAMES)]


def test_an_incident_is_one_entry_with_its_files_beside_it(tmp_path):
    feed = feed_in(tmp_path, base_url="https://example.org/tocsin")
    message = alert()
    feed.tell(telling(message))
    document = read(tmp_path)
    assert texts(document, "a:entry/a:id") == [f"urn:uuid:{message.alert_id}"]
    assert texts(document, "a:entry/a:updated") == ["2026-07-01T10:31:15.000Z"]
    assert document.xpath("a:link/@href", namespaces=NAMES) == ["https://example.org/tocsin/alerts.atom"]
    links = document.xpath("a:entry/a:link/@href", namespaces=NAMES)
    assert links == [f"https://example.org/tocsin/{message.alert_id}.{end}" for end in ("geojson", "cap.xml")]
    assert json.loads((tmp_path / f"{message.alert_id}.geojson").read_text())["features"][0]["id"].endswith("-1")
    numbers = [float(number) for number in texts(document, "a:entry/g:polygon")[0].split()]
    corners = list(zip(numbers[1::2], numbers[::2], strict=True))
    assert corners[0] == corners[-1]
    assert shapely.Polygon(corners).equals_exact(shapely.geometry.shape(message.geometry), 1e-6)


def test_without_an_address_links_are_relative_and_the_feed_names_no_self(tmp_path):
    feed_in(tmp_path).tell(telling(alert()))
    document = read(tmp_path)
    assert document.xpath("a:link", namespaces=NAMES) == []
    assert all("/" not in link for link in document.xpath("a:entry/a:link/@href", namespaces=NAMES))


def test_an_update_takes_the_place_of_what_was_told_before(tmp_path):
    feed = feed_in(tmp_path)
    feed.tell(telling(alert("one")))
    feed.tell(telling(alert("two", minute=2)))
    feed.tell(telling(alert("one", 3, IncidentState.RESOLVED)))
    document = read(tmp_path)
    assert texts(document, "a:entry/t:sequence") == ["3", "1"]
    assert texts(document, "a:entry/a:published")[0] == "2026-07-01T10:31:15.000Z"
    assert "resolved" in texts(document, "a:entry/a:title")[0]
    assert "resolved" in document.xpath("a:entry[1]/a:category/@term", namespaces=NAMES)


def test_a_message_told_twice_or_too_late_changes_nothing(tmp_path):
    feed = feed_in(tmp_path)
    feed.tell(telling(alert(sequence=2, kind=IncidentState.GROWING)))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    feed.tell(telling(alert(sequence=2, kind=IncidentState.GROWING)))
    feed.tell(telling(alert(sequence=1)))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_only_the_newest_are_kept_and_the_files_of_others_go(tmp_path):
    feed = feed_in(tmp_path, newest=3)
    for n in range(6):
        feed.tell(telling(alert(f"number {n}", minute=n)))
    document = read(tmp_path)
    assert len(texts(document, "a:entry/a:id")) == 3
    assert len(list(tmp_path.glob("*.geojson"))) == len(list(tmp_path.glob("*.cap.xml"))) == 3


def test_a_notice_is_an_entry_too(tmp_path):
    notice = Notice(
        notice_id=stable_id("n"),
        sequence=1,
        kind=NoticeKind.BLIND,
        subject="s2",
        text="Clouds <all> month.",
        sent_at=NOW,
    )
    feed_in(tmp_path).tell(telling(notice))
    document = read(tmp_path)
    assert texts(document, "a:entry/a:title") == ["Clouds <all> month."]
    assert document.xpath("a:entry/g:*", namespaces=NAMES) == []


def test_a_test_is_marked_and_goes_with_the_next_real_message(tmp_path):
    feed = feed_in(tmp_path)
    for _ in range(2):
        feed.tell(telling(trial_alert("feed", NOW + timedelta(days=1)), is_test=True))
    document = read(tmp_path)
    assert texts(document, "a:entry/a:title")[0].startswith("TEST ")
    assert "test" in document.xpath("a:entry/a:category/@term", namespaces=NAMES)
    feed.tell(telling(alert()))
    assert len(texts(read(tmp_path), "a:entry/a:id")) == 1
    assert len(list(tmp_path.glob("*.geojson"))) == 1


@pytest.mark.parametrize("sentence", ["a & b < c", "fire \x00\x1b\x0b end", "Überschwemmung 洪水 \U0001f30a", "]]>"])
def test_any_sentence_makes_a_feed(tmp_path, sentence):
    feed = feed_in(tmp_path)
    feed.tell(telling(alert("one", query=sentence)))
    feed.tell(telling(alert("two", query=sentence)))
    read(tmp_path)


def test_two_notifiers_lose_nothing_of_each_other(tmp_path):
    def write(first: int) -> None:
        feed = feed_in(tmp_path)
        for n in range(first, first + 10):
            feed.tell(telling(alert(f"number {n}", minute=n), timeout_s=60))

    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 10, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts(read(tmp_path), "a:entry/a:id")) == 30


def test_a_folder_that_another_notifier_holds_is_tried_again(tmp_path):
    feed = feed_in(tmp_path)
    with locked(tmp_path, 1), pytest.raises(DeliveryFailed, match="another notifier"):
        feed.tell(telling(alert(), timeout_s=0.1))
    feed.tell(telling(alert()))
    read(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"<feed", b"<rss/>", b"<feed xmlns='http://www.w3.org/2005/Atom'><entry/></feed>"]
)
def test_a_damaged_feed_is_put_aside_and_begun_anew(tmp_path, content):
    (tmp_path / "alerts.atom").write_bytes(content)
    feed_in(tmp_path).tell(telling(alert()))
    assert (tmp_path / "alerts.broken").read_bytes() == content
    read(tmp_path)


def test_a_folder_that_takes_nothing(tmp_path):
    feed = feed_in(tmp_path / "feed")
    (tmp_path / "feed").rmdir()
    (tmp_path / "feed").write_text("a file")
    with pytest.raises(DeliveryFailed, match="cannot be written"):
        feed.tell(telling(alert()))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "folder"),
        ({"folder": "x", "newest": 0}, "newest"),
        ({"folder": "x", "newest": "many"}, "newest"),
        ({"folder": "x", "base_url": "example.org"}, "http"),
        ({"folder": "x", "base_url": "https://example.org/?a=b"}, "http"),
        ({"folder": "x", "base_url": "https://[::1"}, "base address"),
        ({"folder": "x", "title": ""}, "title"),
    ],
)
def test_settings_that_are_refused(tmp_path, monkeypatch, settings, reason):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=reason):
        made("atom", settings)


def test_places_become_one_geometry():
    square = shapely.box(14, 41, 15, 42)
    two = shapely.union_all([square, shapely.box(16, 43, 17, 44)])
    assert where(None) is None
    assert where({"type": "GeometryCollection", "geometries": []}) is None
    assert where({"type": "Point", "coordinates": [14, 41]}) == ("point", "41.000000 14.000000")
    assert one_ring(two, 500).contains(square)
    assert one_ring(shapely.Point(0, 0).buffer(1, 200), 500).area < 3.2
    edge = outline([cell_at(179.99, -17.0).id, cell_at(-179.99, -17.0).id])
    assert across(edge) is not None
    assert across(two) is across(square) is None
    assert one_ring(edge, 500).area < edge.area
    west, south, east, north = box(edge)
    assert west > 179 > -179 > east
    assert south < north
    assert box(two) == [14, 41, 17, 44]
    assert where(to_geojson(edge))[0] == "polygon"
