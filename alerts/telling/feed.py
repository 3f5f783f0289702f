"""Entries and the feed: Atom with GeoRSS Simple.

Flows in: what is told, or a feed as it was written. Flows out: entries, and the feed's bytes. Stops before any file.

Source: RFC 4287 (Atom), sections 4.1.1 and 4.1.2; OGC 17-002r1 (GeoRSS), section 8: geometries are written latitude
first, and an entry has one of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID
from xml.etree import ElementTree

import shapely
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from alerts.telling.bounds import one_ring
from alerts.telling.kinds.kind import Telling
from alerts.telling.told import simulated
from alerts.telling.words import facts, headline, paragraphs
from schemas.messages import Alert, stable_id, utc
from schemas.notices import Notice

ATOM, GEORSS, OURS = "http://www.w3.org/2005/Atom", "http://www.georss.org/georss", "urn:tocsin:feed:1"
MOST_VERTICES = 500
"""An outline with more is told by its convex hull: feed readers draw it small."""
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

ElementTree.register_namespace("", ATOM)
ElementTree.register_namespace("georss", GEORSS)
ElementTree.register_namespace("tocsin", OURS)


@dataclass(frozen=True, slots=True)
class Entry:
    """One alert or notice in the feed.

    Attributes:
        name: Its id.
        sequence: Number of its last message.
        updated: When that was sent, RFC 3339.
        is_test: Goes with the next real one.
        element: As it stands in the feed.
    """

    name: str
    sequence: int
    updated: str
    is_test: bool
    element: ElementTree.Element


def entry(telling: Telling, base_url: str) -> Entry:
    """The entry of a message.

    Args:
        telling: What is told.
        base_url: Where its files can be read; empty: links are relative to the feed.
    """
    message, name = telling.message, str(telling.subject_id)
    updated = utc(message.sent_at)
    element = ElementTree.Element(f"{{{ATOM}}}entry")
    _add(element, "id", f"urn:uuid:{name}")
    _add(element, "title", headline(telling))
    _add(element, "updated", updated)
    _add(element, "published", utc(published(telling)))
    _add(element, "summary", "\n".join([*paragraphs(telling), *(f"{key}: {value}" for key, value in facts(telling))]))
    files = {"geojson": "application/geo+json"}
    if isinstance(message, Alert):
        files["cap.xml"] = "application/cap+xml"
    for suffix, kind in files.items():
        _add(element, "link", None, rel="alternate", type=kind, href=f"{base_url}{name}.{suffix}")
    for term in _terms(telling):
        _add(element, "category", None, term=term)
    place = where(message.geometry)
    if place is not None:
        child = ElementTree.SubElement(element, f"{{{GEORSS}}}{place[0]}")
        child.text = place[1]
    ElementTree.SubElement(element, f"{{{OURS}}}sequence").text = str(message.sequence)
    return Entry(name, message.sequence, updated, telling.is_test, element)


def published(telling: Telling) -> datetime:
    """When it was first told."""
    if telling.earlier:
        return telling.earlier[0].sent_at
    return telling.message.sent_at


def write_feed(entries: Sequence[Entry], title: str, base_url: str, file_name: str, folder_name: str) -> bytes:
    """The feed, UTF-8.

    Args:
        entries: The newest first, one at least.
        title: Of the feed.
        base_url: Where it can be read; empty: it does not say.
        file_name: Its own.
        folder_name: Tells feeds without an address apart.
    """
    root = ElementTree.Element(f"{{{ATOM}}}feed")
    _add(root, "id", f"urn:uuid:{stable_id('feed', base_url or folder_name)}")
    _add(root, "title", title)
    _add(root, "updated", entries[0].updated)
    author = ElementTree.SubElement(root, f"{{{ATOM}}}author")
    _add(author, "name", "Tocsin")
    _add(root, "generator", "Tocsin")
    if base_url:
        _add(root, "link", None, rel="self", type="application/atom+xml", href=f"{base_url}{file_name}")
    root.extend(each.element for each in entries)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def read_feed(content: bytes) -> list[Entry]:
    """The entries of a feed that `write_feed` made.

    Raises:
        ValueError: it is something else.
    """
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise ValueError(f"not XML: {error}") from error
    if root.tag != f"{{{ATOM}}}feed":
        raise ValueError(f"not an Atom feed: {root.tag}")
    return [_read(element) for element in root.findall(f"{{{ATOM}}}entry")]


def where(geometry: dict[str, object] | None) -> tuple[str, str] | None:
    """Element and text of GeoRSS Simple for a place: its outline, the hull of several parts, or a point."""
    if geometry is None:
        return None
    place = shape(geometry)
    if place.is_empty:
        return None
    outline = one_ring(place, MOST_VERTICES)
    return ("point", _pairs(place.centroid)) if outline is None else ("polygon", _pairs(outline.exterior))


def _pairs(place: BaseGeometry) -> str:
    return " ".join(f"{lat:.6f} {lon:.6f}" for lon, lat in shapely.get_coordinates(place))


def _terms(telling: Telling) -> list[str]:
    message = telling.message
    terms = ["notice" if isinstance(message, Notice) else "alert", message.kind.value]
    if isinstance(message, Alert):
        terms += list(message.incident.sensors)
    if isinstance(message, Notice) and message.cleared:
        terms.append("over")
    if simulated(message):
        terms.append("simulated")
    return terms + (["test"] if telling.is_test else [])


def _read(element: ElementTree.Element) -> Entry:
    name = element.findtext(f"{{{ATOM}}}id", "").removeprefix("urn:uuid:")
    updated = element.findtext(f"{{{ATOM}}}updated", "")
    sequence = element.findtext(f"{{{OURS}}}sequence", "")
    is_test = any(each.get("term") == "test" for each in element.findall(f"{{{ATOM}}}category"))
    return Entry(str(UUID(name)), int(sequence), utc(datetime.fromisoformat(updated)), is_test, element)


def _add(parent: ElementTree.Element, name: str, text: str | None, **attributes: str) -> None:
    child = ElementTree.SubElement(parent, f"{{{ATOM}}}{name}", attributes)
    if text is not None:
        child.text = _NOT_XML.sub(" ", text)
