"""Values and open stores for the tests of this plugin."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fengchao_core.store import KeyRecord, MemoryStore, Store
from fengchao_core.usage import UsageRecord
from fengchao_sql.store import SqlStore, open_store

URL = "sqlite:///fengchao.db"
POSTGRESQL = os.environ.get("FENGCHAO_TEST_POSTGRESQL", "")
START = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


@pytest.fixture
def make_row() -> Callable[..., UsageRecord]:
    """Makes usage rows, a minute apart, with the given fields."""
    made = 0

    def make(**fields: Any) -> UsageRecord:
        nonlocal made
        made += 1
        plain = UsageRecord(
            id=uuid.uuid4().hex,
            request_id=str(uuid.uuid4()),
            key="0123456789abcdef0123456789abcdef",
            model="glm-4",
            provider="zhipu",
            outcome="ok",
            error="",
            streamed=True,
            attempts=1,
            started_at=START + timedelta(minutes=made),
            duration_ms=1234,
            first_delta_ms=210,
            prompt_tokens=1000,
            completion_tokens=200,
            cached_tokens=10,
            reasoning_tokens=0,
            usage_source="vendor",
            cost=Decimal("0.12"),
            currency="CNY",
            price_since="2024-01-16",
        )
        return replace(plain, **fields)

    return make


@pytest.fixture
def make_key() -> Callable[..., KeyRecord]:
    """Makes key records with the given fields."""

    def make(name: str, **fields: Any) -> KeyRecord:
        plain = KeyRecord(
            api_key=uuid.uuid4().hex, name=name, sealed_secret=b"\x00sealed\xff", created_at=START
        )
        return replace(plain, **fields)

    return make


@pytest.fixture
async def open_here(tmp_path: Path) -> AsyncIterator[Callable[[], Any]]:
    """Opens the database of this test, as often as asked; all are closed at the end."""
    async with AsyncExitStack() as stack:

        async def open_again() -> SqlStore:
            return await stack.enter_async_context(open_store(URL, tmp_path))

        yield open_again


@pytest.fixture
async def store(open_here: Callable[[], Any]) -> SqlStore:
    """A store over a fresh SQLite file."""
    opened: SqlStore = await open_here()
    return opened


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store of each kind."""
    if request.param == "memory":
        yield MemoryStore()
        return
    if request.param == "postgresql" and not POSTGRESQL:
        pytest.skip("FENGCHAO_TEST_POSTGRESQL names no database")
    url = POSTGRESQL if request.param == "postgresql" else "sqlite:///fengchao.db"
    async with open_store(url, tmp_path) as store:
        if request.param == "postgresql":
            await _empty(url)
        yield store


async def _empty(url: str) -> None:
    from fengchao_sql.engine import Database, locate
    from fengchao_sql.tables import metadata

    database = Database(locate(url, Path()))
    try:
        for table in metadata.sorted_tables:
            if table.name != "key_revision":
                await database.write(lambda to, table=table: to.execute(table.delete()))
    finally:
        await database.close()
