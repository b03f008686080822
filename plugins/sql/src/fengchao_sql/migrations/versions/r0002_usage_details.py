"""What a usage row says beyond tokens: operation, group, pictures, searches, vectors, price version, hang-up."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TEXTS = ("operation", "key_group", "price_version", "disconnect")
_NUMBERS = ("images", "searches", "vectors")


def upgrade() -> None:
    for name in ("operation", "key_group"):
        op.add_column("usage_rows", sa.Column(name, sa.Text(), nullable=True))
    for name in _NUMBERS:
        op.add_column("usage_rows", sa.Column(name, sa.Integer(), nullable=True))
    for name in ("price_version", "disconnect"):
        op.add_column("usage_rows", sa.Column(name, sa.Text(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("usage_rows") as table:
        for name in (*_TEXTS, *_NUMBERS):
            table.drop_column(name)
