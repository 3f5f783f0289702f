"""What is told, in words: one line for a message, a subject and a text for several.

In: alerts and notices. Out: text without control characters. Stops before any receiver (`notify`).
"""

from __future__ import annotations

from collections.abc import Sequence

from alerts.incidents.other_sensor import sentence
from alerts.places import centres
from alerts.telling.told import Told, id_of, simulated
from schemas.errors import UsageError
from schemas.messages import Alert, utc
from schemas.notices import Notice


def line(told: Told, occasion: str = "") -> str:
    """One line for a person.

    Args:
        told: An alert or a notice.
        occasion: Of the delivery: empty where it is news.
    """
    text = _alert(told) if isinstance(told, Alert) else _notice(told)
    return printable(f"{reminder(occasion)}{text}")


def group_text(told: Sequence[Told], occasion: str = "") -> tuple[str, str]:
    """Several messages as one: what a chat, an e-mail or a terminal shows.

    Of each alert and each notice the last message is shown, in the order in which they began; what it was before is
    part of it.

    Args:
        told: One message or more, in the order in which they were sent.
        occasion: Of their deliveries: empty where they are news.

    Returns:
        A subject of one line, and a text of a line for each.
    """
    last: dict[object, Told] = {}
    for each in told:
        last[id_of(each)] = each
    lines = [line(each) for each in last.values()]
    if len(lines) == 1:
        return line(next(iter(last.values())), occasion), lines[0] + "\n"
    alerts = [each for each in last.values() if isinstance(each, Alert)]
    counts = [f"{len(alerts)} alert{'s' if len(alerts) > 1 else ''}"] if alerts else []
    notices = len(last) - len(alerts)
    counts += [f"{notices} notice{'s' if notices > 1 else ''}"] if notices else []
    sentences = list(dict.fromkeys(each.query for each in last.values() if each.query))
    shown = ", ".join(sentences[:3]) + (f" and {len(sentences) - 3} more" if len(sentences) > 3 else "")
    played = "SIMULATED " if all(simulated(each) for each in last.values()) else ""
    subject = f"{reminder(occasion)}{played}{' and '.join(counts)}{': ' if shown else ''}{shown}"
    return printable(subject), "".join(f"{each}\n" for each in lines)


def reminder(occasion: str) -> str:
    """What stands before a message that has been told before; nothing where it is news."""
    if not occasion:
        return ""
    word = "ESCALATED" if occasion.startswith("step") else "AGAIN"
    return f"{word}, nobody has acknowledged: "


def printable(text: str) -> str:
    """Blanks instead of control characters: a sentence never moves a cursor or begins a line."""
    return "".join(c if c.isprintable() else " " for c in text)


def one_line(text: str, name: str, longest: int) -> str:
    """What a person says, on one line.

    Raises:
        UsageError: nothing, or too much.
    """
    shown = " ".join(printable(text).split())
    if not 0 < len(shown) <= longest:
        raise UsageError(f"the {name} has {len(shown)} characters: give 1 to {longest}")
    return shown


def _alert(alert: Alert) -> str:
    incident = alert.incident
    best = max(alert.matches, key=lambda match: match.score).cell if alert.matches else incident.cells[0]
    lon, lat = centres([best])[0]
    return (
        f"{'SIMULATED ' if alert.simulated else ''}ALERT {alert.query}: {alert.kind.value},"
        f" {len(incident.cells)} km2 around {abs(lat):.3f}{'N' if lat >= 0 else 'S'}"
        f" {abs(lon):.3f}{'E' if lon >= 0 else 'W'} (cell {best}), {'+'.join(incident.sensors)},"
        f" score {incident.score:.3f}, sensed {utc(incident.last_sensing_at)}"
        f"{'' if alert.other_sensor is None else '; ' + sentence(alert.other_sensor).rstrip('.')}"
        f" [{str(alert.alert_id)[:8]} #{alert.sequence}]"
    )


def _notice(notice: Notice) -> str:
    about = f" {notice.query}" if notice.query else ""
    over = " over" if notice.cleared else ""
    return f"NOTICE{about}: {notice.kind.value}{over}: {notice.text} [{str(notice.notice_id)[:8]} #{notice.sequence}]"
