"""
What a process that died left behind: its rows are brought to the store, its open requests are booked as unknown.

Any process on the same data folder may do it; the lock of the journal says whose turn it is. It may die in the middle:
the next one does the same again, and the store keeps each row once.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC
from itertools import islice
from pathlib import Path
from typing import Any, Final

from fengchao_core.ledger import events
from fengchao_core.ledger.events import START, Position
from fengchao_core.ledger.journal import KEPT, kept_as, others, put_away, segments, taken_over
from fengchao_core.ledger.tail import read_segment
from fengchao_core.logs import Log
from fengchao_core.store import UsageStore
from fengchao_core.types import ModelCard, Usage
from fengchao_core.usage import UsageRecord, cost

log = Log()

CardOf = Callable[[str], ModelCard | None]

_BATCH: Final = 500
_STALE_S: Final = 60.0


@dataclass(slots=True)
class Left:
    """
    What is being read from a journal.

    Attributes:
        reserved: the R events of requests that have not ended, by id: their fields.
        damaged: lines that cannot be read.
    """

    reserved: dict[str, dict[str, Any]] = field(default_factory=dict)
    damaged: int = 0


def shipped_before(folder: Path) -> Position:
    """How far the store had come when the journal's process wrote it down last."""
    found = START
    for number, path in segments(folder):
        for event in events.read(_read(number, path), kinds="P"):
            if event is not None and event.kind == "P":
                found = max(found, Position(*event.values))
    return found


def rows_left(
    folder: Path, after: Position, left: Left, *, until: Position | None = None
) -> Iterator[tuple[UsageRecord, Position]]:
    """As `rows_in`, of all segments of a journal."""
    yield from rows_in(segments(folder), after, left, until=until)


def rows_in(
    files: Iterable[tuple[int, Path]],
    after: Position,
    left: Left,
    *,
    until: Position | None = None,
) -> Iterator[tuple[UsageRecord, Position]]:
    """
    The rows of segments behind a position, in the order of their writing, each with the position behind it.

    Takes one segment into memory at a time.

    Args:
        left: what else is found is put in here; whole once the iterator is at its end.
        until: leave alone what stands behind this.
    """
    names: Sequence[str] = events.FIELDS
    begun: Sequence[str] = events.BEGUN
    for number, path in files:
        for event in events.read(_read(number, path), kinds="HRS"):
            if event is None:
                left.damaged += 1
                continue
            position = Position(number, event.end)
            if until is not None and position > until:
                return
            try:
                if event.kind == "H":
                    names, begun = tuple(event.values[0]), events.begun_names(event.values)
                elif event.kind == "R":
                    # Where the header is damaged, their number tells an earlier version's fields from ours.
                    is_known = len(event.values) == len(begun)
                    fields = begun if is_known else events.begun_names(())
                    left.reserved[event.values[0]] = dict(zip(fields, event.values, strict=True))
                else:
                    left.reserved.pop(event.values[0], None)
                    if position > after:
                        yield events.row_of(event.values, names), position
            except (ValueError, TypeError, LookupError):
                left.damaged += 1


async def take_over(
    root: Path, own: Path | None, store: UsageStore, card_of: CardOf, keep_bytes: int
) -> int:
    """
    Bring home what dead processes left.

    Args:
        root: the folder of all journals of the store.
        own: the journal of this process, which is left alone.
        card_of: the card of a model, whose price an unknown request's prompt is booked at.

    Returns:
        how many rows were added, or were there already.

    Raises:
        StoreUnavailable: try again later; nothing is lost.
    """
    total = 0
    for folder in await asyncio.to_thread(others, root, own):
        with taken_over(folder) as is_ours:
            if is_ours:
                total += await _bring_home(folder, store, card_of)
                await asyncio.to_thread(put_away, folder, root / KEPT, keep_bytes)
    await asyncio.to_thread(_sweep, root)
    return total


async def _bring_home(folder: Path, store: UsageStore, card_of: CardOf) -> int:
    left, total = Left(), 0
    after = await asyncio.to_thread(shipped_before, folder)
    rows = rows_left(folder, after, left)
    while batch := await asyncio.to_thread(some, rows, _BATCH):
        await store.add([row for row, _ in batch])
        total += len(batch)
    unknown = [
        _priced(events.unknown_row(begun), card_of(begun["model"]))
        for begun in left.reserved.values()
    ]
    for start in range(0, len(unknown), _BATCH):
        await store.add(unknown[start : start + _BATCH])
    if total or unknown or left.damaged:
        log.warning(
            "ledger.recovered",
            journal=folder.name,
            rows=total,
            unknown=len(unknown),
            damaged=left.damaged,
        )
    return total + len(unknown)


def some(
    rows: Iterator[tuple[UsageRecord, Position]], most: int
) -> list[tuple[UsageRecord, Position]]:
    """The next few rows; empty at the end. Reads a file, so it belongs in a thread."""
    return list(islice(rows, most))


def _read(number: int, path: Path) -> bytes:
    try:
        return read_segment(number, path)
    except FileNotFoundError:  # its process lives, and has put it away since it was listed
        return kept_as(path).read_bytes()


def _priced(row: UsageRecord, card: ModelCard | None) -> UsageRecord:
    price = card.price_on(row.started_at.astimezone(UTC).date()) if card is not None else None
    if price is None:
        return row
    money = cost(Usage(row.prompt_tokens, source="estimate"), price, row.started_at)
    return replace(
        row,
        cost=money.amount,
        currency=money.currency,
        price_since=price.since.isoformat(),
        price_version=price.version,
    )


def _sweep(root: Path) -> None:
    """Remove what a process left that died while it made its journal."""
    for path in root.glob(".*"):
        with contextlib.suppress(OSError):
            if path.is_dir() and time.time() - path.stat().st_mtime > _STALE_S:
                shutil.rmtree(path, ignore_errors=True)
