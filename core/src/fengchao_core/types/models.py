"""What is known of models, and what they cost."""

from __future__ import annotations

from datetime import date
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
    """A price that holds from `above_tokens` input tokens on."""

    above_tokens: int
    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """
    What a model costs, per 1,000 tokens.

    Attributes:
        since: the first day on which it holds (UTC).
        source: where the figure was read, for people.
        confirmed: False where nobody could confirm the figure; reports flag what it priced.
        tiers: dearer (or cheaper) steps for long inputs, ascending by `above_tokens`.
        per_image: of a model that draws.
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

    def price_on(self, day: date) -> Price | None:
        """The price that holds on a day, or None."""
        best: Price | None = None
        for price in self.prices:
            if price.since <= day and (best is None or price.since >= best.since):
                best = price
        return best
