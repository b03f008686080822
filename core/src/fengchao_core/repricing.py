"""What rows of a period would cost by the price book as it is now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC
from decimal import Decimal

from fengchao_core.types import Currency, ModelCard, Price, Usage
from fengchao_core.types.shared import dataclass
from fengchao_core.usage import UsageRecord, cost, is_priced


def repriced(row: UsageRecord, card: ModelCard) -> UsageRecord | None:
    """
    A row with what it costs by the price of its day.

    Returns:
        The same row where nothing changes. None where the price has a figure for what rows do not keep (what was put into
        the vendor's cache): nobody can say what it costs by that.
    """
    price = card.price_on(row.started_at.astimezone(UTC).date())
    if price is None or row.usage_source == "none":
        return row
    if _needs_more(price):
        return None
    usage = Usage(
        row.prompt_tokens,
        row.completion_tokens,
        row.cached_tokens,
        row.reasoning_tokens,
        row.usage_source,
        images=row.images,
        searches=row.searches,
    )
    if not is_priced(usage, price):
        return row
    money = cost(usage, price, row.started_at)
    if (money.amount, money.currency) == (row.cost, row.currency):
        return row
    return replace(
        row,
        cost=money.amount,
        currency=money.currency,
        price_since=price.since.isoformat(),
        price_version=price.version,
    )


@dataclass(slots=True)
class Difference:
    """
    What changes for one model in one currency.

    Attributes:
        before: what the changed rows cost until now, where it was in this currency.
        after: what they cost by the prices of now, where it is in this currency.
    """

    rows: int = 0
    before: Decimal = Decimal(0)
    after: Decimal = Decimal(0)


class Differences:
    """Adds up what changes, by model and currency."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Currency], Difference] = {}
        self.skipped = 0

    @property
    def found(self) -> Mapping[tuple[str, Currency], Difference]:
        """The differences, by model and currency."""
        return dict(sorted(self._found.items()))

    def add(self, old: UsageRecord, new: UsageRecord) -> None:
        """Count a row that changes."""
        if old.currency is not None and old.cost is not None:
            mine = self._found.setdefault((old.model, old.currency), Difference())
            mine.before += old.cost
            mine.rows += 1
        if new.currency is not None and new.cost is not None:
            mine = self._found.setdefault((new.model, new.currency), Difference())
            mine.after += new.cost
            if old.currency != new.currency:
                mine.rows += 1


def _needs_more(price: Price) -> bool:
    return price.cache_write is not None or any(t.cache_write is not None for t in price.tiers)
