"""The provider against its stand-in: what a caller gets."""

from __future__ import annotations

import asyncio
import base64
from contextlib import aclosing
from decimal import Decimal
from typing import Any

import aiohttp
import orjson
import pytest
from structlog.testing import capture_logs

from fengchao_core.errors import (
    ContentRefused,
    InvalidParameter,
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
from fengchao_core.provider import CountsTokens, DrawsImages, Embeds, KeepsFiles, ListsModels
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
    FilePart,
    ImagePart,
    Message,
    ResponseFormat,
    TextPart,
    Tool,
    Usage,
    VideoPart,
)
from fengchao_moonshot import SANDBOX, SPEC, fengchao_providers, fengchao_sandboxes
from fengchao_moonshot.provider import MoonshotProvider
from fengchao_moonshot.search import WEB_SEARCH, search_results

WEATHER = Tool(
    name="get_weather",
    description="查询城市的天气",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
CARDS = {card.id: card for card in SPEC.cards()}
BOTH = pytest.mark.parametrize("model", ["moonshot-v1-8k", "kimi-k2.6"])


def ask(
    *messages: Message | str, model: str = "moonshot-v1-8k", stream: bool = True, **params: Any
) -> ChatRequest:
    """A request; a text is a user message."""
    return ChatRequest(
        model=model,
        messages=tuple(Message("user", m) if isinstance(m, str) else m for m in messages),
        params=ChatParams(**params),
        stream=stream,
        card=CARDS.get(model),
    )


@pytest.mark.parametrize("model", sorted(CARDS))
async def test_streams_and_whole_answers_are_the_same(
    provider: MoonshotProvider, model: str
) -> None:
    """Text, thinking, finish reason and usage, streamed in many pieces and at once, from every model."""
    streamed = await answer_of(provider, ask("介绍一下北京", model=model))
    whole = await answer_of(provider, ask("介绍一下北京", model=model, stream=False))
    assert whole == streamed
    assert "北京" in whole[0][0].message.text
    assert whole[1].completion_tokens > 0
    assert model.startswith("kimi") == bool(whole[0][0].message.reasoning)
    assert len(await deltas_of(provider, ask("介绍一下北京", model=model))) > 5


@BOTH
async def test_a_tool_is_called_and_its_result_is_used(
    provider: MoonshotProvider, model: str
) -> None:
    """Two calls with the vendor's own ids, answered together with the thinking that led to them."""
    request = ask("北京天气如何？[[tools:parallel=2]]", model=model, tools=(WEATHER,))
    (choice,), _ = await answer_of(provider, request)
    assert "tool_calls" == choice.finish_reason
    assert ["get_weather:0", "get_weather:1"] == [call.id for call in choice.message.tool_calls]
    results = [Message("tool", "21 度", tool_call_id=c.id) for c in choice.message.tool_calls]
    follow_up = ask(*request.messages, choice.message, *results, model=model, tools=(WEATHER,))
    (choice,), _ = await answer_of(provider, follow_up)
    assert "21 度" in choice.message.text


@BOTH
async def test_web_search(provider: MoonshotProvider, model: str) -> None:
    """The model searches once its call is waved through."""
    question = "最新的新闻"
    (choice,), _ = await answer_of(provider, ask(question, model=model, tools=(WEB_SEARCH,)))
    results = search_results(choice.message)
    assert 1 == len(results)
    follow_up = ask(question, choice.message, *results, model=model, tools=(WEB_SEARCH,))
    (choice,), _ = await answer_of(provider, follow_up)
    assert "$web_search" in choice.message.text
    spoilt = ask(
        question,
        follow_up.messages[1],
        Message("tool", "{}", tool_call_id=results[0].tool_call_id),
        model=model,
    )
    with pytest.raises(RequestRejected):
        await answer_of(provider, spoilt)


@BOTH
@pytest.mark.parametrize("stream", [True, False])
async def test_partial_mode(provider: MoonshotProvider, model: str, stream: bool) -> None:
    """The answer goes on where its beginning ends, and does not repeat it."""
    begun = Message("assistant", '{"city":', extra={"partial": True})
    request = ask('[[say:{"city": "北京"}]]用 JSON 介绍北京', begun, model=model, stream=stream)
    (choice,), _ = await answer_of(provider, request)
    assert ' "北京"}' == choice.message.text


@BOTH
async def test_json_mode(provider: MoonshotProvider, model: str) -> None:
    """The answer is a JSON object."""
    form = ResponseFormat("json_object")
    (choice,), _ = await answer_of(provider, ask("用 JSON 回答", model=model, response_format=form))
    assert isinstance(orjson.loads(choice.message.text), dict)


@BOTH
async def test_every_knob_is_taken_by_the_vendor(provider: MoonshotProvider, model: str) -> None:
    """The vendor refuses none of what we send for OpenAI's whole range."""
    request = ask(
        "hi",
        model=model,
        temperature=2,
        top_p=1.5,
        top_k=40,
        max_tokens=50,
        stop=("###",) * 7,
        n=2,
        seed=7,
        do_sample=True,
        presence_penalty=3,
        frequency_penalty=-3,
        repetition_penalty=1.1,
        logprobs=True,
        top_logprobs=3,
        tools=(WEATHER,),
        tool_choice="none",
        parallel_tool_calls=False,
        reasoning_effort="none",
        user="u",
    )
    deltas = await deltas_of(provider, request)
    assert {0, 1} == {delta.index for delta in deltas}
    assert any(delta.extra and delta.extra["notes"] for delta in deltas)
    assert not any(delta.reasoning for delta in deltas)


async def test_several_choices_of_a_cold_model(provider: MoonshotProvider) -> None:
    """Three choices at temperature 0, which the vendor would refuse."""
    choices, _ = await answer_of(provider, ask("hi", n=3, temperature=0))
    assert 3 == len(choices)


async def test_pictures_and_films(provider: MoonshotProvider) -> None:
    """A picture within a message, and a picture and a film that were uploaded before."""
    picture = await provider.upload("a.png", PIXEL, purpose="image")
    film = await provider.upload("a.mp4", b"film", purpose="video")
    inline = f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}"
    for part in (ImagePart(inline), ImagePart(f"ms://{picture}")):
        message = Message("user", (TextPart("describe"), part, VideoPart(f"ms://{film}")))
        (choice,), _ = await answer_of(provider, ask(message, model="kimi-k2.6"))
        assert "1x1" in choice.message.text
    with pytest.raises(RequestRejected):
        await answer_of(provider, ask(Message("user", (ImagePart(inline),))))


