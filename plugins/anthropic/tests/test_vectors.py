"""What the official SDK sent and got, in `vectors/anthropic.json`: we send the same, and read the same out of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from fengchao_anthropic import SPEC, catalogue, wire
from fengchao_anthropic.batches import decode_batch
from fengchao_anthropic.decode import Decoder
from fengchao_anthropic.provider import AnthropicProvider
from fengchao_core.errors import ProviderError, ProviderOverloaded, RateLimited, RequestRejected
from fengchao_core.fold import Fold
from fengchao_core.kit.sse import SseParser
from fengchao_core.testing import ScriptedVendor, deltas_of, json_answer, open_provider, sse_answer
from fengchao_core.types import (
    ChatParams,
    ChatRequest,
    Choice,
    Delta,
    ImagePart,
    Message,
    TextPart,
    Tool,
    ToolCall,
    Usage,
)

CASES: dict[str, Any] = {
    case["name"]: case
    for case in orjson.loads((Path(__file__).parent / "vectors" / "anthropic.json").read_bytes())[
        "cases"
    ]
}
TEXT = "你好 mock 🙂"
USAGE = Usage(prompt_tokens=10, completion_tokens=7)
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool(name="get_weather", description="Weather", parameters=CITY)
PIXEL = CASES["image"]["request"]["body"]["messages"][0]["content"][0]["source"]["data"]


def ask(*messages: Message, stream: bool = False, **params: Any) -> ChatRequest:
    """A request as the gateway seals it."""
    return ChatRequest(
        model="claude-test",
        messages=messages,
        params=ChatParams(**{"max_tokens": 64, **params}),
        stream=stream,
    )


SAME: dict[str, ChatRequest] = {
    "basic": ask(Message("user", "Say hello")),
    "system_and_stop": ask(
        Message("system", "Be terse."), Message("user", "hi"), stop=("END",), user="u-1"
    ),
    "stream": ask(Message("user", "Say hello"), stream=True),
    "tools": ask(
        Message("user", "Weather and time in Paris"),
        max_tokens=256,
        tools=(WEATHER, Tool(name="get_time", parameters=CITY)),
        tool_choice="required",
    ),
    "tools_stream": ask(
        Message("user", "Weather in Paris"),
        stream=True,
        max_tokens=256,
        tools=(WEATHER,),
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
    ),
    "tool_result_turn": ask(
        Message("user", "Weather?"),
        Message("assistant", tool_calls=(ToolCall("toolu_a", "get_weather", '{"city":"Paris"}'),)),
        Message("tool", "21C", tool_call_id="toolu_a"),
        tools=(WEATHER,),
    ),
    "image": ask(
        Message("user", (ImagePart(f"data:image/png;base64,{PIXEL}"), TextPart("Describe")))
    ),
    "thinking_enabled": ask(
        Message("user", "2+2?"),
        max_tokens=2048,
        extra={"thinking": {"type": "enabled", "budget_tokens": 1024}},
    ),
    "thinking_stream": ask(
        Message("user", "2+2?"), stream=True, max_tokens=2048, reasoning_effort="low"
    ),
    "error_404": ChatRequest(
        model="no-such", messages=(Message("user", "hi"),), params=ChatParams(max_tokens=8)
    ),
    "error_529_retried": ask(Message("user", "hi"), max_tokens=8),
    "error_429_retry_after": ask(Message("user", "hi"), max_tokens=8),
}
ERRORS = {
    "error_404": RequestRejected,
    "error_529_retried": ProviderOverloaded,
    "error_429_retry_after": RateLimited,
}


def answer_in(case: dict[str, Any]) -> tuple[tuple[Choice, ...], Usage | None, list[Delta]]:
    """What our decoder reads in a case's answer, whole or streamed."""
    response = case["response"]
    decoder = Decoder(classify=wire.classify)
    if "stream" in response:
        deltas = decoder.decode(SseParser().feed(response["stream"].encode()))
        deltas += decoder.close()
    else:
        deltas = decoder.whole(orjson.dumps(response["body"]))
    fold = Fold()
    fold.feed(deltas)
    usage = next((delta.usage for delta in reversed(deltas) if delta.usage), None)
    return fold.choices(), usage, deltas


