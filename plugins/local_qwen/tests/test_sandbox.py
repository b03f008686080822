"""The emulator of the engine: it answers, checks what it is sent as the engine does, and takes faults."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

import fengchao_local_qwen
from fengchao_core.errors import ProviderAuthFailed, ProviderError, RateLimited
from fengchao_core.testing import open_provider
from fengchao_core.testing.opening import answer_of, run_app
from fengchao_core.types import ChatParams, ChatRequest, EmbeddingRequest, Message, Tool
from fengchao_local_qwen import SANDBOX, SANDBOX_KEY, SPEC
from fengchao_local_qwen.cards import EMULATED, STAND_IN
from fengchao_local_qwen.settings import LocalQwenSettings

MODELS = ["Qwen1.5-0.5B-Chat", "Qwen1.5-1.8B-Chat"]


def without_torch(monkeypatch):
    """Make it look as if the engine's libraries were not installed."""
    monkeypatch.setattr(fengchao_local_qwen, "find_spec", lambda _: None)


def request_for(text, *, stream=False, model=MODELS[0], **params):
    """A request."""
    return ChatRequest(
        model=model, messages=(Message("user", text),), params=ChatParams(**params), stream=stream
    )


@pytest.mark.parametrize("stream", [True, False])
async def test_the_provider_chats_with_the_emulator(monkeypatch, stream):
    """Without torch both models of the product's list answer, streamed and whole, with usage."""
    without_torch(monkeypatch)
    async with (
        run_app(SANDBOX.build()) as url,
        open_provider(SPEC, SANDBOX.settings(url)) as provider,
    ):
        for model in MODELS:
            (choice,), usage = await answer_of(
                provider, request_for("你好", stream=stream, model=model)
            )
            assert "沙箱" in choice.message.text
            assert usage.completion_tokens > 0


async def test_calls_choices_and_vectors(monkeypatch):
    """Tools, several choices with log-probabilities, and vectors work against the emulator."""
    without_torch(monkeypatch)
    tool = Tool(name="weather", parameters={"type": "object", "properties": {}})
    async with (
        run_app(SANDBOX.build()) as url,
        open_provider(SPEC, SANDBOX.settings(url)) as provider,
    ):
        (choice,), _ = await answer_of(provider, request_for("天气 weather", tools=(tool,)))
        assert ["weather"] == [call.name for call in choice.message.tool_calls]
        choices, _ = await answer_of(provider, request_for("好", n=2, logprobs=True, stream=True))
        assert all(each.logprobs for each in choices)
        result = await provider.embed(EmbeddingRequest(model=MODELS[0], inputs=("a", "b")))
        assert [256, 256] == [len(vector) for vector in result.vectors]


async def test_the_emulator_checks_what_it_is_sent():
    """A wrong key, a body that is no JSON and a value out of range are refused as the engine refuses them."""
    async with run_app(SANDBOX.build()) as url, aiohttp.ClientSession() as session:
        for key, body, status, code in (
            ("wrong", "{}", 401, "invalid_api_key"),
            (SANDBOX_KEY, "{", 400, "invalid_json"),
            (SANDBOX_KEY, '{"model": "m", "messages": []}', 400, "invalid_parameter"),
        ):
            headers = {"Authorization": f"Bearer {key}"}
            async with session.post(
                f"{url}/v1/chat/completions", data=body, headers=headers
            ) as answer:
                assert status == answer.status
                assert code == (await answer.json())["error"]["code"]


async def test_faults_can_be_asked_for(monkeypatch):
    """A busy engine, one that breaks in the middle, and a wrong key, each with its class."""
    without_torch(monkeypatch)
    async with run_app(SANDBOX.build()) as url:
        async with open_provider(SPEC, SANDBOX.settings(url)) as provider:
            with pytest.raises(RateLimited) as caught:
                await answer_of(provider, request_for("[[fault:engine_busy retry_after=2]]"))
            assert 2.0 == caught.value.retry_after
            with pytest.raises(ProviderError):
                await answer_of(
                    provider, request_for("[[fault:engine_failed after=2]]", stream=True)
                )
        wrong = {**SANDBOX.settings(url), "api_key": "x"}
        async with asyncio.timeout(20), open_provider(SPEC, wrong) as provider:
            with pytest.raises(ProviderAuthFailed):
                await answer_of(provider, request_for("你好"))


def test_the_cards_say_what_answers(monkeypatch):
    """With torch a stand-in answers, without it the emulator; the cards say which, and all are local and free."""
    owners = []
    for installed in (True, False):
        monkeypatch.setattr(
            fengchao_local_qwen, "has_engine", lambda installed=installed: installed
        )
        settings = LocalQwenSettings.model_validate(SANDBOX.settings("http://127.0.0.1:1"))
        cards = SPEC.describe(settings)
        assert MODELS == [card.id for card in cards]
        assert all(card.is_local and card.prices[0].output == 0 for card in cards)
        owners.append({card.owned_by for card in cards})
    assert [{STAND_IN}, {EMULATED}] == owners


def test_cards_of_the_settings():
    """A known name keeps its card, an unknown one gets a plain local one, an encoder is for vectors; no path is shown."""
    settings = LocalQwenSettings(
        models={"Qwen3-8B": "/w/a", "our-own": "/w/b"}, embeddings={"encoder": "/w/c"}
    )
    cards = SPEC.describe(settings)
    assert ["chat", "chat", "embedding"] == [card.kind for card in cards]
    assert {True} == {card.is_local for card in cards}
    assert "reasoning" in cards[0].capabilities
    assert "/w/" not in repr(cards)
    assert () == SPEC.describe(LocalQwenSettings())


@pytest.mark.parametrize(
    "wrong",
    [
        {"models": ["a"]},
        {"models": {"a": "/x"}, "embeddings": {"a": "/y"}},
        {"models": {"a": "/x"}, "devices": ["cpu", "cpu"]},
        {"models": {"a": "/x"}, "devices": []},
        {"models": {"a": "/x"}, "max_batch": 0},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    """Names without folders, a name twice, a device twice, and figures out of range."""
    with pytest.raises(ValueError, match=r"models|stands in|devices|max_batch"):
        LocalQwenSettings.model_validate(wrong)
