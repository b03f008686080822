"""What was sent and shown, for those who keep it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "usage_bodies",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_usage_bodies"),
    )
    op.create_index("ix_usage_bodies_request_id", "usage_bodies", ["request_id"])
    op.create_index("ix_usage_bodies_at", "usage_bodies", ["at"])


def downgrade() -> None:
    op.drop_table("usage_bodies")
