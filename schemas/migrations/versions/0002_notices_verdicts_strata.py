"""Notices and verdicts; thresholds by stratum, with their interval and tail.

Thresholds are computed from the archive, and a person's own stands in the query: the old rows are dropped, and every
matcher computes new ones at its start.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "notices",
        sa.Column("notice_id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("query_id", sa.Uuid(), nullable=True),
        sa.Column("cleared", sa.Boolean(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("notified_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("notice_id", "sequence", name="pk_notices"),
    )
    for column in ("kind", "query_id", "sent_at"):
        op.create_index(f"ix_notices_{column}", "notices", [column])
    op.create_table(
        "verdicts",
        sa.Column("verdict_id", sa.Uuid(), nullable=False),
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("query_id", sa.Uuid(), nullable=False),
        sa.Column("answer", sa.String(length=10), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("verdict_id", name="pk_verdicts"),
    )
    for column in ("alert_id", "incident_id", "query_id"):
        op.create_index(f"ix_verdicts_{column}", "verdicts", [column])
    op.drop_table("thresholds")
    op.create_table("thresholds", *_thresholds(), *_stratified())


def downgrade() -> None:
    """Undo."""
    op.drop_table("thresholds")
    op.create_table(
        "thresholds",
        *_thresholds(),
        sa.ForeignKeyConstraint(
            ["query_id"], ["queries.query_id"], name="fk_thresholds_query_id_queries", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("query_id", "release", "sensor", name="pk_thresholds"),
    )
    op.drop_table("verdicts")
    op.drop_table("notices")


def _thresholds() -> list[sa.Column[object]]:
    """What both shapes of the table share."""
    return [
        sa.Column("query_id", sa.Uuid(), nullable=False),
        sa.Column("release", sa.String(length=100), nullable=False),
        sa.Column("sensor", sa.String(length=2), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("presence", sa.Double(), nullable=True),
        sa.Column("basis", sa.String(length=20), nullable=False),
        sa.Column("background", sa.Integer(), nullable=False),
        sa.Column("computed_at", sa.DateTime(timezone=True), nullable=False),
    ]


def _stratified() -> list[sa.schema.SchemaItem]:
    """What is new."""
    return [
        sa.Column("stratum", sa.String(length=20), nullable=False),
        sa.Column("score_low", sa.Double(), nullable=True),
        sa.Column("score_high", sa.Double(), nullable=True),
        sa.Column("needed", sa.Integer(), nullable=True),
        sa.Column("expected_per_week", sa.Double(), nullable=True),
        sa.Column("tail", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["query_id"], ["queries.query_id"], name="fk_thresholds_query_id_queries", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("query_id", "release", "sensor", "stratum", name="pk_thresholds"),
    ]
