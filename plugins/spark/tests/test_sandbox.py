"""The stand-in for Spark: what it verifies, and the provider against it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import orjson
import pytest
from structlog.testing import capture_logs

from fengchao_core.errors import (
    ContentRefused,
    ContextTooLong,
    ProviderAuthFailed,
    ProviderError,
    ProviderOverloaded,
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
    ScriptedVendor,
    answer_of,
    deltas_of,
    json_answer,
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
from fengchao_spark import SANDBOX, SPEC
from fengchao_spark.auth import sign_url
from fengchao_spark.endpoints import ENDPOINTS
from fengchao_spark.sandbox import API_KEY, API_SECRET, APP_ID, build, settings_for

PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
MODELS = [card.upstream_id for card in SPEC.cards() if card.kind == "chat"]


def frame(
    *messages: object, domain: Any = "generalv3.5", header: Any = None, **chat: Any
) -> dict[str, Any]:
    """A frame that asks."""
    texts = list(messages) or [{"role": "user", "content": "你好"}]
    return {
        "header": {"app_id": APP_ID, **(header or {})},
        "parameter": {"chat": {"domain": domain, **chat}},
        "payload": {"message": {"text": texts}},
    }


class House:
    """The sandbox, running, and a plain client."""

    def __init__(self, base_url: str, client: aiohttp.ClientSession) -> None:
        self.base_url = base_url
        self._client = client

    def signed(self, path: str, *, method: str = "GET", now: datetime | None = None) -> str:
        """A signed URL."""
        return sign_url(
            self.base_url + path,
            method=method,
            api_key=API_KEY,
            api_secret=API_SECRET,
            now=now or datetime.now(UTC),
        )[0]

    async def talk(self, body: object, *, path: str = "/v3.5/chat") -> list[dict[str, Any]]:
        """The frames that answer one."""
        data = body if isinstance(body, str) else orjson.dumps(body).decode()
        async with self._client.ws_connect(self.signed(path)) as socket:
            await socket.send_str(data)
            frames = [orjson.loads(message.data) async for message in socket]
        assert 1000 == socket.close_code
        return frames

    async def code(self, body: object, **how: Any) -> int:
        """The code that ends an answer."""
        code: int = (await self.talk(body, **how))[-1]["header"]["code"]
        return code

    async def shake(self, url: str) -> tuple[int, str]:
        """Status and words of a handshake."""
        headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
        async with self._client.get(url, headers=headers) as got:
            return got.status, orjson.loads(await got.read())["message"]

    async def post(self, path: str, body: object, **headers: str) -> tuple[int, dict[str, Any]]:
        """Status and body of a post; signed where it brings no authorization of its own."""
        url = self.base_url + path if headers else self.signed(path, method="POST")
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        async with self._client.post(url, data=data, headers=headers) as got:
            return got.status, orjson.loads(await got.read())

    async def served(self) -> list[dict[str, Any]]:
        """What was served."""
        async with self._client.get(self.base_url + SERVED_PATH) as got:
            rows: list[dict[str, Any]] = (await got.json())["rows"]
            return rows


@asynccontextmanager
async def open_house(**how: Any) -> AsyncIterator[House]:
    """Run the sandbox."""
    async with run_app(build(**how)) as base_url, aiohttp.ClientSession() as client:
        yield House(base_url, client)


# Who asks.


async def test_signatures_are_verified() -> None:
    """An absent, unreadable, foreign, tampered or old signature is refused as the vendor does."""
    unverifiable, no_match = "HMAC signature cannot be verified", "HMAC signature does not match"
    clock = FakeClock()
    async with open_house(clock=clock) as house:
        good = house.signed("/v3.5/chat", now=clock.now())
        bare, _, query = good.partition("?")
        other = base64.b64encode(b'api_key="x", signature="y"').decode().replace("=", "%3D")
        for expected, url in (
            ((401, "Unauthorized"), bare),
            ((401, unverifiable), f"{bare}?authorization=%21&date=x&host=y"),
            ((401, unverifiable), f"{bare}?authorization={other}&date=x&host=y"),
            ((401, no_match), f"{house.base_url}/v4.0/chat?{query}"),
            ((401, no_match), good.replace("host=127.0.0.1", "host=example.com")),
            ((401, no_match), good.replace("date=Fri", "date=Sat")),
        ):
            assert expected == await house.shake(url), url
        for seconds, expected in ((-301, 403), (-299, 426), (299, 426), (301, 403)):
            late = house.signed("/v3.5/chat", now=clock.now() + timedelta(seconds=seconds))
            status, words = await house.shake(late)
            assert (expected, expected == 403) == (status, "valid date" in words)
        status, _ = await house.shake(good.replace("+Apr+", "+Foo+"))
        assert 403 == status


async def test_older_forms_of_a_signature_are_taken() -> None:
    """`hmac username=` and the zone `UTC`, which other clients write, are understood."""
    from fengchao_spark.auth import signature, string_to_sign

    async with open_house() as house:
        host = house.base_url.removeprefix("http://")
        date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S UTC")
        signed = signature(API_SECRET, string_to_sign("GET", host, "/v3.5/chat", date))
        text = (
            f'hmac username="{API_KEY}", algorithm="hmac-sha256", '
            f'headers="host date request-line", signature="{signed}"'
        )
        params = {
            "host": host,
            "date": date,
            "authorization": base64.b64encode(text.encode()).decode(),
        }
        async with (
            aiohttp.ClientSession() as client,
            client.ws_connect(f"{house.base_url}/v3.5/chat", params=params) as socket,
        ):
            assert not socket.closed


# What is asked.

USER = {"role": "user", "content": "你好"}


@pytest.mark.parametrize(
    ("expected", "body"),
    [
        (10003, "{"),
        (10003, "[]"),
        (10004, {}),
        (10004, {**frame(), "header": {}}),
        (10016, frame(header={"app_id": "somebody"})),
        (10005, frame(header={"uid": "u" * 33})),
        (10005, frame(header={"patch_id": "10001"})),
        (10004, frame(domain=None)),
        (10404, frame(domain="4.0Ultra")),
        (10404, frame(domain="nothing")),
        (10005, frame(temperature=0)),
        (10005, frame(temperature=1.1)),
        (10005, frame(temperature="hot")),
        (10005, frame(top_k=0)),
        (10005, frame(top_k=7)),
        (10005, frame(max_tokens=0)),
        (10005, frame(max_tokens=8193)),
        (10005, frame(chat_id=1)),
        (10004, {**frame(), "payload": {"message": {"text": []}}}),
        (10004, frame({"role": "user"})),
        (10005, frame({"role": "tool", "content": "x"})),
        (10005, frame(USER, {"role": "system", "content": "x"}, USER)),
        (10005, frame(USER, {"role": "assistant", "content": "x"})),
        (10907, frame({"role": "user", "content": "字" * 20_000})),
        (0, frame(temperature=1, top_k=6, max_tokens=8192, chat_id="c", unknown=1)),
        (0, frame({"role": "system", "content": "x"}, USER, header={"uid": "u" * 32})),
    ],
)
async def test_frames_are_verified(expected: int, body: object) -> None:
    """Shapes, application, domain, ranges and roles are the vendor's, and so are the codes."""
    async with open_house() as house:
        assert expected == await house.code(body)


