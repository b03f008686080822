"""Moonshot AI (月之暗面): the moonshot-v1 and Kimi models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from fengchao_core.cards import load_cards
from fengchao_core.hookspecs import hookimpl
from fengchao_core.provider import Provider, ProviderContext, ProviderSpec, SandboxSpec
from fengchao_moonshot.settings import MoonshotSettings

if TYPE_CHECKING:
    from aiohttp import web


def _open(
    settings: MoonshotSettings, context: ProviderContext
) -> AbstractAsyncContextManager[Provider]:
    from fengchao_moonshot.provider import open_moonshot

    return open_moonshot(settings, context)


def _build() -> web.Application:
    from fengchao_moonshot.sandbox import build

    return build()


def _sandbox_settings(base_url: str) -> Mapping[str, object]:
    return {"base_url": f"{base_url}/v1", "api_key": "sk-sandbox-moonshot"}


SPEC = ProviderSpec(
    name="moonshot",
    title="月之暗面 Moonshot AI",
    settings=MoonshotSettings,
    cards=lambda: load_cards("fengchao_moonshot"),
    open=_open,
)

SANDBOX = SandboxSpec(
    name="moonshot", build=_build, settings=_sandbox_settings, title="月之暗面（沙箱）"
)


@hookimpl
def fengchao_providers() -> Iterable[ProviderSpec]:
    """Moonshot."""
    return (SPEC,)


@hookimpl
def fengchao_sandboxes() -> Iterable[SandboxSpec]:
    """Moonshot's stand-in."""
    return (SANDBOX,)
