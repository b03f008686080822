"""The vendor's official SDK, and the `openai` client for V2, both unmodified, judge our sandbox."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import openai
import pytest

from fengchao_core.testing import run_app
from fengchao_qianfan.sandbox import AK, API_KEY, IAM_AK, IAM_SK, SK, build

CLIENT = Path(__file__).parent / "sdk_client.py"
REQUIREMENTS = ("qianfan==0.4.12.3",)


@pytest.fixture(scope="module")
def judged(judges: ModuleType) -> dict[str, Any]:
    """What the SDK made of each answer, asked once for all tests."""
    python = judges.judge_venv("qianfan", REQUIREMENTS)
    credentials = {"ak": AK, "sk": SK, "api_key": API_KEY, "iam_ak": IAM_AK, "iam_sk": IAM_SK}
    known = {name: value for name, value in os.environ.items() if not name.startswith("QIANFAN_")}

    async def ask() -> dict[str, Any]:
        async with run_app(build()) as base_url:
            process = await asyncio.create_subprocess_exec(
                str(python),
                str(CLIENT),
                base_url,
                env={**known, "SANDBOX_CREDENTIALS": json.dumps(credentials)},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, error = await process.communicate()
        assert 0 == process.returncode, error.decode()
        result: dict[str, Any] = json.loads(out)
        return result

    return asyncio.run(ask())


def test_the_judge_is_the_one_we_name(judged: dict[str, Any]) -> None:
    """The SDK is of the version that we judge by."""
    assert "0.4.12.3" == judged["version"]


def test_the_sdk_chats(judged: dict[str, Any]) -> None:
    """The SDK gets answers with few parameters and with all, in one turn and in several, sync and async."""
    for name in ("chat", "full", "turns"):
        answer = judged[name]
        assert "本地沙箱" in answer["result"]
        assert ("chat.completion", "normal", False) == (
            answer["object"],
            answer["finish_reason"],
            answer["need_clear_history"],
        )
        usage = answer["usage"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert "第 2 轮" in judged["turns"]["result"]
    assert judged["chat"]["result"] == judged["async"]["whole"]["result"] == judged["async"]["text"]


def test_the_sdk_streams(judged: dict[str, Any]) -> None:
    """A stream comes in numbered pieces, ends by saying so, and has the whole answer's text and usage."""
    for name in ("stream", "split"):
        answer = judged[name]
        assert judged["chat"]["result"] == answer["text"]
        assert answer["pieces"] > 10
        assert [*([False] * (answer["pieces"] - 1)), True] == answer["ends"]
        assert list(range(answer["pieces"])) == answer["ids"]
    assert judged["chat"]["usage"] == judged["stream"]["usage"]


def test_the_sdk_gets_calls_and_gives_results(judged: dict[str, Any]) -> None:
    """A question with functions gets a call, whole and streamed; its result is used in the next answer."""
    for call in (judged["called"]["function_call"], judged["stream_called"]["call"]):
        assert ("get_weather", {"city": "北京"}) == (call["name"], json.loads(call["arguments"]))
    assert "" == judged["called"]["result"]
    assert '{"temp": 21}' in judged["answered"]["result"]


def test_the_sdk_reaches_the_products_models(judged: dict[str, Any]) -> None:
    """Each of the product's models that the SDK knows is at the path that the SDK asks."""
    for name, text in judged["models"].items():
        assert name in text
    assert "sandbox_published" in judged["published"]["result"]


def test_the_sdk_gets_the_rest(judged: dict[str, Any]) -> None:
    """Completions, plugins, vectors, pictures drawn and seen, rankings and token counts work."""
    assert ("completion", 1) == (judged["completion"]["object"], judged["completion"]["is_safe"])
    assert "EBPluginV2" in judged["plugin"]["result"]
    assert "mine" in judged["own_plugin"]["result"]
    assert [384, 384] == [len(each["embedding"]) for each in judged["embedding"]["data"]]
    assert "embedding_list" == judged["embedding"]["object"]
    assert 2 == len(judged["image"])
    assert "1×1" in judged["seen"]["result"]
    assert [1] == [each["index"] for each in judged["ranked"]["results"]]
    assert 1 < judged["tokens"]


def test_the_sdk_renews_tokens_and_tries_again(judged: dict[str, Any]) -> None:
    """An expired token makes the SDK fetch another one, and a code that it retries makes it try again."""
    assert judged["chat"]["result"] == judged["renewed"] == judged["twice"]
    assert judged["renewed_stream"] is None


