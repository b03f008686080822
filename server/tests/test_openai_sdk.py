"""The official OpenAI SDK, unmodified and validating strictly, as our client."""

from collections.abc import AsyncIterator

import openai
import pytest
from openai import AsyncOpenAI

from fengchao_core import errors as e
from fengchao_core.types import Delta, ToolCallFragment, Usage

HELLO = [{"role": "user", "content": "你好"}]


@pytest.fixture
async def sdk(bench) -> AsyncIterator[AsyncOpenAI]:
    """The SDK, pointed at the server."""
    async with AsyncOpenAI(
        api_key=bench.key.token,
        base_url=f"{bench.url}/v1",
        max_retries=0,
        _strict_response_validation=True,
    ) as client:
        yield client


async def test_whole(sdk, bench):
    """A whole answer validates, and carries the request's id."""
    answer = await sdk.chat.completions.create(model="online-1", messages=HELLO)
    assert "你好，世界" == answer.choices[0].message.content
    assert (3, 4, 7) == (
        answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens,
    )  # fmt: skip
    assert answer._request_id


async def test_stream(sdk, bench):
    """A stream validates chunk by chunk, usage included."""
    said, usage, finish = "", None, None
    async with await sdk.chat.completions.create(
        model="online-1", messages=HELLO, stream=True, stream_options={"include_usage": True}
    ) as stream:
        async for chunk in stream:
            for choice in chunk.choices:
                said += choice.delta.content or ""
                finish = choice.finish_reason or finish
            usage = chunk.usage or usage
    assert ("你好，世界", "stop", 7) == (said, finish, usage.total_tokens)


async def test_accumulating_stream(sdk, bench):
    """The SDK's own accumulator puts tool calls together."""
    bench.provider.will(
        [Delta("a", tool_calls=(ToolCallFragment(0, "call_1", "weather", '{"a"'),))],
        [
            Delta(
                tool_calls=(
                    ToolCallFragment(0, arguments=":1}"),
                    ToolCallFragment(1, "call_2", "time", "{}"),
                )
            )
        ],
        [Delta(finish_reason="tool_calls", usage=Usage(1, 2))],
    )
    tools = [
        {"type": "function", "function": {"name": n, "parameters": {}}} for n in ("weather", "time")
    ]
    async with sdk.chat.completions.stream(model="online-1", messages=HELLO, tools=tools) as stream:
        async for _ in stream:
            pass
        final = await stream.get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert [("call_1", "weather", '{"a":1}'), ("call_2", "time", "{}")] == [
        (call.id, call.function.name, call.function.arguments) for call in calls
    ]


async def test_conversation_with_tools(sdk, bench):
    """An answer's message can be sent back as it came, and the tools' results with it."""
    bench.provider.will(
        [Delta(reasoning="hm", tool_calls=(ToolCallFragment(0, "call_1", "weather", "{}"),))],
        [Delta(finish_reason="tool_calls")],
    )
    first = await sdk.chat.completions.create(model="online-1", messages=HELLO)
    await sdk.chat.completions.create(
        model="online-1",
        messages=[
            *HELLO,
            first.choices[0].message,
            {"role": "tool", "tool_call_id": "call_1", "content": "晴"},
        ],
    )
    sent = bench.provider.requests[1].messages
    assert ("call_1", "hm", "晴") == (sent[1].tool_calls[0].id, sent[1].reasoning, sent[2].content)


async def test_embeddings(bench):
    """
    Embeddings come by the SDK's default, base64, and as floats.

    Not strictly: in 3.52 the strict check refuses the base64 that the SDK itself asks for.
    """
    sdk = AsyncOpenAI(api_key=bench.key.token, base_url=f"{bench.url}/v1", max_retries=0)
    for encoding in ({}, {"encoding_format": "float"}):
        answer = await sdk.embeddings.create(model="embed-1", input=["a", "b"], **encoding)
        assert [[0.0, 0.5, -1.25], [1.0, 0.5, -1.25]] == [list(v.embedding) for v in answer.data]
    await sdk.close()


async def test_models(sdk, bench):
    """The list and one model, its id holding a slash."""
    assert "online-1" in [model.id async for model in sdk.models.list()]
    assert "org/model:7b" == (await sdk.models.retrieve("org/model:7b")).id


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (e.RateLimited("x"), openai.RateLimitError),
        (e.ProviderUnavailable("x"), openai.InternalServerError),
        (e.ContextTooLong("x"), openai.BadRequestError),
        (e.SensitiveContent("x", direction="output", start=0, end=1), openai.BadRequestError),
    ],
)
async def test_errors(sdk, bench, error, raised):
    """Errors become the SDK's own classes, with code and request id."""
    bench.provider.will(error)
    with pytest.raises(raised) as caught:
        await sdk.chat.completions.create(model="online-1", messages=HELLO)
    assert caught.value.code
    assert caught.value.request_id


async def test_error_in_a_stream(sdk, bench):
    """An error after the first chunk is raised while iterating."""
    bench.provider.will([Delta("half")], e.ProviderUnavailable("cut"))
    stream = await sdk.chat.completions.create(model="online-1", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError):
        async for _ in stream:
            pass


async def test_wrong_key(bench):
    """A wrong key is the SDK's authentication error."""
    async with AsyncOpenAI(api_key="sk-wrong", base_url=f"{bench.url}/v1", max_retries=0) as sdk:
        with pytest.raises(openai.AuthenticationError):
            await sdk.models.list()
