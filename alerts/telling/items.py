"""A STAC item for an incident, and the collection that holds them.

Flows in: what is told, and the documents as they are. Flows out: the documents as they should be. Stops before files.

Source: STAC 1.1.0, item, collection and best practices of a self-contained catalogue (relative links).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shapely.geometry import shape

from alerts.telling.bounds import box
from alerts.telling.kinds.kind import Telling
from alerts.telling.words import headline, paragraphs
from schemas.messages import Alert, utc

Document = dict[str, Any]
STAC_VERSION = "1.1.0"
COLLECTION_ID = "tocsin-alerts"
COLLECTION = "collection.json"
ASSETS: Mapping[str, Mapping[str, object]] = {
    "alert.geojson": {"title": "Outline and matches", "type": "application/geo+json", "roles": ["data"]},
    "alert.cap.xml": {"title": "CAP 1.2", "type": "application/cap+xml", "roles": ["metadata"]},
    "evidence.zip": {"title": "Evidence", "type": "application/zip", "roles": ["data", "overview"]},
}
"""By file name."""
_TEST = "tocsin:test"


def item(telling: Telling, alert: Alert, files: Sequence[str], base_url: str, before: Document | None) -> Document:
    """The item of an incident.

    Args:
        telling: What is told.
        alert: The same.
        files: Those of `ASSETS` that lie beside it.
        base_url: Where the collection can be read; empty: it does not say.
        before: The item as it is.
    """
    incident = alert.incident
    name = str(incident.incident_id)
    place, bounds = alert.geometry, box(shape(alert.geometry)) if not shape(alert.geometry).is_empty else None
    if bounds is None and before is not None:  # taken back to the last cell: what was told of stays
        place, bounds = before["geometry"], before.get("bbox")
    properties: Document = {
        "title": headline(telling),
        "description": " ".join(paragraphs(telling)),
        "datetime": utc(incident.last_sensing_at),
        "start_datetime": utc(incident.first_sensing_at),
        "end_datetime": utc(incident.last_sensing_at),
        "created": utc(telling.earlier[0].sent_at if telling.earlier else alert.sent_at),
        "updated": utc(alert.sent_at),
        "tocsin:query": alert.query,
        "tocsin:query_id": str(incident.query_id),
        "tocsin:query_version": incident.query_version,
        "tocsin:alert_id": str(alert.alert_id),
        "tocsin:sequence": alert.sequence,
        "tocsin:kind": alert.kind.value,
        "tocsin:state": incident.state.value,
        "tocsin:score": incident.score,
        "tocsin:sensors": list(incident.sensors),
        "tocsin:item_ids": list(incident.item_ids),
        "tocsin:cells": len(incident.cells),
        "tocsin:simulated": alert.simulated,
    }
    if telling.is_test:
        properties[_TEST] = True
    links = [
        {"rel": rel, "href": f"../{COLLECTION}", "type": "application/json"} for rel in ("root", "parent", "collection")
    ]
    if base_url:
        links.append({"rel": "self", "href": f"{base_url}{name}/{name}.json", "type": "application/geo+json"})
    document: Document = {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [],
        "id": name,
        "geometry": place if bounds is not None else None,
        "properties": properties,
        "links": links,
        "assets": {file.partition(".")[2].replace(".", "_"): {"href": f"./{file}", **ASSETS[file]} for file in files},
        "collection": COLLECTION_ID,
    }
    return document if bounds is None else document | {"bbox": bounds}


def collection(before: Document | None, new: Document, title: str, base_url: str) -> tuple[Document, list[str]]:
    """The collection with a new or changed item, and items of tests that it no longer holds.

    Args:
        before: The collection as it is.
        new: The item.
        title: Of the collection.
        base_url: Where it can be read; empty: it does not say.
    """
    held = [link for link in before["links"] if link["rel"] == "item"] if before else []
    kept = [link for link in held if not link.get(_TEST) and link["href"] != _href(new["id"])]
    gone = [_id(link["href"]) for link in held if link.get(_TEST) and link["href"] != _href(new["id"])]
    link: Document = {"rel": "item", "href": _href(new["id"]), "type": "application/geo+json"}
    if new["properties"].get(_TEST):
        link[_TEST] = True
    real = any(not each.get(_TEST) for each in held)
    links = [{"rel": "root", "href": f"./{COLLECTION}", "type": "application/json"}]
    if base_url:
        links.append({"rel": "self", "href": f"{base_url}{COLLECTION}", "type": "application/json"})
    document = {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": [],
        "id": COLLECTION_ID,
        "title": title,
        "description": "Incidents that standing queries found in satellite images: automatic, not verified by anybody.",
        "license": "other",
        "extent": _extent(before if real else None, new, keep=real and bool(link.get(_TEST))),
        "links": [*links, *kept, link],
    }
    return document, gone


def sequence(document: Document) -> int:
    """Number of the last message that an item tells.

    Raises:
        LookupError: it does not say.
        TypeError: it is no item.
        ValueError: it is no number.
    """
    _ = document["geometry"]
    return int(document["properties"]["tocsin:sequence"])


def check_collection(document: Document) -> None:
    """Whether a collection is like ours.

    Raises:
        LookupError: it lacks something.
        TypeError: it is no object, or a link of it is none.
        ValueError: an extent of it is none.
    """
    (_, _), (_, _, _, _) = document["extent"]["temporal"]["interval"][0], document["extent"]["spatial"]["bbox"][0]
    for link in document["links"]:
        _ = link["rel"], link["href"]


def _extent(before: Document | None, new: Document, *, keep: bool) -> Document:
    """Of all items so far: it only grows, as incidents do."""
    properties = new["properties"]
    boxes = [new["bbox"]] if "bbox" in new else []
    period = [properties["start_datetime"], properties["end_datetime"]]
    if before is not None:
        if keep:
            return dict(before["extent"])
        ((start, end),) = before["extent"]["temporal"]["interval"]
        boxes.append(before["extent"]["spatial"]["bbox"][0])
        period = [min(start, period[0]), max(end, period[1])]  # RFC 3339 in UTC sorts as text
    return {"spatial": {"bbox": [_union(boxes)]}, "temporal": {"interval": [period]}}


def _union(boxes: Sequence[Sequence[float]]) -> list[float]:
    """One box round all; round the world where one of them crosses the antimeridian."""
    if not boxes or any(west > east for west, _, east, _ in boxes):
        south = min((each[1] for each in boxes), default=-90.0)
        north = max((each[3] for each in boxes), default=90.0)
        return [-180.0, south, 180.0, north]
    wests, souths, easts, norths = zip(*boxes, strict=True)
    return [min(wests), min(souths), max(easts), max(norths)]


def _href(name: str) -> str:
    return f"./{name}/{name}.json"


def _id(href: str) -> str:
    return href.removeprefix("./").partition("/")[0]
