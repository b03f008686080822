"""
SQLAlchemy's connections, awaited.

It is what `sqlalchemy.ext.asyncio` does, as far as this plugin needs it; that package brings the whole ORM along, which is
6 MB and 50 ms in every process. Both are made of `greenlet_spawn`: plain code runs, and what the driver wants awaited in the
middle of it is awaited for it. Each call of it costs something, so what belongs together is one call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from typing import Any, TypeVar

from sqlalchemy import Connection, CursorResult, Engine, Executable
from sqlalchemy.util import greenlet_spawn

T = TypeVar("T")

Values = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class AsyncConnection:
    """
    A connection, for one task at a time. Every method raises what the driver raises.

    Args:
        plain: the connection itself.
    """

    __slots__ = ("_plain",)

    def __init__(self, plain: Connection) -> None:
        self._plain = plain

    async def execute(
        self, statement: Executable, values: Values | None = None
    ) -> CursorResult[*tuple[Any, ...]]:
        """Run a statement, for each set of values where there are several. The rows of the result are here."""
        return await greenlet_spawn(self._plain.execute, statement, values)

    async def exec_driver_sql(
        self, statement: str, values: Any = None
    ) -> CursorResult[*tuple[Any, ...]]:
        """Run a text as it is, its values as the driver takes them."""
        return await greenlet_spawn(self._plain.exec_driver_sql, statement, values)

    async def run_sync(self, work: Callable[[Connection], T]) -> T:
        """Run plain code on the plain connection."""
        return await greenlet_spawn(work, self._plain)

    def begin_nested(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A savepoint: released when the block ends, gone back to when it raises."""
        return _awaited(_nested(self._plain))


def connected(engine: Engine) -> AbstractAsyncContextManager[AsyncConnection]:
    """A connection outside any transaction of ours, given back when the block ends."""
    return _awaited(_plainly(engine))


def begun(engine: Engine) -> AbstractAsyncContextManager[AsyncConnection]:
    """A connection in a transaction: committed when the block ends, undone when it raises."""
    return _awaited(engine.begin())


@asynccontextmanager
async def _awaited(block: AbstractContextManager[Connection]) -> AsyncIterator[AsyncConnection]:
    """Enter and leave a plain block. Whoever may be cancelled meanwhile does it in `Database.finish`."""
    connection = AsyncConnection(await greenlet_spawn(block.__enter__))
    try:
        yield connection
    except BaseException as error:
        await greenlet_spawn(block.__exit__, type(error), error, error.__traceback__)
        raise
    await greenlet_spawn(block.__exit__, None, None, None)


@contextmanager
def _plainly(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


@contextmanager
def _nested(connection: Connection) -> Iterator[Connection]:
    with connection.begin_nested():
        yield connection
