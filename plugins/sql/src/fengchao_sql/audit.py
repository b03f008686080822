"""The audit log in the database: rows are inserted and read, and nothing here changes or removes one."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Table, Text, insert, select

from fengchao_core.store import AuditRecord
from fengchao_sql.connection import AsyncConnection
from fengchao_sql.engine import Database
from fengchao_sql.tables import RowNumber, from_micros, metadata, to_micros

audit_log = Table(
    "audit_log",
    metadata,
    Column("seq", RowNumber, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("before", Text, nullable=False),  # a JSON object
    Column("after", Text, nullable=False),  # a JSON object
    # Without it SQLite would give the number of a row that somebody deleted by hand to the next one.
    sqlite_autoincrement=True,
)
"""Who changed what. `seq` is the order."""

for _column in ("actor", "action", "target"):
    Index(f"ix_audit_log_{_column}", audit_log.c[_column], audit_log.c.seq)


async def append(connection: AsyncConnection, record: AuditRecord | None) -> None:
    """Append a record, where there is one, in the transaction of the change that it tells of."""
    if record is not None:
        await connection.execute(insert(audit_log), _columns(record))


class SqlAudit:
    """An `AuditStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, record: AuditRecord) -> None:
        """Append a record. Raises `StoreUnavailable`."""
        await self._database.write(lambda connection: append(connection, record))

    async def page(
        self,
        *,
        limit: int = 100,
        before: int | None = None,
        actor: str | None = None,
        action: str | None = None,
        target: str | None = None,
    ) -> tuple[AuditRecord, ...]:
        """Records, newest first. Raises `StoreUnavailable`."""
        query = select(audit_log).order_by(audit_log.c.seq.desc()).limit(limit)
        if before is not None:
            query = query.where(audit_log.c.seq < before)
        for column, wanted in (("actor", actor), ("action", action), ("target", target)):
            if wanted is not None:
                query = query.where(audit_log.c[column] == wanted)
        return tuple(_record(row) for row in await self._database.read(query))


def _columns(record: AuditRecord) -> dict[str, Any]:
    return {
        "at": to_micros(record.at),
        "actor": record.actor,
        "action": record.action,
        "target": record.target,
        "address": record.address,
        "before": json.dumps(dict(record.before), ensure_ascii=False),
        "after": json.dumps(dict(record.after), ensure_ascii=False),
    }


def _record(row: Any) -> AuditRecord:
    return AuditRecord(
        at=from_micros(row.at),
        actor=row.actor,
        action=row.action,
        target=row.target,
        address=row.address,
        before=json.loads(row.before),
        after=json.loads(row.after),
        id=row.seq,
    )
