"""STAC items: valid by the official schemas, updated in place, linked from a collection that a reader can walk."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pystac
import pytest
from pystac.validation import RegisteredValidator
from pystac.validation.stac_validator import JsonSchemaSTACValidator

from alerts.incidents.announce import outline
from alerts.settings import NotifierSettings
from alerts.telling.cap import Earlier
from alerts.telling.kinds.kind import Telling
from alerts.telling.kinds.registry import made
from alerts.telling.kinds.stac import StacCollection
from alerts.telling.notify import trial_alert
from schemas.cells import cell_at
from schemas.errors import DeliveryFailed
from schemas.geometry import to_geojson
from schemas.messages import Alert, IncidentState, stable_id
from schemas.notices import Notice, NoticeKind

NOW = datetime(2026, 7, 1, 10, 30, 15, tzinfo=UTC)


def alert(name: str = "one", sequence: int = 1, kind: IncidentState = IncidentState.OPENED, **more) -> Alert:
    cells = more.pop("cells", ("33TWN4512",))
    base = trial_alert(name, NOW)
    sensed_at = NOW - timedelta(days=3) + timedelta(days=sequence)
    incident = base.incident.model_copy(update={"cells": cells, "state": kind, "last_sensing_at": sensed_at})
    fields = {
        "query": "wildfire burn scar",
        "simulated": False,
        "kind": kind,
        "sequence": sequence,
        "sent_at": NOW + timedelta(minutes=sequence),
        "incident": incident,
        "matches": (),
        "geometry": to_geojson(outline(cells)),
    }
    return base.model_copy(update=fields | more)


def telling(message: Alert | Notice, **more) -> Telling:
    earlier = [Earlier(n, NOW + timedelta(minutes=n)) for n in range(1, message.sequence)]
    return Telling("archive", "key", (message,), NotifierSettings(timeout_s=60), earlier=earlier, **more)


def into(folder: Path, **settings) -> StacCollection:
    found = made("stac", {"folder": folder} | settings)
    assert isinstance(found, StacCollection)
    return found


def read(folder: Path) -> tuple[pystac.Collection, list[pystac.Item]]:
    """The collection and its items, each valid, each asset there."""
    collection = pystac.Collection.from_file(str(folder / "collection.json"))
    items = list(collection.get_items())
    for each in (collection, *items):
        each.validate()
    for item in items:
        assert item.get_collection().id == collection.id
        for asset in item.assets.values():
            assert Path(asset.get_absolute_href()).is_file()
    return collection, items


def test_the_schemas_are_at_hand_and_refuse_what_is_no_item(tmp_path):
    assert isinstance(RegisteredValidator.get_validator(), JsonSchemaSTACValidator)
    into(tmp_path).tell(telling(alert()))
    _, (item,) = read(tmp_path)
    document = item.to_dict()
    del document["properties"]["datetime"]
    with pytest.raises(pystac.STACValidationError):
        pystac.validation.validate_dict(document)


def test_an_incident_is_one_item(tmp_path):
    message = alert()
    into(tmp_path, base_url="https://example.org/stac").tell(telling(message))
    collection, (item,) = read(tmp_path)
    assert item.id == str(message.incident.incident_id)
    assert item.geometry == json.loads(json.dumps(message.geometry))
    assert item.properties["tocsin:query"] == "wildfire burn scar"
    assert item.common_metadata.start_datetime == message.incident.first_sensing_at.replace(microsecond=0)
    assert {asset.media_type for asset in item.assets.values()} == {"application/geo+json", "application/cap+xml"}
    assert collection.extent.spatial.bboxes == [item.bbox]
    links = json.loads((tmp_path / item.id / f"{item.id}.json").read_text())["links"]
    assert [link["href"] for link in links if link["rel"] == "self"] == [
        f"https://example.org/stac/{item.id}/{item.id}.json"
    ]


def test_later_messages_update_it_and_earlier_ones_do_not(tmp_path):
    archive = into(tmp_path)
    archive.tell(telling(alert()))
    archive.tell(telling(alert(sequence=3, kind=IncidentState.RESOLVED, cells=("33TWN4512", "33TWN4513"))))
    archive.tell(telling(alert(sequence=2, kind=IncidentState.GROWING)))
    collection, (item,) = read(tmp_path)
    assert (item.properties["tocsin:sequence"], item.properties["tocsin:state"]) == (3, "resolved")
    assert item.properties["created"] == "2026-07-01T10:31:15.000Z"
    assert collection.extent.temporal.intervals[0][1] == item.common_metadata.end_datetime
    assert len(collection.get_item_links()) == 1


def test_the_collection_spans_all_items(tmp_path):
    archive = into(tmp_path)
    archive.tell(telling(alert("one", cells=("33TWN4512",))))
    archive.tell(telling(alert("two", cells=("33TWN9999",))))
    collection, items = read(tmp_path)
    (west, south, east, north) = collection.extent.spatial.bboxes[0]
    assert len(items) == 2
    assert all(west <= i.bbox[0] and south <= i.bbox[1] and i.bbox[2] <= east and i.bbox[3] <= north for i in items)


def test_across_the_antimeridian(tmp_path):
    cells = (cell_at(179.99, -17.0).id, cell_at(-179.99, -17.0).id)
    into(tmp_path).tell(telling(alert(cells=cells)))
    collection, (item,) = read(tmp_path)
    assert item.bbox[0] > 179
    assert item.bbox[2] < -179
    assert collection.extent.spatial.bboxes[0][::2] == [-180, 180]


def test_an_incident_without_any_cell_left_keeps_its_place(tmp_path):
    archive = into(tmp_path)
    archive.tell(telling(alert()))
    empty = {"type": "GeometryCollection", "geometries": []}
    gone = alert(sequence=2, kind=IncidentState.RETRACTED, geometry=empty)
    gone = gone.model_copy(update={"incident": gone.incident.model_copy(update={"cells": ()})})
    archive.tell(telling(gone))
    _, (item,) = read(tmp_path)
    assert item.properties["tocsin:state"] == "retracted"
    assert item.bbox is not None
    into(tmp_path / "other").tell(telling(gone))
    _, (alone,) = read(tmp_path / "other")
    assert alone.geometry is None


def test_evidence_is_an_asset_where_there_is_some(tmp_path):
    archive = into(tmp_path)
    archive.tell(telling(alert(), bundle=lambda _: b"PK zip"))
    archive.tell(telling(alert(sequence=2), bundle=lambda _: None))
    _, (item,) = read(tmp_path)
    assert item.assets["zip"].media_type == "application/zip"


def test_a_test_goes_with_the_next_real_message(tmp_path):
    archive = into(tmp_path)
    for _ in range(2):
        archive.tell(telling(trial_alert("archive", NOW), is_test=True))
    _, (item,) = read(tmp_path)
    assert item.properties["title"].startswith("TEST ")
    archive.tell(telling(alert()))
    collection, (item,) = read(tmp_path)
    assert "tocsin:test" not in item.properties
    assert collection.extent.spatial.bboxes == [item.bbox]
    archive.tell(telling(trial_alert("archive", NOW), is_test=True))
    assert read(tmp_path)[0].extent.spatial.bboxes == [item.bbox]
    archive.tell(telling(alert("two")))
    assert sorted(each.name for each in tmp_path.iterdir() if each.is_dir()) == sorted(
        str(alert(name).incident.incident_id) for name in ("one", "two")
    )


def test_notices_are_no_items(tmp_path):
    notice = Notice(
        notice_id=stable_id("n"), sequence=1, kind=NoticeKind.BLIND, subject="s2", text="Clouds.", sent_at=NOW
    )
    into(tmp_path).tell(telling(notice))
    assert list(tmp_path.iterdir()) == []


def test_two_notifiers_lose_nothing_of_each_other(tmp_path):
    def write(first: int) -> None:
        for n in range(first, first + 10):
            into(tmp_path).tell(telling(alert(f"number {n}")))

    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read(tmp_path)[0].get_item_links()) == 20


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"links": [1], "extent": {}}', '{"extent": {"spatial": {"bbox": [[1]]}}}']
)
def test_a_damaged_collection_waits_for_a_person(tmp_path, content):
    (tmp_path / "collection.json").write_text(content)
    with pytest.raises(DeliveryFailed, match="damaged, move it away"):
        into(tmp_path).tell(telling(alert()))
    assert (tmp_path / "collection.json").read_text() == content
    (tmp_path / "collection.json").unlink()
    into(tmp_path).tell(telling(alert()))
    read(tmp_path)
