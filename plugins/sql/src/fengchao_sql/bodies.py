"""Bodies in the database: a table of its own, beside the usage rows."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import BigInteger, Column, LargeBinary, Table, Text, delete, or_, select

from fengchao_core.store import BodyRecord
from fengchao_sql.connection import AsyncConnection
from fengchao_sql.engine import Database
from fengchao_sql.tables import fitted, from_micros, metadata, to_micros

usage_bodies = Table(
    "usage_bodies",
    metadata,
    Column("id", Text, primary_key=True),
    Column("request_id", Text, nullable=False, index=True),
    Column("at", BigInteger, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),  # zlib of a JSON object
)
"""What was sent and shown. Empty unless `ledger.keep_bodies` is on."""

_COLUMNS = tuple(column.name for column in usage_bodies.c)


class SqlBodies:
    """A `BodyStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = database.insert_once(usage_bodies, _COLUMNS, unique="id")

    async def add(self, records: Sequence[BodyRecord]) -> None:
        """Keep bodies, all or none. Raises `StoreUnavailable`."""
        rows = await asyncio.to_thread(
            _rows, records
        )  # packing takes longer than others should wait

        async def change(to: AsyncConnection) -> None:
            for row in rows:
                await to.exec_driver_sql(self._insert, row)

        if rows:
            await self._database.write(change)

    async def find(self, which: str, *, limit: int = 20) -> tuple[BodyRecord, ...]:
        """The bodies of a usage row's id, or of a caller's request id, newest first. Raises `StoreUnavailable`."""
        wanted = fitted(which)
        rows = await self._database.read(
            select(usage_bodies)
            .where(or_(usage_bodies.c.id == wanted, usage_bodies.c.request_id == wanted))
            .order_by(usage_bodies.c.at.desc(), usage_bodies.c.id.desc())
            .limit(limit)
        )
        return await asyncio.to_thread(lambda: tuple(map(_record, rows)))

    async def forget(self, before: datetime, most: int) -> int:
        """Delete bodies of requests that arrived before an instant. Raises `StoreUnavailable`."""
        deleted = 0
        old = (
            select(usage_bodies.c.id)
            .where(usage_bodies.c.at < to_micros(before))
            .order_by(usage_bodies.c.at)
            .limit(most)
        )

        async def change(to: AsyncConnection) -> None:
            nonlocal deleted
            done = await to.execute(delete(usage_bodies).where(usage_bodies.c.id.in_(old)))
            deleted = done.rowcount

        await self._database.write(change)
        return deleted


def _rows(records: Sequence[BodyRecord]) -> list[tuple[Any, ...]]:
    return [
        (
            record.id,
            fitted(record.request_id),
            to_micros(record.at),
            zlib.compress(
                orjson.dumps(
                    {
                        "messages": record.messages,
                        "answers": record.answers,
                        "is_cut": record.is_cut,
                    }
                )
            ),
        )
        for record in records
    ]


def _record(row: Any) -> BodyRecord:
    return BodyRecord(
        id=row.id,
        request_id=row.request_id,
        at=from_micros(row.at),
        **orjson.loads(zlib.decompress(row.body)),
    )
