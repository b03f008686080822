"""Key pairs in the database."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from fengchao_core.errors import InvalidParameter
from fengchao_core.store import KeyRecord
from fengchao_sql.engine import Database
from fengchao_sql.tables import api_keys, from_micros, key_revision, to_micros


class SqlKeys:
    """
    A `KeyStore`. Every change moves the revision in its own transaction, so a reader never sees one without the other.

    A key that was revoked stays revoked, whatever replaces it: a rotation that read the key just before another process
    revoked it must not bring it back.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def revision(self) -> int:
        """A number that grows with every change by any process. Raises `StoreUnavailable`."""
        ((revision,),) = await self._database.read(select(key_revision.c.revision))
        return int(revision)

    async def all(self) -> tuple[KeyRecord, ...]:
        """Every key, revoked ones included, oldest first. Raises `StoreUnavailable`."""
        rows = await self._database.read(select(api_keys).order_by(api_keys.c.seq))
        return tuple(_record(row) for row in rows)

    async def add(self, record: KeyRecord) -> None:
        """
        Keep a new key.

        Raises:
            InvalidParameter: a live key has the name, or any key the `api_key`.
            StoreUnavailable: the database does not answer.
        """

        async def change(connection: AsyncConnection) -> None:
            try:
                await connection.execute(insert(api_keys), _columns(record))
            except IntegrityError as error:
                raise _taken(record) from error
            await _move_revision(connection)

        await self._database.write(change)

    async def replace(self, api_key: str, record: KeyRecord) -> None:
        """
        Put a changed record in the place of the one named, whose `api_key` stays.

        Raises:
            InvalidParameter: there is no such key, or another live key has the new name.
            StoreUnavailable: the database does not answer.
        """
        values = _columns(record) | {
            "api_key": api_key,
            "revoked_at": func.coalesce(api_keys.c.revoked_at, _micros(record.revoked_at)),
        }

        async def change(connection: AsyncConnection) -> None:
            try:
                changed = await connection.execute(
                    update(api_keys).where(api_keys.c.api_key == api_key).values(values)
                )
            except IntegrityError as error:
                raise _taken(record) from error
            if changed.rowcount == 0:
                raise InvalidParameter("no such key", param="api_key")
            await _move_revision(connection)

        await self._database.write(change)


async def _move_revision(connection: AsyncConnection) -> None:
    await connection.execute(update(key_revision).values(revision=key_revision.c.revision + 1))


def _taken(record: KeyRecord) -> InvalidParameter:
    return InvalidParameter(
        f"a live key named {record.name!r} exists; choose another name or revoke that one",
        param="name",
    )


def _micros(instant: Any) -> int | None:
    return None if instant is None else to_micros(instant)


def _columns(record: KeyRecord) -> dict[str, Any]:
    return {
        "api_key": record.api_key,
        "name": record.name,
        "sealed_secret": record.sealed_secret,
        "created_at": to_micros(record.created_at),
        "expires_at": _micros(record.expires_at),
        "revoked_at": _micros(record.revoked_at),
        "models": json.dumps(record.models, ensure_ascii=False),
        "note": record.note,
    }


def _record(row: Any) -> KeyRecord:
    return KeyRecord(
        api_key=row.api_key,
        name=row.name,
        sealed_secret=bytes(row.sealed_secret),
        created_at=from_micros(row.created_at),
        expires_at=None if row.expires_at is None else from_micros(row.expires_at),
        revoked_at=None if row.revoked_at is None else from_micros(row.revoked_at),
        models=tuple(json.loads(row.models)),
        note=row.note,
    )
