"""
Bringing a database to the schema of this code when it is opened.

A new database gets the tables as they are described, stamped with the newest revision; an older one is migrated by
Alembic, which is imported only then: it costs a tenth of a second and 10 MB that the process would keep. A test holds both
ways to the same schema. Processes that open a new database at once take turns: the first makes it, the others find it made.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError

from fengchao_core.errors import SetupError
from fengchao_sql.connection import AsyncConnection
from fengchao_sql.engine import BUSY_TIMEOUT_MS, Database, reason
from fengchao_sql.tables import fit, key_revision, metadata

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009")
"""Every revision this code knows, oldest first; the last is what it needs."""

_REMEDIES = {
    "SQLITE_BUSY": "another process holds it locked; end that process, then start again",
    "SQLITE_CANTOPEN": "check that its folder exists and that this user may write there",
    "SQLITE_CORRUPT": "restore the file from a backup, or name another one in store.url",
    "SQLITE_FULL": "free some space on its disk",
    "SQLITE_NOTADB": "name another file in store.url",
    "SQLITE_READONLY": "give this user the right to write the file and its folder",
}
"""What to do, by SQLite's primary error code."""

_VERSION = Table(  # as Alembic makes it
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
_ADVISORY_LOCK = 0x66656E67  # any number that all gateways share: "feng"


async def bring_up(database: Database) -> None:
    """
    Make sure the database can be written and has the newest schema.

    Raises:
        SetupError: it cannot be reached or written, is no database, or was written by a newer version of this code.
    """
    try:
        if database.is_sqlite:
            _make_file(Path(str(database.address.database)))
            await _use_write_ahead_log(database)
        # Read without a lock, so that nobody is refused because another process is long at migrating.
        async with database.connection() as connection:
            version = await connection.run_sync(_version)
        _check(version, database)
        if version != REVISIONS[-1]:
            await _migrate(database)
        # An empty transaction: whether it can be written is found out now, and not by the first request.
        async with database.transaction():
            pass
    except database.failures as error:
        raise SetupError(_explain(error, database)) from error


async def _migrate(database: Database) -> None:
    patient = Database(database.address, migrating=True)
    try:
        async with patient.transaction() as connection:
            await _wait_for_turn(connection, patient)
            # Looked at again: another process may have migrated while this one waited.
            version = await connection.run_sync(_version)
            _check(version, patient)
            if version is None:
                await connection.run_sync(_create)
            elif version != REVISIONS[-1]:
                await connection.run_sync(_upgrade)
    finally:
        await patient.close()


async def _wait_for_turn(connection: AsyncConnection, database: Database) -> None:
    # On SQLite, BEGIN IMMEDIATE was the lock already.
    if not database.is_sqlite:
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))


def _version(connection: Connection) -> str | None:
    """The revision the database is at; None for a new one."""
    if not inspect(connection).has_table(_VERSION.name):
        return None
    version: str | None = connection.execute(select(_VERSION.c.version_num)).scalar()
    return version


def _check(version: str | None, database: Database) -> None:
    if version is not None and version not in REVISIONS:
        raise SetupError(
            f"the database {database.title} was written by a newer version of fengchao (schema {version!r}, this "
            f"version knows up to {REVISIONS[-1]!r}); upgrade fengchao, or name another database in store.url"
        )


def _create(connection: Connection) -> None:
    fit(connection.dialect)
    metadata.create_all(connection, checkfirst=False)
    connection.execute(insert(key_revision).values(revision=0))
    _VERSION.create(connection)
    connection.execute(insert(_VERSION).values(version_num=REVISIONS[-1]))


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "fengchao_sql:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _make_file(path: Path) -> None:
    """A new database is for its owner alone; SQLite would make it readable for all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return


async def _use_write_ahead_log(database: Database) -> None:
    """
    Let readers and the writer of the file not wait for each other. The file remembers it.

    SQLite does not wait for its turn here as it does elsewhere, so processes that open a new file at once do.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            async with database.connection() as connection:
                await connection.exec_driver_sql("PRAGMA journal_mode = WAL")
                return
        except DBAPIError as error:
            if not _is_busy(error) or time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.02)


def _is_busy(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlite_errorname", "").startswith("SQLITE_BUSY")


def _explain(error: Exception, database: Database) -> str:
    name = getattr(getattr(error, "orig", None), "sqlite_errorname", "")
    code = "_".join(name.split("_")[:2])
    remedy = _REMEDIES.get(
        code, "check store.url, and that the database runs and lets this user in"
    )
    return f"the database {database.title} cannot be opened: {reason(error)}; {remedy}"
