"""The stand-in for SenseNova: what it verifies, and the provider against it."""

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
    InvalidParameter,
    ProviderAuthFailed,
    ProviderError,
    ProviderOverloaded,
    ProviderProtocolError,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
)
from fengchao_core.fold import Fold
from fengchao_core.kit.sandbox import SERVED_PATH
from fengchao_core.testing import FakeClock, answer_of, deltas_of, open_provider, run_app
from fengchao_core.types import (
    ChatParams,
    ChatRequest,
    EmbeddingRequest,
    FilePart,
    ImagePart,
    Message,
    TextPart,
    Tool,
)
from fengchao_sensetime import SANDBOX, SPEC
from fengchao_sensetime.auth import sign
from fengchao_sensetime.provider import SenseTimeProvider
from fengchao_sensetime.sandbox import AK, API_KEY, SK, build, settings_for

CHAT = "/v1/llm/chat-completions"
COMPATIBLE = "/compatible-mode/v1/chat/completions"
TOKEN_PLAN = "/token-plan/v1/chat/completions"
USER = {"role": "user", "content": "你好"}
GOOD: dict[str, Any] = {"model": "SenseChat-5", "messages": [USER]}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLING = {"role": "assistant", "content": "", "tool_calls": [CALL]}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
CHATTING = [card.id for card in SPEC.cards() if card.kind == "chat"]


class House:
    """The sandbox, running, and a plain client."""

    def __init__(self, base_url: str, client: aiohttp.ClientSession) -> None:
        self.base_url = base_url
        self._client = client

    async def post(
        self, body: object, *, path: str = CHAT, token: str | None = API_KEY
    ) -> tuple[int, dict[str, Any]]:
        """Status and body of an answer."""
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = token if " " in token else f"Bearer {token}"
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        async with self._client.post(self.base_url + path, data=data, headers=headers) as got:
            return got.status, orjson.loads(await got.read())

    async def code(self, body: object, **how: Any) -> Any:
        """The vendor's code of a refusal; 0 for an answer."""
        _, answer = await self.post(body, **how)
        return answer["error"]["code"] if "error" in answer else 0

    async def served(self) -> list[dict[str, Any]]:
        """What was served."""
        async with self._client.get(self.base_url + SERVED_PATH) as got:
            rows: list[dict[str, Any]] = orjson.loads(await got.read())["rows"]
        return rows


@asynccontextmanager
async def open_house(**how: Any) -> AsyncIterator[House]:
    """Run the sandbox."""
    async with run_app(build(**how)) as base_url, aiohttp.ClientSession() as client:
        yield House(base_url, client)


@asynccontextmanager
async def sandboxed(**settings: object) -> AsyncIterator[SenseTimeProvider]:
    """The provider against its sandbox."""
    async with (
        run_app(SANDBOX.build()) as base_url,
        open_provider(SPEC, {**SANDBOX.settings(base_url), **settings}) as provider,
    ):
        assert isinstance(provider, SenseTimeProvider)
        yield provider


# Who asks.


def jwt(claims: dict[str, object], *, secret: str = SK, **header: object) -> str:
    """A token with any claims and header, its members in another order than the SDK's."""
    head = {"typ": "JWT", "alg": "HS256", **header}
    parts = [base64.urlsafe_b64encode(orjson.dumps(each)).rstrip(b"=") for each in (head, claims)]
    signed = b".".join(parts)
    signature = hmac.digest(secret.encode(), signed, "sha256")
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


async def test_tokens_are_verified() -> None:
    """Signature, issuer, times and header of a token are verified; the order of its members does not matter."""
    clock = FakeClock()
    now = int(clock.now().timestamp())
    good: dict[str, object] = {"nbf": now - 5, "exp": now + 60, "iss": AK}
    async with open_house(clock=clock) as house:
        for is_good, token in (
            (True, sign(AK, SK, clock.now()).value),
            (True, jwt(good)),
            (True, jwt({"exp": now + 60, "iss": AK})),
            (True, API_KEY),
            (False, None),
            (False, "Basic abc"),
            (False, "one-part"),
            (False, "a.b.c"),
            (False, "e30.e30.é"),
            (False, jwt(good, alg="none")),
            (False, jwt(good, secret="wrong")),
            (False, jwt(good)[:-4] + "AAAA"),
            (False, jwt({**good, "iss": "somebody"})),
            (False, jwt({**good, "exp": now})),
            (False, jwt({**good, "exp": str(now + 60)})),
            (False, jwt({**good, "nbf": now + 10})),
            (False, jwt({"iss": AK})),
            (False, f"{API_KEY}x"),
        ):
            status, answer = await house.post(GOOD, token=token)
            assert (200 if is_good else 401) == status, token
            assert is_good or answer["error"]["code"] == 16
        clock.advance(1801)
        late = sign(AK, SK, clock.now() - timedelta(seconds=1801)).value
        assert 16 == await house.code(GOOD, token=late)
        assert "16" == await house.code(GOOD, token=jwt(good), path=TOKEN_PLAN)


