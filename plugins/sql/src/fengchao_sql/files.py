"""What is known of uploaded files, in the database."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from fengchao_core.store import NOBODY, FileCopy, FileQuota, FileRecord
from fengchao_sql.connection import AsyncConnection
from fengchao_sql.engine import Database
from fengchao_sql.tables import from_micros, metadata, to_micros

files = Table(
    "files",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("chars", Integer),
    Column("is_cut", Boolean, nullable=False),
)
"""What is known of uploaded files; their bytes lie elsewhere."""

Index("ix_files_owner", files.c.owner, files.c.expires_at)

file_copies = Table(
    "file_copies",
    metadata,
    Column("file_id", Text, primary_key=True),
    Column("provider", Text, primary_key=True),
    Column("vendor_id", Text, nullable=False),
)
"""Where copies of files are at vendors. Deleted with their file, by the code: SQLite minds no foreign keys unasked."""


class SqlFiles:
    """
    A `FileStore`. Every method raises `StoreUnavailable` where the database does not answer.

    Quotas are checked in the transaction that adds: exactly on SQLite, which has one writer; on PostgreSQL two uploads
    of one owner in the same instant may both pass.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def used(self, owner: str, now: datetime) -> tuple[int, int]:
        """How many files an owner has, and their bytes."""
        (row,) = await self._database.read(_used(owner, now))
        count, size = (int(value) for value in row)
        return count, size

    async def add(self, record: FileRecord, quota: FileQuota) -> None:
        """Keep a new file. Raises `LimitExceeded` where its owner would have too many."""

        async def change(connection: AsyncConnection) -> None:
            await _check(connection, record.owner, record.created_at, record.size_bytes, quota)
            await connection.execute(insert(files), _columns(record))

        await self._database.write(change)

    async def get(self, file_id: str) -> FileRecord | None:
        """The file of this id, expired or not."""
        rows = await self._database.read(select(files).where(files.c.id == file_id))
        return _record(rows[0]) if rows else None

    async def claim(
        self, file_id: str, owner: str, *, now: datetime, expires_at: datetime, quota: FileQuota
    ) -> bool:
        """Give a file that is nobody's to an owner; whether it is theirs now. Raises `LimitExceeded`."""
        is_theirs = False

        async def change(connection: AsyncConnection) -> None:
            nonlocal is_theirs
            found = await connection.execute(
                select(files.c.size_bytes).where(files.c.id == file_id, files.c.owner == NOBODY)
            )
            row = found.first()
            if row is None:
                return
            await _check(connection, owner, now, row.size_bytes, quota)
            claimed = await connection.execute(
                update(files)
                .where(
                    files.c.id == file_id,
                    files.c.owner == NOBODY,
                    files.c.expires_at > to_micros(now),
                )
                .values(owner=owner, expires_at=to_micros(expires_at))
            )
            is_theirs = claimed.rowcount == 1

        await self._database.write(change)
        return is_theirs

    async def of(self, owner: str, now: datetime) -> tuple[FileRecord, ...]:
        """The files of an owner, newest first."""
        rows = await self._database.read(
            select(files)
            .where(files.c.owner == owner, files.c.expires_at > to_micros(now))
            .order_by(files.c.created_at.desc(), files.c.id.desc())
        )
        return tuple(_record(row) for row in rows)

    async def expire(self, file_id: str, at: datetime) -> None:
        """Let a file expire at an instant, unless it does so before."""
        moment = to_micros(at)
        await self._database.write(
            lambda to: to.execute(
                update(files)
                .where(files.c.id == file_id, files.c.expires_at > moment)
                .values(expires_at=moment)
            )
        )

    async def expired(self, now: datetime, limit: int) -> tuple[FileRecord, ...]:
        """Files that have expired, the longest gone first."""
        rows = await self._database.read(
            select(files)
            .where(files.c.expires_at <= to_micros(now))
            .order_by(files.c.expires_at, files.c.id)
            .limit(limit)
        )
        return tuple(_record(row) for row in rows)

    async def delete(self, file_id: str) -> None:
        """Forget a file and its copies."""

        async def change(connection: AsyncConnection) -> None:
            await connection.execute(delete(file_copies).where(file_copies.c.file_id == file_id))
            await connection.execute(delete(files).where(files.c.id == file_id))

        await self._database.write(change)

    async def copies(self, file_id: str) -> tuple[FileCopy, ...]:
        """Where a file's copies are."""
        rows = await self._database.read(
            select(file_copies)
            .where(file_copies.c.file_id == file_id)
            .order_by(file_copies.c.provider)
        )
        return tuple(_copy(row) for row in rows)

    async def add_copy(self, copy: FileCopy) -> FileCopy:
        """Keep where a copy is; where one is known at this provider already, that one is kept and returned."""
        kept = copy

        async def change(connection: AsyncConnection) -> None:
            nonlocal kept
            where = (
                file_copies.c.file_id == copy.file_id,
                file_copies.c.provider == copy.provider,
            )
            row = (await connection.execute(select(file_copies).where(*where))).first()
            if row is not None:
                kept = _copy(row)
                return
            try:
                async with connection.begin_nested():
                    await connection.execute(
                        insert(file_copies),
                        {
                            "file_id": copy.file_id,
                            "provider": copy.provider,
                            "vendor_id": copy.vendor_id,
                        },
                    )
            except IntegrityError:  # another process, on PostgreSQL, in the same instant
                kept = _copy((await connection.execute(select(file_copies).where(*where))).one())

        await self._database.write(change)
        return kept

    async def drop_copy(self, copy: FileCopy) -> None:
        """Forget a copy."""
        await self._database.write(
            lambda to: to.execute(
                delete(file_copies).where(
                    file_copies.c.file_id == copy.file_id,
                    file_copies.c.provider == copy.provider,
                    file_copies.c.vendor_id == copy.vendor_id,
                )
            )
        )


def _used(owner: str, now: datetime) -> Any:
    return select(func.count(), func.coalesce(func.sum(files.c.size_bytes), 0)).where(
        files.c.owner == owner, files.c.expires_at > to_micros(now)
    )


async def _check(
    connection: AsyncConnection, owner: str, now: datetime, size_bytes: int, quota: FileQuota
) -> None:
    count, size = (await connection.execute(_used(owner, now))).one()
    quota.check(int(count) + 1, int(size) + size_bytes)


def _columns(record: FileRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "owner": record.owner,
        "name": record.name,
        "kind": record.kind,
        "size_bytes": record.size_bytes,
        "sha256": record.sha256,
        "created_at": to_micros(record.created_at),
        "expires_at": to_micros(record.expires_at),
        "chars": record.chars,
        "is_cut": record.is_cut,
    }


def _record(row: Any) -> FileRecord:
    return FileRecord(
        id=row.id,
        owner=row.owner,
        name=row.name,
        kind=row.kind,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        created_at=from_micros(row.created_at),
        expires_at=from_micros(row.expires_at),
        chars=row.chars,
        is_cut=row.is_cut,
    )


def _copy(row: Any) -> FileCopy:
    return FileCopy(row.file_id, row.provider, row.vendor_id)
