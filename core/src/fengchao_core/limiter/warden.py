"""
The limits of a gateway while it is open: made when the first caller comes who has any, and looked after from then on.

A gateway whose callers have no limits has no counters, no file and no work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from fengchao_core.caller import Caller
from fengchao_core.clock import Clock
from fengchao_core.exchange_rates import rate_book
from fengchao_core.limiter.cells import Cells, LocalCells
from fengchao_core.limiter.limiter import Hold, Limiter
from fengchao_core.limiter.periods import Calendar
from fengchao_core.limiter.spending import ReadsSpending, Spending
from fengchao_core.limiter.tariff import Tariff
from fengchao_core.limits import BudgetLeft
from fengchao_core.logs import Log
from fengchao_core.money import zone_of
from fengchao_core.rates import RatesLeft
from fengchao_core.reservation import Reservation
from fengchao_core.settings import Settings

log = Log()

SWEEP_EVERY_S: Final = 1.0
SYNCHRONISE_EVERY_S: Final = 60.0


class Warden:
    """
    What the pipeline asks about limits. Serves one event loop; `run()` is its owned task.

    Args:
        source: who knows what was spent.
        canonical: the id of a model by any name of it.

    Attributes:
        exchange: the rates between currencies.
        calendar: the days and months of budgets.
    """

    def __init__(
        self,
        settings: Settings,
        source: ReadsSpending,
        clock: Clock,
        canonical: Callable[[str], str],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self.calendar = Calendar(zone_of(settings.money.time_zone))
        self.exchange = rate_book(settings.money)
        self._spending = Spending(source, self.calendar, self.exchange, canonical)
        self._limiter: Limiter | None = None
        self._opening = asyncio.Lock()
        self._begun = asyncio.Event()

    async def reserve(
        self, caller: Caller, reservation: Reservation, *, is_part: bool = False
    ) -> Hold | None:
        """
        As `Limiter.reserve`. Waits for nothing, but for what was spent before, once in the life of a gateway.

        Raises:
            as `Limiter.reserve`.
        """
        limiter = self._limiter
        if limiter is None:
            limiter = await self.open()
        return limiter.reserve(caller, reservation, is_part=is_part)

    def rates(self, caller: Caller, model: str) -> RatesLeft | None:
        """What is left of a caller's rates for a model; None where it has none, or nobody limited asked yet."""
        return self._limiter.left(caller, model) if self._limiter is not None else None

    async def budgets(self, caller: Caller) -> tuple[BudgetLeft, ...]:
        """What is left of every budget of a caller and of its group."""
        if not caller.is_limited:
            return ()
        return (await self.open()).budgets(caller)

    async def open(self) -> Limiter:
        """
        Make the counters, and read what was spent before, where that was not done yet. A server does so when it starts.

        Raises:
            SetupError: the counters that several processes share cannot be made.
        """
        async with self._opening:
            if self._limiter is not None:
                return self._limiter
            limiter = Limiter(
                self._made(),
                self._clock,
                groups={name: group.limits() for name, group in self._settings.groups.items()},
                calendar=self.calendar,
                tariff=Tariff(self.exchange, unpriced=self._settings.money.unpriced),
                spending=self._spending,
            )
            await self._synchronise(limiter)
            self._limiter = limiter
            self._begun.set()
            return limiter

    async def run(self) -> None:
        """Give back what dead processes held, and follow what the rows say, until cancelled."""
        await self._begun.wait()
        every = round(SYNCHRONISE_EVERY_S / SWEEP_EVERY_S)
        turn = 0
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            limiter = await self.open()
            turn += 1
            limiter.sweep()
            if turn % every == 0:
                await self._synchronise(limiter)

    def close(self) -> None:
        """Give back everything that is held."""
        if self._limiter is not None:
            self._limiter.close()

    def _made(self) -> Cells:
        if self._settings.server.workers == 1:
            return LocalCells()
        from fengchao_core.limiter.shared import SharedCells  # needs an operating system with flock

        return SharedCells(self._settings.home)

    async def _synchronise(self, limiter: Limiter) -> None:
        try:
            await limiter.synchronise()
        except (
            Exception
        ) as error:  # a store of whatever make may fail in its own way; it is asked again
            log.warning("limits.store_away", error=type(error).__name__)
