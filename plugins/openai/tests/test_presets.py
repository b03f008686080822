"""The presets: each vendor's recipe of docs/howto/compatible-vendors.md, driven with that vendor's own habits."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fengchao_core.errors import (
    ContentRefused,
    ContextTooLong,
    PluginError,
    ProviderAuthFailed,
    ProviderError,
    ProviderOverloaded,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
    SettingsError,
)
from fengchao_core.gateway import Gateway
from fengchao_core.settings import Settings
from fengchao_core.testing import (
    Answer,
    ScriptedVendor,
    answer_of,
    chat_body,
    chat_frames,
    json_answer,
    open_provider,
    sse_answer,
)
from fengchao_core.types import ChatCall, ChatParams, ChatRequest, Completion, Message, Tool, Usage
from fengchao_openai import SPEC, fengchao_providers, presets
from fengchao_openai.settings import OpenAISettings

ROOT = Path(__file__).resolve().parents[3]
PRESETS = {preset.kind: preset for preset in presets.load_presets()}
SPECS = {spec.name: spec for spec in fengchao_providers()}
KEYED = sorted(kind for kind, preset in PRESETS.items() if preset.env)
USAGE = Usage(7, 3)
TOOL = Tool(name="f", description="f", parameters={"type": "object", "properties": {}})


def chunk(delta: Mapping[str, object], **more: object) -> dict[str, object]:
    """An event of a stream with one choice."""
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}], **more}


def ended(reason: str = "stop", **more: object) -> dict[str, object]:
    """The last event of a choice."""
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}], **more}


def body(content: str, **message: object) -> dict[str, object]:
    """A whole answer."""
    inner = {"role": "assistant", "content": content, **message}
    return {
        "choices": [{"index": 0, "message": inner, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }


def ask(model: str, *, stream: bool = False, **params: Any) -> ChatRequest:
    """A request of one user message."""
    return ChatRequest(
        model=model,
        messages=(Message("user", "你好"),),
        params=ChatParams(**params),
        stream=stream,
    )


async def talk(kind: str, answer: Answer, request: ChatRequest) -> tuple[Any, Usage, Any]:
    """The choice and the usage of an answer under a preset's own dialect, and the request as it was sent."""
    async with ScriptedVendor() as vendor:
        vendor.answers(answer)
        settings = {"base_url": vendor.base_url, "api_key": "sk-of-a-test"}
        async with open_provider(SPECS[kind], settings) as provider:
            (choice,), usage = await answer_of(provider, request)
        return choice, usage, vendor.requests[0]


async def fails(kind: str, answer: Answer, *, stream: bool = False) -> ProviderError:
    """The error that a preset makes of an answer."""
    with pytest.raises(ProviderError) as caught:
        await talk(kind, answer, ask("m", stream=stream))
    return caught.value


def own_entry_points() -> dict[str, dict[str, str]]:
    """The entry points of this distribution."""
    text = (Path(__file__).resolve().parents[1] / "pyproject.toml").read_text("utf-8")
    found: dict[str, dict[str, str]] = tomllib.loads(text)["project"]["entry-points"]
    return found


def test_every_preset_is_a_kind() -> None:
    """Each has an entry point of its name, and the environment variable that the metadata sets for it."""
    points = own_entry_points()
    assert {"openai", *PRESETS} == set(points["fengchao"]) == set(SPECS)
    assert {"fengchao_openai"} == set(points["fengchao"].values())
    variables = {preset.env: f"{kind}:api_key" for kind, preset in PRESETS.items() if preset.env}
    assert variables == {
        name: target
        for name, target in points["fengchao.env"].items()
        if not target.startswith("openai:")
    }


@pytest.mark.parametrize("kind", PRESETS)
def test_a_preset_is_openai_with_other_defaults(kind: str) -> None:
    """Its settings are OpenAI's, those of the preset apart, and none of them is OpenAI's own endpoint."""
    given = {"base_url": "http://127.0.0.1:1/v1"} if kind == "vllm" else {}
    settings = SPECS[kind].settings.model_validate(given)
    assert isinstance(settings, OpenAISettings)
    assert not settings.is_openai
    for name in OpenAISettings.model_fields.keys() - given.keys():
        assert getattr(PRESETS[kind].settings, name) == getattr(settings, name), name


