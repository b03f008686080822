"""What the vendor's SDK sent and got, in `vectors/qianfan.json`: we send the same, and read the same out of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from fengchao_core.errors import (
    ContextTooLong,
    ProviderAuthFailed,
    ProviderError,
    ProviderOverloaded,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
)
from fengchao_core.testing import (
    Received,
    ScriptedVendor,
    answer_of,
    json_answer,
    open_provider,
    sse_answer,
)
from fengchao_core.types import (
    ChatParams,
    ChatRequest,
    EmbeddingRequest,
    ImageRequest,
    Message,
    Tool,
    ToolCall,
)
from fengchao_qianfan import SPEC, auth
from fengchao_qianfan.endpoints import Access, Endpoint, route
from fengchao_qianfan.provider import QianfanProvider

_FILE = json.loads((Path(__file__).parent / "vectors" / "qianfan.json").read_text("utf-8"))
CASES: dict[str, dict[str, Any]] = {case["id"]: case for case in _FILE["cases"]}
RECORDED = [name for name, case in CASES.items() if "kind" not in case]
BY_OPENAI = [name for name, case in CASES.items() if case.get("kind") == "v2_openai_client"]
SIGNED = [
    (name, request)
    for name, case in CASES.items()
    for request in [case["expected"], *case["expected"].get("requests", [])]
    if "authorization_parts" in request
]

_ERRORS: dict[str, tuple[type[ProviderError], str]] = {
    "v1-oauth-bad-client": (ProviderAuthFailed, "invalid_client"),
    "v1-oauth-bad-secret": (ProviderAuthFailed, "invalid_client"),
    "v1-token-invalid-110-twice": (ProviderAuthFailed, "110"),
    # Whom the SDK calls again: our pipeline does, for errors that are retryable. The plugin itself never does.
    "v1-retryable-18": (RateLimited, "18"),
    "v1-retryable-336100": (ProviderOverloaded, "336100"),
    "v1-retryable-336501": (RateLimited, "336501"),
    "v1-retryable-336502": (RateLimited, "336502"),
    "v1-retryable-2": (ProviderUnavailable, "2"),
    "v1-retryable-15": (ProviderUnavailable, "15"),
    "v1-not-retried-4": (ProviderOverloaded, "4"),
    "v1-not-retried-17": (QuotaExhausted, "17"),
    "v1-not-retried-19": (QuotaExhausted, "19"),
    "v1-not-retried-336003": (RequestRejected, "336003"),
    "v1-not-retried-336103": (ContextTooLong, "336103"),
    "v1-not-retried-336000": (ProviderUnavailable, "336000"),
    "v1-stream-error-as-json-body": (QuotaExhausted, "17"),
    "v1-stream-error-inside-sse": (ProviderUnavailable, "336000"),
    "v2-error-400": (RequestRejected, "invalid_model"),
    "v2-error-401": (ProviderAuthFailed, "invalid_iam_token"),
    "v2-error-429": (RateLimited, "rpm_rate_limit_exceeded"),
    "v2-openai-error-401": (ProviderAuthFailed, "invalid_iam_token"),
}


def test_every_model_has_the_sdks_path() -> None:
    """Each name of the SDK's own table leads to the SDK's path, in whatever case it is written."""
    for name, path in _FILE["v1_model_paths"].items():
        for spelled in (name, name.lower(), name.upper()):
            place = route(spelled, Access(v1=True, v2=False))
            assert isinstance(place, Endpoint)
            assert path == place.path


@pytest.mark.parametrize(("name", "request_"), SIGNED, ids=[name for name, _ in SIGNED])
def test_signatures_are_the_sdks(name: str, request_: dict[str, Any]) -> None:
    """Canonical request, signing key and signature are those that the SDK made at the same time."""
    inputs = CASES[name]["inputs"]
    secret = inputs.get("secret_access_key") or inputs["credentials"]["iam_secret_key"]
    parts = request_["authorization_parts"]
    told = request_.get("signing", request_)
    now = datetime.fromisoformat(parts["timestamp"])
    headers = request_.get("headers") or {
        "host": inputs["host"],
        "content-type": "application/json",
        "x-bce-date": auth.date_of(now),
    }
    signed = auth.SignedRequest(
        request_.get("method") or inputs["method"],
        request_.get("path") or inputs["path"],
        tuple((request_.get("query") or inputs.get("query") or {}).items()),
        {key: headers[key] for key in parts["signed_headers_set"]},
    )
    prefix = auth.prefix_of(parts["access_key_id"], auth.date_of(now))
    assert told["signing_key_input"] == prefix
    assert told["signing_key_hex"] == auth.signing_key(secret, prefix)
    assert told["canonical_request"] == signed.canonical
    names = ";".join(sorted(parts["signed_headers_set"]))
    expected = f"{prefix}/{names}/{parts['signature']}"
    assert expected == auth.authorization(parts["access_key_id"], secret, signed, now)


@pytest.mark.parametrize("name", RECORDED)
async def test_calls_are_the_sdks(name: str) -> None:
    """The same call leads to the same requests in the same order, and to the same outcome."""
    case = CASES[name]
    requests, replies = case["expected"]["requests"], case["inputs"]["server_replies"]
    call = case["inputs"]["call"]
    if requests[0]["path"].endswith("/service/list") and call["api"] != "service_list":
        requests, replies = requests[1:], replies[1:]  # a gateway does not need that call
    if name.startswith("v1-retryable"):
        requests, replies = requests[:-1], replies[:-1]  # the SDK's second attempt
    async with ScriptedVendor() as vendor:
        vendor.answers(*map(_script, replies))
        async with open_provider(SPEC, _settings(case, vendor.base_url)) as provider:
            assert isinstance(provider, QianfanProvider)
            if name in _ERRORS:
                with pytest.raises(ProviderError) as caught:
                    await _make(provider, call)
                assert _ERRORS[name] == (type(caught.value), caught.value.vendor_code)
                if name.startswith("v1-retryable"):
                    assert caught.value.retryable
            else:
                assert _said(replies[-1]) == await _make(provider, call)
        assert len(requests) == len(vendor.requests)
        for expected, received in zip(requests, vendor.requests, strict=True):
            _same(expected, received)


@pytest.mark.parametrize("name", BY_OPENAI)
async def test_calls_are_the_openai_clients(name: str) -> None:
    """V2 is asked as the `openai` client asks it."""
    case = CASES[name]
    inputs = case["inputs"]
    call = {"api": inputs["operation"], "stream": inputs["stream"], **inputs["arguments"]}
    async with ScriptedVendor() as vendor:
        vendor.answers(_script(inputs["server_reply"]))
        settings = {
            "api_key": inputs["api_key"],
            "app_id": inputs["app_id"],
            "v2_base_url": f"{vendor.base_url}/v2",
        }
        async with open_provider(SPEC, settings) as provider:
            assert isinstance(provider, QianfanProvider)
            if name in _ERRORS:
                with pytest.raises(ProviderError) as caught:
                    await _make(provider, call)
                assert _ERRORS[name] == (type(caught.value), caught.value.vendor_code)
            else:
                assert _said(inputs["server_reply"]) == await _make(provider, call)
        (received,) = vendor.requests
        _same({**case["expected"], "raw_query": "", "query": {}}, received)


def test_every_case_is_covered() -> None:
    """No recorded case is left out."""
    assert set(CASES) == {*RECORDED, *BY_OPENAI, *(name for name, _ in SIGNED)}


# What a case says, in our terms.


def _settings(case: Mapping[str, Any], base_url: str) -> dict[str, object]:
    names = {
        "api_key": "ak",
        "secret_key": "sk",
        "access_key": "iam_ak",
        "iam_secret_key": "iam_sk",
        "bearer_token": "api_key",
        "app_id": "app_id",
    }
    given = {names[name]: value for name, value in case["inputs"]["credentials"].items()}
    given |= {"prefer": "v2"} if case["inputs"]["call"].get("version") == 2 else {}
    urls = {"v2_base_url": f"{base_url}/v2", "console_base_url": base_url}
    return {**given, **urls, "base_url": base_url, "iam_base_url": base_url}


def _script(reply: Mapping[str, Any]) -> Any:
    if "sse" in reply:
        return sse_answer(reply["sse"].encode())
    return json_answer(reply["body"], status=reply["status"])


def _said(reply: Mapping[str, Any]) -> object:
    """The heart of a reply: its texts, vectors, pictures, places."""
    if "sse" in reply:
        events = [line[6:] for line in reply["sse"].splitlines() if line.startswith("data: {")]
        return "".join(map(_text, map(json.loads, events)))
    body = reply["body"]
    if "results" in body:
        return [(each["index"], each["relevance_score"]) for each in body["results"]]
    if "data" in body:
        return [
            each.get("embedding") or each.get("b64_image") or each["url"] for each in body["data"]
        ]
    if "log_id" in body:
        return [("ERNIE-Bot 4.0", "chat/completions_pro")]
    return _text(body)


def _text(body: Mapping[str, Any]) -> str:
    if call := body.get("function_call"):
        return f"{call['name']} {call['arguments']}"
    if "choices" not in body:
        return str(body["result"])
    if not body["choices"]:
        return ""
    choice = body["choices"][0]
    message = choice.get("message") or choice["delta"]
    for call in message.get("tool_calls", ()):
        return f"{call['function']['name']} {call['function']['arguments']}"
    return str(message.get("content", ""))


async def _make(provider: QianfanProvider, call: dict[str, Any]) -> object:
    """Make the call of a case; gives what `_said` says of its reply."""
    call = {**call, **call.get("params", {})}
    if call["api"] in ("embedding", "embeddings"):
        texts = tuple(call.get("texts") or call["input"])
        result = await provider.embed(EmbeddingRequest(model=call["model"], inputs=texts))
        return list(result.vectors)
    if call["api"] in ("text2image", "images"):
        extra = {key: call[key] for key in ("steps", "sampler_index") if key in call}
        drawn = await provider.draw(
            ImageRequest(
                model=call["model"],
                prompt=call["prompt"],
                n=call["n"],
                size=call["size"],
                negative_prompt=call.get("negative_prompt"),
                extra=extra,
            )
        )
        return [image.b64_json or image.url for image in drawn.images]
    if call["api"] == "rerank":
        ranking = await provider.rerank(
            call["model"], call["query"], call["documents"], top_n=call["top_n"]
        )
        return [(each.index, each.score) for each in ranking.documents]
    if call["api"] == "service_list":
        return [(each.name, each.endpoint) for each in await provider.services()]
    (choice,), _ = await answer_of(provider, _request(call))
    for made in choice.message.tool_calls:
        return f"{made.name} {made.arguments}"
    return choice.message.text


def _request(call: Mapping[str, Any]) -> ChatRequest:
    messages = [Message("system", call["system"])] if "system" in call else []
    given = call.get("messages") or [{"role": "user", "content": call["prompt"]}]
    messages += map(_message, given)
    tools = call.get("functions") or [tool["function"] for tool in call.get("tools", ())]
    return ChatRequest(
        model=call.get("model") or call["endpoint"],
        messages=tuple(messages),
        stream=call.get("stream", False),
        params=ChatParams(
            temperature=call.get("temperature"),
            top_p=call.get("top_p"),
            repetition_penalty=call.get("penalty_score"),
            max_tokens=call.get("max_output_tokens") or call.get("max_completion_tokens"),
            tools=tuple(Tool(**tool) for tool in tools),
            tool_choice=call.get("tool_choice"),
            extra={"plugins": call["plugins"]} if "plugins" in call else {},
        ),
    )


def _message(message: Mapping[str, Any]) -> Message:
    if message["role"] == "function":
        return Message("tool", message["content"], name=message["name"], tool_call_id="call_1")
    calls = ()
    if call := message.get("function_call"):
        calls = (ToolCall("call_1", call["name"], call["arguments"]),)
    return Message(message["role"], message["content"] or None, tool_calls=calls)


# What is sent, without the noise that the file's `comparison` names.


def _same(expected: Mapping[str, Any], received: Received) -> None:
    assert (expected["method"], expected["path"]) == (received.method, received.path)
    assert expected["query"] == received.query
    assert expected["raw_query"] == received.target.partition("?")[2]
    for name in ("authorization", "appid"):
        given = expected["headers"].get(name)
        if given is None or given.startswith("Bearer") or name == "appid":
            assert given == received.headers.get(name)
        else:
            # Of signatures, the key's id and the lifetime; the rest depends on host and time, and is a test by itself.
            assert given.split("/")[:2] == received.headers[name].split("/")[:2]
            assert given.split("/")[3] == received.headers[name].split("/")[3]
            assert {"host", "x-bce-date"} <= set(received.headers[name].split("/")[4].split(";"))
    if expected["headers"].get("content-type") and received.body:
        assert expected["headers"]["content-type"] == received.headers["content-type"]
    if expected["body"]:
        assert _plain(expected["body"]) == _plain(received.json())


def _plain(body: Mapping[str, Any]) -> dict[str, Any]:
    noise = {"extra_parameters", "stream_options"}
    return {
        key: value
        for key, value in body.items()
        if key not in noise and (key, value) != ("stream", False)
    }
