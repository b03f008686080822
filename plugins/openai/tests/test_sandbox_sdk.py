"""The official SDK, unmodified, against our emulator: what it says is what OpenAI's clients will meet."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

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
TIME: Any = {
    "type": "function",
    "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}},
}
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


def user(text: str) -> list[Any]:
    """One user message."""
    return [{"role": "user", "content": text}]


async def test_chat(client: AsyncOpenAI) -> None:
    """A Chinese question gets a Chinese answer, with usage that adds up."""
    answer = await client.chat.completions.create(
        model="gpt-3.5-turbo", messages=user("介绍一下北京")
    )
    assert "北京" in (answer.choices[0].message.content or "")
    assert "stop" == answer.choices[0].finish_reason
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


async def test_stream(client: AsyncOpenAI) -> None:
    """The stream joins to the whole answer, and its last chunk is the usage alone."""
    whole = await client.chat.completions.create(model="gpt-4o", messages=user("介绍一下北京"))
    stream = await client.chat.completions.create(
        model="gpt-4o",
        messages=user("介绍一下北京"),
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    assert whole.choices[0].message.content == "".join(
        chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices
    )
    assert [] == chunks[-1].choices
    assert whole.usage == chunks[-1].usage
    assert len(chunks) > 10
    assert 1 == len({chunk.id for chunk in chunks})


async def test_stream_without_usage(client: AsyncOpenAI) -> None:
    """Who does not ask for usage gets none."""
    async for chunk in await client.chat.completions.create(
        model="gpt-4o", messages=user("hi"), stream=True
    ):
        assert chunk.usage is None
        assert chunk.choices


async def test_tools(client: AsyncOpenAI) -> None:
    """A call, its result and the answer; then two calls at once, streamed and put together by the SDK's own helper."""
    first = await client.chat.completions.create(
        model="gpt-4o", messages=user("北京天气如何？"), tools=[WEATHER]
    )
    message = first.choices[0].message
    assert message.content is None
    assert message.tool_calls
    assert "tool_calls" == first.choices[0].finish_reason
    second = await client.chat.completions.create(
        model="gpt-4o",
        messages=[
            *user("北京天气如何？"),
            message.model_dump(exclude_none=True),  # type: ignore[list-item]  # what its users do
            {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "21 度"},
        ],
        tools=[WEATHER],
    )
    assert "21 度" in (second.choices[0].message.content or "")
    async with client.chat.completions.stream(
        model="gpt-4o", messages=user("weather and time [[tools:parallel]]"), tools=[WEATHER, TIME]
    ) as stream:
        final = await stream.get_final_completion()
    calls = final.choices[0].message.tool_calls or []
    assert {"get_weather", "get_time"} == {call.function.name for call in calls}


async def test_json_and_several_choices(client: AsyncOpenAI) -> None:
    """JSON mode answers JSON, a schema is kept to, and `n` choices come with log-probabilities."""
    form: Any = {
        "type": "json_schema",
        "json_schema": {
            "name": "ans",
            "strict": True,
            "schema": {
                "type": "object",
                "properties": {"score": {"type": "integer"}},
                "required": ["score"],
            },
        },
    }
    answer = await client.chat.completions.create(
        model="gpt-4o",
        messages=user("Answer"),
        response_format=form,
        n=2,
        logprobs=True,
        top_logprobs=1,
    )
    assert 2 == len(answer.choices)
    assert all((choice.message.content or "").startswith('{"score":') for choice in answer.choices)
    assert all(choice.logprobs and choice.logprobs.content for choice in answer.choices)


async def test_pictures_in_messages(client: AsyncOpenAI) -> None:
    """A picture in a message is looked at."""
    parts: Any = [
        {"type": "text", "text": "Describe"},
        {"type": "image_url", "image_url": {"url": PIXEL}},
    ]
    answer = await client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": parts}]
    )
    assert "PNG" in (answer.choices[0].message.content or "")


async def test_reasoning_models(client: AsyncOpenAI) -> None:
    """A model that reasons counts its thinking, does not show it, and refuses `max_tokens`."""
    answer = await client.chat.completions.create(
        model="gpt-5", messages=user("2+2?"), max_completion_tokens=500
    )
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    assert (answer.usage.completion_tokens_details.reasoning_tokens or 0) > 0
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model="gpt-5", messages=user("2+2?"), max_tokens=500)
    assert "unsupported_parameter" == caught.value.code


