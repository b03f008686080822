"""The stand-in for Anthropic: what it verifies, and the provider against it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
import orjson
import pytest

from fengchao_anthropic import SANDBOX, SPEC
from fengchao_anthropic.provider import AnthropicProvider
from fengchao_anthropic.sandbox import API_KEY, build, settings_for
from fengchao_core.errors import (
    ContextTooLong,
    ProviderAuthFailed,
    ProviderError,
    ProviderOverloaded,
    ProviderProtocolError,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
)
from fengchao_core.fold import Fold
from fengchao_core.kit.sandbox import SERVED_PATH
from fengchao_core.provider import CountsTokens, KeepsFiles, ListsModels, Provider
from fengchao_core.testing import answer_of, deltas_of, open_provider, open_sandboxed, run_app
from fengchao_core.types import (
    ChatParams,
    ChatRequest,
    Choice,
    FilePart,
    ImagePart,
    Message,
    ResponseFormat,
    TextPart,
    Tool,
)

MODELS = ("claude-3-opus-20240229", "claude-3-sonnet-20240229")
NEWEST, OLDER = "2026-10-21", "2023-06-01"
HI = [{"role": "user", "content": "hi"}]
GOOD: dict[str, Any] = {"model": MODELS[0], "max_tokens": 64, "messages": HI}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WEATHER = Tool(
    name="get_weather",
    description="天气",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
)


class House:
    """The sandbox, running, and a plain client."""

    def __init__(self, base_url: str, client: aiohttp.ClientSession) -> None:
        self.base_url = base_url
        self._client = client

    async def ask(
        self, method: str, path: str, body: object = None, **headers: str | None
    ) -> tuple[int, dict[str, Any], str]:
        """Status, body and request id of an answer; headers by their names with `_`, None leaves one out."""
        given = {"x_api_key": API_KEY, "anthropic_version": NEWEST, **headers}
        named = {name.replace("_", "-"): v for name, v in given.items() if v is not None}
        data = body if body is None or isinstance(body, bytes) else orjson.dumps(body)
        async with self._client.request(
            method, self.base_url + path, data=data and io.BytesIO(data), headers=named
        ) as got:
            return got.status, orjson.loads(await got.read()), got.headers["request-id"]

    async def kind(self, body: object, path: str = "/v1/messages", **headers: str | None) -> str:
        """The vendor's type of a refusal, with the words before the first colon; `ok` for an answer."""
        status, answer, request_id = await self.ask("POST", path, body, **headers)
        if answer.get("type") != "error":
            return "ok"
        assert request_id == answer["request_id"]
        assert status >= 400
        return f"{answer['error']['type']} {answer['error']['message'].partition(':')[0]}"

    async def served(self) -> list[dict[str, Any]]:
        """What was served."""
        async with self._client.get(self.base_url + SERVED_PATH) as got:
            rows: list[dict[str, Any]] = orjson.loads(await got.read())["rows"]
            return rows


@asynccontextmanager
async def open_house(**how: Any) -> AsyncIterator[House]:
    """Run the sandbox."""
    async with run_app(build(**how)) as base_url, aiohttp.ClientSession() as client:
        yield House(base_url, client)


# Who asks, and by which generation.


@pytest.mark.parametrize(
    ("expected", "headers"),
    [
        ("ok", {}),
        ("ok", {"x_api_key": None, "Authorization": f"Bearer {API_KEY}"}),
        ("ok", {"anthropic_version": OLDER}),
        ("ok", {"Authorization": "Bearer wrong"}),
        ("authentication_error invalid x-api-key", {"x_api_key": "wrong"}),
        (
            "authentication_error invalid x-api-key",
            {"x_api_key": "wrong", "Authorization": f"Bearer {API_KEY}"},
        ),
        (
            "authentication_error invalid bearer token",
            {"x_api_key": None, "Authorization": "Bearer wrong"},
        ),
        ("authentication_error x-api-key header is required", {"x_api_key": None}),
        (
            "authentication_error x-api-key header is required",
            {"x_api_key": None, "Authorization": "Basic abc"},
        ),
        ("invalid_request_error anthropic-version", {"anthropic_version": None}),
        ("invalid_request_error anthropic-version", {"anthropic_version": "2020-01-01"}),
    ],
)
async def test_keys_and_versions_are_verified(
    expected: str, headers: dict[str, str | None]
) -> None:
    """Either header carries the key, x-api-key counts where both are there, and a known version must be named."""
    async with open_house() as house:
        assert expected == await house.kind(GOOD, **headers)


