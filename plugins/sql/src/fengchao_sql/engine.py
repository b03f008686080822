"""
Reaching the database: what a URL means, and one engine per open store.

Nothing is shared between stores and nothing outlives `Database.close()`. On SQLite every writing transaction begins
with BEGIN IMMEDIATE, so that it waits for its turn at the start and never fails half-way for want of the lock.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from sqlalchemy import (
    URL,
    Connection,
    Dialect,
    Engine,
    Row,
    Select,
    Table,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.util import greenlet_spawn

from fengchao_core.errors import SetupError, StoreUnavailable
from fengchao_sql.connection import AsyncConnection, begun, connected

if TYPE_CHECKING:
    import sqlite3

    from fengchao_sql.plain import PlainWriter

T = TypeVar("T")

BUSY_TIMEOUT_MS = 5000
"""How long SQLite waits for another process's transaction to end."""

_MISFITS = {"IntegrityError", "DataError", "ProgrammingError", "UnicodeEncodeError"}
_CONNECTIONS = 5
_THREAD_END_S = 5.0
_POOL_TIMEOUT_S = 10


def locate(url: str, home: Path) -> URL:
    """
    The address of the database that a setting names.

    Args:
        url: `sqlite:///file.db` (relative to `home`), `sqlite:////srv/file.db`, or `postgresql://…`.
        home: the gateway's data folder.

    Raises:
        SetupError: the URL cannot be read, or names no file. The URL itself is not repeated: it may hold a password.
    """
    try:
        address = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise SetupError(
            "store.url cannot be read; write sqlite:///fengchao.db, or postgresql://user:password@host/name"
        ) from error
    if address.get_backend_name() == "sqlite":
        file = address.database
        if not file or file == ":memory:":
            raise SetupError(
                "store.url names no file; write sqlite:///fengchao.db, or memory: to keep nothing"
            )
        if address.query:
            raise SetupError("store.url takes no parameters for SQLite; leave out what follows '?'")
        return URL.create("sqlite+aiosqlite", database=str(home / Path(file).expanduser()))
    # The parameter has another name in this driver than everywhere else.
    query = {"ssl" if key == "sslmode" else key: value for key, value in address.query.items()}
    return address.set(drivername="postgresql+asyncpg", query=query)