@pytest.mark.parametrize("kind", PRESETS)
def test_every_default_of_a_preset_can_be_changed(kind: str) -> None:
    """A section has the last word."""
    changed = {"base_url": "https://example.test/v1", "think_tags": True, "extra_knobs": []}
    settings = SPECS[kind].settings.model_validate(changed)
    assert isinstance(settings, OpenAISettings)
    assert ("https://example.test/v1", True, frozenset()) == (
        settings.base_url,
        settings.think_tags,
        settings.extra_knobs,
    )
    with pytest.raises(ValidationError):
        SPECS[kind].settings.model_validate({**changed, "think_tag": True})


def test_a_broken_file_of_presets_is_blamed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The error names the file and the field."""
    (tmp_path / "presets.toml").write_text('[[presets]]\nkind = "x"\n', "utf-8")
    monkeypatch.setattr(presets, "files", lambda _: tmp_path)
    with pytest.raises(PluginError, match=r"presets\.toml.*(?s:.*)title"):
        presets.load_presets.__wrapped__()


def test_no_price_is_without_a_source() -> None:
    """Prices that only third parties tell say so."""
    prices = [price for kind in PRESETS for card in SPECS[kind].cards() for price in card.prices]
    assert prices
    assert all(price.source and not price.confirmed for price in prices)


@pytest.mark.parametrize("kind", KEYED)
def test_the_key_alone_makes_a_section(kind: str) -> None:
    """The vendor's usual environment variable is enough, with no file."""
    preset = PRESETS[kind]
    settings = Settings.load(env={preset.env: "sk-of-a-test"})
    assert {kind: {"api_key": "sk-of-a-test"}} == dict(settings.providers)


async def test_the_key_alone_brings_the_vendors_models() -> None:
    """Under the vendor's name and under any other, with what the cards know."""
    settings = Settings(
        providers={
            "minimax": {"api_key": "sk-1"},
            "second": {"kind": "deepseek", "api_key": "sk-2"},
        }
    )
    async with Gateway.open(settings) as gateway:
        cards = {card.id: card for card in gateway.models()}
    assert 204_800 == cards["MiniMax-M2.1"].max_input_tokens
    assert ["0.00014"] == [str(price.input) for price in cards["deepseek-v4-flash"].prices]


@pytest.mark.parametrize("kind", PRESETS)
async def test_models_nobody_told_are_asked_for(kind: str, sandbox: str) -> None:
    """At another address, each preset finds the models of its endpoint and answers whole and streamed."""
    section = {"kind": kind, "base_url": f"{sandbox}/v1", "api_key": "sk-sandbox-openai"}
    async with Gateway.open(Settings(providers={"other": section})) as gateway:
        call = ChatCall(model="gpt-4o", query="介绍一下北京")
        completion = await gateway.chat(call)
        streamed = "".join([delta.text async for delta in gateway.stream(call)])
    assert ("other", completion.text) == (completion.provider, streamed)
    assert "北京" in completion.text


async def test_a_vendor_without_known_models_is_asked() -> None:
    """The section has the vendor's name and a key, no address and no models: the vendor itself is asked."""
    async with ScriptedVendor() as vendor:
        vendor.answers(json_answer({"data": [{"id": "step-3"}]}), path="/models")
        vendor.answers(json_answer(chat_body("你好", USAGE)), path="/chat/completions")
        # Stands in for the vendor's address, which tests must not reach: a default, not a setting of the section.
        preset = PRESETS["stepfun"]
        moved = preset.model_copy(
            update={"settings": preset.settings.model_copy(update={"base_url": vendor.base_url})}
        )
        settings = Settings(providers={"stepfun": {"api_key": "sk-1"}})
        async with Gateway.open(settings, providers=[moved.spec(SPEC.open)]) as gateway:
            completion = await gateway.chat(ChatCall(model="step-3", query="你好"))
    assert ("stepfun", "你好") == (completion.provider, completion.text)


async def test_dashscope() -> None:
    """Its further knobs are sent, thinking is read apart, and its codes are classes."""
    choice, usage, sent = await talk(
        "dashscope",
        sse_answer(
            chunk({"role": "assistant", "content": None, "reasoning_content": "想"}),
            chunk({"content": "答", "reasoning_content": None}),
            ended(),
            {
                "choices": [],
                "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
            },
            b"data: [DONE]\n\n",
        ),
        ask("qwen-plus", stream=True, top_k=5, repetition_penalty=1.1, max_tokens=9),
    )
    assert ("答", "想", 10) == (choice.message.text, choice.message.reasoning, usage.total_tokens)
    assert (5, 1.1, 9) == tuple(
        sent.json()[name] for name in ("top_k", "repetition_penalty", "max_tokens")
    )
    for status, code, kind in (
        (401, "invalid_api_key", ProviderAuthFailed),
        (400, "Arrearage", QuotaExhausted),
        (400, "data_inspection_failed", ContentRefused),
        (429, "Throttling.RateQuota", RateLimited),
        (429, "limit_requests", RateLimited),
    ):
        refusal = {"error": {"message": "m", "type": code, "param": None, "code": code}}
        assert kind is type(await fails("dashscope", json_answer(refusal, status=status)))


