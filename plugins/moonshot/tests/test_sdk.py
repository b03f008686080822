"""The SDK that Moonshot documents (OpenAI's), unmodified, against the stand-in: what it says is what clients will meet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

CLASSIC = "moonshot-v1-8k"
KIMI = "kimi-k2.6"
BOTH = pytest.mark.parametrize("model", [CLASSIC, KIMI])
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "查询城市的天气",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
SEARCH: Any = {"type": "builtin_function", "function": {"name": "$web_search"}}
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5"
    "ErkJggg=="
)


@pytest.fixture
async def client(sandbox: str) -> AsyncIterator[AsyncOpenAI]:
    """The SDK, strict about what it gets, without retries."""
    async with AsyncOpenAI(
        base_url=f"{sandbox}/v1",
        api_key="sk-sandbox-sdk",
        max_retries=0,
        _strict_response_validation=True,
    ) as client:
        yield client


@pytest.fixture
async def loose(client: AsyncOpenAI) -> AsyncIterator[AsyncOpenAI]:
    """The SDK as people use it: Moonshot's files have a purpose and a status that its types do not know."""
    async with AsyncOpenAI(
        base_url=client.base_url, api_key=client.api_key, max_retries=0
    ) as loose:
        yield loose


def user(text: str) -> list[Any]:
    """One user message."""
    return [{"role": "user", "content": text}]


def picture(url: object) -> list[Any]:
    """One user message with a picture."""
    return [{"role": "user", "content": [{"type": "image_url", "image_url": url}]}]


async def chat(client: AsyncOpenAI, **body: Any) -> Any:
    """A chat of any body, the SDK's own checks of types aside."""
    return await client.chat.completions.create(**{"model": KIMI, "messages": user("hi"), **body})


@BOTH
async def test_chat(client: AsyncOpenAI, model: str) -> None:
    """A Chinese question gets a Chinese answer, with usage that adds up; those who think show it."""
    answer = await chat(client, model=model, messages=user("介绍一下北京"))
    message = answer.choices[0].message
    assert "北京" in message.content
    assert "stop" == answer.choices[0].finish_reason
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert (model == KIMI) == hasattr(message, "reasoning_content")


