"""What was sent and shown is kept where somebody asked for it, within bounds, for a while, and nowhere else."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from core.tests.test_endings import Scripted
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from fengchao_core import (
    ChatCall,
    Delta,
    Gateway,
    MemoryStore,
    Message,
    ModelCard,
    ProviderSettings,
    ProviderSpec,
    Settings,
    Usage,
)
from fengchao_core.errors import ProviderUnavailable, SensitiveContent
from fengchao_core.ledger.bodies import Bodies
from fengchao_core.pipeline.recording import Shown, Texts, conversation
from fengchao_core.settings import LedgerSettings
from fengchao_core.store import BodyRecord
from fengchao_core.types import ImagePart, TextPart, ToolCallFragment

WHOLE = ([Delta("你好"), Delta("，世界")], [Delta(finish_reason="stop", usage=Usage(3, 4))])
SECRET = "蜜蜂有六百只"


@asynccontextmanager
async def opened(provider, store=None, home=None, **ledger):
    """A gateway over a scripted provider that keeps bodies."""

    @asynccontextmanager
    async def open_it(_settings, _context):
        yield provider

    cards = (ModelCard(id="m", owned_by="v", capabilities=frozenset({"vision"})),)
    spec = ProviderSpec("v", "v", ProviderSettings, lambda: cards, open_it)
    settings = Settings.model_validate(
        {
            "providers": {"v": {}},
            "store": {"url": "memory:" if home is None else "sqlite:///kept.db"},
            "retry": {"attempts": 1},
            "ledger": {"interval_s": 0, "keep_bodies": True, **ledger},
            **({"home": home} if home is not None else {}),
        }
    )
    async with Gateway.open(settings, store=store, providers=[spec]) as gateway:
        yield gateway


async def body_of(gateway, which):
    """The one body of an id."""
    await gateway.flush()
    (body,) = await gateway.store.bodies.find(which)
    return body


async def test_words_are_kept_with_their_row():
    """The conversation and the answer are kept under the id of the usage row, and found by the caller's request id too."""
    async with opened(Scripted(WHOLE)) as gateway:
        call = ChatCall(
            model="m", system="你是助手", history=(Message("user", "一"), Message("assistant", "二")),
            query="三", request_id="r-1",
        )  # fmt: skip
        await gateway.chat(call)
        await gateway.flush()
        (row,) = await gateway.store.usage.rows()
        body = await body_of(gateway, row.id)
        assert body == await body_of(gateway, "r-1")
    turns = [(one["role"], one["content"]) for one in body.messages]
    assert [("user", "一"), ("assistant", "二")] == turns[-3:-1]
    assert "三" in turns[-1][1]
    assert [{"index": 0, "content": "你好，世界"}] == body.answers
    assert (row.id, row.started_at, False) == (body.id, body.at, body.is_cut)


async def test_nothing_is_kept_unasked():
    """With the setting off nothing is gathered, and nothing is kept."""
    async with opened(Scripted(WHOLE), keep_bodies=False) as gateway:
        await gateway.chat(ChatCall(model="m", query="三", request_id="r-1"))
        await gateway.flush()
        assert () == await gateway.store.bodies.find("r-1")
    assert LedgerSettings().keep_bodies is False


async def test_what_was_screened_is_kept_as_it_was_sent_and_shown(tmp_path):
    """A word that was replaced on its way is not in the body either; an answer that was stopped is kept up to there."""
    words = tmp_path / "words.txt"
    words.write_text("蜜蜂", "utf-8")
    store = MemoryStore()
    provider = Scripted(([Delta("蜜"), Delta("蜂嗡嗡", finish_reason="stop")],), WHOLE)

    @asynccontextmanager
    async def open_it(_settings, _context):
        yield provider

    cards = (ModelCard(id="m", owned_by="v"),)
    spec = ProviderSpec("v", "v", ProviderSettings, lambda: cards, open_it)
    tree = {
        "providers": {"v": {}}, "store": {"url": "memory:"}, "ledger": {"keep_bodies": True, "interval_s": 0},
        "sensitive": {"wordlists": [str(words)]},
    }  # fmt: skip
    async with Gateway.open(
        Settings.model_validate(tree), store=store, providers=[spec]
    ) as gateway:
        call = ChatCall(model="m", query="蜜蜂呢", sensitive_replace=True, request_id="r-1")
        await gateway.chat(call)
        body = await body_of(gateway, "r-1")
        assert "蜜蜂" not in str(body)
        assert "嗡嗡" in str(body.answers)
        with pytest.raises(SensitiveContent):
            await gateway.chat(ChatCall(model="m", query="蜜蜂呢", request_id="r-2"))
        await gateway.flush()
        assert () == await gateway.store.bodies.find("r-2")


async def test_however_it_ends():
    """A failure keeps what was sent, a caller that hangs up what it was shown."""
    pause = asyncio.Event()
    broken = ([Delta("半")], ProviderUnavailable("gone"))
    async with opened(Scripted(broken, ([Delta("一")], pause))) as gateway:
        with pytest.raises(ProviderUnavailable):
            await gateway.chat(ChatCall(model="m", query="三", request_id="r-1"))
        assert [{"index": 0, "content": "半"}] == (await body_of(gateway, "r-1")).answers
        call = ChatCall(model="m", query="三", request_id="r-2")
        async with aclosing(gateway.stream(call)) as deltas:
            await anext(deltas)
        assert [{"index": 0, "content": "一"}] == (await body_of(gateway, "r-2")).answers


