"""The tokens, the settings they are made from, and how they are renewed."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from structlog.testing import capture_logs

from fengchao_core.errors import ProviderAuthFailed
from fengchao_core.testing import (
    Answer,
    FakeClock,
    Received,
    ScriptedVendor,
    deltas_of,
    json_answer,
    open_provider,
    run_app,
)
from fengchao_core.types import ChatRequest, Message
from fengchao_sensetime import SPEC
from fengchao_sensetime.auth import sign
from fengchao_sensetime.sandbox import build, settings_for
from fengchao_sensetime.settings import SenseTimeSettings

VECTORS = json.loads((Path(__file__).parent / "vectors" / "sensetime.json").read_text("utf-8"))
AK, SK = "2AbCdEfGhIjKlMnOpQrStUvWxYz", "ThisIsTheSecretAccessKey00000000"
ASKED = ChatRequest(model="SenseChat-5", messages=(Message("user", "你好"),))
WELL = json_answer(
    {"data": {"choices": [{"index": 0, "message": "好", "finish_reason": "stop"}], "usage": {}}}
)


class TickingClock(FakeClock):
    """A clock that runs on a little whenever it is looked at, so that no two tokens are the same."""

    def now(self) -> datetime:
        self.advance(0.4)
        return super().now()


# Tokens.


@pytest.mark.parametrize("vector", VECTORS["jwt"], ids=lambda v: v["name"])
def test_tokens_are_the_sdks(vector: dict[str, Any]) -> None:
    """A token is, letter by letter, the one that the vendor's SDK makes at the same time."""
    given_ = vector["input"]
    now = datetime.fromtimestamp(given_["frozen_time_s"], UTC)
    token = sign(given_["access_key_id"], given_["secret_access_key"], now)
    assert vector["expected"]["token"] == token.value
    assert vector["expected"]["payload"]["exp"] == token.expires_at.timestamp()


@pytest.mark.parametrize("vector", VECTORS["requests"], ids=lambda v: v["name"])
def test_every_recorded_request_bears_our_token(vector: dict[str, Any]) -> None:
    """Each recorded request was authorised with the token that we make at its time."""
    given_ = vector["input"]
    now = datetime.fromtimestamp(given_["frozen_time_s"], UTC)
    token = sign(given_["access_key_id"], given_["secret_access_key"], now)
    assert vector["expected"]["headers"]["Authorization"] == f"Bearer {token.value}"


@given(st.floats(946_684_800, 4_102_444_800))
def test_a_token_outlives_its_making(seconds: float) -> None:
    """A token expires half an hour after its making, rounded down, and its repr does not show it."""
    now = datetime.fromtimestamp(seconds, UTC)
    token = sign("ak", "sk", now)
    life = token.expires_at - now
    assert timedelta(seconds=1799) < life <= timedelta(seconds=1800)
    assert 3 == len(token.value.split("."))
    assert token.value not in repr(token)


# Settings.


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        ({}, "found neither"),
        ({"ak": "an-access-key"}, "missing: sk"),
        ({"sk": "a-secret-key"}, "missing: ak"),
        ({"ak": "an-access-key", "sk": "秘密的密钥"}, "printable ASCII"),
        ({"api_key": "sk-with a space"}, "printable ASCII"),
        ({"ak": "a", "sk": "b", "dialect": "klingon"}, "dialect"),
    ],
)
def test_credentials_must_be_whole(given_: dict[str, str], told: str) -> None:
    """Half a pair, nothing at all, and what no header carries are refused, and no value is shown."""
    with pytest.raises(ValidationError) as caught:
        SenseTimeSettings.model_validate(given_)
    assert told in str(caught.value)
    assert not any(value in str(caught.value) for value in given_.values() if len(value) > 8)


def test_settings_show_no_secret() -> None:
    """Keys are masked in a repr and in a dump, white space around them does not count, and the hosts are the vendor's."""
    settings = SenseTimeSettings.model_validate(
        {"ak": f" {AK}\n", "sk": SK, "api_key": "sk-12345678"}
    )
    shown = repr(settings) + settings.model_dump_json()
    assert not any(secret in shown for secret in (AK, SK, "sk-12345678"))
    assert AK == settings.ak.get_secret_value()
    assert "https://api.sensenova.cn/v1/llm" == settings.base_url
    assert "https://file.sensenova.cn/v1" == settings.file_base_url


