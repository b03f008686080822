"""Operators, their grants and their attempts in the database."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from fengchao_core.errors import InvalidParameter
from fengchao_core.store import (
    Attempts,
    AuditRecord,
    GrantKind,
    GrantRecord,
    OperatorRecord,
    Pace,
)
from fengchao_core.store.pacing import WINDOW
from fengchao_sql import audit as audit_log
from fengchao_sql.connection import AsyncConnection
from fengchao_sql.engine import Database
from fengchao_sql.tables import from_micros, metadata, to_micros

operators = Table(
    "operators",
    metadata,
    Column("name", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)
"""Who may sign in."""

grants = Table(
    "operator_grants",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("operator", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
)
"""Sessions, tokens and setup links, by the digest of what was given out."""

Index("ix_operator_grants_operator", grants.c.operator, grants.c.kind)

attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("tries", Integer, nullable=False),
    Column("last_at", BigInteger, nullable=False, index=True),
)
"""How often somebody tried, by what the server counts it under."""


class SqlOperators:
    """An `OperatorStore`. Each change is one transaction, its audit record included."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> tuple[OperatorRecord, ...]:
        """Every operator, by name. Raises `StoreUnavailable`, as every method here."""
        rows = await self._database.read(select(operators).order_by(operators.c.name))
        # Sorted here as well: databases differ in how they order what is not ASCII.
        return tuple(sorted(map(_operator, rows), key=lambda record: record.name))

    async def find(self, name: str) -> OperatorRecord | None:
        """The operator of this name."""
        rows = await self._database.read(select(operators).where(operators.c.name == name))
        return _operator(rows[0]) if rows else None

    async def add(self, record: OperatorRecord, *, audit: AuditRecord | None = None) -> None:
        """Keep a new operator. Raises `InvalidParameter` where the name is taken."""

        async def change(connection: AsyncConnection) -> None:
            try:
                await connection.execute(insert(operators), _columns(record))
            except IntegrityError as error:
                raise InvalidParameter(
                    f"an operator named {record.name!r} exists", param="name"
                ) from error
            await audit_log.append(connection, audit)

        await self._database.write(change)

    async def replace(self, record: OperatorRecord, *, audit: AuditRecord | None = None) -> None:
        """Put a changed record in the place of the one of its name. Raises `InvalidParameter` where there is none."""

        async def change(connection: AsyncConnection) -> None:
            changed = await connection.execute(
                update(operators).where(operators.c.name == record.name).values(_columns(record))
            )
            _expect_one(changed.rowcount, record.name)
            await audit_log.append(connection, audit)

        await self._database.write(change)

    async def remove(self, name: str, *, audit: AuditRecord | None = None) -> None:
        """Remove an operator with all its grants. Raises `InvalidParameter` where there is none."""

        async def change(connection: AsyncConnection) -> None:
            changed = await connection.execute(delete(operators).where(operators.c.name == name))
            _expect_one(changed.rowcount, name)
            await connection.execute(delete(grants).where(grants.c.operator == name))
            await audit_log.append(connection, audit)

        await self._database.write(change)

    async def grant(self, record: GrantRecord, *, audit: AuditRecord | None = None) -> None:
        """Keep a grant. Those that expired before it was made are swept out."""

        async def change(connection: AsyncConnection) -> None:
            now = to_micros(record.created_at)
            await connection.execute(delete(grants).where(grants.c.expires_at <= now))
            await connection.execute(insert(grants), _grant_columns(record))
            await audit_log.append(connection, audit)

        await self._database.write(change)

    async def granted(self, digest: str) -> GrantRecord | None:
        """The grant with this digest, expired or not."""
        rows = await self._database.read(select(grants).where(grants.c.digest == digest))
        return _grant(rows[0]) if rows else None

    async def grants(self, kind: GrantKind) -> tuple[GrantRecord, ...]:
        """Every grant of a kind, oldest first."""
        query = select(grants).where(grants.c.kind == kind)
        rows = await self._database.read(query.order_by(grants.c.created_at, grants.c.digest))
        return tuple(map(_grant, rows))

    async def take(self, digest: str, *, audit: AuditRecord | None = None) -> GrantRecord | None:
        """End a grant and give it: of callers at once exactly one gets it."""
        taken: list[GrantRecord] = []

        async def change(connection: AsyncConnection) -> None:
            found = await connection.execute(select(grants).where(grants.c.digest == digest))
            row = found.first()
            ended = await connection.execute(delete(grants).where(grants.c.digest == digest))
            if row is not None and ended.rowcount == 1:
                taken.append(_grant(row))
                await audit_log.append(connection, audit)

        await self._database.write(change)
        return taken[0] if taken else None

    async def end(self, operator: str, kind: GrantKind, *, keep: str = "") -> None:
        """End every grant of this kind that the operator has, but for the one with the digest `keep`."""
        statement = delete(grants).where(
            grants.c.operator == operator, grants.c.kind == kind, grants.c.digest != keep
        )
        await self._database.write(lambda connection: connection.execute(statement))

    async def attempt(self, subject: str, pace: Pace, now: datetime) -> float:
        """Count an attempt, unless it comes too soon."""
        waits: list[float] = []
        first = self._database.insert_once(
            attempts, ("subject", "tries", "last_at"), unique="subject"
        )

        async def change(connection: AsyncConnection) -> None:
            await connection.execute(
                delete(attempts).where(attempts.c.last_at <= to_micros(now - WINDOW))
            )
            # The row is there before it is read, so that it can be locked.
            await connection.exec_driver_sql(first, (subject, 0, to_micros(now)))
            row = (
                await connection.execute(
                    select(attempts).where(attempts.c.subject == subject).with_for_update()
                )
            ).one()
            known = Attempts(row.tries, from_micros(row.last_at))
            waits.append(pace.wait_s(known, now))
            if not waits[0]:
                after = pace.after(known, now)
                await connection.execute(
                    update(attempts)
                    .where(attempts.c.subject == subject)
                    .values(tries=after.count, last_at=to_micros(after.last))
                )

        await self._database.write(change)
        return waits[0]

    async def forgive(self, subject: str) -> None:
        """Forget the attempts of a subject."""
        statement = delete(attempts).where(attempts.c.subject == subject)
        await self._database.write(lambda connection: connection.execute(statement))


def _expect_one(count: int, name: str) -> None:
    if count == 0:
        raise InvalidParameter(f"there is no operator named {name!r}", param="name")


def _columns(record: OperatorRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "role": record.role,
        "password_hash": record.password_hash,
        "created_at": to_micros(record.created_at),
    }


def _operator(row: Any) -> OperatorRecord:
    return OperatorRecord(
        name=row.name,
        role=row.role,
        password_hash=row.password_hash,
        created_at=from_micros(row.created_at),
    )


def _grant_columns(record: GrantRecord) -> dict[str, Any]:
    return {
        "digest": record.digest,
        "kind": record.kind,
        "operator": record.operator,
        "role": record.role,
        "label": record.label,
        "created_at": to_micros(record.created_at),
        "expires_at": None if record.expires_at is None else to_micros(record.expires_at),
    }


def _grant(row: Any) -> GrantRecord:
    return GrantRecord(
        digest=row.digest,
        kind=row.kind,
        operator=row.operator,
        role=row.role,
        label=row.label,
        created_at=from_micros(row.created_at),
        expires_at=None if row.expires_at is None else from_micros(row.expires_at),
    )
