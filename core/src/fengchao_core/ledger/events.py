"""
What stands in a journal: one event per line, `crc32 JSON`, so that a torn or damaged line is told from a good one.

    H  the fields of the events that follow, so that a later version reads an earlier one's journal
    R  a request is about to be sent to a vendor
    S  a row is final: its request, or one attempt of it, has ended
    P  every S before this position of this process's journal is in the store

Pure functions: bytes in, values out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final, NamedTuple
from zlib import crc32

import orjson

from fengchao_core.types.shared import dataclass
from fengchao_core.usage import Begun, UsageRecord

_CRC_LENGTH: Final = 9
_LONGEST_LINE: Final = 4096
_LONGEST_TEXT: Final = 200

FIELDS: Final = tuple(field.name for field in fields(UsageRecord))
_row_values = attrgetter(*FIELDS)

BEGUN: Final = Begun._fields
_BEGUN_ONCE: Final = (
    *BEGUN[:6],
    "completion_tokens",
    "images",
    "cost",
    "currency",
    *BEGUN[6:],
)
"""What stood in an R event where the header does not say."""


class Position(NamedTuple):
    """A place in the journal of one process: the number of a segment, and an offset in it. Later places are greater."""

    segment: int
    offset: int


START: Final = Position(0, 0)


@dataclass(frozen=True, slots=True)
class Event:
    """
    One line.

    Attributes:
        kind: `H`, `R`, `S` or `P`.
        values: what follows the kind.
        end: the offset just behind the line.
    """

    kind: str
    values: list[Any]
    end: int


def begun(request: Begun) -> bytes:
    """The line of a request that is about to be sent to a vendor."""
    return _line(("R", *request))


def settled(row: UsageRecord) -> bytes:
    """The line of a final row."""
    return _line(("S", *_row_values(row)))


def header() -> bytes:
    """The first line of a segment."""
    return _line(("H", FIELDS, BEGUN))


def shipped(position: Position) -> bytes:
    """The line that says how far the store has come."""
    return _line(("P", *position))


def read(data: bytes, *, kinds: str = "HRSP") -> Iterator[Event | None]:
    """
    The events of a segment; None for each line that is damaged.

    A last line without its end is torn: its process died in the middle of the write, and nothing followed from it.

    Args:
        kinds: leave out the others, unread.
    """
    start, wanted = 0, kinds.encode()
    while (end := data.find(b"\n", start)) >= 0:
        line = data[start:end]
        start = end + 1
        # `["S",…`: the kind can be seen without parsing, and most of a segment need not be.
        if line[_CRC_LENGTH : _CRC_LENGTH + 2] == b'["' and line[_CRC_LENGTH + 2] not in wanted:
            continue
        yield _event(line, start)


def row_of(values: Sequence[Any], names: Sequence[str] = FIELDS) -> UsageRecord:
    """The row of an S event, written with these fields. Raises `ValueError`, `TypeError` where it is none."""
    known = {name: value for name, value in zip(names, values, strict=True) if name in FIELDS}
    known["started_at"] = datetime.fromisoformat(known["started_at"])
    if known["cost"] is not None:
        known["cost"] = Decimal(known["cost"])
    return UsageRecord(**known)


def begun_names(header: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The fields of the R events that follow an H event with these values."""
    return tuple(header[1]) if len(header) > 1 else _BEGUN_ONCE


def unknown_row(it: Mapping[str, Any]) -> UsageRecord:
    """
    The row of a request that was sent to a vendor and whose process died before it ended, from its R event.

    Its prompt is booked as estimated: the vendor most likely read it. What was answered nobody knows; whoever prices
    rows sets the cost.
    """
    return UsageRecord(
        id=it["id"],
        request_id=it["request_id"],
        key=it["key"],
        group=it["group"],
        model=it["model"],
        provider="",
        outcome="unknown",
        error="",
        streamed=it["streamed"],
        attempts=1,
        started_at=datetime.fromisoformat(it["started_at"]),
        duration_ms=0,
        first_delta_ms=None,
        prompt_tokens=it["prompt_tokens"],
        completion_tokens=0,
        cached_tokens=0,
        reasoning_tokens=0,
        usage_source="estimate",
        cost=None,
        currency=None,
        price_since=None,
        operation=it["operation"],
    )


def _line(values: tuple[Any, ...]) -> bytes:
    try:
        body = orjson.dumps(values, default=str)
    except (
        TypeError
    ):  # half of a surrogate pair, or a number beyond 64 bits: a caller may have sent either
        body = orjson.dumps([_tame(value) for value in values], default=str)
    if len(body) > _LONGEST_LINE:
        body = orjson.dumps([_tame(value) for value in values], default=str)
    return b"%08x %b\n" % (crc32(body), body)


def _tame(value: object) -> object:
    if isinstance(value, str):
        return value[:_LONGEST_TEXT].encode("utf-8", "replace").decode()
    if isinstance(value, int) and not isinstance(value, bool):
        return min(value, 2**63 - 1)
    return value


def _event(line: bytes, end: int) -> Event | None:
    body = line[_CRC_LENGTH:]
    try:
        if int(line[: _CRC_LENGTH - 1], 16) != crc32(body):
            return None
        kind, *values = orjson.loads(body)
    except ValueError:
        return None
    return Event(kind, values, end)
