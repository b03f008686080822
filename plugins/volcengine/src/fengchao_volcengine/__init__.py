"""Volcengine (火山引擎): the Doubao models of Ark, and the Skylark models of the legacy MaaS API."""

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from fengchao_core.cards import load_cards
from fengchao_core.hookspecs import hookimpl
from fengchao_core.provider import Provider, ProviderContext, ProviderSpec, SandboxSpec
from fengchao_volcengine.settings import VolcengineSettings

if TYPE_CHECKING:
    from aiohttp import web


def _open(
    settings: VolcengineSettings, context: ProviderContext
) -> AbstractAsyncContextManager[Provider]:
    from fengchao_volcengine.provider import open_volcengine

    return open_volcengine(settings, context)


def _build_sandbox() -> "web.Application":
    from fengchao_volcengine.sandbox import build

    return build()


def _sandbox_settings(base_url: str) -> dict[str, object]:
    from fengchao_volcengine.sandbox import settings_for

    return settings_for(base_url)


SPEC = ProviderSpec(
    name="volcengine",
    title="火山引擎方舟",
    settings=VolcengineSettings,
    cards=lambda: load_cards("fengchao_volcengine"),
    open=_open,
)
SANDBOX = SandboxSpec(
    name="volcengine",
    build=_build_sandbox,
    settings=_sandbox_settings,
    title="火山引擎方舟（沙箱）",
)


@hookimpl
def fengchao_providers() -> Iterable[ProviderSpec]:
    """Volcengine."""
    return (SPEC,)


@hookimpl
def fengchao_sandboxes() -> Iterable[SandboxSpec]:
    """Volcengine's stand-in."""
    return (SANDBOX,)
