"""What a key may be used for and from where, its secret before the last rotation, and its version."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_COLUMNS = {
    "addresses": sa.Text,
    "key_group": sa.Text,
    "limits": sa.Text,
    "previous_secret": sa.LargeBinary,
    "previous_until": sa.BigInteger,
    "version": sa.Integer,
}


def upgrade() -> None:
    for name, kind in _COLUMNS.items():
        op.add_column("api_keys", sa.Column(name, kind(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("api_keys") as table:
        for name in _COLUMNS:
            table.drop_column(name)
