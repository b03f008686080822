"""Operators, their grants and attempts, and the audit log: the same in memory and in a database."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fengchao_core.errors import InvalidParameter
from fengchao_core.store import AuditRecord, GrantRecord, OperatorRecord, Pace

START = datetime(2026, 11, 21, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


def person(name="alice", **fields):
    """An operator."""
    plain = OperatorRecord(
        name=name, role="operator", password_hash="$argon2id$…", created_at=START
    )
    return replace(plain, **fields)


def grant(digest="d1", **fields):
    """A session of alice."""
    plain = GrantRecord(
        digest=digest, kind="session", operator="alice", role="operator", created_at=START,
        expires_at=START + HOUR,
    )  # fmt: skip
    return replace(plain, **fields)


def entry(action="key.create", **fields):
    """A record of the audit log."""
    return replace(
        AuditRecord(at=START, actor="operator:alice", action=action, target="t"), **fields
    )


async def test_operators_come_back_by_name(any_store):
    """Operators come back as they were kept, by name; unknown names find nobody."""
    people = [person(name) for name in ("王芳", "bob", "Alice")]
    for one in people:
        await any_store.operators.add(one)
    assert tuple(sorted(people, key=lambda p: p.name)) == await any_store.operators.all()
    assert people[0] == await any_store.operators.find("王芳")
    assert await any_store.operators.find("alice") is None


async def test_name_is_taken_once(any_store):
    """A second operator of a name is refused, and changes of nobody are."""
    await any_store.operators.add(person())
    with pytest.raises(InvalidParameter):
        await any_store.operators.add(person(role="viewer"))
    assert (person(),) == await any_store.operators.all()
    with pytest.raises(InvalidParameter):
        await any_store.operators.replace(person("bob"))
    with pytest.raises(InvalidParameter):
        await any_store.operators.remove("bob")


async def test_removed_operator_leaves_no_grant(any_store):
    """With an operator go its grants, and nobody else's."""
    await any_store.operators.add(person())
    await any_store.operators.grant(grant("d1"))
    await any_store.operators.grant(grant("d2", operator="bob"))
    await any_store.operators.remove("alice")
    assert await any_store.operators.granted("d1") is None
    assert grant("d2", operator="bob") == await any_store.operators.granted("d2")


async def test_grant_is_taken_once(any_store):
    """Of many that take a grant at once exactly one gets it."""
    await any_store.operators.grant(grant(kind="setup", operator=""))
    taken = await asyncio.gather(*(any_store.operators.take("d1") for _ in range(8)))
    assert [grant(kind="setup", operator="")] == [found for found in taken if found]


async def test_grants_end(any_store):
    """All sessions of an operator end but the one that is kept; tokens stay; expired grants are swept out."""
    for record in (
        grant("d1"), grant("d2"), grant("d3", operator="bob"),
        grant("d4", kind="token", label="ci", expires_at=None),
    ):  # fmt: skip
        await any_store.operators.grant(record)
    await any_store.operators.end("alice", "session", keep="d2")
    assert {"d2", "d3"} == {g.digest for g in await any_store.operators.grants("session")}
    await any_store.operators.grant(
        grant("d5", created_at=START + HOUR, expires_at=START + 2 * HOUR)
    )
    assert {"d5"} == {g.digest for g in await any_store.operators.grants("session")}
    assert ["ci"] == [g.label for g in await any_store.operators.grants("token")]


async def test_attempts_are_slowed_down(any_store):
    """After the free ones each attempt waits twice as long, up to a bound; one that comes too soon is not counted."""
    pace, now = Pace(free=2, longest_s=3), START
    attempt = any_store.operators.attempt
    assert [0, 0] == [await attempt("s", pace, now) for _ in range(2)]
    for wait in (1, 2, 3, 3):
        assert wait == await attempt("s", pace, now)
        assert wait / 2 == await attempt("s", pace, now + timedelta(seconds=wait / 2))
        now += timedelta(seconds=wait)
        assert 0 == await attempt("s", pace, now)
    assert 0 == await attempt("other", pace, now)
    await any_store.operators.forgive("s")
    assert 0 == await attempt("s", pace, now)


async def test_attempts_are_forgotten(any_store):
    """Attempts are forgotten an hour after the last."""
    pace = Pace(free=1, longest_s=900)
    attempt = any_store.operators.attempt
    assert 0 == await attempt("s", pace, START)
    assert 1 == await attempt("s", pace, START)
    assert [0, 1] == [await attempt("s", pace, START + HOUR) for _ in range(2)]


async def test_attempts_at_once_are_all_counted(any_store):
    """Of a burst exactly the free ones are let through."""
    pace = Pace(free=3, longest_s=900)
    waits = await asyncio.gather(
        *(any_store.operators.attempt("s", pace, START) for _ in range(12))
    )
    assert 3 == waits.count(0)


async def test_log_is_read_a_page_at_a_time(any_store):
    """The log comes newest first, a page at a time, whole or filtered, with every field."""
    told = {"name": "新闻组", "models": ["a"], "limits": {"n": 1}, "gone": None}
    records = [
        entry(f"a.{n % 2}", target=f"t{n}", before=told, after={"n": n}, address="::1")
        for n in range(5)
    ]
    for record in records:
        await any_store.audit.add(record)
    page = await any_store.audit.page(limit=2)
    assert tuple(records[:2:-1]) == page
    assert tuple(records[2::-1]) == await any_store.audit.page(before=page[-1].id)
    assert (records[3], records[1]) == await any_store.audit.page(action="a.1")
    assert (records[3],) == await any_store.audit.page(action="a.1", target="t3")
    assert () == await any_store.audit.page(actor="operator:bob")


async def test_change_and_its_record_are_kept_together(any_store, make_key):
    """Every change brings its record, and one that is refused leaves none."""
    keys, people = any_store.keys, any_store.operators
    key = make_key("team")
    await keys.add(key, audit=entry("1"))
    await keys.replace(key.api_key, key, audit=entry("2"))
    assert not await keys.replace(key.api_key, key, audit=entry("stale"))
    await people.add(person(), audit=entry("3"))
    await people.replace(person(), audit=entry("4"))
    await people.grant(grant(), audit=entry("5"))
    await people.take("d1", audit=entry("6"))
    assert await people.take("d1", audit=entry("gone")) is None
    await people.remove("alice", audit=entry("7"))
    for refused in (
        keys.add(make_key("team"), audit=entry("taken")),
        keys.replace("absent", key, audit=entry("absent")),
        people.remove("bob", audit=entry("absent")),
        people.replace(person("bob"), audit=entry("absent")),
    ):
        with pytest.raises(InvalidParameter):
            await refused
    assert list("7654321") == [record.action for record in await any_store.audit.page()]