async def test_dashscope_embeds() -> None:
    """Its embedding models are known as such, and vectors are asked for as numbers."""
    async with ScriptedVendor() as vendor:
        vendor.answers(
            json_answer(
                {"data": [{"index": 0, "embedding": [0.5, 1.0]}], "usage": {"prompt_tokens": 2}}
            )
        )
        section = {
            "api_key": "sk-1",
            "base_url": vendor.base_url,
            "models": ["text-embedding-v4"],
        }
        async with Gateway.open(Settings(providers={"dashscope": section})) as gateway:
            result = await gateway.embed("text-embedding-v4", ["你好"], dimensions=64)
        sent = vendor.requests[0].json()
    assert [0.5, 1.0] == list(result.vectors[0])
    assert ("float", 64) == (sent["encoding_format"], sent["dimensions"])


async def test_deepseek() -> None:
    """The limit keeps its older name though the models reason; comments that keep the line alive are nothing."""
    card = next(card for card in SPECS["deepseek"].cards() if card.id == "deepseek-v4-pro")
    request = ChatRequest(
        model=card.id,
        messages=(Message("user", "你好"),),
        params=ChatParams(max_tokens=50, extra={"thinking": {"type": "enabled"}}),
        stream=True,
        card=card,
    )
    choice, usage, sent = await talk(
        "deepseek",
        sse_answer(
            b": keep-alive\n\n",
            chunk({"role": "assistant", "content": "", "reasoning_content": "想"}),
            b": keep-alive\n\n",
            chunk({"content": "答"}),
            ended(
                usage={
                    "prompt_tokens": 7,
                    "completion_tokens": 3,
                    "total_tokens": 10,
                    "prompt_cache_hit_tokens": 4,
                    "prompt_cache_miss_tokens": 3,
                }
            ),
            b"data: [DONE]\n\n",
        ),
        request,
    )
    assert ("答", "想", 4) == (choice.message.text, choice.message.reasoning, usage.cached_tokens)
    told = sent.json()
    assert (50, {"type": "enabled"}) == (told["max_tokens"], told["thinking"])
    assert ("/chat/completions", "Bearer sk-of-a-test") == (
        sent.path,
        sent.headers["Authorization"],
    )


async def test_deepseek_answers_a_whole_request_with_empty_lines_before() -> None:
    """The lines that keep a connection alive stand before the body, and mean nothing."""
    answer = json_answer(b"\n\n\n" + chat_body("答", USAGE))
    choice, _, _ = await talk("deepseek", answer, ask("deepseek-v4-flash"))
    assert "答" == choice.message.text


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RequestRejected),
        (401, ProviderAuthFailed),
        (402, QuotaExhausted),
        (422, RequestRejected),
        (429, RateLimited),
        (503, ProviderOverloaded),
    ],
)
async def test_deepseek_refuses_by_status(status: int, kind: type[ProviderError]) -> None:
    """Its codes say nothing beyond the status; 402 is an empty purse."""
    refusal = {"error": {"message": "m", "type": "unknown_error", "code": "invalid_request_error"}}
    assert kind is type(await fails("deepseek", json_answer(refusal, status=status)))


async def test_deepseek_breaks_off() -> None:
    """An answer that it broke off for want of machines is no answer."""
    answer = sse_answer(chunk({"content": "答"}), ended("insufficient_system_resource"))
    assert ProviderOverloaded is type(await fails("deepseek", answer, stream=True))


async def test_minimax_thinks_in_tags() -> None:
    """Tags at the start of the text are taken out, however the stream cuts them; the limit has its newer name."""
    pieces = ["<thi", "nk>想", "</th", "ink>", "\n答"]
    choice, _, sent = await talk(
        "minimax",
        sse_answer(*(chunk({"content": piece}) for piece in pieces), ended()),
        ask("MiniMax-M2.1", stream=True, max_tokens=50),
    )
    assert ("答", "想") == (choice.message.text, choice.message.reasoning)
    assert 50 == sent.json()["max_completion_tokens"]
    assert "max_tokens" not in sent.json()