@pytest.mark.parametrize(
    ("expected", "path", "body"),
    [
        (0, "/v1.1/chat", frame(domain="lite")),
        (0, "/v1.1/chat", frame(domain="general")),
        (0, "/v1.1/chat", frame(domain="patch", header={"patch_id": ["1"]})),
        (10404, "/v1.1/chat", frame(domain="patch")),
        (10005, "/v1.1/chat", frame(domain="lite", max_tokens=4097)),
        (0, "/v1/x1", frame(domain="x1", temperature=2, max_tokens=32768)),
        (0, "/chat/pro-128k", frame({"role": "user", "content": "字" * 20_000}, domain="pro-128k")),
        (
            0,
            "/v2.1/image",
            frame({**USER, "content": PICTURE, "content_type": "image"}, domain="image"),
        ),
        (
            10005,
            "/v2.1/image",
            frame({**USER, "content": "no picture", "content_type": "image"}, domain="image"),
        ),
        (
            10005,
            "/v2.1/image",
            frame({**USER, "content": "R0lGODlhAQABAAAA", "content_type": "image"}, domain="image"),
        ),
        (
            10005,
            "/v2.1/image",
            frame(*[{**USER, "content": PICTURE, "content_type": "image"}] * 2, domain="imagev3"),
        ),
    ],
)
async def test_each_path_has_its_rules(expected: int, path: str, body: object) -> None:
    """Each path takes its own domains, older names among them, with their own limits; pictures are looked at."""
    async with open_house() as house:
        assert expected == await house.code(body, path=path)


