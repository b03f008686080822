"""The stand-in for Volcengine: what it verifies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import aiohttp
import orjson
import pytest
from yarl import URL

from fengchao_core.testing import FakeClock, run_app
from fengchao_volcengine import keys
from fengchao_volcengine.auth import AccessKey, sign
from fengchao_volcengine.sandbox import AK, API_KEY, SK, build

CHAT = "/api/v3/chat/completions"
LEGACY = "/api/v1/chat"
MODEL = "doubao-seed-1-6-250615"
ENDPOINT = "ep-20240101-abcde"
ASK = {"role": "user", "content": "你好"}
GOOD = {"model": MODEL, "messages": [ASK]}
OLD = {"model": {"name": "skylark-lite-public"}, "messages": [ASK]}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


class House:
    """The sandbox, running, and a plain client."""

    def __init__(self, base_url: str, client: aiohttp.ClientSession, clock: FakeClock) -> None:
        self.base_url = base_url
        self.clock = clock
        self._client = client

    async def post(
        self, body: object, *, path: str = CHAT, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Status and body of an answer to a request with the key, or with these headers."""
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        given = {"Authorization": f"Bearer {API_KEY}"} if headers is None else headers
        async with self._client.post(self.base_url + path, data=data, headers=given) as got:
            return got.status, orjson.loads(await got.read())

    async def code(self, body: object, **how: Any) -> str:
        """Ark's code of a refusal; `ok` for an answer."""
        _, answer = await self.post(body, **how)
        return answer["error"]["code"] if "error" in answer else "ok"

    def signed(
        self,
        body: bytes,
        path: str = LEGACY,
        *,
        service: str = "ml_maas",
        sk: str = SK,
        ak: str = AK,
        **more: Any,
    ) -> dict[str, str]:
        """Headers of a signed request."""
        url = URL(self.base_url + path)
        made = sign(
            AccessKey(ak, sk, service, **more),
            method="POST",
            host=url.host_port_subcomponent or "",
            path=url.raw_path,
            query=url.query.items(),
            content_type="application/json",
            body=body,
            now=self.clock.now(),
        )
        return {"Content-Type": "application/json", **made}

    async def legacy(self, body: object, *, path: str = LEGACY, **headers: str) -> str:
        """The legacy code of a refusal of a signed request, some headers of which are changed; `ok` for an answer."""
        data = orjson.dumps(body)
        given = {**self.signed(data, path), **headers}
        _, answer = await self.post(data, path=path, headers=given)
        return answer["error"]["code"] if "error" in answer else "ok"

    async def temporary(self, resource: str) -> tuple[int, dict[str, Any]]:
        """The answer to who asks for a temporary key."""
        path = "/?Action=GetApiKey&Version=2024-01-01"
        body = keys.encode(resource, "default")
        return await self.post(body, path=path, headers=self.signed(body, path, service="ark"))


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """The sandbox, its clock in our hand."""
    async with open_house() as opened:
        yield opened


@asynccontextmanager
async def open_house() -> AsyncIterator[House]:
    """Run the sandbox."""
    clock = FakeClock()
    async with run_app(build(clock=clock)) as base_url, aiohttp.ClientSession() as client:
        yield House(base_url, client, clock)


# Who asks.


@pytest.mark.parametrize(
    "header", ["", API_KEY, f"Basic {API_KEY}", "Bearer ", "Bearer wrong", f"Bearer {API_KEY}x"]
)
async def test_keys_are_verified(house: House, header: str) -> None:
    """Nothing but the key itself, as a bearer, opens Ark."""
    status, answer = await house.post(GOOD, headers={"Authorization": header})
    assert (401, "AuthenticationError", "Unauthorized") == (
        status,
        answer["error"]["code"],
        answer["error"]["type"],
    )
    assert "Request id" in answer["error"]["message"]