# What is asked.

TOOL = {"name": "f", "input_schema": {"type": "object"}}
CALL = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "a", "content": "1"}
SONNET, HAIKU, ALWAYS = "claude-sonnet-5-5", "claude-haiku-4-5", "claude-opus-5-5"
ENABLED = {"type": "enabled", "budget_tokens": 1024}
DOCUMENT = {
    "type": "document",
    "source": {"type": "text", "media_type": "text/plain", "data": "x"},
}


def said(*blocks: dict[str, Any], role: str = "user") -> dict[str, Any]:
    """A change of the conversation."""
    return {"messages": [*(HI if role == "assistant" else []), {"role": role, "content": blocks}]}


def image(media_type: str, data: str) -> dict[str, Any]:
    """A picture."""
    return {
        "type": "image",
        "source": {"type": "base64", "media_type": media_type, "data": data},
    }


def marked(count: int) -> dict[str, Any]:
    """A conversation with so many cache marks."""
    mark = {"type": "ephemeral"}
    return said(*({"type": "text", "text": "x", "cache_control": mark} for _ in range(count)))


@pytest.mark.parametrize(
    ("expected", "change"),
    [
        ("ok", {}),
        ("model", {"model": None}),
        ("max_tokens", {"max_tokens": None}),
        ("max_tokens", {"max_tokens": -1}),
        ("max_tokens", {"max_tokens": "9"}),
        ("max_tokens", {"max_tokens": 4097}),
        ("ok", {"max_tokens": 0}),
        ("n", {"n": 2}),
        ("seed", {"seed": 1}),
        ("temperature", {"temperature": 1}),
        ("stream", {"stream": "yes"}),
        ("stop_sequences", {"stop_sequences": "x"}),
        ("stop_sequences", {"stop_sequences": [" "]}),
        ("metadata", {"metadata": {"name": "x"}}),
        ("metadata.user_id", {"metadata": {"user_id": "x" * 300}}),
        ("service_tier", {"service_tier": "gold"}),
        ("speed", {"speed": "slow"}),
        ("system", {"system": 7}),
        ("system.0.type", {"system": [{"type": "image"}]}),
        ("messages", {"system": [{"type": "text", "text": " "}]}),
        ("tools", {"tools": "f"}),
        ("ok", {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "f"}}),
        ("tools", {"tools": [TOOL, TOOL]}),
        ("tools.0", {"tools": [7]}),
        ("tools.0.type", {"tools": [{"type": "web_search"}]}),
        ("ok", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
        ("tools.0.custom.name", {"tools": [{**TOOL, "name": "a b"}]}),
        ("tools.0.custom.input_schema", {"tools": [{"name": "f"}]}),
        ("tools.0.custom.input_schema.type", {"tools": [{"name": "f", "input_schema": {}}]}),
        ("tools.0.custom.parameters", {"tools": [{**TOOL, "parameters": {}}]}),
        ("tool_choice", {"tool_choice": {"type": "auto"}}),
        ("tool_choice.type", {"tools": [TOOL], "tool_choice": "auto"}),
        ("tool_choice.name", {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "g"}}),
        ("tool_choice.auto.name", {"tools": [TOOL], "tool_choice": {"type": "auto", "name": "f"}}),
        ("output_config", {"output_config": {"size": 1}}),
        ("output_config.effort", {"output_config": {"effort": "low"}}),
        ("output_config.effort", {"model": SONNET, "output_config": {"effort": "some"}}),
        ("output_config.format.type", {"model": SONNET, "output_config": {"format": {}}}),
        (
            "output_config.format.schema",
            {"model": SONNET, "output_config": {"format": {"type": "json_schema"}}},
        ),
        (
            "output_config.format",
            {"output_config": {"format": {"type": "json_schema", "schema": {}}}},
        ),
        ("thinking.type", {"thinking": {"type": "hard"}}),
        ("thinking.type", {"thinking": ENABLED}),
        ("thinking.type", {"model": SONNET, "thinking": ENABLED, "max_tokens": 2048}),
        ("thinking.type", {"thinking": {"type": "adaptive"}}),
        ("ok", {"model": SONNET, "thinking": {"type": "disabled"}}),
        ("thinking.type", {"model": ALWAYS, "thinking": {"type": "disabled"}}),
        ("ok", {"model": HAIKU, "thinking": ENABLED, "max_tokens": 2048}),
        ("max_tokens", {"model": HAIKU, "thinking": ENABLED, "max_tokens": 1024}),
        (
            "thinking.enabled.budget_tokens",
            {"model": HAIKU, "thinking": {"type": "enabled", "budget_tokens": 99}},
        ),
        ("thinking.enabled.budget_tokens", {"model": HAIKU, "thinking": {"type": "enabled"}}),
        (
            "thinking",
            {
                "model": SONNET,
                "thinking": {"type": "adaptive"},
                "tools": [TOOL],
                "tool_choice": {"type": "any"},
            },
        ),
        ("messages", {"messages": None}),
        ("messages", {"messages": []}),
        ("messages", {"messages": "hi"}),
        ("messages.0", {"messages": ["hi"]}),
        ("messages.0.role", {"messages": [{"role": "tool", "content": "x"}]}),
        ("messages.0.name", {"messages": [{"role": "user", "content": "x", "name": "n"}]}),
        ("messages.0.content", {"messages": [{"role": "user", "content": 7}]}),
        ("messages.0", {"messages": [{"role": "user", "content": ""}]}),
        ("messages", {"messages": [{"role": "user", "content": " "}]}),
        ("messages", {"messages": [{"role": "assistant", "content": "x"}]}),
        ("ok", {"messages": [*HI, *HI]}),
        ("messages.0.content.0", said({"type": "smell"})),
        ("messages.0.content.0", said(CALL)),
        ("messages.0.content.0.text.text", said({"type": "text"})),
        ("messages", said({"type": "text", "text": ""})),
        ("ok", said(image("image/png", PIXEL))),
        ("messages.0.content.0.image.source.base64.data", said(image("image/gif", PIXEL))),
        ("messages.0.content.0.image.source.base64.data", said(image("image/png", "?"))),
        ("messages.0.content.0.image.source.base64.media_type", said(image("image/bmp", PIXEL))),
        ("messages.0.content.0.image.source.type", said({"type": "image"})),
        (
            "messages.0.content.0.image.source.url",
            said({"type": "image", "source": {"type": "url", "url": "ftp://x"}}),
        ),
        ("ok", said(DOCUMENT)),
        ("messages.1.content.0", said(DOCUMENT, role="assistant")),
        (
            "messages.0.content.0.document.source.type",
            said({"type": "document", "source": {"type": "paper"}}),
        ),
        (
            "messages.0.content.0.citations",
            said({"type": "text", "text": "x", "citations": [{"type": "char_location"}]}),
        ),
        ("ok", marked(4)),
        ("cache_control", marked(5)),
        (
            "messages.0.content.0.cache_control.ttl",
            said({"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "2h"}}),
        ),
        ("messages.1", said(CALL, role="assistant")),
        ("messages.0.content.0", said(RESULT)),
        ("ok", {"messages": [*HI, {"role": "assistant", "content": [CALL]}, *said(RESULT)["messages"]]}),
        (
            "messages.2",
            {
                "messages": [
                    *HI,
                    {"role": "assistant", "content": [CALL]},
                    {"role": "user", "content": [{"type": "text", "text": "x"}, RESULT]},
                ]
            },
        ),
        (
            "each `tool_use` block must have a single `tool_result` block",
            {
                "messages": [
                    *HI,
                    {"role": "assistant", "content": [CALL]},
                    {"role": "user", "content": [RESULT, RESULT]},
                ]
            },
        ),
        (
            "messages.1.content.0",
            said({"type": "thinking", "thinking": "x", "signature": "forged"}, role="assistant"),
        ),
        (
            "messages.1.content.0.type",
            {
                "model": HAIKU,
                "max_tokens": 2048,
                "thinking": ENABLED,
                "messages": [
                    *HI,
                    {"role": "assistant", "content": [CALL]},
                    {"role": "user", "content": [RESULT]},
                ],
            },
        ),
    ],
)  # fmt: skip
async def test_requests_are_verified(expected: str, change: dict[str, Any]) -> None:
    """Fields, ranges, models' abilities, roles, blocks, results and signatures are verified as the vendor does."""
    body = {k: v for k, v in {**GOOD, **change}.items() if v is not None}
    async with open_house() as house:
        wanted = expected if expected == "ok" else f"invalid_request_error {expected}"
        assert wanted == await house.kind(body)


@pytest.mark.parametrize(
    ("expected", "change"),
    [
        ("ok", {"temperature": 0.5, "top_p": 0.5, "top_k": 4}),
        ("temperature", {"temperature": 1.1}),
        ("temperature", {"temperature": "hot"}),
        ("top_p", {"top_p": -0.1}),
        ("top_k", {"top_k": -1}),
        ("ok", {"model": SONNET, "temperature": 1}),
        ("temperature", {"model": SONNET, "temperature": 0.5}),
        (
            "`temperature` and `top_p` cannot both be specified for this model",
            {"model": HAIKU, "temperature": 0.5, "top_p": 0.5},
        ),
        ("ok", said(DOCUMENT, role="assistant")),
    ],
)
async def test_the_older_generation_takes_more(expected: str, change: dict[str, Any]) -> None:
    """Sampling and documents of the assistant are taken by the older generation, within the models' limits."""
    async with open_house() as house:
        wanted = expected if expected == "ok" else f"invalid_request_error {expected}"
        assert wanted == await house.kind({**GOOD, **change}, anthropic_version=OLDER)


async def test_bodies_paths_and_pages_are_verified() -> None:
    """What is not a JSON object, what is nowhere, and pages out of range are refused in the vendor's shape."""
    async with open_house() as house:
        assert "invalid_request_error The request body is not valid JSON." == await house.kind(b"{")
        assert (await house.kind(b"[]")).startswith("invalid_request_error")
        assert "not_found_error Not Found" == await house.kind(GOOD, "/v1/complete")
        assert "not_found_error model" == await house.kind({**GOOD, "model": "claude-nothing"})
        long = {**GOOD, "messages": [{"role": "user", "content": "字。" * 210_000}]}
        assert "invalid_request_error prompt is too long" == await house.kind(long)
        huge = b"x" * (33 * 1024 * 1024)
        assert (await house.kind(huge)).startswith("request_too_large")
        for query, status in (("limit=0", 400), ("limit=2", 200), ("limit=1001", 400)):
            assert status == (await house.ask("GET", f"/v1/models?{query}"))[0]
        _, page, _ = await house.ask("GET", "/v1/models?lifecycle=deprecated")
        assert set(MODELS) == {model["id"] for model in page["data"]}
        _, page, _ = await house.ask("GET", f"/v1/models?before_id={MODELS[1]}")
        assert [MODELS[0]] == [model["id"] for model in page["data"]]
        assert 404 == (await house.ask("GET", "/v1/models/claude-nothing"))[0]
        assert 400 == (await house.ask("POST", "/v1/files", b""))[0]
        count = "/v1/messages/count_tokens"
        assert "invalid_request_error max_tokens" == await house.kind(GOOD, count)
        assert "ok" == await house.kind({"model": MODELS[0], "messages": HI}, count)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        {"requests": []},
        {"requests": [{"custom_id": "a b", "params": {}}]},
        {"requests": [{"custom_id": "a"}]},
        {"requests": [{"custom_id": "a", "params": {}}] * 2},
    ],
)
async def test_batches_are_verified(body: object) -> None:
    """Requests of a batch need names of their own, and what is not known or not ready is refused."""
    path = "/v1/messages/batches"
    async with open_house() as house:
        assert (await house.kind(body, path)).startswith("invalid_request_error requests")
        _, batch, _ = await house.ask(
            "POST", path, {"requests": [{"custom_id": "a", "params": GOOD}]}
        )
        assert 404 == (await house.ask("GET", f"{path}/{batch['id']}/results"))[0]
        assert 400 == (await house.ask("DELETE", f"{path}/{batch['id']}"))[0]
        assert 404 == (await house.ask("GET", f"{path}/nowhere"))[0]
        await house.ask("GET", f"{path}/{batch['id']}")
        assert 400 == (await house.ask("POST", f"{path}/{batch['id']}/cancel"))[0]


