"""What a client stands on: a service over HTTP, or a gateway in this process."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Literal, Protocol

from fengchao.arguments import ChatArguments, DrawArguments
from fengchao.uploads import Paths, Report
from fengchao.wire.models import FinalResponse

Listing = Literal["models", "prompts", "kgs"]


class Backend(Protocol):
    """Answers what a client asks. Every method raises `FengChaoAPIError` where the answer is not a good one."""

    async def open(self) -> None:
        """Keep open what is worth keeping from call to call, on the running loop."""
        ...

    async def close(self) -> None:
        """Undo `open`, on the same loop."""
        ...

    async def listing(self, what: Listing) -> FinalResponse:
        """A list."""
        ...

    async def chat(self, arguments: ChatArguments) -> FinalResponse:
        """A whole answer."""
        ...

    def stream(self, arguments: ChatArguments) -> AsyncGenerator[FinalResponse, None]:
        """The events of an answer; closing the generator ends the request."""
        ...

    async def result(self, task_id: str) -> FinalResponse:
        """The answer of an asynchronous task."""
        ...

    async def usage(self, by: str, since: str | None, until: str | None) -> FinalResponse:
        """What the keys used, and what is left of their limits."""
        ...

    async def tasks(self, limit: int) -> FinalResponse:
        """The caller's asynchronous tasks."""
        ...

    async def cancel(self, task_id: str) -> FinalResponse:
        """End one of them."""
        ...

    def attach(
        self, task_id: str, start: int, timeout_s: float | None
    ) -> AsyncGenerator[FinalResponse, None]:
        """The events of a resumable stream, from number `start` on."""
        ...

    async def upload(
        self, paths: Paths, report: Report | None, timeout_s: float | None
    ) -> FinalResponse:
        """Files of this machine, given to the service."""
        ...

    async def files(self) -> FinalResponse:
        """The caller's files there."""
        ...

    async def delete_file(self, file_id: str) -> FinalResponse:
        """One of them, deleted."""
        ...

    async def draw(self, arguments: DrawArguments) -> FinalResponse:
        """Pictures."""
        ...
