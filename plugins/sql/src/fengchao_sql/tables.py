"""
The tables, and how Python's values become theirs.

Only what SQLite and PostgreSQL both have: integers, text and bytes. Instants are whole microseconds since 1970 in UTC.
Money is a whole number of 1e-12 currency units, so that sums are exact and fast in both; a price with up to nine decimal
places per 1,000 tokens gives no finer amounts. Changing a table here needs a new revision in `migrations/versions`; a
test holds the two together.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    literal_column,
    text,
)

COST_DECIMALS = 12
"""Decimal places of a cost that are kept."""

COST_UNITS = 1_000_000_000_000
"""Units per unit of currency."""

LARGEST_COST = (2**63 - 1) // COST_UNITS
"""The dearest request that fits a row, in currency units: 9,223,372. Sums are not bound by it."""

LARGEST_UNITS = LARGEST_COST * COST_UNITS
"""Likewise, in units."""

LARGEST_COUNT = 2**31 - 1
"""The largest number of tokens or milliseconds that fits a row."""

LONGEST_TEXT = 200
"""Characters that are kept of a model's name or a request id, which a caller may have made up."""

DAY_US = 86_400_000_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNIT = Decimal(1).scaleb(-COST_DECIMALS)
_PER_UNIT = Decimal(COST_UNITS)
_LARGEST_COST = Decimal(LARGEST_COST)

# SQLite counts rows up only in a column that is exactly INTEGER.
RowNumber = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("seq", RowNumber, primary_key=True, autoincrement=True),
    Column("api_key", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("sealed_secret", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("models", Text, nullable=False),  # a JSON list
    Column("note", Text, nullable=False),
    Column("addresses", Text),  # a JSON list
    Column("key_group", Text),
    Column("limits", Text),  # a JSON object
    Column("previous_secret", LargeBinary),
    Column("previous_until", BigInteger),
    Column("version", Integer),
)
"""Key pairs. `seq` keeps the order in which they were made. What most keys lack (from `addresses` on) is NULL then."""

_LIVE_NAMES = Index("uq_api_keys_live_name", api_keys.c.name, unique=True)

key_revision = Table(
    "key_revision",
    metadata,
    Column("revision", BigInteger, nullable=False),
)
"""One row: a number that each change of a key increments in its own transaction."""

usage_rows = Table(
    "usage_rows",
    metadata,
    Column("seq", RowNumber, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("started_at", BigInteger, nullable=False, index=True),
    Column("request_id", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("streamed", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("first_delta_ms", Integer),
    Column("prompt_tokens", Integer, nullable=False),
    Column("completion_tokens", Integer, nullable=False),
    Column("cached_tokens", Integer, nullable=False),
    Column("reasoning_tokens", Integer, nullable=False),
    Column("usage_source", Text, nullable=False),
    Column("cost", BigInteger),
    Column("currency", Text),
    Column("price_since", Text),
    Column("operation", Text),
    Column("key_group", Text),
    Column("images", Integer),
    Column("searches", Integer),
    Column("vectors", Integer),
    Column("price_version", Text),
    Column("disconnect", Text),
)
"""
One row per request, and one per attempt that cost something; only ever appended.

To be small, `request_id` is empty where it is the same as `id`, and what most rows lack (from `operation` on) is NULL
where it is 0, empty, or, of `operation`, `chat`.
"""


jobs = Table(
    "jobs",
    metadata,
    Column("seq", RowNumber, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("queue", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),  # a JSON object; empty once the task has ended
    Column("created_at", BigInteger, nullable=False),
    Column("available_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("most_attempts", Integer, nullable=False),
    Column("worker", Text, nullable=False),
    Column("lease_until", BigInteger),
    Column("ended_at", BigInteger),
    Column("result", LargeBinary),  # a JSON object
    Column("failure", LargeBinary),  # likewise
)
"""Asynchronous tasks. `seq` keeps the order in which they were submitted."""

# Written out, not as parameters: a database that is told the values only later would not use the index below.
is_unfinished = literal_column("jobs.state", Text).in_(
    [literal_column("'queued'"), literal_column("'running'")]
)
_UNFINISHED = Index("ix_jobs_unfinished", jobs.c.queue, jobs.c.key, jobs.c.seq)
Index("ix_jobs_owner", jobs.c.queue, jobs.c.key, jobs.c.seq)

job_events = Table(
    "job_events",
    metadata,
    Column("seq", RowNumber, primary_key=True, autoincrement=True),
    Column("job_id", Text, nullable=False),
    Column("first", Integer, nullable=False),
    Column("count", Integer, nullable=False),
    Column("events", LargeBinary, nullable=False),  # zlib of JSON texts, one a line
)
"""Runs of events of streams that can be read again."""

Index("uq_job_events_run", job_events.c.job_id, job_events.c.first, unique=True)

_ROWS = {
    _LIVE_NAMES: api_keys.c.revoked_at.is_(None),
    _UNFINISHED: text("state IN ('queued', 'running')"),
}
"""Of which rows the indexes are that are not of all."""


def fit(dialect: Dialect) -> None:
    """
    Make the indexes what they are in a dialect; to be called before they are made.

    Not said where they stand: naming a dialect's option imports that dialect, and PostgreSQL's is 2.5 MB that who uses
    SQLite has nothing from.
    """
    for index, rows in _ROWS.items():
        index.dialect_kwargs[f"{dialect.name}_where"] = rows


def to_micros(instant: datetime) -> int:
    """An aware instant as microseconds since 1970."""
    return (instant - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The aware UTC instant that `to_micros` took."""
    return _EPOCH + timedelta(microseconds=micros)


def to_units(amount: Decimal) -> int:
    """
    An amount in whole units, rounded half to even at the twelfth decimal place, at most `LARGEST_COST`.

    The bound keeps a price that was mistyped by orders of magnitude from blocking every other row of its batch.
    """
    if amount >= _LARGEST_COST:
        return LARGEST_UNITS
    scaled = amount * _PER_UNIT
    units = int(scaled)
    if units == scaled:  # as nearly every amount is: rounding would cost as much again
        return units
    return int(amount.quantize(_UNIT, rounding=ROUND_HALF_EVEN).scaleb(COST_DECIMALS))


def from_units(units: int) -> Decimal:
    """The amount of so many units, without trailing zeros: exact for any size."""
    whole, rest = divmod(units, COST_UNITS)
    digits = f"{rest:0{COST_DECIMALS}d}".rstrip("0")
    return Decimal(f"{whole}.{digits}" if digits else whole)


def fitted(text: str) -> str:
    """Text as both databases take it: not endless, no NUL, no half of a surrogate pair."""
    if len(text) > LONGEST_TEXT:
        text = text[:LONGEST_TEXT]
    if text.isascii():
        return text.replace("\0", "\ufffd") if "\0" in text else text
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")
