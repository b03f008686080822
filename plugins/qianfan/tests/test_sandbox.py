"""The stand-in for Qianfan: what it verifies, and the provider against it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
import orjson
import pytest

from fengchao_core.errors import (
    ContextTooLong,
    InvalidParameter,
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
from fengchao_core.provider import CountsTokens, DrawsImages, Embeds, ListsModels
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
    ResponseFormat,
    TextPart,
    Tool,
)
from fengchao_qianfan import SANDBOX, SPEC, auth
from fengchao_qianfan.endpoints import PREFIX
from fengchao_qianfan.provider import QianfanProvider
from fengchao_qianfan.sandbox import AK, API_KEY, IAM_AK, IAM_SK, SK, build, settings_for

V1_CHAT = f"{PREFIX}/chat/completions_pro"
SPEED = f"{PREFIX}/chat/ernie_speed"
V2_CHAT = "/v2/chat/completions"
U, A = {"role": "user", "content": "你好"}, {"role": "assistant", "content": "好"}
FUNCTION = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class House:
    """The sandbox, running, and a plain client."""

    def __init__(self, base_url: str, client: aiohttp.ClientSession) -> None:
        self.base_url = base_url
        self.client = client

    async def token(self, **wrong: str) -> dict[str, Any]:
        """What the token endpoint answers."""
        query = {**auth.oauth_params(AK, SK), **wrong}
        async with self.client.post(self.base_url + auth.OAUTH_PATH, params=query) as got:
            answer: dict[str, Any] = {"status": got.status, **await got.json()}
            return answer

    async def post(self, path: str, body: object, **how: Any) -> tuple[int, dict[str, Any]]:
        """Status and body of an answer."""
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        how.setdefault("headers", {"Content-Type": "application/json"})
        async with self.client.post(self.base_url + path, data=data, **how) as got:
            return got.status, orjson.loads(await got.read())

    async def v1(self, body: object, *, path: str = V1_CHAT) -> object:
        """The code of a refusal in V1; `ok` for an answer."""
        token = (await self.token())["access_token"]
        status, answer = await self.post(path, body, params={"access_token": token})
        assert 200 == status
        return answer.get("error_code", "ok")

    async def v2(self, body: object, *, path: str = V2_CHAT, key: str = API_KEY) -> str:
        """The status and code of a refusal in V2; `ok` for an answer."""
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        status, answer = await self.post(path, body, headers=headers)
        return f"{status} {answer['error']['code']}" if "error" in answer else "ok"

    async def served(self) -> list[dict[str, Any]]:
        """What was served."""
        async with self.client.get(self.base_url + SERVED_PATH) as got:
            rows: list[dict[str, Any]] = (await got.json())["rows"]
            return rows


@asynccontextmanager
async def open_house(**how: Any) -> AsyncIterator[House]:
    """Run the sandbox."""
    async with run_app(build(**how)) as base_url, aiohttp.ClientSession() as client:
        yield House(base_url, client)


# Who asks.


async def test_tokens_are_given_out_and_expire() -> None:
    """Wrong keys get the vendor's words; tokens are valid side by side, expire by the clock, and others are refused."""
    clock = FakeClock()
    async with open_house(clock=clock, token_life_s=600) as house:
        for wrong, expected in (
            ({"client_id": "x"}, (401, "invalid_client", "unknown client id")),
            ({"client_secret": "x"}, (401, "invalid_client", "Client authentication failed")),
            ({"grant_type": "x"}, (401, "invalid_request", "unsupported grant type")),
        ):
            answer = await house.token(**wrong)
            assert expected == (answer["status"], answer["error"], answer["error_description"])
        first, second = await house.token(), await house.token()
        assert 600 == first["expires_in"]
        clock.advance(599)
        late = await house.token()
        good = [each["access_token"] for each in (first, second, late)]
        assert [None, None, None] == [await _code(house, token) for token in good]
        clock.advance(1)
        assert [111, 111, None] == [await _code(house, token) for token in good]
        assert [110, 100] == [await _code(house, token) for token in (good[2] + "x", "")]
        assert 110 == await _code(house, API_KEY)


async def _code(house: House, token: str) -> int | None:
    _, answer = await house.post(V1_CHAT, {"messages": [U]}, params={"access_token": token})
    code: int | None = answer.get("error_code")
    return code


