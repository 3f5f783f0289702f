"""What became of a delivery at each recipient of a receiver with several.

None is on record for the deliveries so far: they had one recipient each.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "recipients",
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("recipient", sa.String(length=320), nullable=False),
        sa.Column("refusal", sa.String(length=500), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("delivery_id", "recipient", name="pk_recipients"),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("recipients")
