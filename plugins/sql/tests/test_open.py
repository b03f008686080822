"""Opening a database: where it is, who may read it, and every way it can refuse."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from fengchao_core.errors import SetupError
from fengchao_core.settings import Settings, StoreSettings
from fengchao_sql import engine, fengchao_store
from fengchao_sql.migrate import REVISIONS
from fengchao_sql.store import open_store
from fengchao_sql.tables import metadata

URL = "sqlite:///fengchao.db"


def settings_for(url: str, home: Path) -> Settings:
    """Settings with a database and a home of their own."""
    return Settings(store=StoreSettings(url=url), home=home)


async def refusal(url: str, home: Path) -> str:
    """What opening the database says when it refuses."""
    with pytest.raises(SetupError) as caught:
        async with open_store(url, home):
            pass
    (problem,) = caught.value.problems
    return problem


async def test_relative_file_is_in_the_home(tmp_path: Path):
    """A relative file is made in the gateway's home, which is made where it is missing."""
    home = tmp_path / "new" / "home"
    async with open_store("sqlite:///keys/my.db", home):
        assert (home / "keys" / "my.db").is_file()


async def test_absolute_file_is_taken_as_it_is(tmp_path: Path):
    """An absolute path is not moved into the home."""
    async with open_store(f"sqlite:///{tmp_path}/here.db", tmp_path / "home"):
        assert (tmp_path / "here.db").is_file()
    assert not (tmp_path / "home").exists()


@pytest.mark.skipif(os.name != "posix", reason="only POSIX has these modes")
async def test_new_database_is_private(tmp_path: Path, make_row):
    """The database and what SQLite puts beside it can be read by their owner alone."""
    async with open_store(URL, tmp_path / "home") as store:
        await store.usage.add([make_row()])
        files = sorted((tmp_path / "home").iterdir())
        assert ["fengchao.db", "fengchao.db-shm", "fengchao.db-signals", "fengchao.db-wal"] == [
            f.name for f in files
        ]
        assert {0o600} == {stat.S_IMODE(f.stat().st_mode) for f in files}


async def test_reopening_finds_everything(tmp_path: Path, make_row, make_key):
    """What was kept is there when the database is opened again."""
    row, key = make_row(), make_key("team")
    async with open_store(URL, tmp_path) as store:
        await store.usage.add([row])
        await store.keys.add(key)
        revision = await store.keys.revision()
    async with open_store(URL, tmp_path) as store:
        assert (row,) == await store.usage.rows()
        assert (key,) == await store.keys.all()
        assert revision == await store.keys.revision()


async def test_hook_opens_its_own_schemes_only(tmp_path: Path):
    """The hook describes a database for its schemes, and leaves every other URL to other plugins."""
    assert fengchao_store(settings_for("memory:", tmp_path)) is None
    assert fengchao_store(settings_for("redis://localhost", tmp_path)) is None
    for url in ("postgresql://host/name", "postgres://host/name", "SQLITE:///x.db"):
        assert fengchao_store(settings_for(url, tmp_path)) is not None
    spec = fengchao_store(settings_for(URL, tmp_path))
    async with spec.open() as store:
        assert 0 == await store.keys.revision()


def test_heavy_libraries_wait_until_they_are_needed(tmp_path: Path):
    """Importing the plugin imports no SQLAlchemy; opening a new or a current database no Alembic, ORM or other dialect."""
    script = """
import asyncio, sys
from pathlib import Path
import fengchao_sql
assert "sqlalchemy" not in sys.modules
from fengchao_sql.store import open_store
async def main():
    async with open_store("sqlite:///fengchao.db", Path(sys.argv[1])):
        heavy = {"alembic", "sqlalchemy.orm", "sqlalchemy.dialects.postgresql"}
        print(sorted(heavy & sys.modules.keys()))
asyncio.run(main())
"""
    runs = [
        subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for _ in range(2)
    ]
    assert ["[]", "[]"] == runs


def test_processes_that_open_a_new_database_at_once_take_turns(tmp_path: Path):
    """Several processes that start on a new database all get it, migrated once."""
    script = """
import asyncio, sys
from pathlib import Path
from fengchao_sql.store import open_store
async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    async with open_store("sqlite:///fengchao.db", Path(sys.argv[1])) as store:
        print(await store.keys.revision(), flush=True)
asyncio.run(main())
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", script, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout
        assert "ready\n" == process.stdout.readline()
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60) for process in processes]
    assert [("0\n", "")] * 3 == answers


async def test_many_tasks_open_a_new_database_at_once(tmp_path: Path):
    """Opening a new database many times in one process works as well."""

    async def revision() -> int:
        async with open_store(URL, tmp_path) as store:
            return await store.keys.revision()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(revision()) for _ in range(5)]
    assert [0] * 5 == [task.result() for task in tasks]


async def test_long_migration_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A process that finds another one migrating waits for longer than it would for a request."""
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_MS", 100)
    with contextlib.closing(sqlite3.connect(tmp_path / "fengchao.db")) as migrating:
        migrating.execute("PRAGMA journal_mode = WAL")
        migrating.execute("BEGIN IMMEDIATE")
        asyncio.get_running_loop().call_later(0.3, migrating.rollback)
        async with open_store(URL, tmp_path) as store:
            assert 0 == await store.keys.revision()