class Database:
    """
    An engine, and the ways to use it: `read()` and `write()`; of SQLite, `write_at_once()` too.

    Serves any number of tasks of one loop. Whoever made it awaits `close()`.

    Args:
        address: as `locate` gives it.
        migrating: for changing the schema: one connection, patient, without foreign keys, which SQLite must not check
            while a table is rebuilt.
    """

    def __init__(self, address: URL, *, migrating: bool = False) -> None:
        self.address = address
        self.failures: tuple[type[Exception], ...] = (SQLAlchemyError, OSError)
        self._migrating = migrating
        self._unfinished: set[asyncio.Task[Any]] = set()
        self._threads: WeakSet[Thread] = WeakSet()
        self._turn: AbstractAsyncContextManager[Any]
        self._plain: PlainWriter | None = None
        if self.is_sqlite:
            self._engine = self._open_sqlite()
            # One writer at a time: within the process tasks queue here, fairly, and not by polling SQLite's lock.
            self._turn = asyncio.Lock()
        else:
            self._engine = self._open_postgresql()
            self._turn = nullcontext()
        self._writer = self._engine.execution_options(fengchao_writes=True)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is SQLite; PostgreSQL otherwise."""
        return self.address.get_backend_name() == "sqlite"

    @property
    def dialect(self) -> Dialect:
        """How this database says it."""
        return self._engine.dialect

    @property
    def title(self) -> str:
        """The address for people, without its password."""
        if self.is_sqlite:
            return str(self.address.database)
        plain = self.address.set(drivername="postgresql").difference_update_query(
            self.address.query
        )
        return plain.render_as_string(hide_password=True)

    async def read(self, query: Select[Any]) -> Sequence[Row[Any]]:
        """
        All rows of a query.

        Raises:
            StoreUnavailable: the database does not answer.
        """

        def work() -> Sequence[Row[Any]]:
            with self._engine.connect() as connection:
                return connection.execute(query).all()

        try:
            return await self.finish(greenlet_spawn(work))
        except self.failures as error:
            raise self._unavailable(error) from error

    async def write(self, change: Callable[[AsyncConnection], Awaitable[object]]) -> None:
        """
        Run a change in a transaction: kept when it returns, undone when it raises.

        Raises:
            StoreUnavailable: the database does not answer. Whether a commit that was under way is kept is then unknown.
        """

        async def work() -> None:
            async with self.transaction() as connection:
                await change(connection)

        try:
            await self.finish(work())
        except self.failures as error:
            raise self._unavailable(error) from error

    async def write_at_once(self, change: Callable[[sqlite3.Connection], object]) -> None:
        """
        As `write`, of SQLite alone: the change runs in a thread from its first statement to its last.

        Raises:
            StoreUnavailable: the database does not answer. Whether a commit that was under way is kept is then unknown.
        """
        plain = self._plain
        if plain is None:
            raise AssertionError("only SQLite is written to at once")

        async def work() -> None:
            async with self._turn:
                await asyncio.to_thread(plain.write, change)

        try:
            await self.finish(work())
        except self.failures as error:
            raise self._unavailable(error) from error

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """
        Do a piece of work to its end, even where the caller is cancelled meanwhile; `close()` waits for it.

        A driver that is interrupted half-way can leave a transaction open, and with it SQLite's only lock.
        """
        task = asyncio.create_task(work)
        self._unfinished.add(task)
        task.add_done_callback(self._finished)
        return await asyncio.shield(task)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._unfinished.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also where whoever waited for it is gone

    def connection(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection outside any transaction of ours, used inside `finish`. Raises what the driver raises."""
        return connected(self._engine)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A writing transaction, used inside `finish`. Raises what the driver raises: one of `failures`."""
        async with self._turn, begun(self._writer) as connection:
            yield connection

    def insert_once(self, table: Table, columns: Sequence[str], *, unique: str) -> str:
        """
        The text of an INSERT of a row that leaves alone one whose `unique` column is already there.

        Text, to be run with `exec_driver_sql` and the row's values in the order of `columns`, because building a row's
        parameters costs SQLAlchemy more than the database takes to write it.
        """
        return insert_once(table, columns, unique=unique, dialect=self._engine.dialect)

    async def close(self) -> None:
        """Wait for what is under way, then close every connection."""
        if self._unfinished:
            await asyncio.wait(self._unfinished)
        if self._plain is not None:
            await asyncio.to_thread(self._plain.close)
        await greenlet_spawn(self._engine.dispose)
        # The driver gives up a connection that does not open without waiting for its thread, which would then speak to a
        # loop that is closed.
        for thread in tuple(self._threads):
            await asyncio.to_thread(thread.join, _THREAD_END_S)

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(f"the database {self.title} does not answer: {reason(error)}")

    def _open_sqlite(self) -> Engine:
        plain = importlib.import_module("fengchao_sql.plain")
        self._plain = plain.PlainWriter(str(self.address.database), BUSY_TIMEOUT_MS / 1000)
        self.failures = (*self.failures, plain.sqlite3.Error)
        engine = create_engine(
            self.address,
            hide_parameters=True,
            # The driver must not begin transactions by itself: it would begin them without IMMEDIATE.
            connect_args={"isolation_level": None, "async_creator_fn": self._connect},
            pool_size=1 if self._migrating else _CONNECTIONS,
            max_overflow=0,
            pool_timeout=_POOL_TIMEOUT_S,
            pool_use_lifo=True,  # what one connection can do does not warm the others' caches
        )
        event.listen(engine, "connect", self._set_pragmas)
        event.listen(engine, "begin", _begin_immediate)
        return engine

    def _connect(self, *args: Any, **options: Any) -> Any:
        connection = importlib.import_module("aiosqlite").connect(*args, **options)
        thread: Thread = connection._thread  # noqa: SLF001  # it has no public name
        thread.daemon = (
            True  # as SQLAlchemy has it, so that a forgotten database does not keep the process
        )
        self._threads.add(thread)
        return connection

    def _set_pragmas(self, connection: Any, _record: object) -> None:
        """Runs on each new connection; the journal mode is not here because it belongs to the file."""
        cursor = connection.cursor()
        try:
            wait_ms = BUSY_TIMEOUT_MS * (12 if self._migrating else 1)
            cursor.execute(f"PRAGMA busy_timeout = {wait_ms}")
            cursor.execute("PRAGMA synchronous = FULL")
            cursor.execute(f"PRAGMA foreign_keys = {'OFF' if self._migrating else 'ON'}")
            cursor.close()
        except BaseException:
            # It never reaches the pool, so nobody else would close it, and its thread would outlive the loop.
            connection.close()
            raise

    def _open_postgresql(self) -> Engine:
        try:
            asyncpg = importlib.import_module("asyncpg")
        except ImportError as error:
            raise SetupError(
                "store.url names PostgreSQL, but its driver is not installed; "
                "run: pip install 'fengchao-sql[postgresql]'"
            ) from error
        # Errors while connecting reach us as the driver's own.
        self.failures = (*self.failures, asyncpg.PostgresError, asyncpg.InterfaceError)
        return create_engine(
            self.address,
            hide_parameters=True,
            pool_size=1 if self._migrating else _CONNECTIONS,
            max_overflow=0,
            pool_timeout=_POOL_TIMEOUT_S,
            pool_use_lifo=True,  # what one connection can do does not warm the others' caches
            pool_pre_ping=True,
        )


def insert_once(table: Table, columns: Sequence[str], *, unique: str, dialect: Dialect) -> str:
    """The text that `Database.insert_once` gives, for any dialect."""
    # Each dialect has an `insert` of its own, in a module that is worth importing only where it is used.
    insert = importlib.import_module(f"sqlalchemy.dialects.{dialect.name}").insert
    statement = insert(table).inline().on_conflict_do_nothing(index_elements=[unique])
    compiled = statement.compile(dialect=dialect, column_keys=list(columns))
    if list(columns) != compiled.positiontup:
        raise ValueError("the columns must be named in the table's order")
    return str(compiled)


def is_misfit(error: Exception) -> bool:
    """Whether the database, or its driver, does not take a value, rather than not answer: to try again is no use."""
    seen: BaseException | None = error
    while seen is not None:
        # Each driver has errors of its own, all with the names of Python's database interface.
        if not _MISFITS.isdisjoint(kind.__name__ for kind in type(seen).__mro__):
            return True
        seen = getattr(seen, "orig", None) or seen.__cause__
    return False


def reason(error: Exception) -> str:
    """The driver's own words in one line: without the statement, without values."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return str(cause).partition("\n")[0] or type(cause).__name__


def _begin_immediate(connection: Connection) -> None:
    if connection.get_execution_options().get("fengchao_writes"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
