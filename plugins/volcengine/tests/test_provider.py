"""The provider against its stand-in: what a caller gets."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace
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
    ProviderOverloaded,
    ProviderProtocolError,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
    SettingsError,
)
from fengchao_core.gateway import Gateway
from fengchao_core.kit.sandbox import SERVED_PATH, look_at
from fengchao_core.provider import CountsTokens, DrawsImages, Embeds, KeepsFiles, Provider
from fengchao_core.settings import Settings
from fengchao_core.testing import (
    FakeClock,
    ScriptedVendor,
    answer_of,
    chat_body,
    deltas_of,
    json_answer,
    open_provider,
    run_app,
)
from fengchao_core.types import (
    ChatCall,
    ChatParams,
    ChatRequest,
    EmbeddingRequest,
    ImagePart,
    ImageRequest,
    Message,
    ResponseFormat,
    TextPart,
    Tool,
    Usage,
)
from fengchao_volcengine import SANDBOX, SPEC, fengchao_providers, fengchao_sandboxes
from fengchao_volcengine.provider import VolcengineProvider
from fengchao_volcengine.sandbox import AK, API_KEY, SK, build

THINKS = "doubao-seed-1-6-250615"
PLAIN = "doubao-1-5-pro-32k-250115"
ENDPOINT = "ep-20240101-abcde"
LEGACY = "skylark-pro-public"
CARDS = {card.id: card for card in SPEC.cards()}
SKYLARKS = [
    "skylark-lite-public",
    "skylark-plus-public",
    "skylark-pro-public",
    "skylark-chat",
    "Skylark2-lite-8k",
    "Skylark2-pro-4k",
    "Skylark2-pro-character-4k",
    "Skylark2-pro-32k",
    "Skylark2-pro-turbo-8k",
]
WEATHER = Tool(
    name="get_weather",
    description="查询天气",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def ask(text: str, *, model: str = PLAIN, stream: bool = True, **params: Any) -> ChatRequest:
    """A request of one user message."""
    return ChatRequest(
        model=model,
        messages=(Message("user", text),),
        params=ChatParams(**params),
        stream=stream,
    )


def signed_only(base_url: str, **more: object) -> dict[str, object]:
    """Settings with the access key alone."""
    settings = {**SANDBOX.settings(base_url), **more}
    del settings["api_key"]
    return settings


# Chat.


@pytest.mark.parametrize("model", [THINKS, PLAIN, ENDPOINT, "bot-1", *SKYLARKS])
async def test_every_model_chats(provider: VolcengineProvider, model: str) -> None:
    """Streams and whole answers of each model are the same: text, finish reason and usage."""
    streamed = await answer_of(provider, ask("介绍一下北京", model=model))
    whole = await answer_of(provider, ask("介绍一下北京", model=model, stream=False))
    assert whole == streamed
    assert "北京" in whole[0][0].message.text
    assert whole[1].total_tokens > 0
    assert len(await deltas_of(provider, ask("介绍一下北京", model=model))) > 5


@pytest.mark.parametrize(
    ("effort", "thinks"), [(None, True), ("high", True), ("none", False), ("minimal", False)]
)
async def test_thinking_comes_as_thinking(
    provider: VolcengineProvider, effort: str | None, thinks: bool
) -> None:
    """A thinking model's thinking comes apart from its text, and can be switched off."""
    for stream in (True, False):
        request = ask("你好", model=THINKS, stream=stream, reasoning_effort=effort)
        (choice,), usage = await answer_of(provider, request)
        assert thinks == bool(choice.message.reasoning) == bool(usage.reasoning_tokens)
        assert choice.message.text.startswith("你好，我是")


