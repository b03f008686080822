"""A limiter over a clock that stands still, and what goes in and comes out of it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from fengchao_core import Caller, ModelCard, Price
from fengchao_core.limiter import Calendar, Hold, Limiter, LocalCells, Spending, Spent, Tariff
from fengchao_core.limiter.cells import Cells
from fengchao_core.limits import KeyLimits
from fengchao_core.money import Rate, RateBook
from fengchao_core.rates import RatesLeft
from fengchao_core.reservation import Reservation
from fengchao_core.testing import FakeClock
from fengchao_core.usage import UsageRecord

MIDDAY = datetime(2026, 11, 21, 12, tzinfo=UTC)
PRICE = Price(
    input=Decimal("0.1"),
    output=Decimal("0.1"),
    currency="CNY",
    since=date(2020, 1, 1),
    source="a test",
)
CARD = ModelCard(id="m", owned_by="v", prices=(PRICE,))
RATES = RateBook([Rate("USD", "CNY", Decimal(7), date(2026, 11, 1))])


@dataclass
class Rows:
    """A store's sums, as a test sets them."""

    found: list[Spent] = field(default_factory=list)

    async def spent(self, since: datetime) -> list[Spent]:
        """Whatever the test put in."""
        return self.found


@dataclass
class Bench:
    """A limiter and its clock."""

    limiter: Limiter
    clock: FakeClock
    rows: Rows

    def left(self, limits: KeyLimits, key: str = "k") -> RatesLeft | None:
        """What is left of the rates of a key."""
        return self.limiter.left(Caller(key, "n", limits=limits), CARD.id)

    def ask(
        self,
        limits: KeyLimits | None,
        *,
        key: str = "k",
        group: str = "",
        prompt: int = 10,
        completion: int = 90,
        cost: str | None = "1",
        currency: str = "CNY",
        card: ModelCard = CARD,
    ) -> Hold | None:
        """Reserve a request of a key."""
        return self.limiter.reserve(
            Caller(key, "n", limits=limits, group=group),
            Reservation(
                id="1",
                request_id="1",
                key=key,
                group=group,
                model=card.id,
                card=card,
                prompt_tokens=prompt,
                completion_tokens=completion,
                images=0,
                cost=None if cost is None else Decimal(cost),
                currency=None if cost is None else currency,
                started_at=self.clock.now(),
                streamed=False,
            ),
        )


ROW = UsageRecord(
    id="1",
    request_id="1",
    key="k",
    model="m",
    provider="p",
    outcome="ok",
    error="",
    streamed=False,
    attempts=1,
    started_at=MIDDAY,
    duration_ms=1,
    first_delta_ms=None,
    prompt_tokens=10,
    completion_tokens=0,
    cached_tokens=0,
    reasoning_tokens=0,
    usage_source="vendor",
    cost=Decimal("0.25"),
    currency="CNY",
    price_since=None,
)


def used(tokens: int = 10, cost: str | None = "0.25", currency: str = "CNY") -> UsageRecord:
    """A row of a request that ended."""
    money = None if cost is None else Decimal(cost)
    return replace(
        ROW, prompt_tokens=tokens, cost=money, currency=currency if money is not None else None
    )


def make_bench(cells: Cells, clock: FakeClock, **groups: KeyLimits) -> Bench:
    """A limiter over some counters."""
    rows, calendar = Rows(), Calendar(UTC)
    limiter = Limiter(
        cells,
        clock,
        groups=groups,
        calendar=calendar,
        tariff=Tariff(RATES),
        spending=Spending(rows, calendar, RATES, lambda model: {"alias": "m"}.get(model, model)),
    )
    return Bench(limiter, clock, rows)


@pytest.fixture
def bench() -> Bench:
    """A limiter of one process."""
    return make_bench(LocalCells(), FakeClock(MIDDAY))


@pytest.fixture
def open_bench() -> Callable[..., Bench]:
    """Make a limiter with groups."""

    def make(**groups: KeyLimits) -> Bench:
        return make_bench(LocalCells(), FakeClock(MIDDAY), **groups)

    return make
