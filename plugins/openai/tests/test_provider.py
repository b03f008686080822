"""The provider against its emulator: what a caller gets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import aiohttp
import pytest

from fengchao_core.errors import (
    ContentRefused,
    ContextTooLong,
    ProviderAuthFailed,
    ProviderError,
    ProviderOverloaded,
    ProviderProtocolError,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
    SettingsError,
)
from fengchao_core.gateway import Gateway
from fengchao_core.provider import DrawsImages, Embeds, KeepsFiles, ListsModels
from fengchao_core.settings import Settings
from fengchao_core.testing import (
    ScriptedVendor,
    answer_of,
    chat_body,
    deltas_of,
    json_answer,
    open_provider,
)
from fengchao_core.types import (
    ChatCall,
    ChatParams,
    ChatRequest,
    EmbeddingRequest,
    ImagePart,
    ImageRequest,
    Message,
    ResponseFormat,
    TextPart,
    Tool,
    Usage,
)
from fengchao_openai import SANDBOX, SPEC, fengchao_providers, fengchao_sandboxes

WEATHER = Tool(
    name="get_weather",
    description="查询城市的天气",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5"
    "ErkJggg=="
)
CARDS = {card.id: card for card in SPEC.cards()}


@pytest.fixture
async def provider(sandbox: str) -> AsyncIterator[Any]:
    """The provider, opened against the emulator."""
    async with open_provider(SPEC, SANDBOX.settings(sandbox)) as provider:
        yield provider


def ask(
    text: str, *, model: str = "gpt-3.5-turbo", stream: bool = True, **params: Any
) -> ChatRequest:
    """A request of one user message."""
    return ChatRequest(
        model=model,
        messages=(Message("user", text),),
        params=ChatParams(**params),
        stream=stream,
        card=CARDS.get(model),
    )


async def test_streams_and_whole_answers_are_the_same(provider: Any) -> None:
    """Text, finish reason and usage, streamed in many pieces and at once."""
    streamed = await answer_of(provider, ask("介绍一下北京"))
    whole = await answer_of(provider, ask("介绍一下北京", stream=False))
    assert whole == streamed
    assert "北京" in whole[0][0].message.text
    assert whole[1].total_tokens > 0
    assert len(await deltas_of(provider, ask("介绍一下北京"))) > 5


async def test_a_tool_is_called_and_its_result_is_used(provider: Any) -> None:
    """A streamed call, answered, gives an answer that knows the result."""
    request = ask("北京天气如何？", model="gpt-4o", tools=(WEATHER,))
    (choice,), _ = await answer_of(provider, request)
    assert "tool_calls" == choice.finish_reason
    (call,) = choice.message.tool_calls
    follow_up = ChatRequest(
        model="gpt-4o",
        messages=(
            *request.messages,
            choice.message,
            Message("tool", "21 度", tool_call_id=call.id),
        ),
        params=request.params,
        stream=True,
    )
    (choice,), _ = await answer_of(provider, follow_up)
    assert "21 度" in choice.message.text


async def test_every_knob_is_taken_by_the_vendor(provider: Any) -> None:
    """OpenAI knows each parameter that we send, and those we leave out are told."""
    request = ask(
        "say json",
        model="gpt-4o",
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        max_tokens=50,
        stop=("###",),
        n=2,
        seed=7,
        do_sample=True,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        repetition_penalty=1.1,
        logit_bias={"1": 2.0},
        logprobs=True,
        top_logprobs=3,
        tools=(WEATHER,),
        tool_choice="none",
        parallel_tool_calls=False,
        response_format=ResponseFormat("json_object"),
        user="u",
    )
    deltas = await deltas_of(provider, request)
    assert {0, 1} == {delta.index for delta in deltas}
    extra: Any = next(delta.extra for delta in deltas if delta.extra)
    notes: list[str] = extra["notes"]
    assert ["repetition_penalty", "top_k"] == sorted(note.split()[0] for note in notes)


async def test_models_that_reason(provider: Any) -> None:
    """They take the limit under its other name, and their thinking is counted."""
    (choice,), usage = await answer_of(
        provider, ask("2+2?", model="gpt-5", max_tokens=500, reasoning_effort="low")
    )
    assert choice.message.text
    assert usage.reasoning_tokens > 0


async def test_developer_messages_and_pictures(provider: Any) -> None:
    """Both arrive as OpenAI wants them."""
    request = ChatRequest(
        model="gpt-4o",
        messages=(
            Message("developer", "Be terse."),
            Message("user", (TextPart("Describe"), ImagePart(PIXEL, "low"))),
        ),
    )
    (choice,), _ = await answer_of(provider, request)
    assert "PNG" in choice.message.text


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("429 retry_after=2", RateLimited),
        ("500", ProviderUnavailable),
        ("503", ProviderOverloaded),
        ("expired_token", ProviderAuthFailed),
        ("content_filter", ContentRefused),
        ("arrears", QuotaExhausted),
        ("too_long", ContextTooLong),
        ("other", RequestRejected),
        ("500 after=2", ProviderUnavailable),
        ("cut after=2", ProviderUnavailable),
        ("half_line after=2", ProviderProtocolError),
        ("malformed after=2", ProviderProtocolError),
    ],
)
async def test_faults_become_errors(provider: Any, fault: str, kind: type[ProviderError]) -> None:
    """Each thing that goes wrong at the vendor is its own error, with the provider's name."""
    with pytest.raises(ProviderError) as caught:
        await deltas_of(provider, ask(f"hi [[fault:{fault}]]"))
    assert kind is type(caught.value)
    assert "openai" == caught.value.provider
    assert (2.0 if "retry_after" in fault else None) == caught.value.retry_after