# The provider against it.


def ask(text: str, *, stream: bool = True, model: str = MODELS[0], **params: Any) -> ChatRequest:
    """A request of one question."""
    return ChatRequest(
        model=model,
        messages=(Message("user", text),),
        params=ChatParams(**params),
        stream=stream,
    )


def sandboxed(**how: Any) -> Any:
    """The provider against its sandbox."""
    return open_sandboxed(SPEC, SANDBOX, **how)


async def said_with_extra(provider: Provider, request: ChatRequest) -> tuple[Choice, Any]:
    """The one choice of an answer, and the facts beside it."""
    fold = Fold()
    fold.feed(await deltas_of(provider, request))
    (choice,) = fold.choices()
    return choice, fold.extra


@pytest.mark.parametrize("version", ["auto", NEWEST, OLDER])
@pytest.mark.parametrize("model", [*MODELS, "claude-opus-5-5", HAIKU])
async def test_the_provider_chats(version: str, model: str) -> None:
    """Whole and streamed answers are the same, of every kind of model, by either generation."""
    async with open_house() as house:
        settings = {**settings_for(house.base_url), "version": version}
        async with open_provider(SPEC, settings) as provider:
            streamed = await answer_of(provider, ask("介绍一下北京", model=model, temperature=0.5))
            whole = await answer_of(
                provider, ask("介绍一下北京", model=model, stream=False, temperature=0.5)
            )
        assert whole == streamed
        assert "介绍一下北京" in whole[0][0].message.text
        (row,) = await house.served()
        assert (
            "sandbox",
            model,
            2,
            2 * whole[1].prompt_tokens,
            2 * whole[1].completion_tokens,
        ) == (
            row["credential"],
            row["model"],
            row["requests"],
            row["prompt_tokens"],
            row["completion_tokens"],
        )