async def test_signatures_are_verified(house: House) -> None:
    """Each part of a signed request is: body, date, scope, names, signature, key."""
    body = orjson.dumps(OLD)
    good = house.signed(body)
    proof = good["Authorization"]
    other = f"{proof[:-1]}{'0' if proof[-1] != '0' else '1'}"
    for expected, change in (
        ("ok", {}),
        ("SignatureDoesNotMatch", {"Authorization": other}),
        ("SignatureDoesNotMatch", {"X-Content-Sha256": "0" * 64}),
        ("SignatureDoesNotMatch", {"Content-Type": "text/plain"}),
        ("AuthenticationHeaderIsInvalid", {"Authorization": "HMAC-SHA256 nonsense"}),
        ("AuthenticationHeaderIsInvalid", {"Authorization": f"Bearer {API_KEY}"}),
        ("AuthenticationHeaderIsInvalid", {"Authorization": proof.replace("ml_maas", "ark")}),
        ("AuthenticationHeaderIsInvalid", {"Authorization": proof.replace(AK, "AKLTsomebody")}),
        ("AuthenticationHeaderIsInvalid", {"Authorization": proof.replace("x-date", "x-dato")}),
        ("AuthenticationHeaderIsInvalid", {"X-Date": "yesterday"}),
        ("MissingAuthenticationHeader", {"Authorization": ""}),
    ):
        _, answer = await house.post(body, path=LEGACY, headers={**good, **change})
        got = answer["error"]["code"] if "error" in answer else "ok"
        assert expected == got, change
    _, answer = await house.post(body + b" ", path=LEGACY, headers=good)
    assert (1709801, "SignatureDoesNotMatch") == (
        answer["error"]["code_n"],
        answer["error"]["code"],
    )
    _, answer = await house.post(body, path=LEGACY, headers=house.signed(body, sk=SK + "x"))
    assert "SignatureDoesNotMatch" == answer["error"]["code"]


async def test_a_session_token_is_verified_with_the_rest(house: House) -> None:
    """A token that was signed must be sent as it was."""
    body = orjson.dumps(OLD)
    good = house.signed(body, session_token="sts")
    assert 200 == (await house.post(body, path=LEGACY, headers=good))[0]
    changed = {**good, "X-Security-Token": "other"}
    assert 401 == (await house.post(body, path=LEGACY, headers=changed))[0]


