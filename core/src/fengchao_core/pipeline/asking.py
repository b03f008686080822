"""Asking vendors: a route through the deployments of a model, retried and limited in time, until there is a first answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from fengchao_core.deadlines import Deadline, Deadlines
from fengchao_core.errors import ProviderError, ProviderProtocolError, ProviderTimeout
from fengchao_core.exchange import Exchange
from fengchao_core.meter import Meter
from fengchao_core.pipeline.books import Books
from fengchao_core.retry import RetryPolicy
from fengchao_core.routing import Deployment, Route
from fengchao_core.types import ChatRequest, Delta, EmbeddingResult, ImageResult

if TYPE_CHECKING:
    from fengchao_core.assembly import Parts

Result = TypeVar("Result", EmbeddingResult, ImageResult)
_First = tuple[AsyncGenerator[Sequence[Delta], None], Sequence[Delta]]


class Asking:
    """The one place where vendors are asked. One for a gateway."""

    def __init__(self, parts: Parts, books: Books) -> None:
        self._books = books
        self._copies = parts.copies
        self._limits = parts.settings.limits.limits()
        self._deadlines = Deadlines(self._limits)
        self._policy = RetryPolicy(parts.settings.retry)

    def deadline(self) -> Deadline:
        """The time that a call has which begins now; to be stopped when it is over."""
        return self._deadlines.begin()

    def close(self) -> None:
        """Forget the clock. Call once nothing is asked any more."""
        self._deadlines.close()

    def first(
        self, exchange: Exchange, deadline: Deadline, groups: Sequence[Sequence[Deployment]]
    ) -> Awaitable[_First]:
        """The provider's stream and its first batch, after as many attempts as it takes."""
        attempt = partial(self._attempt, exchange, deadline, Route(groups))
        return self._policy.run(attempt, exchange.retry, deadline.remaining_s)

    async def _attempt(self, exchange: Exchange, deadline: Deadline, route: Route) -> _First:
        """As `Route.ask`, without a function in between: every request comes this way."""
        while True:
            deployment = route.next()
            request = exchange.request
            if deployment.card is not request.card:
                request = replace(request, model=deployment.card.upstream_id, card=deployment.card)
            try:
                if exchange.native is None:
                    opened = await self._open(exchange, deadline, deployment, request)
                else:
                    opened = await self._ask_natively(exchange, deadline, deployment, request)
            except BaseException as error:
                if route.passes_over(deployment, error):
                    continue
                raise
            deployment.breaker.succeeded()
            return opened

    async def _open(
        self, exchange: Exchange, deadline: Deadline, deployment: Deployment, request: ChatRequest
    ) -> _First:
        if request.params.response_format is not None:
            from fengchao_core.structured import fitted  # loaded only where it is wanted

            request = fitted(request)
        self._books.asking(exchange.meter, deployment, exchange.request_id, request.messages)
        exchange.asked = deployment.provider
        source = deployment.provider.stream(request)
        try:
            with deadline.step(first=True):
                first = await anext(source, None)
            if first is None:
                raise ProviderProtocolError("the provider's stream ended without an answer")
        except BaseException as error:
            exchange.meter.failed(error)
            await source.aclose()
            raise
        return source, first

    async def _ask_natively(
        self, exchange: Exchange, deadline: Deadline, deployment: Deployment, request: ChatRequest
    ) -> _First:
        """Where a vendor may read the files itself: bringing them there takes of the same time."""
        if exchange.native is None:
            raise AssertionError("there are no files")

        async def open_stream(request: ChatRequest) -> _First:
            return await self._open(exchange, deadline, deployment, request)

        try:
            async with asyncio.timeout(deadline.remaining_s) as limit:
                return await exchange.native.ask(
                    deployment, request, self._copies, exchange.notes, open_stream
                )
        except TimeoutError:
            if limit.expired():
                raise ProviderTimeout("total", self._limits.total_s) from None
            raise

    async def once(
        self,
        meter: Meter,
        ask: Callable[[Deployment], Awaitable[Result]],
        groups: Sequence[Sequence[Deployment]],
        texts: Sequence[str],
    ) -> Result:
        """
        What is answered in one piece: limited in time, retried by the one policy, and counted.

        Args:
            texts: what goes in, for the count where the vendor gives none.
        """
        route = Route(groups)
        ends_at = asyncio.get_running_loop().time() + self._limits.total_s

        def remaining_s() -> float:
            return max(0.0, ends_at - asyncio.get_running_loop().time())

        async def limited(deployment: Deployment) -> Result:
            self._books.asking(meter, deployment, meter.id)
            limit = min(self._limits.first_delta_s, remaining_s())
            timeout = asyncio.timeout(limit)
            try:
                async with timeout:
                    return await ask(deployment)
            except TimeoutError as error:
                if timeout.expired():
                    raise ProviderTimeout("first delta", limit) from error
                raise
            except ProviderError as error:
                meter.failed(error)
                raise

        result = await self._policy.run(partial(route.ask, limited), None, remaining_s())
        meter.count(result, texts)
        return result