async def test_signatures_are_computed_anew() -> None:
    """A signature holds for its key, date, method, path, query and headers, and for nothing else."""
    clock = FakeClock()
    async with open_house(clock=clock) as house:
        host = house.base_url.removeprefix("http://")

        async def status(
            *,
            access_key: str = IAM_AK,
            secret_key: str = IAM_SK,
            method: str = "POST",
            path: str = V1_CHAT,
            query: tuple[tuple[str, str], ...] = (),
            late_s: float = 0,
            tampered: str = "",
            **headers: str,
        ) -> tuple[int, str]:
            now = clock.now()
            signed = {
                "host": host,
                "content-type": "application/json",
                "x-bce-date": auth.date_of(now),
            }
            request = auth.SignedRequest(method, path, query, {**signed, **headers})
            value = auth.authorization(access_key, secret_key, request, now) + tampered
            clock.advance(late_s)
            sent = {k: v for k, v in signed.items() if k != "host"} | {"Authorization": value}
            async with house.client.post(
                house.base_url + V1_CHAT, data=orjson.dumps({"messages": [U]}), headers=sent
            ) as got:
                return got.status, got.headers.get("X-Bce-Error-Code", "")

        assert (200, "") == await status()
        assert (200, "") == await status(late_s=300)
        no_match = (400, "SignatureDoesNotMatch")
        assert (403, "RequestExpired") == await status(late_s=301)
        assert (403, "InvalidAccessKeyId") == await status(access_key="somebody")
        assert no_match == await status(secret_key="wrong")
        assert no_match == await status(method="GET")
        assert no_match == await status(path=SPEED)
        assert no_match == await status(query=(("a", "b"),))
        assert no_match == await status(host="aip.baidubce.com")
        assert no_match == await status(more="header")
        assert no_match == await status(tampered="0")


async def test_keys_of_v2_are_verified() -> None:
    """V2 takes its own key and the temporary ones it gave out, until they expire, and an application's id in shape."""
    clock = FakeClock()
    async with open_house(clock=clock) as house:
        good = {"model": "ernie-4.0-8k", "messages": [U]}
        assert "ok" == await house.v2(good)
        assert "401 invalid_iam_token" == await house.v2(good, key=API_KEY + "x")
        assert "401 invalid_iam_token" == await house.v2(good, key="")
        token = (await house.token())["access_token"]
        assert "401 invalid_iam_token" == await house.v2(good, key=token)
        now = clock.now()
        host = house.base_url.removeprefix("http://")
        headers = {"host": host, "x-bce-date": auth.date_of(now)}
        query = (("expireInSeconds", "60"),)
        signed = auth.SignedRequest("GET", auth.BEARER_PATH, query, headers)
        value = auth.authorization(IAM_AK, IAM_SK, signed, now)
        url = f"{house.base_url}{auth.BEARER_PATH}?expireInSeconds=60"
        sent = {"Authorization": value, "x-bce-date": headers["x-bce-date"]}
        async with house.client.get(url, headers=sent) as got:
            key = (await got.json())["token"]
        assert "ok" == await house.v2(good, key=key)
        clock.advance(60)
        assert "401 invalid_iam_token" == await house.v2(good, key=key)


# What is asked, in V1.