@pytest.mark.parametrize("seconds", [-901, 901])
async def test_signatures_expire(house: House, seconds: int) -> None:
    """A date that is more than a quarter of an hour off is refused, before and after; one just within is taken."""
    body = orjson.dumps(OLD)
    now = house.clock.now()
    house.clock.set_now(now + timedelta(seconds=seconds))
    late = house.signed(body)
    house.clock.set_now(now)
    status, answer = await house.post(body, path=LEGACY, headers=late)
    assert (401, 1709809, "AuthenticationExpire") == (
        status,
        answer["error"]["code_n"],
        answer["error"]["code"],
    )
    house.clock.set_now(now + timedelta(seconds=seconds - seconds // 900))
    almost = house.signed(body)
    house.clock.set_now(now)
    assert 200 == (await house.post(body, path=LEGACY, headers=almost))[0]


async def test_temporary_keys_are_for_one_endpoint_and_a_while(house: House) -> None:
    """A temporary key opens one endpoint until it expires, and neither files nor pictures."""
    _, answer = await house.temporary(ENDPOINT)
    key = {"Authorization": f"Bearer {answer['Result']['ApiKey']}"}
    assert "ok" == await house.code({**GOOD, "model": ENDPOINT}, headers=key)
    assert "AccessDenied" == await house.code(GOOD, headers=key)
    assert "AccessDenied" == await house.code({}, path="/api/v3/images/generations", headers=key)
    house.clock.advance(keys.LIFETIME_S)
    assert "AuthenticationError" == await house.code({**GOOD, "model": ENDPOINT}, headers=key)


@pytest.mark.parametrize(
    ("expected", "change"),
    [
        ("InvalidParameter", {"ResourceType": "planet"}),
        ("InvalidParameter", {"ResourceIds": []}),
        ("InvalidParameter", {"DurationSeconds": 0}),
        ("InvalidParameter", {"DurationSeconds": 10**9}),
        ("MissingParameter", {"ResourceType": "presetendpoint"}),
    ],
)
async def test_requests_for_keys_are_verified(
    house: House, expected: str, change: dict[str, object]
) -> None:
    """Kind, count and lifetime of what is asked for have limits."""
    body = orjson.dumps({**orjson.loads(keys.encode(ENDPOINT, "p")), **change})
    path = "/?Action=GetApiKey&Version=2024-01-01"
    _, answer = await house.post(body, path=path, headers=house.signed(body, path, service="ark"))
    assert expected == answer["ResponseMetadata"]["Error"]["Code"]


async def test_the_control_plane_verifies_signatures(house: House) -> None:
    """A signature for another service, another action, and none are refused in the control plane's words."""
    body = keys.encode(ENDPOINT, "p")
    path = "/?Action=GetApiKey&Version=2024-01-01"
    other = "/?Action=Fly&Version=2024-01-01"
    for expected, where, headers in (
        ("InvalidCredential", path, house.signed(body, path)),
        ("MissingSignature", path, {}),
        ("SignatureDoesNotMatch", path, house.signed(body, other, service="ark")),
        ("InvalidActionOrVersion", other, house.signed(body, other, service="ark")),
    ):
        _, answer = await house.post(body, path=where, headers=headers)
        assert expected == answer["ResponseMetadata"]["Error"]["Code"]


# What is asked of Ark.


@pytest.mark.parametrize(
    ("expected", "change"),
    [
        ("MissingParameter", {"model": None}),
        ("InvalidEndpointOrModel.NotFound", {"model": "doubao-nothing"}),
        ("InvalidEndpointOrModel.NotFound", {"model": "bot-1"}),
        ("InvalidParameter", {"model": "doubao-seedream-4-0-250828"}),
        ("MissingParameter", {"messages": None}),
        ("InvalidParameter", {"messages": []}),
        ("InvalidArgumentError.UnknownRole", {"messages": [{"role": "developer", "content": "x"}]}),
        ("InvalidParameter", {"messages": [{"role": "user", "content": ""}]}),
        ("InvalidParameter", {"messages": [ASK, {"role": "tool", "content": "x", "tool_call_id": "c"}]}),
        ("InvalidParameter", {"messages": [ASK, {"role": "system", "content": "x"}]}),
        ("InvalidParameter", {"temperature": 2.1}),
        ("InvalidParameter", {"temperature": "hot"}),
        ("InvalidParameter", {"top_p": -0.1}),
        ("InvalidParameter", {"presence_penalty": 3}),
        ("InvalidParameter", {"max_tokens": 0}),
        ("InvalidParameter", {"n": 0}),
        ("InvalidParameter", {"stop": list("abcde")}),
        ("InvalidParameter", {"top_logprobs": 3}),
        ("InvalidParameter", {"top_logprobs": 21, "logprobs": True}),
        ("InvalidParameter", {"logit_bias": {"1": 101}}),
        ("InvalidParameter", {"stream_options": {"include_usage": True}}),
        ("InvalidParameter", {"thinking": {"type": "maybe"}}),
        ("InvalidParameter", {"reasoning_effort": "none"}),
        ("InvalidParameter", {"service_tier": "gold"}),
        ("InvalidParameter", {"response_format": {"type": "xml"}}),
        ("InvalidParameter", {"response_format": {"type": "json_schema"}}),
        ("InvalidParameter", {"tools": [{"type": "function", "function": {"name": "no spaces"}}]}),
        ("InvalidParameter", {"tools": [{"type": "web_search"}]}),
        ("InvalidParameter", {"tool_choice": "required"}),
        ("InvalidParameter", {"tool_choice": "maybe", "tools": [TOOL]}),
        ("InvalidParameter", {"messages": [{"role": "user", "content": [{"type": "smell"}]}]}),
        ("InvalidImageURL.InvalidFormat", {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,!"}}]}]}),
        ("InvalidParameter", {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://e/a", "detail": "original"}}]}]}),
        ("OutofContextError", {"model": "doubao-1.5-pro-32k", "messages": [{"role": "user", "content": "字" * 100_000}]}),
        ("ok", {"temperature": None, "stop": None, "tools": None, "stream": None, "max_tokens": None}),
        ("ok", {"messages": [ASK, {"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "content": "x", "tool_call_id": "c"}]}),
        ("ok", {"messages": [ASK, {"role": "assistant", "content": "我是"}]}),
        ("ok", {"tool_choice": "required", "tools": [TOOL], "temperature": 2, "stop": ["a"]}),
    ],
)  # fmt: skip
async def test_chats_are_verified(house: House, expected: str, change: dict[str, object]) -> None:
    """Ranges, roles, names and limits are the vendor's, and so are the codes; a null is no value."""
    assert expected == await house.code({**GOOD, **change})


@pytest.mark.parametrize(
    ("expected", "path", "body"),
    [
        ("ok", "/embeddings", {"model": "doubao-embedding", "input": "x"}),
        ("MissingParameter", "/embeddings", {"model": "doubao-embedding"}),
        ("InvalidParameter", "/embeddings", {"model": "doubao-embedding", "input": []}),
        ("InvalidParameter", "/embeddings", {"model": "doubao-embedding", "input": ["x"] * 257}),
        ("InvalidParameter", "/embeddings", {"model": "doubao-embedding", "input": ["x", ""]}),
        ("InvalidParameter", "/embeddings", {"model": "doubao-embedding", "input": "x", "encoding_format": "base64"}),
        ("InvalidParameter", "/embeddings", {"model": "doubao-embedding-text-240715", "input": "x", "dimensions": 7}),
        ("InvalidParameter", "/embeddings", {"model": MODEL, "input": "x"}),
        ("OutofContextError", "/embeddings", {"model": "doubao-embedding", "input": "字" * 10_000}),
        ("InvalidParameter", "/embeddings/multimodal", {"model": "doubao-embedding-vision", "input": [{"type": "smell"}]}),
        ("InvalidParameter", "/embeddings/multimodal", {"model": "doubao-embedding-vision", "input": []}),
        ("ok", "/images/generations", {"model": "doubao-seedream-4-0-250828", "prompt": "猫", "size": "1K"}),
        ("MissingParameter", "/images/generations", {"model": "doubao-seedream-4-0-250828"}),
        ("InvalidParameter", "/images/generations", {"model": "doubao-seedream-4-0-250828", "prompt": "猫", "size": "100x100"}),
        ("InvalidParameter", "/images/generations", {"model": "doubao-seedream-4-0-250828", "prompt": "猫", "size": 1}),
        ("InvalidParameter", "/tokenization", {"model": MODEL, "text": 1}),
        ("InvalidParameter", "/context/create", {"model": ENDPOINT, "messages": [ASK], "ttl": 1}),
        ("InvalidParameter", "/context/create", {"model": ENDPOINT, "messages": [ASK], "mode": "x"}),
        ("NotFound", "/context/chat/completions", {**GOOD, "context_id": "ctx-nothing"}),
        ("InvalidEndpointOrModel.NotFound", "/bots/chat/completions", GOOD),
        ("InvalidParameter", "/files", {}),
        ("InvalidEndpointOrModel.NotFound", "/contents/generations/tasks", {"model": "x"}),
        ("MissingParameter", "/contents/generations/tasks", {"model": "doubao-seedance-1"}),
        ("NotFound", "/nowhere", {}),
        ("InvalidParameter", "/chat/completions", [1]),
        ("InvalidParameter", "/chat/completions", b"{"),
    ],
)  # fmt: skip
async def test_other_requests_are_verified(
    house: House, expected: str, path: str, body: object
) -> None:
    """Everything else has its own limits, and what is nowhere is not found."""
    assert expected == await house.code(body, path="/api/v3" + path)


# What is asked of the legacy API.


def turns(*roles: str) -> list[dict[str, object]]:
    """Messages of these roles."""
    return [{"role": role, "content": "x"} for role in roles]


@pytest.mark.parametrize(
    ("expected", "change"),
    [
        ("MissingParameter", {"model": None}),
        ("MissingParameter", {"model": {"version": "1"}}),
        ("EndpointIsInvalid", {"model": {"name": "skylark-nothing"}}),
        ("EndpointIsInvalid", {"model": {"endpoint_id": "nothing"}}),
        ("MissingParameter", {"messages": []}),
        ("InvalidParameter", {"messages": turns("developer")}),
        ("InvalidParameter", {"messages": turns("user", "user")}),
        ("InvalidParameter", {"messages": turns("user", "assistant")}),
        ("InvalidParameter", {"messages": turns("assistant", "user")}),
        ("InvalidParameter", {"messages": turns("user", "system")}),
        ("InvalidParameter", {"messages": turns("user", "function")}),
        ("InvalidParameter", {"messages": [{"role": "user", "content": ""}]}),
        ("InvalidParameter", {"messages": [{"role": "user", "content": "字" * 20_000}]}),
        ("InvalidParameter", {"parameters": 1}),
        ("InvalidParameter", {"parameters": {"temperature": 1.1}}),
        ("InvalidParameter", {"parameters": {"top_p": -1}}),
        ("InvalidParameter", {"parameters": {"top_k": 1001}}),
        ("InvalidParameter", {"parameters": {"max_new_tokens": 0}}),
        ("InvalidParameter", {"parameters": {"repetition_penalty": 0.9}}),
        ("InvalidParameter", {"parameters": {"presence_penalty": 3}}),
        ("InvalidParameter", {"parameters": {"do_sample": 1}}),
        ("InvalidParameter", {"parameters": {"stop": "x"}}),
        ("InvalidParameter", {"stream": 1}),
        ("ok", {"messages": turns("system", "system", "user", "assistant", "user")}),
        ("ok", {"messages": turns("user", "assistant", "function")}),
        ("ok", {"parameters": {"temperature": 1, "top_k": 0, "max_new_tokens": 9}}),
        ("ok", {"model": {"endpoint_id": "ep-1"}}),
    ],
)
async def test_legacy_chats_are_verified(
    house: House, expected: str, change: dict[str, object]
) -> None:
    """Roles and their order, ranges and names are the vendor's, and so are the codes."""
    assert expected == await house.legacy({**OLD, **change})


async def test_legacy_endpoints_are_verified(house: House) -> None:
    """Version 2 takes a signature or a key, endpoints only, and there is no third version."""
    body = {"messages": [ASK]}
    path = f"/api/v2/endpoint/{ENDPOINT}/chat"
    assert "ok" == await house.legacy(body, path=path)
    assert "ok" == await house.code(body, path=path)
    wrong = {"Authorization": "Bearer wrong"}
    assert "AuthenticationHeaderIsInvalid" == await house.code(body, path=path, headers=wrong)
    assert "EndpointIsInvalid" == await house.legacy(body, path="/api/v2/endpoint/x/chat")
    assert "APINotSupport" == await house.legacy(body, path="/api/v3.5/chat")
    assert "InvalidParameter" == await house.legacy([1], path=path)
    tokens = f"/api/v2/endpoint/{ENDPOINT}/tokenization"
    assert "MissingParameter" == await house.legacy({}, path=tokens)


async def test_unknown_faults_are_told(house: House) -> None:
    """A misspelt marker is a bad parameter of either API, with the word in the message."""
    ask = {"role": "user", "content": "[[fault:misspelt]]"}
    _, answer = await house.post({**GOOD, "messages": [ask]})
    assert "misspelt" in answer["error"]["message"]
    assert "InvalidParameter" == await house.legacy({**OLD, "messages": [ask]})
