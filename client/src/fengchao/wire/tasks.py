"""
The contract's asynchronous modes: a chat that is submitted now and asked for later.

What a task answers is what `mode="invoke"` would have answered, word for word; what it fails with is raised where its result is
asked for, and so has the same code. Needs `fengchao_core`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

from fengchao.wire.bridge import (
    Channel,
    Json,
    answer,
    drawn,
    local_time,
    to_call,
    to_draw_call,
    usage,
    wants_json,
)
from fengchao.wire.codes import BodyError
from fengchao.wire.events import AnswerEvents, event_json
from fengchao.wire.models import OK_MSG
from fengchao.wire.request import ChatBody, DrawBody, check_chat_body, check_draw_body
from fengchao_core.fold import Fold
from fengchao_core.jobs import Emit, JobKind

if TYPE_CHECKING:
    from fengchao_core.caller import Caller
    from fengchao_core.gateway import Gateway
    from fengchao_core.store import JobRecord

CHAT = "chat"
DRAWING = "drawing"


async def submit_chat(
    gateway: Gateway, body: ChatBody, channel: Channel | None, caller: Caller
) -> Json:
    """
    Keep a chat to be answered soon. What can be refused for free is refused now.

    Returns:
        the JSON of the answer, which has the task's id where an answer has its text.

    Raises:
        BodyError, FengChaoError: as a chat does before its vendor is asked, or there are too many tasks.
    """
    await gateway.check(to_call(body, channel), caller=caller)
    asked = body.model_dump(mode="json", exclude={"mode", "task_id"}, exclude_defaults=True)
    id_ = await gateway.jobs.submit(
        CHAT,
        {"body": asked, "channel": channel},
        caller=caller,
        model=body.model,
        request_id=body.request_id or "",
    )
    return submitted(id_, model=body.model, request_id=body.request_id)


async def submit_drawing(gateway: Gateway, body: DrawBody, caller: Caller) -> Json:
    """
    Keep a drawing to be made soon. What can be refused for free is refused now.

    Returns:
        as `submit_chat`.

    Raises:
        BodyError, FengChaoError: as a drawing does before its vendor is asked, or there are too many tasks.
    """
    await gateway.check_draw(to_draw_call(body), caller=caller)
    asked = body.model_dump(mode="json", exclude={"mode", "task_id"}, exclude_defaults=True)
    id_ = await gateway.jobs.submit(
        DRAWING,
        {"body": asked},
        caller=caller,
        model=body.model,
        request_id=body.request_id or "",
    )
    return submitted(id_, model=body.model, request_id=body.request_id)


async def task_result(gateway: Gateway, body: ChatBody | DrawBody, caller: Caller) -> Json:
    """
    The answer of a task, of whatever kind it is.

    Raises:
        BodyError: the body names no task.
        FengChaoError: `ResultNotReady`, `UnknownTask`, or what the task failed with.
    """
    return await gateway.jobs.result(task_id_of(body), caller=caller)


def task_id_of(body: ChatBody | DrawBody) -> str:
    """The task that a body asks for. Raises `BodyError` where it names none."""
    if not body.task_id:
        raise BodyError("task_id 必填：填写 mode=async 返回的任务 id", param="task_id")
    return body.task_id


async def open_chat_stream(
    gateway: Gateway, body: ChatBody, channel: Channel | None, caller: Caller
) -> str:
    """
    Begin a streamed answer that can be read again: `gateway.jobs.events()` has its events, with the last one last.

    Returns:
        its id; every event has it too, as `task_id`.

    Raises:
        as `submit_chat`.
    """
    call = to_call(body, channel)
    await gateway.check(call, caller=caller)

    async def run(id_: str, emit: Emit) -> Json:
        exchange = await gateway.prepare(call, stream=True, caller=caller)
        events, fold = AnswerEvents(exchange), Fold()
        async with aclosing(gateway.run(exchange)) as batches:
            async for batch in batches:
                fold.feed(batch)
                if shown := events.events(batch):
                    emit([event_json({**event, "task_id": id_}) for event in shown])
        emit([event_json({**events.last(), "task_id": id_})])
        return answer(exchange.complete(fold), exchange.passages)

    return await gateway.jobs.open_stream(
        run, caller=caller, model=body.model, request_id=body.request_id or ""
    )


def submitted(id_: str, *, model: str, request_id: str | None) -> Json:
    """The JSON that answers a submission, in the shape of every answer; its one message is the task's id."""
    message = {"role": "assistant", "content": id_}
    return {
        "request_id": request_id or id_,
        "created": local_time(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": None}],
        "usage": usage(None, None),
        "msg": OK_MSG,
        "knowledge": [],
        "status": 200,
        "search": [],
        "agg": [],
        "task_id": id_,
    }


def task_list(records: Iterable[JobRecord]) -> Json:
    """The JSON of `/aigc/tasks/`."""
    return {"status": 200, "msg": OK_MSG, "data": [task_card(record) for record in records]}


def one_task(record: JobRecord) -> Json:
    """The JSON of `/aigc/tasks/{id}`."""
    return {"status": 200, "msg": OK_MSG, "data": task_card(record)}


def task_card(record: JobRecord) -> Json:
    """Where a task stands, as JSON."""
    ended = record.ended_at
    return {
        "id": record.id,
        "kind": record.kind,
        "model": record.model,
        "request_id": record.request_id or record.id,
        "state": record.state,
        "attempts": record.attempts,
        "created": local_time(record.created_at.timestamp()),
        "ended": None if ended is None else local_time(ended.timestamp()),
        "expires": local_time(record.expires_at.timestamp()),
    }


async def _run_chat(payload: Json, caller: Caller, gateway: Gateway) -> Mapping[str, object]:
    body = check_chat_body(cast("dict[str, Any]", payload["body"]))
    exchange = await gateway.prepare(to_call(body, payload["channel"]), stream=False, caller=caller)
    completion = await gateway.complete(exchange)
    return answer(completion, exchange.passages, as_json=wants_json(body))


async def _run_drawing(payload: Json, caller: Caller, gateway: Gateway) -> Mapping[str, object]:
    body = check_draw_body(cast("dict[str, Any]", payload["body"]))
    return drawn(await gateway.draw(to_draw_call(body), caller=caller), body.model)


KINDS = (JobKind(CHAT, _run_chat), JobKind(DRAWING, _run_drawing))
"""Every kind of task of the contract: `gateway.jobs.register(*KINDS)`."""
