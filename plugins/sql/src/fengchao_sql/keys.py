"""Key pairs in the database."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from fengchao_core.errors import InvalidParameter
from fengchao_core.limits import KeyLimits
from fengchao_core.store import AuditRecord, KeyRecord
from fengchao_sql.audit import append
from fengchao_sql.connection import AsyncConnection
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

    async def add(self, record: KeyRecord, *, audit: AuditRecord | None = None) -> None:
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
            await append(connection, audit)

        await self._database.write(change)

    async def replace(
        self, api_key: str, record: KeyRecord, *, audit: AuditRecord | None = None
    ) -> bool:
        """
        Put a changed record in the place of the one named, whose `api_key` stays.

        Returns:
            False where nothing was done, for the key was changed since `record.version` was read.

        Raises:
            InvalidParameter: there is no such key, or another live key has the new name.
            StoreUnavailable: the database does not answer.
        """
        values = _columns(record) | {
            "api_key": api_key,
            "revoked_at": func.coalesce(api_keys.c.revoked_at, _micros(record.revoked_at)),
            "version": record.version + 1,
        }
        is_it = api_keys.c.api_key == api_key
        is_unchanged = func.coalesce(api_keys.c.version, 0) == record.version
        replaced: list[bool] = []

        async def change(connection: AsyncConnection) -> None:
            try:
                changed = await connection.execute(
                    update(api_keys).where(is_it, is_unchanged).values(values)
                )
            except IntegrityError as error:
                raise _taken(record) from error
            replaced.append(changed.rowcount == 1)
            if replaced[0]:
                await _move_revision(connection)
                await append(connection, audit)
            elif (await connection.execute(select(api_keys.c.seq).where(is_it))).first() is None:
                raise InvalidParameter("no such key", param="api_key")

        await self._database.write(change)
        return replaced[0]


async def _move_revision(connection: AsyncConnection) -> None:
    await connection.execute(update(key_revision).values(revision=key_revision.c.revision + 1))


def _taken(record: KeyRecord) -> InvalidParameter:
    return InvalidParameter(
        f"a live key named {record.name!r} exists; choose another name or revoke that one",
        param="name",
    )


def _micros(instant: Any) -> int | None:
    return None if instant is None else to_micros(instant)


def _instant(micros: Any) -> datetime | None:
    return None if micros is None else from_micros(micros)


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
        "addresses": json.dumps(record.addresses) if record.addresses else None,
        "key_group": record.group or None,
        "limits": None if record.limits is None else json.dumps(record.limits.to_json()),
        "previous_secret": record.previous_secret,
        "previous_until": _micros(record.previous_until),
        "version": record.version or None,
    }


def _record(row: Any) -> KeyRecord:
    return KeyRecord(
        api_key=row.api_key,
        name=row.name,
        sealed_secret=bytes(row.sealed_secret),
        created_at=from_micros(row.created_at),
        expires_at=_instant(row.expires_at),
        revoked_at=_instant(row.revoked_at),
        models=tuple(json.loads(row.models)),
        note=row.note,
        addresses=tuple(json.loads(row.addresses or "[]")),
        group=row.key_group or "",
        limits=None if row.limits is None else KeyLimits.from_json(json.loads(row.limits)),
        previous_secret=None if row.previous_secret is None else bytes(row.previous_secret),
        previous_until=_instant(row.previous_until),
        version=row.version or 0,
    )
