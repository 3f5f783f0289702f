"""Routes, silences, acknowledgements and reminders; deliveries know the occasion, the route and who attempts them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None

_UNIQUE = "uq_deliveries_alert_id"
_ADDED = ("what", "occasion", "route", "gathered", "batch", "silence_id", "holder")


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("deliveries") as table:
        table.add_column(sa.Column("what", sa.String(length=10), server_default="alert", nullable=False))
        table.add_column(sa.Column("occasion", sa.String(length=30), server_default="", nullable=False))
        table.add_column(sa.Column("route", sa.String(length=100), server_default="", nullable=False))
        table.add_column(sa.Column("gathered", sa.String(length=120), server_default="", nullable=False))
        table.add_column(sa.Column("batch", sa.Uuid(), nullable=True))
        table.add_column(sa.Column("silence_id", sa.Uuid(), nullable=True))
        table.add_column(sa.Column("holder", sa.String(length=200), nullable=True))
        table.drop_constraint(_UNIQUE, type_="unique")
        table.create_unique_constraint(_UNIQUE, ["alert_id", "sequence", "receiver", "occasion", "route"])
        table.create_index("ix_deliveries_batch", ["batch"])
        table.create_index("ix_deliveries_silence_id", ["silence_id"])
    op.create_table(
        "routes",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("release_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_routes"),
    )
    op.create_table(
        "silences",
        sa.Column("silence_id", sa.Uuid(), nullable=False),
        sa.Column("query_id", sa.Uuid(), nullable=True),
        sa.Column("area", sa.JSON(), nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("author", sa.String(length=200), nullable=False),
        sa.Column("comment", sa.String(length=2000), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_by", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("silence_id", name="pk_silences"),
    )
    op.create_index("ix_silences_ends_at", "silences", ["ends_at"])
    op.create_table(
        "acknowledgements",
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("person", sa.String(length=200), nullable=False),
        sa.Column("note", sa.String(length=2000), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("alert_id", name="pk_acknowledgements"),
    )
    op.create_table(
        "reminders",
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("route", sa.String(length=100), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("repeats", sa.Integer(), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("alert_id", "route", name="pk_reminders"),
    )
    op.create_index("ix_reminders_next_at", "reminders", ["next_at"])


def downgrade() -> None:
    """Undo: what was told again, and what was told of notices, has no place in the older table."""
    for name in ("reminders", "acknowledgements", "silences", "routes"):
        op.drop_table(name)
    op.execute("DELETE FROM deliveries WHERE occasion <> '' OR what <> 'alert' OR state IN ('silenced', 'withdrawn')")
    with op.batch_alter_table("deliveries") as table:
        table.drop_index("ix_deliveries_batch")
        table.drop_index("ix_deliveries_silence_id")
        table.drop_constraint(_UNIQUE, type_="unique")
        for column in _ADDED:
            table.drop_column(column)
        table.create_unique_constraint(_UNIQUE, ["alert_id", "sequence", "receiver"])