@pytest.mark.parametrize(
    ("expected", "change"),
    [
        ("ok", {}),
        ("ok", {"messages": [U, A, U]}),
        (336003, {"messages": None}),
        (336003, {"messages": []}),
        (336006, {"messages": [U, A]}),
        (336006, {"messages": [U, U]}),
        (336003, {"messages": [A]}),
        (336003, {"messages": [U, U, U]}),
        (336003, {"messages": [{"role": "system", "content": "x"}]}),
        (336003, {"messages": [{"role": "user", "content": " "}]}),
        (336003, {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}),
        (336003, {"messages": [{"role": "user"}]}),
        (336003, {"messages": [{"role": "function", "content": "{}"}]}),
        (336003, {"messages": [{"role": "function", "content": "no JSON", "name": "f"}]}),
        (336003, {"messages": [U, {**A, "function_call": {"name": ""}}, U]}),
        ("ok", {"messages": [U, {**A, "content": "", "function_call": {"name": "f"}}, {"role": "function", "name": "f", "content": "{}"}]}),
        (336003, {"temperature": 0}),
        (336003, {"temperature": 1.01}),
        (336003, {"temperature": "hot"}),
        (336003, {"top_p": -0.1}),
        (336003, {"top_p": 1.1}),
        (336003, {"penalty_score": 0.9}),
        (336003, {"penalty_score": 2.1}),
        (336003, {"stop": "a"}),
        (336003, {"stop": ["a"] * 5}),
        (336003, {"stop": ["a" * 21]}),
        (336003, {"max_output_tokens": 1}),
        (336003, {"max_output_tokens": 2049}),
        (336003, {"stream": "yes"}),
        (336003, {"user_id": 7}),
        (336003, {"response_format": {"type": "json_object"}}),
        (336003, {"disable_search": "no"}),
        (336104, {"system": ["x"]}),
        (336003, {"functions": []}),
        (336003, {"functions": [{**FUNCTION, "name": "no spaces"}]}),
        (336003, {"functions": [{**FUNCTION, "parameters": {}}]}),
        (336003, {"functions": [{**FUNCTION, "description": None}]}),
        (336003, {"functions": [FUNCTION], "tool_choice": "auto"}),
        (336003, {"functions": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": "g"}}}),
        (336007, {"messages": [{"role": "user", "content": "字" * 20_001}]}),
        (336103, {"messages": [{"role": "user", "content": "字" * 12_000}]}),
        (336103, {"system": "字" * 12_000}),
        ("ok", {"messages": [{"role": "user", "content": "字" * 12_000}, A, U]}),
        ("ok", {"temperature": 1, "top_p": 0, "penalty_score": 2, "stop": ["a" * 20] * 4, "max_output_tokens": 2}),
        ("ok", {"functions": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": "f"}}}),
        ("ok", {"response_format": "json_object", "user_id": "u", "disable_search": True}),
    ],
)  # fmt: skip
async def test_chats_of_v1_are_verified(expected: object, change: dict[str, object]) -> None:
    """Turns, parity, ranges and limits are the vendor's, and so are the codes; history that is too long is forgotten."""
    async with open_house() as house:
        assert expected == await house.v1({"messages": [U], **change})


@pytest.mark.parametrize(
    ("expected", "path", "body"),
    [
        (336002, V1_CHAT, b"{"),
        (336002, V1_CHAT, b"[]"),
        (3, f"{PREFIX}/chat/nothing", {"messages": [U]}),
        ("ok", f"{PREFIX}/chat/sandbox_published", {"messages": [U]}),
        (336007, f"{PREFIX}/chat/bloomz_7b1", {"messages": [{"role": "user", "content": "a" * 4801}]}),
        ("ok", f"{PREFIX}/erniebot/plugin", {"messages": [U], "plugins": ["eChart"]}),
        (336003, f"{PREFIX}/erniebot/plugin", {"messages": [U]}),
        (336003, f"{PREFIX}/erniebot/plugin", {"messages": [U], "plugins": "eChart"}),
        ("ok", f"{PREFIX}/plugin/mine/", {"query": "你好"}),
        (336003, f"{PREFIX}/plugin/mine/", {"query": ""}),
        ("ok", f"{PREFIX}/completions/codellama_7b_instruct", {"prompt": "你好"}),
        (336003, f"{PREFIX}/completions/codellama_7b_instruct", {"messages": [U]}),
        ("ok", f"{PREFIX}/image2text/fuyu_8b", {"prompt": "?", "image": PICTURE}),
        (336003, f"{PREFIX}/image2text/fuyu_8b", {"prompt": "?", "image": "no base64"}),
        (336003, f"{PREFIX}/image2text/fuyu_8b", {"prompt": "?", "image": "https://example.com/a"}),
        ("ok", f"{PREFIX}/embeddings/embedding-v1", {"input": ["x"]}),
        (336003, f"{PREFIX}/embeddings/embedding-v1", {"input": "x"}),
        (336003, f"{PREFIX}/embeddings/embedding-v1", {"input": []}),
        (336003, f"{PREFIX}/embeddings/embedding-v1", {"input": ["x"] * 17}),
        (336003, f"{PREFIX}/embeddings/embedding-v1", {"input": ["x", ""]}),
        (336003, f"{PREFIX}/embeddings/tao_8k", {"input": ["x", "y"]}),
        (336007, f"{PREFIX}/embeddings/embedding-v1", {"input": ["a" * 1001]}),
        (336103, f"{PREFIX}/embeddings/embedding-v1", {"input": ["字" * 900]}),
        (3, f"{PREFIX}/embeddings/nothing", {"input": ["x"]}),
        ("ok", f"{PREFIX}/text2image/sd_xl", {"prompt": "猫", "size": "512x512"}),
        (336003, f"{PREFIX}/text2image/sd_xl", {"prompt": " "}),
        (336003, f"{PREFIX}/text2image/sd_xl", {"prompt": "猫", "n": 5}),
        (336003, f"{PREFIX}/text2image/sd_xl", {"prompt": "猫", "size": "1x1"}),
        (3, f"{PREFIX}/text2image/nothing", {"prompt": "猫"}),
        ("ok", f"{PREFIX}/reranker/bce_reranker_base", {"query": "q", "documents": ["d"]}),
        (336003, f"{PREFIX}/reranker/bce_reranker_base", {"query": "q", "documents": []}),
        (336003, f"{PREFIX}/reranker/bce_reranker_base", {"query": "q", "documents": ["d"], "top_n": 0}),
        ("ok", f"{PREFIX}/tokenizer/erniebot", {"prompt": "你好", "model": "ernie-3.5-8k"}),
        (336003, f"{PREFIX}/tokenizer/erniebot", {}),
        (3, "/nowhere", {}),
    ],
)  # fmt: skip
async def test_other_calls_of_v1_are_verified(expected: object, path: str, body: object) -> None:
    """Every other endpoint has its own rules; what is nowhere is refused in the vendor's shape."""
    async with open_house() as house:
        assert expected == await house.v1(body, path=path)


async def test_methods_and_content_types_are_verified() -> None:
    """V1 takes posts of JSON only."""
    async with open_house() as house:
        query = {"access_token": (await house.token())["access_token"]}
        async with house.client.get(house.base_url + V1_CHAT, params=query) as got:
            assert 336101 == (await got.json())["error_code"]
        headers = {"Content-Type": "text/plain"}
        _, answer = await house.post(V1_CHAT, {"messages": [U]}, params=query, headers=headers)
        assert 336001 == answer["error_code"]


# What is asked, in V2.

T = {"type": "function", "function": {"name": "f"}}
CALL = {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}  # fmt: skip
SEEN = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}}]


@pytest.mark.parametrize(
    ("expected", "change"),
    [
        ("ok", {}),
        ("400 invalid_model", {"model": ""}),
        ("401 invalid_model", {"model": "ernie-nothing"}),
        ("401 invalid_model", {"model": "bge-large-zh"}),
        ("400 invalid_messages", {"messages": []}),
        ("400 invalid_messages", {"messages": [A]}),
        ("400 invalid_messages", {"messages": [U, A]}),
        ("400 invalid_messages", {"messages": [U, U]}),
        ("400 invalid_messages", {"messages": [U, {"role": "system", "content": "s"}]}),
        ("400 invalid_messages", {"messages": [{"role": "developer", "content": "s"}, U]}),
        ("400 invalid_messages", {"messages": [{"role": "user", "content": ""}]}),
        ("400 invalid_messages", {"messages": [{"role": "user", "content": SEEN}]}),
        ("ok", {"messages": [{"role": "user", "content": SEEN}], "model": "ernie-4.5-turbo-vl"}),
        ("ok", {"messages": [{"role": "system", "content": "s"}, U, A, U]}),
        ("ok", {"messages": [U, CALL, {"role": "tool", "tool_call_id": "1", "content": "x"}, U]}),
        ("400 invalid_argument", {"temperature": 0}),
        ("400 invalid_argument", {"temperature": 2}),
        ("400 invalid_argument", {"top_p": 2}),
        ("400 invalid_argument", {"penalty_score": 3}),
        ("400 invalid_argument", {"frequency_penalty": 3}),
        ("400 invalid_argument", {"max_completion_tokens": 1}),
        ("400 invalid_argument", {"tools": [{"type": "function"}]}),
        ("400 invalid_argument", {"tools": [T], "tool_choice": "sometimes"}),
        ("400 invalid_argument", {"response_format": "json_object"}),
        ("400 tokens_too_long", {"messages": [{"role": "user", "content": "字" * 60_000}]}),
        ("ok", {"tools": [T], "tool_choice": "required", "seed": 7, "stop": ["x"]}),
    ],
)  # fmt: skip
async def test_chats_of_v2_are_verified(expected: str, change: dict[str, object]) -> None:
    """Models, turns and ranges are the vendor's, with its HTTP statuses and codes."""
    async with open_house() as house:
        good = {"model": "ernie-4.0-8k", "messages": [U]}
        assert expected == await house.v2({**good, **change})


@pytest.mark.parametrize(
    ("expected", "path", "body"),
    [
        ("400 malformed_json", "/v2/chat/completions", b"{"),
        ("405 method_not_supported", "/v2/nothing", {}),
        ("ok", "/v2/embeddings", {"model": "bge-large-zh", "input": ["x"]}),
        ("400 invalid_argument", "/v2/embeddings", {"model": "bge-large-zh", "input": "x"}),
        ("400 invalid_argument", "/v2/embeddings", {"model": "bge-large-zh", "input": [""]}),
        ("400 invalid_argument", "/v2/embeddings", {"model": "tao-8k", "input": ["x"], "encoding_format": "base64"}),
        ("401 invalid_model", "/v2/embeddings", {"model": "ernie-4.0-8k", "input": ["x"]}),
        ("ok", "/v2/images/generations", {"model": "irag-1.0", "prompt": "猫"}),
        ("400 invalid_image_genration_prompt", "/v2/images/generations", {"model": "irag-1.0", "prompt": "猫" * 221}),
        ("400 invalid_argument", "/v2/images/generations", {"model": "irag-1.0", "prompt": "猫", "size": "9x9"}),
        ("ok", "/v2/rerankers", {"model": "bce-reranker-base", "query": "q", "documents": ["d"]}),
        ("401 invalid_model", "/v2/rerankers", {"model": "x", "query": "q", "documents": ["d"]}),
        ("400 invalid_argument", "/v2/rerankers", {"model": "bce-reranker-base", "query": "", "documents": ["d"]}),
    ],
)  # fmt: skip
async def test_other_calls_of_v2_are_verified(expected: str, path: str, body: object) -> None:
    """Every other endpoint of V2 has its own rules."""
    async with open_house() as house:
        assert expected == await house.v2(body, path=path)


# The provider against it.

MODELS = ("ERNIE-Bot-4", "ernie-4.5-turbo-128k")


def ask(
    text: Any, *, stream: bool = True, model: str = "ERNIE-Bot-4", **params: Any
) -> ChatRequest:
    """A request of one question."""
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


async def test_every_chat_model_answers_under_its_own_name() -> None:
    """Each chat model of the cards answers, whole and streamed, with the same text and usage."""
    async with sandboxed() as provider:
        for card in SPEC.cards():
            if card.kind != "chat":
                continue
            content: Any = f"介绍一下{card.id}"
            if card.id == "Fuyu-8B":
                content = (ImagePart(f"data:image/png;base64,{PICTURE}"), TextPart(content))
            extra = {"plugins": ["eChart"]} if card.id.startswith("EBPlugin") else {}
            for name in (card.id, *card.aliases):
                answers = [
                    await answer_of(provider, ask(content, model=name, stream=stream, extra=extra))
                    for stream in (True, False)
                ]
                assert answers[0] == answers[1], name
                assert f"介绍一下{card.id}" in answers[0][0][0].message.text, name
                assert answers[0][1].completion_tokens, name


@pytest.mark.parametrize(
    ("model", "credential"),
    [("ERNIE-Bot-4", AK), ("ernie-4.5-turbo-128k", "ALTAK-SandboxPermanent")],
)
async def test_what_is_served_is_what_is_used(model: str, credential: str) -> None:
    """The usage of answers adds up to what the sandbox says it served, by the public name of the credential."""
    async with open_house() as house, open_provider(SPEC, settings_for(house.base_url)) as provider:
        _, streamed = await answer_of(provider, ask("介绍一下北京", model=model))
        _, whole = await answer_of(provider, ask("介绍一下北京", model=model, stream=False))
        (row,) = await house.served()
    assert (credential, 2, 2 * whole.prompt_tokens, 2 * whole.completion_tokens) == (
        row["credential"],
        row["requests"],
        row["prompt_tokens"],
        row["completion_tokens"],
    )
    assert streamed == whole


@pytest.mark.parametrize("model", MODELS)
async def test_calls_and_results_work(model: str) -> None:
    """A question with functions gets a call, and its result is used in the next answer, in both generations."""
    tool = Tool(
        name="get_weather", description="天气", parameters={"type": "object", "required": ["city"]}
    )
    async with sandboxed() as provider:
        for stream in (True, False):
            request = ask("北京天气", model=model, tools=(tool,), stream=stream)
            (choice,), usage = await answer_of(provider, request)
            (call,) = choice.message.tool_calls
            assert ("tool_calls", "get_weather") == (choice.finish_reason, call.name)
            assert "北京" in orjson.loads(call.arguments)["city"]
            assert usage.completion_tokens
            result = Message("tool", '{"temp": 21}', tool_call_id=call.id)
            later = ChatRequest(
                model=model,
                messages=(*request.messages, choice.message, result),
                params=request.params,
                stream=stream,
            )
            (choice,), _ = await answer_of(provider, later)
            assert "21" in choice.message.text


async def test_parallel_calls_are_made_by_v2_and_told_to_v1() -> None:
    """Parallel calls that V2 made can be answered in V1, one after the other."""
    tool = Tool(name="get_weather", parameters={"type": "object", "required": ["city"]})
    async with sandboxed() as provider:
        request = ask("北京和上海的天气 [[tools:parallel]]", model=MODELS[1], tools=(tool,))
        (choice,), _ = await answer_of(provider, request)
        assert 2 == len(choice.message.tool_calls)
        results = tuple(
            Message("tool", f"{at}度", tool_call_id=call.id)
            for at, call in enumerate(choice.message.tool_calls)
        )
        later = ChatRequest(
            model="ERNIE-Bot-4", messages=(*request.messages, choice.message, *results)
        )
        deltas = await deltas_of(provider, later)
    assert "1度" in deltas[0].text
    assert 1 == len((deltas[0].extra or {})["notes"])


@pytest.mark.parametrize("model", MODELS)
async def test_broken_histories_are_mended(model: str) -> None:
    """A history that breaks the rules is mended and answered, with notes; one that ends with an answer is refused."""
    history = (
        Message("assistant", "欢迎"),
        Message("user", "a"),
        Message("system", "晚到的系统文本"),
        Message("user", "b"),
    )
    async with sandboxed() as provider:
        for stream in (True, False):
            request = ChatRequest(model=model, messages=history, stream=stream)
            deltas = await deltas_of(provider, request)
            assert 3 == len((deltas[0].extra or {})["notes"])
        with pytest.raises(InvalidParameter):
            await deltas_of(provider, ChatRequest(model=model, messages=history[:1]))


async def test_json_pictures_searches_and_thinking_work() -> None:
    """JSON modes, pictures that are seen, results of searches and thinking come through."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    async with sandboxed() as provider:
        for model, form in (
            ("ERNIE-Bot-4", ResponseFormat("json_object")),
            ("ernie-4.5-turbo-128k", ResponseFormat("json_schema", name="a", schema=schema)),
        ):
            (choice,), _ = await answer_of(provider, ask("北京", model=model, response_format=form))
            assert isinstance(orjson.loads(choice.message.text), dict)
        parts = (TextPart("图里有什么"), ImagePart(f"data:image/png;base64,{PICTURE}"))
        for model in ("ernie-4.5-turbo-vl", "Fuyu-8B"):
            (choice,), _ = await answer_of(provider, ask(parts, model=model))
            assert "PNG" in choice.message.text
        for model, extra, key in (
            ("ERNIE-Bot-4", {"enable_citation": True}, "search_info"),
            ("ernie-4.5-turbo-128k", {"web_search": {"enable": True}}, "search_results"),
        ):
            for stream in (True, False):
                found = await deltas_of(
                    provider, ask("新闻", model=model, extra=extra, stream=stream)
                )
                assert any(key in (delta.extra or {}) for delta in found), (model, stream)
        (choice,), _ = await answer_of(provider, ask("你好", model="ernie-x1.1"))
        assert choice.message.reasoning


async def test_vectors_and_pictures() -> None:
    """More texts than one call takes are split, in both generations; pictures have the size that was asked for."""
    texts = tuple(f"文本{number}" for number in range(40))
    v2 = {"prefer": "v2"}
    async with open_house() as house:
        settings = settings_for(house.base_url)
        for more, model in (
            ({}, "Embedding-V1"),
            (v2, "bge-large-zh"),
            ({}, "tao-8k"),
            (v2, "tao-8k"),
        ):
            async with open_provider(SPEC, {**settings, **more}) as provider:
                assert isinstance(provider, Embeds)
                result = await provider.embed(EmbeddingRequest(model=model, inputs=texts))
                one = await provider.embed(EmbeddingRequest(model=model, inputs=texts[30:31]))
                assert 40 == len(result.vectors)
                assert list(one.vectors[0]) == list(result.vectors[30])
                assert result.usage.prompt_tokens > one.usage.prompt_tokens > 0
        async with open_provider(SPEC, settings) as provider:
            assert isinstance(provider, DrawsImages)
            request = ImageRequest(model="Stable-Diffusion-XL", prompt="猫", size="1024x512", n=2)
            drawn = await provider.draw(request)
            assert 2 == len(drawn.images)
            picture = look_at(drawn.images[0].b64_json or "")
            assert ("PNG", 1024, 512) == (picture.format, picture.width, picture.height)
            drawn = await provider.draw(
                ImageRequest(model="irag-1.0", prompt="猫", size="512x1024")
            )
            async with house.client.get(drawn.images[0].url or "") as got:
                picture = look_at(base64.b64encode(await got.read()).decode())
            assert ("PNG", 512, 1024) == (picture.format, picture.width, picture.height)


async def test_ranking_counting_and_lists() -> None:
    """Documents are ranked in both generations, tokens counted, models and services listed."""
    async with open_house() as house:
        settings = settings_for(house.base_url)
        for prefer in ("v1", "v2"):
            async with open_provider(SPEC, {**settings, "prefer": prefer}) as provider:
                assert isinstance(provider, QianfanProvider)
                ranking = await provider.rerank(
                    "bce-reranker-base_v1", "上海天气", ["北京美食", "上海气候天气"], top_n=1
                )
                assert [1] == [each.index for each in ranking.documents]
                assert isinstance(provider, CountsTokens)
                assert 1 < await provider.count_tokens(ask("你好，世界"))
                assert isinstance(provider, ListsModels)
                assert "ernie-4.5-turbo-128k" in await provider.list_models()
                with pytest.raises(ProviderAuthFailed, match="iam_ak"):
                    await provider.services()
        only_v1 = {name: settings[name] for name in ("base_url", "ak", "sk")}
        async with open_provider(SPEC, only_v1) as provider:
            assert isinstance(provider, QianfanProvider)
            assert "ERNIE-Bot-4" in await provider.list_models()
        only_v2 = {name: settings[name] for name in ("api_key", "v2_base_url")}
        async with open_provider(SPEC, only_v2) as provider:
            assert isinstance(provider, QianfanProvider)
            with pytest.raises(ProviderAuthFailed, match="V1"):
                await provider.count_tokens(ask("x"))


async def test_services_of_the_account_can_be_asked_for() -> None:
    """With IAM keys the account's services are listed, and each can be asked for by its name."""
    async with open_house() as house:
        urls = {k: v for k, v in settings_for(house.base_url).items() if k.endswith("_url")}
        async with open_provider(SPEC, {**urls, "iam_ak": IAM_AK, "iam_sk": IAM_SK}) as provider:
            assert isinstance(provider, QianfanProvider)
            names = await provider.list_models()
            assert {"sandbox_published", "ERNIE-Bot-4", "ernie-x1.1"} <= set(names)
            (choice,), _ = await answer_of(provider, ask("你好", model="sandbox_published"))
            assert "sandbox_published" in choice.message.text


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("model", "fault", "kind", "code"),
    [
        ("ERNIE-Bot-4", "429 retry_after=2", RateLimited, "336501"),
        ("ERNIE-Bot-4", "18", RateLimited, "18"),
        ("ERNIE-Bot-4", "500", ProviderUnavailable, "336000"),
        ("ERNIE-Bot-4", "503", ProviderOverloaded, "336100"),
        ("ERNIE-Bot-4", "arrears", QuotaExhausted, "17"),
        ("ERNIE-Bot-4", "too_long", ContextTooLong, "336103"),
        ("ERNIE-Bot-4", "expired_token", ProviderAuthFailed, "111"),
        ("ERNIE-Bot-4", "336104", RequestRejected, "336104"),
        ("ERNIE-Bot-4", "misspelt", RequestRejected, "336003"),
        ("ERNIE-Bot-4", "cut after=2", ProviderUnavailable, None),
        ("ernie-4.0-turbo-128k", "429 retry_after=2", RateLimited, "rpm_rate_limit_exceeded"),
        ("ernie-4.0-turbo-128k", "500", ProviderUnavailable, "internal_error"),
        ("ernie-4.0-turbo-128k", "arrears", ProviderAuthFailed, "no_parameter_permission"),
        ("ernie-4.0-turbo-128k", "too_long", ContextTooLong, "tokens_too_long"),
        ("ernie-4.0-turbo-128k", "expired_token", ProviderAuthFailed, "invalid_iam_token"),
        ("ernie-4.0-turbo-128k", "misspelt", RequestRejected, "invalid_argument"),
        ("ernie-4.0-turbo-128k", "cut after=2", ProviderUnavailable, None),
    ],
)
async def test_faults_become_errors(
    stream: bool, model: str, fault: str, kind: type[ProviderError], code: str | None
) -> None:
    """Each fault that a prompt asks for becomes the right error, whole and streamed, in both generations."""
    async with sandboxed() as provider:
        with pytest.raises(ProviderError) as caught:
            await deltas_of(provider, ask(f"你好 [[fault:{fault}]]", stream=stream, model=model))
        assert kind is type(caught.value)
        assert code == caught.value.vendor_code
        if "retry_after" in fault:
            assert 2.0 == caught.value.retry_after


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("fault", ["half_line", "malformed", "malformed after=2"])
async def test_broken_streams_become_protocol_errors(model: str, fault: str) -> None:
    """Half an event, and one that is not JSON, are the vendor's nonsense."""
    async with sandboxed() as provider:
        with pytest.raises(ProviderProtocolError):
            await deltas_of(provider, ask(f"你好 [[fault:{fault}]]", model=model))


