"""The vendor's official SDK, unmodified, judges our sandbox; the client that it recommends for HTTP does, too."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from openai import AsyncOpenAI, AuthenticationError, BadRequestError

from fengchao_core.testing import run_app
from fengchao_spark.sandbox import API_KEY, API_PASSWORD, API_SECRET, APP_ID, build

CLIENT = Path(__file__).parent / "sdk_client.py"
# The SDK's embeddings import numpy without declaring it.
REQUIREMENTS = ("spark-ai-python==0.4.5", "numpy")
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@pytest.fixture(scope="module")
def judged(judges: ModuleType) -> dict[str, Any]:
    """What the SDK made of each answer, asked once for all tests."""
    python = judges.judge_venv("spark", REQUIREMENTS)

    async def ask() -> dict[str, Any]:
        async with run_app(build()) as base_url:
            process = await asyncio.create_subprocess_exec(
                str(python),
                str(CLIENT),
                base_url,
                APP_ID,
                API_KEY,
                API_SECRET,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, error = await process.communicate()
        assert 0 == process.returncode, error.decode()
        result: dict[str, Any] = json.loads(out.splitlines()[-1])
        return result

    return asyncio.run(ask())


def test_the_judge_is_the_one_we_name(judged: dict[str, Any]) -> None:
    """The SDK is of the generation that we judge by."""
    assert "0.4.5" == judged["version"]


def test_the_sdk_chats_with_every_version(judged: dict[str, Any]) -> None:
    """The SDK gets a whole answer with its usage from each path and domain, the older names included."""
    assert 9 == len(judged["whole"])
    for domain, answer in judged["whole"].items():
        usage = answer["usage"]
        assert domain in answer["text"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0
    assert "hi" in judged["patch"]["text"]


def test_the_sdk_streams(judged: dict[str, Any]) -> None:
    """A streamed answer comes in pieces, has the whole one's text and usage, and survives messages in fragments."""
    whole = judged["whole"]["generalv3.5"]
    for streamed in (judged["stream"], judged["split"]):
        assert whole["text"] == "".join(streamed["texts"])
        assert whole["usage"]["completion_tokens"] == streamed["usage"]["completion_tokens"]
        assert len(streamed["texts"]) > 10


def test_the_sdk_tells_a_history_and_a_picture(judged: dict[str, Any]) -> None:
    """System text, history and a picture are understood."""
    assert "第 2 轮" in judged["history"]["text"]
    assert "1×1" in judged["picture"]["text"]
    assert "图里有什么" in judged["picture"]["text"]


def test_the_sdk_gets_calls(judged: dict[str, Any]) -> None:
    """A question with functions gets a call, whole and streamed."""
    calls = [judged["call"]["call"], judged["stream_call"]["calls"][0]]
    for call in calls:
        assert ("get_weather", {"city": "北京"}) == (call["name"], json.loads(call["arguments"]))


def test_the_sdk_raises_the_vendors_codes(judged: dict[str, Any]) -> None:
    """A code in a frame becomes the SDK's own error, before an answer and in the middle; a cut is the transport's."""
    assert [[int(code), True] for code in judged["codes"]] == [
        [told[0], code in told[1]] for code, told in judged["codes"].items()
    ]
    assert 10014 == judged["midway"][0]
    assert -1 == judged["cut"][0]


@pytest.mark.parametrize(
    ("what", "status"),
    [("wrong_key", "401"), ("wrong_secret", "401"), ("out_of_date", "403")],
)
def test_the_sdk_is_refused_at_the_handshake(
    judged: dict[str, Any], what: str, status: str
) -> None:
    """An unknown key, a tampered signature and one that is too old are refused with the vendor's status."""
    code, words = judged[what]
    assert (-1, True) == (code, f"Handshake status {status}" in words)


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("wrong_app", 10016),
        ("wrong_path", 10404),
        ("hot", 10005),
        ("wide", 10005),
        ("long", 10005),
        ("assistant_last", 10005),
        ("odd_role", 10005),
    ],
)
def test_the_sdk_is_refused_what_is_wrong(judged: dict[str, Any], what: str, code: int) -> None:
    """Another application, another path's domain, values out of range and a wrong order of roles get their codes."""
    assert code == judged[what][0]


def test_the_sdk_gets_vectors(judged: dict[str, Any]) -> None:
    """Questions and passages become vectors of length one; a domain that there is not, and a tampered signature, none."""
    vectors = judged["embedding"]
    for domain in ("query", "para"):
        assert 2560 == len(vectors[domain])
        assert math.isclose(1.0, math.hypot(*vectors[domain]), rel_tol=1e-6)
    assert "10005" in vectors["other"]
    assert "header" in judged["embedding_tampered"]  # the SDK looks for a header in the refusal


def test_the_sdks_helper_reaches_the_pictures(judged: dict[str, Any]) -> None:
    """A URL that the SDK's helper signed gets a picture."""
    status, body = judged["drawn"]
    assert (200, 0) == (status, body["header"]["code"])
    assert body["payload"]["choices"]["text"][0]["content"].startswith("iVBORw0KGgo")


async def test_the_recommended_http_client_is_served() -> None:
    """The `openai` client, which the vendor recommends for HTTP, chats, streams, calls and is refused."""
    hello: Any = [{"role": "user", "content": "你好"}]
    async with (
        run_app(build()) as base_url,
        AsyncOpenAI(api_key=API_PASSWORD, base_url=f"{base_url}/v1", max_retries=0) as client,
        AsyncOpenAI(
            api_key=f"{API_KEY}:{API_SECRET}", base_url=f"{base_url}/v2", max_retries=0
        ) as second,
        AsyncOpenAI(api_key="wrong", base_url=f"{base_url}/v1", max_retries=0) as stranger,
    ):
        chat = client.chat.completions
        whole = await chat.create(model="4.0Ultra", messages=hello)
        text, usage = "", None
        async for chunk in await chat.create(model="4.0Ultra", messages=hello, stream=True):
            text += chunk.choices[0].delta.content or ""
            usage = chunk.usage or usage
        assert whole.usage is not None
        assert usage is not None
        assert whole.choices[0].message.content == text
        assert whole.usage.completion_tokens == usage.completion_tokens
        called = await chat.create(
            model="4.0Ultra",
            messages=[{"role": "user", "content": "北京天气"}],
            tools=[TOOL],
            extra_body={"tool_calls_switch": True},
        )
        (call,) = called.choices[0].message.tool_calls or ()
        assert "get_weather" == call.function.name  # type: ignore[union-attr]  # a function's call
        thought = await second.chat.completions.create(model="x1", messages=hello)
        assert thought.choices[0].message.reasoning_content  # type: ignore[attr-defined]  # the vendor's own
        with pytest.raises(AuthenticationError) as caught:
            await stranger.chat.completions.create(model="lite", messages=hello)
        assert "invalid user" in caught.value.message
        with pytest.raises(BadRequestError):
            await chat.create(model="x1", messages=hello)
        with pytest.raises(BadRequestError):
            await chat.create(model="lite", messages=hello, temperature=2.5)
