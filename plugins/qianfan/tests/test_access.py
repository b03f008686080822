"""How calls are let in: tokens fetched once and renewed when refused, signatures by the vendor's clock, temporary keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from pydantic import ValidationError

from fengchao_core.errors import ProviderAuthFailed, ProviderUnavailable, RateLimited
from fengchao_core.testing import (
    Answer,
    Do,
    FakeClock,
    Received,
    ScriptedVendor,
    answer_of,
    json_answer,
    open_provider,
    run_app,
    sse_answer,
)
from fengchao_core.types import ChatRequest, Message
from fengchao_qianfan import SPEC
from fengchao_qianfan.provider import QianfanProvider
from fengchao_qianfan.sandbox import API_KEY, IAM_AK, IAM_SK, build, settings_for
from fengchao_qianfan.settings import QianfanSettings

TOKENS = "/oauth/2.0/token"
GOOD = {"id": "as-1", "result": "好", "is_truncated": False, "need_clear_history": False}
REJECTED = {"error_code": 110, "error_msg": "Access token invalid or no longer valid"}
ASK = ChatRequest(model="ERNIE-Bot-4", messages=(Message("user", "你好"),))
STREAM = ChatRequest(model="ERNIE-Bot-4", messages=(Message("user", "你好"),), stream=True)


class Office:
    """A scripted vendor that gives out numbered tokens and takes some of them."""

    def __init__(self, vendor: ScriptedVendor, *, life_s: int = 2_592_000) -> None:
        self.vendor = vendor
        self.good = {"24.1"}
        self._life_s = life_s
        vendor.answers(self._token, path=TOKENS)
        vendor.answers(self._chat)

    @property
    def given_out(self) -> int:
        """How many tokens were asked for."""
        return len(self.vendor.requests_to(TOKENS))

    def _token(self, _: Received) -> Answer:
        return json_answer({"access_token": f"24.{self.given_out}", "expires_in": self._life_s})

    def _chat(self, received: Received) -> Answer:
        if received.query["access_token"] not in self.good:
            return json_answer(REJECTED)
        if received.json().get("stream"):
            return sse_answer({**GOOD, "is_end": True, "sentence_id": 0})
        return json_answer(GOOD)


@asynccontextmanager
async def open_office(**how: Any) -> AsyncIterator[tuple[Office, Any]]:
    """An office, and a provider that goes to it."""
    clock = how.pop("clock", None)
    async with ScriptedVendor() as vendor:
        office = Office(vendor, **how)
        settings = {"base_url": vendor.base_url, "ak": "the-api-key", "sk": "the-secret-key"}
        async with open_provider(SPEC, settings, clock=clock) as provider:
            yield office, provider


async def test_a_thousand_first_calls_fetch_one_token() -> None:
    """A thousand calls that start together cost one token."""
    async with open_office() as (office, provider):
        async with asyncio.TaskGroup() as group:
            for _ in range(1000):
                group.create_task(answer_of(provider, ASK))
        assert 1 == office.given_out


async def test_a_refused_token_costs_one_more() -> None:
    """Many calls whose token is refused, whole and streamed, fetch one new token together, and all succeed."""
    async with open_office() as (office, provider):
        await answer_of(provider, ASK)
        office.good = {"24.2"}
        async with asyncio.TaskGroup() as group:
            for number in range(100):
                group.create_task(answer_of(provider, STREAM if number % 2 else ASK))
        assert 2 == office.given_out


async def test_a_token_that_is_refused_again_is_an_error() -> None:
    """Where the new token is refused, too, the credentials are wrong: the vendor's code tells so, and nothing goes on."""
    async with open_office() as (office, provider):
        office.good = set()
        for request in (ASK, STREAM):
            with pytest.raises(ProviderAuthFailed) as caught:
                await answer_of(provider, request)
            assert "110" == caught.value.vendor_code
        assert 4 == len(office.vendor.requests_to())
        assert (
            3 == office.given_out
        )  # one for each refusal but the last, which nobody has come back for


