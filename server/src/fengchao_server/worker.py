"""
One of several serving processes: `python -m fengchao_server.worker`, started by the supervisor only.

Its settings come as one line of JSON on stdin (they may hold secrets, which no command line and no environment should
show). stdin then stays open: when it ends, the supervisor is gone, and the worker stops as by a signal. When it serves it
says so with one line on stdout.
"""

from __future__ import annotations

import asyncio
import os
import sys

import orjson

from fengchao_server import lean  # noqa: F401  # first of all

# isort: split
from fengchao_core import Settings
from fengchao_core.errors import SetupError
from fengchao_server.cli.terminal import complain
from fengchao_server.listening import bind
from fengchao_server.logging import LineWriter, configure_logging
from fengchao_server.process import on_stop_signals, run, settle_memory, spare_generators
from fengchao_server.serving import serving
from fengchao_server.supervisor import READY


def main() -> int:
    """Serve until told to stop. Returns the exit status."""
    settings = Settings.model_validate(orjson.loads(sys.stdin.buffer.readline()))
    writer = configure_logging(settings.log)
    try:
        run(_serve(settings, writer))
    except SetupError as error:
        complain(error)
        return 1
    finally:
        writer.flush()
    return 0


async def _serve(settings: Settings, writer: LineWriter) -> None:
    stop, hurry = asyncio.Event(), asyncio.Event()
    on_stop_signals(stop, hurry)
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stop.set)
    sockets = bind(settings.server.host, settings.server.port, shared=True)
    async with serving(settings, sockets, hurry=hurry, say=writer.request):
        spare_generators()
        asyncio.get_running_loop().call_soon(settle_memory)
        os.write(sys.stdout.fileno(), READY)
        await stop.wait()
        # A readable stdin is readable for ever; it has said what it had to.
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())


if __name__ == "__main__":
    sys.exit(main())