@pytest.mark.parametrize("auth", ["x-api-key", "bearer"])
async def test_the_key_travels_either_way(auth: str) -> None:
    """The key goes in the header that the setting names."""
    async with open_house() as house:
        settings = {**settings_for(house.base_url), "auth": auth}
        async with open_provider(SPEC, settings) as provider:
            (choice,), _ = await answer_of(provider, ask("你好"))
    assert "stop" == choice.finish_reason


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("model", [MODELS[0], HAIKU, SONNET])
async def test_a_tool_loop_works(stream: bool, model: str) -> None:
    """Parallel calls, their results and the answer, with thinking that goes back signed where the model thinks."""
    async with sandboxed() as provider:
        first = ask(
            "北京和上海的天气 [[tools:parallel]]",
            stream=stream,
            model=model,
            tools=(WEATHER,),
            reasoning_effort="low",
        )
        choice, extra = await said_with_extra(provider, first)
        assert ("tool_calls", 2) == (choice.finish_reason, len(choice.message.tool_calls))
        thinks = model != MODELS[0]
        assert thinks == bool(choice.message.reasoning)
        assert thinks == ("thinking_blocks" in extra)
        answer = Message(
            "assistant",
            choice.message.content,
            reasoning=choice.message.reasoning,
            tool_calls=choice.message.tool_calls,
            extra={"thinking_blocks": extra.get("thinking_blocks", [])},
        )
        results = tuple(
            Message("tool", f"{index} 度", tool_call_id=call.id)
            for index, call in enumerate(choice.message.tool_calls)
        )
        second = ChatRequest(
            model=model,
            messages=(*first.messages, answer, *results),
            params=first.params,
            stream=stream,
        )
        choice, _ = await said_with_extra(provider, second)
        assert "0 度" in choice.message.text
        assert "1 度" in choice.message.text
        assert thinks == bool(choice.message.reasoning)


