"""The vendor's official SDK, unmodified, judges our sandbox; OpenAI's judges its chat-completions dialects."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import openai
import pytest

from fengchao_core.testing import run_app
from fengchao_sensetime.sandbox import AK, API_KEY, SK, build

CLIENT = Path(__file__).parent / "sdk_client.py"
REQUIREMENTS = ("sensenova==1.0.6",)


@pytest.fixture(scope="module")
def judged(judges: ModuleType) -> dict[str, Any]:
    """What the SDK made of each answer, asked once for all tests."""
    python = judges.judge_venv("sensenova", REQUIREMENTS)

    async def ask() -> dict[str, Any]:
        async with run_app(build()) as base_url:
            process = await asyncio.create_subprocess_exec(
                str(python),
                str(CLIENT),
                f"{base_url}/v1",
                AK,
                SK,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, error = await process.communicate()
        assert 0 == process.returncode, error.decode()
        result: dict[str, Any] = json.loads(out)
        return result

    return asyncio.run(ask())


def first(answer: dict[str, Any]) -> dict[str, Any]:
    """The first choice of an answer."""
    choice: dict[str, Any] = answer["data"]["choices"][0]
    return choice


def test_the_judge_is_the_one_we_name(judged: dict[str, Any]) -> None:
    """The SDK is of the version that we judge by."""
    assert "1.0.6" == judged["version"]


def test_the_sdk_chats(judged: dict[str, Any]) -> None:
    """The SDK gets a text, as many choices as it asks for, cut where it says, and usage that adds up."""
    assert ("stop", "assistant") == (
        first(judged["chat"])["finish_reason"],
        first(judged["chat"])["role"],
    )
    assert "你好" in first(judged["chat"])["message"]
    assert ["length"] * 2 == [c["finish_reason"] for c in judged["full"]["data"]["choices"]]
    usage = judged["full"]["data"]["usage"]
    assert 10 == usage["completion_tokens"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_the_sdk_streams(judged: dict[str, Any]) -> None:
    """A streamed answer comes in pieces, has the whole one's text and usage, and survives split characters."""
    streamed = judged["stream"]
    assert [first(judged["chat"])["message"]] == streamed["texts"] == judged["split"]["texts"]
    assert judged["chat"]["data"]["usage"] == streamed["usage"]
    assert ["stop"] == streamed["ends"]
    assert streamed["pieces"] > 10
    assert (2, ["stop", "stop"]) == (len(judged["several"]["texts"]), judged["several"]["ends"])


def test_the_sdk_sees_thinking_and_pictures(judged: dict[str, Any]) -> None:
    """A reasoning model shows its thinking apart, and a picture is seen."""
    assert judged["thinking"]["reasoning"]
    assert judged["thinking"]["reasoning"] not in judged["thinking"]["texts"][0]
    assert "1×1" in first(judged["picture"])["message"]


def test_the_sdk_gets_calls_and_gives_results(judged: dict[str, Any]) -> None:
    """A question with tools gets a call beside its message, also in parallel in a stream; its result is used."""
    (call,) = first(judged["called"])["tool_calls"]
    assert ("get_weather", {"city": "北京"}) == (
        call["function"]["name"],
        json.loads(call["function"]["arguments"]),
    )
    assert "tool_calls" == first(judged["called"])["finish_reason"]
    streamed = judged["stream_called"]
    cities = [json.loads(call["function"]["arguments"])["city"] for call in streamed["calls"]]
    assert (["北京", "上海"], ["tool_calls"]) == (cities, streamed["ends"])
    assert '{"temp": 21}' in first(judged["answered"])["message"]


def test_the_sdk_searches_and_knows(judged: dict[str, Any]) -> None:
    """A search shows what it found, and knowledge of an uploaded file is used, shown and counted."""
    assert 1 == judged["search"]["data"]["plugins"]["web_search"]["online_search_count"]
    known = judged["knowledge"]
    for data in (known["answer"]["data"], known["streamed"]):
        (base,) = data["knowledge_base_results"]
        assert "蜂巢是六边形的" == base["results"][0]["result"]
        usage = data["usage"]
        assert usage["knowledge_tokens"] > 0
        assert usage["total_tokens"] == sum(
            usage[f"{name}_tokens"] for name in ("prompt", "completion", "knowledge")
        )


def test_the_sdk_holds_sessions(judged: dict[str, Any]) -> None:
    """Turns of a session build on each other, whole and streamed; a session that is lost is refused."""
    sessions = judged["sessions"]
    assert sessions["default"]
    assert "你好" in sessions["first"]["data"]["message"]
    text, usage = sessions["second"]
    assert "再见" in text
    assert usage["prompt_tokens"] > sessions["first"]["data"]["usage"]["prompt_tokens"]
    assert ["InvalidRequestError", 404, 5] == sessions["lost"]


