"""What one request did, measured while it happens: the one place a usage row is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from fengchao_core.caller import Caller
from fengchao_core.clock import Clock
from fengchao_core.errors import (
    CallError,
    ProviderError,
    ProviderTimeout,
    SensitiveContent,
)
from fengchao_core.types import (
    NO_USAGE,
    ChatRequest,
    Delta,
    EmbeddingResult,
    ImageResult,
    Message,
    ModelCard,
    Money,
    Usage,
)
from fengchao_core.usage import Disconnect, Outcome, UsageRecord, cost, estimate_tokens, is_priced

if TYPE_CHECKING:
    from fengchao_core.limiter import Hold


class Meter:
    """
    Counts one request from its arrival to its end.

    Attributes:
        id: of the usage row.
        usage: the vendor's own count where it gave one; final after `close()`.
        cost: what that costs; None where the model has no price; final after `close()`.
        finished: how many choices have ended.
        card: the card whose price holds: that of the deployment asked last.
        hold: what the request holds back of its caller's limits; None where it has none.
    """

    __slots__ = (
        "_asked",
        "_caller",
        "_clock",
        "_disconnect",
        "_first_delta",
        "_model",
        "_operation",
        "_pieces",
        "_started",
        "_started_at",
        "_streamed",
        "attempts",
        "card",
        "cost",
        "finished",
        "hold",
        "id",
        "is_settled",
        "provider",
        "usage",
    )

    def __init__(
        self,
        id_: str,
        caller: Caller,
        model: str,
        *,
        streamed: bool,
        clock: Clock,
        operation: str = "chat",
    ) -> None:
        self.id = id_
        self._caller = caller
        self._model = model
        self._streamed = streamed
        self._operation = operation
        self._clock = clock
        self._started_at = clock.now()
        self._started = clock.monotonic()
        self._first_delta: float | None = None
        self._pieces: list[str] = []
        self._disconnect: Disconnect = ""
        self._asked: Sequence[Message] = ()
        self.attempts = 0
        self.card: ModelCard | None = None
        self.provider = ""
        self.usage: Usage = NO_USAGE
        self.cost: Money | None = None
        self.finished = 0
        self.is_settled = False
        self.hold: Hold | None = None

    @property
    def started_at(self) -> datetime:
        """When the request arrived, aware UTC."""
        return self._started_at

    def asking(self, provider: str, card: ModelCard, messages: Sequence[Message] = ()) -> None:
        """A vendor is about to be asked."""
        self.attempts += 1
        self.provider = provider
        self.card = card
        self._asked = messages

    def see(self, batch: Sequence[Delta]) -> None:
        """Deltas came from the vendor, whether or not the caller will see them."""
        if self._first_delta is None:
            self._first_delta = self._clock.monotonic()
        pieces = self._pieces
        for delta in batch:
            if delta.text:
                pieces.append(delta.text)
            elif delta.reasoning:
                pieces.append(delta.reasoning)
            if delta.usage is not None:
                self.usage = delta.usage
            if delta.finish_reason is not None:
                self.finished += 1
            for fragment in delta.tool_calls:
                pieces.append(fragment.arguments)

    def is_over(self, request: ChatRequest) -> bool:
        """Whether an answer that was asked for in one piece has come, with its usage: nothing is left to wait for."""
        return (
            not request.stream
            and self.usage.source != "none"
            and self.finished >= (request.params.n or 1)
        )

    def failed(self, error: BaseException) -> None:
        """The attempt failed. A vendor may charge for it all the same, and says so."""
        if isinstance(error, ProviderError) and error.usage is not None:
            self.usage = error.usage

    @property
    def is_uncounted(self) -> bool:
        """Whether an answer came, in part or whole, and nobody said what it used."""
        return self.usage.source == "none" and self._first_delta is not None

    @property
    def answer(self) -> str:
        """All that the vendor has said, seen by the caller or not."""
        return "".join(self._pieces)

    def caller_left(self) -> None:
        """The caller hung up, and the vendor's answer is read to its end all the same."""
        self._disconnect = "drained"

    def searched(self) -> None:
        """The web was searched, by nobody's model."""
        self.usage = Usage(searches=1)

    def count(self, result: EmbeddingResult | ImageResult, texts: Sequence[str]) -> None:
        """
        Take what came in one piece: vectors, or pictures.

        Args:
            texts: what went in, to estimate where the vendor did not count.
        """
        usage = result.usage
        if isinstance(result, ImageResult):
            self.usage = replace(usage, images=len(result.images))
            return
        if usage.source == "none":
            usage = Usage(sum(map(estimate_tokens, texts)), source="estimate")
        self.usage = replace(usage, vectors=len(result.vectors))

    def retried(self, request_id: str) -> UsageRecord:
        """The row of an attempt that cost something and is followed by another; counting begins anew."""
        row = self._row("retried", "", request_id, f"{self.id}.{self.attempts}")
        self.usage, self.cost = NO_USAGE, None
        return row

    def close(self, error: BaseException | None, request_id: str) -> UsageRecord:
        """
        The row of this request. Fixes `usage` and `cost`.

        Args:
            error: what ended it; None for a good end.
        """
        self.is_settled = True
        if self.is_uncounted:
            # The vendor answered but was cut off before it counted, or never counts.
            self.usage = Usage(
                prompt_tokens=sum(estimate_tokens(message.text) + 4 for message in self._asked),
                completion_tokens=estimate_tokens(self.answer),
                source="estimate",
            )
        outcome = _outcome(error)
        if outcome == "cancelled":
            self._disconnect = "cut" if self.attempts else ""
        elif self._disconnect and error is None:
            outcome = "cancelled"
        name = type(error).__name__ if error is not None else ""
        return self._row(outcome, name, request_id, self.id)

    def _row(self, outcome: Outcome, error: str, request_id: str, id_: str) -> UsageRecord:
        usage, card, started_at = self.usage, self.card, self._started_at
        price = amount = currency = None
        if card is not None and card.prices:
            price = card.price_on(started_at.date())
            if price is not None and is_priced(usage, price):
                self.cost = cost(usage, price, started_at)
        if (money := self.cost) is not None:
            amount, currency = money.amount, money.currency
        started, first_delta = self._started, self._first_delta
        caller = self._caller
        return UsageRecord(
            id=id_,
            request_id=request_id,
            key=caller.key,
            model=self._model,
            provider=self.provider,
            outcome=outcome,
            error=error,
            streamed=self._streamed,
            attempts=self.attempts,
            started_at=started_at,
            duration_ms=round((self._clock.monotonic() - started) * 1000),
            first_delta_ms=None if first_delta is None else round((first_delta - started) * 1000),
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            usage_source=usage.source,
            cost=amount,
            currency=currency,
            price_since=None if price is None else _day(price.since),
            price_version=None if price is None else price.version,
            operation=self._operation,
            group=caller.group,
            images=usage.images,
            searches=usage.searches,
            vectors=usage.vectors,
            disconnect=self._disconnect,
        )


_day = lru_cache(maxsize=256)(date.isoformat)  # prices begin on few days


def _outcome(error: BaseException | None) -> Outcome:
    if error is None:
        return "ok"
    if isinstance(error, SensitiveContent):
        return "sensitive"
    if isinstance(error, CallError):
        return "refused"
    if isinstance(error, ProviderTimeout):
        return "timeout"
    if isinstance(error, Exception):
        return "failed"
    return "cancelled"
