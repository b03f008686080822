"""How far each kind of thing has changed: a number that every change increments in its own transaction."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table, Text, select, text

from fengchao_sql.connection import AsyncConnection
from fengchao_sql.engine import Database
from fengchao_sql.tables import metadata

revisions = Table(
    "revisions",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""A row for each kind of thing that has ever changed."""

_MOVE = text(
    "INSERT INTO revisions (name, value) VALUES (:name, 1) "
    "ON CONFLICT (name) DO UPDATE SET value = revisions.value + 1 RETURNING value"
)


async def revision_of(database: Database, name: str) -> int:
    """The revision of now; 0 before the first change. Raises `StoreUnavailable`."""
    rows = await database.read(select(revisions.c.value).where(revisions.c.name == name))
    return int(rows[0][0]) if rows else 0


async def move(connection: AsyncConnection, name: str) -> int:
    """
    The next revision, for the change that this transaction makes.

    It holds the row until the transaction ends, so changes of one kind happen one after the other.
    """
    return int((await connection.execute(_MOVE, {"name": name})).scalar_one())
