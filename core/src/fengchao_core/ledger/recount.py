"""
Counting again: what the journals say was settled, against what the store has.

Reads the journals that are kept, those of processes that live, and those that wait to be taken over; changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Final

from fengchao_core.ledger.events import START, Position
from fengchao_core.ledger.journal import KEPT, others, segments
from fengchao_core.ledger.recovery import Left, rows_in, shipped_before, some
from fengchao_core.store import UsageStore
from fengchao_core.usage import UsageRecord

_BATCH: Final = 500
_NAMED: Final = 20


@dataclass(slots=True)
class Recount:
    """
    What was found.

    Attributes:
        journals: of how many processes.
        rows: that they say were settled.
        pending: of these, not in the store yet, as is right: they are on their way.
        under_way: requests that have begun and not ended, of processes that live or wait to be taken over.
        lost: rows that must be in the store and are not.
        doubled: rows that were settled twice.
        differing: rows that the store has with other figures than the journal.
        damaged: lines of journals that cannot be read.
        lost_ids, doubled_ids, differing_ids: the first few of each.
    """

    journals: int = 0
    rows: int = 0
    pending: int = 0
    under_way: int = 0
    lost: int = 0
    doubled: int = 0
    differing: int = 0
    damaged: int = 0
    lost_ids: list[str] = field(default_factory=list)
    doubled_ids: list[str] = field(default_factory=list)
    differing_ids: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether nothing is off."""
        return not (self.lost or self.doubled or self.differing or self.damaged)


@dataclass(frozen=True, slots=True)
class _Journal:
    """The segments of one process, and how far they must be in the store."""

    segments: Sequence[tuple[int, Path]]
    shipped: Position
    is_over: bool


async def recount(root: Path, store: UsageStore) -> Recount:
    """
    Count the journals in a folder against the store.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    result = Recount()
    seen: set[int] = set()
    for journal in await asyncio.to_thread(_journals, root):
        result.journals += 1
        left = Left()
        rows = rows_in(journal.segments, START, left)
        while batch := await asyncio.to_thread(some, rows, _BATCH):
            await _compare(batch, journal, store, result, seen)
        result.damaged += left.damaged
        await _look_for(left.reserved, journal, store, result)
    return result


async def _compare(
    batch: list[tuple[UsageRecord, Position]],
    journal: _Journal,
    store: UsageStore,
    result: Recount,
    seen: set[int],
) -> None:
    kept = {row.id: row for row in await store.get([row.id for row, _ in batch])}
    for row, position in batch:
        result.rows += 1
        mark = hash(
            row.id
        )  # 64 bits: half a million rows meet by chance once in a hundred million recounts
        if mark in seen:
            _add(result, "doubled", row.id)
        seen.add(mark)
        found = kept.get(row.id)
        if found is None:
            if journal.is_over or position <= journal.shipped:
                _add(result, "lost", row.id)
            else:
                result.pending += 1
        elif _figures(found) != _figures(row):
            _add(result, "differing", row.id)


async def _look_for(
    reserved: dict[str, dict[str, Any]], journal: _Journal, store: UsageStore, result: Recount
) -> None:
    """Requests that began and of whose end the journal knows nothing."""
    if not journal.is_over:
        result.under_way += len(reserved)
        return
    ids = iter(reserved)
    while batch := list(islice(ids, _BATCH)):
        kept = {row.id for row in await store.get(batch)}
        for id_ in batch:
            if id_ not in kept:
                _add(result, "lost", id_)


def _journals(root: Path) -> list[_Journal]:
    if not root.is_dir():
        return []
    found = []
    folders = {folder.name: folder for folder in others(root, None)}
    kept = sorted((root / KEPT).glob("*.log")) if (root / KEPT).is_dir() else []
    by_owner = {
        owner: [(int(path.stem.rpartition("-")[2]), path) for path in paths]
        for owner, paths in groupby(kept, key=lambda path: path.stem.rpartition("-")[0])
    }
    for owner in sorted(folders.keys() | by_owner.keys()):
        folder = folders.get(owner)
        rest = segments(folder) if folder is not None else []
        shipped = Position(2**31, 0)
        if folder is not None:
            shipped = max(shipped_before(folder), Position(rest[0][0] if rest else 0, 0))
        found.append(_Journal([*by_owner.get(owner, []), *rest], shipped, folder is None))
    return found


def _figures(row: UsageRecord) -> tuple[object, ...]:
    """What two tellings of a row must agree in: a price may be corrected later, what was used may not."""
    return (
        row.outcome,
        row.prompt_tokens,
        row.completion_tokens,
        row.cached_tokens,
        row.reasoning_tokens,
        row.images,
        row.searches,
        row.vectors,
    )


def _add(result: Recount, kind: str, id_: str) -> None:
    setattr(result, kind, getattr(result, kind) + 1)
    ids: list[str] = getattr(result, f"{kind}_ids")
    if len(ids) < _NAMED:
        ids.append(id_)
