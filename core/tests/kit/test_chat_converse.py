"""One chat over HTTP, from request to deltas."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from fengchao_core.errors import (
    InvalidParameter,
    ProviderProtocolError,
    ProviderUnavailable,
    RateLimited,
)
from fengchao_core.kit.auth import StaticAuth
from fengchao_core.kit.errors import classify_by
from fengchao_core.kit.http import Sessions, VendorHttp
from fengchao_core.kit.openai_chat import CHAT_COMPLETIONS, Dialect, converse
from fengchao_core.provider import Limits, ProviderContext, ProviderSettings
from fengchao_core.testing import (
    Answer,
    Do,
    FakeClock,
    ScriptedVendor,
    chat_body,
    chat_frames,
    json_answer,
    sse_answer,
)
from fengchao_core.types import ChatParams, ChatRequest, Delta, ImagePart, Message, Usage

USAGE = Usage(9, 4)
STREAMED = ChatRequest(model="m", messages=(Message("user", "hi"),), stream=True)
KEY = "a-secret-key"


@asynccontextmanager
async def opened(*answers: Answer) -> AsyncIterator[tuple[ScriptedVendor, VendorHttp]]:
    """A vendor with these answers, and a transport to it."""
    async with ScriptedVendor() as vendor, Sessions() as sessions:
        vendor.answers(*answers)
        context = ProviderContext("acme", FakeClock(), Limits(), sessions)
        yield (
            vendor,
            VendorHttp(
                context,
                ProviderSettings(base_url=vendor.base_url),
                StaticAuth({"Authorization": KEY}),
                classify_by({"fast": RateLimited}),
            ),
        )


async def asked(
    http: VendorHttp, request: ChatRequest = STREAMED, dialect: Dialect = CHAT_COMPLETIONS
) -> list[list[Delta]]:
    """The batches of one answer."""
    async with aclosing(converse(http, "/chat", request, dialect)) as batches:
        return [list(batch) async for batch in batches]


def text_of(batches: list[list[Delta]]) -> str:
    """The text alone."""
    return "".join(delta.text for batch in batches for delta in batch)


async def test_events_that_arrive_together_are_one_batch() -> None:
    """A burst of events crosses the pipeline in one step."""
    frames = chat_frames("你好，世界", USAGE)
    async with opened(sse_answer(b"".join(frames))) as (_, http):
        batches = await asked(http)
    assert 1 == len(batches)
    assert "你好，世界" == text_of(batches)
    assert USAGE == batches[-1][-1].usage


async def test_events_are_passed_on_as_they_come() -> None:
    """A delta does not wait for the next one."""
    frames = chat_frames("你好，世界", USAGE)
    go_on = asyncio.Event()
    async with (
        opened(sse_answer(*frames[:2], go_on, *frames[2:])) as (_, http),
        aclosing(converse(http, "/chat", STREAMED, CHAT_COMPLETIONS)) as batches,
    ):
        assert "你好" == (await anext(batches))[0].text
        go_on.set()
        assert "，世界" == text_of([list(batch) async for batch in batches])


async def test_an_answer_that_is_not_streamed_is_one_batch() -> None:
    """The body is asked for and decoded in one piece."""
    async with opened(json_answer(chat_body("好", USAGE))) as (vendor, http):
        batches = await asked(http, replace(STREAMED, stream=False))
    assert 1 == len(batches)
    assert "好" == text_of(batches)
    assert "stream" not in vendor.requests[0].json()


@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream", "text/plain"])
async def test_a_whole_answer_in_place_of_a_stream_is_understood(content_type: str) -> None:
    """Some vendors answer in one piece what they were asked to stream, and say what they like about its type."""
    headers = {"Content-Type": content_type}
    async with opened(Answer((b"\n", chat_body("好", USAGE)), headers=headers)) as (_, http):
        assert "好" == text_of(await asked(http))
    error = b'{"error": {"message": "m", "code": "fast"}}'
    async with opened(Answer((error[:9], error[9:]), headers=headers)) as (_, http):
        with pytest.raises(RateLimited):
            await asked(http)


async def test_a_cut_after_the_last_word_does_no_harm() -> None:
    """Once every choice has ended, a connection that breaks before `[DONE]` is no error."""
    frames = chat_frames("你好", USAGE)
    done_at = next(i for i, frame in enumerate(frames) if b'"stop"' in frame)
    async with opened(sse_answer(*frames[: done_at + 1], Do.CUT)) as (_, http):
        batches = await asked(http)
    assert "你好" == text_of(batches)
    assert "stop" == batches[-1][-1].finish_reason


async def test_a_cut_within_the_answer_is_an_error() -> None:
    """What came before is passed on; that the rest is missing is said, however the connection ended."""
    frames = chat_frames("你好，世界", USAGE)
    for last, kind in ((Do.CUT, ProviderUnavailable), (b"", ProviderProtocolError)):
        async with (
            opened(sse_answer(b"".join(frames[:3]), last)) as (_, http),
            aclosing(converse(http, "/chat", STREAMED, CHAT_COMPLETIONS)) as batches,
        ):
            assert "你好，世" == text_of([list(await anext(batches))])
            with pytest.raises(kind):
                await anext(batches)


async def test_text_that_came_with_an_error_is_passed_on_first() -> None:
    """Text and error of the same read: first the one, then the other, without waiting for more."""
    frames = chat_frames("你好，世界", USAGE)
    error = b'data: {"error": {"message": "no ' + KEY.encode() + b'", "code": "fast"}}\n\n'
    async with (
        opened(sse_answer(b"".join([*frames[:2], error]), Do.HANG)) as (vendor, http),
        aclosing(converse(http, "/chat", STREAMED, CHAT_COMPLETIONS)) as batches,
    ):
        assert [Delta("你好")] == list(await anext(batches))
        with pytest.raises(RateLimited) as caught:
            await anext(batches)
        async with asyncio.timeout(1):
            await vendor.requests[0].closed_by_client.wait()
    assert ("acme", "no ***") == (caught.value.provider, caught.value.vendor_message)


async def test_a_vendor_that_holds_the_line_after_the_end_is_hung_up_on() -> None:
    """After `[DONE]` the answer is over, whether or not the vendor closes."""
    frames = chat_frames("你好", USAGE)
    async with opened(sse_answer(*frames, Do.HANG)) as (vendor, http):
        async with asyncio.timeout(5):
            assert "你好" == text_of(await asked(http))
        async with asyncio.timeout(1):
            await vendor.requests[0].closed_by_client.wait()


async def test_a_request_that_the_dialect_cannot_carry_is_refused_before_it_is_sent() -> None:
    """Not a byte goes out for a feature that the vendor lacks."""
    request = replace(STREAMED, messages=(Message("user", (ImagePart("https://x"),)),))
    async with opened(json_answer({})) as (vendor, http):
        with pytest.raises(InvalidParameter):
            await asked(http, request, replace(CHAT_COMPLETIONS, parts={}))
        assert [] == vendor.requests


async def test_notes_reach_the_caller() -> None:
    """What was adapted travels with the first delta."""
    request = replace(STREAMED, params=ChatParams(top_k=3))
    async with opened(sse_answer(*chat_frames("你好", USAGE))) as (_, http):
        batches: Any = await asked(http, request)
    assert ["top_k was left out: this provider has no such parameter"] == batches[0][0].extra[
        "notes"
    ]
