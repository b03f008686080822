"""The same tables and statements in PostgreSQL's words; no server is needed to write them down."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from fengchao_core.reports import UsageQuery
from fengchao_sql.engine import insert_once, locate
from fengchao_sql.reports import select_sums
from fengchao_sql.rows import COLUMNS, USUAL
from fengchao_sql.tables import api_keys, fit, metadata, usage_rows
from fengchao_sql.usage import select_rows, several

DIALECT = postgresql.asyncpg.dialect()
MOMENT = datetime(2026, 11, 21, tzinfo=UTC)


def words(statement: object) -> str:
    """A statement as PostgreSQL would be sent it, on one line."""
    return " ".join(str(statement.compile(dialect=DIALECT)).split())


def test_address():
    """Every spelling of the scheme means the same driver, and the usual name of the TLS setting is understood."""
    home = Path()
    assert "postgresql+asyncpg://u:***@host:5433/name?ssl=require" == str(
        locate("postgres://u:secret@host:5433/name?sslmode=require", home)
    )
    assert locate("postgresql://host/name", home) == locate("postgresql+asyncpg://host/name", home)


def test_tables():
    """Rows are numbered by the database, numbers are wide enough, and nothing is SQLite's."""
    tables = {table.name: words(CreateTable(table)) for table in metadata.sorted_tables}
    assert "seq BIGSERIAL NOT NULL" in tables["usage_rows"]
    assert "cost BIGINT" in tables["usage_rows"]
    assert "sealed_secret BYTEA NOT NULL" in tables["api_keys"]
    assert not any("AUTOINCREMENT" in sql or "ROWID" in sql for sql in tables.values())


def test_live_names_are_unique():
    """The index of live names covers live keys only."""
    fit(DIALECT)
    (index,) = api_keys.indexes
    assert (
        "CREATE UNIQUE INDEX uq_api_keys_live_name ON api_keys (name) WHERE revoked_at IS NULL"
        == words(CreateIndex(index))
    )


def test_rows_are_inserted_once():
    """A row that is there already is left alone, with parameters as its driver counts them."""
    sql = insert_once(usage_rows, COLUMNS, unique="id", dialect=DIALECT)
    assert sql.endswith("ON CONFLICT (id) DO NOTHING")
    assert f"${len(COLUMNS)}" in sql
    assert f"${len(COLUMNS) + 1}" not in sql


def test_columns_out_of_order_are_refused():
    """Columns that are not in the table's order would put values in each other's place."""
    with pytest.raises(ValueError, match="order"):
        insert_once(usage_rows, COLUMNS[::-1], unique="id", dialect=DIALECT)


def test_day_is_grouped_as_it_is_selected():
    """The day is the same text where it is selected and where it is grouped, as PostgreSQL demands."""
    sql = words(select_sums(UsageQuery(by=("day",)), (usage_rows, 0, None)))
    day = "usage_rows.started_at / 86400000000"
    assert sql.startswith(f"SELECT {day} AS group_0")
    assert f"GROUP BY {day}, usage_rows.currency" in sql


def test_rows_are_selected_newest_first():
    """Rows are ordered by time, then by the order in which they were kept."""
    sql = words(select_rows(since=MOMENT, until=MOMENT, limit=10))
    assert "ORDER BY usage_rows.started_at DESC, usage_rows.seq DESC" in sql
    assert "LIMIT" in sql


@pytest.mark.parametrize("columns", [COLUMNS, USUAL])
def test_a_block_of_rows_is_one_statement(columns):
    """A block names its rows' values one after the other, as the driver numbers them."""
    one = insert_once(usage_rows, columns, unique="id", dialect=DIALECT)
    blocks = several(one)
    assert one == blocks[-1]
    for sql in blocks:
        numbers = [int(number) for number in re.findall(r"\$(\d+)", sql)]
        assert list(range(1, len(numbers) + 1)) == numbers
        assert 0 == len(numbers) % len(columns)
        assert 1 == sql.count("ON CONFLICT (id) DO NOTHING")
    assert 256 * len(columns) == len(re.findall(r"\$(\d+)::", blocks[0]))
