"""The settings: what they take, and which headers follow from them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from fengchao_anthropic import SPEC
from fengchao_anthropic.settings import AnthropicSettings
from fengchao_core.testing import ScriptedVendor, deltas_of, json_answer, open_provider
from fengchao_core.types import ChatParams, ChatRequest, Message

WHOLE = {
    "type": "message",
    "content": [],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
KEY = "sk-ant-test-key"


async def headers_of(settings: dict[str, Any], **params: Any) -> dict[str, str]:
    """The headers of a request, by lower-case names."""
    async with ScriptedVendor() as vendor:
        vendor.answers(json_answer(WHOLE))
        settings = {"base_url": vendor.base_url + "/v1/", "api_key": f" {KEY}\n", **settings}
        async with open_provider(SPEC, settings) as provider:
            request = ChatRequest(
                model="claude-3-opus-20240229",
                messages=(Message("user", "hi"),),
                params=ChatParams(**params),
            )
            await deltas_of(provider, request)
        sent = await vendor.request(1)
        assert "/v1/messages" == sent.path
        return {name.lower(): value for name, value in sent.headers.items()}


@pytest.mark.parametrize(
    ("version", "key_header", "settings", "params"),
    [
        ("2026-10-21", "authorization", {}, {}),
        ("2023-06-01", "x-api-key", {}, {"temperature": 0.5}),
        ("2023-06-01", "x-api-key", {"version": "2023-06-01"}, {}),
        ("2026-10-21", "authorization", {"version": "2026-10-21"}, {"temperature": 0.5}),
        ("2026-10-21", "x-api-key", {"auth": "x-api-key"}, {}),
        ("2023-06-01", "authorization", {"version": "2023-06-01", "auth": "bearer"}, {}),
    ],
)
async def test_each_generation_sends_its_headers(
    version: str, key_header: str, settings: dict[str, Any], params: dict[str, Any]
) -> None:
    """Version and key header belong together unless the settings say otherwise; one key header is sent, not two."""
    headers = await headers_of(settings, **params)
    assert version == headers["anthropic-version"]
    assert {key_header} == {"authorization", "x-api-key"} & headers.keys()
    assert KEY == headers[key_header].removeprefix("Bearer ")
    assert "anthropic-beta" not in headers


async def test_betas_are_asked_for() -> None:
    """Names of previews go in their header."""
    headers = await headers_of({"betas": ["one-2026-01-01", "two-2026-02-02"]})
    assert "one-2026-01-01,two-2026-02-02" == headers["anthropic-beta"]


@pytest.mark.parametrize("key", ["", "two words", "schlüssel"])
def test_keys_that_cannot_travel_are_refused(key: str) -> None:
    """A key that no header can carry is refused at the start, without being shown."""
    with pytest.raises(ValidationError) as caught:
        AnthropicSettings.model_validate({"api_key": key})
    assert not key or key not in str(caught.value)


async def test_every_page_of_models_is_asked_for() -> None:
    """Pages follow each other by the last id, until the vendor says that there are no more, or repeats itself."""
    pages = [
        {"data": [{"id": "a"}, {"id": "b"}], "has_more": True, "last_id": "b"},
        {"data": [{"id": "c"}], "has_more": True, "last_id": None},
        {"data": [{"id": "d"}], "has_more": False, "last_id": "d"},
    ]
    async with ScriptedVendor() as vendor:
        vendor.answers(*(json_answer(page) for page in pages))
        settings = {"base_url": vendor.base_url, "api_key": KEY}
        async with open_provider(SPEC, settings) as provider:
            assert ("a", "b", "c", "d") == await provider.list_models()  # type: ignore[attr-defined]  # this one can
        asked = [request.query.get("after_id") for request in vendor.requests]
    assert [None, "b", "c"] == asked