# What is asked.


def said(*messages: object) -> dict[str, object]:
    """These messages."""
    return {"messages": list(messages)}


@pytest.mark.parametrize(
    ("expected", "change"),
    [
        (3, {"model": None}),
        (5, {"model": "SenseChat-0"}),
        (5, {"model": "nova-embedding-stable"}),
        (5, {"model": "sensenova-6.7-flash-lite"}),
        (5, {"model": "SenseChat-Character"}),
        (3, said()),
        (3, said({"role": "developer", "content": "x"})),
        (3, said({"role": "user", "content": ""})),
        (3, said({"role": "user"})),
        (3, said({"role": "user", "content": 1})),
        (3, said(USER, {"role": "assistant", "content": "x"})),
        (3, said(USER, {"role": "assistant", "content": ""}, USER)),
        (3, said(USER, {"role": "tool", "content": "x"})),
        (3, said(USER, CALLING, {"role": "tool", "tool_call_id": "c2", "content": "x"})),
        (3, said(USER, CALLING, {"role": "tool", "tool_call_id": "c1"})),
        (0, said(USER, CALLING, {"role": "tool", "tool_call_id": "c1", "content": "x"})),
        (3, {"temperature": 0}),
        (3, {"temperature": 2.1}),
        (3, {"temperature": 0.1234567}),
        (3, {"temperature": "hot"}),
        (3, {"top_p": 0}),
        (3, {"top_p": 1}),
        (3, {"n": 5}),
        (3, {"max_new_tokens": 0}),
        (3, {"repetition_penalty": 0}),
        (3, {"stream": 1}),
        (3, {"user": 1}),
        (3, {"know_ids": "a"}),
        (3, {"knowledge_config": {"control_level": "low"}}),
        (3, {"knowledge_config": {"knowledge_base_configs": [{"know_id": "a", "faq_threshold": 1}]}}),
        (3, {"plugins": []}),
        (3, {"plugins": {"associated_knowledge": {"content": "a", "mode": "append"}}}),
        (3, {"plugins": {"web_search": {"search_enable": 1}}}),
        (3, {"model": "SenseNova-V6-Reasoner", "plugins": {"web_search": {}}}),
        (3, {"tools": [{"type": "function", "function": {"name": "no spaces"}}]}),
        (3, {"tools": [{"type": "web_search"}]}),
        (3, {"tools": [TOOL], "tool_choice": "auto"}),
        (3, {"tools": [TOOL], "tool_choice": {"mode": "required"}}),
        (3, {"tools": [TOOL], "tool_choice": {"mode": "manual", "tools": []}}),
        (3, {"model": "SenseChat", "max_new_tokens": 4096}),
        (3, {"model": "SenseChat", **said({"role": "user", "content": "字" * 20_000})}),
        (0, {"temperature": 2, "top_p": 0.999999, "n": 2, "stop": None, "max_new_tokens": 9}),
        (0, {"tools": [TOOL], "tool_choice": {"mode": "none", "tools": []}}),
        (0, {"plugins": {}, "know_ids": [], "knowledge_config": {"control_level": "high"}}),
    ],
)  # fmt: skip
async def test_requests_are_verified(expected: int, change: dict[str, object]) -> None:
    """Ranges, roles, names and limits are the vendor's, and so are the codes."""
    async with open_house() as house:
        assert expected == await house.code({**GOOD, **change})


