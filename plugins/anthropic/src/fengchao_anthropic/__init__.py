"""Anthropic: the Claude models."""

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from fengchao_anthropic.settings import AnthropicSettings
from fengchao_core.cards import load_cards
from fengchao_core.hookspecs import hookimpl
from fengchao_core.provider import Provider, ProviderContext, ProviderSpec, SandboxSpec

if TYPE_CHECKING:
    from aiohttp import web


def _open(
    settings: AnthropicSettings, context: ProviderContext
) -> AbstractAsyncContextManager[Provider]:
    from fengchao_anthropic.provider import open_anthropic

    return open_anthropic(settings, context)


def _build_sandbox() -> "web.Application":
    from fengchao_anthropic.sandbox import build

    return build()


def _sandbox_settings(base_url: str) -> dict[str, object]:
    from fengchao_anthropic.sandbox import settings_for

    return settings_for(base_url)


SPEC = ProviderSpec(
    name="anthropic",
    title="Anthropic（Claude）",
    settings=AnthropicSettings,
    cards=lambda: load_cards("fengchao_anthropic"),
    open=_open,
)
SANDBOX = SandboxSpec(
    name="anthropic",
    build=_build_sandbox,
    settings=_sandbox_settings,
    title="Anthropic（沙箱）",
)


@hookimpl
def fengchao_providers() -> Iterable[ProviderSpec]:
    """Anthropic."""
    return (SPEC,)


@hookimpl
def fengchao_sandboxes() -> Iterable[SandboxSpec]:
    """Anthropic's stand-in."""
    return (SANDBOX,)
