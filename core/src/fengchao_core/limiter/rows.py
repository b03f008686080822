"""What was spent, by the rows of the ledger's store."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from fengchao_core.limiter.spending import Spent
from fengchao_core.reports import UsageQuery
from fengchao_core.store import UsageStore


class SpentRows:
    """Reads the spending out of a store of usage rows."""

    def __init__(self, usage: UsageStore) -> None:
        self._usage = usage

    async def spent(self, since: datetime) -> Iterable[Spent]:
        """The sums over the rows that started at `since` or later. Raises what the store raises."""
        found = await self._usage.sums(UsageQuery(by=("key", "group", "model"), since=since))
        spent = []
        for total in found:
            key, group, model = total.groups
            if total.currency is not None:
                spent.append(Spent(key, group, model, total.currency, total.cost))
        return spent
