"""Asynchronous tasks and resumable streams of a client on a gateway in this process."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from fengchao import FengChao, FengChaoAsync, ResultNotReadyError
from fengchao_core import (
    Delta,
    Gateway,
    MemoryStore,
    Provider,
    ProviderSettings,
    ProviderSpec,
    Settings,
    Usage,
)
from fengchao_core import ModelCard as CoreCard


class Counter(Provider):
    """A local engine that counts to three; before the second it waits until it may."""

    def __init__(self):
        self.asked = 0
        self.may = asyncio.Event()

    async def stream(self, request):
        """Answer."""
        self.asked += 1
        yield [Delta("一")]
        await self.may.wait()
        yield [Delta("二"), Delta("三")]
        yield [Delta(finish_reason="stop", usage=Usage(1, 3))]


def opened(provider, store=None):
    """A gateway over the engine alone."""

    @asynccontextmanager
    async def open_counter(_settings, _context):
        yield provider

    cards = (CoreCard(id="counter", owned_by="Test", is_local=True),)
    kind = ProviderSpec("counter", "计数", ProviderSettings, lambda: cards, open_counter)
    settings = Settings.model_validate({"providers": {"counter": {}}, "store": {"url": "memory:"}})
    return Gateway.open(settings, store=store, providers=[kind])


def text_of(response):
    """The text of an answer or an event."""
    return response.data.choices[0].message.content


async def test_submit_wait_and_ask_again():
    """A task is submitted, not ready, ready, and can be asked for again; its usage is booked once."""
    provider = Counter()
    async with opened(provider) as gateway:
        client = FengChaoAsync(gateway=gateway)
        submitted = await client.chat("counter", query="数", mode="async")
        assert (200, 32) == (submitted.status, len(submitted.data))
        early = await client.chat("counter", mode="async_result", task_id=submitted.data)
        assert (6602, "异步结果未生成") == (early.status, early.msg)
        assert 6602 == (await client.wait_for(submitted.data, timeout=0.02, interval=0.01)).status
        provider.may.set()
        answer = await client.wait_for(submitted.data, interval=0.01)
        assert "一二三" == text_of(answer)
        again = await client.chat("", mode="async_result", task_id=submitted.data)
        assert answer == again
        await gateway.flush()
        assert ["ok"] == [row.outcome for row in await gateway.store.usage.rows()]


async def test_errors_can_be_raised():
    """With errors="raise" a task that runs is a ResultNotReadyError."""
    async with opened(Counter()) as gateway:
        client = FengChaoAsync(gateway=gateway, errors="raise")
        submitted = await client.chat("counter", query="数", mode="async")
        with pytest.raises(ResultNotReadyError):
            await client.wait_for(submitted.data, timeout=0, interval=0.01)


async def test_list_and_cancel():
    """Tasks are listed, newest first, and one is cancelled."""
    async with opened(Counter()) as gateway:
        client = FengChaoAsync(gateway=gateway)
        first = (await client.chat("counter", query="数", mode="async")).data
        second = (await client.chat("counter", query="数", mode="async", request_id="r")).data
        listed = (await client.tasks()).data.data
        assert [second, first] == [task.id for task in listed]
        assert "r" == listed[0].request_id
        assert [second] == [t.id for t in (await client.tasks(limit=1)).data.data]
        assert "cancelled" == (await client.cancel_task(first)).data.state
        assert (400, "访问异常：任务已取消") == (
            (said := await client.wait_for(first, interval=0.01)).status,
            said.msg,
        )
        assert 445 == (await client.cancel_task("0" * 32)).status


async def test_resumable_stream():
    """A resumable stream that is left early goes on, is read again from any event, and is whole as a result."""
    provider = Counter()
    async with opened(provider) as gateway:
        client = FengChaoAsync(gateway=gateway)
        stream = await client.chat("counter", query="数", mode="stream", resumable=True)
        assert "一" == text_of(await anext(stream))
        await stream.aclose()
        provider.may.set()
        rest = [event async for event in client.attach(stream.task_id, start=1)]
        assert ("二三", [1, 2, 3]) == (
            "".join(map(text_of, rest)),
            [event.data.choices[0].index for event in rest],
        )
        assert "一二三" == text_of(await client.wait_for(stream.task_id, interval=0.01))
        assert 1 == provider.asked
        (unknown,) = [event async for event in client.attach("0" * 32)]
        assert 445 == unknown.status
        (wrong,) = [event async for event in client.attach(stream.task_id, start=-1)]
        assert 445 == wrong.status


async def test_tasks_outlive_the_gateway():
    """A task that had not ended when the gateway was closed is run by the next one on the same store."""
    store, provider = MemoryStore(), Counter()
    async with opened(provider, store) as gateway:
        client = FengChaoAsync(gateway=gateway)
        id_ = (await client.chat("counter", query="数", mode="async")).data
        async with asyncio.timeout(5):
            while not provider.asked:
                await asyncio.sleep(0.01)
    assert "queued" == (await store.jobs.get(id_)).state
    provider.may.set()
    async with opened(provider, store) as gateway:
        client = FengChaoAsync(gateway=gateway)
        assert "一二三" == text_of(await client.wait_for(id_, interval=0.01))


def test_sync_client():
    """The sync client submits, waits, lists, cancels and attaches; the work goes on in its own thread."""
    provider = Counter()

    def gateway():
        provider.may = asyncio.Event()
        provider.may.set()
        return opened(provider)

    with FengChao(gateway=gateway) as client:
        id_ = client.chat("counter", query="数", mode="async").data
        assert "一二三" == text_of(client.wait_for(id_, interval=0.01))
        stream = client.chat("counter", query="数", mode="stream", resumable=True)
        with stream:
            assert "一" == text_of(next(stream))
        assert "二三" == "".join(map(text_of, client.attach(stream.task_id, start=1)))
        assert [("stream", "done"), ("chat", "done")] == [
            (task.kind, task.state) for task in client.tasks().data.data
        ]
        assert "done" == client.cancel_task(id_).data.state
