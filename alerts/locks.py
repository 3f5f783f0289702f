"""One writer at a time, where order matters.

Flows in: a session inside a transaction. Flows out: the certainty that no other transaction with the same lock
runs until this one ends. Stops there: SQLite already lets one writer in at a time.
"""

from __future__ import annotations

import zlib

from sqlalchemy import text
from sqlalchemy.orm import Session


def serialise(session: Session, name: str) -> None:
    """Wait for the lock of that name, and hold it until the transaction ends.

    On SQLite every write transaction holds the only lock from its beginning (`schemas.database`).
    """
    if session.get_bind().dialect.name == "postgresql":
        key = zlib.crc32(name.encode())
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
