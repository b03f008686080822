"""What every store of files does, in memory or in a database."""

import os
from datetime import UTC, datetime, timedelta

import pytest

from fengchao_core.errors import LimitExceeded
from fengchao_core.store import NOBODY, FileCopy, FileQuota, FileRecord, MemoryStore
from fengchao_sql.store import open_store

POSTGRESQL = os.environ.get("FENGCHAO_TEST_POSTGRESQL", "")
NOW = datetime(2026, 11, 21, 8, 0, 0, 123456, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
PLENTY = FileQuota(100, 10**9)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def files(request, tmp_path):
    """An empty store of files of each kind."""
    if request.param == "memory":
        yield MemoryStore().files
        return
    if request.param == "postgresql" and not POSTGRESQL:
        pytest.skip("FENGCHAO_TEST_POSTGRESQL names no database")
    url = POSTGRESQL if request.param == "postgresql" else "sqlite:///fengchao.db"
    async with open_store(url, tmp_path) as store:
        for record in await store.files.expired(datetime(2100, 1, 1, tzinfo=UTC), 10_000):
            await store.files.delete(record.id)
        yield store.files


def record(file_id, owner="k", **fields):
    plain = {
        "name": "报告 1.pdf",
        "kind": "pdf",
        "size_bytes": 3_000_000_000,
        "sha256": "ab" * 32,
        "created_at": NOW,
        "expires_at": LATER,
        "chars": 7,
    }
    return FileRecord(id=file_id, owner=owner, **{**plain, **fields})


ENDLESS = FileQuota(100, 10**12)


async def test_a_file_comes_back_as_kept(files):
    """With every field, and None where there is no such file."""
    kept = [record("a", is_cut=True), record("b", chars=None, kind="png")]
    for each in kept:
        await files.add(each, ENDLESS)
    assert kept == [await files.get("a"), await files.get("b")]
    assert await files.get("c") is None


async def test_files_are_listed_by_owner_newest_first(files):
    """Only those of the owner that have not expired."""
    for n in range(3):
        await files.add(record(f"{n}", created_at=NOW + timedelta(seconds=n)), ENDLESS)
    await files.add(record("x", owner="other"), ENDLESS)
    await files.add(record("old", expires_at=NOW), ENDLESS)
    assert ["2", "1", "0"] == [each.id for each in await files.of("k", NOW)]
    assert () == await files.of("k", LATER)


async def test_quotas_hold(files):
    """By number and by bytes, per owner, without what has expired."""
    await files.add(record("a", size_bytes=60), FileQuota(2, 100))
    with pytest.raises(LimitExceeded):
        await files.add(record("b", size_bytes=41), FileQuota(2, 100))
    await files.add(
        record("c", size_bytes=40, expires_at=NOW + timedelta(seconds=1)), FileQuota(2, 100)
    )
    with pytest.raises(LimitExceeded):
        await files.add(record("d", size_bytes=0), FileQuota(2, 100))
    assert (2, 100) == await files.used("k", NOW)
    await files.add(record("e", owner="other", size_bytes=100), FileQuota(2, 100))
    later = NOW + timedelta(seconds=1)
    assert (1, 60) == await files.used("k", later)
    await files.add(record("f", size_bytes=40, created_at=later), FileQuota(2, 100))


async def test_nobodys_file_is_claimed_once(files):
    """The first owner has it, with a new end; a second, an expired and an unknown one get nothing."""
    await files.add(record("a", owner=NOBODY, size_bytes=10), PLENTY)
    end = LATER + timedelta(days=1)

    async def claim(file_id, owner, now=NOW, quota=PLENTY):
        return await files.claim(file_id, owner, now=now, expires_at=end, quota=quota)

    with pytest.raises(LimitExceeded):
        await claim("a", "k", quota=FileQuota(1, 9))
    assert not await claim("a", "k", now=LATER)
    assert await claim("a", "k")
    assert not await claim("a", "thief")
    assert not await claim("b", "k")
    assert record("a", size_bytes=10, expires_at=end) == await files.get("a")


async def test_what_expired_is_found_and_deleted(files):
    """Longest gone first, as many as asked for; expiring early counts, later does not."""
    for n in (3, 1, 2):
        await files.add(record(f"{n}", expires_at=NOW + timedelta(seconds=n), size_bytes=1), PLENTY)
    await files.expire("3", NOW)
    await files.expire("1", LATER)
    assert ["3", "1"] == [each.id for each in await files.expired(LATER, 2)]
    assert ["3"] == [each.id for each in await files.expired(NOW, 10)]
    for each in await files.expired(LATER, 10):
        await files.delete(each.id)
    assert () == await files.expired(LATER, 10)


async def test_copies_are_kept_per_provider(files):
    """The first of a provider stays; they go one by one, and with their file."""
    await files.add(record("a", size_bytes=1), PLENTY)
    here, there = FileCopy("a", "moonshot", "v1"), FileCopy("a", "zhipu#2", "v2")
    assert here == await files.add_copy(here)
    assert here == await files.add_copy(FileCopy("a", "moonshot", "v9"))
    assert there == await files.add_copy(there)
    assert (here, there) == await files.copies("a")
    await files.drop_copy(FileCopy("a", "moonshot", "v9"))
    assert (here, there) == await files.copies("a")
    await files.drop_copy(here)
    assert (there,) == await files.copies("a")
    await files.delete("a")
    assert () == await files.copies("a")
