"""The vendor's official SDKs, unmodified, judge our sandbox: that of Ark, and that of the legacy API."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fengchao_core.kit.sandbox import look_at
from fengchao_core.testing import run_app
from fengchao_volcengine.sandbox import AK, API_KEY, SK, build

HERE = Path(__file__).parent


def ask(python: Path, client: str, *, bare: bool) -> dict[str, Any]:
    """What an SDK makes of the sandbox's answers."""

    async def run() -> dict[str, Any]:
        async with run_app(build()) as base_url:
            where = base_url.removeprefix("http://") if bare else base_url
            process = await asyncio.create_subprocess_exec(
                str(python),
                str(HERE / client),
                where,
                API_KEY,
                AK,
                SK,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, error = await process.communicate()
        assert 0 == process.returncode, error.decode()
        result: dict[str, Any] = json.loads(out)
        return result

    return asyncio.run(run())


@pytest.fixture(scope="module")
def ark(judges: ModuleType) -> dict[str, Any]:
    """What the SDK of Ark made of each answer, asked once for all tests."""
    python = judges.judge_venv("volcengine-ark", ("volcengine-python-sdk[ark]==5.0.54",))
    return ask(python, "sdk_client_ark.py", bare=False)


@pytest.fixture(scope="module")
def maas(judges: ModuleType) -> dict[str, Any]:
    """What the SDK of the legacy API made of each answer, asked once for all tests."""
    python = judges.judge_venv("volcengine-maas", ("volcengine==1.0.229",))
    return ask(python, "sdk_client_maas.py", bare=True)


def message(answer: dict[str, Any]) -> dict[str, Any]:
    """The message of an answer's first choice."""
    said: dict[str, Any] = answer["choices"][0]["message"]
    return said


def test_the_judges_are_those_we_name(ark: dict[str, Any], maas: dict[str, Any]) -> None:
    """The SDKs are of the versions that we judge by."""
    assert ("5.0.54", "v1.0.229") == (ark["version"], maas["version"])


# Ark.


@pytest.mark.parametrize("name", ["chat", "endpoint", "guest"])
def test_ark_chats(ark: dict[str, Any], name: str) -> None:
    """The SDK gets an answer from a model, from an endpoint, and with a temporary key."""
    answer = ark[name]
    assert "你好" in message(answer)["content"]
    assert ("stop", "assistant", "chat.completion") == (
        answer["choices"][0]["finish_reason"],
        message(answer)["role"],
        answer["object"],
    )
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_ark_streams(ark: dict[str, Any]) -> None:
    """A streamed answer comes in pieces, has the whole one's text and usage, and survives split characters."""
    streamed = ark["stream"]
    assert message(ark["chat"])["content"] == streamed["text"] == ark["stream_split"]["text"]
    assert ark["chat"]["usage"]["completion_tokens"] == streamed["usage"]["completion_tokens"]
    assert "stop" == streamed["finish"]
    assert streamed["pieces"] > 10


def test_ark_shows_thinking(ark: dict[str, Any]) -> None:
    """A thinking model thinks before it answers, unless it is told not to; the thinking is counted."""
    assert message(ark["chat"])["reasoning_content"] == ark["stream"]["reasoning"]
    assert ark["stream"]["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0
    assert "" == ark["not_thinking"]["reasoning"]


def test_ark_makes_calls_and_takes_results(ark: dict[str, Any]) -> None:
    """A question with tools gets a call, also in parallel in a stream; its result is used in the next answer."""
    (call,) = message(ark["called"])["tool_calls"]
    assert {"city": "北京"} == json.loads(call["function"]["arguments"])
    streamed = ark["stream_called"]
    assert "tool_calls" == streamed["finish"]
    assert ["北京", "上海"] == [json.loads(each["arguments"])["city"] for each in streamed["calls"]]
    assert '{"temp": 21}' in message(ark["answered"])["content"]


def test_ark_shapes_its_answers(ark: dict[str, Any]) -> None:
    """JSON modes, pictures, a short limit, several choices and log-probabilities work."""
    assert "返回JSON" == json.loads(message(ark["json"])["content"])["question"]
    assert {"n"} == set(json.loads(message(ark["schema"])["content"]))
    assert "1×1" in message(ark["picture"])["content"]
    assert "length" == ark["length"]["choices"][0]["finish_reason"]
    assert [0, 1] == [choice["index"] for choice in ark["choices"]["choices"]]
    assert 2 == len(ark["logprobs"]["choices"][0]["logprobs"]["content"][0]["top_logprobs"])


def test_ark_filters(ark: dict[str, Any]) -> None:
    """An answer that the filter ends says so, and how."""
    assert ("content_filter", "severe_violation") == (
        ark["filtered"]["finish"],
        ark["filtered"]["moderation"],
    )


def test_ark_has_bots(ark: dict[str, Any]) -> None:
    """A bot says what it found, and what it used; streamed, too."""
    assert "https://example.com/" == ark["bot"]["references"][0]["url"]
    assert "bot-1" == ark["bot"]["bot_usage"]["model_usage"][0]["name"]
    assert message(ark["bot"])["content"] == ark["bot_stream"]["text"]


def test_ark_keeps_conversations(ark: dict[str, Any]) -> None:
    """A kept conversation goes on from its beginning: its tokens count."""
    assert ("session", 3600) == (ark["context"]["mode"], ark["context"]["ttl"])
    usage = ark["context_chat"]["usage"]
    assert usage["prompt_tokens"] > ark["context"]["usage"]["prompt_tokens"]


def test_ark_makes_vectors(ark: dict[str, Any]) -> None:
    """Vectors have the model's length, and length one; of texts, and of a text and a picture together."""
    for vector in [*ark["embeddings"]["data"], ark["multimodal"]["data"]]:
        assert math.isclose(1.0, math.hypot(*vector["embedding"]), rel_tol=1e-6)
    assert [0, 1] == [vector["index"] for vector in ark["embeddings"]["data"]]
    assert 2048 == len(ark["multimodal"]["data"]["embedding"])


def test_ark_draws(ark: dict[str, Any]) -> None:
    """A picture comes by address or as data, in the size asked for."""
    (by_url,) = ark["image"]["data"]
    assert by_url["url"].startswith("http://127.0.0.1:")
    assert "1024x1024" == by_url["size"]
    picture = look_at(ark["image_data"]["data"][0]["b64_json"])
    assert ("PNG", 1024, 1024) == (picture.format, picture.width, picture.height)
    assert 1 == ark["image"]["usage"]["generated_images"]


def test_ark_counts_tokens(ark: dict[str, Any]) -> None:
    """Each text has its tokens, their ids, and where they stand."""
    for at, each in enumerate(ark["tokens"]["data"]):
        assert at == each["index"]
        assert each["total_tokens"] == len(each["token_ids"]) == len(each["offset_mapping"])


def test_ark_keeps_files(ark: dict[str, Any]) -> None:
    """A file is taken, shown, listed and forgotten."""
    assert ("note.txt", 5, "active") == tuple(
        ark["file"][n] for n in ("filename", "bytes", "status")
    )
    assert ark["file"] == ark["file_shown"]
    assert [ark["file"]["id"]] == ark["files"]
    assert ark["file_deleted"]["deleted"]
    assert ["ArkNotFoundError", 404, "NotFound", True] == ark["file_gone"]


def test_ark_makes_films(ark: dict[str, Any]) -> None:
    """A film is begun, watched until it is done, listed and forgotten."""
    assert ["queued", "running", "succeeded"] == ark["looks"]
    assert ark["film"].endswith(".mp4")
    assert ark["tasks"]
    assert ["ArkNotFoundError", 404, "NotFound", True] == ark["task_deleted"]


def test_ark_verifies_who_asks(ark: dict[str, Any]) -> None:
    """A wrong key, a temporary key for another endpoint, and a tampered signature are refused."""
    assert ["ArkAuthenticationError", 401, "AuthenticationError", True] == ark["wrong_key"]
    assert ["ArkPermissionDeniedError", 403, "AccessDenied", True] == ark["guest_elsewhere"]
    assert "ApiException" == ark["bad_signature"][0]
    assert ark["issued"] > 1_700_000_000


def test_ark_refuses_in_its_own_words(ark: dict[str, Any]) -> None:
    """The vendor's codes and statuses become the SDK's own exceptions."""
    limit = "RateLimitExceeded.EndpointTPMExceeded"
    assert {
        "MissingParameter": ["ArkBadRequestError", 400, "MissingParameter"],
        "AccessDenied": ["ArkPermissionDeniedError", 403, "AccessDenied"],
        "AccountOverdueError": ["ArkPermissionDeniedError", 403, "AccountOverdueError"],
        "ModelNotOpen": ["ArkNotFoundError", 404, "ModelNotOpen"],
        limit: ["ArkRateLimitError", 429, limit],
        "InternalServiceError": ["ArkInternalServerError", 500, "InternalServiceError"],
        "503": ["ArkInternalServerError", 503, "InternalServiceError"],
    } == ark["errors"]
    missing = ["ArkNotFoundError", 404, "InvalidEndpointOrModel.NotFound", True]
    assert missing == ark["no_model"]
    bad = ["ArkBadRequestError", 400, "InvalidParameter", True]
    assert [bad] * 3 == [ark["bad_range"], ark["bad_order"], ark["bad_end"]]
    assert "InvalidArgumentError.UnknownRole" == ark["bad_role"][2]


# The legacy API.


def test_maas_chats(maas: dict[str, Any]) -> None:
    """The SDK, which signs, gets an answer with a single choice; also from an endpoint, and with a history."""
    for name in ("chat", "endpoint", "history"):
        assert "stop" == maas[name]["choice"]["finish_reason"]
        usage = maas[name]["usage"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert "天为什么这么蓝" in maas["chat"]["choice"]["message"]["content"]


def test_maas_streams(maas: dict[str, Any]) -> None:
    """The increments are the whole answer's text, its usage comes last, and split characters survive."""
    streamed = maas["stream"]
    assert maas["chat"]["choice"]["message"]["content"] == streamed["text"]
    assert streamed["text"] == maas["stream_split"]["text"]
    assert (maas["chat"]["usage"], "stop") == (streamed["usage"], streamed["finish"])
    assert streamed["pieces"] > 10


def test_maas_calls_functions(maas: dict[str, Any]) -> None:
    """A question with functions gets a call, also streamed; its result is used in the next answer."""
    call = maas["called"]["choice"]["message"]["function_call"]
    assert ("get_weather", {"city": "北京"}) == (call["name"], json.loads(call["arguments"]))
    assert "function_call" == maas["called"]["choice"]["finish_reason"]
    assert call == maas["stream_called"]["call"]
    assert '{"temp": 21}' in maas["answered"]["choice"]["message"]["content"]


def test_maas_version_2(maas: dict[str, Any]) -> None:
    """Version 2 answers the SDK of version 2, signed and with a key, whole and streamed."""
    assert message(maas["v2"])["content"] == maas["v2_stream"]["text"]
    assert message(maas["v2"])["content"] == message(maas["v2_key"])["content"]
    assert "stop" == maas["v2_stream"]["finish"]


def test_maas_counts_tokens(maas: dict[str, Any]) -> None:
    """A text has its tokens, in both versions."""
    assert len(maas["tokens"]["tokens"]) == maas["tokens"]["total_tokens"]
    assert 1 == maas["v2_tokens"]["total_tokens"]


def test_maas_verifies_signatures(maas: dict[str, Any]) -> None:
    """A secret that is not ours makes a signature that does not match; a key that is not there is told so."""
    wrong = [1709801, "SignatureDoesNotMatch", True]
    assert [wrong, wrong] == [maas["wrong_sk"], maas["wrong_sk_stream"]]
    assert [1709805, "AuthenticationHeaderIsInvalid", True] == maas["wrong_ak"]


def test_maas_refuses_in_its_own_words(maas: dict[str, Any]) -> None:
    """Wrong order, wrong ranges, strangers and faults are refused with the vendor's own numbers."""
    invalid = [1709808, "InvalidParameter", True]
    names = ("last_word", "no_turns", "late_system", "bad_range")
    assert [invalid] * 4 == [maas[name] for name in names]
    assert [1709810, "EndpointIsInvalid", True] == maas["no_model"]
    assert [1709807, "MissingParameter", True] == maas["no_name"]
    assert {
        "expired_token": [1709809, "AuthenticationExpire", True],
        "429": [1709815, "EndpointRateLimitExceeded", True],
        "500": [1709806, "InternalServiceError", True],
        "content_filter": [1709813, "ReqTextExistRisk", True],
        "1709816": [1709816, "ServiceConnectionRefused", True],
        "arrears": [1709824, "ServiceNotOpen", True],
    } == maas["errors"]
    assert [1709814, "RespTextExistRisk", True] == maas["in_stream"]