@pytest.mark.parametrize("model", [PLAIN, LEGACY])
@pytest.mark.parametrize("stream", [True, False])
async def test_tools_are_called_and_their_results_used(
    provider: VolcengineProvider, model: str, stream: bool
) -> None:
    """A call, answered, gives an answer that knows the result, on both APIs."""
    request = ask("北京天气如何？", model=model, stream=stream, tools=(WEATHER,))
    (choice,), _ = await answer_of(provider, request)
    assert "tool_calls" == choice.finish_reason
    (call,) = choice.message.tool_calls
    assert ("get_weather", {"city": "北京"}) == (call.name, orjson.loads(call.arguments))
    result = Message("tool", "21 度", tool_call_id=call.id)
    later = replace(request, messages=(*request.messages, choice.message, result))
    (choice,), _ = await answer_of(provider, later)
    assert "21 度" in choice.message.text


async def test_calls_come_in_parallel(provider: VolcengineProvider) -> None:
    """Two cities, two calls, in one stream."""
    (choice,), _ = await answer_of(
        provider, ask("北京和上海的天气 [[tools:parallel]]", tools=(WEATHER,))
    )
    assert 2 == len(choice.message.tool_calls)


async def test_pictures_are_seen(provider: VolcengineProvider) -> None:
    """A picture in a message reaches the model."""
    message = Message("user", (TextPart("图里有什么"), ImagePart(PIXEL)))
    (choice,), _ = await answer_of(provider, ChatRequest(model=THINKS, messages=(message,)))
    assert "PNG" in choice.message.text


async def test_answers_can_be_json(provider: VolcengineProvider) -> None:
    """JSON mode gives an object, a schema gives one that fits."""
    form = ResponseFormat("json_object")
    (choice,), _ = await answer_of(provider, ask("返回JSON", response_format=form))
    assert isinstance(orjson.loads(choice.message.text), dict)
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    form = ResponseFormat("json_schema", name="a", schema=schema)
    (choice,), _ = await answer_of(provider, ask("返回JSON", response_format=form))
    assert {"n"} == set(orjson.loads(choice.message.text))


async def test_several_choices_and_likelihoods(provider: VolcengineProvider) -> None:
    """Several choices do not mix, and each token has its likelihood."""
    choices, _ = await answer_of(provider, ask("你好", n=2, logprobs=True, top_logprobs=2))
    assert [0, 1] == [choice.index for choice in choices]
    assert choices[0].logprobs


async def test_bots_tell_what_they_found(provider: VolcengineProvider) -> None:
    """A bot's references travel beside its answer, whole and streamed."""
    for stream in (True, False):
        deltas = await deltas_of(provider, ask("新闻", model="bot-1", stream=stream))
        extras = [delta.extra for delta in deltas if delta.extra and "references" in delta.extra]
        (found,) = extras[0]["references"]  # type: ignore[misc]  # a list of one
        assert "https://example.com/" == found["url"]


async def test_kept_conversations_go_on(provider: VolcengineProvider) -> None:
    """A chat in a context has the tokens of its beginning; a session keeps what was said since."""
    begin = (Message("system", "你是助手"), Message("user", "我叫小明"))
    context = await provider.create_context(ENDPOINT, begin, ttl_s=3600)
    extra = {"context_id": context}
    counts = []
    for _ in range(2):
        _, usage = await answer_of(provider, ask("我叫什么？", model=ENDPOINT, extra=extra))
        counts.append(usage.prompt_tokens)
    _, alone = await answer_of(provider, ask("我叫什么？", model=ENDPOINT))
    assert alone.prompt_tokens < counts[0] < counts[1]
    with pytest.raises(RequestRejected) as caught:
        await deltas_of(provider, ask("x", model=ENDPOINT, extra={"context_id": "ctx-other"}))
    assert "NotFound" == caught.value.vendor_code


async def test_consecutive_turns_are_joined_for_the_legacy_api(
    provider: VolcengineProvider,
) -> None:
    """A history that the legacy API would refuse is repaired where that loses nothing, and the caller is told."""
    request = replace(
        ask("三", model=LEGACY),
        messages=(
            Message("user", "一"),
            Message("user", "二"),
            Message("assistant", "好"),
            Message("user", "三"),
        ),
    )
    deltas = await deltas_of(provider, request)
    notes: Any = next(delta.extra for delta in deltas if delta.extra)
    assert "joined" in notes["notes"][0]


