"""
The engine itself: who gets a place, and whose token is whose.

A request is let through to the backend only when a slot is free and its prompt and longest answer fit the cache beside
all that runs. So nothing that runs is ever put off for want of memory, and no prompt can be too large for the cache.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, field, replace

from typing_extensions import override

from fengchao_local_qwen.engine.face import (
    Backend,
    Chosen,
    Engine,
    EngineBusyError,
    EngineFailedError,
    Prompt,
    PromptTooLongError,
    Stats,
    Token,
)

_RATE_WINDOW_S = 5.0


@dataclass(slots=True, eq=False)
class _Request:
    id: str
    prompt: Prompt
    size: int
    asked_at: float
    place: asyncio.Future[None]
    tokens: deque[Token] = field(default_factory=deque)
    arrival: asyncio.Event = field(default_factory=asyncio.Event)
    failure: BaseException | None = None
    has_place: bool = False
    has_spoken: bool = False


class ServingEngine(Engine):
    """
    An engine on a backend. Open it inside a running loop with `start()`, close it with `close()`.

    Args:
        context_tokens: prompt and answer of one request at most.
        max_queue: requests that may wait for a place.
        max_wait_s: how long they may.

    Attributes:
        failure: why it broke; it serves nothing more then.
        broken: set with it.
    """

    def __init__(
        self, backend: Backend, *, context_tokens: int, max_queue: int, max_wait_s: float
    ) -> None:
        self.backend = backend
        self.context_tokens = min(context_tokens, backend.cache_tokens)
        self.failure: BaseException | None = None
        self.broken = asyncio.Event()
        self._max_queue = max_queue
        self._max_wait_s = max_wait_s
        self._ids = itertools.count(1)
        self._running: dict[str, _Request] = {}
        self._waiting: deque[_Request] = deque()
        self._used = 0
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._tokens = 0
        self._steps = 0
        self._recent: deque[tuple[float, int]] = deque()
        self._first_tokens = 0
        self._first_tokens_s = 0.0

    def start(self) -> None:
        """Start the backend's thread."""
        loop = asyncio.get_running_loop()

        def chosen(step: Chosen) -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._chosen, step)

        def failed(error: BaseException) -> None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._broke, error)

        self.backend.start(chosen, failed)

    async def close(self) -> None:
        """Stop the backend; what still runs fails."""
        self._broke(EngineFailedError("the engine is closing"))
        await asyncio.to_thread(self.backend.stop)

    @override
    async def submit(self, prompt: Prompt) -> AsyncGenerator[Token, None]:
        request = self._enter(prompt)
        try:
            await self._await_place(request)
            while True:
                while request.tokens:
                    token = request.tokens.popleft()
                    yield token
                    if token.is_last:
                        return
                if request.failure is not None:
                    raise EngineFailedError(str(request.failure)) from request.failure
                request.arrival.clear()
                await request.arrival.wait()
        finally:
            self._leave(request)

    @override
    def cancel(self, request_id: str) -> None:
        request = self._running.get(request_id)
        if request is not None:
            request.failure = EngineFailedError("the request was cancelled")
            request.arrival.set()
            self._leave(request)

    @override
    def stats(self) -> Stats:
        now = time.monotonic()
        while self._recent and self._recent[0][0] < now - _RATE_WINDOW_S:
            self._recent.popleft()
        return Stats(
            running=len(self._running),
            queued=len(self._waiting),
            cache_used=self._used,
            cache_tokens=self.backend.cache_tokens,
            tokens=self._tokens,
            steps=self._steps,
            tokens_per_s=sum(count for _, count in self._recent) / _RATE_WINDOW_S,
            first_tokens=self._first_tokens,
            first_tokens_s=self._first_tokens_s,
        )

    @override
    async def drain(self) -> None:
        self._draining = True
        await self._idle.wait()

    def _enter(self, prompt: Prompt) -> _Request:
        if self.failure is not None:
            raise EngineFailedError(str(self.failure))
        if self._draining:
            raise EngineBusyError("the engine is stopping")
        length = len(prompt.ids)
        if length >= self.context_tokens:
            raise PromptTooLongError(length, self.context_tokens)
        if len(self._waiting) >= self._max_queue and not self._fits(length + 1):
            raise EngineBusyError(
                f"{len(self._running)} requests run and {len(self._waiting)} wait, which is all there is room for",
            )
        room = self.context_tokens - length
        prompt = replace(prompt, max_new_tokens=max(1, min(prompt.max_new_tokens, room)))
        place = asyncio.get_running_loop().create_future()
        return _Request(
            f"r{next(self._ids)}",
            prompt,
            length + prompt.max_new_tokens,
            time.monotonic(),
            place,
        )

    async def _await_place(self, request: _Request) -> None:
        self._waiting.append(request)
        self._idle.clear()
        self._admit()
        try:
            async with asyncio.timeout(self._max_wait_s):
                await request.place
        except TimeoutError:
            raise EngineBusyError(
                f"no place came free within {self._max_wait_s:g} seconds"
            ) from None

    def _fits(self, size: int) -> bool:
        return (
            len(self._running) < self.backend.slots
            and self._used + size <= self.backend.cache_tokens
        )

    def _admit(self) -> None:
        """Give places in the order of arrival: a large request is not passed by small ones for ever."""
        while self._waiting and self._fits(self._waiting[0].size):
            request = self._waiting.popleft()
            if request.place.done():
                continue
            self._running[request.id] = request
            self._used += request.size
            request.has_place = True
            try:
                self.backend.add(request.id, request.prompt)
            except EngineFailedError as error:
                self._broke(error)
                return
            request.place.set_result(None)

    def _leave(self, request: _Request) -> None:
        with suppress(ValueError):
            self._waiting.remove(request)
        if request.has_place:
            request.has_place = False
            del self._running[request.id]
            self._used -= request.size
            self.backend.cancel(request.id)
        if self.failure is None:
            self._admit()
        if not self._running and not self._waiting:
            self._idle.set()

    def _chosen(self, step: Chosen) -> None:
        now = time.monotonic()
        self._steps += 1
        self._tokens += len(step)
        self._recent.append((now, len(step)))
        while self._recent[0][0] < now - _RATE_WINDOW_S:
            self._recent.popleft()
        for request_id, token in step:
            request = self._running.get(request_id)
            if request is None:
                continue
            if not request.has_spoken:
                request.has_spoken = True
                self._first_tokens += 1
                self._first_tokens_s += now - request.asked_at
            request.tokens.append(token)
            request.arrival.set()

    def _broke(self, error: BaseException) -> None:
        if self.failure is None:
            self.failure = error
            self.broken.set()
        for request in (*self._running.values(), *self._waiting):
            request.failure = self.failure
            request.arrival.set()
            if not request.place.done():
                request.place.set_exception(EngineFailedError(str(self.failure)))
