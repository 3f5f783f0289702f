"""The fixed phrases in which people are told of incidents and notices.

Flows in: nothing. Flows out: a sentence for every message of an incident, words for every kind of notice. Stops before
putting them together (`words`, `cap`).
"""

from __future__ import annotations

from schemas.messages import IncidentState, Sensor
from schemas.notices import NoticeKind

SENTENCES = {
    IncidentState.OPENED: "Opened: these cells match the query.",
    IncidentState.GROWING: "It has grown: more cells match.",
    IncidentState.CONFIRMED: "Confirmed: another sensor or a second pass has seen it as well.",
    IncidentState.RESOLVED: "Resolved: later passes saw the place and no longer show it.",
    IncidentState.RETRACTED: "Retracted: it was told in error. Please disregard the earlier messages.",
    IncidentState.EXPIRED: "Expired: no later pass has shown it again, and none has shown that it is over.",
    IncidentState.MERGED: "Merged: it turned out to be part of another incident, which is told of from now on.",
    IncidentState.REOPENED: "Reopened: what was told to be over goes on.",
    IncidentState.SPLIT: "Split: it was part of another incident that turned out to be two. Nothing new has happened.",
}
"""Of what happened to an incident; in one word it is `kind.value`."""
NOTICES = {
    NoticeKind.BLIND: "not watched",
    NoticeKind.DRIFT: "alarms drift",
    NoticeKind.UNACKNOWLEDGED: "nobody answered",
}
SENSORS: dict[Sensor, str] = {"s1": "Sentinel-1 radar", "s2": "Sentinel-2 optical"}
UNVERIFIED = "Found by an automatic comparison of satellite images; nobody has verified it."
TEST = "This is a test of the way to you. Nothing has happened."
