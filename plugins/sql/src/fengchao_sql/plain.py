"""
Writing to SQLite in one piece: a whole transaction in one visit to a thread, over Python's own driver.

The asynchronous driver goes to its thread and back three times for every statement. Of a batch of usage rows, which is
written every second, that cost the event loop ten times what this does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from threading import Lock
from typing import TypeVar

T = TypeVar("T")


class PlainWriter:
    """
    A connection of its own to a database file, made when it is first needed. Every method may wait for the disk.

    Args:
        file: the database.
        wait_s: how long to wait for another's transaction to end.
    """

    def __init__(self, file: str, wait_s: float) -> None:
        self._file = file
        self._wait_s = wait_s
        self._connection: sqlite3.Connection | None = None
        self._turn = Lock()

    def write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """
        Run a change in a transaction: kept when it returns, undone when it raises.

        Raises:
            sqlite3.Error: the database does not do it. Whether a commit that was under way is kept is then unknown.
        """
        with self._turn:
            connection = self._connection = self._connection or self._open()
            try:
                connection.execute("BEGIN IMMEDIATE")
                result = change(connection)
                connection.execute("COMMIT")
            except BaseException:
                # Which undoes it. The next one begins afresh, whatever was the matter with this connection.
                self._close()
                raise
            return result

    def close(self) -> None:
        """Let go of the file."""
        with self._turn:
            self._close()

    def _open(self) -> sqlite3.Connection:
        # It changes threads, but never has two: that is what the lock is for.
        connection = sqlite3.connect(
            self._file, timeout=self._wait_s, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
