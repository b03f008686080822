"""An open store: one database, migrated, with its keys, its usage and its tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fengchao_core.store import (
    AuditStore,
    BodyStore,
    FileStore,
    JobStore,
    KeyStore,
    OperatorStore,
    PromptStore,
    UsageStore,
    WordStore,
)
from fengchao_sql.audit import SqlAudit
from fengchao_sql.bodies import SqlBodies
from fengchao_sql.engine import Database, locate
from fengchao_sql.files import SqlFiles
from fengchao_sql.jobs import SqlJobs
from fengchao_sql.keys import SqlKeys
from fengchao_sql.migrate import bring_up
from fengchao_sql.operators import SqlOperators
from fengchao_sql.prompts import SqlPrompts
from fengchao_sql.signals import Signals
from fengchao_sql.usage import SqlUsage
from fengchao_sql.words import SqlWords


class SqlStore:
    """A `Store` over a database that `open_store` opened."""

    def __init__(self, database: Database, signals: Signals) -> None:
        self._keys = SqlKeys(database)
        self._usage = SqlUsage(database)
        self._bodies = SqlBodies(database)
        self._operators = SqlOperators(database)
        self._audit = SqlAudit(database)
        self._jobs = SqlJobs(database, self._usage)
        self._words = SqlWords(database, signals)
        self._prompts = SqlPrompts(database, signals)
        self._files = SqlFiles(database)

    @property
    def keys(self) -> KeyStore:
        """The key pairs."""
        return self._keys

    @property
    def usage(self) -> UsageStore:
        """The usage rows."""
        return self._usage

    @property
    def bodies(self) -> BodyStore:
        """What was sent and shown, where that is kept."""
        return self._bodies

    @property
    def operators(self) -> OperatorStore:
        """The people who run the gateway."""
        return self._operators

    @property
    def audit(self) -> AuditStore:
        """What was changed, and by whom."""
        return self._audit

    @property
    def jobs(self) -> JobStore:
        """The asynchronous tasks."""
        return self._jobs

    @property
    def words(self) -> WordStore:
        """Operators' sensitive words."""
        return self._words

    @property
    def prompts(self) -> PromptStore:
        """Operators' preset instructions."""
        return self._prompts

    @property
    def files(self) -> FileStore:
        """What is known of uploaded files."""
        return self._files


@asynccontextmanager
async def open_store(url: str, home: Path) -> AsyncIterator[SqlStore]:
    """
    Open a database, making or migrating it first where it must be; close it when the block ends.

    Safe to do in several processes at once. The store serves any number of tasks of the loop it was opened in.

    Args:
        url: `sqlite:///file.db` (relative to `home`), `sqlite:////srv/file.db` or `postgresql://…`.
        home: the gateway's data folder.

    Raises:
        SetupError: the database cannot be reached or written, or a newer version of this code wrote it.
    """
    database = Database(locate(url, home))
    try:
        await database.finish(bring_up(database))
        signals = Signals(_signals_file(database, home))
        try:
            yield SqlStore(database, signals)
        finally:
            signals.close()
    finally:
        await database.close()


def _signals_file(database: Database, home: Path) -> Path:
    """Beside a database that is a file, for whoever opens the one finds the other."""
    if database.is_sqlite:
        return Path(f"{database.address.database}-signals")
    return home / "postgresql-signals"
