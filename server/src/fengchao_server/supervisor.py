"""
Several serving processes on one port, kept alive.

The kernel spreads connections over them (SO_REUSEPORT). A worker that dies is replaced, after a pause that grows while it
keeps dying. A worker that cannot even start for the first time stops everything: its reason stands on stderr.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import orjson
import structlog

from fengchao_core import Settings
from fengchao_core.errors import SetupError
from fengchao_server.listening import bind, check_free, close, url_of

log = structlog.get_logger()

READY: Final = b"ready\n"
"""What a worker says on its stdout when it serves."""

_START_S: Final = 60.0
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_STEADY_S: Final = 30.0
_MARGIN_S: Final = 10.0


@asynccontextmanager
async def supervised(settings: Settings, *, hurry: asyncio.Event) -> AsyncIterator[str]:
    """
    Run `settings.server.workers` processes until the context is left; gives the URL once all serve.

    Args:
        hurry: set it to cut requests under way.

    Raises:
        SetupError: the port cannot be had, or the workers do not start.
    """
    if sys.platform == "win32":
        raise SetupError(
            "several workers need SO_REUSEPORT, which Windows lacks; set server.workers to 1"
        )
    server = settings.server
    check_free(server.host, server.port)
    # Held, but never listened on: it settles which port a 0 means, and keeps it while workers come and go.
    held = bind(server.host, server.port, shared=True)
    port = held[0].getsockname()[1]
    settings = settings.model_copy(update={"server": server.model_copy(update={"port": port})})
    crew = _Crew(settings, hurry)
    try:
        await crew.start()
        yield url_of(server.host, port)
    finally:
        await crew.stop()
        close(held)


class _Crew:
    def __init__(self, settings: Settings, hurry: asyncio.Event) -> None:
        self._order = orjson.dumps(settings.model_dump(mode="json")) + b"\n"
        self._size = settings.server.workers
        self._drain_s = settings.server.drain_s
        self._hurry = hurry
        self._stopping = asyncio.Event()
        self._keepers: list[asyncio.Task[None]] = []
        self._processes: dict[int, Process] = {}

    async def start(self) -> None:
        # The first alone: it migrates the database, and what is wrong is said once.
        first = await self._ready(0)
        self._keepers = [asyncio.create_task(self._keep(0, first))]
        others = await asyncio.gather(*(self._ready(n) for n in range(1, self._size)))
        self._keepers += [
            asyncio.create_task(self._keep(n, process)) for n, process in enumerate(others, start=1)
        ]

    async def stop(self) -> None:
        self._stopping.set()
        self._signal_all()
        hurrying = asyncio.create_task(self._pass_on_hurry())
        try:
            async with asyncio.timeout(self._drain_s + _MARGIN_S):
                for process in list(self._processes.values()):
                    await process.wait()
        except TimeoutError:
            log.warning("supervisor.killing", workers=len(self._processes))
            for process in self._processes.values():
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        hurrying.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)

    def _signal_all(self) -> None:
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()

    async def _pass_on_hurry(self) -> None:
        await self._hurry.wait()
        self._signal_all()

    async def _keep(self, number: int, process: Process) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            begun = time.monotonic()
            code = await process.wait()
            self._processes.pop(number, None)
            if self._stopping.is_set():
                return
            if time.monotonic() - begun > _STEADY_S:
                pause = _FIRST_PAUSE_S
            log.error("supervisor.worker_died", worker=number, code=code, again_in_s=pause)
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._stopping.wait()
                if self._stopping.is_set():
                    return
                pause = min(pause * 2, _LONGEST_PAUSE_S)
                try:
                    process = await self._ready(number)
                    break
                except SetupError as error:
                    log.warning(
                        "supervisor.worker_does_not_start",
                        worker=number,
                        again_in_s=pause,
                        error=str(error),
                    )
            log.info("supervisor.worker_replaced", worker=number, pid=process.pid)

    async def _ready(self, number: int) -> Process:
        """A worker that serves."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "fengchao_server.worker",
            stdin=PIPE,
            stdout=PIPE,
            start_new_session=True,  # the terminal's Ctrl-C is for the supervisor, which tells its workers itself
        )
        self._processes[number] = process
        try:
            async with asyncio.timeout(_START_S):
                if await _told(process, self._order) == READY:
                    return process
                await process.wait()
        except (TimeoutError, ConnectionError):
            pass
        if process.returncode is None:
            process.kill()
            await process.wait()
        self._processes.pop(number, None)
        raise SetupError(
            f"a worker did not start (exit status {process.returncode}); its reason stands above"
        )


async def _told(process: Process, order: bytes) -> bytes:
    """Hand a worker its settings; the line that it answers with, empty where it ends instead."""
    if process.stdin is None or process.stdout is None:
        raise AssertionError("the worker was started with pipes")
    process.stdin.write(order)
    await process.stdin.drain()
    return await process.stdout.readline()