@pytest.mark.parametrize(
    ("expected", "model", "part"),
    [
        (0, "SenseChat-Vision", {"type": "image_url", "image_url": "https://example.com/a.png"}),
        (0, "SenseChat-Vision", {"type": "image_base64", "image_base64": PNG}),
        (0, "SenseNova-V6-Pro", {"type": "image_file_id", "image_file_id": "f-1"}),
        (3, "SenseChat-5", {"type": "image_url", "image_url": "https://example.com/a.png"}),
        (3, "SenseChat-Vision", {"type": "image_url", "image_url": {"url": "https://example.com/a"}}),
        (3, "SenseChat-Vision", {"type": "image_url", "image_url": PNG}),
        (3, "SenseChat-Vision", {"type": "image_base64", "image_base64": f"data:image/png;base64,{PNG}"}),
        (3, "SenseChat-Vision", {"type": "image_base64", "image_base64": "no base64"}),
        (3, "SenseChat-Vision", {"type": "image_file_id", "image_file_id": ""}),
        (3, "SenseChat-Vision", {"type": "smell"}),
    ],
)  # fmt: skip
async def test_pictures_are_verified(expected: int, model: str, part: object) -> None:
    """Pictures go to the models that see them, in one of the three forms of the vendor."""
    async with open_house() as house:
        messages = [{"role": "user", "content": [{"type": "text", "text": "看"}, part]}]
        assert expected == await house.code({"model": model, "messages": messages})


@pytest.mark.parametrize(
    ("expected", "path", "body"),
    [
        (0, "/embeddings", {"model": "nova-embedding-stable", "input": ["x"]}),
        (3, "/embeddings", {"model": "nova-embedding-stable", "input": "x"}),
        (3, "/embeddings", {"model": "nova-embedding-stable", "prompt": ["x"]}),
        (3, "/embeddings", {"model": "nova-embedding-stable", "input": ["x"] * 33}),
        (3, "/embeddings", {"model": "nova-embedding-stable", "input": ["字" * 2000]}),
        (5, "/embeddings", {"model": "SenseChat-5", "input": ["x"]}),
        (3, "/chat/sessions", {"system_prompt": [USER]}),
        (0, "/chat/sessions", {"system_prompt": []}),
        (5, "/chat-conversations", {"model": "SenseChat-5", "action": "next", "content": "x", "session_id": "?"}),
        (3, "/chat-conversations", {"model": "SenseChat-5", "action": "fly", "content": "x"}),
        (3, "/chat-conversations", {"model": "SenseChat-5", "action": "next"}),
        (3, "/completions", {"model": "nova-ptc-xl-v1"}),
        (5, "/completions", {"model": "SenseChat-5", "prompt": "x"}),
        (5, "/character/chat-completions", GOOD),
        (3, "/character/chat-completions", {**GOOD, "model": "SenseChat-Character"}),
        (3, "/knowledge-bases", {}),
        (5, "/knowledge-bases", {"description": "x", "files": ["nothing"]}),
        (5, "/nowhere", GOOD),
        (3, "/chat-completions", b"{"),
        (3, "/chat-completions", b"[]"),
    ],
)  # fmt: skip
async def test_other_requests_are_verified(expected: int, path: str, body: object) -> None:
    """Whatever else is asked has its own rules, and is refused in the same shape."""
    async with open_house() as house:
        assert expected == await house.code(body, path=f"/v1/llm{path}")


@pytest.mark.parametrize(
    ("expected", "change"),
    [
        (3, {"character_settings": []}),
        (3, {"character_settings": [{"name": "y"}]}),
        (3, {"role_setting": {"user_name": "d", "primary_bot_name": "z"}}),
        (3, {"messages": []}),
        (3, {"messages": [{"role": "user", "content": "x"}]}),
        (3, {"messages": [{"name": "d", "content": ""}]}),
        (0, {}),
    ],
)
async def test_characters_are_verified(expected: int, change: dict[str, object]) -> None:
    """Characters are described, and who speaks is one of them."""
    good = {
        "model": "SenseChat-Character",
        "character_settings": [{"name": "y", "gender": "男"}, {"name": "d", "gender": "男"}],
        "role_setting": {"user_name": "d", "primary_bot_name": "y"},
        "messages": [{"name": "d", "content": "你好"}],
    }
    async with open_house() as house:
        path = "/v1/llm/character/chat-completions"
        assert expected == await house.code({**good, **change}, path=path)


