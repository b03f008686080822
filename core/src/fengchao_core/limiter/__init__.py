"""
Holds keys, and groups of keys, to their limits.

    warden     the limits of a gateway while it is open
    limiter    reserve, settle
    rules      a caller's limits as counters
    cells      the counters of one process; shared: those of several
    tariff     what a request costs in a budget's currency
    spending   what was spent before; rows: by the ledger's store
    refusals   what the caller is told
"""

from fengchao_core.limiter.cells import LocalCells as LocalCells
from fengchao_core.limiter.limiter import Hold as Hold
from fengchao_core.limiter.limiter import Limiter as Limiter
from fengchao_core.limiter.periods import Calendar as Calendar
from fengchao_core.limiter.rows import SpentRows as SpentRows
from fengchao_core.limiter.spending import ReadsSpending as ReadsSpending
from fengchao_core.limiter.spending import Spending as Spending
from fengchao_core.limiter.spending import Spent as Spent
from fengchao_core.limiter.tariff import Tariff as Tariff
from fengchao_core.limiter.warden import Warden as Warden
