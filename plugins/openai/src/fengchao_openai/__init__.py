"""
OpenAI, and any endpoint that speaks its chat-completions dialect.

The second is served by settings alone: `kind = "openai"` with a `base_url`, or a preset (`kind = "deepseek"`), see the
README.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from fengchao_core.cards import load_cards
from fengchao_core.hookspecs import hookimpl
from fengchao_core.provider import Provider, ProviderContext, ProviderSpec, SandboxSpec
from fengchao_openai.presets import load_presets
from fengchao_openai.settings import OpenAISettings

if TYPE_CHECKING:
    from aiohttp import web


def _open(
    settings: OpenAISettings, context: ProviderContext
) -> AbstractAsyncContextManager[Provider]:
    from fengchao_openai.provider import open_openai

    return open_openai(settings, context)


def _build() -> web.Application:
    from fengchao_openai.sandbox import build

    return build()


def _sandbox_settings(base_url: str) -> Mapping[str, object]:
    return {
        "base_url": f"{base_url}/v1",
        "api_key": "sk-sandbox-openai",
        # What `auto` means at OpenAI itself: the emulator stands in for it, at another address.
        "max_tokens_field": "max_completion_tokens",
        "developer_role": "developer",
    }


SPEC = ProviderSpec(
    name="openai",
    title="OpenAI 及兼容接口",
    settings=OpenAISettings,
    cards=lambda: load_cards("fengchao_openai"),
    open=_open,
)

SANDBOX = SandboxSpec(
    name="openai",
    build=_build,
    settings=_sandbox_settings,
    title="OpenAI 沙箱",
)


@hookimpl
def fengchao_providers() -> Iterable[ProviderSpec]:
    """OpenAI and its like, of which the presets are kinds of their own."""
    return (SPEC, *(preset.spec(_open) for preset in load_presets()))


@hookimpl
def fengchao_sandboxes() -> Iterable[SandboxSpec]:
    """OpenAI's emulator."""
    return (SANDBOX,)
