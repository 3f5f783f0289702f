"""The fixed phrases in which people are told of incidents and notices.

Flows in: nothing. Flows out: a word or a sentence for every state of an incident and every kind of notice. Stops before
putting them together (`words`, `cap`).
"""

from __future__ import annotations

from schemas.messages import IncidentState
from schemas.notices import NoticeKind

STATES = {
    IncidentState.OPENED: "opened",
    IncidentState.GROWING: "growing",
    IncidentState.CONFIRMED: "confirmed",
    IncidentState.RESOLVED: "resolved",
    IncidentState.RETRACTED: "retracted",
    IncidentState.EXPIRED: "expired",
    IncidentState.MERGED: "merged",
    IncidentState.REOPENED: "reopened",
    IncidentState.SPLIT: "split",
}
"""One word for a line."""
SENTENCES = {
    IncidentState.OPENED: "Opened: these cells match the query.",
    IncidentState.GROWING: "It has grown: more cells match.",
    IncidentState.CONFIRMED: "Confirmed: another sensor or a second pass has seen it as well.",
    IncidentState.RESOLVED: "Resolved: later passes saw the place and no longer show it.",
    IncidentState.RETRACTED: "Retracted: it was told in error. Please disregard the earlier messages.",
    IncidentState.EXPIRED: "Expired: no later pass has shown it again, and none has shown that it is over.",
    IncidentState.MERGED: "Merged: it turned out to be part of another incident, which is told of from now on.",
    IncidentState.REOPENED: "Reopened: what was over matches again.",
    IncidentState.SPLIT: "Split: it was part of another incident that turned out to be two. Nothing new has happened.",
}
"""The same as a sentence."""
OVER = frozenset({IncidentState.RESOLVED, IncidentState.RETRACTED, IncidentState.EXPIRED, IncidentState.MERGED})
"""After these nothing more comes of an incident."""
NOTICES = {
    NoticeKind.BLIND: "not watched",
    NoticeKind.DRIFT: "alarms drift",
    NoticeKind.UNACKNOWLEDGED: "nobody answered",
}
SENSORS = {"s1": "Sentinel-1 radar", "s2": "Sentinel-2 optical"}
UNVERIFIED = "Found by an automatic comparison of satellite images; nobody has verified it."
TEST = "This is a test of the way to you. Nothing has happened."