async def test_tokens_refused_within_a_stream_are_renewed() -> None:
    """A refusal as the first event of a stream is mended at once; one that comes later at least for the next call."""
    event = b'data: {"error_code":111,"error_msg":"Access token expired"}\n\n'
    piece = {**GOOD, "is_end": False}
    async with open_office() as (office, provider):
        office.vendor.answers(sse_answer(event), sse_answer({**GOOD, "is_end": True}))
        (choice,), _ = await answer_of(provider, STREAM)
        assert ("好", 2) == (choice.message.text, office.given_out)
        office.vendor.answers(sse_answer(piece, event), json_answer(GOOD))
        with pytest.raises(ProviderAuthFailed):
            await answer_of(provider, STREAM)
        assert 2 == office.given_out
        await answer_of(provider, ASK)
        assert 3 == office.given_out


async def test_a_token_is_kept_until_it_expires() -> None:
    """A token is used as long as it lives, by `expires_in`, less a margin; then a new one is fetched before the call."""
    clock = FakeClock()
    async with open_office(clock=clock, life_s=3600) as (office, provider):
        await answer_of(provider, ASK)
        clock.advance(3200)
        await answer_of(provider, ASK)
        assert 1 == office.given_out
        office.good = {"24.2"}
        clock.advance(150)
        await answer_of(provider, ASK)
        assert 2 == office.given_out
        assert 3 == len(office.vendor.requests_to())


async def test_a_malformed_parameter_fetches_nothing() -> None:
    """Code 100 says that the parameter is malformed: a new token would not help."""
    async with open_office() as (office, provider):
        office.vendor.answers(json_answer({"error_code": 100, "error_msg": "Invalid parameter"}))
        with pytest.raises(ProviderAuthFailed):
            await answer_of(provider, ASK)
        assert 1 == office.given_out


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (json_answer({"error": "invalid_client"}), ProviderAuthFailed, "invalid_client"),
        (
            json_answer({"error": "rate_limit_exceeded"}, status=400),
            RateLimited,
            "rate_limit_exceeded",
        ),
        (json_answer({"error_code": 18}), RateLimited, "18"),
        (json_answer(b"<html>", status=502), ProviderUnavailable, None),
        (Answer((Do.CUT,)), ProviderUnavailable, None),
    ],
)
async def test_a_token_that_is_not_given_out_is_an_error(
    answer: Answer, kind: type[Exception], code: str | None
) -> None:
    """Whatever the token endpoint says instead of a token becomes its class; neither key shows."""
    async with open_office() as (office, provider):
        office.vendor.answers(answer, path=TOKENS)
        with pytest.raises(kind) as caught:
            await answer_of(provider, ASK)
        assert code == getattr(caught.value, "vendor_code", None)
        told = repr(caught.value) + repr(vars(caught.value)) + repr(provider)
        assert "the-secret-key" not in told
        assert "the-api-key" not in told


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_a_wrong_clock_does_not_hurt_tokens(minutes: int) -> None:
    """Tokens live by a duration: a machine whose clock is ten minutes off keeps its token as long as any other."""
    clock = FakeClock(datetime.now(UTC) + timedelta(minutes=minutes))
    async with (
        run_app(build(token_life_s=3600)) as base_url,
        open_provider(SPEC, settings_for(base_url), clock=clock) as provider,
    ):
        for _ in range(3):
            await answer_of(provider, ASK)
        assert 1 == await _given_out(base_url)


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_a_wrong_clock_is_repaired_for_signatures(minutes: int) -> None:
    """A machine whose clock is ten minutes off is refused once, learns the vendor's time, and reports it once."""
    clock = FakeClock(datetime.now(UTC) + timedelta(minutes=minutes))
    async with run_app(build()) as base_url:
        with structlog.testing.capture_logs() as logs:
            async with open_provider(SPEC, _iam(base_url), clock=clock) as provider:
                for request in (ASK, STREAM):
                    (choice,), _ = await answer_of(provider, request)
                    assert "stop" == choice.finish_reason
                assert isinstance(provider, QianfanProvider)
                assert await provider.services()
    reports = [log for log in logs if log["event"] == "token.clock_skew"]
    assert [-60 * minutes] == [round(log["vendor_ahead_s"], -1) for log in reports]