@pytest.mark.parametrize(
    "functions",
    [
        [],
        {"text": {}},
        {"text": [{"type": "function", "function": {"name": "f"}}]},
        {"text": [{"name": "f", "parameters": "{}"}]},
    ],
)
async def test_functions_are_verified(functions: object) -> None:
    """Functions are plain objects with a name, not wrapped."""
    body = frame()
    body["payload"]["functions"] = functions
    async with open_house() as house:
        assert 10004 == await house.code(body)


async def test_answers_look_like_the_vendors() -> None:
    """Statuses go from 0 over 1 to 2, `seq` counts from 0, one `sid` is in all, the usage in the last alone."""
    async with open_house() as house:
        frames = await house.talk(frame())
        (only,) = await house.talk(frame({"role": "user", "content": "[[say:好]]"}))
    choices = [each["payload"]["choices"] for each in frames]
    assert [0, *[1] * (len(frames) - 2), 2] == [each["status"] for each in choices]
    assert list(range(len(frames))) == [each["seq"] for each in choices]
    assert 1 == len({each["header"]["sid"] for each in frames})
    assert [len(frames) - 1] == [at for at, each in enumerate(frames) if "usage" in each["payload"]]
    assert (2, "好") == (
        only["payload"]["choices"]["status"],
        only["payload"]["choices"]["text"][0]["content"],
    )


async def test_who_asks_nothing_is_sent_away() -> None:
    """A connection on which nothing is asked is closed."""
    async with (
        open_house(idle_s=0.01) as house,
        aiohttp.ClientSession() as client,
        client.ws_connect(house.signed("/v3.5/chat")) as socket,
    ):
        message = await socket.receive(timeout=5)
    assert aiohttp.WSMsgType.CLOSE is message.type


@pytest.mark.parametrize(
    ("expected", "path", "change"),
    [
        (0, "/", {}),
        (10016, "/", {"header": {"app_id": "somebody"}}),
        (10004, "/", {"header": {}}),
        (10005, "/", {"parameter": {"emb": {"domain": "poem"}}}),
        (10004, "/", {"parameter": {}}),
        (10004, "/", {"payload": {"messages": {"text": "no base64"}}}),
        (10004, "/", {"payload": {"messages": {"text": "e30="}}}),
        (0, "/v1/private/sa8a05c27", {"parameter": {"emb": {}}}),
        (10004, "/v2.1/tti", {}),
        (10005, "/v2.1/tti", {"parameter": {"chat": {"width": 1, "height": 1}}}),
        (10004, "/v2.1/tti", {"parameter": {"chat": {"width": 512, "height": 512}}}),
    ],
)
async def test_signed_services_are_verified(expected: int, path: str, change: Any) -> None:
    """Embeddings and pictures have their own shapes, and the same codes under HTTP 200."""
    said = orjson.dumps({"messages": [{"content": "你好", "role": "user"}]})
    body = {
        "header": {"app_id": APP_ID, "status": 3},
        "parameter": {"emb": {"domain": "query", "feature": {"encoding": "utf8"}}},
        "payload": {"messages": {"text": base64.b64encode(said).decode()}},
        **change,
    }
    async with open_house() as house:
        status, answer = await house.post(path, body)
        assert (200, expected) == (status, answer["header"]["code"])
        _, answer = await house.post(path, b"{")
        assert 10003 == answer["header"]["code"]


