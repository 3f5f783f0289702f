"""The coverage ledger by week; raw coverage says when it was written.

Rows from before have no such time: they are folded into the ledger like any others, at the matcher's next round.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("coverage") as table:
        table.add_column(sa.Column("written_at", sa.DateTime(timezone=True), nullable=True))
        table.create_index("ix_coverage_acquisition_written", ["acquisition_id", "written_at"])
    op.create_table(
        "coverage_weeks",
        sa.Column("square", sa.String(length=5), nullable=False),
        sa.Column("sensor", sa.String(length=2), nullable=False),
        sa.Column("monday", sa.Date(), nullable=False),
        sa.Column("planes", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("square", "sensor", "monday", name="pk_coverage_weeks"),
    )
    op.create_table(
        "coverage_parts",
        sa.Column("acquisition_id", sa.Uuid(), nullable=False),
        sa.Column("square", sa.String(length=5), nullable=False),
        sa.Column("sensor", sa.String(length=2), nullable=False),
        sa.Column("monday", sa.Date(), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("acquisition_id", "square", name="pk_coverage_parts"),
    )
    op.create_index("ix_coverage_parts_week", "coverage_parts", ["monday", "square", "sensor"])


def downgrade() -> None:
    """Undo."""
    op.drop_table("coverage_parts")
    op.drop_table("coverage_weeks")
    with op.batch_alter_table("coverage") as table:
        table.drop_index("ix_coverage_acquisition_written")
        table.drop_column("written_at")