@pytest.mark.parametrize(
    ("model", "fault", "kind"),
    [
        ("ERNIE-Bot-4", "500 after=3", ProviderUnavailable),
        ("ERNIE-Bot-4", "336501 after=3", RateLimited),
        ("ERNIE-Bot-4", "bare_line after=3", ProviderUnavailable),
        ("ernie-4.0-turbo-128k", "429 after=3", RateLimited),
    ],
)
async def test_errors_within_streams_are_raised_after_what_came_before(
    model: str, fault: str, kind: type[ProviderError]
) -> None:
    """An error in the middle of a stream, also one on a bare line, comes after the deltas that were sent before it."""
    async with sandboxed() as provider:
        texts = []
        with pytest.raises(kind):
            async with aclosing(
                provider.stream(ask(f"你好 [[fault:{fault}]]", model=model))
            ) as batches:
                async for batch in batches:
                    texts += [delta.text for delta in batch]
    assert "".join(texts)


@pytest.mark.parametrize("model", MODELS)
async def test_unsafe_input_is_told(model: str) -> None:
    """The vendor shows unsafe input by the end of an answer, whole, at once, and in the middle of a stream."""
    async with sandboxed() as provider:
        for fault, stream in (("", False), ("", True), (" after=3", True)):
            request = ask(f"你好 [[fault:content_filter{fault}]]", model=model, stream=stream)
            (choice,), _ = await answer_of(provider, request)
            assert "content_filter" == choice.finish_reason
            deltas = await deltas_of(provider, request)
            told = any((delta.extra or {}).get("need_clear_history") for delta in deltas)
            assert told == (model == "ERNIE-Bot-4")


