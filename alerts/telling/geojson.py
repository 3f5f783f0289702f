"""Alerts as GeoJSON (RFC 7946), for files, webhooks and the command line.

Flows in: an alert message. Flows out: a Feature or a FeatureCollection, lon/lat degrees. Stops before writing it
anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable

from alerts.incidents.other_sensor import sentence
from schemas.messages import Alert, OtherSensor, utc

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
