"""
An event loop in a thread of its own, for code that is not async, or runs inside somebody else's loop.

The thread is a daemon: a client that nobody closes does not keep the interpreter from ending. What the loop works with is
opened and closed in one and the same task, inside the thread. After a fork the child starts a thread of its own.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, TypeVar

from fengchao.errors import ClientClosedError

R = TypeVar("R")
T = TypeVar("T")

_CLOSED = "客户端已关闭 (the client is closed)"


class Portal(Generic[R]):
    """
    Runs coroutines with a resource, from any thread.

    Args:
        open_resource: opens what the coroutines work with; entered with the first call, in the thread. Where that fails,
            the call fails, and the next one tries again.
    """

    def __init__(self, open_resource: Callable[[], AbstractAsyncContextManager[R]]) -> None:
        self._open_resource = open_resource
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._life: _Life[R] | None = None
        self._closed = False

    def run(self, call: Callable[[R], Coroutine[Any, Any, T]]) -> T:
        """
        Run a coroutine to its end, and wait for it. An interrupt of the waiting thread cancels it.

        Raises:
            ClientClosedError: the portal is closed, or was closed meanwhile.
        """
        future = self.start(call)
        try:
            return future.result()
        except CancelledError:
            raise ClientClosedError(_CLOSED) from None
        except BaseException:
            future.cancel()
            raise

    def start(self, call: Callable[[R], Coroutine[Any, Any, T]]) -> Future[T]:
        """
        Run a coroutine without waiting for it. Cancelling the future cancels it; closing the portal cancels the future.

        Raises:
            ClientClosedError: the portal is closed.
        """
        self._refuse_own_thread()
        self._survive_fork()
        with self._lock:
            if self._closed:
                raise ClientClosedError(_CLOSED)
            if self._life is None or self._life.failed():
                self._life = _Life(self._open_resource)
            life = self._life
        return life.start(call)

    def is_own_thread(self) -> bool:
        """Whether the calling thread is the portal's."""
        return self._life is not None and self._life.thread is threading.current_thread()

    def close(self) -> None:
        """
        Cancel what runs, close the resource, end the thread. Calling it again does nothing.

        Raises:
            what closing the resource raised.
        """
        self._refuse_own_thread()
        self._survive_fork()
        with self._lock:
            self._closed = True
            life, self._life = self._life, None
        if life is not None:
            life.end()

    def _refuse_own_thread(self) -> None:
        if self.is_own_thread():  # it would wait for itself
            raise RuntimeError(
                "不能在重试钩子中使用正在重试的同步客户端 "
                "(a retry hook must not use the sync client that runs it)"
            )

    def _survive_fork(self) -> None:
        if self._pid != os.getpid():
            # The parent's thread does not exist here, and nobody would ever release a lock it held.
            self._pid = os.getpid()
            self._lock = threading.Lock()
            self._life = None


class _Life(Generic[R]):
    """One thread from its start to its end."""

    def __init__(self, open_resource: Callable[[], AbstractAsyncContextManager[R]]) -> None:
        self._open_resource = open_resource
        self._opened: Future[tuple[asyncio.AbstractEventLoop, R]] = Future()
        self._ended: Future[None] = Future()
        self._stop = asyncio.Event()
        self._lock = threading.Lock()
        self._calls: set[Future[Any]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ending = False
        self.thread = threading.Thread(target=self._run, name="fengchao", daemon=True)
        self.thread.start()

    def failed(self) -> bool:
        """Whether the resource could not be opened."""
        return self._opened.done() and self._opened.exception() is not None

    def start(self, call: Callable[[R], Coroutine[Any, Any, T]]) -> Future[T]:
        """Run a coroutine; its future is cancelled when the thread ends, if not before."""
        loop, resource = self._opened.result()
        with self._lock:
            if self._ending:
                raise ClientClosedError(_CLOSED)
            future = asyncio.run_coroutine_threadsafe(self._tracked(call, resource), loop)
            self._calls.add(future)
        future.add_done_callback(self._calls.discard)
        return future

    async def _tracked(self, call: Callable[[R], Coroutine[Any, Any, T]], resource: R) -> T:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await call(resource)

    def end(self) -> None:
        """End the thread, and wait for its end."""
        try:
            loop, _ = self._opened.result()
        except BaseException:  # the call that wanted it opened has raised this already
            return
        with self._lock:
            self._ending = True
        loop.call_soon_threadsafe(self._stop.set)
        self._ended.result()
        self.thread.join()

    def _run(self) -> None:
        failure: BaseException | None = None
        try:
            asyncio.run(self._live())
        except BaseException as error:  # whatever it is, it belongs to a caller, not to this thread
            failure = error
        for call in list(self._calls):
            call.cancel()
        if not self._opened.done():
            self._opened.set_exception(failure or ClientClosedError(_CLOSED))
        elif failure is not None:
            self._ended.set_exception(failure)
        else:
            self._ended.set_result(None)

    async def _live(self) -> None:
        async with self._open_resource() as resource:
            loop = asyncio.get_running_loop()
            self._opened.set_result((loop, resource))
            await self._stop.wait()
            # Before the resource is closed, because they use it. Only they: the resource may have tasks of its own.
            calls = list(self._tasks)
            for task in calls:
                task.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