def test_the_sdk_keeps_files_and_knowledge_bases(judged: dict[str, Any]) -> None:
    """Files are uploaded, listed, downloaded from the storage and deleted; knowledge bases are, too, and changed."""
    known = judged["knowledge"]
    assert "VALID" == known["file"]["file"]["status"]
    assert [known["file"]["file"]] == known["files"]["files"]
    assert ["蜂巢是六边形的"] == json.loads(known["content"])["text_lst"]
    assert ("新库", []) == (
        known["base"]["knowledge_base"]["description"],
        known["base"]["knowledge_base"]["files"],
    )
    assert [known["base"]["knowledge_base"]] == known["bases"]["knowledge_bases"]
    lost = ["InvalidRequestError", 404, 5]
    assert (lost, lost) == (known["lost_file"], known["lost_base"])


def test_the_sdk_plays_completes_and_embeds(judged: dict[str, Any]) -> None:
    """Characters reply, texts are gone on with, vectors have length one, and models are listed."""
    character = judged["character"]["data"]
    assert character["reply"] == character["choices"][0]["message"]
    assert ["length"] * 2 == [c["finish_reason"] for c in judged["completion"]["data"]["choices"]]
    rows = judged["embedding"]["embeddings"]
    assert [(0, 1536), (1, 1536)] == [(row["index"], len(row["embedding"])) for row in rows]
    assert math.isclose(1.0, math.hypot(*rows[0]["embedding"]), rel_tol=1e-6)
    assert "SenseChat-5" in [model["id"] for model in judged["models"]["data"]]
    assert "SenseChat-5" == judged["model"]["model"]["id"]


def test_the_sdk_raises_its_own_errors(judged: dict[str, Any]) -> None:
    """The vendor's codes and statuses become the SDK's own exceptions, also in the middle of a stream."""
    assert {
        "3": ["InvalidRequestError", 400, 3],
        "5": ["InvalidRequestError", 404, 5],
        "6": ["TryAgain", 409, 6],
        "7": ["PermissionError", 403, 7],
        "8": ["RateLimitError", 429, 8],
        "10": ["TryAgain", 409, 10],
        "13": ["APIError", 500, 13],
        "14": ["ServiceUnavailableError", 503, None],
        "16": ["AuthenticationError", 401, 16],
        "18": ["InvalidRequestError", 400, 18],
    } == judged["errors"]
    assert ["APIError", 200, 18] == judged["stream_error"]
    assert ["PermissionError", 403, 7] == judged["deleted_model"]


def test_the_sdk_is_refused_what_the_vendor_refuses(judged: dict[str, Any]) -> None:
    """Values out of range, a wrong order of roles and an unknown model are refused with the vendor's codes."""
    illegal = ["InvalidRequestError", 400, 3]
    assert {
        "range": illegal,
        "top_p": illegal,
        "roles": illegal,
        "tool_choice": illegal,
        "model": ["InvalidRequestError", 404, 5],
    } == judged["bad"]


def test_the_sdk_is_refused_with_a_wrong_token(judged: dict[str, Any]) -> None:
    """A tampered signature, an expired token, an early one, another's and another pair of keys are refused."""
    refused = ["AuthenticationError", 401, 16]
    assert {
        "good": None,
        **dict.fromkeys(("tampered", "expired", "early", "other"), refused),
    } == judged["tokens"]
    assert [refused] * 2 == judged["pairs"]


# The chat-completions dialects, by OpenAI's own client.

TOOL: Any = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"required": ["city"]}},
}


@pytest.mark.parametrize(
    ("path", "model", "reasoning_field"),
    [
        ("/token-plan/v1", "sensenova-6.7-flash-lite", "reasoning"),
        ("/compatible-mode/v1", "DeepSeek-R1", "reasoning_content"),
    ],
)
async def test_openais_sdk_chats(path: str, model: str, reasoning_field: str) -> None:
    """Chat, stream with usage, thinking, calls and refusals work with the client of the dialect's origin."""
    asked: list[Any] = [{"role": "user", "content": "北京天气？"}]
    effort: dict[str, Any] = {"reasoning_effort": "high"} if "token" in path else {}
    async with (
        run_app(build()) as base_url,
        openai.AsyncOpenAI(base_url=base_url + path, api_key=API_KEY, max_retries=0) as client,
    ):
        create = client.chat.completions.create
        whole = await create(model=model, messages=asked, **effort)
        stream = await create(
            model=model,
            messages=asked,
            stream=True,
            stream_options={"include_usage": True},
            **effort,
        )
        chunks = [chunk async for chunk in stream]
        called = await create(model=model, messages=asked, tools=[TOOL])
        with pytest.raises(openai.BadRequestError) as caught:
            await create(model=model, messages=asked, temperature=2.5)
        with pytest.raises(openai.NotFoundError):
            await create(model="nothing", messages=asked)
        with pytest.raises(openai.AuthenticationError):
            await client.with_options(api_key="sk-other").chat.completions.create(
                model=model, messages=asked
            )
    message = whole.choices[0].message
    assert message.content
    assert getattr(message, reasoning_field)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert message.content == text
    assert ("", "stop") == (
        chunks[0].choices[0].finish_reason,
        chunks[-2].choices[0].finish_reason,
    )
    assert ([], whole.usage) == (chunks[-1].choices, chunks[-1].usage)
    assert called.choices[0].message.tool_calls
    assert "3" == caught.value.code
