"""Streamed answers, by both clients."""

import asyncio
import gc

import pytest
from aiohttp import web

from fengchao import AccessError, FengChao, FengChaoAsync, SensitiveContentError


@pytest.fixture
def client(keys):
    """A sync client of the service."""
    with FengChao(**keys) as made:
        yield made


def text_of(events):
    """The text of a stream."""
    return "".join(event.data.choices[0].message.content for event in events)


def test_events_count_from_zero_and_only_the_last_is_complete(client):
    """Each event is a whole answer; finish reason and usage stand in the last one only."""
    events = list(client.chat("glm-4", query="北京", mode="stream"))
    choices = [event.data.choices[0] for event in events]
    assert "你问：北京" == text_of(events)
    assert list(range(6)) == [choice.index for choice in choices]
    assert [None] * 5 + ["stop"] == [choice.finish_reason for choice in choices]
    assert [0] * 5 + [16] == [event.data.usage.total_tokens for event in events]
    assert {200} == {event.status for event in events}


async def test_the_async_stream_is_the_same(keys):
    """`async for` gives the same events."""
    stream = await FengChaoAsync(**keys).chat("glm-4", query="北京", mode="stream")
    assert "你问：北京" == text_of([event async for event in stream])


async def test_async_events_arrive_while_the_answer_goes_on(keys, service):
    """The first event is there before the service has sent the second."""
    service.paced = asyncio.Semaphore(0)
    async with await FengChaoAsync(**keys).chat("glm-4", query="京", mode="stream") as stream:
        assert "你" == (await anext(stream)).data.choices[0].message.content
        for _ in range(3):
            service.permit()
        assert "问：京" == text_of([event async for event in stream])


def test_sync_events_arrive_while_the_answer_goes_on(client, service):
    """The first event is there before the service has sent the second."""
    service.paced = asyncio.Semaphore(0)
    with client.chat("glm-4", query="京", mode="stream") as stream:
        assert "你" == next(stream).data.choices[0].message.content
        for _ in range(3):
            service.permit()
        assert "问：京" == text_of(stream)


def test_nothing_is_sent_before_the_first_event_is_asked_for(client, service):
    """A stream that nobody iterates costs nothing."""
    client.chat("glm-4", query="q", mode="stream").close()
    assert [] == service.requests


def test_leaving_a_sync_loop_closes_the_connection(client, service):
    """`break` hangs up, though nobody called `close()`."""
    service.paced = asyncio.Semaphore(0)
    for _ in client.chat("glm-4", query="京", mode="stream"):
        break
    assert service.hung_up.wait(10)


def test_leaving_a_with_block_closes_the_connection(client, service):
    """The stream is a context manager, and a closed one has no more events."""
    service.paced = asyncio.Semaphore(0)
    with client.chat("glm-4", query="京", mode="stream") as stream:
        next(stream)
    assert service.hung_up.wait(10)
    assert [] == list(stream)


async def test_leaving_an_async_loop_closes_the_connection(keys, service):
    """`break` out of `async for` hangs up, though nobody called `aclose()`."""
    service.paced = asyncio.Semaphore(0)
    async for _ in await FengChaoAsync(**keys).chat("glm-4", query="京", mode="stream"):
        break
    gc.collect()
    assert await asyncio.to_thread(service.hung_up.wait, 10)


async def test_leaving_an_async_with_block_closes_the_connection(keys, service):
    """Leaving `async with` hangs up before it returns."""
    service.paced = asyncio.Semaphore(0)
    async with await FengChaoAsync(**keys).chat("glm-4", query="京", mode="stream") as stream:
        await anext(stream)
    assert await asyncio.to_thread(service.hung_up.wait, 10)


async def test_cancelling_the_consumer_closes_the_connection(keys, service):
    """A task that is cancelled while it waits for an event hangs up."""
    service.paced = asyncio.Semaphore(0)
    first = asyncio.Event()

    async def consume():
        async for _ in await FengChaoAsync(**keys).chat("glm-4", query="京", mode="stream"):
            first.set()

    task = asyncio.create_task(consume())
    await asyncio.wait_for(first.wait(), 10)
    task.cancel()
    assert await asyncio.to_thread(service.hung_up.wait, 10)
    with pytest.raises(asyncio.CancelledError):
        await task


