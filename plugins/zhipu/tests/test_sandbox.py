"""The stand-in for Zhipu: what it verifies, and the provider against it."""

from __future__ import annotations

import asyncio
import base64
import hmac
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import orjson
import pytest

from fengchao_core.errors import (
    ContentRefused,
    ContextTooLong,
    ProviderAuthFailed,
    ProviderError,
    ProviderProtocolError,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
)
from fengchao_core.kit.sandbox import SERVED_PATH, look_at
from fengchao_core.provider import DrawsImages, Embeds, Provider
from fengchao_core.testing import (
    FakeClock,
    answer_of,
    deltas_of,
    open_provider,
    open_sandboxed,
    run_app,
)
from fengchao_core.types import (
    ChatParams,
    ChatRequest,
    EmbeddingRequest,
    ImagePart,
    ImageRequest,
    Message,
    TextPart,
    Tool,
)
from fengchao_zhipu import SANDBOX, SPEC
from fengchao_zhipu.auth import sign
from fengchao_zhipu.sandbox import API_KEY, BASE_PATH, build, settings_for

CHAT = "/chat/completions"
GOOD = {"model": "glm-4", "messages": [{"role": "user", "content": "你好"}]}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}
KEY_ID, _, SECRET = API_KEY.partition(".")


class House:
    """The sandbox, running, and a plain client."""

    def __init__(self, base_url: str, client: aiohttp.ClientSession) -> None:
        self.base_url = base_url
        self._client = client

    async def post(
        self, body: object, *, path: str = CHAT, token: str | None = API_KEY
    ) -> tuple[int, dict[str, Any]]:
        """Status and body of an answer."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        url = self.base_url + BASE_PATH + path
        async with self._client.post(url, data=data, headers=headers) as got:
            return got.status, orjson.loads(await got.read())

    async def code(self, body: object, **how: Any) -> str:
        """The vendor's code of a refusal; `ok` for an answer."""
        _, answer = await self.post(body, **how)
        return answer["error"]["code"] if "error" in answer else "ok"

    async def get(self, url: str) -> bytes:
        """A page of the sandbox."""
        async with self._client.get(url) as got:
            return await got.read()

    async def served(self) -> list[dict[str, Any]]:
        """What was served."""
        rows: list[dict[str, Any]] = orjson.loads(await self.get(self.base_url + SERVED_PATH))[
            "rows"
        ]
        return rows


@asynccontextmanager
async def open_house(**how: Any) -> AsyncIterator[House]:
    """Run the sandbox."""
    async with run_app(build(**how)) as base_url, aiohttp.ClientSession() as client:
        yield House(base_url, client)


# Who asks.


def jwt(claims: dict[str, object], *, secret: str = SECRET, **header: object) -> str:
    """A token with any claims and header, its members in another order than the SDK's."""
    head = {"typ": "JWT", "sign_type": "SIGN", "alg": "HS256", **header}
    parts = [base64.urlsafe_b64encode(orjson.dumps(each)).rstrip(b"=") for each in (head, claims)]
    signed = b".".join(parts)
    signature = hmac.digest(secret.encode(), signed, "sha256")
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


