"""OpenAI's error bodies: one table, before and after the first byte."""

import pytest

from fengchao_core import errors as e
from fengchao_core.types import Delta
from fengchao_server import refusals as r
from fengchao_server.v1.errors import TABLE

CASES = [
    (e.SensitiveContent("x", direction="output", start=0, end=1), 400, "content_filter"),
    (e.LimitExceeded("too fast", limit="rpm", retry_after=7), 429, "rate_limit_exceeded"),
    (e.ProviderAuthFailed("refused", status=401), 502, "provider_auth_failed"),
    (e.QuotaExhausted("no money", status=402), 429, "insufficient_quota"),
    (e.RateLimited("slow", status=429, retry_after=2.5), 429, "rate_limit_exceeded"),
    (e.ProviderOverloaded("busy"), 503, "overloaded"),
    (e.ProviderUnavailable("cut"), 502, "provider_unavailable"),
    (e.ProviderTimeout("total", 600), 504, "timeout"),
    (e.ContentRefused("their filter"), 400, "content_filter"),
    (e.ContextTooLong("too long"), 400, "context_length_exceeded"),
    (e.RequestRejected("no", vendor_message="temperature must be 1"), 400, "request_rejected"),
    (e.ProviderProtocolError("nonsense"), 502, "provider_protocol_error"),
    (e.InvalidParameter("no", param="seed"), 400, "invalid_value"),
]


@pytest.mark.parametrize(("error", "status", "code"), CASES)
async def test_before_the_first_byte(bench, error, status, code):
    """An error before the first byte is an ordinary HTTP error, also where a stream was asked for."""
    bench.provider.will(error)
    for stream in (False, True):
        found, answer = await bench.chat(stream=stream)
        assert (status, code) == (found, answer["error"]["code"])
        assert {"message", "type", "param", "code"} == answer["error"].keys() - {"content_filter"}


@pytest.mark.parametrize(("error", "status", "code"), CASES)
async def test_after_the_first_byte(bench, error, status, code):
    """An error after the first byte is the last event, and no [DONE] follows."""
    bench.provider.will([Delta("half")], error)
    body = {"model": "online-1", "stream": True, "messages": [{"role": "user", "content": "x"}]}
    async with bench.client.post(
        "/v1/chat/completions", json=body, headers=bench.bearer
    ) as response:
        assert 200 == response.status
        text = await response.text()
    assert f'"code":"{code}"' in text.split("\n\n")[-2]
    assert "[DONE]" not in text


async def test_unknown_model(bench):
    """An unknown model is 404 with OpenAI's code, for a chat and for the model itself."""
    status, answer = await bench.chat(model="nobody")
    assert (404, "model_not_found", "model") == (
        status, answer["error"]["code"], answer["error"]["param"],
    )  # fmt: skip
    async with bench.client.get("/v1/models/nobody", headers=bench.bearer) as response:
        assert 404 == response.status


async def test_when_to_come_back(bench):
    """A caller that is too fast is told when to come back, to the second and to the millisecond."""
    bench.provider.will(e.RateLimited("slow", retry_after=2.5))
    body = {"model": "online-1", "messages": [{"role": "user", "content": "x"}]}
    async with bench.client.post(
        "/v1/chat/completions", json=body, headers=bench.bearer
    ) as response:
        assert ("3", "2500") == (
            response.headers["Retry-After"],
            response.headers["retry-after-ms"],
        )
        assert response.headers["X-Request-Id"]


async def test_what_trying_again_cannot_mend(bench):
    """Clients are told not to repeat what an operator must mend."""
    for error in (e.ProviderAuthFailed("x"), e.QuotaExhausted("x")):
        bench.provider.will(error)
        body = {"model": "online-1", "messages": [{"role": "user", "content": "x"}]}
        async with bench.client.post(
            "/v1/chat/completions", json=body, headers=bench.bearer
        ) as response:
            assert "false" == response.headers["x-should-retry"]


async def test_vendor_words_reach_only_who_can_use_them(bench):
    """A vendor's own words explain a request it rejects, and are kept back where it refuses our credentials."""
    bench.provider.will(e.RequestRejected("no", vendor_message="temperature must be 1"))
    _, answer = await bench.chat()
    assert "temperature must be 1" in answer["error"]["message"]
    bench.provider.will(e.ProviderAuthFailed("no", vendor_message="key sk-abc is wrong"))
    _, answer = await bench.chat()
    assert "sk-abc" not in answer["error"]["message"]


def test_every_error_has_its_line():
    """Every error that can reach a caller of `/v1` stands in the table; those of `/admin` stand in its own."""

    def below(cls):
        return {cls, *(c for child in cls.__subclasses__() for c in below(child))}

    reachable = below(e.FengChaoError) - below(e.SetupError)
    elsewhere = below(r.Worded) | {r.TooManyAttempts, r.UnknownKey}
    ours = {c for c in reachable if c.__module__ in (e.__name__, r.__name__)} - elsewhere
    assert set() == {cls.__name__ for cls in ours - set(TABLE)}
