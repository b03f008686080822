"""A caller's own account: what it used, and what is left of its limits."""

from __future__ import annotations

from fengchao_core.limits import BudgetLeft
from fengchao_core.rates import RatesLeft
from fengchao_core.reports import UsageQuery, UsageSum
from fengchao_core.types.shared import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """
    What `Gateway.account` tells.

    Attributes:
        query: what was summed.
        sums: what the key used, one per group and currency.
        budgets: the present period of each budget of the key and of its group.
        rates: what is left of the rates over all models; None where there are none.
    """

    query: UsageQuery
    sums: tuple[UsageSum, ...]
    budgets: tuple[BudgetLeft, ...]
    rates: RatesLeft | None
