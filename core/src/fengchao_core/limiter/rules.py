"""The limits of a caller for one model, as the counters that have to be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from fengchao_core.limiter.cells import ROW, Cells
from fengchao_core.limiter.tariff import LARGEST, NANO
from fengchao_core.limits import Budget, KeyLimits, ModelLimits

REQUESTS, TOKENS, CONCURRENT, MONEY = range(4)

MINUTE: Final = 60_000_000_000
"""In nanoseconds."""

NAMES: Final = ("requests_per_minute", "tokens_per_minute", "concurrent")


@dataclass(slots=True)
class Rule:
    """
    One counter, and how far it may go.

    Attributes:
        place, number: where its row and its column are, see `Cells`.
        limit: requests, tokens, or 1e-9 of the budget's currency.
        step: nanoseconds that one request takes of its minute.
        scope: whose it is: `key:<api_key>` or `group:<name>`.
        model: the one model it is for; None: all.
        budget: where it is one.
    """

    kind: int
    place: int
    number: int
    limit: int
    step: int
    scope: str
    model: str | None
    budget: Budget | None = None

    @property
    def name(self) -> str:
        """What the caller is told is exceeded."""
        return f"budget_{self.budget.period}" if self.budget is not None else NAMES[self.kind]


def rules_of(cells: Cells, scope: str, limits: KeyLimits, model: str) -> Iterator[Rule]:
    """The rules of a key or a group for one model."""
    yield from _rates(cells, scope, limits, None)
    for one in limits.models:
        if one.model == model:
            yield from _rates(cells, scope, one, one.model)
    for rule in budgets_of(cells, scope, limits):
        if rule.model is None or rule.model == model:
            yield rule


def budgets_of(cells: Cells, scope: str, limits: KeyLimits) -> Iterator[Rule]:
    """The budgets of a key or a group, for all models and for single ones."""
    seen: set[str] = set()
    for budget in limits.budgets:
        name = f"{scope}|{budget.period}|{budget.currency}|{budget.model or ''}"
        if name in seen:  # two amounts for one thing: both hold, and one counter counts
            name = f"{name}|{budget.amount}"
        seen.add(name)
        place = cells.place(name)
        limit = min(int(budget.amount * NANO), LARGEST)
        yield Rule(MONEY, place, place // ROW, limit, 0, scope, budget.model, budget)


def _rates(
    cells: Cells, scope: str, limits: KeyLimits | ModelLimits, model: str | None
) -> Iterator[Rule]:
    for kind, name in enumerate(NAMES):
        limit: int | None = getattr(limits, name)
        if limit is not None:
            place = cells.place(f"{scope}|{name}|{model or ''}")
            step = max(MINUTE // limit, 1)
            yield Rule(kind, place, place // ROW, limit, step, scope, model)