async def test_hidden_thinking_goes_back_by_its_signature() -> None:
    """Thinking whose text the vendor keeps to itself still leaves its signature, and is taken back."""
    hidden = {"thinking": {"type": "adaptive", "display": "omitted"}}
    async with sandboxed() as provider:
        for stream in (True, False):
            first = ask("你好", model=SONNET, stream=stream, extra=hidden)
            choice, extra = await said_with_extra(provider, first)
            assert choice.message.reasoning is None
            assert [0] == [block["chars"] for block in extra["thinking_blocks"]]
            answer = Message("assistant", choice.message.content, extra=extra)
            again = ChatRequest(
                model=SONNET, messages=(*first.messages, answer, Message("user", "还有吗"))
            )
            assert "stop" == (await answer_of(provider, again))[0][0].finish_reason


@pytest.mark.parametrize("model", [MODELS[0], SONNET])
@pytest.mark.parametrize("stream", [True, False])
async def test_json_answers_are_json(stream: bool, model: str) -> None:
    """A schema is kept to, natively or by the arguments of a function; either way the answer is the text."""
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    }
    form = ResponseFormat("json_schema", schema=schema)
    async with sandboxed() as provider:
        request = ask("北京在哪里", model=model, stream=stream, response_format=form)
        (choice,), _ = await answer_of(provider, request)
    assert ({"city": "北京"}, "stop") == (orjson.loads(choice.message.text), choice.finish_reason)


