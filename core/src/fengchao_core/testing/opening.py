"""Providers and sandboxes, opened for a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager

from aiohttp import web

from fengchao_core.clock import Clock, SystemClock
from fengchao_core.fold import Fold
from fengchao_core.provider import (
    Limits,
    Provider,
    ProviderContext,
    ProviderSpec,
    SandboxSpec,
)
from fengchao_core.types import NO_USAGE, ChatRequest, Choice, Delta, Usage


@asynccontextmanager
async def open_provider(
    spec: ProviderSpec,
    settings: Mapping[str, object],
    *,
    clock: Clock | None = None,
    limits: Limits | None = None,
) -> AsyncIterator[Provider]:
    """
    Open a provider as the gateway would.

    Args:
        spec: the plugin's description.
        settings: its section of the settings, unchecked.
        clock: the time; the machine's own where not given.
        limits: the time limits; the defaults where not given.

    Raises:
        pydantic.ValidationError: the settings are wrong.
    """
    from fengchao_core.kit.http import Sessions

    checked = spec.settings.model_validate({**settings})
    async with Sessions() as sessions:
        context = ProviderContext(spec.name, clock or SystemClock(), limits or Limits(), sessions)
        async with spec.open(checked, context) as provider:
            yield provider


@asynccontextmanager
async def run_app(app: web.Application) -> AsyncIterator[str]:
    """Serve an aiohttp application on a free loopback port; gives its base URL."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def open_sandboxed(
    spec: ProviderSpec, sandbox: SandboxSpec, *, clock: Clock | None = None
) -> AsyncIterator[Provider]:
    """Open a provider against its own sandbox."""
    async with (
        run_app(sandbox.build()) as base_url,
        open_provider(spec, sandbox.settings(base_url), clock=clock) as provider,
    ):
        yield provider


async def deltas_of(provider: Provider, request: ChatRequest) -> list[Delta]:
    """Every delta of an answer, in order. Raises what the provider raises."""
    async with aclosing(provider.stream(request)) as batches:
        return [delta async for batch in batches for delta in batch]


async def answer_of(provider: Provider, request: ChatRequest) -> tuple[tuple[Choice, ...], Usage]:
    """The whole answer and its usage, folded from the deltas."""
    deltas = await deltas_of(provider, request)
    fold = Fold()
    fold.feed(deltas)
    usage = next((delta.usage for delta in reversed(deltas) if delta.usage), NO_USAGE)
    return fold.choices(), usage
