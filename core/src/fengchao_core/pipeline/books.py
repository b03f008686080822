"""What every request leaves behind: that it began, its usage row, its span."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from fengchao_core.caller import Caller
from fengchao_core.counting import can_count, count_tokens
from fengchao_core.errors import ProviderError
from fengchao_core.exchange import Exchange
from fengchao_core.holding import HELD
from fengchao_core.ids import IdSource
from fengchao_core.meter import Meter
from fengchao_core.reservation import (
    expected_prompt,
    expected_texts,
    reserve_chat,
    reserve_once,
)
from fengchao_core.routing import Deployment
from fengchao_core.types import Message, ModelCard
from fengchao_core.usage import Begun

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from fengchao_core.assembly import Parts


class Books:
    """
    The books of a gateway: each request is begun before a vendor is asked, and settled once, however it ends.

    Attributes:
        ids: where the ids of requests come from.
        telemetry: what spans and metrics are told to.
    """

    def __init__(self, parts: Parts) -> None:
        self.ids = IdSource()
        self.telemetry = parts.telemetry
        self._clock = parts.clock
        self._ledger = parts.ledger
        self._warden = parts.warden
        self._counts: set[asyncio.Task[None]] = set()

    def meter(
        self,
        id_: str,
        caller: Caller,
        model: str,
        *,
        streamed: bool = False,
        operation: str = "chat",
    ) -> Meter:
        """What counts a request that arrives now."""
        return Meter(id_, caller, model, streamed=streamed, clock=self._clock, operation=operation)

    async def close(self) -> None:
        """Wait until what is being counted is booked."""
        if self._counts:
            await asyncio.wait(self._counts)

    @contextmanager
    def booked(
        self, operation: str, model: str, caller: Caller, *, id_: str, request_id: str
    ) -> Iterator[Meter]:
        """One request that is answered in one piece, from its arrival to its usage row; no limits of time, no retries."""
        meter = self.meter(id_, caller, model, operation=operation)
        span = self.telemetry.start(operation, model)
        failure: BaseException | None = None
        try:
            yield meter
        except BaseException as error:
            failure = error
            name_failure(error, meter, model)
            raise
        finally:
            self.settle(operation, meter, span, failure, request_id)

    async def reserve_chat(
        self, exchange: Exchange, messages: Sequence[Message], *, is_part: bool
    ) -> None:
        """
        Say what an exchange is expected to use, where its caller has limits.

        Args:
            messages: what is sent, as far as it is text.
            is_part: whether it is made on the way of another request, which has its place already.

        Raises:
            LimitExceeded, PermissionDenied: the caller may not use so much.
        """
        caller = exchange.caller
        if not caller.is_limited:
            return
        meter, request = exchange.meter, exchange.request
        exchange.reservation = reserve_chat(
            meter.id,
            exchange.entry.deployments[0].card,
            messages,
            request.params,
            request_id=exchange.request_id,
            key=caller.key,
            group=caller.group,
            model=exchange.model,
            streamed=request.stream,
            started_at=meter.started_at,
        )
        meter.hold = await self._warden.reserve(caller, exchange.reservation, is_part=is_part)

    def begin(self, exchange: Exchange) -> None:
        """A vendor is about to be asked: that is written down."""
        if self._ledger.is_journalled:
            caller, meter, reservation = exchange.caller, exchange.meter, exchange.reservation
            request = exchange.request
            expected = (
                expected_prompt(request.messages)
                if reservation is None
                else reservation.prompt_tokens
            )
            self._ledger.begin(
                Begun(
                    meter.id,
                    exchange.request_id,
                    caller.key,
                    caller.group,
                    exchange.model,
                    expected,
                    meter.started_at,
                    request.stream,
                )
            )

    async def reserve(  # as `reserve_once`
        self,
        meter: Meter,
        card: ModelCard,
        texts: Sequence[str],
        caller: Caller,
        operation: str,
        *,
        model: str,
        images: int = 0,
        is_part: bool = False,
    ) -> None:
        """
        Say what a request that is answered in one piece is expected to use, before a vendor is asked.

        Args:
            is_part: whether it is made on the way of another request, which has its place already.

        Raises:
            LimitExceeded, PermissionDenied: the caller may not use so much.
        """
        if caller.is_limited:
            reservation = reserve_once(
                meter.id,
                card,
                texts,
                key=caller.key,
                group=caller.group,
                model=model,
                images=images,
                started_at=meter.started_at,
                operation=operation,
            )
            meter.hold = await self._warden.reserve(caller, reservation, is_part=is_part)
        if self._ledger.is_journalled:
            self._ledger.begin(
                Begun(
                    meter.id,
                    meter.id,
                    caller.key,
                    caller.group,
                    model,
                    expected_texts(texts),
                    meter.started_at,
                    operation=operation,
                )
            )

    def asking(
        self,
        meter: Meter,
        deployment: Deployment,
        request_id: str,
        messages: Sequence[Message] = (),
    ) -> None:
        """A vendor is about to be asked; what an earlier attempt cost is booked for itself."""
        if meter.usage.source != "none":
            row = meter.retried(request_id)
            self._ledger.settle(row)
            if meter.hold is not None:
                meter.hold.count(row)
        meter.asking(deployment.provider_name, deployment.card, messages)

    async def count(self, exchange: Exchange) -> None:
        """Ask the model's tokenizer what its vendor did not say."""
        meter = exchange.meter
        if exchange.asked is not None:
            usage = await count_tokens(exchange.asked, exchange.request, meter.answer)
            if usage is not None:
                meter.usage = usage

    def settle_counted(self, exchange: Exchange, error: BaseException) -> None:
        """Settle an answer that was broken off: whoever broke it off does not wait until it is counted."""
        settle = partial(
            self.settle, "chat", exchange.meter, exchange.span, error, exchange.request_id
        )
        if not can_count(exchange.asked):
            settle()
            return

        async def count() -> None:
            await self.count(exchange)
            settle()

        task = asyncio.create_task(count(), name="fengchao-count")
        self._counts.add(task)
        task.add_done_callback(self._counts.discard)

    def settle(
        self, operation: str, meter: Meter, span: Span, error: BaseException | None, request_id: str
    ) -> None:
        """Close the books of a request that ended, well or not."""
        row = meter.close(error, request_id)
        if meter.hold is not None:
            meter.hold.settle(row)
        held = HELD.get()
        if held is None or not held.take(row):
            self._ledger.settle(row)
        self.telemetry.end(span, operation, row)


def name_failure(error: BaseException, meter: Meter, model: str) -> None:
    """Put in what the plugin cannot know."""
    if isinstance(error, ProviderError):
        error.provider = error.provider or meter.provider
        error.model = model
        error.attempts = meter.attempts
