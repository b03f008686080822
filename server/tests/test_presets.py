"""Preset instructions and custom ones through the running server: what is put in, and what is refused by name."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"prompt": "{{query}}，语气{{tone}}"}, "'tone'"),
        ({"prompt": "{{query}}{{a}}{{b}}", "prompt_fill": {"a": "x"}}, "'b'"),
        ({"prompt": "{{query}}", "prompt_fill": {"tone": "x"}}, "'tone'"),
        ({"prompt": "多译英", "prompt_fill": {"tone": "x"}}, "'tone'"),
        ({"prompt": "{{query}}", "prompt_fill": {"query": "x"}}, "'query'"),
        ({"prompt": "没有占位符"}, "{{query}}"),
    ],
)
@pytest.mark.parametrize("mode", ["invoke", "stream", "async"])
async def test_a_placeholder_that_does_not_fit_is_named(bench, mode, fields, named):
    """A placeholder without a value and a value without a placeholder are 445 with the name, and no vendor is asked."""
    async with bench.client.post(
        "/aigc/chat/",
        json={"model": "online-1", "query": "甲", "mode": mode, **fields},
        headers=bench.bearer,
    ) as response:
        said = await response.text()
    assert 445 == response.status
    assert '"status":445' in said
    assert named in said
    assert [] == bench.provider.requests


async def test_values_are_put_in_once(bench):
    """Placeholders take query, system and fill values; braces that a caller typed stay braces."""
    status, _ = await bench.ask(
        prompt="以{{tone}}的语气（{{system}}）说：{{query}}",
        prompt_fill={"tone": "{{query}}"},
        system="短",
        query="{{tone}}",
    )
    assert 200 == status
    assert "以{{query}}的语气（短）说：{{tone}}" == bench.provider.requests[-1].messages[-1].text
