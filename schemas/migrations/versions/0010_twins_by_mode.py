"""A query's twin has its mode and sensors too: the same sentence asked otherwise is another query.

The key of every query is made anew from its message, so that importing a file again finds what stands.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_QUERIES = sa.table(
    "queries", sa.column("query_id", sa.Uuid()), sa.column("message", sa.Text()), sa.column("twin", sa.String(64))
)
_AT_ONCE = 1000
"""Queries read at once: an area may be megabytes."""


def upgrade() -> None:
    """Apply."""
    _rekey(lambda query: [query["mode"], *query["sensors"]])


def downgrade() -> None:
    """Undo."""
    _rekey(lambda query: [])


def _rekey(more: Callable[[dict[str, Any]], list[str]]) -> None:
    """Make every key anew from sentence, area and what `more` takes of a query's message."""
    connection = op.get_bind()
    keyed = sa.update(_QUERIES).where(_QUERIES.c.query_id == sa.bindparam("of")).values(twin=sa.bindparam("key"))
    query_ids = list(connection.scalars(sa.select(_QUERIES.c.query_id)))
    for start in range(0, len(query_ids), _AT_ONCE):
        some = _QUERIES.c.query_id.in_(query_ids[start : start + _AT_ONCE])
        rows = []
        for query_id, message in connection.execute(sa.select(_QUERIES.c.query_id, _QUERIES.c.message).where(some)):
            query = json.loads(message)
            parts = [query["sentence"].casefold(), json.dumps(query.get("area"), sort_keys=True), *more(query)]
            rows.append({"of": query_id, "key": hashlib.sha256("\x1f".join(parts).encode()).hexdigest()})
        connection.execute(keyed, rows)
