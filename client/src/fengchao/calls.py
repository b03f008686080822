"""What both clients do with a backend: ask it, and make of a failure what the user wants made of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import Literal, TypeVar, cast

from fengchao.arguments import ChatArguments, DrawArguments
from fengchao.backend import Backend, Event, Listing
from fengchao.errors import FengChaoAPIError
from fengchao.polling import polled
from fengchao.uploads import Paths, Report
from fengchao.wire.models import (
    ChatCompletionResponse,
    FileList,
    FinalResponse,
    TaskCard,
    TaskList,
)
from fengchao.wire.usage import UsageReport

Errors = Literal["return", "raise"]

T = TypeVar("T")


class Calls:
    """
    The calls of a client.

    Args:
        errors: whether a failure is returned as a `FinalResponse` or raised as a `FengChaoAPIError`.
    """

    def __init__(self, backend: Backend, errors: Errors) -> None:
        self._backend = backend
        self._raises = errors == "raise"

    async def listing(self, shape: type[Listing]) -> FinalResponse[Listing]:
        """The list of that shape."""
        return await self._settled(self._backend.listing(shape))

    async def chat(self, arguments: ChatArguments) -> FinalResponse[str | ChatCompletionResponse]:
        """A whole answer, or what an asynchronous mode answers."""
        return await self._settled(self._backend.chat(arguments))

    async def usage(
        self, by: str, since: str | None, until: str | None
    ) -> FinalResponse[UsageReport]:
        """What the keys used, and what is left of their limits."""
        return await self._settled(self._backend.usage(by, since, until))

    async def tasks(self, limit: int) -> FinalResponse[TaskList]:
        """The caller's asynchronous tasks."""
        return await self._settled(self._backend.tasks(limit))

    async def cancel(self, task_id: str) -> FinalResponse[TaskCard]:
        """End one of them."""
        return await self._settled(self._backend.cancel(task_id))

    async def wait_for(
        self, task_id: str, *, interval_s: float, timeout_s: float | None
    ) -> FinalResponse[ChatCompletionResponse]:
        """The answer of a task, once it has one."""
        waiting = polled(
            lambda: self._backend.result(task_id), interval_s=interval_s, timeout_s=timeout_s
        )
        return await self._settled(waiting)

    def attach(
        self, task_id: str, start: int, timeout_s: float | None
    ) -> AsyncGenerator[Event, None]:
        """The events of a resumable stream; as `stream`."""
        return self._streamed(self._backend.attach(task_id, start, timeout_s))

    async def upload(
        self, paths: Paths, report: Report | None, timeout_s: float | None
    ) -> FinalResponse[FileList]:
        """Files of this machine, given to the service."""
        return await self._settled(self._backend.upload(paths, report, timeout_s))

    async def files(self) -> FinalResponse[FileList]:
        """The caller's files there."""
        return await self._settled(self._backend.files())

    async def delete_file(self, file_id: str) -> FinalResponse[None]:
        """One of them, deleted."""
        return await self._settled(self._backend.delete_file(file_id))

    async def draw(self, arguments: DrawArguments) -> FinalResponse[str | ChatCompletionResponse]:
        """Pictures."""
        return await self._settled(self._backend.draw(arguments))

    def stream(self, arguments: ChatArguments) -> AsyncGenerator[Event, None]:
        """The events of an answer; where failures are returned, a failure is the last of them."""
        return self._streamed(self._backend.stream(arguments))

    async def _streamed(self, source: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        try:
            async with aclosing(source) as events:
                async for event in events:
                    yield event
        except FengChaoAPIError as error:
            if self._raises:
                raise
            yield error.response

    async def _settled(self, call: Awaitable[FinalResponse[T]]) -> FinalResponse[T]:
        try:
            return await call
        except FengChaoAPIError as error:
            if self._raises:
                raise
            return cast("FinalResponse[T]", error.response)  # its data is that of a failure
