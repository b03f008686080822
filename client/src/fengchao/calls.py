"""What both clients do with a backend: ask it, and make of a failure what the user wants made of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import Literal

from fengchao.arguments import ChatArguments, DrawArguments
from fengchao.backend import Backend, Listing
from fengchao.errors import FengChaoAPIError
from fengchao.wire.models import FinalResponse

Errors = Literal["return", "raise"]


class Calls:
    """
    The calls of a client.

    Args:
        errors: whether a failure is returned as a `FinalResponse` or raised as a `FengChaoAPIError`.
    """

    def __init__(self, backend: Backend, errors: Errors) -> None:
        self._backend = backend
        self._raises = errors == "raise"

    async def listing(self, what: Listing) -> FinalResponse:
        """A list."""
        return await self._settled(self._backend.listing(what))

    async def chat(self, arguments: ChatArguments) -> FinalResponse:
        """A whole answer, or what an asynchronous mode answers."""
        return await self._settled(self._backend.chat(arguments))

    async def draw(self, arguments: DrawArguments) -> FinalResponse:
        """Pictures."""
        return await self._settled(self._backend.draw(arguments))

    async def stream(self, arguments: ChatArguments) -> AsyncGenerator[FinalResponse, None]:
        """The events of an answer; where failures are returned, a failure is the last of them."""
        try:
            async with aclosing(self._backend.stream(arguments)) as events:
                async for event in events:
                    yield event
        except FengChaoAPIError as error:
            if self._raises:
                raise
            yield error.response

    async def _settled(self, call: Awaitable[FinalResponse]) -> FinalResponse:
        try:
            return await call
        except FengChaoAPIError as error:
            if self._raises:
                raise
            return error.response
