"""Alerts and notices as GeoJSON (RFC 7946), for files, webhooks and the command line.

Flows in: an alert message or a notice. Flows out: a Feature or a FeatureCollection, lon/lat degrees. Stops before
writing it anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable

from alerts.incidents.other_sensor import sentence
from alerts.telling.kinds.kind import Telling
from schemas.messages import Alert, OtherSensor, utc
from schemas.notices import Notice

GeoJSON = dict[str, object]


def feature(alert: Alert, **more: object) -> GeoJSON:
    """One alert as a Feature: outline of its cells, and what is known about it.

    Args:
        alert: The message.
        **more: Further properties.
    """
    incident = alert.incident
    properties = {
        "query": alert.query,
        "state": incident.state.value,
        "kind": alert.kind.value,
        "score": incident.score,
        "opened": utc(incident.opened_at),
        "sent": utc(alert.sent_at),
        "first_sensing": utc(incident.first_sensing_at),
        "last_sensing": utc(incident.last_sensing_at),
        "sensors": list(incident.sensors),
        "item_ids": list(incident.item_ids),
        "cells": list(incident.cells),
        "closed": None if incident.closed_at is None else utc(incident.closed_at),
        "merged_into": None if incident.merged_into is None else str(incident.merged_into),
        "split_from": None if incident.split_from is None else str(incident.split_from),
        "why": incident.why,
        "expected_every_days": incident.expected_every_days,
        "other_sensor": None if alert.other_sensor is None else _other(alert.other_sensor),
        "mode": alert.mode.value,
        "alert_id": str(alert.alert_id),
        "sequence": alert.sequence,
        "incident_id": str(incident.incident_id),
        "query_id": str(incident.query_id),
        "query_version": incident.query_version,
        "simulated": alert.simulated,
    }
    return {
        "type": "Feature",
        "id": f"{alert.alert_id}-{alert.sequence}",
        "geometry": alert.geometry,
        "properties": properties | more,
    }


def told(telling: Telling) -> GeoJSON:
    """What one receiver is told, with all that belongs to it.

    `type` says whether it is an alert or a notice; `test` and `occasion` stand there only when it is a test, or told
    again.
    """
    more: dict[str, object] = {"test": True} if telling.is_test else {}
    if telling.occasion:
        more["occasion"] = telling.occasion
    if isinstance(telling.message, Notice):
        return notice(telling.message, type="notice", **more)
    return feature(telling.message, matches=matches(telling.message), type="alert", **more)


def notice(about: Notice, **more: object) -> GeoJSON:
    """One notice as a Feature; without a place of its own its geometry is null.

    Args:
        about: The notice.
        **more: Further properties.
    """
    properties = {
        "notice_id": str(about.notice_id),
        "sequence": about.sequence,
        "kind": about.kind.value,
        "cleared": about.cleared,
        "query": about.query,
        "query_id": None if about.query_id is None else str(about.query_id),
        "subject": about.subject,
        "text": about.text,
        "details": about.details,
        "sent": utc(about.sent_at),
    }
    return {
        "type": "Feature",
        "id": f"{about.notice_id}-{about.sequence}",
        "geometry": about.geometry,
        "properties": properties | more,
    }


def _other(other: OtherSensor) -> GeoJSON:
    """What the other sensor says, as fields and as a sentence."""
    return {
        "sensor": other.sensor,
        "looked_at": None if other.looked_at is None else utc(other.looked_at),
        "saw": other.saw,
        "item_id": other.item_id,
        "next_expected": None if other.next_expected_at is None else utc(other.next_expected_at),
        "relative_orbit": other.relative_orbit,
        "every_days": other.every_days,
        "passes": other.passes,
        "text": sentence(other),
    }


def matches(alert: Alert) -> list[GeoJSON]:
    """The matches that an alert is about, cell by cell: what was seen, and what it had to pass."""
    return [
        {
            "cell": match.cell,
            "sensor": match.sensor,
            "item_id": match.item_id,
            "datetime": utc(match.sensing_at),
            "score": match.score,
            "presence": match.presence,
            "threshold": match.threshold,
            "earlier_acquisitions": match.baseline_count,
        }
        for match in alert.matches
    ]


def collection(features: Iterable[GeoJSON]) -> GeoJSON:
    """A FeatureCollection."""
    return {"type": "FeatureCollection", "features": list(features)}
