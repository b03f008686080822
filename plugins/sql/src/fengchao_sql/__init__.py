"""
Keys and usage kept in a database: SQLite by default.

SQLAlchemy is imported when a store is opened, not before.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from fengchao_core.hookspecs import hookimpl
from fengchao_core.store import Store, StoreSpec

if TYPE_CHECKING:
    from fengchao_core.settings import Settings

__all__ = ["fengchao_store"]

_SCHEMES = ("sqlite", "sqlite+aiosqlite", "postgresql", "postgresql+asyncpg", "postgres")


@hookimpl
def fengchao_store(settings: Settings) -> StoreSpec | None:
    """The database that `store.url` names; None where it names something else."""
    url, home = settings.store.url, settings.home
    if url.partition(":")[0].lower() not in _SCHEMES:
        return None

    def open_database() -> AbstractAsyncContextManager[Store]:
        from fengchao_sql.store import open_store

        return open_store(url, home)

    return StoreSpec(name="sql", open=open_database)
