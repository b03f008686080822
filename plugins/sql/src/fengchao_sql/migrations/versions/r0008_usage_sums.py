"""Sums of usage by hour and by day, with what the rows so far add up to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_DIMENSIONS = ("key", "key_group", "model", "provider", "operation", "outcome", "currency")
_COUNTS = (
    "requests",
    "failures",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "images",
    "searches",
    "cost_high",
    "cost_low",
)
_PLACES = (
    "key, COALESCE(key_group, ''), model, provider, COALESCE(operation, 'chat'), outcome, "
    "COALESCE(currency, '')"
)
_SUMS = (
    "SUM(CASE WHEN outcome <> 'retried' THEN 1 ELSE 0 END), "
    "SUM(CASE WHEN outcome NOT IN ('ok', 'retried') THEN 1 ELSE 0 END), "
    "SUM(prompt_tokens), SUM(completion_tokens), SUM(cached_tokens), SUM(reasoning_tokens), "
    "COALESCE(SUM(images), 0), COALESCE(SUM(searches), 0), "
    "COALESCE(SUM(cost / 1000000), 0), COALESCE(SUM(cost % 1000000), 0)"
)


def upgrade() -> None:
    for name, length in (("usage_hours", 3_600_000_000), ("usage_days", 86_400_000_000)):
        op.create_table(
            name,
            sa.Column("bucket", sa.BigInteger(), autoincrement=False, nullable=False),
            *(sa.Column(dimension, sa.Text(), nullable=False) for dimension in _DIMENSIONS),
            *(sa.Column(count, sa.BigInteger(), nullable=False) for count in _COUNTS),
            sa.PrimaryKeyConstraint("bucket", *_DIMENSIONS, name=f"pk_{name}"),
            sqlite_with_rowid=False,
        )
        columns = ", ".join(("bucket", *_DIMENSIONS, *_COUNTS))
        op.execute(
            f"INSERT INTO {name} ({columns}) SELECT started_at / {length}, {_PLACES}, {_SUMS} "  # noqa: S608  # names of ours
            f"FROM usage_rows GROUP BY started_at / {length}, {_PLACES}"
        )


def downgrade() -> None:
    op.drop_table("usage_days")
    op.drop_table("usage_hours")