def test_revisions_are_those_of_the_migrations():
    """The revisions that the code knows are those in the folder, in their order, with one head."""
    config = Config()
    config.set_main_option("script_location", "fengchao_sql:migrations")
    scripts = ScriptDirectory.from_config(config)
    found = [script.revision for script in scripts.walk_revisions("base", "heads")]
    assert list(REVISIONS) == found[::-1]
    assert REVISIONS[-1] == scripts.get_current_head()


async def test_migrations_make_the_tables(tmp_path: Path):
    """A new database and one that took every migration have the same schema, indexes and constraints included."""
    async with open_store(URL, tmp_path):
        pass
    made = create_engine(f"sqlite:///{tmp_path}/fengchao.db")
    migrated = create_engine("sqlite://")
    config = Config()
    config.set_main_option("script_location", "fengchao_sql:migrations")
    with migrated.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert [] == compare_metadata(context, metadata)
        wanted = _contents(connection)
    with made.connect() as connection:
        assert wanted == _contents(connection)
    migrated.dispose()
    made.dispose()


def _contents(connection):
    schema = connection.exec_driver_sql("SELECT sql FROM sqlite_master").scalars().all()
    return (
        {" ".join(sql.split()) for sql in schema if sql},
        connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all(),
        connection.exec_driver_sql("SELECT revision FROM key_revision").scalars().all(),
    )


async def test_newer_database_is_refused(tmp_path: Path):
    """A database that a newer version wrote is refused, named and left alone."""
    async with open_store(URL, tmp_path):
        pass
    with contextlib.closing(sqlite3.connect(tmp_path / "fengchao.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    problem = await refusal(URL, tmp_path)
    assert "newer version" in problem
    assert "9999" in problem
    assert "fengchao.db" in problem


async def test_file_that_is_no_database_is_refused(tmp_path: Path):
    """A file of something else is refused and not overwritten."""
    (tmp_path / "fengchao.db").write_text("a shopping list\n" * 100)
    assert "not a database" in await refusal(URL, tmp_path)
    assert (tmp_path / "fengchao.db").read_text().startswith("a shopping list")


async def test_folder_in_its_place_is_refused(tmp_path: Path):
    """A folder where the file should be is refused with what to check."""
    (tmp_path / "fengchao.db").mkdir()
    assert "check that its folder exists" in await refusal(URL, tmp_path)


async def test_locked_database_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A database that another process does not let go of is refused, saying so."""
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_MS", 50)
    async with open_store(URL, tmp_path):
        pass
    with contextlib.closing(sqlite3.connect(tmp_path / "fengchao.db")) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        assert "another process holds it locked" in await refusal(URL, tmp_path)


@contextlib.contextmanager
def ordinary_user() -> Iterator[None]:
    """Be somebody whom file modes bind, even where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.name != "posix", reason="only POSIX has these modes")
def test_read_only_database_is_refused():
    """A database that may be read but not written is refused, saying what right is missing."""

    async def make(home: Path) -> None:
        async with open_store(URL, home):
            pass

    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        asyncio.run(make(home))
        (home / "fengchao.db").chmod(0o444)
        home.chmod(0o555)
        try:
            with ordinary_user():
                assert "this user" in asyncio.run(refusal(URL, home))
        finally:
            home.chmod(0o755)


async def test_unwritable_home_is_refused(tmp_path: Path):
    """A home that cannot be made is refused, naming it."""
    (tmp_path / "home").write_text("a file, not a folder")
    assert "home" in await refusal(URL, tmp_path / "home")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
async def test_database_in_memory_is_refused(tmp_path: Path, url: str):
    """A SQLite that would forget is refused with the name of the store that forgets."""
    assert "memory:" in await refusal(url, tmp_path)


async def test_parameters_are_refused(tmp_path: Path):
    """Parameters behind a SQLite URL are refused instead of being ignored."""
    assert "no parameters" in await refusal("sqlite:///x.db?mode=ro", tmp_path)


async def test_unreadable_url_is_not_repeated(tmp_path: Path):
    """A URL that cannot be read is refused without repeating the password in it."""
    problem = await refusal("postgresql://user:hunter2@host:port/name", tmp_path)
    assert "cannot be read" in problem
    assert "hunter2" not in problem


async def test_missing_driver_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """PostgreSQL without its driver is refused with the command that installs it, without the password."""
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    problem = await refusal("postgresql://user:hunter2@host/name", tmp_path)
    assert "pip install 'fengchao-sql[postgresql]'" in problem
    assert "hunter2" not in problem
