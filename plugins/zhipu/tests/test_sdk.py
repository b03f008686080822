"""The vendor's official SDK, unmodified, judges our sandbox."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fengchao_core.testing import run_app
from fengchao_zhipu.sandbox import API_KEY, BASE_PATH, build

CLIENT = Path(__file__).parent / "sdk_client.py"
# The SDK imports sniffio without declaring it.
REQUIREMENTS = ("zhipuai==2.1.5.20250825", "sniffio")


@pytest.fixture(scope="module")
def judged(judges: ModuleType) -> dict[str, Any]:
    """What the SDK made of each answer, asked once for all tests."""
    python = judges.judge_venv("zhipuai", REQUIREMENTS)

    async def ask() -> dict[str, Any]:
        async with run_app(build()) as base_url:
            process = await asyncio.create_subprocess_exec(
                str(python),
                str(CLIENT),
                base_url + BASE_PATH,
                API_KEY,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, error = await process.communicate()
        assert 0 == process.returncode, error.decode()
        result: dict[str, Any] = json.loads(out)
        return result

    return asyncio.run(ask())


def message(answer: dict[str, Any]) -> dict[str, Any]:
    """The message of an answer's first choice."""
    said: dict[str, Any] = answer["choices"][0]["message"]
    return said


def test_the_judge_is_the_one_we_name(judged: dict[str, Any]) -> None:
    """The SDK is of the generation that we judge by."""
    assert judged["version"].lstrip("v").startswith("2.1.5")


@pytest.mark.parametrize("mode", ["jwt", "raw", "strict"])
def test_the_sdk_chats(judged: dict[str, Any], mode: str) -> None:
    """The SDK gets an answer with a signed token, with the raw key, and with its strict validation."""
    answer = judged[mode]
    assert "你好" in message(answer)["content"]
    assert ("stop", "assistant", "glm-4") == (
        answer["choices"][0]["finish_reason"],
        message(answer)["role"],
        answer["model"],
    )
    assert answer["id"]
    assert answer["request_id"]
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_the_sdk_streams(judged: dict[str, Any]) -> None:
    """A streamed answer comes in pieces, has the whole one's text and usage, and survives split characters."""
    streamed = judged["stream"]
    assert message(judged["jwt"])["content"] == streamed["text"] == judged["stream_split"]["text"]
    assert judged["jwt"]["usage"]["completion_tokens"] == streamed["usage"]["completion_tokens"]
    assert (["assistant"], "stop") == (streamed["roles"], streamed["finish"])
    assert streamed["pieces"] > 10


def test_the_sdk_sees_thinking(judged: dict[str, Any]) -> None:
    """A thinking model thinks before it answers, unless it is told not to."""
    assert judged["thinking"]["reasoning"]
    assert "" == judged["not_thinking"]["reasoning"]
    assert judged["thinking"]["text"] == judged["not_thinking"]["text"]


def test_the_sdk_gets_calls_and_gives_results(judged: dict[str, Any]) -> None:
    """A question with tools gets a call, also in parallel in a stream; its result is used in the next answer."""
    (call,) = message(judged["called"])["tool_calls"]
    assert ("get_weather", {"city": "北京"}) == (
        call["function"]["name"],
        json.loads(call["function"]["arguments"]),
    )
    assert "tool_calls" == judged["called"]["choices"][0]["finish_reason"]
    streamed = judged["stream_called"]
    assert "tool_calls" == streamed["finish"]
    cities = [json.loads(call["function"]["arguments"])["city"] for call in streamed["calls"]]
    assert ["北京", "上海"] == cities
    assert '{"temp": 21}' in message(judged["answered"])["content"]


def test_the_sdk_gets_json_pictures_and_searches(judged: dict[str, Any]) -> None:
    """JSON mode gives an object, a picture is seen, a search has its results, and a short limit cuts."""
    assert "返回JSON" == json.loads(message(judged["json"])["content"])["question"]
    assert "1×1" in message(judged["picture"])["content"]
    assert "ref_1" == judged["search"]["web_search"][0]["refer"]
    assert "length" == judged["length"]["choices"][0]["finish_reason"]
    assert 5 == judged["length"]["usage"]["completion_tokens"]


