"""What is known of models, and what they cost."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Literal

from fengchao_core.types.shared import Currency, dataclass


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in one currency. Amounts of two currencies never add up."""

    amount: Decimal
    currency: Currency


@dataclass(frozen=True, slots=True)
class PriceTier:
    """
    Rates for long requests.

    Attributes:
        above_tokens: they hold for longer inputs; 0: for all.
        above_output_tokens: and for longer answers; 0: for all.
    """

    above_tokens: int
    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    above_output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class OffPeak:
    """
    Hours of the day in which everything costs a part of the price.

    Attributes:
        start: the first moment, in the vendor's time.
        end: the first moment after; before `start` where the hours go over midnight.
        utc_offset: of the vendor's time.
        factor: what is left of the price, 0 to 1.
    """

    start: time
    end: time
    utc_offset: timedelta
    factor: Decimal

    def holds_at(self, instant: datetime) -> bool:
        """Whether an aware instant lies in the hours."""
        now = (instant.astimezone(UTC) + self.utc_offset).time()
        if self.start < self.end:
            return self.start <= now < self.end
        return now >= self.start or now < self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """
    What a model costs, per 1,000 tokens.

    Attributes:
        since: the first day on which it holds (UTC).
        source: where the figure was read, for people.
        cached_input: of input that the vendor took from its cache; that of other input where None.
        cache_write: of input that the vendor put into its cache; that of other input where None.
        confirmed: False where nobody could confirm the figure; reports flag what it priced.
        tiers: dearer (or cheaper) steps for long requests, ascending by `above_tokens`, then `above_output_tokens`.
        per_image: for each picture, of a model that draws.
        per_search: for each search of the web.
        off_peak: the hours in which it is cheaper.
        version: tells it from every other price of the model; rows keep it.
    """

    input: Decimal
    output: Decimal
    currency: Currency
    since: date
    source: str
    cached_input: Decimal | None = None
    confirmed: bool = True
    tiers: tuple[PriceTier, ...] = ()
    per_image: Decimal | None = None
    cache_write: Decimal | None = None
    per_search: Decimal | None = None
    off_peak: OffPeak | None = None
    version: str = ""

    def __post_init__(self) -> None:
        """One that was made in code is told by its day."""
        if not self.version:
            object.__setattr__(self, "version", self.since.isoformat())


Kind = Literal["chat", "embedding", "image"]
Capability = Literal[
    "vision", "video", "audio", "tools", "json", "json_schema", "reasoning", "files", "search"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """
    What is known of a model.

    Attributes:
        id: its name for callers.
        upstream_id: its name at the vendor; the same as `id` where not given.
        owned_by: who made it, as shown to users.
        max_input_tokens: longest prompt; None where unknown.
        max_output_tokens: longest answer; None where unknown.
        prices: dated prices, newest last; empty where nobody knows one.
        is_local: runs in our own house (the product's channel 本地模型).
        aliases: further names that mean this model.
        created: the day the card was written.
        is_known: False where nothing but the model's name is known: what it can do is then anybody's guess.
    """

    id: str
    owned_by: str
    kind: Kind = "chat"
    upstream_id: str = ""
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    prices: tuple[Price, ...] = ()
    capabilities: frozenset[Capability] = frozenset()
    is_local: bool = False
    aliases: tuple[str, ...] = ()
    created: date | None = None
    is_known: bool = True

    def price_on(self, day: date) -> Price | None:
        """The price that holds on a day, or None."""
        best: Price | None = None
        for price in self.prices:
            if price.since <= day and (best is None or price.since >= best.since):
                best = price
        return best
