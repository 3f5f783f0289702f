"""Alerts as CAP 1.2, the language of warning systems.

Flows in: an alert message, and what was sent of it before. Flows out: one XML document. Stops before any file.

The life of an incident in CAP's words: `Alert` when it opens, `Update` while it grows, is confirmed, is over
(`AllClear`) or expires (`expires` is then now), `Cancel` when it is retracted or turns out to be part of another one.
References name all earlier messages of the incident, whoever got them: one identifier is one document, the same in
every folder and at every attempt. Notices have no form in CAP: a warning of Tocsin's own blindness, under the category
of a danger, would be a false alarm.

Source: OASIS Common Alerting Protocol Version 1.2 (2010), section 3.2, whose order of elements is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree import ElementTree

import shapely
from shapely.geometry import shape

from alerts.incidents.other_sensor import sentence
from alerts.telling.phrases import SENSORS, SENTENCES, TEST, UNVERIFIED
from schemas.messages import Alert, IncidentState

NAMESPACE = "urn:oasis:names:tc:emergency:cap:1.2"
MAX_GEOCODES = 1000
"""Cells named one by one; the polygons always hold all."""
CANCELLED = frozenset({IncidentState.RETRACTED, IncidentState.MERGED})
"""What takes the earlier messages back."""
OVER_NOT_SAFE = "The satellites no longer see it. Whether it is safe on the ground, only people who are there can say."
"""An all-clear from orbit needs this beside it."""
_CATEGORIES = (
    ("Fire", ("fire", "burn", "smoke", "blaze")),
    ("Geo", ("earthquake", "landslide", "mudslide", "volcan", "lava", "avalanche", "sinkhole", "tsunami")),
    ("Met", ("flood", "inundat", "storm", "cyclone", "hurricane", "tornado", "snow", "hail", "drought", "ice")),
    ("Env", ("oil", "spill", "pollut", "algae", "deforest", "clear-cut", "logging", "mining", "waste")),
    ("Infra", ("building", "road", "bridge", "dam", "construction", "collapse", "damage")),
)
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
Fields = Sequence[tuple[str, object]]


@dataclass(frozen=True, slots=True)
class Earlier:
    """A message of the same alert that was sent before."""

    sequence: int
    sent_at: datetime


def cap(alert: Alert, earlier: Sequence[Earlier], sender: str, *, is_test: bool = False) -> bytes:
    """One CAP message.

    Urgency and severity are Unknown: a satellite sees what has happened, not whom it threatens.

    Args:
        alert: What is told.
        earlier: Messages of this alert before this one, in order, whoever got them.
        sender: Who answers for it; no blank, comma, `<` or `&`.
        is_test: Nothing has happened: a person tries a receiver.

    Returns:
        UTF-8 XML.
    """
    root = ElementTree.Element("alert", xmlns=NAMESPACE)
    references = " ".join(f"{sender},{identifier(alert, each.sequence)},{_time(each.sent_at)}" for each in earlier)
    head: list[tuple[str, object]] = [
        ("identifier", identifier(alert, alert.sequence)),
        ("sender", sender),
        ("sent", _time(alert.sent_at)),
        ("status", "Test" if is_test else "Exercise" if alert.simulated else "Actual"),
        ("msgType", "Alert" if not earlier else "Cancel" if alert.kind in CANCELLED else "Update"),
        ("scope", "Public"),
        ("note", TEST if is_test else "Simulated scenes: no real event." if alert.simulated else None),
        ("references", references or None),
        ("incidents", alert.incident.incident_id),
    ]
    _append(root, head)
    info = ElementTree.SubElement(root, "info")
    _append(info, _info(alert))
    for name, value in _parameters(alert):
        _append(ElementTree.SubElement(info, "parameter"), [("valueName", name), ("value", value)])
    area = ElementTree.SubElement(info, "area")
    _append(area, [("areaDesc", _where(alert)), *(("polygon", ring) for ring in _rings(alert))])
    for cell in alert.incident.cells[:MAX_GEOCODES]:
        _append(ElementTree.SubElement(area, "geocode"), [("valueName", "MGRS"), ("value", cell)])
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def identifier(alert: Alert, sequence: int) -> str:
    """Name of one message of an alert: the same in every delivery."""
    return f"{alert.alert_id}-{sequence}"


def category(sentence: str) -> str:
    """CAP's category for a sentence, by its words; Other where none is known."""
    words = sentence.lower()
    return next((name for name, stems in _CATEGORIES if any(stem in words for stem in stems)), "Other")