@pytest.mark.parametrize(
    ("expected", "path", "change"),
    [
        (0, COMPATIBLE, {"max_new_tokens": 9, "stream_options": {"include_usage": True}}),
        ("3", COMPATIBLE, {"temperature": 0}),
        ("3", COMPATIBLE, {"frequency_penalty": -1}),
        ("5", COMPATIBLE, {"model": "nothing"}),
        (0, TOKEN_PLAN, {"max_tokens": 9, "seed": 1}),
        ("3", TOKEN_PLAN, {"response_format": {"type": "json_object"}}),
        ("3", TOKEN_PLAN, {"tools": [{"type": "function", "function": {"name": "f", "strict": True}}]}),
        ("3", TOKEN_PLAN, {"max_tokens": 65537}),
        ("5", TOKEN_PLAN, {"model": "SenseChat-5"}),
    ],
)  # fmt: skip
async def test_chat_completions_are_verified(
    expected: object, path: str, change: dict[str, object]
) -> None:
    """The chat-completions dialects refuse with the same numbers as texts; the token plan takes no unknown field."""
    model = "sensenova-6.7-flash-lite" if path == TOKEN_PLAN else "SenseChat-5"
    async with open_house() as house:
        assert expected == await house.code({**GOOD, "model": model, **change}, path=path)


# The provider against it.


def ask(
    text: str, *, stream: bool = True, model: str = "SenseChat-5", **params: Any
) -> ChatRequest:
    """A request of one message."""
    return ChatRequest(
        model=model,
        messages=(Message("user", text),),
        params=ChatParams(**params),
        stream=stream,
    )


@pytest.mark.parametrize("model", CHATTING)
async def test_every_model_answers(model: str) -> None:
    """Every model of the cards answers under its own name, whole and streamed alike, with the vendor's usage."""
    async with open_house() as house, open_provider(SPEC, settings_for(house.base_url)) as provider:
        streamed = await answer_of(provider, ask("介绍一下北京", model=model))
        whole = await answer_of(provider, ask("介绍一下北京", model=model, stream=False))
        assert whole == streamed
        assert "介绍一下北京" in whole[0][0].message.text
        (row,) = await house.served()
        credential = "api_key" if model.startswith("sensenova-") else AK
        usage = whole[1]
        assert ("vendor", credential, model, 2, 2 * usage.prompt_tokens) == (
            usage.source,
            row["credential"],
            row["model"],
            row["requests"],
            row["prompt_tokens"],
        )
        assert 2 * usage.completion_tokens == row["completion_tokens"]


@pytest.mark.parametrize("model", ["SenseChat-5", "SenseNova-V6-5-Pro", "DeepSeek-R1"])
async def test_the_compatible_mode_says_the_same(model: str) -> None:
    """A model answers the same in the compatible mode as in the vendor's own shape."""
    async with sandboxed() as native, sandboxed(dialect="compatible") as compatible:
        for stream in (True, False):
            request = ask("你好", model=model, stream=stream)
            (one, used), (other, counted) = [
                await answer_of(provider, request) for provider in (native, compatible)
            ]
            assert one == other
            assert used.total_tokens == counted.total_tokens


async def test_thinking_is_told_apart() -> None:
    """Models that think show it apart from the text, in each dialect."""
    for model, settings, params in (
        ("SenseNova-V6-Reasoner", {}, {}),
        ("SenseNova-V6-5-Pro", {"dialect": "compatible"}, {"reasoning_effort": "high"}),
        ("sensenova-6.7-flash-lite", {}, {"reasoning_effort": "high"}),
    ):
        async with sandboxed(**settings) as provider:
            for stream in (True, False):
                request = ask("你好", model=model, stream=stream, **params)
                (choice,), _ = await answer_of(provider, request)
                assert choice.message.reasoning
                assert choice.message.text.startswith("你好，我是")


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("SenseChat-5", {}),
        ("SenseChat-5", {"dialect": "compatible"}),
        ("sensenova-6.7-flash-lite", {}),
    ],
)
async def test_calls_and_their_results_work(model: str, settings: dict[str, str]) -> None:
    """Parallel calls are made, one is forced or forbidden, and results are used, in each dialect, whole and streamed."""
    tool = Tool(name="get_weather", parameters={"required": ["city"]})
    other = Tool(name="get_time", parameters={})
    named = {"type": "function", "function": {"name": "get_time"}}
    async with sandboxed(**settings) as provider:
        for stream in (True, False):
            text = "北京和上海的天气 [[tools:parallel]]"
            request = ask(text, tools=(tool,), stream=stream, model=model)
            (choice,), _ = await answer_of(provider, request)
            assert ("tool_calls", 2) == (choice.finish_reason, len(choice.message.tool_calls))
            results = tuple(
                Message("tool", '{"temp": 21}', tool_call_id=call.id)
                for call in choice.message.tool_calls
            )
            later = ChatRequest(
                model=model,
                messages=(*request.messages, choice.message, *results),
                stream=stream,
            )
            (choice,), _ = await answer_of(provider, later)
            assert '{"temp": 21}' in choice.message.text
            how = {"tools": (tool, other), "stream": stream, "model": model}
            (forced,), _ = await answer_of(provider, ask("天气", tool_choice=named, **how))
            assert "get_time" == forced.message.tool_calls[0].name
            (none,), _ = await answer_of(provider, ask("天气", tool_choice="none", **how))
            assert () == none.message.tool_calls


