"""SenseTime SenseNova (商汤日日新): the SenseChat and SenseNova models."""

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from fengchao_core.cards import load_cards
from fengchao_core.hookspecs import hookimpl
from fengchao_core.provider import Provider, ProviderContext, ProviderSpec, SandboxSpec
from fengchao_sensetime.settings import SenseTimeSettings

if TYPE_CHECKING:
    from aiohttp import web


def _open(
    settings: SenseTimeSettings, context: ProviderContext
) -> AbstractAsyncContextManager[Provider]:
    from fengchao_sensetime.provider import open_sensetime

    return open_sensetime(settings, context)


def _build_sandbox() -> "web.Application":
    from fengchao_sensetime.sandbox import build

    return build()


def _sandbox_settings(base_url: str) -> dict[str, object]:
    from fengchao_sensetime.sandbox import settings_for

    return settings_for(base_url)


SPEC = ProviderSpec(
    name="sensetime",
    title="商汤日日新",
    settings=SenseTimeSettings,
    cards=lambda: load_cards("fengchao_sensetime"),
    open=_open,
)
SANDBOX = SandboxSpec(
    name="sensetime", build=_build_sandbox, settings=_sandbox_settings, title="商汤日日新（沙箱）"
)


@hookimpl
def fengchao_providers() -> Iterable[ProviderSpec]:
    """SenseTime."""
    return (SPEC,)


@hookimpl
def fengchao_sandboxes() -> Iterable[SandboxSpec]:
    """SenseTime's stand-in."""
    return (SANDBOX,)
