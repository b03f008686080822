"""
Usage rows that wait for the task they belong to.

A task's answer and its usage are kept in one transaction: otherwise a process killed between the two would leave a task that
runs again although it was booked, or one that was never booked. While a task runs, its rows are collected here; whoever
runs it keeps them together with its answer, and then settles them with the ledger as usual.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from fengchao_core.usage import UsageRecord

HELD: Final[ContextVar[list[UsageRecord] | None]] = ContextVar("fengchao_held", default=None)
"""Where the pipeline puts the rows of this context instead of settling them; None: it settles them."""


@contextmanager
def held_usage() -> Iterator[list[UsageRecord]]:
    """Collect the usage rows of the requests that end inside, in tasks begun inside too. Settling them is the caller's."""
    rows: list[UsageRecord] = []
    token = HELD.set(rows)
    try:
        yield rows
    finally:
        HELD.reset(token)