async def test_a_name_of_ours_may_stand_for_an_endpoint(sandbox: str) -> None:
    """A Skylark model behind which an endpoint stands goes to the legacy API, by that endpoint."""
    async with open_provider(SPEC, SANDBOX.settings(sandbox)) as provider:
        request = replace(ask("你好", model=ENDPOINT), card=CARDS["Skylark2-pro-4k"])
        await answer_of(provider, request)
    assert [(AK, ENDPOINT)] == [(row["credential"], row["model"]) for row in await served(sandbox)]


@pytest.mark.parametrize(
    ("settings", "credential"),
    [({}, "api_key"), ({"endpoints": "maas"}, AK)],
)
async def test_who_answers_for_an_endpoint(
    sandbox: str, settings: dict[str, object], credential: str
) -> None:
    """An endpoint is Ark's, unless the settings say that it is the legacy API's."""
    async with open_provider(SPEC, {**SANDBOX.settings(sandbox), **settings}) as provider:
        await answer_of(provider, ask("你好", model=ENDPOINT))
    assert [credential] == [row["credential"] for row in await served(sandbox)]


async def test_usage_is_what_was_served(sandbox: str, provider: VolcengineProvider) -> None:
    """The usage that a caller sees is what the vendor counts."""
    for model in (PLAIN, LEGACY):
        _, usage = await answer_of(provider, ask("你好", model=model))
        row = next(row for row in await served(sandbox) if row["model"] == model)
        assert (usage.prompt_tokens, usage.completion_tokens) == (
            row["prompt_tokens"],
            row["completion_tokens"],
        )


async def served(base_url: str) -> list[dict[str, Any]]:
    """What was served."""
    async with aiohttp.ClientSession() as client, client.get(base_url + SERVED_PATH) as got:
        rows: list[dict[str, Any]] = orjson.loads(await got.read())["rows"]
        return rows


# More than chat.


async def test_vectors(provider: VolcengineProvider) -> None:
    """More texts than one call takes are split, and keep their order."""
    assert isinstance(provider, Embeds)
    model = "doubao-embedding-large-text-240915"
    texts = tuple(f"文本{number}" for number in range(300))
    result = await provider.embed(EmbeddingRequest(model=model, inputs=texts, dimensions=1024))
    one = await provider.embed(
        EmbeddingRequest(model=model, inputs=texts[280:281], dimensions=1024)
    )
    assert 300 == len(result.vectors)
    assert list(one.vectors[0]) == list(result.vectors[280])
    assert result.usage.prompt_tokens > one.usage.prompt_tokens > 0


async def test_vectors_of_pictures(provider: VolcengineProvider) -> None:
    """A model for that makes one vector of a text and a picture, and one of each text by itself."""
    model = "doubao-embedding-vision-250615"
    texts = await provider.embed(EmbeddingRequest(model=model, inputs=("一", "二")))
    assert 2 == len(texts.vectors)
    together = await provider.embed_parts(
        model, [TextPart("一"), ImagePart(PIXEL)], dimensions=1024
    )
    assert [1024] == [len(vector) for vector in together.vectors]


async def test_pictures_are_drawn(provider: VolcengineProvider) -> None:
    """A picture's address, and its data, give a picture of the size asked for."""
    assert isinstance(provider, DrawsImages)
    request = ImageRequest(model="doubao-seedream-4-0-250828", prompt="一只猫", size="1280x720")
    drawn = await provider.draw(request)
    async with aiohttp.ClientSession() as client, client.get(drawn.images[0].url or "") as got:
        picture = look_at(base64.b64encode(await got.read()).decode())
    assert ("PNG", 1280, 720) == (picture.format, picture.width, picture.height)
    as_data = await provider.draw(replace(request, response_format="b64_json"))
    assert picture == look_at(as_data.images[0].b64_json or "")
    assert drawn.usage.completion_tokens > 0
    with pytest.raises(ContentRefused):
        await provider.draw(replace(request, prompt="[[fault:content_filter]]"))


@pytest.mark.parametrize("model", [PLAIN, ENDPOINT, LEGACY])
async def test_tokens_are_counted(provider: VolcengineProvider, model: str) -> None:
    """The texts of a conversation are counted by the vendor, on both APIs."""
    assert isinstance(provider, CountsTokens)
    assert 2 == await provider.count_tokens(ask("你好世界", model=model))