def test_the_sdk_raises_its_own_errors(judged: dict[str, Any]) -> None:
    """Refusals arrive as the SDK's own exceptions with the vendor's codes, also within streams and on a bare line."""
    assert {
        "17": ["APIError", 17],
        "18": ["APIError", 18],
        "336003": ["APIError", 336003],
        "336100": ["APIError", 336100],
        "500": ["APIError", 336000],
        "too_long": ["APIError", 336103],
        "expired_token": ["AccessTokenExpiredError", None],
    } == judged["errors"]
    assert {
        "17": ["APIError", 17],
        "500 after=2": ["APIError", 336000],
        "bare_line after=2": ["APIError", 336000],
    } == judged["stream_errors"]
    assert (True, -1) == (judged["unsafe"]["need_clear_history"], judged["unsafe"]["ban_round"])


def test_the_sdk_is_refused_where_the_vendor_would(judged: dict[str, Any]) -> None:
    """Wrong order, parity, ranges and lengths get the vendor's codes; wrong keys, forged tokens and signatures, too."""
    assert {
        "even": ["APIError", 336006],
        "order": ["APIError", 336003],
        "blank": ["APIError", 336003],
        "temperature": ["APIError", 336003],
        "top_p": ["APIError", 336003],
        "penalty": ["APIError", 336003],
        "stop": ["APIError", 336003],
        "long": ["APIError", 336007],
        "texts": ["APIError", 336003],
    } == judged["refused"]
    assert [["AuthError", None]] * 2 == judged["wrong_keys"]
    assert ["AccessTokenExpiredError", None] == judged["forged_token"]
    assert ["RequestError", 400] == judged["iam_wrong"]


def test_the_sdk_signs(judged: dict[str, Any]) -> None:
    """With IAM keys, chats, streams, vectors and the list of services are let in by signature, and V2 by a temporary key."""
    iam = judged["iam"]
    assert judged["chat"]["result"] == iam["chat"]["result"] == iam["stream"]["text"]
    assert 1024 == iam["embedding"]
    assert iam["services"] > 20
    assert "normal" == iam["v2"]["choices"][0]["finish_reason"]


def test_the_sdk_speaks_v2(judged: dict[str, Any]) -> None:
    """V2 chats, streams with usage, calls functions, and refuses with its HTTP statuses."""
    v2 = judged["v2"]
    assert v2["chat"]["choices"][0]["message"]["content"] == v2["text"]
    assert v2["usage"]["completion_tokens"] > 10
    assert "tool_calls" == v2["called"]["finish_reason"]
    assert {
        "invalid_argument": ["RequestError", 400],
        "expired_token": ["RequestError", 401],
        "429": ["RequestError", 429],
        "500": ["RequestError", 500],
    } == v2["errors"]
    assert [["RequestError", 400]] * 2 == [v2["order"], v2["range"]]
    assert ["RequestError", 401] == v2["forged"]


# V2, with the client of the dialect that it speaks.


@asynccontextmanager
async def opened(key: str = API_KEY) -> AsyncIterator[openai.AsyncOpenAI]:
    """The `openai` client against the sandbox."""
    async with (
        run_app(build()) as base_url,
        openai.AsyncOpenAI(base_url=f"{base_url}/v2", api_key=key, max_retries=0) as client,
    ):
        yield client


async def test_the_openai_client_speaks_v2() -> None:
    """Chats whole and streamed, thinking, vectors, pictures and the list of models satisfy the `openai` client."""
    messages: Any = [{"role": "user", "content": "你好"}]
    async with opened() as client:
        whole = await client.chat.completions.create(model="ernie-x1.1", messages=messages)
        stream = await client.chat.completions.create(
            model="ernie-x1.1",
            messages=messages,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
        text = "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices)
        assert whole.choices[0].message.content == text
        assert getattr(whole.choices[0].message, "reasoning_content", None)
        assert whole.usage == chunks[-1].usage
        vectors = await client.embeddings.create(
            model="bge-large-zh", input=["a", "b"], encoding_format="float"
        )
        assert [1024, 1024] == [len(each.embedding) for each in vectors.data]
        drawn = await client.images.generate(model="irag-1.0", prompt="猫", n=2, size="1024x1024")
        assert 2 == len(drawn.data or ())
        assert "ernie-x1.1" in [model.id async for model in client.models.list()]


async def test_the_openai_client_is_refused() -> None:
    """Wrong keys, wrong order and scripted limits arrive as the client's own exceptions."""
    one: Any = [{"role": "user", "content": "你好"}]
    limited: Any = [{"role": "user", "content": "你好 [[fault:429]]"}]
    async with opened() as client:
        create = client.chat.completions.create
        with pytest.raises(openai.BadRequestError) as caught:
            await create(model="ernie-4.0-8k", messages=[*one, *one])
        assert "invalid_messages" == caught.value.code
        with pytest.raises(openai.RateLimitError):
            await create(model="ernie-4.0-8k", messages=limited)
    async with opened(API_KEY + "x") as client:
        with pytest.raises(openai.AuthenticationError):
            await client.chat.completions.create(model="ernie-4.0-8k", messages=one)
