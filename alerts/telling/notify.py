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

from alerts.settings import NotifierSettings
from alerts.telling import webhook
from alerts.telling.cap import Earlier, cap
from alerts.telling.deliveries import Due
from alerts.telling.geojson import collection
from alerts.telling.lines import group_text, line
from alerts.telling.receivers import Receiver
from alerts.telling.told import Told, id_of
from schemas.database import reading
from schemas.errors import DeliveryFailed
from schemas.messages import Alert
from schemas.tables import AlertRow


def tell(engine: Engine, receiver: Receiver, due: Due, settings: NotifierSettings) -> None:
    """Attempt a delivery.

    Raises:
        DeliveryFailed: it was not taken; a later attempt may succeed.
    """
    if receiver.kind == "terminal":
        write_told(due, sys.stdout)  # logs go to stderr: this line is for people
    elif receiver.kind == "webhook":
        webhook.post(receiver, due.told, str(due.delivery_id), settings.timeout_s, due.occasion)
    elif receiver.kind == "geojson":
        found = webhook.told_feature(due.told, due.occasion)
        content = json.dumps(collection([found]), indent=1)
        write_file(receiver.folder / f"{_stem(due.told)}.geojson", content.encode() + b"\n")
    else:
        message = cap(due.alert, _earlier(engine, due.alert), settings.cap_sender)
        write_file(receiver.folder / f"{_stem(due.alert)}.cap.xml", message)


def write_told(due: Due, stream: TextIO) -> None:
    """A line for a message; for several that are told in one, a line that says so, and one for each.

    Raises:
        DeliveryFailed: the stream is closed.
    """
    if len(due.alerts) == 1:
        _write(line(due.told, due.occasion), stream)
        return
    subject, text = group_text(due.alerts, due.occasion)
    _write(subject if text.count("\n") == 1 else f"{subject}\n{text.rstrip()}", stream)


def write_line(alert: Alert, stream: TextIO) -> None:
    """One line for a person; control characters of a sentence never reach the terminal.

    Raises:
        DeliveryFailed: the stream is closed.
    """
    _write(line(alert), stream)


def _write(text: str, stream: TextIO) -> None:
    try:
        stream.write(text + "\n")
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


def _stem(told: Told) -> str:
    """Sorts by time; the same message always overwrites itself."""
    return f"{told.sent_at:%Y%m%dT%H%M%SZ}-{id_of(told)}-{told.sequence}"


def _earlier(engine: Engine, alert: Alert) -> Sequence[Earlier]:
    wanted = (
        select(AlertRow.sequence, AlertRow.sent_at)
        .where(AlertRow.alert_id == alert.alert_id, AlertRow.sequence < alert.sequence)
        .order_by(AlertRow.sequence)
    )
    with reading(engine) as session:
        return [Earlier(sequence, sent_at) for sequence, sent_at in session.execute(wanted)]