def _info(alert: Alert) -> Fields:
    incident = alert.incident
    seen = " and ".join(SENSORS[sensor] for sensor in incident.sensors)
    return [
        ("language", "en"),
        ("category", category(alert.query)),
        ("event", alert.query),
        ("responseType", _RESPONSES.get(alert.kind)),
        ("urgency", "Past" if alert.kind is IncidentState.RESOLVED else "Unknown"),
        ("severity", "Unknown"),
        ("certainty", _certainty(alert)),
        ("effective", _time(alert.sent_at)),
        ("onset", _time(incident.first_sensing_at)),
        ("expires", _time(alert.sent_at) if alert.kind is IncidentState.EXPIRED else None),
        ("senderName", "Tocsin"),
        ("headline", f"{alert.query}: {alert.kind.value}, {len(incident.cells)} km² in {_where(alert)}"),
        (
            "description",
            f"{SENTENCES[alert.kind]} Satellite images by {seen} match the standing query “{alert.query}” in"
            f" {len(incident.cells)} cells of 1 km², first sensed {_time(incident.first_sensing_at)}, last"
            f" {_time(incident.last_sensing_at)}. Highest score {incident.score:.3f}."
            f"{'' if alert.other_sensor is None else ' ' + sentence(alert.other_sensor)} {UNVERIFIED}",
        ),
        ("instruction", OVER_NOT_SAFE if alert.kind is IncidentState.RESOLVED else None),
    ]


_RESPONSES: Mapping[IncidentState, str] = {
    IncidentState.RESOLVED: "AllClear",
    IncidentState.RETRACTED: "None",
    IncidentState.EXPIRED: "None",
    IncidentState.MERGED: "None",
}
"""What CAP calls the response; while it lasts that is for people to say."""


def _certainty(alert: Alert) -> str:
    if alert.kind is IncidentState.RETRACTED:
        return "Unlikely"
    both = len(alert.incident.sensors) > 1
    return "Likely" if both or alert.incident.state is IncidentState.CONFIRMED else "Possible"


def _parameters(alert: Alert) -> Fields:
    return [
        ("tocsin:query_id", alert.incident.query_id),
        ("tocsin:sequence", alert.sequence),
        ("tocsin:mode", alert.mode.value),
        ("tocsin:score", f"{alert.incident.score:.4f}"),
        *(("tocsin:item_id", item_id) for item_id in alert.incident.item_ids),
    ]


def _where(alert: Alert) -> str:
    """The 100 km squares that the cells lie in."""
    squares = sorted({cell[:5] for cell in alert.incident.cells})
    if not squares:
        return "the area of the earlier messages"
    shown = ", ".join(squares[:5]) + (f" and {len(squares) - 5} more" if len(squares) > 5 else "")
    return f"MGRS square{'s' if len(squares) > 1 else ''} {shown}"


def _rings(alert: Alert) -> Iterator[str]:
    """Outer outlines as CAP writes them: latitude first, closed; it knows no holes."""
    for part in shapely.get_parts(shape(alert.geometry)):
        yield " ".join(f"{lat:.6f},{lon:.6f}" for lon, lat in shapely.get_coordinates(part.exterior))


def _append(parent: ElementTree.Element, fields: Fields) -> None:
    for name, value in fields:
        if value is not None:
            ElementTree.SubElement(parent, name).text = _NOT_XML.sub(" ", str(value))


def _time(moment: datetime) -> str:
    """Seconds and a numeric zone; CAP 1.2 forbids "Z" and writes UTC as -00:00 (section 3.3.2)."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}-00:00"
