"""`fengchao serve`: run the gateway, in this process or in several, and say how to use it."""

from __future__ import annotations

import asyncio
import sys
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING

from fengchao_core import Settings
from fengchao_core.errors import InvalidParameter, SetupError
from fengchao_server.auditing import auditor
from fengchao_server.cli.banner import Banner, show
from fengchao_server.logging import LineWriter, configure_logging
from fengchao_server.process import on_stop_signals, settle_memory, spare_generators
from fengchao_server.process import run as run_loop

if TYPE_CHECKING:
    from fengchao_server.admin.desk import Desk
    from fengchao_server.credentials import NewKey
    from fengchao_server.keyring import Keyring

SANDBOX_KEY = "sandbox"
"""The name of the key that `--sandbox` makes; it is revoked when the server ends."""


def run(args: Namespace) -> int:
    """Serve until told to stop."""
    settings = _settings(args)
    writer = configure_logging(settings.log)
    try:
        run_loop(_serve(settings, writer, sandbox=args.sandbox, as_json=args.json))
    finally:
        writer.flush()
    return 0


def _settings(args: Namespace) -> Settings:
    settings = Settings.load(args.config)
    given = {
        name: value
        for name in ("host", "port", "workers")
        if (value := getattr(args, name)) is not None
    }
    if not given:
        return settings
    server = settings.server.model_copy(update=given)
    return settings.model_copy(update={"server": server})


async def _serve(settings: Settings, writer: LineWriter, *, sandbox: bool, as_json: bool) -> None:
    stop, hurry = asyncio.Event(), asyncio.Event()
    on_stop_signals(stop, hurry)
    async with AsyncExitStack() as stack:
        if sandbox:
            from fengchao_server.sandboxes import sandboxed

            settings = await stack.enter_async_context(sandboxed(settings))
        running = (
            _several(settings, hurry, sandbox=sandbox)
            if settings.server.workers > 1
            else _one(settings, hurry, writer, sandbox=sandbox)
        )
        banner = await stack.enter_async_context(running)
        show(banner, as_json=as_json)
        spare_generators()
        asyncio.get_running_loop().call_soon(settle_memory)
        await stop.wait()
        if not as_json and sys.stderr.isatty():
            sys.stderr.write(
                "\n正在停止，再按一次 Ctrl-C 立即停止 stopping; once more stops at once\n"
            )


@asynccontextmanager
async def _one(
    settings: Settings, hurry: asyncio.Event, writer: LineWriter, *, sandbox: bool
) -> AsyncIterator[Banner]:
    """The server in this process."""
    from fengchao_server.listening import bind, close
    from fengchao_server.serving import serving

    sockets = bind(settings.server.host, settings.server.port)
    try:
        async with serving(settings, sockets, hurry=hurry, say=writer.request) as served:
            setup = await _setup_token(served.desk)
            if not sandbox:
                yield Banner(served.url, sandbox=False, setup=setup)
                return
            async with _sandbox_key(served.keyring) as key:
                models = [c.id for c in served.gateway.models() if c.kind == "chat"]
                yield Banner(served.url, sandbox=True, key=key, models=tuple(models), setup=setup)
    finally:
        close(sockets)


@asynccontextmanager
async def _several(
    settings: Settings, hurry: asyncio.Event, *, sandbox: bool
) -> AsyncIterator[Banner]:
    """The server in several processes, watched by this one."""
    from fengchao_server.admin.desk import Desk
    from fengchao_server.cli.opened import open_store
    from fengchao_server.supervisor import supervised

    if settings.store.url.startswith("memory:"):
        raise SetupError(
            "several workers need a store that they share; set store.url to a database, or server.workers to 1"
        )
    async with AsyncExitStack() as stack:
        key: NewKey | None = None
        models: tuple[str, ...] = ()
        if sandbox:
            key, models = await stack.enter_async_context(_prepared(settings))
        url = await stack.enter_async_context(supervised(settings, hurry=hurry))
        async with open_store(settings) as store:
            setup = await _setup_token(Desk(store, settings))
        yield Banner(url, sandbox=sandbox, key=key, models=models, setup=setup)


async def _setup_token(desk: Desk) -> str:
    """For the first operator; empty where there is one. There is no default password that somebody could forget."""
    if await desk.roster.has_operators():
        return ""
    return await desk.roster.make_setup_link(auditor("gateway", desk.clock))


@asynccontextmanager
async def _prepared(settings: Settings) -> AsyncIterator[tuple[NewKey, tuple[str, ...]]]:
    """The sandbox's key and models, before any worker runs."""
    from fengchao_core import Gateway
    from fengchao_server.keyring import open_keyring

    async with (
        Gateway.open(settings) as gateway,
        open_keyring(gateway.store.keys, settings.home) as keyring,
        _sandbox_key(keyring) as key,
    ):
        yield key, tuple(card.id for card in gateway.models() if card.kind == "chat")


@asynccontextmanager
async def _sandbox_key(keyring: Keyring) -> AsyncIterator[NewKey]:
    """A key that works while the sandbox runs. One left by a process that was killed is revoked first."""
    with suppress(InvalidParameter):  # there is none
        await keyring.revoke(SANDBOX_KEY)
    key = await keyring.create(SANDBOX_KEY, note="made by fengchao serve --sandbox")
    try:
        yield key
    finally:
        await keyring.revoke(key.api_key)