# Renewal.


def tokens_of(vendor: ScriptedVendor) -> list[str]:
    """The tokens that a vendor was shown, in order."""
    return [received.headers["Authorization"] for received in vendor.requests]


def settings_of(vendor: ScriptedVendor) -> dict[str, str]:
    """Settings that reach a vendor."""
    return {"base_url": vendor.base_url, "ak": AK, "sk": SK}


async def test_a_thousand_first_calls_make_one_token() -> None:
    """A thousand calls at once, the first ones, are all authorised by the same token."""
    async with ScriptedVendor() as vendor:
        vendor.answers(WELL)
        async with (
            open_provider(SPEC, settings_of(vendor), clock=TickingClock()) as provider,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(1000):
                group.create_task(deltas_of(provider, ASKED))
        assert 1000 == len(vendor.requests)
        assert 1 == len(set(tokens_of(vendor)))


async def test_a_token_serves_until_shortly_before_its_end() -> None:
    """A token is used for 1700 seconds, then a new one is signed."""
    clock = FakeClock()
    async with ScriptedVendor() as vendor:
        vendor.answers(WELL)
        async with open_provider(SPEC, settings_of(vendor), clock=clock) as provider:
            for wait in (0, 1699, 2):
                clock.advance(wait)
                await deltas_of(provider, ASKED)
        first, second, third = tokens_of(vendor)
        assert first == second
        assert second != third


async def test_a_rejected_token_is_renewed_once() -> None:
    """Twenty calls whose token the vendor rejects make one new token, and nobody notices."""
    rejected: set[str] = set()

    def answer(received: Received) -> Answer:
        token = received.headers["Authorization"]
        if not rejected:
            rejected.add(token)
        if token in rejected:
            return json_answer({"error": {"code": 16, "message": "m"}}, status=401)
        return WELL

    async with ScriptedVendor() as vendor:
        vendor.answers(answer)
        async with (
            open_provider(SPEC, settings_of(vendor), clock=TickingClock()) as provider,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(20):
                group.create_task(deltas_of(provider, ASKED))
        assert 40 == len(vendor.requests)
        assert 2 == len(set(tokens_of(vendor)))


async def test_a_vendor_that_rejects_every_token_is_asked_twice() -> None:
    """A key that is wrong costs two requests a call, then it is an error of the credentials."""
    async with ScriptedVendor() as vendor:
        vendor.answers(json_answer({"error": {"code": 16, "message": "m"}}, status=401))
        async with open_provider(SPEC, settings_of(vendor)) as provider:
            with pytest.raises(ProviderAuthFailed) as caught:
                await deltas_of(provider, ASKED)
        assert 2 == len(vendor.requests)
        assert "16" == caught.value.vendor_code


@pytest.mark.parametrize("minutes", [10, -40])
async def test_a_wrong_clock_is_repaired_and_reported(minutes: int) -> None:
    """A machine ten minutes ahead, or too far behind, still chats: the vendor's Date puts it right, once, in the log."""
    clock = FakeClock(datetime.now(UTC) + timedelta(minutes=minutes))
    async with run_app(build()) as base_url:
        with capture_logs() as logs:
            async with open_provider(SPEC, settings_for(base_url), clock=clock) as provider:
                for _ in range(2):
                    assert await deltas_of(provider, ASKED)
    (told,) = [log for log in logs if log["event"] == "token.clock_skew"]
    assert ("warning", "sensetime") == (told["log_level"], told["provider"])
    assert abs(told["vendor_ahead_s"] + 60 * minutes) < 5


async def test_a_plain_key_stands_in_for_the_pair() -> None:
    """Without a pair the plain key is sent; the token plan takes nothing else, and says so where there is none."""
    async with ScriptedVendor() as vendor:
        vendor.answers(WELL)
        settings = {"base_url": vendor.base_url, "api_key": "sk-12345678"}
        async with open_provider(SPEC, settings) as provider:
            await deltas_of(provider, ASKED)
        assert ["Bearer sk-12345678"] == tokens_of(vendor)
        async with open_provider(SPEC, settings_of(vendor)) as provider:
            with pytest.raises(ProviderAuthFailed, match="'api_key' under"):
                await deltas_of(
                    provider,
                    ChatRequest(model="sensenova-6.7-flash-lite", messages=ASKED.messages),
                )
        assert 1 == len(vendor.requests)
