"""Zhipu AI (智谱): the GLM models."""

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from fengchao_core.cards import load_cards
from fengchao_core.hookspecs import hookimpl
from fengchao_core.provider import Provider, ProviderContext, ProviderSpec, SandboxSpec
from fengchao_zhipu.settings import ZhipuSettings

if TYPE_CHECKING:
    from aiohttp import web


def _open(
    settings: ZhipuSettings, context: ProviderContext
) -> AbstractAsyncContextManager[Provider]:
    from fengchao_zhipu.provider import open_zhipu

    return open_zhipu(settings, context)


def _build_sandbox() -> "web.Application":
    from fengchao_zhipu.sandbox import build

    return build()


def _sandbox_settings(base_url: str) -> dict[str, object]:
    from fengchao_zhipu.sandbox import settings_for

    return settings_for(base_url)


SPEC = ProviderSpec(
    name="zhipu",
    title="智谱 AI",
    settings=ZhipuSettings,
    cards=lambda: load_cards("fengchao_zhipu"),
    open=_open,
)
SANDBOX = SandboxSpec(
    name="zhipu", build=_build_sandbox, settings=_sandbox_settings, title="智谱 AI（沙箱）"
)


@hookimpl
def fengchao_providers() -> Iterable[ProviderSpec]:
    """Zhipu."""
    return (SPEC,)


@hookimpl
def fengchao_sandboxes() -> Iterable[SandboxSpec]:
    """Zhipu's stand-in."""
    return (SANDBOX,)
