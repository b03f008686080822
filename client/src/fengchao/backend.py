"""What a client stands on: a service over HTTP, or a gateway in this process."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol, TypeVar

from fengchao.arguments import ChatArguments, DrawArguments
from fengchao.uploads import Paths, Report
from fengchao.wire.models import (
    ChatCompletionResponse,
    FileList,
    FinalResponse,
    KGList,
    ModelList,
    PromptList,
    TaskCard,
    TaskList,
)
from fengchao.wire.usage import UsageReport

Listing = TypeVar("Listing", ModelList, PromptList, KGList)

Event = FinalResponse[ChatCompletionResponse]
"""An event of a stream."""


class Backend(Protocol):
    """Answers what a client asks. Every method raises `FengChaoAPIError` where the answer is not a good one."""

    async def open(self) -> None:
        """Keep open what is worth keeping from call to call, on the running loop."""
        ...

    async def close(self) -> None:
        """Undo `open`, on the same loop."""
        ...

    async def listing(self, shape: type[Listing]) -> FinalResponse[Listing]:
        """The list of that shape."""
        ...

    async def chat(self, arguments: ChatArguments) -> FinalResponse[str | ChatCompletionResponse]:
        """A whole answer."""
        ...

    def stream(self, arguments: ChatArguments) -> AsyncGenerator[Event, None]:
        """The events of an answer; closing the generator ends the request."""
        ...

    async def result(self, task_id: str) -> FinalResponse[ChatCompletionResponse]:
        """The answer of an asynchronous task."""
        ...

    async def usage(
        self, by: str, since: str | None, until: str | None
    ) -> FinalResponse[UsageReport]:
        """What the keys used, and what is left of their limits."""
        ...

    async def tasks(self, limit: int) -> FinalResponse[TaskList]:
        """The caller's asynchronous tasks."""
        ...

    async def cancel(self, task_id: str) -> FinalResponse[TaskCard]:
        """End one of them."""
        ...

    def attach(
        self, task_id: str, start: int, timeout_s: float | None
    ) -> AsyncGenerator[Event, None]:
        """The events of a resumable stream, from number `start` on."""
        ...

    async def upload(
        self, paths: Paths, report: Report | None, timeout_s: float | None
    ) -> FinalResponse[FileList]:
        """Files of this machine, given to the service."""
        ...

    async def files(self) -> FinalResponse[FileList]:
        """The caller's files there."""
        ...

    async def delete_file(self, file_id: str) -> FinalResponse[None]:
        """One of them, deleted."""
        ...

    async def draw(self, arguments: DrawArguments) -> FinalResponse[str | ChatCompletionResponse]:
        """Pictures."""
        ...
