"""Telling one receiver once, each kind in its way.

Flows in: a delivery that is due. Flows out: a line on the terminal, a file, a request; or the error that says why
not. Stops before deciding when to try again (`notifier`).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TextIO

from sqlalchemy import Engine, select

from alerts.incidents.other_sensor import sentence
from alerts.places import centres
from alerts.settings import NotifierSettings
from alerts.telling import webhook
from alerts.telling.cap import Earlier, cap
from alerts.telling.deliveries import Due
from alerts.telling.geojson import collection, feature, matches
from alerts.telling.receivers import Receiver
from schemas.database import reading
from schemas.errors import DeliveryFailed
from schemas.messages import Alert, utc
from schemas.tables import AlertRow


def tell(engine: Engine, receiver: Receiver, due: Due, settings: NotifierSettings) -> None:
    """Attempt a delivery.

    Raises:
        DeliveryFailed: it was not taken; a later attempt may succeed.
    """
    if receiver.kind == "terminal":
        write_line(due.alert, sys.stdout)  # logs go to stderr: this line is for people
    elif receiver.kind == "webhook":
        webhook.post(receiver, due.alert, str(due.delivery_id), settings.timeout_s)
    elif receiver.kind == "geojson":
        content = json.dumps(collection([feature(due.alert, matches=matches(due.alert))]), indent=1)
        write_file(receiver.folder / f"{_stem(due.alert)}.geojson", content.encode() + b"\n")
    else:
        message = cap(due.alert, _earlier(engine, due.alert), settings.cap_sender)
        write_file(receiver.folder / f"{_stem(due.alert)}.cap.xml", message)


def write_line(alert: Alert, stream: TextIO) -> None:
    """One line for a person; control characters of a sentence never reach the terminal.

    Raises:
        DeliveryFailed: the stream is closed.
    """
    incident = alert.incident
    best = max(alert.matches, key=lambda match: match.score).cell if alert.matches else incident.cells[0]
    lon, lat = centres([best])[0]
    text = (
        f"{'SIMULATED ' if alert.simulated else ''}ALERT {alert.query}: {alert.kind.value},"
        f" {len(incident.cells)} km2 around {abs(lat):.3f}{'N' if lat >= 0 else 'S'}"
        f" {abs(lon):.3f}{'E' if lon >= 0 else 'W'} (cell {best}), {'+'.join(incident.sensors)},"
        f" score {incident.score:.3f}, sensed {utc(incident.last_sensing_at)}"
        f"{'' if alert.other_sensor is None else '; ' + sentence(alert.other_sensor).rstrip('.')}"
        f" [{str(alert.alert_id)[:8]} #{alert.sequence}]"
    )
    try:
        stream.write("".join(c if c.isprintable() else " " for c in text) + "\n")
        stream.flush()
    except (OSError, ValueError) as error:
        raise DeliveryFailed(f"the terminal does not take lines: {error}") from error


def write_file(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees all of it or nothing, also after a power cut.

    Raises:
        DeliveryFailed: the disk does not take it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part", delete=False) as part:
            part.write(content)
            part.flush()
            os.fsync(part.fileno())
        Path(part.name).chmod(0o644)
        Path(part.name).replace(path)
    except OSError as error:
        raise DeliveryFailed(f"file {path} cannot be written: {error.strerror}") from error


def _stem(alert: Alert) -> str:
    """Sorts by time; the same alert and sequence always overwrites itself."""
    return f"{alert.sent_at:%Y%m%dT%H%M%SZ}-{alert.alert_id}-{alert.sequence}"


def _earlier(engine: Engine, alert: Alert) -> Sequence[Earlier]:
    wanted = (
        select(AlertRow.sequence, AlertRow.sent_at)
        .where(AlertRow.alert_id == alert.alert_id, AlertRow.sequence < alert.sequence)
        .order_by(AlertRow.sequence)
    )
    with reading(engine) as session:
        return [Earlier(sequence, sent_at) for sequence, sent_at in session.execute(wanted)]