async def test_tokens_of_legacy_endpoints_are_counted(sandbox: str) -> None:
    """An endpoint of the legacy API counts, too."""
    async with open_provider(SPEC, signed_only(sandbox)) as provider:
        assert isinstance(provider, VolcengineProvider)
        assert 2 == await provider.count_tokens(ask("你好世界", model=ENDPOINT))


async def test_files_are_kept(provider: VolcengineProvider) -> None:
    """A file is uploaded, shown, listed and deleted."""
    assert isinstance(provider, KeepsFiles)
    file_id = await provider.upload("说明.txt", b"hello", purpose="user_data")
    shown = await provider.show_file(file_id)
    assert ("说明.txt", 5, "active", "user_data") == (
        shown.filename,
        shown.size_bytes,
        shown.status,
        shown.purpose,
    )
    assert (shown,) == await provider.list_files()
    await provider.delete(file_id)
    with pytest.raises(RequestRejected):
        await provider.show_file(file_id)


async def test_films_are_made(provider: VolcengineProvider) -> None:
    """A film is begun, watched until it is done, listed and forgotten."""
    content = [TextPart("一只猫"), ImagePart("https://example.com/cat.png")]
    task_id = await provider.start_video("doubao-seedance-1-0-pro", content, extra={"duration": 5})
    looks = [await provider.show_video(task_id) for _ in range(3)]
    assert ["queued", "running", "succeeded"] == [look.status for look in looks]
    assert (looks[-1].video_url or "").endswith(".mp4")
    assert looks[-1].completion_tokens > 0
    assert [task_id] == [task.id for task in await provider.list_videos()]
    await provider.delete_video(task_id)
    with pytest.raises(RequestRejected):
        await provider.show_video(task_id)


# Errors.