async def test_stream_of_an_older_model(client: AsyncOpenAI) -> None:
    """The usage stands in the first choice of the last chunk, asked for or not."""
    whole = await chat(client, model=CLASSIC, messages=user("介绍一下北京"), temperature=0.3)
    stream = await chat(
        client,
        model=CLASSIC,
        messages=user("介绍一下北京"),
        temperature=0.3,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    assert whole.choices[0].message.content == "".join(
        chunk.choices[0].delta.content or "" for chunk in chunks
    )
    assert all(chunk.usage is None for chunk in chunks)
    assert whole.usage.total_tokens == chunks[-1].choices[0].usage["total_tokens"]
    assert whole.usage.cached_tokens == 0
    assert len(chunks) > 10
    assert 1 == len({chunk.id for chunk in chunks})


async def test_stream_of_a_newer_model(client: AsyncOpenAI) -> None:
    """The thinking comes first; the usage is at the top of the last chunk where it was asked for."""
    asked = {"messages": user("介绍一下北京"), "stream": True}
    stream = await chat(client, **asked, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    thinks = [bool(getattr(delta, "reasoning_content", None)) for delta in deltas[1:-1]]
    assert sorted(thinks, reverse=True) == thinks
    assert {True, False} == set(thinks)
    assert chunks[-1].usage.completion_tokens > 0
    assert [] == chunks[-1].choices
    assert all([chunk.usage is None async for chunk in await chat(client, **asked)])


async def test_thinking_can_be_switched_off(client: AsyncOpenAI) -> None:
    """The vendor's own parameter travels as `extra_body`."""
    answer = await chat(client, extra_body={"thinking": {"type": "disabled"}})
    assert not hasattr(answer.choices[0].message, "reasoning_content")


@BOTH
async def test_tools(client: AsyncOpenAI, model: str) -> None:
    """A call, its result and the answer; the ids name the function and count from 0 each time."""
    messages = user("北京天气如何？")
    for _ in range(2):
        first = await chat(client, model=model, messages=messages, tools=[WEATHER])
        message = first.choices[0].message
        assert "tool_calls" == first.choices[0].finish_reason
        assert ["get_weather:0"] == [call.id for call in message.tool_calls]
        messages = [
            *messages,
            message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": "get_weather:0", "content": "21 度"},
        ]
        second = await chat(client, model=model, messages=messages, tools=[WEATHER])
        assert "21 度" in second.choices[0].message.content
        messages = [
            *messages,
            second.choices[0].message.model_dump(exclude_none=True),
            *user("那上海呢？"),
        ]
    async with client.chat.completions.stream(
        model=model, messages=user("weather [[tools:parallel=2]]"), tools=[WEATHER]
    ) as stream:
        final = await stream.get_final_completion()
    calls = final.choices[0].message.tool_calls or []
    assert ["get_weather:0", "get_weather:1"] == [call.id for call in calls]


async def test_thinking_has_to_come_back(client: AsyncOpenAI) -> None:
    """In a tool loop the thinking that led to the calls is asked for, unless thinking is off."""
    first = await chat(client, messages=user("北京天气如何？"), tools=[WEATHER])
    turn = first.choices[0].message.model_dump(exclude_none=True, exclude={"reasoning_content"})
    result = {"role": "tool", "tool_call_id": "get_weather:0", "content": "21 度"}
    body = {"messages": [*user("北京天气如何？"), turn, result], "tools": [WEATHER]}
    with pytest.raises(openai.BadRequestError, match="reasoning_content is missing"):
        await chat(client, **body)
    assert await chat(client, **body, extra_body={"thinking": {"type": "disabled"}})


async def test_web_search(loose: AsyncOpenAI) -> None:
    """The vendor's own tool is called, and its call answered by its own arguments, as the vendor shows it."""
    messages = user("最新的新闻")
    first = await chat(loose, messages=messages, tools=[SEARCH])
    message = first.choices[0].message
    (call,) = message.tool_calls
    assert "$web_search" == call.function.name
    turn = message.model_dump(exclude_none=True)
    result = {"role": "tool", "tool_call_id": call.id, "name": "$web_search"}
    result["content"] = call.function.arguments
    second = await chat(loose, messages=[*messages, turn, result], tools=[SEARCH])
    assert "stop" == second.choices[0].finish_reason
    result["content"] = "something else"
    with pytest.raises(openai.BadRequestError, match="unchanged"):
        await chat(loose, messages=[*messages, turn, result], tools=[SEARCH])


@BOTH
async def test_json_and_partial_mode(client: AsyncOpenAI, model: str) -> None:
    """JSON mode answers JSON; partial mode goes on where the last message ends."""
    answer = await chat(
        client, model=model, messages=user("JSON"), response_format={"type": "json_object"}
    )
    assert answer.choices[0].message.content.startswith("{")
    begun = {"role": "assistant", "content": "你", "partial": True}
    answer = await chat(client, model=model, messages=[*user("[[say:你好]]"), begun])
    assert "好" == answer.choices[0].message.content


async def test_several_choices(client: AsyncOpenAI) -> None:
    """Up to five, and only where the temperature is not near 0."""
    answer = await chat(client, model=CLASSIC, n=5, temperature=0.3)
    assert 5 == len(answer.choices)


async def test_files_are_read_into_the_context(loose: AsyncOpenAI) -> None:
    """The vendor's own recipe: upload, read, put the text whole into a system message, delete."""
    purpose: Any = "file-extract"
    file = await loose.files.create(
        file=("报告.md", "营收增长三成。".encode() * 40), purpose=purpose
    )
    assert "ok" == file.status
    assert [file.id] == [each.id async for each in loose.files.list()]
    assert file.id == (await loose.files.retrieve(file.id)).id
    text = (await loose.files.content(file.id)).text
    assert "营收增长三成" in text
    bare = await chat(loose, messages=user("总结"))
    read = await chat(loose, messages=[{"role": "system", "content": text}, *user("总结")])
    assert read.usage.prompt_tokens > bare.usage.prompt_tokens + 100
    other = loose.with_options(api_key="sk-sandbox-other")
    with pytest.raises(openai.NotFoundError):
        await other.files.content(file.id)
    assert (await loose.files.delete(file.id)).deleted
    with pytest.raises(openai.NotFoundError):
        await loose.files.retrieve(file.id)


async def test_files_that_are_not_text(loose: AsyncOpenAI) -> None:
    """What the stand-in cannot read it names; a picture has no text to give."""
    purpose: Any = "file-extract"
    file = await loose.files.create(file=("a.pdf", b"%PDF\xff"), purpose=purpose)
    assert "a.pdf (5 bytes of application/pdf)" in (await loose.files.content(file.id)).text
    purpose = "image"
    file = await loose.files.create(file=("a.png", b"\x89PNG"), purpose=purpose)
    with pytest.raises(openai.BadRequestError, match="purpose"):
        await loose.files.content(file.id)


async def test_wrong_files_are_refused(loose: AsyncOpenAI) -> None:
    """A purpose that the vendor does not know, nothing in the file, no form at all."""
    purpose: Any = "assistants"
    with pytest.raises(openai.BadRequestError, match="purpose"):
        await loose.files.create(file=("a.txt", b"x"), purpose=purpose)
    purpose = "file-extract"
    with pytest.raises(openai.BadRequestError, match="empty"):
        await loose.files.create(file=("a.txt", b""), purpose=purpose)
    with pytest.raises(openai.BadRequestError, match="multipart"):
        await loose.post("/files", body={}, cast_to=object)


async def test_pictures(loose: AsyncOpenAI) -> None:
    """As an object, as a bare string, and by the id of an upload; never by a web address."""
    purpose: Any = "image"
    file = await loose.files.create(file=("a.png", b"\x89PNG"), purpose=purpose)
    for url in ({"url": PIXEL}, PIXEL, f"ms://{file.id}"):
        assert await chat(loose, messages=picture(url))
    purpose = "file-extract"
    text = await loose.files.create(file=("a.txt", b"x"), purpose=purpose)
    for wrong, kind in (
        ("https://example.com/a.png", openai.BadRequestError),
        ("data:image/png;base64,!", openai.BadRequestError),
        (f"ms://{text.id}", openai.BadRequestError),
        ("ms://file-none", openai.NotFoundError),
    ):
        with pytest.raises(kind):
            await chat(loose, messages=picture(wrong))


async def test_estimate_models_and_balance(client: AsyncOpenAI) -> None:
    """The estimate is what the chat then counts; the models tell their context; there is money left."""
    body = {"model": KIMI, "messages": user("你好")}
    answer: Any = await client.post(
        "/tokenizers/estimate-token-count", body=body, cast_to=dict[str, Any]
    )
    assert (await chat(client, **body)).usage.prompt_tokens == answer["data"]["total_tokens"]
    models = {model.id: model async for model in client.models.list()}
    assert {CLASSIC, KIMI} < set(models)
    assert 262_144 == models[KIMI].context_length  # type: ignore[attr-defined]  # Moonshot's own field
    assert KIMI == (await client.models.retrieve(KIMI)).id
    balance: Any = await client.get("/users/me/balance", cast_to=dict[str, Any])
    assert balance["data"]["available_balance"] > 0


@pytest.mark.parametrize(
    ("fault", "kind", "type_"),
    [
        ("429", openai.RateLimitError, "rate_limit_reached_error"),
        ("503", openai.RateLimitError, "engine_overloaded_error"),
        ("arrears", openai.RateLimitError, "exceeded_current_quota_error"),
        ("500", openai.InternalServerError, "server_error"),
        ("expired_token", openai.AuthenticationError, "invalid_authentication_error"),
        ("content_filter", openai.BadRequestError, "content_filter"),
        ("too_long", openai.BadRequestError, "invalid_request_error"),
        ("anything", openai.BadRequestError, "invalid_request_error"),
    ],
)
async def test_scripted_errors(
    client: AsyncOpenAI, fault: str, kind: type[openai.APIStatusError], type_: str
) -> None:
    """A marker in the prompt makes Moonshot's own errors, which have a type and no code."""
    for model in (CLASSIC, KIMI):
        with pytest.raises(kind) as caught:
            await chat(client, model=model, messages=user(f"hi [[fault:{fault}]]"))
        assert (type_, None) == (caught.value.type, caught.value.code)


async def test_an_error_within_a_stream(client: AsyncOpenAI) -> None:
    """An error after the first events is raised by the SDK."""
    stream = await chat(client, messages=user("hi [[fault:503 after=3]]"), stream=True)
    with pytest.raises(openai.APIError) as caught:
        _ = [chunk async for chunk in stream]
    assert "engine_overloaded_error" == caught.value.type


ANSWERED_CALL = {"id": "f:0", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("model", "change", "told"),
    [
        (CLASSIC, {"temperature": 1.1}, "temperature"),
        (CLASSIC, {"temperature": "hot"}, "temperature"),
        (KIMI, {"temperature": 0.3}, "temperature is fixed"),
        (KIMI, {"top_p": 0.3}, "top_p is fixed"),
        (KIMI, {"presence_penalty": 1}, "presence_penalty is fixed"),
        (CLASSIC, {"top_p": -1}, "top_p"),
        (CLASSIC, {"n": 6, "temperature": 1}, "n must be between"),
        (CLASSIC, {"n": 1.5}, "n must be an integer"),
        (CLASSIC, {"n": 2}, "close to 0"),
        (CLASSIC, {"n": 2, "temperature": 0}, "close to 0"),
        (CLASSIC, {"frequency_penalty": 3}, "frequency_penalty"),
        (CLASSIC, {"stop": list("123456")}, "at most 5"),
        (CLASSIC, {"stop": "长" * 11}, "32 bytes"),
        (CLASSIC, {"stop": 1}, "stop"),
        (CLASSIC, {"max_tokens": 0}, "max_tokens"),
        (CLASSIC, {"max_tokens": 8192}, "token limit: 8192"),
        (CLASSIC, {"messages": user("长" * 40_000)}, "token limit: 8192"),
        (KIMI, {"messages": user("x" * 2_100_000)}, "total message size"),
        (CLASSIC, {"tool_choice": "required", "tools": [WEATHER]}, "tool_choice"),
        (KIMI, {"tool_choice": "any", "tools": [WEATHER]}, "tool_choice"),
        (KIMI, {"tools": [WEATHER, WEATHER]}, "duplicated"),
        (KIMI, {"tools": [WEATHER] * 129}, "128"),
        (KIMI, {"tools": [{"type": "web_search"}]}, "type"),
        (KIMI, {"tools": [{"type": "function", "function": {}}]}, "name"),
        (KIMI, {"tools": [{"type": "function", "function": {"name": "a b"}}]}, "invalid"),
        (KIMI, {"tools": [{**SEARCH, "function": {"name": "$fly"}}]}, "unknown"),
        (KIMI, {"thinking": {"type": "auto"}}, "thinking"),
        (KIMI, {"response_format": {"type": "xml"}}, "response_format"),
        (CLASSIC, {"response_format": {"type": "json_schema"}}, "json_schema"),
        (KIMI, {"messages": []}, "messages"),
        (KIMI, {"messages": [{"role": "developer", "content": "hi"}]}, "roles"),
        (KIMI, {"messages": [{"role": "user", "content": ""}]}, "must not be empty"),
        (KIMI, {"messages": [{"role": "user", "content": None}]}, "content"),
        (KIMI, {"messages": [{"role": "user", "content": [{"type": "file"}]}]}, "unknown type"),
        (KIMI, {"messages": [{"role": "tool", "content": "x"}]}, "tool_call_id"),
        (
            KIMI,
            {"messages": [{"role": "tool", "content": "x", "tool_call_id": "c"}]},
            "tool_call_id is not found",
        ),
        (
            CLASSIC,
            {"messages": [{"role": "assistant", "tool_calls": [ANSWERED_CALL]}, *user("hi")]},
            "must be followed by tool messages",
        ),
        (CLASSIC, {"messages": picture({"url": PIXEL})}, "not supported"),
        (
            KIMI,
            {"messages": [{"role": "assistant", "content": "{", "partial": True}, *user("hi")]},
            "partial",
        ),
        (
            KIMI,
            {
                "messages": [*user("hi"), {"role": "assistant", "content": "{", "partial": True}],
                "response_format": {"type": "json_object"},
            },
            "partial",
        ),
    ],
)
async def test_wrong_requests_are_refused_as_moonshot_does(
    client: AsyncOpenAI, model: str, change: dict[str, Any], told: str
) -> None:
    """Types, ranges, roles, tools and the order of messages are checked."""
    body = {"model": model, "messages": user("hi"), **change}
    with pytest.raises(openai.BadRequestError, match=told) as caught:
        await client.post("/chat/completions", body=body, cast_to=object)
    assert "invalid_request_error" == caught.value.type


async def test_keys_models_and_addresses_are_checked(client: AsyncOpenAI) -> None:
    """A wrong key, none, an unknown model, an API that Moonshot does not have, a body that is no object."""
    with pytest.raises(openai.AuthenticationError) as caught:
        await client.with_options(api_key="sk-wrong").models.list()
    assert "incorrect_api_key_error" == caught.value.type
    with pytest.raises(openai.AuthenticationError) as caught:
        await client.models.list(extra_headers={"Authorization": "Basic x"})
    assert "invalid_authentication_error" == caught.value.type
    with pytest.raises(openai.NotFoundError) as missing:
        await chat(client, model="kimi-latest")
    assert "resource_not_found_error" == missing.value.type
    with pytest.raises(openai.NotFoundError):
        await client.embeddings.create(model=KIMI, input="hi")
    with pytest.raises(openai.BadRequestError):
        await client.post("/chat/completions", body=[1], cast_to=object)
    with pytest.raises(openai.BadRequestError, match="model is missing"):
        await client.post("/chat/completions", body={"messages": []}, cast_to=object)


async def test_nulls_count_as_absent(client: AsyncOpenAI) -> None:
    """Explicit nulls are taken as if they were not there."""
    body = {"model": KIMI, "messages": user("hi"), "stop": None, "temperature": None}
    assert await client.post("/chat/completions", body=body, cast_to=object)
