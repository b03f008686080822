"""iFLYTEK Spark (讯飞星火): the Spark models, over WebSocket and over HTTP."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from fengchao_core.cards import load_cards
from fengchao_core.hookspecs import hookimpl
from fengchao_core.provider import Provider, ProviderContext, ProviderSpec, SandboxSpec
from fengchao_spark.settings import SparkSettings

if TYPE_CHECKING:
    from aiohttp import web


def _open(
    settings: SparkSettings, context: ProviderContext
) -> AbstractAsyncContextManager[Provider]:
    from fengchao_spark.provider import open_spark

    return open_spark(settings, context)


def _build_sandbox() -> "web.Application":
    from fengchao_spark.sandbox import build

    return build()


def _sandbox_settings(base_url: str) -> Mapping[str, object]:
    from fengchao_spark.sandbox import settings_for

    return settings_for(base_url)


SPEC = ProviderSpec(
    name="spark",
    title="讯飞星火",
    settings=SparkSettings,
    cards=lambda: load_cards("fengchao_spark"),
    open=_open,
)
SANDBOX = SandboxSpec(
    name="spark", build=_build_sandbox, settings=_sandbox_settings, title="讯飞星火（沙箱）"
)


@hookimpl
def fengchao_providers() -> Iterable[ProviderSpec]:
    """Spark."""
    return (SPEC,)


@hookimpl
def fengchao_sandboxes() -> Iterable[SandboxSpec]:
    """Spark's stand-in."""
    return (SANDBOX,)