@pytest.mark.parametrize("minutes", [0, 10])
async def test_temporary_keys_are_fetched_once(minutes: int) -> None:
    """V2 gets a temporary key by IAM keys, even with a wrong clock, and keeps it."""
    clock = FakeClock(datetime.now(UTC) + timedelta(minutes=minutes))
    async with run_app(build()) as base_url:
        settings = {**_iam(base_url), "prefer": "v2"}
        async with open_provider(SPEC, settings, clock=clock) as provider:
            async with asyncio.TaskGroup() as group:
                for number in range(20):
                    group.create_task(answer_of(provider, STREAM if number % 2 else ASK))
            served = await _served(base_url)
    assert ["ALTAK-Sandbox1"] == [row["credential"] for row in served]


async def test_wrong_signatures_are_refused_once() -> None:
    """A wrong secret is an authentication error after one try, by the vendor's own code."""
    async with run_app(build()) as base_url:
        settings = {**_iam(base_url), "iam_sk": "another-secret"}
        async with open_provider(SPEC, settings) as provider:
            with pytest.raises(ProviderAuthFailed) as caught:
                await answer_of(provider, ASK)
    assert "SignatureDoesNotMatch" == caught.value.vendor_code


# The settings.


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "expected 'ak' and 'sk'"),
        ({"ak": "a"}, "'ak' is set without 'sk'"),
        ({"sk": "a"}, "'sk' is set without 'ak'"),
        ({"iam_ak": "a", "api_key": "b"}, "'iam_ak' is set without 'iam_sk'"),
        ({"api_key": "bce v3"}, "printable ASCII"),
        ({"api_key": "密钥"}, "printable ASCII"),
    ],
)
def test_credentials_come_whole(fields: dict[str, str], told: str) -> None:
    """Half a pair of credentials, none at all, and such as cannot travel are refused, and not shown."""
    with pytest.raises(ValidationError) as caught:
        QianfanSettings(**fields)  # type: ignore[arg-type]  # as a settings file has them
    assert told in str(caught.value)
    assert all(value not in str(caught.value) for value in fields.values() if len(value) > 1)


def test_credentials_open_their_generation() -> None:
    """Each pair of credentials opens what the vendor lets it open; white space around them does not count."""
    pair = QianfanSettings(ak=" a\n", sk="b")  # type: ignore[arg-type]  # as a settings file has them
    key = QianfanSettings(api_key=API_KEY)  # type: ignore[arg-type]
    iam = QianfanSettings(iam_ak="a", iam_sk="b")  # type: ignore[arg-type]
    assert "a" == pair.ak.get_secret_value()
    assert [(True, False), (False, True), (True, True)] == [
        (settings.has_v1, settings.has_v2) for settings in (pair, key, iam)
    ]
    assert API_KEY not in repr(key) + key.model_dump_json()


def _iam(base_url: str) -> dict[str, object]:
    given = settings_for(base_url)
    urls = {name: value for name, value in given.items() if name.endswith("_url")}
    return {**urls, "iam_ak": IAM_AK, "iam_sk": IAM_SK}


async def _get(url: str) -> Any:
    import aiohttp

    async with aiohttp.ClientSession() as client, client.get(url) as got:
        return await got.json()


async def _given_out(base_url: str) -> int:
    return int((await _get(f"{base_url}/_sandbox/tokens"))["given_out"])


async def _served(base_url: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (await _get(f"{base_url}/_sandbox/served"))["rows"]
    return rows