@pytest.mark.parametrize(
    ("expected", "change"),
    [
        ("10404", {"model": "x1"}),
        ("10404", {"model": "generalv2"}),
        ("10004", {"messages": []}),
        ("10004", {"messages": [{"role": "user", "content": [{"type": "text"}]}]}),
        ("10005", {"messages": [{"role": "developer", "content": "x"}]}),
        ("10005", {"messages": [USER, {"role": "assistant", "content": "x"}]}),
        ("10005", {"temperature": 2.1}),
        ("10005", {"top_p": 0}),
        ("10005", {"top_k": 7}),
        ("10005", {"max_tokens": 4097}),
        ("10005", {"presence_penalty": -1}),
        ("10005", {"response_format": {"type": "json_schema"}}),
        ("ok", {"model": "general", "temperature": 0, "top_p": 1, "top_k": 1}),
    ],
)
async def test_the_http_api_is_verified(expected: str, change: dict[str, Any]) -> None:
    """Models, roles and ranges of the HTTP API are refused under HTTP 400 with a code as text."""
    body = {"model": "lite", "messages": [USER], **change}
    async with open_house() as house:
        for password in ("SandboxPassword:OfNoWorth", f"{API_KEY}:{API_SECRET}"):
            status, answer = await house.post(
                "/v1/chat/completions", body, Authorization=f"Bearer {password}"
            )
            told = answer["error"]["code"] if "error" in answer else "ok"
            assert (expected, 200 if expected == "ok" else 400) == (told, status)
        status, answer = await house.post("/v1/chat/completions", body, Authorization="Bearer x")
        assert (401, "invalid user") == (status, answer["error"]["message"])


# The provider against it.


def ask(
    text: Any, *, stream: bool = True, model: str = "generalv3.5", **params: Any
) -> ChatRequest:
    """A request of one message."""
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


@asynccontextmanager
async def over_http() -> AsyncIterator[Provider]:
    """The provider against its sandbox, over the HTTP API."""
    async with run_app(build()) as base_url:
        settings = {**settings_for(base_url), "api": "http"}
        async with open_provider(SPEC, settings) as provider:
            yield provider


@pytest.mark.parametrize("model", MODELS)
async def test_every_model_chats(model: str) -> None:
    """Every model answers over WebSocket, whole and streamed alike, with usage that was really served."""
    async with open_house() as house, open_provider(SPEC, settings_for(house.base_url)) as provider:
        streamed = await answer_of(provider, ask("介绍一下北京", model=model))
        whole = await answer_of(provider, ask("介绍一下北京", model=model, stream=False))
        (row,) = await house.served()
    assert whole == streamed
    assert "介绍一下北京" in whole[0][0].message.text
    assert (APP_ID, model, 2, 2 * whole[1].prompt_tokens, 2 * whole[1].completion_tokens) == (
        row["credential"],
        row["model"],
        row["requests"],
        row["prompt_tokens"],
        row["completion_tokens"],
    )
    assert (0, 0) == (row["closed_early"], row["open"])


@pytest.mark.parametrize("model", [m for m in MODELS if m in ENDPOINTS and ENDPOINTS[m].http])
async def test_models_chat_over_http(model: str) -> None:
    """Every model that the HTTP API has answers there, whole and streamed alike."""
    async with over_http() as provider:
        streamed = await answer_of(provider, ask("介绍一下北京", model=model))
        whole = await answer_of(provider, ask("介绍一下北京", model=model, stream=False))
    assert whole == streamed
    assert (model == "x1") == bool(whole[0][0].message.reasoning)


async def test_fine_tuned_models_chat() -> None:
    """A model of the operator's own goes to the host of fine-tuned ones, with its resource."""
    async with run_app(build()) as base_url:
        settings = {**settings_for(base_url), "patch_ids": {"xsp123": "10001"}}
        async with open_provider(SPEC, settings) as provider:
            (choice,), _ = await answer_of(provider, ask("你好", model="xsp123"))
    assert "xsp123" in choice.message.text


@pytest.mark.parametrize("http", [False, True])
async def test_calls_work(http: bool) -> None:
    """A call is made and its result used in the next answer, over both protocols."""
    tool = Tool(name="get_weather", parameters={"required": ["city"]})
    async with over_http() if http else sandboxed() as provider:
        request = ask("北京的天气", tools=(tool,))
        (choice,), _ = await answer_of(provider, request)
        (call,) = choice.message.tool_calls
        assert ("tool_calls", "get_weather") == (choice.finish_reason, call.name)
        result = Message("tool", '{"temp": 21}', tool_call_id=call.id)
        later = ChatRequest(
            model="generalv3.5", messages=(*request.messages, choice.message, result)
        )
        (choice,), _ = await answer_of(provider, later)
    assert '{"temp": 21}' in choice.message.text


async def test_thinking_and_pictures_work() -> None:
    """Thinking comes as thinking; a picture that came as data is seen."""
    parts = (TextPart("图里有什么"), ImagePart(f"data:image/png;base64,{PICTURE}"))
    async with sandboxed() as provider:
        (thought,), _ = await answer_of(provider, ask("你好", model="x1"))
        (seen,), _ = await answer_of(provider, ask(parts, model="image"))
    assert thought.message.reasoning
    assert "PNG图片，1×1" in seen.message.text