async def test_files(provider: MoonshotProvider) -> None:
    """A file is taken, shown, listed, read and deleted."""
    assert isinstance(provider, KeepsFiles)
    file_id = await provider.upload("报告.txt", "营收增长三成".encode(), purpose="file-extract")
    shown = await provider.show_file(file_id)
    assert (file_id, "报告.txt", "file-extract", 18, "ok") == (
        shown.id,
        shown.filename,
        shown.purpose,
        shown.size_bytes,
        shown.status,
    )
    assert (shown,) == await provider.list_files()
    extracted = await provider.read_file(file_id)
    assert ("营收增长三成", "报告.txt", "text/plain") == (
        extracted.content,
        extracted.filename,
        extracted.file_type,
    )
    await provider.delete(file_id)
    assert () == await provider.list_files()
    for lost in (provider.delete, provider.show_file, provider.read_file):
        with pytest.raises(RequestRejected):
            await lost(file_id)


async def test_files_in_messages_reach_the_model_as_text(provider: MoonshotProvider) -> None:
    """By id or with their data, they are read and count as tokens of the prompt; what we uploaded is gone again."""
    text = "营收增长三成。" * 50
    file_id = await provider.upload("报告.txt", text.encode())
    data = base64.b64encode(text.encode()).decode()
    _, bare = await answer_of(provider, ask("总结"))
    for part in (FilePart(file_id), FilePart(filename="报告.txt", data=data)):
        message = Message("user", (part, TextPart("总结")))
        for stream in (True, False):
            _, usage = await answer_of(provider, ask(message, stream=stream))
            assert usage.prompt_tokens > bare.prompt_tokens + 100
        assert await provider.count_tokens(ask(message)) == usage.prompt_tokens
    assert [file_id] == [file.id for file in await provider.list_files()]
    with pytest.raises(RequestRejected):
        await answer_of(provider, ask(Message("user", (FilePart("file-none"), TextPart("总结")))))


