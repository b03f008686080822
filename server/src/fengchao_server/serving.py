"""
One serving process: gateway, keyring and HTTP server, opened in this order and closed in reverse.

Stopping is graceful: the process stops accepting, lets requests under way finish for a while, cuts the rest (what they
used is still booked), and only then closes the gateway.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import web

from fengchao.wire.tasks import KINDS
from fengchao_core import Gateway, Settings
from fengchao_server.admin.desk import Desk
from fengchao_server.answers import KeepAlives
from fengchao_server.api import build_routes
from fengchao_server.connections import Server
from fengchao_server.dispatch import Dispatcher
from fengchao_server.keyring import Keyring, open_keyring
from fengchao_server.lines import Say, say
from fengchao_server.listening import BACKLOG, url_of
from fengchao_server.repeats import Repeats

log = structlog.get_logger()

CUT_S = 0.2
"""How long a request that is cut has to end by itself."""

LINGER_S = 2.0
"""How long a refused body is read on, so that its sender sees the refusal and not a reset."""


@dataclass(frozen=True, slots=True)
class Served:
    """
    A server that serves.

    Attributes:
        url: where, as a client on this machine reaches it.
    """

    url: str
    gateway: Gateway
    keyring: Keyring
    desk: Desk


@asynccontextmanager
async def serving(
    settings: Settings,
    sockets: list[socket.socket],
    *,
    gateway: Gateway | None = None,
    keep_alives: KeepAlives | None = None,
    hurry: asyncio.Event | None = None,
    say: Say = say,
) -> AsyncIterator[Served]:
    """
    Serve until the context is left.

    Args:
        sockets: bound; the server owns them from here on.
        gateway: an open one to serve instead of one opened from the settings; stays the caller's to close.
        keep_alives: what fills long silences of streams.
        hurry: when it is set, leaving cuts the requests under way instead of waiting for them.
        say: logs each request's line.

    Raises:
        SetupError: with every problem found.
    """
    async with contextlib.AsyncExitStack() as stack:
        if gateway is None:
            gateway = await stack.enter_async_context(Gateway.open(settings))
        keyring = await stack.enter_async_context(open_keyring(gateway.store.keys, settings.home))
        desk = Desk(gateway.store, settings)
        gateway.jobs.register(*KINDS)
        gateway.jobs.start(queue="server", identify=keyring.caller)
        if settings.groups or any(record.limits for record in keyring.records):
            await gateway.open_limits()
        keep_alives = keep_alives or KeepAlives()
        await stack.enter_async_context(_owned(keep_alives.run()))
        await stack.enter_async_context(_owned(keyring.watch()))
        repeats = None
        if settings.idempotency.keep_s:
            repeats = Repeats(settings.home, settings.idempotency)
            await stack.enter_async_context(_owned(repeats.run()))
        dispatcher = Dispatcher(
            gateway,
            keyring,
            desk,
            build_routes(),
            max_body_bytes=settings.server.max_body_bytes,
            keep_alives=keep_alives,
            repeats=repeats,
            say=say,
        )
        server = Server(
            dispatcher,
            handler_cancellation=True,  # a caller that hangs up cancels its handler, and so the vendor's connection
            access_log=None,
            keepalive_timeout=settings.server.keep_alive_s,
            lingering_time=LINGER_S,
            logger=logging.getLogger("aiohttp.server"),
        )
        runner = web.ServerRunner(server, shutdown_timeout=CUT_S)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        sites = [web.SockSite(runner, opened, backlog=BACKLOG) for opened in sockets]
        for site in sites:
            await site.start()
        url = url_of(settings.server.host, sockets[0].getsockname()[1])
        try:
            yield Served(url, gateway, keyring, desk)
        finally:
            for site in sites:
                await site.stop()
            hurry, drain_s = hurry or asyncio.Event(), settings.server.drain_s
            async with _closing_jobs(gateway, hurry, drain_s):
                await _drain(dispatcher, hurry, drain_s)


@asynccontextmanager
async def _closing_jobs(
    gateway: Gateway, hurry: asyncio.Event, drain_s: float
) -> AsyncIterator[None]:
    """Let asynchronous tasks end while requests do; what then still runs goes back, to be run by another process."""
    closing = asyncio.create_task(gateway.jobs.close(drain_s))
    hurried = asyncio.create_task(hurry.wait())
    try:
        yield
        await asyncio.wait((closing, hurried), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (closing, hurried):
            task.cancel()
        await asyncio.gather(closing, hurried, return_exceptions=True)


async def _drain(dispatcher: Dispatcher, hurry: asyncio.Event, drain_s: float) -> None:
    """Wait for requests under way. Nobody new connects, and every connection is closed after its next answer."""
    await asyncio.sleep(0)  # let requests whose bytes are here begin
    idle = asyncio.ensure_future(dispatcher.drain())
    hurried = asyncio.ensure_future(hurry.wait())
    if dispatcher.under_way:
        log.info("server.draining", requests=dispatcher.under_way, limit_s=drain_s)
    await asyncio.wait((idle, hurried), timeout=drain_s, return_when=asyncio.FIRST_COMPLETED)
    for wait in (idle, hurried):
        wait.cancel()
    if dispatcher.under_way:
        log.warning("server.cut", requests=dispatcher.under_way)


@asynccontextmanager
async def _owned(coroutine: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """A task that lives as long as the context."""
    task = asyncio.create_task(coroutine)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
