"""`/aigc/tasks/` and `/aigc/stream/`: a key's own asynchronous tasks, and streams that can be read again."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any, Final

from fengchao.wire import BodyError, ChatBody, tasks
from fengchao.wire.bridge import Channel
from fengchao.wire.events import framed
from fengchao_server.answers import JSON_UTF8, Answer, EventStream
from fengchao_server.call import Call

TASK_ID_HEADER: Final = "X-Task-Id"
"""The header of a resumable stream that says what to read it again with."""

_END: Final = b": end\n\n"
_MOST: Final = 2**31 - 1


async def task_list(call: Call) -> Answer:
    """The caller's tasks."""
    limit = _whole(call, "limit", 100, least=1)
    return _json(tasks.task_list(await call.gateway.jobs.list(caller=call.caller, limit=limit)))


async def task(call: Call) -> Answer:
    """Where one of them stands."""
    record = await call.gateway.jobs.find(call.params["id"], caller=call.caller)
    return _json(tasks.one_task(record))


async def cancel_task(call: Call) -> Answer:
    """End one of them."""
    record = await call.gateway.jobs.cancel(call.params["id"], caller=call.caller)
    return _json(tasks.one_task(record))


async def read_stream(call: Call) -> Answer:
    """The events of a resumable stream, from any of them on."""
    start = _whole(call, "from", 0, least=0)
    return await _relay(call, call.events(), call.params["id"], start)


async def resumable_stream(call: Call, body: ChatBody, channel: Channel) -> Answer:
    """A streamed answer that goes on when its caller goes away."""
    stream = call.events()
    id_ = await tasks.open_chat_stream(call.gateway, body, channel, call.caller)
    stream.headers_too({TASK_ID_HEADER: id_})
    return await _relay(call, stream, id_, 0)


async def _relay(call: Call, stream: EventStream, id_: str, start: int) -> Answer:
    jobs = call.gateway.jobs
    call.task = id_
    async with aclosing(jobs.events(id_, caller=call.caller, start=start)) as batches:
        async for batch in batches:
            stream.send(b"".join(map(framed, batch)))
            if stream.is_full:
                await stream.drain()
    stream.finish(_END)
    return stream


def _whole(call: Call, name: str, default: int, *, least: int) -> int:
    given = call.request.rel_url.query.get(name)
    if given is None:
        return default
    if not (given.isascii() and given.isdigit() and least <= int(given[:12]) <= _MOST):
        raise BodyError(f"{name} 应为不小于 {least} 的整数", param=name)
    return int(given)


def _json(value: dict[str, Any]) -> Answer:
    return Answer.json(value, content_type=JSON_UTF8)