async def test_how_a_file_in_a_message_travels() -> None:
    """Uploaded for extraction, read, deleted, and its text put unchanged before the question."""
    document = {"content": "R", "filename": "r.pdf"}
    async with ScriptedVendor() as vendor:
        vendor.answers(
            json_answer({"id": "file-1"}),
            json_answer(document),
            json_answer({"error": {"type": "server_error", "message": "no"}}, status=500),
            json_answer(chat_body("hi", Usage(1, 1))),
        )
        message = Message("user", (FilePart(filename="r.pdf", data="aGk="), TextPart("总结")))
        settings = {"base_url": f"{vendor.base_url}/v1", "api_key": "sk-x"}
        with capture_logs() as logs:
            async with open_provider(SPEC, settings) as provider:
                await deltas_of(provider, ask(message, stream=False))
        sent = vendor.requests
    assert [
        ("POST", "/v1/files"),
        ("GET", "/v1/files/file-1/content"),
        ("DELETE", "/v1/files/file-1"),
        ("POST", "/v1/chat/completions"),
    ] == [(each.method, each.path) for each in sent]
    assert b"file-extract" in sent[0].body
    assert [
        {"role": "system", "content": orjson.dumps(document).decode()},
        {"role": "user", "content": "总结"},
    ] == sent[3].json()["messages"]
    # That it could not be deleted is told to the operator, not to the caller.
    assert ["moonshot.file_left_behind"] == [each["event"] for each in logs]


async def test_a_file_that_cannot_be_read_is_deleted_again() -> None:
    """The error is the caller's to know, and the upload does not stay."""
    failed = json_answer({"error": {"type": "invalid_request_error", "message": "no"}}, status=400)
    async with ScriptedVendor() as vendor:
        vendor.answers(json_answer({"id": "file-1"}), failed, json_answer({"deleted": True}))
        message = Message("user", (FilePart(filename="r.pdf", data="aGk="), TextPart("总结")))
        settings = {"base_url": f"{vendor.base_url}/v1", "api_key": "sk-x"}
        async with open_provider(SPEC, settings) as provider:
            with pytest.raises(RequestRejected):
                await deltas_of(provider, ask(message))
        assert "DELETE" == vendor.requests[-1].method


async def test_tokens_models_and_balance(provider: MoonshotProvider) -> None:
    """The estimate is what the answer then counts; the models are those of the cards; money is exact."""
    assert isinstance(provider, CountsTokens)
    assert isinstance(provider, ListsModels)
    assert not isinstance(provider, Embeds | DrawsImages)
    request = ask("北京天气如何？", tools=(WEATHER,), n=2, temperature=0.5)
    _, usage = await answer_of(provider, request)
    assert usage.prompt_tokens == await provider.count_tokens(request)
    assert set(CARDS) == set(await provider.list_models())
    balance = await provider.balance()
    assert (Decimal("49.58894"), None) == (balance.available, balance.currency)


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        ("429 retry_after=2", RateLimited, "rate_limit_reached_error"),
        ("503", ProviderOverloaded, "engine_overloaded_error"),
        ("arrears", QuotaExhausted, "exceeded_current_quota_error"),
        ("500", ProviderUnavailable, "server_error"),
        ("expired_token", ProviderAuthFailed, "invalid_authentication_error"),
        ("content_filter", ContentRefused, "content_filter"),
        ("too_long", RequestRejected, "invalid_request_error"),
        ("other", RequestRejected, "invalid_request_error"),
        ("503 after=2", ProviderOverloaded, "engine_overloaded_error"),
        ("cut after=2", ProviderUnavailable, None),
        ("half_line after=2", ProviderProtocolError, None),
        ("malformed after=2", ProviderProtocolError, None),
    ],
)
async def test_faults_become_errors(
    provider: MoonshotProvider, fault: str, kind: type[ProviderError], code: str | None
) -> None:
    """Each thing that goes wrong is its own error; three of them share HTTP 429."""
    with pytest.raises(ProviderError) as caught:
        await deltas_of(provider, ask(f"hi [[fault:{fault}]]"))
    assert kind is type(caught.value)
    assert ("moonshot", code) == (caught.value.provider, caught.value.vendor_code)
    assert (2.0 if "retry_after" in fault else None) == caught.value.retry_after


