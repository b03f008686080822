"""Operators' preset instructions in the database: every version is a row, and none is ever changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    and_,
    func,
    insert,
    select,
)

from fengchao_core.store import AuditRecord, PromptVersion
from fengchao_core.store.prompts import check_newest
from fengchao_sql.audit import append
from fengchao_sql.connection import AsyncConnection
from fengchao_sql.engine import Database
from fengchao_sql.revisions import move, revision_of
from fengchao_sql.signals import PROMPTS, Signals
from fengchao_sql.tables import RowNumber, from_micros, metadata, to_micros

prompt_versions = Table(
    "prompt_versions",
    metadata,
    Column("seq", RowNumber, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("prefix", Text),
    Column("system", Text),
    Column("removed", Boolean, nullable=False),
    Column("author", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("id", "version", name="uq_prompt_versions_version"),
)
"""Presets in all their versions. The first one's `seq` keeps the order of the presets."""

_NAME: Final = "prompts"


class SqlPrompts:
    """A `PromptStore`. Each version moves the revision in its own transaction, and then the signal."""

    def __init__(self, database: Database, signals: Signals) -> None:
        self._database = database
        self._signals = signals

    @property
    def generation(self) -> int:
        """Another number after every change by any process of this machine."""
        return self._signals.read(PROMPTS)

    async def revision(self) -> int:
        """A number that grows with every change by any process. Raises `StoreUnavailable`."""
        return await revision_of(self._database, _NAME)

    async def newest(self) -> tuple[PromptVersion, ...]:
        """The newest version of every preset. Raises `StoreUnavailable`."""
        row = prompt_versions.c
        newest = (
            select(row.id, func.max(row.version).label("version"), func.min(row.seq).label("first"))
            .group_by(row.id)
            .subquery()
        )
        same = and_(row.id == newest.c.id, row.version == newest.c.version)
        query = select(prompt_versions).join(newest, same).order_by(newest.c.first)
        return tuple(map(_version, await self._database.read(query)))

    async def history(self, id_: str) -> tuple[PromptVersion, ...]:
        """Every version of a preset, newest first. Raises `StoreUnavailable`."""
        row = prompt_versions.c
        query = select(prompt_versions).where(row.id == id_).order_by(row.version.desc())
        return tuple(map(_version, await self._database.read(query)))

    async def append(
        self,
        version: PromptVersion,
        *,
        after: int | None = None,
        audit: AuditRecord | None = None,
    ) -> PromptVersion:
        """
        Keep a further version.

        Raises:
            InvalidParameter: somebody else wrote a version after `after`.
            StoreUnavailable: the database does not answer.
        """
        kept = version

        async def work(connection: AsyncConnection) -> None:
            nonlocal kept
            # Holds every other writer of presets off until this one is done.
            await move(connection, _NAME)
            row = prompt_versions.c
            found = await connection.execute(
                select(func.max(row.version)).where(row.id == version.id)
            )
            newest = found.scalar() or 0
            check_newest(newest, after)
            kept = replace(version, version=newest + 1)
            await connection.execute(insert(prompt_versions), _columns(kept))
            await append(connection, audit)

        async def all_of_it() -> None:
            await self._database.write(work)
            self._signals.ring(PROMPTS)

        # To its end, even where the caller is gone: what is kept must be told.
        await self._database.finish(all_of_it())
        return kept


def _columns(version: PromptVersion) -> dict[str, Any]:
    return {
        "id": version.id,
        "version": version.version,
        "prompt": version.prompt,
        "prefix": version.prefix,
        "system": version.system,
        "removed": version.removed,
        "author": version.author,
        "comment": version.comment,
        "created_at": to_micros(version.created_at),
    }


def _version(row: Any) -> PromptVersion:
    return PromptVersion(
        id=row.id,
        version=row.version,
        prompt=row.prompt,
        prefix=row.prefix,
        system=row.system,
        removed=row.removed,
        author=row.author,
        comment=row.comment,
        created_at=from_micros(row.created_at),
    )
