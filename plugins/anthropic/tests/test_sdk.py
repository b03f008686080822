"""The vendor's official SDK, unmodified and of both generations, judges our sandbox."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fengchao_anthropic.sandbox import API_KEY, build
from fengchao_core.testing import run_app

CLIENT = Path(__file__).parent / "sdk_client.py"
NEWEST, OLDER = "2.11.0", "0.125.0"


@pytest.fixture(scope="module", params=[NEWEST, OLDER])
def judged(judges: ModuleType, request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the SDK made of each answer, asked once for all tests."""
    python = judges.judge_venv("anthropic", (f"anthropic=={request.param}",))

    async def ask() -> dict[str, Any]:
        async with run_app(build()) as base_url:
            process = await asyncio.create_subprocess_exec(
                str(python),
                "-W",
                "ignore::DeprecationWarning",  # the SDK's own, about the product's older models
                str(CLIENT),
                base_url,
                API_KEY,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, error = await process.communicate()
        assert 0 == process.returncode, error.decode()
        result: dict[str, Any] = json.loads(out)
        return result

    result = asyncio.run(ask())
    assert request.param == result["version"]
    return result


def text_of(message: dict[str, Any]) -> str:
    """The text of a message."""
    return "".join(block["text"] for block in message["content"] if block["type"] == "text")


def calls_of(message: dict[str, Any]) -> list[tuple[str, Any]]:
    """The calls of a message."""
    return [(b["name"], b["input"]) for b in message["content"] if b["type"] == "tool_use"]


def test_each_generation_has_its_headers(judged: dict[str, Any]) -> None:
    """The newest SDK sends a bearer token, the older one x-api-key, each with its own version; both are served."""
    sent = judged["sent"]
    expected = (
        ("2026-10-21", None, f"Bearer {API_KEY}")
        if judged["version"] == NEWEST
        else ("2023-06-01", API_KEY, None)
    )
    assert expected == (sent["anthropic-version"], sent["x-api-key"], sent["authorization"])
    assert judged["request_id"].startswith("req_")


def test_the_sdk_chats(judged: dict[str, Any]) -> None:
    """A whole answer passes the SDK's strict validation; stop texts and short limits end one as the vendor tells it."""
    assert "你好" in text_of(judged["basic"])
    assert "end_turn" == judged["basic"]["stop_reason"]
    system = judged["system"]
    assert ("stop_sequence", "沙箱") == (system["stop_reason"], system["stop_sequence"])
    short = judged["short"]
    assert ("max_tokens", 5) == (short["stop_reason"], short["usage"]["output_tokens"])


def test_the_sdk_streams(judged: dict[str, Any]) -> None:
    """A stream has the whole answer's text and usage, event by event and through the SDK's helper."""
    whole = judged["basic"]
    streamed = judged["stream"]
    assert text_of(whole) == streamed["text"] == judged["stream_split"]["text"]
    kinds = [
        k for i, k in enumerate(streamed["kinds"]) if k != "ping" and k not in streamed["kinds"][:i]
    ]
    assert [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ] == kinds
    assert whole["usage"]["output_tokens"] == streamed["usage"]["output_tokens"]
    helped = judged["helped"]
    assert text_of(whole) == text_of(helped["message"])
    assert helped["pieces"] > 10
    assert whole["usage"]["output_tokens"] == helped["message"]["usage"]["output_tokens"]
    assert [f"number {number}" for number in range(5)] == judged["asynchronous"]


@pytest.mark.parametrize("loop", ["loop", "budget_loop"])
def test_the_sdk_gets_calls_and_gives_results(judged: dict[str, Any], loop: str) -> None:
    """Parallel calls, their results and the answer, with and without thinking; calls without results are refused."""
    answers = judged[loop]
    assert [("get_weather", {"city": "北京"}), ("get_time", {"city": "上海"})] == calls_of(
        answers["first"]
    )
    assert "tool_use" == answers["first"]["stop_reason"]
    assert "度" in text_of(answers["second"])
    assert ["BadRequestError", 400, "invalid_request_error", True] == answers["forgotten"]


def test_the_sdk_steers_calls(judged: dict[str, Any]) -> None:
    """One call only, a named one, and calls put together by the streaming helper."""
    assert [("get_weather", {"city": "北京"})] == calls_of(judged["one_call"])
    assert [("get_time", {"city": "北京"})] == calls_of(judged["named_call"])
    helped = judged["helped_calls"]["message"]
    assert ["北京", "上海"] == [arguments["city"] for _, arguments in calls_of(helped)]


def test_the_sdk_sees_signed_thinking(judged: dict[str, Any]) -> None:
    """Thinking comes with a signature, streamed too; unchanged it is taken back, changed it is refused."""
    for message in (judged["thinking"]["first"], judged["helped_thinking"]["message"]):
        first = message["content"][0]
        assert ("thinking", True, True) == (
            first["type"],
            bool(first["thinking"]),
            bool(first["signature"]),
        )
        assert message["usage"]["output_tokens_details"]["thinking_tokens"] > 0
    assert "end_turn" == judged["thinking"]["fine"]
    assert ["BadRequestError", 400, "invalid_request_error", True] == judged["thinking"]["tampered"]


def test_the_sdk_gets_pictures_schemas_and_refusals(judged: dict[str, Any]) -> None:
    """A picture is seen, a schema is kept to, and a refusal is an answer, not an error."""
    assert "1×1" in text_of(judged["picture"])
    assert ["answer"] == list(json.loads(text_of(judged["schema"])))
    assert ("refusal", "refusal") == (
        judged["refused"]["stop_reason"],
        judged["refused"]["stop_details"]["type"],
    )
    assert ("refusal", True) == (
        judged["refused_stream"]["stop"],
        bool(judged["refused_stream"]["text"]),
    )


def test_the_sdk_sees_the_prompt_cache(judged: dict[str, Any]) -> None:
    """A marked prompt is written to the cache, and read from it the second time."""
    first, second = judged["cached"]
    written = first["cache_creation_input_tokens"]
    assert (0, 0) == (first["cache_read_input_tokens"], second["cache_creation_input_tokens"])
    assert written == second["cache_read_input_tokens"] > 1024
    assert first["input_tokens"] == second["input_tokens"] > 0


def test_the_sdk_counts_and_lists(judged: dict[str, Any]) -> None:
    """Tokens are counted; the models come over several pages, and one by one."""
    assert judged["count"] > 0
    assert "claude-3-opus-20240229" in judged["models"]
    assert len(set(judged["models"])) == len(judged["models"]) > 10
    assert "claude-3-opus-20240229" == judged["model"]["id"]


def test_the_sdk_hands_over_batches(judged: dict[str, Any]) -> None:
    """A batch begins, ends with results of its own for each request, and can be given up and forgotten."""
    batches = judged["batches"]
    assert ("in_progress", "ended") == (
        batches["batch"]["processing_status"],
        batches["done"]["processing_status"],
    )
    results = {row["custom_id"]: row["result"] for row in batches["results"]}
    assert ("succeeded", "errored") == (results["good"]["type"], results["bad"]["type"])
    assert "你好" in text_of(results["good"]["message"])
    assert "not_found_error" == results["bad"]["error"]["error"]["type"]
    assert ("canceling", 1, 2, "message_batch_deleted") == (
        batches["cancelling"],
        batches["canceled"],
        batches["listed"],
        batches["deleted"],
    )


def test_the_sdk_keeps_files(judged: dict[str, Any]) -> None:
    """A file is uploaded, listed and deleted, once."""
    files = judged["files"]
    assert [files["file"]["id"]] == files["listed"]
    assert ("a.txt", 4, True) == (
        files["file"]["filename"],
        files["file"]["size_bytes"],
        files["deleted"],
    )
    assert ["NotFoundError", 404, "not_found_error", True] == files["again"]


def test_the_sdk_raises_its_own_errors(judged: dict[str, Any]) -> None:
    """Statuses and error types become the SDK's own exceptions, with the request id, and its retries succeed."""
    kinds = {fault: error[1:] for fault, error in judged["errors"].items()}
    assert {
        "400": [400, "invalid_request_error", True],
        "401": [401, "authentication_error", True],
        "402": [402, "billing_error", True],
        "403": [403, "permission_error", True],
        "404": [404, "not_found_error", True],
        "409": [409, "conflict_error", True],
        "413": [413, "request_too_large", True],
        "429": [429, "rate_limit_error", True],
        "500": [500, "api_error", True],
        "504": [504, "timeout_error", True],
        "529": [529, "overloaded_error", True],
    } == kinds
    names = {fault: error[0] for fault, error in judged["errors"].items()}
    assert ("AuthenticationError", "RateLimitError", "OverloadedError") == (
        names["401"],
        names["429"],
        names["529"],
    )
    assert ["AuthenticationError", 401, "authentication_error", True] == judged["wrong_key"]
    assert ["APIStatusError", 200, "overloaded_error", True] == judged["broken_stream"]
    assert ("end_turn", "end_turn") == (judged["retried"], judged["waited"])


def test_the_sdk_is_refused_what_the_vendor_refuses(judged: dict[str, Any]) -> None:
    """Unknown models, a wrong order of roles, values out of range, and temperature by the newest generation."""
    bad = ["BadRequestError", 400, "invalid_request_error", True]
    assert ["NotFoundError", 404, "not_found_error", True] == judged["no_model"]
    for what in ("bad_role", "too_many", "negative", "hot"):
        assert bad == judged[what], what
    assert (bad if judged["version"] == NEWEST else None) == judged["temperature"]
