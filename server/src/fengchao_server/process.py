"""The life of a server's process: the fastest event loop there is, and signals that stop it gracefully."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine, on uvloop where there is one."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None
    try:
        from uvloop import new_event_loop as factory
    except ImportError:
        factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


def on_stop_signals(first: asyncio.Event, second: asyncio.Event) -> None:
    """Set `first` at the first SIGTERM or SIGINT, and `second` at the next."""
    loop = asyncio.get_running_loop()

    def take() -> None:
        (second if first.is_set() else first).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, take)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(take))


def settle_memory() -> None:
    """
    Take what start-up has made out of the garbage collector's sight.

    All of it lives as long as the process; walking it again and again costs requests some percent. So does looking for
    cycles after every 700 new objects, of which a request makes hundreds and leaves no cycle: a seventh of a request's
    time went there.
    """
    gc.set_threshold(50_000, 50, 50)
    gc.collect()
    gc.freeze()


def spare_generators() -> None:
    """
    Take asynchronous generators out of the event loop's sight. Call it in the loop's own thread, while it runs.

    The loop notes each that begins, to close those that are left when it ends. Every one of ours is closed by whoever
    iterates it, and a request begins several: the notes took a twentieth of its time. Those that are collected unfinished
    are closed by the loop as ever.
    """
    sys.set_asyncgen_hooks(firstiter=None)
