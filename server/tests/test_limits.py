"""Limits over HTTP: who is refused and how it is told, over one process and over two."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from datetime import date
from decimal import Decimal

import aiohttp
import pytest
from server.tests.test_serve import HELLO, WHOLE, serve  # noqa: F401  # a fixture

from fengchao_core import ModelCard, Price
from fengchao_core.limits import Budget, KeyLimits
from fengchao_core.testing import ScriptedVendor, json_answer
from fengchao_server.v1.rates import duration


async def key_of(bench, **limits):
    """Headers of a key with limits."""
    key = await bench.served.keyring.create("limited", limits=KeyLimits(**limits))
    return {"Authorization": f"Bearer {key.token}"}


async def test_v1_says_what_is_left(bench):
    """Answers of /v1 carry OpenAI's headers, whole ones and streams; a key without rates gets none."""
    body = {
        "model": "online-1",
        "messages": [{"role": "user", "content": "你好"}],
        "max_tokens": 10,
    }
    mine = await key_of(bench, requests_per_minute=3, tokens_per_minute=1000)
    async with bench.client.post("/v1/chat/completions", json=body, headers=mine) as response:
        assert ("3", "2") == (
            response.headers["x-ratelimit-limit-requests"],
            response.headers["x-ratelimit-remaining-requests"],
        )
        assert "1000" == response.headers["x-ratelimit-limit-tokens"]
        assert int(response.headers["x-ratelimit-remaining-tokens"]) < 1000
        assert response.headers["x-ratelimit-reset-requests"].endswith("s")
    async with bench.client.post(
        "/v1/chat/completions", json={**body, "stream": True}, headers=mine
    ) as response:
        assert "1" == response.headers["x-ratelimit-remaining-requests"]
        await response.read()
    async with bench.client.post("/v1/chat/completions", json=body, headers=bench.bearer) as plain:
        assert not [name for name in plain.headers if name.lower().startswith("x-ratelimit")]


async def test_v1_refuses(bench):
    """A refusal of /v1 is a 429 in OpenAI's shape that names the limit and the time to come back."""
    body = {"model": "online-1", "messages": [{"role": "user", "content": "你好"}]}
    mine = await key_of(bench, requests_per_minute=1)
    for _ in range(2):
        async with bench.client.post("/v1/chat/completions", json=body, headers=mine) as response:
            said = await response.json()
    assert (429, "rate_limit_exceeded") == (response.status, said["error"]["code"])
    assert "limit of 1 requests per minute" in said["error"]["message"]
    assert 59 <= int(response.headers["Retry-After"]) <= 60
    assert "0" == response.headers["x-ratelimit-remaining-requests"]


PRICE = Price(
    input=Decimal("0.1"),
    output=Decimal("0.1"),
    currency="CNY",
    since=date(2024, 1, 1),
    source="a test",
)


async def test_aigc_refuses(open_bench):
    """A refusal of /aigc is a 429 that says in Chinese which limit it is, whole and streamed."""
    bench = await open_bench(cards=[ModelCard(id="online-1", owned_by="T", prices=(PRICE,))])
    mine = await key_of(bench, budgets=(Budget(Decimal("0.000001"), "CNY", "day"),))
    for mode in ("invoke", "stream"):
        body = {"model": "online-1", "query": "你好", "mode": mode}
        async with bench.client.post("/aigc/chat/", json=body, headers=mine) as response:
            said = await response.json()
        assert (429, 429) == (response.status, said["status"])
        assert said["msg"].startswith("额度已用尽：今日的预算不够这个请求，请在 ")
        assert int(response.headers["Retry-After"]) > 0


async def test_a_budget_and_a_model_without_a_price(open_bench):
    """A key with a budget may not use a model that nobody knows the price of; the answer says what to set."""
    bench = await open_bench(cards=[ModelCard(id="online-1", owned_by="T")])
    mine = await key_of(bench, budgets=(Budget(Decimal(1), "CNY"),))
    body = {"model": "online-1", "messages": [{"role": "user", "content": "你好"}]}
    async with bench.client.post("/v1/chat/completions", json=body, headers=mine) as response:
        assert 403 == response.status
        assert "no price" in (await response.json())["error"]["message"]


PRICED = """
[models."m"]
[[models."m".prices]]
input = "0"
output = "0.001"
currency = "CNY"
since = 2024-01-01
source = "a test"
"""


async def test_two_workers_hold_one_budget(serve, tmp_path, monkeypatch):  # noqa: F811  # the fixture
    """Of a thousand calls at once over two worker processes against a budget for exactly a hundred, a hundred pass."""
    (tmp_path / "priced.toml").write_text(PRICED)
    monkeypatch.setenv("FENGCHAO_CONFIG", str(tmp_path / "priced.toml"))
    budget = {"amount": "0.0001", "currency": "CNY"}  # an answer of one token costs a millionth
    async with (
        ScriptedVendor() as vendor,
        serve("--workers", "2", base_url=f"{vendor.base_url}/v1") as server,
    ):
        vendor.answers(json_answer(WHOLE))
        made = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "fengchao_server", "keys", "create", "--name", "limited", "--json",
            "--limits", json.dumps({"budgets": [budget]}), env=server.env, stdout=PIPE,
        )  # fmt: skip
        key = json.loads((await made.communicate())[0])
        headers = {"Authorization": f"Bearer {key['token']}"}
        statuses: dict[int, int] = {}
        async with aiohttp.ClientSession(server.url, headers=headers) as client:

            async def ask() -> None:
                body = {**HELLO, "max_tokens": 1}
                async with client.post("/v1/chat/completions", json=body) as response:
                    await response.read()
                    statuses[response.status] = statuses.get(response.status, 0) + 1

            await asyncio.gather(*(ask() for _ in range(1000)))
        assert {200: 100, 429: 900} == statuses
        assert 100 == len(vendor.requests_to())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0ms"), (0.02, "20ms"), (1, "1s"), (6.123, "6.12s"), (60, "1m0s"), (7384, "2h3m4s")],
)
def test_durations(seconds, text):
    """Times are written as OpenAI writes them."""
    assert text == duration(seconds)