async def test_pictures_are_seen() -> None:
    """A picture as data, by its address and by its id is seen."""
    async with sandboxed() as provider:
        for part in (
            ImagePart(f"data:image/png;base64,{PNG}"),
            ImagePart("https://example.com/cat.png"),
            FilePart(file_id="cat.png"),
        ):
            request = ChatRequest(
                model="SenseNova-V6-Pro",
                messages=(Message("user", (TextPart("图里有什么"), part)),),
            )
            (choice,), _ = await answer_of(provider, request)
            assert "PNG" in choice.message.text or "cat.png" in choice.message.text


async def test_several_choices_take_turns() -> None:
    """Several choices come whole and interleaved alike."""
    async with sandboxed() as provider:
        whole = await answer_of(provider, ask("你好", n=3, stream=False))
        assert whole == await answer_of(provider, ask("你好", n=3))
        assert 3 == len(whole[0])
        with pytest.raises(InvalidParameter):
            await deltas_of(provider, ask("你好", n=5))


async def test_what_a_caller_asks_out_of_range_is_adapted() -> None:
    """Values that the vendor refuses are moved into its ranges, and the answer's notes tell it."""
    async with sandboxed() as provider:
        request = ask("你好", temperature=0, top_p=1, seed=1, do_sample=False)
        deltas = await deltas_of(provider, request)
    fold = Fold()
    fold.feed(deltas)
    notes: Any = fold.extra["notes"]
    told = " ".join(notes)
    assert all(name in told for name in ("temperature", "top_p", "seed", "do_sample"))


async def test_knowledge_and_search_are_used() -> None:
    """Knowledge of an uploaded file counts as input and is shown where asked for, and so is what a search found."""
    async with sandboxed() as provider:
        content = orjson.dumps({"text_lst": ["蜂巢是六边形的"], "qa_lst": []})
        file_id = await provider.upload("库.json", content, purpose="KNOWLEDGE_BASE_1")
        base = await provider.create_knowledge_base("蜂巢", [file_id])
        extra = {
            "know_ids": [base.id],
            "knowledge_config": {"control_level": "high", "knowledge_base_result": True},
            "plugins": {
                "associated_knowledge": {"content": "蜜蜂会飞", "mode": "concatenate"},
                "web_search": {"search_enable": True, "result_enable": True},
            },
        }
        for stream in (True, False):
            plain = await deltas_of(provider, ask("蜂巢？", stream=stream))
            known = await deltas_of(provider, ask("蜂巢？", stream=stream, extra=extra))
            fold = Fold()
            fold.feed(known)
            results: Any = fold.extra["knowledge_base_results"]
            assert base.id == results[0]["know_id"]
            assert "蜂巢是六边形的" == results[0]["results"][0]["result"]
            plugins: Any = fold.extra["plugins"]
            assert 1 == plugins["web_search"]["online_search_count"]
            before, after = plain[-1].usage, known[-1].usage
            assert before is not None
            assert after is not None
            assert after.prompt_tokens > before.prompt_tokens
            assert after.completion_tokens == before.completion_tokens


async def test_sessions_remember() -> None:
    """Turns of a session build on each other, streamed and whole; one that nobody opened is refused."""
    async with sandboxed() as provider:
        session = await provider.create_session([Message("system", "你是翻译")])
        counts = []
        for stream in (True, False, True):
            fold, usage = Fold(), None
            turn = provider.continue_session(session, "你好", model="SenseChat-5", stream=stream)
            async for batch in turn:
                fold.feed(batch)
                usage = batch[-1].usage or usage
            assert "你好" in fold.choices()[0].message.text
            assert usage is not None
            counts.append(usage.prompt_tokens)
        assert sorted(set(counts)) == counts
        with pytest.raises(RequestRejected) as caught:
            async for _ in provider.continue_session("nobody's", "你好", model="SenseChat-5"):
                pass
        assert "5" == caught.value.vendor_code


