"""Alerts as CAP 1.2, the language of warning systems.

Flows in: an alert message and what was sent of it before. Flows out: one XML document. Stops before any file.

Source: OASIS Common Alerting Protocol Version 1.2 (2010), section 3.2, whose order of elements is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree import ElementTree

import shapely
from shapely.geometry import shape

from alerts.incidents.other_sensor import sentence
from schemas.messages import Alert, IncidentState

NAMESPACE = "urn:oasis:names:tc:emergency:cap:1.2"
MAX_GEOCODES = 1000
"""Cells named one by one; the polygons always hold all."""
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


def cap(alert: Alert, earlier: Sequence[Earlier], sender: str) -> bytes:
    """One CAP message: msgType Alert for the first of an alert, Update with references for the others.

    Urgency and severity are Unknown: a satellite sees what has happened, not whom it threatens.

    Args:
        alert: What is told.
        earlier: Messages of this alert before this one, in order.
        sender: Who answers for it; no blank, comma, `<` or `&`.

    Returns:
        UTF-8 XML.
    """
    root = ElementTree.Element("alert", xmlns=NAMESPACE)
    references = " ".join(f"{sender},{identifier(alert, each.sequence)},{_time(each.sent_at)}" for each in earlier)
    head: list[tuple[str, object]] = [
        ("identifier", identifier(alert, alert.sequence)),
        ("sender", sender),
        ("sent", _time(alert.sent_at)),
        ("status", "Exercise" if alert.simulated else "Actual"),
        ("msgType", "Update" if earlier else "Alert"),
        ("scope", "Public"),
        ("note", "Simulated scenes: no real event." if alert.simulated else None),
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
    certain = incident.state is IncidentState.CONFIRMED
    seen = " and ".join({"s1": "Sentinel-1 radar", "s2": "Sentinel-2 optical"}[sensor] for sensor in incident.sensors)
    return [
        ("language", "en"),
        ("category", category(alert.query)),
        ("event", alert.query),
        ("urgency", "Unknown"),
        ("severity", "Unknown"),
        ("certainty", "Likely" if certain else "Possible"),
        ("effective", _time(alert.sent_at)),
        ("onset", _time(incident.first_sensing_at)),
        ("senderName", "Tocsin"),
        ("headline", f"{alert.query}: {alert.kind.value}, {len(incident.cells)} km² in {_where(alert)}"),
        (
            "description",
            f"Satellite images by {seen} match the standing query “{alert.query}” in {len(incident.cells)} cells of"
            f" 1 km², first sensed {_time(incident.first_sensing_at)}, last {_time(incident.last_sensing_at)}."
            f" Highest score {incident.score:.3f}."
            f"{'' if alert.other_sensor is None else ' ' + sentence(alert.other_sensor)}"
            " Found by an automatic comparison; nobody has verified it.",
        ),
    ]


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
