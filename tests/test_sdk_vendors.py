"""What vendors see of the SDK: calls side by side, and connections closed with their streams; over HTTP and embedded."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from fengchao import FengChao, FengChaoAsync
from fengchao_core import Gateway, MemoryStore, Settings
from fengchao_core.testing import (
    Answer,
    ScriptedVendor,
    chat_body,
    chat_frames,
    json_answer,
    sse_answer,
)
from fengchao_core.types import Usage
from fengchao_server.listening import bind
from fengchao_server.serving import serving

MODEL = "slow"
CALLS = 100
BEGINNING = chat_frames("前半后半", Usage(3, 4))[:2]


@pytest.fixture
async def vendor():
    """A vendor that does what a test tells it."""
    async with ScriptedVendor() as server:
        yield server


@pytest.fixture
def settings(vendor):
    """The settings of a gateway before the vendor."""
    provider = {"kind": "openai", "base_url": f"{vendor.base_url}/v1", "models": [MODEL]}
    return Settings.model_validate({"providers": {"it": provider}, "store": {"url": "memory:"}})


@asynccontextmanager
async def async_client(how, settings):
    """An async client, remote or embedded."""
    async with Gateway.open(settings, store=MemoryStore()) as gateway:
        if how == "embedded":
            async with FengChaoAsync(gateway=gateway) as client:
                yield client
        else:
            async with (
                serving(settings, bind("127.0.0.1", 0), gateway=gateway) as served,
                FengChaoAsync(**await keys_of(served)) as client,
            ):
                yield client


@asynccontextmanager
async def sync_client(how, settings):
    """A sync client, remote or with a gateway in its own thread."""
    if how == "embedded":
        client = FengChao(gateway=lambda: Gateway.open(settings, store=MemoryStore()))
        yield client
        await asyncio.to_thread(client.close)
    else:
        async with (
            Gateway.open(settings, store=MemoryStore()) as gateway,
            serving(settings, bind("127.0.0.1", 0), gateway=gateway) as served,
        ):
            client = FengChao(**await keys_of(served))
            yield client
            await asyncio.to_thread(client.close)


async def keys_of(served):
    """What a client of a running server is made with."""
    key = await served.keyring.create("sdk")
    return {"api_key": key.api_key, "secret_key": key.secret_key, "base_url": served.url}


@pytest.mark.parametrize("how", ["remote", "embedded"])
async def test_a_hundred_calls_are_at_the_vendor_at_once(how, vendor, settings):
    """The vendor answers the first of a hundred calls only when it has the last: together they take as long as one."""
    all_there = asyncio.Event()
    body = json_answer(chat_body("好", Usage(3, 4)))
    vendor.answers(Answer((all_there, *body.steps), body.status, body.headers))
    async with async_client(how, settings) as client, asyncio.timeout(60):
        calls = asyncio.gather(*(client.chat(MODEL, query=str(n)) for n in range(CALLS)))
        await vendor.request(CALLS)
        all_there.set()
        answers = await calls
    assert ["好"] * CALLS == [a.unwrap().choices[0].message.content for a in answers]
    assert CALLS == len(vendor.requests_to())


@pytest.mark.parametrize("how", ["remote", "embedded"])
async def test_leaving_an_async_stream_closes_the_vendors_connection(how, vendor, settings):
    """The end of an `async with` block is the end of the vendor's connection, though the answer was not whole."""
    vendor.answers(hanging())
    async with async_client(how, settings) as client, asyncio.timeout(10):
        async with await client.chat(MODEL, query="q", mode="stream") as stream:
            assert 200 == (await anext(stream)).status
            received = await vendor.request()
            assert not received.closed_by_client.is_set()
        await received.closed_by_client.wait()


@pytest.mark.parametrize("how", ["remote", "embedded"])
@pytest.mark.parametrize("leaving", ["with", "break", "close"])
async def test_leaving_a_sync_stream_closes_the_vendors_connection(how, leaving, vendor, settings):
    """So is the end of a `with` block, of a loop that is left early, and `close()`."""

    def leave(client):
        if leaving == "with":
            with client.chat(MODEL, query="q", mode="stream") as stream:
                return next(stream).status
        if leaving == "break":
            for event in client.chat(MODEL, query="q", mode="stream"):
                return event.status
        stream = client.chat(MODEL, query="q", mode="stream")
        first = next(stream).status
        stream.close()
        return first

    vendor.answers(hanging())
    async with sync_client(how, settings) as client, asyncio.timeout(10):
        assert 200 == await asyncio.to_thread(leave, client)
        await (await vendor.request()).closed_by_client.wait()


def hanging():
    """An answer that begins, and goes on no further."""
    return sse_answer(*BEGINNING, asyncio.Event())