async def test_texts_are_gone_on_with() -> None:
    """A completion is written whole and streamed, and stops where it shall."""
    async with sandboxed() as provider:
        for stream in (True, False):
            fold = Fold()
            async for batch in provider.complete(
                "def f [[say:一二三四]]",
                model="nova-ptc-s-v1-codecompletion",
                params=ChatParams(stop=("三",), n=2),
                stream=stream,
            ):
                fold.feed(batch)
            assert ["一二", "一二"] == [choice.message.text for choice in fold.choices()]


async def test_the_account_keeps_things() -> None:
    """Models are listed; files and knowledge bases are kept, looked at, and deleted."""
    async with sandboxed() as provider:
        models = await provider.list_models()
        assert {"SenseChat", "SenseNova-V6-5-Pro", "nova-embedding-stable"} <= set(models)
        assert await provider.has_model("SenseChat")
        assert not await provider.has_model("nothing")
        file_id = await provider.upload(
            "a.json", b'{"text_lst": ["x"]}', purpose="KNOWLEDGE_BASE_1"
        )
        assert b'{"text_lst": ["x"]}' == await provider.file_content(file_id)
        assert ("VALID", "a.json") == (
            (await provider.file(file_id)).status,
            (await provider.files())[0].description,
        )
        base = await provider.create_knowledge_base("库")
        await provider.update_knowledge_base(base.id, "新库", [file_id])
        assert ("新库", (file_id,)) == (
            (await provider.knowledge_base(base.id)).description,
            (await provider.knowledge_bases())[0].files,
        )
        await provider.delete_knowledge_base(base.id)
        await provider.delete(file_id)
        assert () == await provider.files()
        for lost in (provider.file(file_id), provider.knowledge_base(base.id)):
            with pytest.raises(RequestRejected):
                await lost
        with pytest.raises(RequestRejected):
            await provider.upload("a.json", b"[]", purpose="KNOWLEDGE_BASE_1")


async def test_vectors_are_made() -> None:
    """The same text gives the same vector, in whatever call it comes; a text too long is refused."""
    async with sandboxed() as provider:
        texts = tuple(f"文本{number}" for number in range(40))
        many = await provider.embed(EmbeddingRequest(model="nova-embedding-stable", inputs=texts))
        one = await provider.embed(
            EmbeddingRequest(model="nova-embedding-stable", inputs=texts[35:36])
        )
        assert list(one.vectors[0]) == list(many.vectors[35])
        assert 1536 == len(one.vectors[0])
        assert one.usage.prompt_tokens > 0
        with pytest.raises(RequestRejected):
            await provider.embed(
                EmbeddingRequest(model="nova-embedding-stable", inputs=("字" * 2000,))
            )


# Faults.


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("model", ["SenseChat-5", "sensenova-6.7-flash-lite"])
@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        ("429 retry_after=2", RateLimited, "8"),
        ("500", ProviderUnavailable, "13"),
        ("503", ProviderOverloaded, "14"),
        ("arrears", RateLimited, "8"),
        ("content_filter", ContentRefused, "18"),
        ("too_long", RequestRejected, "3"),
        ("expired_token", ProviderAuthFailed, "16"),
        ("7", ProviderAuthFailed, "7"),
        ("9", ProviderUnavailable, "9"),
        ("misspelt", RequestRejected, "3"),
        ("cut after=2", ProviderUnavailable, None),
    ],
)
async def test_faults_become_errors(
    stream: bool, model: str, fault: str, kind: type[ProviderError], code: str | None
) -> None:
    """Each fault that a prompt asks for becomes the right error, whole and streamed."""
    async with sandboxed() as provider:
        with pytest.raises(ProviderError) as caught:
            await deltas_of(provider, ask(f"你好 [[fault:{fault}]]", stream=stream, model=model))
        assert kind is type(caught.value)
        assert code == caught.value.vendor_code
        if "retry_after" in fault:
            assert 2.0 == caught.value.retry_after


