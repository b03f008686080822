"""`/admin/usage/{id}/body`: what was sent and shown, where that is kept. Who reads it is written down first."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from fengchao_server.admin.reading import answer
from fengchao_server.admin.shape import AdminShape
from fengchao_server.described import Described
from fengchao_server.refusals import Forbidden, NoSuchThing
from fengchao_server.routes import Route

if TYPE_CHECKING:
    from fengchao_core.store import BodyRecord, Store
    from fengchao_server.answers import Answer
    from fengchao_server.auditing import Auditor
    from fengchao_server.call import Call


class Body(Described):
    """
    The words of one request.

    Attributes:
        id: of its usage row.
        messages: as they were sent to the vendor.
        answers: one per choice, as they were shown.
        is_cut: whether something was left out, to be within bounds.
    """

    id: str
    request_id: str
    at: datetime
    messages: list[dict[str, Any]]
    answers: list[dict[str, Any]]
    is_cut: bool


class Bodies(Described):
    """The bodies of one request, newest first: a `request_id` may have several."""

    bodies: list[Body]


def routes() -> list[Route]:
    """The routes of this module."""
    return [
        Route(
            method="GET", path="/admin/usage/{id}/body", handler=body, shape=AdminShape(), auth="operator",
            summary="一个请求的对话与回答 What was sent and shown, where that is kept", gives=Bodies,
        ),
    ]  # fmt: skip


async def body(call: Call) -> Answer:
    """What was sent and shown."""
    if call.who.role != "operator":
        raise Forbidden("a viewer may not read what callers said", msg="只读账号不能查看对话内容")
    found = await opened(call.gateway.store, call.params["id"], call.entry)
    if not found:
        raise NoSuchThing(
            "no body of this id is kept; bodies are kept only while [ledger] keep_bodies is on",
            msg="没有留下这个请求的内容；只有打开 ledger.keep_bodies 才会留下",
        )
    return answer({"bodies": [body_json(one) for one in found]})


async def opened(store: Store, which: str, entry: Auditor) -> tuple[BodyRecord, ...]:
    """
    The bodies of a usage row's id or a caller's request id. That they were read is in the audit log before anybody sees them.

    Raises:
        StoreUnavailable: they cannot be read, or it cannot be written down.
    """
    found = await store.bodies.find(which)
    for one in found:
        await store.audit.add(entry("usage.body.read", one.id))
    return found


def body_json(record: BodyRecord) -> dict[str, object]:
    """A body in JSON's own types."""
    return {
        "id": record.id,
        "request_id": record.request_id,
        "at": record.at.isoformat(),
        "messages": list(record.messages),
        "answers": list(record.answers),
        "is_cut": record.is_cut,
    }
