"""The lives of incidents: what was looked at again, which version of a scene counts, what has been told.

Matches that are there already get their new columns from their message, and count as told. Columns come and go one by
one, not by making the table anew: SQLite would drop the old `incidents`, and every match with it.
"""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from alembic import op

from schemas.cells import cell_of

revision = "0004"
down_revision = "0002"
branch_labels = None
depends_on = None

ROWS_AT_ONCE = 1000


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "matched_scenes",
        sa.Column("physical_key", sa.String(length=300), nullable=False),
        sa.Column("acquisition_id", sa.Uuid(), nullable=False),
        sa.Column("processed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sensing_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("news", sa.Boolean(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("physical_key", name="pk_matched_scenes"),
    )
    op.create_index("ix_matched_scenes_sensing_at", "matched_scenes", ["sensing_at"])
    op.create_table(
        "recent_batches",
        sa.Column("acquisition_id", sa.Uuid(), nullable=False),
        sa.Column("release", sa.String(length=100), nullable=False),
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("physical_key", sa.String(length=300), nullable=False),
        sa.Column("sensor", sa.String(length=2), nullable=False),
        sa.Column("sensing_at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=False) for name in ("west", "south", "east", "north")),
        sa.Column("cells", sa.String(), nullable=False),
        sa.Column("vectors", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("acquisition_id", "release", "batch", name="pk_recent_batches"),
    )
    op.create_index("ix_recent_batches_physical_key", "recent_batches", ["physical_key"])
    op.create_index("ix_recent_batches_sensing_at", "recent_batches", ["sensing_at"])
    op.create_table(
        "looks",
        sa.Column("look_id", sa.Uuid(), nullable=False),
        sa.Column("query_id", sa.Uuid(), nullable=False),
        sa.Column("query_version", sa.Integer(), nullable=False),
        sa.Column("cell", sa.String(length=9), nullable=False),
        sa.Column("sensor", sa.String(length=2), nullable=False),
        sa.Column("sensing_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("physical_key", sa.String(length=300), nullable=False),
        sa.Column("acquisition_id", sa.Uuid(), nullable=False),
        sa.Column("presence", sa.Double(), nullable=False),
        sa.Column("level", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("look_id", name="pk_looks"),
    )
    op.create_index("ix_looks_sensing_at", "looks", ["sensing_at"])
    op.create_index("ix_looks_physical_key", "looks", ["physical_key"])
    op.create_index("ix_looks_query_cell", "looks", ["query_id", "cell"])
    for column in _of_incidents():
        op.add_column("incidents", column)
    op.create_index("ix_incidents_state", "incidents", ["state"])
    op.create_index("ix_incidents_merged_into", "incidents", ["merged_into"])
    op.execute("UPDATE incidents SET told_state = state WHERE sequence > 0")
    for column in _of_matches():
        op.add_column("matches", column)
    op.create_index("ix_matches_physical_key", "matches", ["physical_key"])
    op.create_index("ix_matches_query_lat", "matches", ["query_id", "lat"])
    op.create_index("ix_matches_cell_sensing", "matches", ["cell", "sensing_at"])
    _read_messages()


def downgrade() -> None:
    """Undo."""
    for name in ("cell_sensing", "query_lat", "physical_key"):
        op.drop_index(f"ix_matches_{name}", "matches")
    for name in (
        "told",
        "late",
        "presence",
        "item_id",
        "acquisition_id",
        "physical_key",
        "lat",
        "lon",
        "query_version",
    ):
        op.drop_column("matches", name)
    for name in ("merged_into", "state"):
        op.drop_index(f"ix_incidents_{name}", "incidents")
    for name in ("why", "retracted_at", "split_from", "merged_into", "closed_at", "told_state"):
        op.drop_column("incidents", name)
    for name in ("looks", "recent_batches", "matched_scenes"):
        op.drop_table(name)


def _of_incidents() -> list[sa.Column[Any]]:
    """New columns of incidents."""
    return [
        sa.Column("told_state", sa.String(length=20), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("merged_into", sa.Uuid(), nullable=True),
        sa.Column("split_from", sa.Uuid(), nullable=True),
        sa.Column("retracted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("why", sa.String(length=500), nullable=True),
    ]


def _of_matches() -> list[sa.Column[Any]]:
    """New columns of matches."""
    return [
        sa.Column("query_version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("lon", sa.Double(), server_default="0", nullable=False),
        sa.Column("lat", sa.Double(), server_default="0", nullable=False),
        sa.Column("physical_key", sa.String(length=300), server_default="", nullable=False),
        sa.Column("acquisition_id", sa.Uuid(), nullable=True),
        sa.Column("item_id", sa.String(length=300), server_default="", nullable=False),
        sa.Column("presence", sa.Double(), server_default="0", nullable=False),
        sa.Column("late", sa.Integer(), server_default="0", nullable=False),
        sa.Column("told", sa.Integer(), server_default="0", nullable=False),
    ]


def _read_messages() -> None:
    """What the message of each match says, into its columns."""
    names = ("query_version", "physical_key", "item_id", "presence")
    table = sa.table(
        "matches",
        sa.column("match_id", sa.Uuid()),
        sa.column("message", sa.String()),
        sa.column("query_version", sa.Integer()),
        sa.column("physical_key", sa.String()),
        sa.column("item_id", sa.String()),
        sa.column("presence", sa.Double()),
        sa.column("lon", sa.Double()),
        sa.column("lat", sa.Double()),
        sa.column("acquisition_id", sa.Uuid()),
        sa.column("told", sa.Integer()),
    )
    connection = op.get_bind()
    ids = list(connection.scalars(sa.select(table.c.match_id)))
    for start in range(0, len(ids), ROWS_AT_ONCE):
        some = table.c.match_id.in_(ids[start : start + ROWS_AT_ONCE])
        for match_id, message in connection.execute(sa.select(table.c.match_id, table.c.message).where(some)).all():
            said = json.loads(message)
            lon, lat = cell_of(said["cell"]).centre
            values = {name: said[name] for name in names} | {"acquisition_id": UUID(said["acquisition_id"])}
            change = sa.update(table).where(table.c.match_id == match_id)
            connection.execute(change.values(**values, lon=float(lon), lat=float(lat), told=1))
