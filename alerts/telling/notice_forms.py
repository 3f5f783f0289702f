"""Notices as files and requests carry them.

In: a notice. Out: GeoJSON whose properties say `"type": "notice"`. Stops before sending it (`notify`, `webhook`).

CAP has no form for them: a warning of Tocsin's own blindness under the category of a danger would be a false alarm.
"""

from __future__ import annotations

from alerts.telling.geojson import GeoJSON
from schemas.messages import utc
from schemas.notices import Notice

NO_NOTICES = frozenset({"cap"})
"""Kinds of receivers that are not told of notices."""


def notice_feature(notice: Notice) -> GeoJSON:
    """A notice as a Feature; its geometry is null where it has no place (RFC 7946, section 3.2)."""
    return {
        "type": "Feature",
        "id": f"{notice.notice_id}-{notice.sequence}",
        "geometry": notice.geometry,
        "properties": {
            "type": "notice",
            "notice_id": str(notice.notice_id),
            "sequence": notice.sequence,
            "kind": notice.kind.value,
            "cleared": notice.cleared,
            "query": notice.query,
            "query_id": None if notice.query_id is None else str(notice.query_id),
            "subject": notice.subject,
            "text": notice.text,
            "details": notice.details,
            "sent": utc(notice.sent_at),
        },
    }