@pytest.mark.parametrize("stream", [True, False])
async def test_an_expired_token_is_renewed_once(stream: bool) -> None:
    """A token that the vendor calls expired is fetched anew, and the caller does not notice."""
    async with sandboxed() as provider:
        request = ask("你好 [[fault:expired_token once=a]]", stream=stream)
        (choice,), _ = await answer_of(provider, request)
    assert "stop" == choice.finish_reason


@pytest.mark.parametrize("model", MODELS)
async def test_split_characters_and_silence(model: str) -> None:
    """Characters cut by the network are whole again; a vendor that falls silent is left when the caller leaves."""
    async with open_house() as house, open_provider(SPEC, settings_for(house.base_url)) as provider:
        plain = await answer_of(provider, ask("你好 [[say:世界👩‍👩‍👧 é]]", model=model))
        split = await answer_of(
            provider, ask("你好 [[say:世界👩‍👩‍👧 é]] [[fault:split_utf8]]", model=model)
        )
        assert plain[0] == split[0]
        silent = provider.stream(ask("你好 [[fault:silence after=2]]", model=model))
        async with aclosing(silent):
            await anext(silent)
        row = await _idle(house)
    assert 1 == row["closed_early"]


async def _idle(house: House) -> dict[str, Any]:
    async with asyncio.timeout(1):
        while (row := (await house.served())[0])["open"]:  # a page tells no event
            await asyncio.sleep(0.005)
    return row


async def test_the_spec_describes_a_provider() -> None:
    """The product's models have the vendor's price of that time, in its currency; later figures are not confirmed."""
    cards = {card.id: card for card in SPEC.cards()}
    then, now = datetime(2024, 3, 1, tzinfo=UTC).date(), datetime.now(UTC).date()
    old = cards["ERNIE-Bot-4"].price_on(then)
    new = cards["ERNIE-Bot-4"].price_on(now)
    assert old is not None
    assert new is not None
    assert ("0.12", "CNY", True) == (str(old.input), old.currency, old.confirmed)
    assert (False, "0.09") == (new.confirmed, str(new.output))
    assert {"chat", "embedding", "image"} == {card.kind for card in cards.values()}
    async with sandboxed() as provider:
        assert "Secret" not in repr(provider)
