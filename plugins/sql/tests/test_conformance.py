"""
What every store does, in memory or in a database.

With `FENGCHAO_TEST_POSTGRESQL` set to the URL of an empty database that may be written, it runs there as well.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fengchao_core.errors import InvalidParameter
from fengchao_core.limits import Budget, KeyLimits
from fengchao_core.reports import DIMENSIONS, UsageQuery, sum_up
from fengchao_core.store import (
    BodyRecord,
    PromptVersion,
    WordCategory,
    WordKey,
    WordPage,
    WordRecord,
)
from fengchao_core.usage import total_up

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


async def test_key_comes_back_as_kept(any_store, make_key):
    """A key comes back with every field it was kept with."""
    key = make_key(
        "新闻组",
        sealed_secret=bytes(range(256)),
        expires_at=datetime(2027, 1, 1, 12, 30, 15, 123456, tzinfo=UTC),
        models=("glm-4", "文心一言", 'odd"[name'),
        note="第一行\n第二行",
        addresses=("10.0.0.0/8", "::1/128"),
        group="研发",
        limits=KeyLimits(concurrent=3, budgets=(Budget(Decimal("1.50"), "CNY"),)),
        previous_secret=b"\x00old\xff",
        previous_until=datetime(2026, 11, 22, tzinfo=UTC),
    )
    await any_store.keys.add(key)
    assert (key,) == await any_store.keys.all()


async def test_keys_are_listed_oldest_first(any_store, make_key):
    """Keys are listed in the order they were made, whatever became of them."""
    keys = [make_key(name) for name in ("z", "a", "m")]
    for key in keys:
        await any_store.keys.add(key)
    await any_store.keys.replace(keys[0].api_key, replace(keys[0], note="changed"))
    assert ["z", "a", "m"] == [key.name for key in await any_store.keys.all()]


async def test_live_name_is_unique(any_store, make_key):
    """A second live key of the same name is refused and not kept."""
    await any_store.keys.add(make_key("team"))
    with pytest.raises(InvalidParameter) as caught:
        await any_store.keys.add(make_key("team"))
    assert "name" == caught.value.param
    assert 1 == len(await any_store.keys.all())


async def test_revoked_name_is_free(any_store, make_key):
    """The name of a revoked key may be used again, any number of times."""
    for day in (1, 2, 3):
        key = make_key("team")
        await any_store.keys.add(key)
        await any_store.keys.replace(
            key.api_key, replace(key, revoked_at=datetime(2026, 12, day, tzinfo=UTC))
        )
    await any_store.keys.add(make_key("team"))
    assert [False, False, False, True] == [
        key.revoked_at is None for key in await any_store.keys.all()
    ]


async def test_replacing_keeps_the_identity(any_store, make_key):
    """A replaced record keeps the public half it is named by."""
    key = make_key("team")
    await any_store.keys.add(key)
    await any_store.keys.replace(key.api_key, replace(key, api_key="another", sealed_secret=b"new"))
    assert (replace(key, sealed_secret=b"new"),) == await any_store.keys.all()


async def test_replacing_nothing_is_refused(any_store, make_key):
    """Replacing a key that is not there is refused."""
    with pytest.raises(InvalidParameter):
        await any_store.keys.replace("absent", make_key("team"))


async def test_revision_grows_with_changes_only(any_store, make_key):
    """The revision grows with each change, and stays with reads and refused changes."""
    key = make_key("team")
    seen = [await any_store.keys.revision()]
    await any_store.keys.add(key)
    seen.append(await any_store.keys.revision())
    await any_store.keys.replace(key.api_key, replace(key, note="changed"))
    seen.append(await any_store.keys.revision())
    assert seen == sorted(set(seen))

    with pytest.raises(InvalidParameter):
        await any_store.keys.add(make_key("team"))
    with pytest.raises(InvalidParameter):
        await any_store.keys.replace("absent", make_key("other"))
    await any_store.keys.all()
    assert seen[-1] == await any_store.keys.revision()


async def test_rows_come_newest_first(any_store, make_row):
    """Rows come newest first, at most as many as asked for."""
    rows = [make_row() for _ in range(5)]
    await any_store.usage.add(rows[:3])
    await any_store.usage.add(rows[3:])
    assert tuple(reversed(rows)) == await any_store.usage.rows()
    assert (rows[4], rows[3]) == await any_store.usage.rows(limit=2)


async def test_rows_of_a_time_span(any_store, make_row):
    """A span of time has its start and lacks its end, to the microsecond."""
    moment = datetime(2026, 11, 21, 12, 0, 0, 1, tzinfo=UTC)
    step = timedelta(microseconds=1)
    before, first, last, after = (make_row(started_at=moment + step * n) for n in (-1, 0, 1, 2))
    await any_store.usage.add([before, first, last, after])
    span = {"since": moment, "until": moment + 2 * step}
    assert (last, first) == await any_store.usage.rows(**span)
    assert [2] == [total.requests for total in await any_store.usage.totals(by="model", **span)]
    assert () == await any_store.usage.rows(since=moment, until=moment)


async def test_same_row_is_kept_once(any_store, make_row):
    """A row that is sent again, in the same batch or later, is kept once and as it was first."""
    row, other = make_row(), make_row()
    changed = replace(row, cost=Decimal(99), outcome="failed")
    await any_store.usage.add([row, changed])
    await any_store.usage.add([changed, other])
    assert (other, row) == await any_store.usage.rows()


async def test_rows_are_found_by_their_ids(any_store, make_row):
    """Each kept row is found once however often it is asked for; an id that is not there is passed over."""
    rows = [make_row(id=f"row {number}") for number in range(1200)]
    await any_store.usage.add(rows)
    wanted = [row.id for row in rows[:1100]]
    found = await any_store.usage.get([*wanted, "absent", *wanted])
    assert set(rows[:1100]) == set(found)
    assert 1100 == len(found)
    assert () == await any_store.usage.get([])


SPANS = st.tuples(*(st.none() | st.integers(0, 80 * 3600),) * 2)


@given(
    offsets=st.lists(st.integers(0, 80 * 3600), max_size=12),
    span=SPANS,
    by=st.lists(st.sampled_from(DIMENSIONS), max_size=3, unique=True),
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_sums_of_any_span_are_those_of_the_rows(any_store, make_row, offsets, span, by):
    """Whether a span is read from days, hours or rows, its sums are those of its rows, one by one."""
    start = datetime(2026, 11, 20, 7, 30, tzinfo=UTC)
    rows = [
        make_row(
            id=uuid.uuid4().hex,
            key=f"key {any_store!r}",
            model=f"m{n % 2}",
            outcome=["ok", "retried", "unknown"][n % 3],
            group="g" if n % 2 else "",
            started_at=start + timedelta(seconds=offset),
        )
        for n, offset in enumerate(offsets)
    ]
    await any_store.usage.add([*rows, *rows[:3]])
    since, until = (None if at is None else start + timedelta(seconds=at) for at in span)
    query = UsageQuery(by=tuple(by), since=since, until=until, model="m1" if len(by) == 1 else None)
    everything = await any_store.usage.rows(limit=1_000_000)
    assert sum_up(everything, query) == await any_store.usage.sums(query)


async def test_old_rows_are_forgotten(any_store, make_row):
    """Rows before a day go, a few at a time; those after stay."""
    day = datetime(2026, 11, 21, tzinfo=UTC)
    old = [make_row(started_at=day - timedelta(hours=n + 1)) for n in range(5)]
    new = make_row(started_at=day)
    await any_store.usage.add([*old, new])
    assert 3 == await any_store.usage.forget(day, 3)
    assert 2 == await any_store.usage.forget(day, 3)
    assert 0 == await any_store.usage.forget(day, 3)
    assert (new,) == await any_store.usage.rows()


async def test_no_rows_is_no_work(any_store):
    """Adding nothing is allowed, and an empty store has no totals."""
    await any_store.usage.add([])
    assert () == await any_store.usage.rows()
    assert () == await any_store.usage.totals(by="day")


@pytest.mark.parametrize("by", ["key", "model", "provider", "day", "outcome"])
async def test_totals_add_up(any_store, make_row, by):
    """Totals are the same as summing the rows one by one, for every grouping, currency by currency."""
    midnight = datetime(2026, 11, 22, tzinfo=UTC)
    rows = [
        make_row(),
        make_row(cost=Decimal("0.000000001"), completion_tokens=0),
        make_row(currency="USD", cost=Decimal("1.5"), key="ffff", started_at=midnight),
        make_row(
            currency=None,
            cost=None,
            price_since=None,
            model="unknown",
            provider="",
            outcome="refused",
            error="UnknownModel",
            prompt_tokens=0,
            completion_tokens=0,
            started_at=midnight - timedelta(microseconds=1),
        ),
        make_row(outcome="cancelled", model="ERNIE-Bot-4", provider="qianfan"),
        make_row(outcome="failed", model="文心一言", error="RateLimited", attempts=3),
    ]
    await any_store.usage.add(rows)
    assert total_up(rows, by=by) == await any_store.usage.totals(by=by)


async def test_revoked_key_stays_revoked(any_store, make_key):
    """A change that was prepared before a revocation does not undo it."""
    key = make_key("team")
    revoked = datetime(2026, 11, 21, tzinfo=UTC)
    await any_store.keys.add(key)
    await any_store.keys.replace(key.api_key, replace(key, revoked_at=revoked))
    revision = await any_store.keys.revision()
    assert not await any_store.keys.replace(key.api_key, replace(key, sealed_secret=b"rotated"))
    (kept,) = await any_store.keys.all()
    assert (revoked, key.sealed_secret) == (kept.revoked_at, kept.sealed_secret)
    assert revision == await any_store.keys.revision()
    again = replace(kept, revoked_at=None, note="changed")
    assert await any_store.keys.replace(key.api_key, again)
    (kept,) = await any_store.keys.all()
    assert (revoked, "changed") == (kept.revoked_at, kept.note)


async def test_renaming_to_a_live_name_is_refused(any_store, make_key):
    """A key cannot take the name of another live key, and the refusal changes nothing."""
    first, second = make_key("first"), make_key("second")
    await any_store.keys.add(first)
    await any_store.keys.add(second)
    revision = await any_store.keys.revision()
    with pytest.raises(InvalidParameter):
        await any_store.keys.replace(second.api_key, replace(second, name="first"))
    assert (first, second) == await any_store.keys.all()
    assert revision == await any_store.keys.revision()


async def test_same_public_half_is_refused(any_store, make_key):
    """Two keys never share their public half."""
    key = make_key("first")
    await any_store.keys.add(key)
    with pytest.raises(InvalidParameter):
        await any_store.keys.add(replace(key, name="second"))
    assert (key,) == await any_store.keys.all()


async def test_many_rows_are_kept_once_each(any_store, make_row):
    """A large batch is kept whole, in blocks or one by one, and rows sent again are not doubled."""
    rows = [make_row(id=f"row-{number}") for number in range(173)]
    await any_store.usage.add(rows[:60])
    await any_store.usage.add(rows)
    kept = await any_store.usage.rows(limit=1000)
    assert {row.id for row in rows} == {row.id for row in kept}
    assert len(rows) == len(kept)
    assert set(rows) == set(kept)


def word(word_, category="广告", **fields):
    """A word record with the given fields."""
    return WordRecord(
        category=category, word=word_, added_at=fields.pop("added_at", NOON), **fields
    )


async def test_words_come_back_as_kept(any_store):
    """A word comes back with every field it was kept with, and its category is there."""
    kept = word("加微信", action="replace", note="第一行\n第二行")
    await any_store.words.change(put=[kept])
    assert WordPage(1, (kept,)) == await any_store.words.page()
    assert (WordCategory(name="广告", count=1),) == await any_store.words.categories()


async def test_a_word_is_there_once_in_each_category(any_store):
    """A word that is put again is changed, and keeps the time at which it was added; another category has its own."""
    later = NOON + timedelta(days=1)
    await any_store.words.change(put=[word("a"), word("a", category="x")])
    await any_store.words.change(put=[word("a", note="now", added_at=later)])
    found = (await any_store.words.page()).words
    assert {("x", "", NOON), ("广告", "now", NOON)} == {
        (w.category, w.note, w.added_at) for w in found
    }


async def test_changes_tell_what_came_and_went(any_store):
    """What was put, changed and removed since a revision is told once more to whoever asks from there."""
    words = any_store.words
    await words.change(put=[word("a"), word("b"), word("c")])
    since = await words.revision()
    await words.change(put=[word("b", action="record"), word("d")], remove=[WordKey("广告", "a")])
    changes = await words.changes(since)
    assert ({"b", "d"}, (WordKey("广告", "a"),)) == (
        {w.word for w in changes.kept},
        changes.removed,
    )
    assert (await words.changes(changes.revision)).kept == ()
    assert {"b", "c", "d"} == {w.word for w in (await words.changes(0)).kept}


async def test_a_change_of_words_changes_the_numbers(any_store):
    """Every change gives another generation and a larger revision; reading gives the same ones."""
    words = any_store.words
    seen = [(words.generation, await words.revision())]
    await words.change(put=[word("a")])
    seen.append((words.generation, await words.revision()))
    await words.page()
    assert seen[-1] == (words.generation, await words.revision())
    await words.change(remove=[WordKey("广告", "a")])
    seen.append((words.generation, await words.revision()))
    assert 3 == len({generation for generation, _ in seen})
    assert sorted({revision for _, revision in seen}) == [revision for _, revision in seen]


async def test_removed_words_are_counted_and_may_come_back(any_store):
    """Removing tells how many were there; a word that comes back is as new."""
    words = any_store.words
    await words.change(put=[word("a", note="old"), word("b")])
    gone = await words.change(
        remove=[WordKey("广告", "a"), WordKey("广告", "x"), WordKey("y", "b")]
    )
    assert (1, ["b"]) == (gone, [w.word for w in (await words.page()).words])
    later = NOON + timedelta(days=1)
    await words.change(put=[word("a", added_at=later)])
    assert (word("a", added_at=later),) == await words.get([WordKey("广告", "a")])


async def test_a_category_goes_with_its_words(any_store):
    """A category that is dropped takes its words along, and leaves the others."""
    words = any_store.words
    await words.change(put=[word("a"), word("b", category="x")])
    await words.change(categories=[WordCategory(name="x", action="record", note="n")])
    assert WordCategory(name="x", action="record", note="n", count=1) in await words.categories()
    assert 1 == await words.change(drop=["x"])
    assert (WordCategory(name="广告", count=1),) == await words.categories()
    assert {"广告": "block"} == (await words.changes(1)).actions


async def test_words_are_found_page_by_page(any_store):
    """Paging and searching go over word and note in any letter case, and take wildcards literally."""
    words = any_store.words
    await words.change(put=[word(f"w{n:03}") for n in range(120)])
    await words.change(put=[word("100%", action="record"), word("x", note="see W007 and 100_")])
    page = await words.page(search="w0", limit=10, offset=95)
    assert (101, ["w095", "w096", "w097", "w098", "w099", "x"]) == (
        page.total, [w.word for w in page.words],
    )  # fmt: skip
    assert ["100%"] == [w.word for w in (await words.page(search="0%")).words]
    assert ["x"] == [w.word for w in (await words.page(search="0_")).words]
    assert ["100%"] == [w.word for w in (await words.page(action="record")).words]
    assert 0 == (await words.page(category="none")).total


async def test_many_words_are_kept_and_told(any_store):
    """More words than fit a piece are kept whole and told whole."""
    words = any_store.words
    await words.change(put=[word(f"word {n}") for n in range(4500)])
    assert 4500 == len({w.word for w in (await words.changes(0)).kept})
    assert 4500 == await words.change(drop=["广告"])
    assert 4500 == len((await words.changes(1)).removed)


def preset(id_, **fields):
    """A version of a preset with the given fields."""
    return PromptVersion(
        id=id_, prompt=fields.pop("prompt", "{{query}}"), created_at=NOON, **fields
    )


async def test_versions_of_presets_are_all_kept(any_store):
    """Versions count up, the newest of each preset is told, and the history has them all."""
    prompts = any_store.prompts
    first = await prompts.append(preset("翻译", prefix="", system=None, author="a", comment="c"))
    await prompts.append(preset("摘要"))
    second = await prompts.append(preset("翻译", prompt="{{query}}!", removed=True), after=1)
    assert (1, 2) == (first.version, second.version)
    assert [("翻译", 2), ("摘要", 1)] == [(v.id, v.version) for v in await prompts.newest()]
    assert (second, first) == await prompts.history("翻译")
    assert () == await prompts.history("none")


async def test_a_version_over_an_unseen_one_is_refused(any_store):
    """Whoever did not see the newest version cannot write over it, and the refusal changes nothing."""
    prompts = any_store.prompts
    await prompts.append(preset("a"), after=0)
    seen = prompts.generation, await prompts.revision()
    with pytest.raises(InvalidParameter):
        await prompts.append(preset("a"), after=0)
    assert 1 == len(await prompts.history("a"))
    assert seen == (prompts.generation, await prompts.revision())


def body(id_, **fields):
    """A body with the given fields."""
    given = {
        "request_id": "r", "at": NOON, "messages": [{"role": "user", "content": "你好\0\n"}],
        "answers": [{"index": 0, "content": "好"}], "is_cut": True,
    }  # fmt: skip
    return BodyRecord(id=id_, **{**given, **fields})


async def test_bodies_come_back_as_kept(any_store):
    """A body is kept once, and found by its id and by the request's, newest first, so many at most."""
    bodies = any_store.bodies
    first = body("1", at=NOON - timedelta(seconds=1), is_cut=False)
    await bodies.add([first, body("2")])
    await bodies.add([body("2", answers=[]), body("3", request_id="other")])
    await bodies.add([])
    assert (body("2"), first) == await bodies.find("r")
    assert (body("2"),) == await bodies.find("r", limit=1)
    assert (first,) == await bodies.find("1")
    assert () == await bodies.find("none\0")


async def test_old_bodies_are_forgotten_a_few_at_a_time(any_store):
    """What arrived before the instant goes, so many at a time, and the rest stays."""
    bodies = any_store.bodies
    await bodies.add([body(str(n), at=NOON + timedelta(seconds=n)) for n in range(6)])
    later = NOON + timedelta(seconds=5)
    assert [3, 2, 0] == [await bodies.forget(later, 3) for _ in range(3)]
    assert ["5"] == [one.id for one in await bodies.find("r")]