def test_closing_the_client_ends_its_streams(keys, service):
    """A stream of a closed client hangs up."""
    service.paced = asyncio.Semaphore(0)
    client = FengChao(**keys)
    stream = client.chat("glm-4", query="京", mode="stream")
    next(stream)
    client.close()
    assert service.hung_up.wait(10)


def test_a_long_answer_passes_a_slow_consumer_whole(client):
    """Many more events than the queue holds arrive complete and in order."""
    question = "".join(chr(0x4E00 + n) for n in range(1000))
    assert f"你问：{question}" == text_of(client.chat("glm-4", query=question, mode="stream"))


def test_streams_of_one_client_do_not_mix(client):
    """Two streams read in turns keep their own texts."""
    one = client.chat("glm-4", query="甲乙丙", mode="stream")
    two = client.chat("glm-4", query="子丑寅", mode="stream")
    turns = [(next(one), next(two)) for _ in range(6)]
    assert "你问：甲乙丙" == text_of(turn[0] for turn in turns)
    assert "你问：子丑寅" == text_of(turn[1] for turn in turns)


@pytest.mark.parametrize(
    ("model", "query", "status"), [("none", "q", 440), ("glm-4", "敏感", 6601)]
)
def test_a_failure_is_the_only_event(client, model, query, status):
    """Refused by HTTP status or by a body status, the stream is one event that says so."""
    events = list(client.chat(model, query=query, mode="stream"))
    assert [status] == [event.status for event in events]


def test_a_failure_is_raised_where_asked_for(keys):
    """With errors="raise" the iteration raises."""
    with FengChao(**keys, errors="raise") as client, pytest.raises(SensitiveContentError):
        list(client.chat("glm-4", query="敏感", mode="stream"))


async def test_a_failure_is_raised_by_the_async_stream(keys):
    """With errors="raise" the async iteration raises."""
    client = FengChaoAsync(**keys, errors="raise")
    with pytest.raises(SensitiveContentError):
        async for _ in await client.chat("glm-4", query="敏感", mode="stream"):
            pass


async def begun(request, *chunks, end=True):
    """A stream begun by hand."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    for chunk in chunks:
        await response.write(chunk)
    if not end:
        request.transport.abort()
    return response


EVENT = (
    b'data: {"request_id":"r","created":"2026-11-21 10:00:00","model":"m","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"\xe4\xbd\xa0\xe5\xa5\xbd"},"finish_reason":%b}],"usage":{},"msg":"ok",'
    b'"knowledge":[],"status":200,"search":[],"agg":[]}'
)


def test_a_cut_connection_is_the_last_event(client, service):
    """What came before the cut is kept; the last event says that there was one; nothing is asked again."""

    async def cut(request):
        return await begun(request, EVENT % b"null" + b"\n\n", end=False)

    service.faults.append(cut)
    events = list(client.chat("glm-4", query="q", mode="stream"))
    assert [200, 400] == [event.status for event in events]
    assert 1 == len(service.chats())


def test_a_stream_that_ends_without_its_end_is_an_error(keys, service):
    """An answer without a finish reason is not taken for a whole one."""

    async def short(request):
        return await begun(request, EVENT % b"null" + b"\n\n")

    service.faults.append(short)
    with FengChao(**keys, errors="raise") as client, pytest.raises(AccessError, match="中断"):
        list(client.chat("glm-4", query="q", mode="stream"))


def test_every_split_of_the_bytes_gives_the_same_events(client, service):
    """Lines, UTF-8 and CRLF may be cut anywhere."""
    data = b": hi\r\nid: 7\r\n" + EVENT % b'"stop"' + b"\r\n\r\ndata: [DONE]\n"

    for at in range(0, len(data), 7):

        async def split(request, at=at):
            return await begun(request, data[:at], data[at:])

        service.faults.append(split)
        assert "你好" == text_of(client.chat("glm-4", query="q", mode="stream"))
