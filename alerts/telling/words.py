"""What people read about an alert or a notice, in one line or a few.

Flows in: a message. Flows out: plain text without control characters. Stops before any layout: mail, chat, feed and
terminal put it into theirs.
"""

from __future__ import annotations

from collections.abc import Iterator

from alerts.incidents.other_sensor import sentence
from alerts.telling import lines
from alerts.telling.kinds.kind import Telling
from alerts.telling.lines import area, printable
from alerts.telling.phrases import NOTICES, SENSORS, SENTENCES, TEST, UNVERIFIED
from schemas.messages import utc
from schemas.notices import Notice


def line(telling: Telling) -> str:
    """All of its last message in one line."""
    return ("TEST " if telling.is_test else "") + lines.line(telling.message, telling.occasion)


def title(telling: Telling) -> str:
    """What a subject line says: the same for all messages of an alert, so that they stay together."""
    if len(telling.parts) > 1:
        return lines.group_text(telling.messages, telling.occasion)[0]
    message = telling.message
    if isinstance(message, Notice):
        about = f": {message.query}" if message.query else ""
        return printable(f"{telling.mark}NOTICE {NOTICES[message.kind]}{about} ({message.subject})")
    return printable(f"{telling.mark}ALERT {message.query} [{str(message.alert_id)[:8]}]")


def headline(telling: Telling) -> str:
    """What has happened now, one line."""
    message = telling.message
    if isinstance(message, Notice):
        return printable(telling.mark + ("Over: " if message.cleared else "") + message.text)
    return printable(f"{telling.mark}{message.query}: {message.kind.value}, {area(message)}")


def paragraphs(telling: Telling) -> Iterator[str]:
    """What a person must know, the most important first."""
    message = telling.message
    if telling.is_test:
        yield TEST
    if isinstance(message, Notice):
        yield printable(("This is over. " if message.cleared else "") + message.text)
        return
    if message.simulated:
        yield "Simulated scenes: no real event."
    yield SENTENCES[message.kind]
    yield UNVERIFIED


def facts(telling: Telling) -> list[tuple[str, str]]:
    """What is known of it, name and value."""
    message = telling.message
    if isinstance(message, Notice):
        found = [("notice", str(message.notice_id)), ("sent", utc(message.sent_at))]
        found += [(name, str(value)) for name, value in message.details.items()]
        return [(name, printable(value)) for name, value in found]
    incident = message.incident
    known = [
        ("query", message.query),
        ("state", message.kind.value),
        ("where", area(message)),
        ("seen by", " and ".join(SENSORS[sensor] for sensor in incident.sensors)),
        ("first sensed", utc(incident.first_sensing_at)),
        ("last sensed", utc(incident.last_sensing_at)),
        ("highest score", f"{incident.score:.3f}"),
        ("surprise", surprise(incident.expected_every_days)),
        ("other sensor", "" if message.other_sensor is None else sentence(message.other_sensor)),
        ("why", incident.why or ""),
        ("merged into", "" if incident.merged_into is None else str(incident.merged_into)),
        ("scenes", ", ".join(incident.item_ids[:5]) + (" …" if len(incident.item_ids) > 5 else "")),
        ("alert", f"{message.alert_id}, message {message.sequence}"),
    ]
    return [(name, printable(value)) for name, value in known if value]


def surprise(every_days: float | None) -> str:
    """How rarely so strong a match is to be expected, in the unit that people count it in."""
    if every_days is None:
        return ""
    for days, unit in ((365.25, "years"), (7.0, "weeks"), (1.0, "days")):
        if every_days >= 2 * days:
            return f"to be expected once in {every_days / days:.0f} {unit} in this query's area"
    return f"to be expected {1 / every_days:.1f} times a day in this query's area" if every_days > 0 else ""
