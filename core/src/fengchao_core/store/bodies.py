"""Where bodies are kept, for those who ask for it: what was sent and what was shown, apart from the usage rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyRecord:
    """
    The words of one request.

    Attributes:
        id: of its usage row.
        request_id: the caller's id, which several requests may share.
        at: when it arrived, aware UTC.
        messages: the conversation as it was sent to the vendor, after screening, in JSON's own types: `role`, `content`
            and what else a message has. Of a picture, a film, a sound or a file there is the kind alone. Where the oldest
            were left out, the first entry is `{"omitted": how many}`.
        answers: one per choice, as the caller was shown them: `index`, `content`, `reasoning`, `refusal`, `tool_calls`.
        is_cut: whether something was left out, to be within bounds.
    """

    id: str
    request_id: str
    at: datetime
    messages: Sequence[Mapping[str, object]]
    answers: Sequence[Mapping[str, object]]
    is_cut: bool


class BodyStore(Protocol):
    """Keeps bodies, for a while."""

    async def add(self, records: Sequence[BodyRecord]) -> None:
        """
        Keep bodies, all or none; one whose `id` is already kept is left as it is.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        ...

    async def find(self, which: str, *, limit: int = 20) -> tuple[BodyRecord, ...]:
        """
        The bodies of a usage row's id, or of a caller's request id, newest first.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        ...

    async def forget(self, before: datetime, most: int) -> int:
        """
        Delete bodies of requests that arrived before an instant.

        Args:
            most: bodies in one go, so that nobody waits long for their turn.

        Returns:
            how many were deleted; less than `most` where there are no more.
        """
        ...


class MemoryBodies:
    """The newest bodies, up to `capacity`; older ones are dropped."""

    def __init__(self, capacity: int = 500) -> None:
        self._records: dict[str, BodyRecord] = {}
        self._capacity = capacity

    async def add(self, records: Sequence[BodyRecord]) -> None:
        """Keep bodies, the oldest making room."""
        for record in records:
            self._records.setdefault(record.id, record)
        while len(self._records) > self._capacity:
            del self._records[next(iter(self._records))]

    async def find(self, which: str, *, limit: int = 20) -> tuple[BodyRecord, ...]:
        """The bodies of a usage row's id, or of a caller's request id, newest first."""
        found = [one for one in self._records.values() if which in {one.id, one.request_id}]
        found.sort(key=lambda one: one.at, reverse=True)
        return tuple(found[:limit])

    async def forget(self, before: datetime, most: int) -> int:
        """Delete bodies of requests that arrived before an instant."""
        old = [one.id for one in self._records.values() if one.at < before][:most]
        for id_ in old:
            del self._records[id_]
        return len(old)