async def test_minimax_thinks_apart_when_told_to() -> None:
    """With `reasoning_split` the thinking comes in a field of its own."""
    choice, _, sent = await talk(
        "minimax",
        json_answer(
            {
                **body("答", reasoning_details=[{"type": "reasoning.text", "text": "想"}]),
                "base_resp": {"status_code": 0, "status_msg": ""},
            }
        ),
        ask("MiniMax-M2.1", extra={"reasoning_split": True}),
    )
    assert ("答", "想", True) == (
        choice.message.text,
        choice.message.reasoning,
        sent.json()["reasoning_split"],
    )


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (1002, RateLimited),
        (1004, ProviderAuthFailed),
        (1008, QuotaExhausted),
        (1026, ContentRefused),
        (1027, ContentRefused),
        (1039, ContextTooLong),
        (2013, RequestRejected),
    ],
)
async def test_minimax_refuses_under_200(
    number: int, kind: type[ProviderError], stream: bool
) -> None:
    """An error under HTTP 200, in one piece whether or not a stream was asked for."""
    refusal = {"choices": None, "base_resp": {"status_code": number, "status_msg": "m"}}
    error = await fails("minimax", json_answer(refusal), stream=stream)
    assert (kind, f"base_resp.{number}") == (type(error), error.vendor_code)


