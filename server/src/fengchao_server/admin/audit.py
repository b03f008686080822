"""The audit log: who changed what, when and from where. It can be read, and nothing else."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from fengchao_server.admin.reading import answer, count, query
from fengchao_server.admin.shape import AdminShape
from fengchao_server.described import Described
from fengchao_server.routes import Route

if TYPE_CHECKING:
    from fengchao_core.store import AuditRecord
    from fengchao_server.answers import Answer
    from fengchao_server.call import Call

_MOST = 500
_LARGEST_ID = 2**62


class Entry(Described):
    """One change."""

    id: int
    at: datetime
    actor: str
    action: str
    target: str
    address: str
    before: dict[str, Any]
    after: dict[str, Any]


class Entries(Described):
    """
    Changes, newest first.

    Attributes:
        next: what `before` asks for the page that follows; null: this is the last.
    """

    entries: list[Entry]
    next: int | None


def routes() -> list[Route]:
    """The routes of this module."""
    return [
        Route(
            method="GET", path="/admin/audit", handler=page, shape=AdminShape(), auth="operator",
            summary="审计日志，新的在前 The audit log, newest first",
            query=("limit?", "before?", "actor?", "action?", "target?"), gives=Entries,
        ),
    ]  # fmt: skip


async def page(call: Call) -> Answer:
    """A page of the log."""
    asked = query(call, ("limit", "before", "actor", "action", "target"))
    limit = count(asked.get("limit"), "limit", default=100, most=_MOST)
    before = count(asked.get("before"), "before", default=_LARGEST_ID, most=_LARGEST_ID)
    records = await call.gateway.store.audit.page(
        limit=limit + 1,
        before=before,
        actor=asked.get("actor"),
        action=asked.get("action"),
        target=asked.get("target"),
    )
    shown = records[:limit]
    more = shown[-1].id if len(records) > limit else None
    return answer({"entries": [entry_json(record) for record in shown], "next": more})


def entry_json(record: AuditRecord) -> dict[str, object]:
    """A record in JSON's own types."""
    return {
        "id": record.id,
        "at": record.at.isoformat(),
        "actor": record.actor,
        "action": record.action,
        "target": record.target,
        "address": record.address,
        "before": dict(record.before),
        "after": dict(record.after),
    }