FAULTS: list[tuple[str, str, type[ProviderError], str | None]] = [
    (PLAIN, "429 retry_after=2", RateLimited, "RateLimitExceeded.EndpointRPMExceeded"),
    (PLAIN, "500", ProviderUnavailable, "InternalServiceError"),
    (PLAIN, "503", ProviderUnavailable, "InternalServiceError"),
    (PLAIN, "overloaded", ProviderOverloaded, "ServerOverloaded"),
    (PLAIN, "arrears", QuotaExhausted, "AccountOverdueError"),
    (PLAIN, "content_filter", ContentRefused, "SensitiveContentDetected"),
    (PLAIN, "too_long", ContextTooLong, "OutofContextError"),
    (PLAIN, "expired_token", ProviderAuthFailed, "AuthenticationError"),
    (PLAIN, "misspelt", RequestRejected, "InvalidParameter"),
    (PLAIN, "cut after=2", ProviderUnavailable, None),
    (LEGACY, "429 retry_after=2", RateLimited, "EndpointRateLimitExceeded"),
    (LEGACY, "500", ProviderUnavailable, "InternalServiceError"),
    (LEGACY, "503", ProviderUnavailable, "ServiceConnectionRefused"),
    (LEGACY, "overloaded", ProviderOverloaded, "ServiceResourceWaitQueueFull"),
    (LEGACY, "arrears", QuotaExhausted, "ServiceNotOpen"),
    (LEGACY, "content_filter", ContentRefused, "ReqTextExistRisk"),
    (LEGACY, "expired_token", ProviderAuthFailed, "AuthenticationExpire"),
    (LEGACY, "too_long", RequestRejected, "InvalidParameter"),
    (LEGACY, "1709803", ProviderUnavailable, "ServiceConnectionTimeout"),
    (LEGACY, "cut after=2", ProviderUnavailable, None),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("row", FAULTS, ids=lambda row: f"{row[0]} {row[1]}")
async def test_faults_become_errors(
    provider: VolcengineProvider,
    stream: bool,
    row: tuple[str, str, type[ProviderError], str | None],
) -> None:
    """Each fault that a prompt asks for becomes the right error, with the vendor's code and its id of the request."""
    model, fault, kind, code = row
    with pytest.raises(ProviderError) as caught:
        await deltas_of(provider, ask(f"你好 [[fault:{fault}]]", model=model, stream=stream))
    assert (kind, code) == (type(caught.value), caught.value.vendor_code)
    assert code is None or caught.value.vendor_request_id
    if "retry_after" in fault:
        assert 2.0 == caught.value.retry_after


@pytest.mark.parametrize(
    ("model", "fault", "kind"),
    [
        (PLAIN, "InternalServiceError after=3", ProviderUnavailable),
        (LEGACY, "RespTextExistRisk after=3", ContentRefused),
    ],
)
async def test_errors_within_streams(
    provider: VolcengineProvider, model: str, fault: str, kind: type[ProviderError]
) -> None:
    """An error after some text is raised after that text."""
    seen = []
    with pytest.raises(kind):
        async with aclosing(
            provider.stream(ask(f"你好 [[fault:{fault}]]", model=model))
        ) as batches:
            async for batch in batches:
                seen += batch
    assert seen


async def test_a_filtered_end_is_told(provider: VolcengineProvider) -> None:
    """The vendor's safety cut in the middle of a stream arrives as the finish reason."""
    (choice,), _ = await answer_of(provider, ask("你好 [[fault:content_filter after=3]]"))
    assert "content_filter" == choice.finish_reason
    assert choice.message.text


@pytest.mark.parametrize("model", [PLAIN, LEGACY])
@pytest.mark.parametrize("fault", ["half_line", "malformed", "malformed after=2"])
async def test_broken_streams_become_protocol_errors(
    provider: VolcengineProvider, model: str, fault: str
) -> None:
    """Half an event, and one that is not JSON, are the vendor's nonsense."""
    with pytest.raises(ProviderProtocolError):
        await deltas_of(provider, ask(f"你好 [[fault:{fault}]]", model=model))


@pytest.mark.parametrize("model", [PLAIN, LEGACY])
async def test_an_answer_in_one_piece_to_a_stream_is_understood(model: str) -> None:
    """A whole answer, or an error, under HTTP 200 in place of a stream is read for what it is."""
    said: dict[str, Any] = {"message": {"content": "整"}, "finish_reason": "stop"}
    whole = {"choices": [said]} if model == PLAIN else {"choice": said}
    failed = {"error": {"code": "InternalServiceError", "code_n": 1709806, "message": "m"}}
    async with ScriptedVendor() as vendor, open_provider(SPEC, everything(vendor)) as provider:
        vendor.answers(json_answer(whole), json_answer(failed))
        (choice,), _ = await answer_of(provider, ask("x", model=model))
        assert "整" == choice.message.text
        with pytest.raises(ProviderUnavailable):
            await deltas_of(provider, ask("x", model=model))


def everything(vendor: ScriptedVendor) -> Mapping[str, object]:
    """Settings that send all three APIs to a vendor."""
    return SANDBOX.settings(vendor.base_url)


@pytest.mark.parametrize("model", [PLAIN, LEGACY])
async def test_hanging_up_is_noticed(
    sandbox: str, provider: VolcengineProvider, model: str
) -> None:
    """A caller that leaves a stream early leaves the vendor at once, which counts only what it sent."""
    async with aclosing(provider.stream(ask("你好 [[fault:pace=0.02]]", model=model))) as stream:
        await anext(stream)
    async with asyncio.timeout(2):
        while (row := (await served(sandbox))[0])["open"]:  # a page tells no event
            await asyncio.sleep(0.005)
    _, usage = await answer_of(provider, ask("你好", model=model))
    assert 1 == row["closed_early"]
    assert row["completion_tokens"] < usage.completion_tokens


async def test_missing_credentials_are_told(sandbox: str) -> None:
    """A call that needs other credentials than there are says which, and where to set them."""
    keyed = {**SANDBOX.settings(sandbox)}
    del keyed["ak"], keyed["sk"]
    async with open_provider(SPEC, keyed) as provider:
        with pytest.raises(ProviderAuthFailed) as caught:
            await deltas_of(provider, ask("x", model=LEGACY))
        assert "'ak' and 'sk'" in str(caught.value)
        assert "[providers.volcengine]" in str(caught.value)
    async with open_provider(SPEC, signed_only(sandbox)) as provider:
        assert isinstance(provider, VolcengineProvider)
        with pytest.raises(ProviderAuthFailed) as caught:
            await provider.upload("a", b"b")
        assert "'api_key'" in str(caught.value)


@pytest.mark.parametrize("name", ["base_url", "maas_base_url", "control_base_url"])
async def test_unusable_addresses_are_told_at_once(sandbox: str, name: str) -> None:
    """An address that is none is refused when the provider is opened."""
    with pytest.raises(SettingsError):
        async with open_provider(SPEC, {**SANDBOX.settings(sandbox), name: "nowhere"}):
            pass


# Clocks and temporary keys.


@pytest.mark.parametrize("minutes", [-600, -16, 16, 600])
@pytest.mark.parametrize("model", [LEGACY, PLAIN])
async def test_a_wrong_clock_is_repaired(
    sandbox: str, minutes: int, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A machine whose clock is off still chats, and reports it: the vendor's Date header puts it right."""
    clock = FakeClock(datetime.now(UTC) + timedelta(minutes=minutes))
    async with open_provider(SPEC, signed_only(sandbox), clock=clock) as provider:
        for _ in range(2):
            (choice,), _ = await answer_of(provider, ask("你好", model=model, stream=False))
    assert "stop" == choice.finish_reason
    assert "token.clock_skew" in capsys.readouterr().out


async def test_a_clock_ten_minutes_wrong_does_no_harm() -> None:
    """Ten minutes are within what the vendor takes: one request is enough."""
    clock = FakeClock(datetime.now(UTC) + timedelta(minutes=10))
    async with run_app(build()) as base_url:
        async with open_provider(SPEC, SANDBOX.settings(base_url), clock=clock) as provider:
            await answer_of(provider, ask("你好", model=LEGACY))
        assert [0] == [row["refused"] for row in await served(base_url)]


def key_answer(number: int, *, life_s: float = 7 * 24 * 3600) -> Any:
    """A temporary key."""
    until = datetime.now(UTC) + timedelta(seconds=life_s)
    result = {"ApiKey": f"key-{number}", "ExpiredTime": int(until.timestamp())}
    return json_answer({"ResponseMetadata": {}, "Result": result})


async def test_a_thousand_first_calls_fetch_one_key() -> None:
    """A thousand calls at once that find no key cause one fetch for their endpoint; another endpoint has its own."""
    async with ScriptedVendor() as vendor:
        settings = signed_only(vendor.base_url, endpoints="ark")
        async with open_provider(SPEC, settings) as provider:
            vendor.answers(key_answer(1), path="/")
            vendor.answers(json_answer(chat_body("好", Usage(1, 1))))
            request = ask("x", model=ENDPOINT, stream=False)
            await asyncio.gather(*(deltas_of(provider, request) for _ in range(1000)))
            assert (1, 1000) == (len(vendor.requests_to("/")), len(vendor.requests_to()))
            await deltas_of(provider, replace(request, model="ep-20240101-other"))
            fetches = vendor.requests_to("/")
    asked = [each.json() for each in fetches]
    assert [[ENDPOINT], ["ep-20240101-other"]] == [each["ResourceIds"] for each in asked]
    assert {"endpoint"} == {each["ResourceType"] for each in asked}
    assert {"Action": "GetApiKey", "Version": "2024-01-01"} == fetches[0].query
    assert "/ark/request" in fetches[0].headers["Authorization"]


async def test_a_rejected_key_is_fetched_anew_once() -> None:
    """Fifty calls whose key is rejected cause one new fetch, and all succeed; one that stays rejected is an error."""
    good, bad = json_answer(chat_body("好", Usage(1, 1))), json_answer(b"{}", status=401)
    fetched = iter(range(1, 10))
    async with ScriptedVendor() as vendor:
        settings = signed_only(vendor.base_url, endpoints="ark")
        async with open_provider(SPEC, settings) as provider:
            vendor.answers(lambda _: key_answer(next(fetched)), path="/")
            vendor.answers(
                lambda got: bad if got.headers["Authorization"].endswith("key-1") else good
            )
            request = ask("x", model=ENDPOINT, stream=False)
            await asyncio.gather(*(deltas_of(provider, request) for _ in range(50)))
            assert 2 == len(vendor.requests_to("/"))
            vendor.answers(bad)
            with pytest.raises(ProviderAuthFailed):
                await deltas_of(provider, request)
            assert 3 == len(vendor.requests_to("/"))


async def test_temporary_keys_open_models_endpoints_and_bots(sandbox: str) -> None:
    """With an access key alone Ark answers, too: for models by their project, for endpoints, for bots."""
    async with open_provider(SPEC, signed_only(sandbox, endpoints="ark")) as provider:
        for model in (PLAIN, ENDPOINT, "bot-1"):
            (choice,), _ = await answer_of(provider, ask("你好", model=model))
            assert "stop" == choice.finish_reason
    assert {PLAIN, ENDPOINT, "bot-1"} == {row["credential"] for row in await served(sandbox)}


async def test_a_refused_fetch_is_told() -> None:
    """A control plane that refuses, or answers nonsense, fails the call with its own code."""
    error = {"CodeN": 100010, "Code": "SignatureDoesNotMatch", "Message": "no"}
    async with ScriptedVendor() as vendor:
        settings = signed_only(vendor.base_url, endpoints="ark")
        async with open_provider(SPEC, settings) as provider:
            vendor.answers(
                json_answer({"ResponseMetadata": {"Error": error}}, status=401),
                json_answer({"Result": {"ApiKey": 1}}),
                path="/",
            )
            with pytest.raises(ProviderAuthFailed) as caught:
                await deltas_of(provider, ask("x", model=ENDPOINT))
            assert "SignatureDoesNotMatch" == caught.value.vendor_code
            with pytest.raises(ProviderProtocolError):
                await deltas_of(provider, ask("x", model=ENDPOINT))


# The plugin.


def test_the_product_s_models_are_all_there() -> None:
    """Every Skylark model of the product has its card, and no price claims to be confirmed."""
    assert set(SKYLARKS) <= set(CARDS)
    assert {"chat", "embedding", "image"} == {card.kind for card in CARDS.values()}
    assert not any(price.confirmed for card in CARDS.values() for price in card.prices)
    assert all(price.source for card in CARDS.values() for price in card.prices)
    price = CARDS["Skylark2-pro-32k"].price_on(datetime.now(UTC).date())
    assert price is not None
    assert ("0.012", "0.036", "CNY") == (str(price.input), str(price.output), price.currency)
    names = [name for card in CARDS.values() for name in (card.id, *card.aliases)]
    assert len(names) == len(set(names))


async def test_the_hooks_describe_one_provider(sandbox: str) -> None:
    """The plugin brings one provider and its stand-in, which open together and show no secret."""
    assert (SPEC,) == tuple(fengchao_providers())
    assert (SANDBOX,) == tuple(fengchao_sandboxes())
    async with open_provider(SPEC, SANDBOX.settings(sandbox)) as provider:
        assert isinstance(provider, Provider)
        shown = repr(provider) + repr(vars(provider))
    assert not any(secret in shown for secret in (API_KEY, AK, SK))


async def test_the_gateway_serves_the_models(sandbox: str) -> None:
    """Through the gateway, both kinds of models answer, whole and streamed, at their price."""
    settings = Settings(providers={"volcengine": dict(SANDBOX.settings(sandbox))})
    async with Gateway.open(settings) as gateway:
        for model in ("Skylark2-pro-4k", "doubao-seed-2.0-pro"):
            call = ChatCall(model=model, query="你好", is_sensitive=False)
            completion = await gateway.chat(call)
            assert "你好" in completion.text
            assert completion.cost is not None
            assert "CNY" == completion.cost.currency
            async with aclosing(gateway.stream(call)) as deltas:
                assert [delta async for delta in deltas]
