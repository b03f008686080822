"""Instants in queries: a day, or a time with its zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

_DAY_LENGTH = len("2026-11-21")


def instant(text: str | None) -> datetime | None:
    """
    What a query parameter names: the beginning of a day (UTC), or an instant; None where it is not given.

    Raises:
        ValueError: it is neither, or an instant without a zone.
    """
    if not text:
        return None
    if len(text) == _DAY_LENGTH:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    found = datetime.fromisoformat(text.replace(" ", "+"))  # a plus in a query is a blank
    if found.utcoffset() is None:
        raise ValueError("an instant needs its time zone")
    return found
