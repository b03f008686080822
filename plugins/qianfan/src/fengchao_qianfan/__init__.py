"""Baidu Qianfan (百度千帆): the ERNIE models and those hosted beside them, by both generations of the API."""

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from fengchao_core.cards import load_cards
from fengchao_core.hookspecs import hookimpl
from fengchao_core.provider import Provider, ProviderContext, ProviderSpec, SandboxSpec
from fengchao_qianfan.settings import QianfanSettings

if TYPE_CHECKING:
    from aiohttp import web


def _open(
    settings: QianfanSettings, context: ProviderContext
) -> AbstractAsyncContextManager[Provider]:
    from fengchao_qianfan.provider import open_qianfan

    return open_qianfan(settings, context)


def _build_sandbox() -> "web.Application":
    from fengchao_qianfan.sandbox import build

    return build()


def _sandbox_settings(base_url: str) -> dict[str, object]:
    from fengchao_qianfan.sandbox import settings_for

    return settings_for(base_url)


SPEC = ProviderSpec(
    name="qianfan",
    title="百度千帆",
    settings=QianfanSettings,
    cards=lambda: load_cards("fengchao_qianfan"),
    open=_open,
)
SANDBOX = SandboxSpec(
    name="qianfan", build=_build_sandbox, settings=_sandbox_settings, title="百度千帆（沙箱）"
)


@hookimpl
def fengchao_providers() -> Iterable[ProviderSpec]:
    """Qianfan."""
    return (SPEC,)


@hookimpl
def fengchao_sandboxes() -> Iterable[SandboxSpec]:
    """Qianfan's stand-in."""
    return (SANDBOX,)