async def test_split_characters_are_whole_again(provider: MoonshotProvider) -> None:
    """Reads that cut characters and lines apart change nothing."""
    plain = await answer_of(provider, ask("介绍一下北京"))
    split = await answer_of(provider, ask("介绍一下北京[[fault:split_utf8]]"))
    assert plain[0] == split[0]


async def test_hanging_up_is_seen_by_the_vendor(provider: MoonshotProvider, sandbox: str) -> None:
    """Closing a stream early ends the vendor's work, with a file in the message, too."""
    file_id = await provider.upload("a.txt", b"text")
    long = "[[length:2000]]你好[[fault:pace=0.02]]"
    for count, message in enumerate(
        (Message("user", long), Message("user", (FilePart(file_id), TextPart(long)))), 1
    ):
        async with aclosing(provider.stream(ask(message))) as batches:
            await anext(batches)
        async with aiohttp.ClientSession() as session, asyncio.timeout(5):
            while True:
                async with session.get(f"{sandbox}/_sandbox/served") as answer:
                    (row,) = (await answer.json())["rows"]
                if row["closed_early"] == count:
                    break
                await asyncio.sleep(0.01)
    assert ("moonshot", "moonshot-v1-8k", 0) == (row["credential"], row["model"], row["open"])
    assert row["completion_tokens"] < 1000


async def test_the_whole_gateway(sandbox: str) -> None:
    """Partial mode, a file and a note survive the way through the pipeline."""
    settings = Settings(providers={"moonshot": {**SANDBOX.settings(sandbox)}})
    data = base64.b64encode("营收增长三成。".encode() * 50).decode()
    async with Gateway.open(settings) as gateway:
        assert set(CARDS) <= {card.id for card in gateway.models()}
        begun = Message("assistant", "你", extra={"partial": True})
        partial = await gateway.chat(
            ChatCall(
                model="moonshot-v1-32k",
                messages=(Message("user", "[[say:你好]]"), begun),
                params=ChatParams(temperature=1.5),
            )
        )
        read = await gateway.chat(
            ChatCall(
                model="moonshot-v1-8k",
                query="总结",
                attachments=(FilePart(filename="报告.txt", data=data),),
            )
        )
    assert ("好", "moonshot") == (partial.text, partial.provider)
    assert ["temperature"] == [note.split()[0] for note in partial.notes]
    assert read.usage.prompt_tokens > 100
    assert read.cost is not None


async def test_what_cannot_be_asked_costs_nothing(provider: MoonshotProvider) -> None:
    """A refusal of ours comes before a byte goes out."""
    with pytest.raises(InvalidParameter):
        await deltas_of(provider, ask("hi", tools=(WEATHER, WEATHER)))
    with pytest.raises(InvalidParameter):
        await deltas_of(provider, ask(Message("user", (FilePart(filename="a"), TextPart("hi")))))


async def test_a_key_that_cannot_travel_is_told_at_once() -> None:
    """A line break at the end of a key, as files have it, is a settings error."""
    with pytest.raises(SettingsError, match="line break"):
        async with open_provider(SPEC, {"api_key": "sk-x\n"}):
            pass


def test_what_the_plugin_describes() -> None:
    """One provider and one stand-in, named as the entry point."""
    assert (SPEC,) == tuple(fengchao_providers())
    assert (SANDBOX,) == tuple(fengchao_sandboxes())
    assert {"moonshot"} == {SPEC.name, SANDBOX.name}


def test_cards() -> None:
    """The product's three models and today's; every price has a source, and none is said to be confirmed."""
    assert {"moonshot-v1-8k", "moonshot-v1-32k", "moonshot-v1-128k", "kimi-k3"} < set(CARDS)
    prices = [price for card in CARDS.values() for price in card.prices]
    assert all(price.source and not price.confirmed for price in prices)
    assert {8192, 32768, 131_072, 262_144, 1_048_576} == {
        card.max_input_tokens for card in CARDS.values()
    }
