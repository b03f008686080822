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

HELD: Final[ContextVar[Held | None]] = ContextVar("fengchao_held", default=None)
"""What takes the rows of this context instead of the ledger; None: the ledger does."""


class Held:
    """
    Collects rows for as long as somebody waits for them.

    Attributes:
        rows: what was taken.
    """

    __slots__ = ("_is_over", "rows")

    def __init__(self) -> None:
        self.rows: list[UsageRecord] = []
        self._is_over = False

    def take(self, row: UsageRecord) -> bool:
        """Take a row. False where it comes too late: it is the ledger's."""
        if not self._is_over:
            self.rows.append(row)
        return not self._is_over

    def end(self) -> None:
        """Take no more."""
        self._is_over = True


@contextmanager
def held_usage() -> Iterator[list[UsageRecord]]:
    """Collect the usage rows of the requests that end inside, in tasks begun inside too. Settling them is the caller's."""
    held = Held()
    token = HELD.set(held)
    try:
        yield held.rows
    finally:
        HELD.reset(token)
        held.end()
