"""Streamed answers: iterators that are also context managers, one for each client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import aclosing, suppress
from types import TracebackType
from typing import Self

from fengchao.backend import Event
from fengchao.calls import Calls
from fengchao.errors import ClientClosedError
from fengchao.handoff import Handoff
from fengchao.portal import Portal
from fengchao.wire.models import ChatCompletionResponse

MOST_WAITING = 64
"""Events that wait for a sync consumer; while there are more, the connection is not read."""


class AsyncAnswerStream:
    """
    The events of an answer as they come. Nothing is sent before the first of them is asked for.

        async with await client.chat("glm-4", query="你好", mode="stream") as stream:
            async for event in stream:
                ...

    Attributes:
        task_id: of a resumable stream, once its first event was given: what `attach()` takes.

    Leaving the `async with` block, `aclose()`, or the end of the iteration closes the request. A loop that is left early
    without either closes it as soon as its iterator is gone, which CPython and asyncio see to within a moment.
    """

    task_id: str | None = None

    def __init__(self, events: AsyncGenerator[Event, None]) -> None:
        self._events = events

    def __aiter__(self) -> AsyncIterator[Event]:
        """Iterate; each event is given once, whoever asks for it."""
        return self._iterated()

    async def __anext__(self) -> Event:
        """The next event."""
        return self._seen(await anext(self._events))

    async def __aenter__(self) -> Self:
        """The stream itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the request."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the request, where it is still open."""
        await self._events.aclose()

    async def _iterated(self) -> AsyncGenerator[Event, None]:
        # A generator of its own, so that leaving a loop early drops something whose end is noticed.
        async with aclosing(self._events) as events:
            async for event in events:
                yield self._seen(event)

    def _seen(self, event: Event) -> Event:
        self.task_id = self.task_id or _task_id(event)
        return event


class AnswerStream:
    """
    The events of an answer as they come. Nothing is sent before the first of them is asked for.

        for event in client.chat("glm-4", query="你好", mode="stream"):
            ...

    Attributes:
        task_id: of a resumable stream, once its first event was given: what `attach()` takes.

    Leaving the loop early, leaving a `with` block, or `close()` closes the request. One thread may iterate it.
    """

    task_id: str | None = None

    def __init__(
        self, portal: Portal[Calls], ask: Callable[[Calls], AsyncGenerator[Event, None]]
    ) -> None:
        self._portal = portal
        self._ask = ask
        self._handoff: Handoff[Event] = Handoff(MOST_WAITING)
        self._pump: Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def __iter__(self) -> Iterator[Event]:
        """Iterate; each event is given once, whoever asks for it."""
        return self._iterated()

    def __next__(self) -> Event:
        """The next event."""
        if self._closed:
            raise StopIteration
        if self._pump is None:
            self._pump = self._portal.start(self._pumped)
            self._pump.add_done_callback(self._ended)
        event = self._handoff.take()
        if event is None:
            self._closed = True
            raise StopIteration
        self.task_id = self.task_id or _task_id(event)
        return event

    def __enter__(self) -> Self:
        """The stream itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the request."""
        self.close()

    def close(self) -> None:
        """Close the request, where it is still open; returns once its connection is closed."""
        self._closed = True
        if self._pump is None or self._pump.done():
            return
        if self._portal.is_own_thread():
            # Whatever thread drops the last reference to a loop's iterator gets here; this one must not wait for itself.
            self._pump.cancel()
            return
        with suppress(ClientClosedError):
            self._portal.run(lambda _: self._stopped())

    def _iterated(self) -> Generator[Event, None, None]:
        # A generator, because leaving a loop early closes one.
        try:
            while True:
                try:
                    event = next(self)
                except StopIteration:
                    return
                yield event
        finally:
            self.close()

    def _ended(self, pump: Future[None]) -> None:
        if pump.cancelled():
            self._handoff.end(
                None if self._closed else ClientClosedError("客户端已关闭 (the client is closed)")
            )
        else:
            self._handoff.end(pump.exception())

    async def _pumped(self, calls: Calls) -> None:
        self._task = asyncio.current_task()
        async with aclosing(self._ask(calls)) as events:
            async for event in events:
                await self._handoff.put(event)

    async def _stopped(self) -> None:
        # The pump was started before this was, so its first step lies behind it.
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])


def _task_id(event: Event) -> str | None:
    return event.data.task_id if isinstance(event.data, ChatCompletionResponse) else None