async def test_tokens_are_verified() -> None:
    """Signature, id, times and header of a token are verified; the order of its members does not matter."""
    clock = FakeClock()
    now = round(clock.now().timestamp() * 1000)
    good = {"timestamp": now, "exp": now + 1000, "api_key": KEY_ID}
    async with open_house(clock=clock) as house:
        for expected, token in (
            ("ok", sign(API_KEY, clock.now()).value),
            ("ok", jwt(good)),
            ("ok", API_KEY),
            ("1001", None),
            ("1002", "one-part"),
            ("1002", "a.b.c"),
            ("1002", jwt(good, sign_type="X")),
            ("1002", jwt(good, alg="none")),
            ("1002", jwt({**good, "exp": str(now)})),
            ("1000", jwt({**good, "api_key": "somebody"})),
            ("1000", f"{KEY_ID}.wrong"),
            ("1004", jwt(good, secret="wrong")),
            ("1003", jwt({**good, "exp": now})),
            ("1003", jwt({**good, "exp": now // 1000 + 1000})),
        ):
            assert expected == await house.code(GOOD, token=token), token
        clock.advance(211)
        late = sign(API_KEY, clock.now() - timedelta(seconds=211)).value
        assert (401, "1003") == (
            (await house.post(GOOD, token=late))[0],
            await house.code(GOOD, token=late),
        )


# What is asked.


@pytest.mark.parametrize(
    ("expected", "change"),
    [
        ("1213", {"model": None}),
        ("1211", {"model": "glm-nothing"}),
        ("1212", {"model": "embedding-3"}),
        ("1213", {"messages": None}),
        ("1214", {"messages": []}),
        ("1214", {"messages": [{"role": "developer", "content": "x"}]}),
        ("1214", {"messages": [{"role": "user", "content": ""}]}),
        ("1214", {"messages": [*GOOD["messages"], {"role": "system", "content": "x"}]}),
        ("1214", {"messages": [*GOOD["messages"], {"role": "assistant", "content": "x"}]}),
        ("1214", {"messages": [*GOOD["messages"], {"role": "tool", "content": "x"}]}),
        ("1214", {"temperature": 1.1}),
        ("1214", {"temperature": "hot"}),
        ("1214", {"top_p": -0.1}),
        ("1214", {"max_tokens": 0}),
        ("1214", {"stop": ["a", "b"]}),
        ("1214", {"do_sample": 1}),
        ("1214", {"user_id": "short"}),
        ("1214", {"tool_choice": "required", "tools": [TOOL]}),
        ("1214", {"tools": [{"type": "function", "function": {"name": "no spaces"}}]}),
        ("1214", {"tools": [{"type": "telepathy", "telepathy": {}}]}),
        ("1214", {"tools": [{"type": "retrieval", "retrieval": {}}]}),
        ("1214", {"response_format": {"type": "json_schema"}}),
        ("1214", {"thinking": {"type": "maybe"}}),
        ("1261", {"messages": [{"role": "user", "content": "字" * 300_000}]}),
        ("ok", {"temperature": 1, "top_p": 0.5, "stop": ["a"], "thinking": None, "max_tokens": 9}),
        ("ok", {"user_id": "long-enough", "tools": [TOOL], "tool_choice": "auto"}),
    ],
)  # fmt: skip
async def test_requests_are_verified(expected: str, change: dict[str, object]) -> None:
    """Ranges, roles, names and limits are the vendor's, and so are the codes."""
    async with open_house() as house:
        assert expected == await house.code({**GOOD, **change})


@pytest.mark.parametrize(
    ("expected", "model", "parts"),
    [
        ("ok", "glm-4v", [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]),
        ("1210", "glm-4", [{"type": "image_url", "image_url": {"url": "https://example.com/a"}}]),
        ("1214", "glm-4v", [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aa"}}]),
        ("1214", "glm-4v", [{"type": "image_url", "image_url": {"url": "no base64"}}]),
        ("1214", "glm-4v-flash", [{"type": "image_url", "image_url": {"url": "aGk="}}]),
        ("1214", "glm-4v", [{"type": "smell"}]),
        ("1210", "glm-4v", [{"type": "video_url", "video_url": {"url": "https://example.com/a"}}]),
        (
            "1215",
            "glm-4v-plus",
            [
                {"type": "video_url", "video_url": {"url": "https://example.com/a"}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a"}},
            ],
        ),
    ],
)  # fmt: skip
async def test_pictures_are_verified(expected: str, model: str, parts: list[object]) -> None:
    """Pictures and films go to the models that see them, in the form that the vendor takes."""
    async with open_house() as house:
        messages = [{"role": "user", "content": parts}]
        assert expected == await house.code({"model": model, "messages": messages})


async def test_an_id_is_taken_once() -> None:
    """An id of a request that was used before is refused."""
    async with open_house() as house:
        codes = [await house.code({**GOOD, "request_id": "one"}) for _ in range(2)]
        assert ["ok", "1231"] == codes


async def test_bodies_and_paths_are_verified() -> None:
    """What is not a JSON object, and what is nowhere, is refused in the vendor's shape."""
    async with open_house() as house:
        assert "1210" == await house.code(b"{")
        assert "1210" == await house.code(b"[]")
        assert "1222" == await house.code(GOOD, path="/nowhere")


@pytest.mark.parametrize(
    ("expected", "path", "body"),
    [
        ("ok", "/embeddings", {"model": "embedding-2", "input": "x"}),
        ("1213", "/embeddings", {"model": "embedding-2"}),
        ("1214", "/embeddings", {"model": "embedding-2", "input": []}),
        ("1214", "/embeddings", {"model": "embedding-2", "input": ["x"] * 65}),
        ("1214", "/embeddings", {"model": "embedding-2", "input": ["x", ""]}),
        ("1214", "/embeddings", {"model": "embedding-2", "input": "x", "dimensions": 512}),
        ("1261", "/embeddings", {"model": "embedding-3", "input": "字" * 10_000}),
        ("1212", "/embeddings", {"model": "glm-4", "input": "x"}),
        ("ok", "/images/generations", {"model": "cogview-3", "prompt": "猫"}),
        ("1213", "/images/generations", {"model": "cogview-3"}),
        ("1214", "/images/generations", {"model": "cogview-3", "prompt": " "}),
        ("1214", "/images/generations", {"model": "cogview-3", "prompt": "猫", "size": "1x1"}),
    ],
)
async def test_other_requests_are_verified(expected: str, path: str, body: object) -> None:
    """Embeddings and pictures have their own limits."""
    async with open_house() as house:
        assert expected == await house.code(body, path=path)


# The provider against it.


def ask(text: str, *, stream: bool = True, model: str = "glm-4", **params: Any) -> ChatRequest:
    """A request with the id of a conversation that goes on."""
    return ChatRequest(
        model=model,
        messages=(Message("user", text),),
        params=ChatParams(**params),
        stream=stream,
        request_id="conversation-1",
    )


def sandboxed(**how: Any) -> Any:
    """The provider against its sandbox."""
    return open_sandboxed(SPEC, SANDBOX, **how)


@pytest.mark.parametrize("auth", ["jwt", "raw"])
async def test_the_provider_chats(auth: str) -> None:
    """Whole and streamed answers are the same, with both ways to authorise, also twice in one conversation."""
    async with open_house() as house:
        settings = {**settings_for(house.base_url), "auth": auth}
        async with open_provider(SPEC, settings) as provider:
            streamed = await answer_of(provider, ask("介绍一下北京"))
            whole = await answer_of(provider, ask("介绍一下北京", stream=False))
        assert whole == streamed
        assert "介绍一下北京" in whole[0][0].message.text
        (row,) = await house.served()
        assert (KEY_ID, "glm-4", 2, 2 * whole[1].prompt_tokens, 2 * whole[1].completion_tokens) == (
            row["credential"],
            row["model"],
            row["requests"],
            row["prompt_tokens"],
            row["completion_tokens"],
        )


@pytest.mark.parametrize("model", ["glm-4.5", "glm-z1-air"])
async def test_thinking_is_told_apart(model: str) -> None:
    """Thinking comes as thinking, whether the vendor sends it in its own field or in the text."""
    async with sandboxed() as provider:
        for stream in (True, False):
            (choice,), _ = await answer_of(provider, ask("你好", model=model, stream=stream))
            assert choice.message.reasoning
            assert "<think>" not in choice.message.text
            assert choice.message.text.startswith("你好，我是")


async def test_calls_and_pictures_work() -> None:
    """Parallel calls are streamed, their results are used, and a picture that came as data is seen."""
    tool = Tool(name="get_weather", parameters={"required": ["city"]})
    async with sandboxed() as provider:
        request = ask("北京和上海的天气 [[tools:parallel]]", tools=(tool,))
        (choice,), _ = await answer_of(provider, request)
        assert "tool_calls" == choice.finish_reason
        assert 2 == len(choice.message.tool_calls)
        results = tuple(
            Message("tool", '{"temp": 21}', tool_call_id=call.id)
            for call in choice.message.tool_calls
        )
        later = ChatRequest(
            model="glm-4", messages=(*request.messages, choice.message, *results), stream=False
        )
        (choice,), _ = await answer_of(provider, later)
        assert '{"temp": 21}' in choice.message.text
        url = (
            "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
            "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
        )
        parts = (TextPart("图里有什么"), ImagePart(url))
        seen = ChatRequest(model="glm-4v", messages=(Message("user", parts),))
        assert "PNG" in (await answer_of(provider, seen))[0][0].message.text


async def test_search_results_are_kept() -> None:
    """What the vendor's search found travels beside the answer, unless retrieval silences it."""
    search = Tool(
        "web_search",
        body={"web_search": {"enable": True, "search_result": True, "search_query": "q"}},
    )
    retrieval = Tool("retrieval", body={"retrieval": {"knowledge_id": "1"}})
    async with sandboxed() as provider:
        found = await deltas_of(provider, ask("新闻", stream=False, tools=(search,)))
        silent = await deltas_of(provider, ask("新闻", stream=False, tools=(search, retrieval)))
    assert any("web_search" in (delta.extra or {}) for delta in found)
    assert not any("web_search" in (delta.extra or {}) for delta in silent)


async def test_the_provider_makes_vectors_and_pictures() -> None:
    """More texts than one call takes are split; a picture's URL gives a picture of the size asked for."""
    async with open_house() as house, open_provider(SPEC, settings_for(house.base_url)) as provider:
        assert isinstance(provider, Embeds)
        assert isinstance(provider, DrawsImages)
        texts = tuple(f"文本{number}" for number in range(130))
        result = await provider.embed(
            EmbeddingRequest(model="embedding-3", inputs=texts, dimensions=256)
        )
        one = await provider.embed(
            EmbeddingRequest(model="embedding-3", inputs=texts[100:101], dimensions=256)
        )
        assert 130 == len(result.vectors)
        assert list(one.vectors[0]) == list(result.vectors[100])
        drawn = await provider.draw(
            ImageRequest(model="cogview-4", prompt="一只猫", size="1024x512")
        )
        data = await house.get(drawn.images[0].url or "")
        picture = look_at(base64.b64encode(data).decode())
        assert ("PNG", 1024, 512) == (picture.format, picture.width, picture.height)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        ("429 retry_after=2", RateLimited, "1302"),
        ("500", ProviderUnavailable, "500"),
        ("arrears", QuotaExhausted, "1113"),
        ("content_filter", ContentRefused, "1301"),
        ("too_long", ContextTooLong, "1261"),
        ("expired_token", ProviderAuthFailed, "1003"),
        ("1220", ProviderAuthFailed, "1220"),
        ("misspelt", RequestRejected, "1210"),
        ("cut after=2", ProviderUnavailable, None),
        ("network_error", ProviderUnavailable, "network_error"),
    ],
)
async def test_faults_become_errors(
    stream: bool, fault: str, kind: type[ProviderError], code: str | None
) -> None:
    """Each fault that a prompt asks for becomes the right error, whole and streamed."""
    async with sandboxed() as provider:
        if stream and fault == "network_error":
            fault = "network_error after=2"
        with pytest.raises(ProviderError) as caught:
            await deltas_of(provider, ask(f"你好 [[fault:{fault}]]", stream=stream))
        assert kind is type(caught.value)
        assert code == caught.value.vendor_code
        if "retry_after" in fault:
            assert 2.0 == caught.value.retry_after


@pytest.mark.parametrize("fault", ["half_line", "malformed", "malformed after=2"])
async def test_broken_streams_become_protocol_errors(fault: str) -> None:
    """Half an event, and one that is not JSON, are the vendor's nonsense."""
    async with sandboxed() as provider:
        with pytest.raises(ProviderProtocolError):
            await deltas_of(provider, ask(f"你好 [[fault:{fault}]]"))


async def test_a_sensitive_end_is_told() -> None:
    """The vendor's safety cut arrives as the finish reason, whole and in the middle of a stream."""
    async with sandboxed() as provider:
        (whole,), _ = await answer_of(provider, ask("[[fault:sensitive]]", stream=False))
        (cut,), _ = await answer_of(provider, ask("你好 [[fault:sensitive after=3]]"))
    assert ("content_filter", "") == (whole.finish_reason, whole.message.text)
    assert "content_filter" == cut.finish_reason
    assert cut.message.text


async def test_an_expired_token_is_renewed_once() -> None:
    """A token that the vendor calls expired is signed anew, and the caller does not notice."""
    async with sandboxed() as provider:
        (choice,), _ = await answer_of(provider, ask("你好 [[fault:expired_token once=a]]"))
    assert "stop" == choice.finish_reason


@pytest.mark.parametrize("hours", [-3, 3])
async def test_a_wrong_clock_is_repaired(hours: int) -> None:
    """A machine whose clock is hours off still chats: the vendor's Date header puts it right."""
    clock = FakeClock(datetime.now(UTC) + timedelta(hours=hours))
    async with sandboxed(clock=clock) as provider:
        (choice,), _ = await answer_of(provider, ask("你好", stream=False))
    assert "stop" == choice.finish_reason


async def test_hanging_up_is_noticed() -> None:
    """A caller that leaves a stream early leaves the vendor at once, which counts only what it sent."""
    async with open_house() as house, open_provider(SPEC, settings_for(house.base_url)) as provider:
        stream = provider.stream(ask("你好 [[fault:pace=0.02]]"))
        async with aclosing(stream):
            await anext(stream)
        row = await _idle(house)
        _, usage = await answer_of(provider, ask("你好"))
    assert 1 == row["closed_early"]
    assert row["completion_tokens"] < usage.completion_tokens


async def _idle(house: House) -> dict[str, Any]:
    async with asyncio.timeout(1):
        while (row := (await house.served())[0])["open"]:  # a page tells no event
            await asyncio.sleep(0.005)
    return row


async def test_the_spec_describes_a_provider() -> None:
    """The plugin's cards have the product's first model with the product's price, and each opens."""
    cards = {card.id: card for card in SPEC.cards()}
    price = cards["glm-4"].price_on(datetime.now(UTC).date())
    assert price is not None
    assert ("0.1", "CNY", True) == (str(price.input), price.currency, price.confirmed)
    assert {"chat", "embedding", "image"} == {card.kind for card in cards.values()}
    others = [price for card in cards.values() if card.id != "glm-4" for price in card.prices]
    assert not any(price.confirmed for price in others)
    async with sandboxed() as provider:
        assert isinstance(provider, Provider)
        assert "Secret" not in repr(provider)