async def test_pictures_and_documents_are_seen() -> None:
    """A picture that came as data, and a document with its text, reach the model."""
    async with sandboxed() as provider:
        parts = (TextPart("图里有什么"), ImagePart(f"data:image/png;base64,{PIXEL}"))
        request = ChatRequest(model=MODELS[0], messages=(Message("user", parts),))
        assert "PNG" in (await answer_of(provider, request))[0][0].message.text
        file = FilePart(data="data:text/plain,%E6%9D%AD%E5%B7%9E", filename="a.txt")
        request = ChatRequest(model=SONNET, messages=(Message("user", (TextPart("?"), file)),))
        assert "杭州" in (await answer_of(provider, request))[0][0].message.text


async def test_the_prompt_cache_shows_in_the_usage() -> None:
    """A marked system text is written to the cache and then read from it; the prompt's count stays the same."""
    mark = {"cache_control": {"type": "ephemeral"}}
    request = ChatRequest(
        model=SONNET,
        messages=(Message("system", "背景资料。" * 900, extra=mark), Message("user", "你好")),
    )
    async with sandboxed() as provider:
        _, extra = await said_with_extra(provider, request)
        _, first = await answer_of(provider, ask("x"))
        _, second = await answer_of(provider, request)
    assert extra["cache_creation_input_tokens"] == second.cached_tokens > 1024
    assert second.prompt_tokens > second.cached_tokens
    assert 0 == first.cached_tokens