@pytest.mark.parametrize("model", ["SenseChat-5", "sensenova-6.7-flash-lite"])
async def test_faults_in_the_middle_of_a_stream(model: str) -> None:
    """A refusal after some events comes after their text; half an event and nonsense are the vendor's; splits harm nothing."""
    async with sandboxed() as provider:
        request = ask("你好 [[fault:content_filter after=3]]", model=model)
        text = ""
        with pytest.raises(ContentRefused):
            async for batch in provider.stream(request):
                text += "".join(delta.text for delta in batch)
        assert text
        for fault in ("half_line", "malformed", "malformed after=2"):
            with pytest.raises(ProviderProtocolError):
                await deltas_of(provider, ask(f"你好 [[fault:{fault}]]", model=model))
        whole, _ = await answer_of(provider, ask("你好", model=model))
        split, _ = await answer_of(provider, ask("你好 [[fault:split_utf8]]", model=model))
        assert whole == split


@pytest.mark.parametrize("model", ["SenseChat-5", "sensenova-6.7-flash-lite"])
@pytest.mark.parametrize(
    ("end", "finish"), [("sensitive", "content_filter"), ("context", "length")]
)
async def test_the_vendors_own_ends_are_told(model: str, end: str, finish: str) -> None:
    """The safety cut and a full context arrive as finish reasons, whole and in the middle of a stream."""
    async with sandboxed() as provider:
        (whole,), _ = await answer_of(provider, ask(f"[[fault:{end}]]", stream=False, model=model))
        (cut,), _ = await answer_of(provider, ask(f"你好 [[fault:{end} after=3]]", model=model))
    assert (finish, "") == (whole.finish_reason, whole.message.text)
    assert finish == cut.finish_reason
    assert cut.message.text


async def test_an_expired_token_is_renewed_once() -> None:
    """A token that the vendor calls expired is signed anew, and the caller does not notice."""
    async with sandboxed() as provider:
        (choice,), _ = await answer_of(provider, ask("你好 [[fault:expired_token once=a]]"))
    assert "stop" == choice.finish_reason


async def test_a_token_that_expires_for_real_is_renewed() -> None:
    """A token that outlived the vendor's clock while ours stood still is signed anew."""
    ours, theirs = FakeClock(datetime.now(UTC)), FakeClock(datetime.now(UTC))
    async with (
        run_app(build(clock=theirs)) as base_url,
        open_provider(SPEC, settings_for(base_url), clock=ours) as provider,
    ):
        assert await deltas_of(provider, ask("你好"))
        theirs.advance(1900)
        assert await deltas_of(provider, ask("你好"))


async def test_hanging_up_is_noticed() -> None:
    """A caller that leaves a stream early leaves the vendor at once, which counts only what it sent."""
    async with open_house() as house, open_provider(SPEC, settings_for(house.base_url)) as provider:
        async with aclosing(provider.stream(ask("你好 [[fault:pace=0.02]]"))) as stream:
            await anext(stream)
        async with asyncio.timeout(1):
            while (row := (await house.served())[0])["open"]:  # a page tells no event
                await asyncio.sleep(0.005)
        _, usage = await answer_of(provider, ask("你好"))
    assert 1 == row["closed_early"]
    assert row["completion_tokens"] < usage.completion_tokens


async def test_refusals_are_counted() -> None:
    """A refused request is counted for the credential and the model that it named, one that nobody knows is not."""
    async with open_house() as house:
        await house.code({**GOOD, "n": 9})
        await house.code(GOOD, token="nobody")
        (row,) = await house.served()
    assert ("api_key", "SenseChat-5", 1, 0) == (
        row["credential"],
        row["model"],
        row["refused"],
        row["requests"],
    )


def test_the_spec_describes_a_provider() -> None:
    """The cards have the product's first model and today's, no price is called confirmed, and each has a source."""
    cards = {card.id: card for card in SPEC.cards()}
    assert {"SenseChat", "SenseChat-5", "SenseNova-V6-5-Pro", "sensenova-6.7-flash-lite"} <= set(
        cards
    )
    price = cards["SenseNova-V6-5-Turbo"].price_on(datetime.now(UTC).date())
    assert price is not None
    assert ("0.0015", "0.0045", "CNY") == (str(price.input), str(price.output), price.currency)
    assert 131072 == cards["SenseNova-V6-5-Turbo"].max_input_tokens
    prices = [price for card in cards.values() for price in card.prices]
    assert not any(price.confirmed for price in prices)
    assert all(price.source for price in prices)