async def test_hunyuan_tells_usage_on_every_chunk() -> None:
    """The last one counts; vendor-only fields pass."""
    choice, usage, sent = await talk(
        "hunyuan",
        sse_answer(
            *(
                chunk(
                    {"role": "assistant", "content": piece},
                    usage={
                        "prompt_tokens": 7,
                        "completion_tokens": count,
                        "total_tokens": 7 + count,
                    },
                )
                for count, piece in enumerate(["你", "好", "。"], start=1)
            ),
            ended(usage={"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}),
            b"data: [DONE]\n\n",
        ),
        ask("hunyuan-turbos-latest", stream=True, extra={"enable_enhancement": True}),
    )
    assert ("你好。", 7, 3) == (
        choice.message.text,
        usage.prompt_tokens,
        usage.completion_tokens,
    )
    assert sent.json()["enable_enhancement"] is True


async def test_baichuan_takes_top_k_and_its_own_tools() -> None:
    """`top_k` reaches it; its built-in search goes through `extra`."""
    search = [{"type": "web_search", "web_search": {"enable": True}}]
    choice, _, sent = await talk(
        "baichuan",
        json_answer(body("答")),
        ask("Baichuan4-Turbo", top_k=5, extra={"tools": search}),
    )
    assert ("答", 5, search) == (choice.message.text, sent.json()["top_k"], sent.json()["tools"])


async def test_stepfun_reasons_in_another_field() -> None:
    """`reasoning` in place of `reasoning_content`."""
    choice, _, _ = await talk(
        "stepfun",
        sse_answer(chunk({"reasoning": "想"}), chunk({"content": "答"}), ended()),
        ask("step-3", stream=True),
    )
    assert ("答", "想") == (choice.message.text, choice.message.reasoning)


async def test_siliconflow_refuses_without_an_error_object() -> None:
    """A number as the code, no `error`: the status decides; model ids carry a prefix."""
    for status, kind in (
        (403, ProviderAuthFailed),
        (429, RateLimited),
        (503, ProviderOverloaded),
    ):
        refusal = {"code": 50505, "message": "m", "data": None}
        error = await fails("siliconflow", json_answer(refusal, status=status))
        assert (kind, "50505") == (type(error), error.vendor_code)
    choice, _, sent = await talk(
        "siliconflow",
        json_answer(body("答", reasoning_content="想")),
        ask("deepseek-ai/DeepSeek-V3", extra={"enable_thinking": True}),
    )
    assert ("想", "deepseek-ai/DeepSeek-V3") == (choice.message.reasoning, sent.json()["model"])


async def test_vllm_needs_an_address_and_no_key() -> None:
    """Without an address the section is refused by name; with one, nothing else is needed and no key is sent."""
    with pytest.raises(SettingsError, match=r"providers\.vllm.*base_url"):
        async with Gateway.open(Settings(providers={"vllm": {}})):
            pass
    listed = {"data": [{"id": "Qwen/Qwen3-8B", "max_model_len": 32768, "root": "/models/qwen"}]}
    async with ScriptedVendor() as vendor:
        vendor.answers(json_answer(listed), path="/v1/models")
        vendor.answers(
            json_answer(body("答", reasoning="想", reasoning_content=None)),
            path="/v1/chat/completions",
        )
        settings = Settings(providers={"vllm": {"base_url": f"{vendor.base_url}/v1"}})
        async with Gateway.open(settings) as gateway:
            completion: Completion = await gateway.chat(
                ChatCall(
                    model="Qwen/Qwen3-8B",
                    query="你好",
                    params=ChatParams(top_k=5, extra={"min_p": 0.1}),
                )
            )
        sent = vendor.requests[-1]
    assert ("答", "vllm") == (completion.text, completion.provider)
    assert (5, 0.1) == (sent.json()["top_k"], sent.json()["min_p"])
    assert "Authorization" not in sent.headers


@pytest.mark.parametrize(
    "refusal",
    [
        {"object": "error", "message": "m", "type": "NotFoundError", "param": None, "code": 404},
        {"error": {"message": "m", "type": "NotFoundError", "param": None, "code": 404}},
    ],
)
@pytest.mark.parametrize("status", [404, 200])
async def test_vllm_refuses_in_two_shapes(refusal: Mapping[str, object], status: int) -> None:
    """Flat and wrapped, with a number as the code, which is the status where the answer's own is not."""
    assert RequestRejected is type(await fails("vllm", json_answer(refusal, status=status)))


async def test_ollama_needs_nothing_at_all() -> None:
    """Its own address, names with tags, no key, a whole tool call in one chunk without an index."""
    settings = SPECS["ollama"].settings.model_validate({})
    assert "http://127.0.0.1:11434/v1" == settings.base_url
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    async with ScriptedVendor() as vendor:
        vendor.answers(
            sse_answer(
                chunk({"role": "assistant", "content": "", "reasoning": "想"}),
                chunk({"role": "assistant", "content": "", "tool_calls": [call]}),
                ended("stop"),
                b"data: [DONE]\n\n",
            )
        )
        async with open_provider(SPECS["ollama"], {"base_url": vendor.base_url}) as provider:
            (choice,), _ = await answer_of(provider, ask("qwen3:8b", stream=True, tools=(TOOL,)))
        sent = vendor.requests[0]
    assert ("tool_calls", "f") == (choice.finish_reason, choice.message.tool_calls[0].name)
    assert ("qwen3:8b", False) == (sent.json()["model"], "Authorization" in sent.headers)
    missing = {"error": {"message": "m", "type": "not_found_error", "param": None, "code": None}}
    assert RequestRejected is type(await fails("ollama", json_answer(missing, status=404)))


@pytest.mark.parametrize("kind", PRESETS)
async def test_the_recipe_in_the_docs_works(kind: str) -> None:
    """The first block of a vendor's section, taken as it stands, opens a gateway that answers for a model it names."""
    page = (ROOT / "docs" / "howto" / "compatible-vendors.md").read_text("utf-8")
    (section,) = [part for part in page.split("\n## ") if f"`{kind}`" in part.splitlines()[0]]
    block = re.search(r"```toml\n(.*?)```", section, flags=re.DOTALL)
    assert block
    tree = tomllib.loads(re.sub(r"\$\{\w+\}", "sk-of-a-test", block[1]))
    (name, fields), *_ = tree["providers"].items()
    assert kind == fields.get("kind", name)
    named = re.search(r"^fengchao chat (\S+)", section, flags=re.MULTILINE)
    assert named
    model = named[1]
    async with ScriptedVendor() as vendor:
        vendor.answers(json_answer({"data": [{"id": model}]}), path="/models")
        vendor.answers(
            lambda received: (
                sse_answer(*chat_frames("你好", USAGE))
                if received.json().get("stream")
                else json_answer(chat_body("你好", USAGE))
            ),
            path="/chat/completions",
        )
        settings = Settings(providers={name: {**fields, "base_url": vendor.base_url}})
        async with Gateway.open(settings) as gateway:
            call = ChatCall(model=model, query="你好")
            completion = await gateway.chat(call)
            streamed = "".join([delta.text async for delta in gateway.stream(call)])
    assert ("你好", "你好", 10) == (completion.text, streamed, completion.usage.total_tokens)