async def test_it_counts_lists_and_keeps() -> None:
    """Tokens are counted as they are charged, every page of models is read, and files come and go."""
    async with sandboxed() as provider:
        assert isinstance(provider, CountsTokens)
        assert isinstance(provider, ListsModels)
        assert isinstance(provider, KeepsFiles)
        request = ask("你好", tools=(WEATHER,), temperature=0.5)
        _, usage = await answer_of(provider, request)
        assert usage.prompt_tokens == await provider.count_tokens(request)
        assert {card.id for card in SPEC.cards()} == set(await provider.list_models())
        file_id = await provider.upload("说明.pdf", b"%PDF-", purpose="chat")
        parts = (FilePart(file_id=file_id), TextPart("讲了什么"))
        used = ChatRequest(model=SONNET, messages=(Message("user", parts),))
        assert "stop" == (await answer_of(provider, used))[0][0].finish_reason
        await provider.delete(file_id)
        with pytest.raises(RequestRejected) as caught:
            await provider.delete(file_id)
    assert "not_found_error" == caught.value.vendor_code


async def test_batches_are_handed_over() -> None:
    """A batch of requests of both generations runs from its beginning to its results; another is given up."""
    schema = ResponseFormat("json_schema", schema=WEATHER.parameters)
    async with sandboxed() as provider:
        assert isinstance(provider, AnthropicProvider)
        batch = await provider.create_batch(
            {
                "plain": ask("你好", model=SONNET),
                "warm": ask("你好", temperature=0.5),
                "json": ask("北京", response_format=schema),
                "late": ask("你好 [[fault:529]]"),
            }
        )
        assert ("in_progress", 4) == (batch.status, batch.processing)
        assert 1 == (await provider.batch(batch.id)).errored
        results = {each.name: each for each in await provider.batch_results(batch.id)}
        assert "你好" in results["plain"].choices[0].message.text
        assert results["warm"].usage.completion_tokens > 0
        assert {"city": "北京"} == orjson.loads(results["json"].choices[0].message.text)
        assert "errored" == results["late"].status
        assert isinstance(results["late"].error, ProviderOverloaded)
        await provider.delete_batch(batch.id)
        other = await provider.create_batch({"a": ask("你好")})
        assert "canceling" == (await provider.cancel_batch(other.id)).status
        assert 1 == (await provider.batch(other.id)).canceled
        assert ["canceled"] == [each.status for each in await provider.batch_results(other.id)]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        ("429 retry_after=2", RateLimited, "rate_limit_error"),
        ("quota", QuotaExhausted, "rate_limit_error"),
        ("500", ProviderUnavailable, "api_error"),
        ("503", ProviderOverloaded, "overloaded_error"),
        ("arrears", QuotaExhausted, "billing_error"),
        ("too_long", RequestRejected, "invalid_request_error"),
        ("expired_token", ProviderAuthFailed, "authentication_error"),
        ("permission_error", ProviderAuthFailed, "permission_error"),
        ("413", ContextTooLong, "request_too_large"),
        ("misspelt", RequestRejected, "invalid_request_error"),
        ("cut after=2", ProviderUnavailable, None),
    ],
)
async def test_faults_become_errors(
    stream: bool, fault: str, kind: type[ProviderError], code: str | None
) -> None:
    """Each fault that a prompt asks for becomes the right error, whole and streamed."""
    async with sandboxed() as provider:
        with pytest.raises(ProviderError) as caught:
            await deltas_of(provider, ask(f"你好 [[fault:{fault}]]", stream=stream))
    assert kind is type(caught.value)
    assert code == caught.value.vendor_code
    if "retry_after" in fault:
        assert 2.0 == caught.value.retry_after
    if code is not None:
        assert (caught.value.vendor_request_id or "").startswith("req_")


@pytest.mark.parametrize("kind", ["overloaded_error", "api_error", "rate_limit_error"])
async def test_errors_in_a_stream_become_errors(kind: str) -> None:
    """An error in the middle of a stream comes after what was said before it, and is told by its type."""
    expected = {
        "overloaded_error": ProviderOverloaded,
        "api_error": ProviderUnavailable,
        "rate_limit_error": RateLimited,
    }
    text = ""
    async with sandboxed() as provider:
        with pytest.raises(ProviderError) as caught:
            async with aclosing(provider.stream(ask(f"你好 [[fault:{kind} after=5]]"))) as batches:
                async for batch in batches:
                    text += "".join(delta.text for delta in batch)
    assert text
    assert expected[kind] is type(caught.value)
    assert (caught.value.vendor_request_id or "").startswith("req_")