async def test_split_characters_are_whole_again(provider: Any) -> None:
    """Reads that cut characters and lines apart change nothing."""
    plain = await answer_of(provider, ask("介绍一下北京"))
    split = await answer_of(provider, ask("介绍一下北京[[fault:split_utf8]]"))
    assert plain[0] == split[0]


async def test_hanging_up_is_seen_by_the_vendor(provider: Any, sandbox: str) -> None:
    """Closing the stream early ends the vendor's work, and what it sent until then is what it counts."""
    async with aclosing(provider.stream(ask("[[length:2000]]你好[[fault:pace=0.02]]"))) as batches:
        await anext(batches)
    async with aiohttp.ClientSession() as session, asyncio.timeout(5):
        while True:
            async with session.get(f"{sandbox}/_sandbox/served") as answer:
                (row,) = (await answer.json())["rows"]
            if row["closed_early"]:
                break
            await asyncio.sleep(0.01)
    assert ("openai", "gpt-3.5-turbo", 0) == (row["credential"], row["model"], row["open"])
    assert row["completion_tokens"] < 500


@pytest.mark.parametrize("encoding", ["float", "base64"])
async def test_embeddings(sandbox: str, encoding: str) -> None:
    """Vectors of one text and of several, of chosen length, in either encoding."""
    settings = {**SANDBOX.settings(sandbox), "embeddings_encoding": encoding}
    async with open_provider(SPEC, settings) as provider:
        assert isinstance(provider, Embeds)
        several = await provider.embed(
            EmbeddingRequest(model="text-embedding-3-small", inputs=("你好", "hello"), dimensions=8)
        )
        one = await provider.embed(
            EmbeddingRequest(model="text-embedding-3-small", inputs=("hello",), dimensions=8)
        )
    assert [8, 8] == [len(vector) for vector in several.vectors]
    assert list(one.vectors[0]) == list(several.vectors[1])
    assert several.usage.prompt_tokens > one.usage.prompt_tokens > 0


async def test_pictures_files_and_models(provider: Any) -> None:
    """A picture is drawn, a file is kept and deleted, the models are listed."""
    assert isinstance(provider, DrawsImages)
    assert isinstance(provider, KeepsFiles)
    assert isinstance(provider, ListsModels)
    drawn = await provider.draw(
        ImageRequest(model="gpt-image-2", prompt="狐狸", n=2, response_format="b64_json")
    )
    assert [True, True] == [bool(image.b64_json) for image in drawn.images]
    assert drawn.usage.completion_tokens > 0
    file_id = await provider.upload("数据.jsonl", b"{}\n", purpose="batch")
    await provider.delete(file_id)
    with pytest.raises(RequestRejected):
        await provider.delete(file_id)
    assert set(CARDS) == set(await provider.list_models())


async def test_organization_and_project_are_sent() -> None:
    """As headers, where the settings name them; no key, no header."""
    async with ScriptedVendor() as vendor:
        vendor.answers(json_answer(chat_body("hi", Usage(1, 1))))
        settings = {"base_url": vendor.base_url, "organization": "org-1", "project": "proj-1"}
        async with open_provider(SPEC, settings) as provider:
            await deltas_of(provider, ask("hi", stream=False))
        headers: Mapping[str, str] = vendor.requests[0].headers
    assert ("org-1", "proj-1") == (headers["OpenAI-Organization"], headers["OpenAI-Project"])
    assert "Authorization" not in headers


async def test_a_key_that_cannot_travel_is_told_at_once() -> None:
    """A line break at the end of a key, as files have it, is a settings error."""
    with pytest.raises(SettingsError, match="line break"):
        async with open_provider(SPEC, {"api_key": "sk-x\n"}):
            pass


async def test_any_compatible_endpoint_by_settings_alone(sandbox: str) -> None:
    """A second section of this kind serves its own models, renamed as it likes, through the whole gateway."""
    settings = Settings(
        providers={
            "my-vllm": {
                "kind": "openai",
                "base_url": f"{sandbox}/v1",
                "api_key": "sk-sandbox-vllm",
                "models": {"in-house": "gpt-4o"},
            }
        }
    )
    async with Gateway.open(settings) as gateway:
        completion = await gateway.chat(
            ChatCall(model="in-house", query="你好", params=ChatParams(max_tokens=50))
        )
    assert ("my-vllm", "in-house") == (completion.provider, completion.model)
    assert completion.text


def test_what_the_plugin_describes() -> None:
    """OpenAI first, then the presets; one emulator, named as the entry point."""
    assert SPEC is next(iter(fengchao_providers()))
    assert (SANDBOX,) == tuple(fengchao_sandboxes())
    assert {"openai"} == {SPEC.name, SANDBOX.name}


def test_cards_tell_where_their_prices_come_from() -> None:
    """Every price has a source; the product's own four models have the product's own prices."""
    assert all(price.source for card in CARDS.values() for price in card.prices)
    for model, price in (
        ("gpt-3.5-turbo", "0.002"),
        ("gpt-3.5-turbo-1106", "0.002"),
        ("gpt-3.5-turbo-16k", "0.004"),
        ("gpt-3.5-turbo-16k-0613", "0.004"),
    ):
        assert [(price, "USD", True)] == [
            (str(p.input), p.currency, p.confirmed) for p in CARDS[model].prices
        ]
    assert {"chat", "embedding", "image"} == {card.kind for card in CARDS.values()}
