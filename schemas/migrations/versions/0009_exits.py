"""Below what a cell is clear again: kept with the threshold, the matches that passed it and looks.

A presence floor of before gets the margin that was fixed then; other rows have none until they are computed anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("thresholds", sa.Column("question", sa.Integer(), nullable=True))
    op.add_column("thresholds", sa.Column("clear", sa.Double(), nullable=True))
    op.execute("UPDATE thresholds SET clear = presence - 0.02 WHERE presence IS NOT NULL")
    op.add_column("matches", sa.Column("level", sa.Double(), nullable=True))
    op.add_column("matches", sa.Column("scored_by", sa.String(length=16), nullable=False, server_default=""))
    op.add_column("looks", sa.Column("scored_by", sa.String(length=16), nullable=False, server_default=""))


def downgrade() -> None:
    """Undo."""
    with op.batch_alter_table("looks") as table:
        table.drop_column("scored_by")
    with op.batch_alter_table("matches") as table:
        table.drop_column("scored_by")
        table.drop_column("level")
    with op.batch_alter_table("thresholds") as table:
        table.drop_column("clear")
        table.drop_column("question")