@pytest.mark.parametrize("fault", ["half_line", "malformed", "malformed after=3"])
async def test_broken_streams_become_protocol_errors(fault: str) -> None:
    """Half an event, and one that is not JSON, are the vendor's nonsense."""
    async with sandboxed() as provider:
        with pytest.raises(ProviderProtocolError):
            await deltas_of(provider, ask(f"你好 [[fault:{fault}]]"))


@pytest.mark.parametrize("fault", ["content_filter", "refusal"])
async def test_a_refusal_is_told(fault: str) -> None:
    """The vendor's own safety arrives as the finish reason, whole, streamed, and in the middle of a stream."""
    async with sandboxed() as provider:
        for stream in (False, True):
            choice, extra = await said_with_extra(
                provider, ask(f"[[fault:{fault}]]", stream=stream)
            )
            assert ("content_filter", "") == (choice.finish_reason, choice.message.text)
            assert "refusal" == extra["stop_details"]["type"]
        choice, _ = await said_with_extra(provider, ask(f"你好 [[fault:{fault} after=5]]"))
    assert "content_filter" == choice.finish_reason
    assert choice.message.text


async def test_split_characters_arrive_whole() -> None:
    """Characters and lines that are cut by the network come out whole."""
    async with sandboxed() as provider:
        split, _ = await answer_of(provider, ask("你好 [[fault:split_utf8]]"))
        plain, _ = await answer_of(provider, ask("你好"))
    assert plain == split


async def test_stops_and_limits_end_an_answer() -> None:
    """A stop text and the longest answer end one; the stop text itself is told beside it."""
    async with sandboxed() as provider:
        choice, extra = await said_with_extra(provider, ask("你好", stop=("没有", "沙箱")))
        short, _ = await said_with_extra(provider, ask("你好", max_tokens=3))
    assert ("stop", "沙箱") == (choice.finish_reason, extra["stop_sequence"])
    assert "沙箱" not in choice.message.text
    assert "length" == short.finish_reason


async def test_hanging_up_is_noticed() -> None:
    """A caller that leaves a stream early leaves the vendor at once, which counts only what it sent."""
    async with open_house() as house, open_provider(SPEC, settings_for(house.base_url)) as provider:
        stream = provider.stream(ask("你好 [[fault:pace=0.02]]"))
        async with aclosing(stream):
            await anext(stream)
        async with asyncio.timeout(1):
            while (row := (await house.served())[0])["open"]:  # a page tells no event
                await asyncio.sleep(0.005)
        _, usage = await answer_of(provider, ask("你好"))
    assert 1 == row["closed_early"]
    assert row["completion_tokens"] < usage.completion_tokens


def test_the_spec_describes_a_provider() -> None:
    """The product's models are there with prices in dollars; what nobody confirmed says so."""
    cards = {card.id: card for card in SPEC.cards()}
    today = datetime.now(UTC).date()
    assert set(MODELS) <= set(cards)
    opus = cards["claude-opus-5"]
    price = opus.price_on(today)
    assert price is not None
    assert ("0.005", "0.025", "0.0005", "USD", True) == (
        str(price.input),
        str(price.output),
        str(price.cached_input),
        price.currency,
        price.confirmed,
    )
    assert (1_000_000, 128_000) == (opus.max_input_tokens, opus.max_output_tokens)
    assert "reasoning" in opus.capabilities
    for model in MODELS:
        assert cards[model].price_on(today) is not None
        assert 4096 == cards[model].max_output_tokens
    sonnet = cards[MODELS[1]].price_on(today)
    assert sonnet is not None
    assert not sonnet.confirmed