async def test_embeddings(client: AsyncOpenAI) -> None:
    """Base64, which the SDK asks for by itself, and floats give the same vectors."""
    # The SDK decodes base64 after its strict validation, which therefore refuses any server's base64.
    async with AsyncOpenAI(base_url=client.base_url, api_key=client.api_key) as loose:
        default = await loose.embeddings.create(
            model="text-embedding-3-small", input=["你好", "hello"]
        )
        short = await loose.embeddings.create(
            model="text-embedding-3-large", input="x", dimensions=256
        )
    floats = await client.embeddings.create(
        model="text-embedding-3-small", input=["你好", "hello"], encoding_format="float"
    )
    assert 1536 == len(default.data[0].embedding)
    assert default.data[1].embedding == pytest.approx(floats.data[1].embedding, abs=1e-6)
    assert 256 == len(short.data[0].embedding)
    assert default.usage.prompt_tokens > 0


async def test_models(client: AsyncOpenAI) -> None:
    """The list holds each model, each can be looked up, and an unknown one is not found."""
    ids = [model.id async for model in client.models.list()]
    assert "gpt-3.5-turbo" in ids
    assert "gpt-4o" == (await client.models.retrieve("gpt-4o")).id
    with pytest.raises(openai.NotFoundError) as caught:
        await client.models.retrieve("nope")
    assert "model_not_found" == caught.value.code


async def test_images(client: AsyncOpenAI) -> None:
    """A picture is drawn, at once and in steps."""
    drawn = await client.images.generate(
        model="gpt-image-2", prompt="a red dot", size="1024x1024", quality="low"
    )
    assert drawn.data
    assert base64.b64decode(drawn.data[0].b64_json or "").startswith(b"\x89PNG")
    events = [
        event.type
        async for event in await client.images.generate(
            model="gpt-image-2", prompt="a red dot", stream=True, partial_images=1
        )
    ]
    assert ["image_generation.partial_image", "image_generation.completed"] == events


async def test_files(client: AsyncOpenAI) -> None:
    """Files are taken, listed page by page, given back and deleted, whatever their names."""
    first = await client.files.create(file=("数据.jsonl", b"{}\n"), purpose="batch")
    await client.files.create(
        file=("a.txt", b"x"),
        purpose="user_data",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    names = [file.filename async for file in client.files.list(limit=1)]
    assert ["a.txt", "数据.jsonl"] == names
    assert b"{}\n" == (await client.files.content(first.id)).content
    assert (await client.files.delete(first.id)).deleted
    with pytest.raises(openai.NotFoundError):
        await client.files.retrieve(first.id)


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        ("429", openai.RateLimitError, "rate_limit_exceeded"),
        ("arrears", openai.RateLimitError, "insufficient_quota"),
        ("500", openai.InternalServerError, None),
        ("503", openai.InternalServerError, None),
        ("expired_token", openai.AuthenticationError, "invalid_api_key"),
        ("content_filter", openai.BadRequestError, "content_policy_violation"),
        ("too_long", openai.BadRequestError, "context_length_exceeded"),
        ("anything", openai.BadRequestError, "invalid_value"),
    ],
)
async def test_scripted_errors(
    client: AsyncOpenAI, fault: str, kind: type[openai.APIStatusError], code: str
) -> None:
    """A marker in the prompt makes OpenAI's own errors."""
    with pytest.raises(kind) as caught:
        await client.chat.completions.create(model="gpt-4o", messages=user(f"hi [[fault:{fault}]]"))
    assert code == caught.value.code
    assert caught.value.request_id


async def test_an_error_within_a_stream(client: AsyncOpenAI) -> None:
    """An error after the first events is raised by the SDK."""
    stream = await client.chat.completions.create(
        model="gpt-4o", messages=user("hi [[fault:500 after=3]]"), stream=True
    )
    with pytest.raises(openai.APIError):
        _ = [chunk async for chunk in stream]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": -1}, "top_p"),
        ({"n": 0}, "n"),
        ({"n": 1.5}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": ["1", "2", "3", "4", "5"]}, "stop"),
        ({"stop": 1}, "stop"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tool_choice": {"type": "x"}, "tools": [WEATHER]}, "tool_choice.type"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_object"}}, "messages"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {}}},
            "response_format.json_schema.schema",
        ),
        ({"max_tokens": 1, "max_completion_tokens": 1}, "max_tokens"),
        ({"top_k": 4}, "top_k"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "robot", "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "video_url"}]}]},
            "messages[0].content[0].type",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content[0].text",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "ftp://x"}}],
                    }
                ]
            },
            "messages[0].content[0].image_url.url",
        ),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "c"}]}, "messages[0].role"),
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [
                            {
                                "id": "c",
                                "type": "function",
                                "function": {"name": "f", "arguments": "{}"},
                            }
                        ],
                    },
                    {"role": "user", "content": "hi"},
                ]
            },
            "messages",
        ),
    ],
)
async def test_wrong_requests_are_refused_as_openai_does(
    client: AsyncOpenAI, change: dict[str, Any], param: str
) -> None:
    """Types, ranges, roles and the order of tool messages are checked, and the error names the parameter."""
    body = {"model": "gpt-4o", "messages": user("hi"), **change}
    with pytest.raises(openai.BadRequestError) as caught:
        await client.post("/chat/completions", body=body, cast_to=object)
    assert param == caught.value.param