def test_the_sdk_gets_vectors(judged: dict[str, Any]) -> None:
    """Vectors have the length asked for, or the model's own, and length one."""
    (single,) = judged["embedding"]["data"]
    assert 1024 == len(single["embedding"])
    assert math.isclose(1.0, math.hypot(*single["embedding"]), rel_tol=1e-6)
    assert [512, 512] == [len(item["embedding"]) for item in judged["embeddings"]["data"]]
    assert [0, 1] == [item["index"] for item in judged["embeddings"]["data"]]


def test_the_sdk_gets_a_picture(judged: dict[str, Any]) -> None:
    """A drawn picture comes as a URL."""
    assert judged["image"]["data"][0]["url"].startswith("http://127.0.0.1:")


def test_the_sdk_gets_tasks_done(judged: dict[str, Any]) -> None:
    """A task is under way, then done with the answer and its usage; one that fails says so."""
    created, waiting, done = judged["task"]
    assert ("PROCESSING", "req-async-1") == (created["task_status"], created["request_id"])
    assert ("PROCESSING", created["id"]) == (waiting["task_status"], waiting["id"])
    assert "SUCCESS" == done["task_status"]
    assert "长文" in message(done)["content"]
    assert done["usage"]["completion_tokens"] > 0
    assert ["PROCESSING", "FAIL"] == judged["failed_task"]


def test_the_sdk_keeps_files(judged: dict[str, Any]) -> None:
    """A file is taken, listed, given back and deleted; a document goes to its knowledge base."""
    assert ("jobs.jsonl", 19, "batch") == tuple(
        judged["file"][name] for name in ("filename", "bytes", "purpose")
    )
    assert [judged["file"]["id"]] == [each["id"] for each in judged["listed"]["data"]]
    assert '{"custom_id":"r1"}\n' == judged["content"]
    assert (judged["file"]["id"], True) == (judged["deleted"]["id"], judged["deleted"]["deleted"])
    assert [] == judged["left"]
    (document,) = judged["document"]["successInfos"]
    assert document["documentId"]
    assert "公司制度.txt" == document["filename"]


def test_the_sdk_searches(judged: dict[str, Any]) -> None:
    """The search API finds as many pages as asked for, and the older agent tells what it looked for and found."""
    pages = judged["found"]["search_result"]
    assert [f"ref_{number}" for number in range(1, 6)] == [page["refer"] for page in pages]
    assert "大模型" == judged["found"]["search_intent"][0]["query"]
    steps = judged["found_by_agent"]["choices"][0]["message"]["tool_calls"]
    assert ["search_intent", "search_result"] == [step["type"] for step in steps]
    assert "rq-9" == judged["found_by_agent"]["request_id"]


def test_the_sdk_is_refused_what_is_wrong(judged: dict[str, Any]) -> None:
    """Unknown tasks and files, unknown purposes, missing fields, used ids and limits are refused."""
    wrong = ["APIRequestFailedError", 400]
    names = ("no_task", "no_file", "no_purpose", "no_query", "same_id")
    assert (
        dict.fromkeys(names, wrong) | {"search_limited": ["APIReachLimitError", 429]}
        == judged["refused"]
    )


def test_the_sdk_raises_its_own_errors(judged: dict[str, Any]) -> None:
    """The vendor's codes and statuses become the SDK's own exceptions."""
    assert [["APIAuthenticationError", 401]] * 4 == judged["wrong_keys"]
    assert {
        "1210": ["APIRequestFailedError", 400],
        "1301": ["APIRequestFailedError", 400],
        "1302": ["APIReachLimitError", 429],
        "1113": ["APIReachLimitError", 429],
        "1003": ["APIAuthenticationError", 401],
        "500": ["APIInternalError", 500],
        "503": ["APIServerFlowExceedError", 503],
        "1220": ["APIStatusError", 403],
    } == judged["errors"]
    assert ["APIRequestFailedError", 400] == judged["no_model"]
    assert ["APIRequestFailedError", 400] == judged["bad_range"]