async def test_the_provider_makes_vectors_and_pictures() -> None:
    """Texts become vectors in their order, with an estimate of their tokens; a picture has the size asked for."""
    async with sandboxed() as provider:
        assert isinstance(provider, Embeds)
        assert isinstance(provider, DrawsImages)
        for model in (card.id for card in SPEC.cards() if card.kind == "embedding"):
            result = await provider.embed(EmbeddingRequest(model=model, inputs=("甲", "乙", "甲")))
            first, second, third = (list(vector) for vector in result.vectors)
            assert first == third != second
            assert (2560, "estimate", True) == (
                len(first),
                result.usage.source,
                result.usage.prompt_tokens >= 3,
            )
        drawn = await provider.draw(
            ImageRequest(model="spark-tti", prompt="一只猫", size="640x360")
        )
    picture = look_at(drawn.images[0].b64_json or "")
    assert ("PNG", 640, 360) == (picture.format, picture.width, picture.height)


@pytest.mark.parametrize("http", [False, True])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        ("429", RateLimited, "11202"),
        ("500", ProviderUnavailable, "10012"),
        ("503", ProviderOverloaded, "10008"),
        ("arrears", QuotaExhausted, "11200"),
        ("content_filter", ContentRefused, "10013"),
        ("too_long", ContextTooLong, "10907"),
        ("expired_token", ProviderAuthFailed, "10016"),
        ("10007", RateLimited, "10007"),
        ("misspelt", RequestRejected, "10005"),
        ("cut after=2", ProviderUnavailable, None),
    ],
)
async def test_faults_become_errors(
    http: bool, stream: bool, fault: str, kind: type[ProviderError], code: str | None
) -> None:
    """Each fault that a prompt asks for becomes the right error, whole and streamed, over both protocols."""
    async with over_http() if http else sandboxed() as provider:
        with pytest.raises(ProviderError) as caught:
            await deltas_of(provider, ask(f"你好 [[fault:{fault}]]", stream=stream))
    assert kind is type(caught.value)
    assert code == caught.value.vendor_code
    # A body in the shape of chat completions has no place for it; frames and flat bodies do.
    assert (code is not None and fault != "misspelt") <= bool(caught.value.vendor_request_id)


@pytest.mark.parametrize("http", [False, True])
async def test_a_refusal_in_the_middle_comes_after_the_text(http: bool) -> None:
    """What was said before a refusal is passed on."""
    texts: list[str] = []
    async with over_http() if http else sandboxed() as provider:
        with pytest.raises(ContentRefused) as caught:
            async for batch in provider.stream(ask("你好 [[fault:content_filter after=3]]")):
                texts += [delta.text for delta in batch]
    assert 3 == len(texts)
    assert "10014" == caught.value.vendor_code


@pytest.mark.parametrize("http", [False, True])
@pytest.mark.parametrize("fault", ["half_line", "malformed", "malformed after=2"])
async def test_broken_streams_become_protocol_errors(http: bool, fault: str) -> None:
    """Half an event, and one that is not JSON, are the vendor's nonsense."""
    async with over_http() if http else sandboxed() as provider:
        with pytest.raises(ProviderProtocolError):
            await deltas_of(provider, ask(f"你好 [[fault:{fault}]]"))


async def test_messages_in_fragments_are_put_together() -> None:
    """Messages that come in fragments which cut characters apart are read as if they came whole."""
    async with sandboxed() as provider:
        text = "介绍一下北京 [[fault:split_utf8]]"
        (split,), usage = await answer_of(provider, ask(text))
        (whole,), _ = await answer_of(provider, ask("介绍一下北京"))
    assert whole.message.text == split.message.text
    assert "vendor" == usage.source


async def test_an_early_end_is_told() -> None:
    """An answer that used up the limit it was asked for is told to be cut."""
    async with sandboxed() as provider:
        (choice,), usage = await answer_of(provider, ask("介绍一下北京", max_tokens=5))
    assert ("length", 5) == (choice.finish_reason, usage.completion_tokens)


