"""Heads: what standing queries learn from people; and a key by which a query's twin is found.

Queries of before have no key: their twins are not noticed until they are changed.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "heads",
        sa.Column("head_id", sa.Uuid(), nullable=False),
        sa.Column("query_id", sa.Uuid(), nullable=False),
        sa.Column("query_version", sa.Integer(), nullable=False),
        sa.Column("examples", sa.JSON(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["query_id"], ["queries.query_id"], name="fk_heads_query_id_queries", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("head_id", name="pk_heads"),
    )
    op.create_index("ix_heads_query_id", "heads", ["query_id"])
    op.add_column("queries", sa.Column("twin", sa.String(length=64), nullable=True))
    op.create_index("ix_queries_twin", "queries", ["twin"])


def downgrade() -> None:
    """Undo."""
    op.drop_index("ix_queries_twin", "queries")
    with op.batch_alter_table("queries") as table:
        table.drop_column("twin")
    op.drop_table("heads")