@pytest.mark.parametrize("name", sorted(SAME))
async def test_the_request_is_the_sdks(name: str) -> None:
    """For the same question we send the path, the key and version headers, and the body that the official SDK sends."""
    recorded = CASES[name]["request"]
    async with ScriptedVendor() as vendor:
        response = CASES[name]["response"]
        if "stream" in response:
            vendor.answers(sse_answer(response["stream"]))
        else:
            headers = {"retry-after": "1"} if response["status"] == 429 else {}
            vendor.answers(
                json_answer(response["body"], status=response["status"], headers=headers)
            )
        settings = {"base_url": vendor.base_url, "api_key": "sk-ant-test"}
        async with open_provider(SPEC, settings) as provider:
            if name in ERRORS:
                with pytest.raises(ProviderError) as caught:
                    await deltas_of(provider, SAME[name])
                assert ERRORS[name] is type(caught.value)
                assert response["body"]["request_id"] == caught.value.vendor_request_id
                assert response["body"]["error"]["type"] == caught.value.vendor_code
            else:
                await deltas_of(provider, SAME[name])
        sent = await vendor.request(1)
    assert (recorded["method"], recorded["path"]) == (sent.method, sent.target)
    assert recorded["body"] == sent.json()
    for header in ("authorization", "anthropic-version", "content-type", "accept"):
        assert recorded["headers"][header] == sent.headers[header], header


def test_every_vector_is_looked_at() -> None:
    """No recorded exchange is left out."""
    assert set(CASES) == {*SAME, "count_tokens", "models_list", "batches_create"}


@pytest.mark.parametrize("name", [n for n in sorted(SAME) if n not in ERRORS and "tools" not in n])
def test_the_text_is_what_the_sdk_saw(name: str) -> None:
    """Text, finish reason and usage of whole and streamed answers."""
    (choice,), usage, _ = answer_in(CASES[name])
    assert TEXT == choice.message.content
    assert "stop" == choice.finish_reason
    assert USAGE == usage


def test_a_stop_text_is_told() -> None:
    """Which text ended an answer is passed on beside it."""
    *_, deltas = answer_in(CASES["system_and_stop"])
    assert {"stop_reason": "stop_sequence", "stop_sequence": "END"} == deltas[-1].extra


@pytest.mark.parametrize(
    ("name", "calls"),
    [
        (
            "tools",
            (
                ToolCall("toolu_0", "get_weather", '{"city":"text"}'),
                ToolCall("toolu_1", "get_time", '{"city":"text"}'),
            ),
        ),
        ("tools_stream", (ToolCall("toolu_0", "get_weather", '{"city": "text"}'),)),
    ],
)
def test_the_calls_are_what_the_sdk_saw(name: str, calls: tuple[ToolCall, ...]) -> None:
    """Parallel calls of a whole answer, and one that comes in pieces, the first of them empty."""
    (choice,), _, _ = answer_in(CASES[name])
    assert calls == choice.message.tool_calls
    assert "tool_calls" == choice.finish_reason


@pytest.mark.parametrize("name", ["thinking_enabled", "thinking_stream"])
def test_thinking_comes_with_its_signature(name: str) -> None:
    """Thinking is the reasoning; its signature travels beside it, for the next turn."""
    (choice,), _, deltas = answer_in(CASES[name])
    fold = Fold()
    fold.feed(deltas)
    assert "Let me think" == choice.message.reasoning
    assert {
        "thinking_blocks": [{"type": "thinking", "chars": 12, "signature": "c2ln"}]
    } == fold.extra


async def test_the_rest_of_the_api_is_the_sdks() -> None:
    """Counts, the list of models and batches are asked for and read as the SDK does."""
    by_path = {
        "/v1/messages/count_tokens": "count_tokens",
        "/v1/models": "models_list",
        "/v1/messages/batches": "batches_create",
    }
    async with ScriptedVendor() as vendor:
        for path, name in by_path.items():
            vendor.answers(json_answer(CASES[name]["response"]["body"]), path=path)
        settings = {"base_url": vendor.base_url, "api_key": "sk-ant-test"}
        async with open_provider(SPEC, settings) as provider:
            assert isinstance(provider, AnthropicProvider)
            request = ask(Message("system", "Be terse."), Message("user", "hello"))
            assert 24 == await provider.count_tokens(request)
            assert ("mock-model",) == await provider.list_models()
            batch = await provider.create_batch({"r1": SAME["error_529_retried"]})
        sent = {each.path: each for each in vendor.requests}
    for path, name in by_path.items():
        recorded = CASES[name]["request"]
        assert (recorded["method"], "2026-10-21") == (
            sent[path].method,
            sent[path].headers["anthropic-version"],
        )
        if recorded["body"] is not None:
            assert recorded["body"] == sent[path].json()
    assert ("msgbatch_1", "in_progress", 1) == (batch.id, batch.status, batch.processing)
    assert batch == decode_batch(
        orjson.dumps(CASES["batches_create"]["response"]["body"]), wire.classify
    )
    assert 24 == catalogue.decode_count(b'{"input_tokens": 24}', wire.classify)