async def test_long_words_are_cut():
    """What is longer than the setting allows is cut, says by how much, and the newest of the conversation stays."""
    script = ([Delta("答" * 300)], [Delta(finish_reason="stop", usage=Usage(3, 4))])
    async with opened(Scripted(script), keep_bodies_chars=200) as gateway:
        history = (Message("user", "旧" * 500), Message("assistant", "旧"))
        await gateway.chat(ChatCall(model="m", history=history, query="新" * 150, request_id="r-1"))
        body = await body_of(gateway, "r-1")
    assert body.is_cut
    assert "新" * 150 in body.messages[-1]["content"]
    assert "omitted" in body.messages[0]
    assert "答" * 200 + "…（略去 100 字 100 characters cut）" == body.answers[0]["content"]


@given(
    st.lists(st.text(max_size=60), max_size=20),
    st.lists(st.tuples(st.integers(0, 2), st.text(max_size=30), st.text(max_size=30)), max_size=30),
    st.integers(0, 300),
)
def test_a_body_is_within_its_bound(contents, pieces, most):
    """Whatever is said, the texts that are kept are no longer than the bound and a mark each, and UTF-8 takes them."""
    texts, shown = Texts(most), Shown(most)
    kept = conversation([Message("user", content) for content in contents], texts)
    for index, text, reasoning in pieces:
        shown.see([Delta(text, reasoning, index=index)])
    mark_most = 60
    sent = sum(len(turn.get("content", "")) for turn in kept)
    assert most + mark_most >= sent
    answers = shown.answers()
    told = sum(len(text) for answer in answers for name, text in answer.items() if name != "index")
    assert most + 6 * mark_most >= told
    whole = sum(len(text) + len(reasoning) for _, text, reasoning in pieces)
    assert (whole > most) == shown.texts.is_cut
    str(kept + answers).encode()


def test_pictures_and_calls_are_told_by_their_kind():
    """A picture's bytes and address are not kept; a tool call is joined from its pieces."""
    message = Message("user", (TextPart("看"), ImagePart("data:image/png;base64,AAAA")))
    (turn,) = conversation([message], Texts(1000))
    assert [{"type": "text", "text": "看"}, {"type": "image"}] == turn["content"]
    shown = Shown(1000)
    shown.see([Delta(tool_calls=(ToolCallFragment(0, "c-1", "find", '{"a"'),))])
    shown.see([Delta(tool_calls=(ToolCallFragment(0, arguments=": 1}"),))])
    call = {"id": "c-1", "name": "find", "arguments": '{"a": 1}'}
    assert [{"index": 0, "tool_calls": [call]}] == shown.answers()


async def test_words_reach_neither_journal_nor_log(tmp_path):
    """With a journal and a database, the words are in the table alone, and packed there."""
    script = ([Delta(SECRET)], [Delta(finish_reason="stop", usage=Usage(3, 4))])
    with capture_logs() as logs:
        async with opened(Scripted(script), home=tmp_path) as gateway:
            await gateway.chat(ChatCall(model="m", query=f"{SECRET}吗", request_id="r-1"))
            assert SECRET in str(await body_of(gateway, "r-1"))
            files = [path for path in tmp_path.rglob("*") if path.is_file()]
            assert any(path.suffix == ".log" and path.stat().st_size for path in files)
            assert [] == [path for path in files if SECRET.encode() in path.read_bytes()]
    assert SECRET not in str(logs)


def record(number, at=None, text="x"):
    """A body."""
    return BodyRecord(
        id=str(number), request_id="r", at=at or datetime.now(UTC), messages=[{"content": text}],
        answers=[], is_cut=False,
    )  # fmt: skip


@asynccontextmanager
async def keeping(store, **more):
    """Running `Bodies`."""
    bodies = Bodies(store, LedgerSettings(keep_bodies=True, interval_s=0), **more)
    task = asyncio.create_task(bodies.run())
    try:
        yield bodies
    finally:
        await bodies.close()
        await task


class Away:
    """A store that fails a number of times, then keeps."""

    def __init__(self, failures):
        self.kept = MemoryStore().bodies
        self.failures = failures

    async def add(self, records):
        if self.failures:
            self.failures -= 1
            raise OSError("locked")
        await self.kept.add(records)

    async def forget(self, before, most):
        return await self.kept.forget(before, most)


async def test_bodies_wait_while_the_store_is_away():
    """A store that comes back gets every body that fits the memory; of more, the oldest are given up and counted."""
    store = Away(2)
    with capture_logs() as logs:
        async with keeping(store, most_waiting=100) as bodies:
            for number in range(12):
                bodies.take(record(number), 10)
            await bodies.flush()
    assert [str(n) for n in range(2, 12)] == sorted(
        [one.id for one in await store.kept.find("r")], key=int
    )
    assert 2 == sum(line["bodies"] for line in logs if line["event"] == "bodies.dropped")


async def test_a_stop_while_the_store_is_away_ends():
    """A store that stays away does not keep the process."""
    async with keeping(Away(1000)) as bodies:
        bodies.take(record(1), 10)
    assert bodies.are_kept


async def test_old_bodies_are_swept_though_none_are_kept_any_more():
    """With the setting switched off again, what was kept before is deleted in its time."""
    store = MemoryStore().bodies
    now = datetime.now(UTC)
    old = [record(number, now - timedelta(days=7, hours=1)) for number in range(3)]
    await store.add([*old, record("new", now - timedelta(days=6))])
    bodies = Bodies(store, LedgerSettings(), first_sweep_s=0.01)
    task = asyncio.create_task(bodies.run())
    async with asyncio.timeout(5):
        while len(await store.find("r")) > 1:
            await asyncio.sleep(0.01)
    await bodies.close()
    await task
    assert ["new"] == [one.id for one in await store.find("r")]