async def test_nulls_count_as_absent(client: AsyncOpenAI) -> None:
    """Explicit nulls are taken as if they were not there."""
    body = {
        "model": "gpt-4o",
        "messages": user("hi"),
        "stop": None,
        "metadata": None,
        "stream_options": None,
    }
    assert await client.post("/chat/completions", body=body, cast_to=object)


async def test_keys_and_models_are_checked(sandbox: str, client: AsyncOpenAI) -> None:
    """A wrong key, no key, an unknown model and a model of another kind."""
    wrong = client.with_options(api_key="sk-wrong")
    with pytest.raises(openai.AuthenticationError) as caught:
        await wrong.models.list()
    assert "invalid_api_key" == caught.value.code
    with pytest.raises(openai.NotFoundError) as missing:
        await client.chat.completions.create(model="no-such", messages=user("hi"))
    assert "model_not_found" == missing.value.code
    with pytest.raises(openai.NotFoundError):
        await client.embeddings.create(model="gpt-4o", input="hi")
    with pytest.raises(openai.NotFoundError):
        await client.post("/nowhere", cast_to=object)
    with pytest.raises(openai.BadRequestError):
        await client.chat.completions.create(model="gpt-3.5-turbo", messages=user("长" * 40_000))


@pytest.mark.parametrize("value", ["", [], [""], {}, [1, "a"], ["x"] * 2049])
async def test_wrong_inputs_of_embeddings(client: AsyncOpenAI, value: Any) -> None:
    """Nothing, an empty text, a mixture or too many."""
    with pytest.raises(openai.BadRequestError):
        await client.embeddings.create(
            model="text-embedding-3-small", input=value, encoding_format="float"
        )


async def test_token_ids_can_be_embedded(client: AsyncOpenAI) -> None:
    """Token ids are an input like any other."""
    answer = await client.embeddings.create(
        model="text-embedding-3-small", input=[[1, 2], [3]], encoding_format="float"
    )
    assert 2 == len(answer.data)


async def test_dimensions_are_checked(client: AsyncOpenAI) -> None:
    """No more than the model has, and a choice only where it offers one."""
    for model, dimensions in (("text-embedding-3-small", 1537), ("text-embedding-ada-002", 8)):
        with pytest.raises(openai.BadRequestError) as caught:
            await client.embeddings.create(
                model=model, input="x", dimensions=dimensions, encoding_format="float"
            )
        assert "dimensions" == caught.value.param


async def test_wrong_files_and_pictures_are_refused(client: AsyncOpenAI) -> None:
    """A purpose, a life or a limit that OpenAI does not know; a size that it does not draw; a body that is no JSON."""
    unknown: Any = "homework"
    with pytest.raises(openai.BadRequestError, match="purpose"):
        await client.files.create(file=b"x", purpose=unknown)
    with pytest.raises(openai.BadRequestError, match="3600"):
        await client.files.create(
            file=b"x", purpose="batch", expires_after={"anchor": "created_at", "seconds": 1}
        )
    with pytest.raises(openai.BadRequestError, match="limit"):
        await client.files.list(limit=0)
    with pytest.raises(openai.BadRequestError, match="multipart"):
        await client.post("/files", body={}, cast_to=object)
    with pytest.raises(openai.BadRequestError) as caught:
        await client.images.generate(model="gpt-image-2", prompt="x", size="1x1")
    assert "size" == caught.value.param
    with pytest.raises(openai.BadRequestError, match="response_format"):
        await client.images.generate(model="gpt-image-2", prompt="x", response_format="url")
    with pytest.raises(openai.BadRequestError, match="parse the JSON"):
        await client.post("/embeddings", body=[1], cast_to=object)
    broken: Any = [
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,!"}}],
        }
    ]
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model="gpt-4o", messages=broken)
    assert "invalid_image" == caught.value.code