async def test_deltas_come_as_soon_as_they_are_sent() -> None:
    """The first delta is there while the vendor keeps silent after it."""
    async with (
        sandboxed() as provider,
        asyncio.timeout(5),
        aclosing(provider.stream(ask("你好 [[fault:silence after=1]]"))) as batches,
    ):
        (delta,) = await anext(batches)
    assert delta.text


# The vendor's clock.


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_a_wrong_clock_is_repaired_and_reported(minutes: int) -> None:
    """A machine whose clock is ten minutes off chats, embeds and draws; the vendor's time is learned once and reported."""
    clock = FakeClock(datetime.now(UTC) + timedelta(minutes=minutes))
    for first in ("chat", "embed", "draw"):
        with capture_logs() as logs:
            async with sandboxed(clock=clock) as provider:
                if first == "embed":
                    await provider.embed(EmbeddingRequest(model="spark-embedding-q", inputs=("x",)))
                elif first == "draw":
                    await provider.draw(ImageRequest(model="spark-tti", prompt="x"))
                (choice,), _ = await answer_of(provider, ask("你好", stream=False))
        assert "stop" == choice.finish_reason
        (told,) = [log for log in logs if log["event"] == "token.clock_skew"]
        assert abs(told["vendor_ahead_s"] + minutes * 60) < 5


@pytest.mark.parametrize(("status", "words"), [(401, "HMAC signature does not match"), (403, "…")])
async def test_a_refusal_that_is_not_about_time_is_final(status: int, words: str) -> None:
    """A handshake that is refused with the right time is not tried again; the vendor's words are kept."""
    async with ScriptedVendor() as vendor:
        vendor.answers(json_answer({"message": words}, status=status))
        async with open_provider(SPEC, settings_for(vendor.base_url)) as provider:
            with pytest.raises(ProviderAuthFailed) as caught:
                await deltas_of(provider, ask("你好"))
        assert 1 == len(vendor.requests)
    assert (status, words) == (caught.value.status, caught.value.vendor_message)


async def test_a_storm_of_first_calls_repairs_the_clock_once() -> None:
    """Of many calls that start with a wrong clock, each is refused once at most, and one report is made."""
    clock = FakeClock(datetime.now(UTC) + timedelta(hours=1))
    with capture_logs() as logs:
        async with sandboxed(clock=clock) as provider, asyncio.TaskGroup() as group:
            tasks = [group.create_task(answer_of(provider, ask(f"[[say:{n}]]"))) for n in range(50)]
    assert [str(n) for n in range(50)] == [task.result()[0][0].message.text for task in tasks]
    assert 1 == len([log for log in logs if log["event"] == "token.clock_skew"])


# Hanging up.


async def test_hanging_up_is_noticed_at_once() -> None:
    """A caller that leaves a stream early leaves the vendor at once, which counts only what it sent."""
    async with open_house() as house, open_provider(SPEC, settings_for(house.base_url)) as provider:
        for fault in ("pace=0.02", "silence after=1"):
            async with aclosing(provider.stream(ask(f"你好 [[fault:{fault}]]"))) as batches:
                await anext(batches)
            row = await _idle(house)
        _, usage = await answer_of(provider, ask("你好"))
    assert 2 == row["closed_early"]
    assert row["completion_tokens"] < usage.completion_tokens


async def _idle(house: House) -> dict[str, Any]:
    async with asyncio.timeout(1):
        while (row := (await house.served())[0])["open"]:
            await asyncio.sleep(0.005)
    return row


# The plugin.


async def test_the_spec_describes_a_provider() -> None:
    """Every version has a card; no price is called confirmed; nothing secret shows."""
    cards = {card.id: card for card in SPEC.cards()}
    assert set(ENDPOINTS) == {card.upstream_id for card in cards.values() if card.kind == "chat"}
    assert {"chat", "embedding", "image"} == {card.kind for card in cards.values()}
    assert not any(price.confirmed for card in cards.values() for price in card.prices)
    for domain, endpoint in ENDPOINTS.items():
        card = next(card for card in cards.values() if card.upstream_id == domain)
        assert endpoint.takes_functions == ("tools" in card.capabilities)
        assert endpoint.takes_search == ("search" in card.capabilities)
        assert endpoint.takes_pictures == ("vision" in card.capabilities)
        assert endpoint.max_tokens == card.max_output_tokens or domain == "kjwx"
    async with sandboxed() as provider:
        assert isinstance(provider, Provider)
        assert API_SECRET not in repr(provider)
