"""
The API at an address, as a backend: lists, chats on the right one of the two paths, streams, uploads.

What `chat` sends it may send twice: again after a failure that says it is worth it, and once more on the other path where
the service says that the model is on the other channel. A task that is submitted twice so is made once.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import orjson
from pydantic import BaseModel, ValidationError

from fengchao.arguments import ChatArguments, DrawArguments, checked_start
from fengchao.backend import Event, Listing
from fengchao.channels import Channels
from fengchao.errors import FengChaoAPIError, error_for, error_of
from fengchao.retry import Retry, steered, with_retries
from fengchao.sessions import Sessions, Shared, open_session
from fengchao.signing import Signer
from fengchao.transport import EventStream, Transport
from fengchao.uploads import Form, LocalFile, Paths, Report, is_uploaded, look_at
from fengchao.wire.codes import Code
from fengchao.wire.models import (
    ChatCompletionResponse,
    FileList,
    FinalResponse,
    KGList,
    ModelList,
    PromptList,
    TaskCard,
    TaskList,
    TaskResponse,
    UploadResponse,
)
from fengchao.wire.usage import UsageReport, UsageResponse

_LISTS: dict[type[BaseModel], str] = {
    ModelList: "/aigc/models/",
    PromptList: "/aigc/prompts/",
    KGList: "/aigc/kgs/",
}
_ONLINE, _LOCAL = "/aigc/chat/", "/aigc/local_chat/"
_UPLOAD, _FILES, _DRAW = "/aigc/uploadfiles/", "/aigc/files/", "/aigc/t2i/"
_USAGE = "/aigc/usage/"
_TASKS, _STREAM = "/aigc/tasks/", "/aigc/stream/"
# As the service says it.
_NO_TASK = "task_id 不存在、已过期，或不属于当前密钥"
_NO_FILE = "files 文件不存在、已过期，或不属于这个密钥；请重新上传"
_PATH_MAY_BE_WRONG = frozenset({440, 441, 442})

T = TypeVar("T")
Parsed = TypeVar("Parsed", bound=BaseModel)


class HttpBackend:
    """
    The API at an address.

    Args:
        base_url: checked, without a closing slash.
        timeout_s: the limit of one attempt where a call brings none. Of a stream it limits each wait for the next bytes.
    """

    def __init__(self, base_url: str, signer: Signer, *, timeout_s: float) -> None:
        self._transport = Transport(base_url, signer, timeout_s=timeout_s)
        self._sessions = Sessions(open_session)
        self._channels = Channels()
        self._kept: dict[asyncio.AbstractEventLoop, Shared] = {}

    async def open(self) -> None:
        """Keep connections open from call to call."""
        loop = asyncio.get_running_loop()
        if loop not in self._kept:
            self._kept[loop] = self._sessions.take()

    async def close(self) -> None:
        """Let go of the connections."""
        shared = self._kept.pop(asyncio.get_running_loop(), None)
        if shared is not None:
            await self._sessions.give(shared)

    async def listing(self, shape: type[Listing]) -> FinalResponse[Listing]:
        """A list; needs no keys."""
        path = _LISTS[shape]
        async with self._sessions.lease() as shared:
            raw = await with_retries(lambda: self._transport.get(shared.session, path), None)
        return FinalResponse(data=_parsed(shape, raw))

    async def chat(self, arguments: ChatArguments) -> FinalResponse[str | ChatCompletionResponse]:
        """A whole answer, or the id of a task."""
        if arguments.mode == "async_result" and arguments.task_id:
            return await self._result(
                arguments.task_id,
                arguments.timeout,
                steered(arguments.retry_action, arguments.try_num),
            )
        async with self._sessions.lease() as shared:
            body = await self._body(shared, arguments)

            once = _once(arguments)

            async def post(path: str) -> bytes:
                return await self._transport.post(
                    shared.session, path, body, arguments.timeout, once=once
                )

            raw = await self._routed(shared, arguments, post)
        return _submitted(_parsed(ChatCompletionResponse, raw), arguments.mode)

    async def stream(self, arguments: ChatArguments) -> AsyncGenerator[Event, None]:
        """The events of an answer. Tried again only until the first of them."""
        async with self._sessions.lease() as shared:
            body = await self._body(shared, arguments)

            async def open_stream(path: str) -> EventStream:
                return await self._transport.stream(shared.session, path, body, arguments.timeout)

            events = await self._routed(shared, arguments, open_stream)
            async with aclosing(_read(events, finished=False)) as answers:
                async for answer in answers:
                    yield answer

    async def attach(
        self, task_id: str, start: int, timeout_s: float | None
    ) -> AsyncGenerator[Event, None]:
        """The events of a resumable stream, from number `start` on."""
        path = f"{_STREAM}{_segment(task_id, _NO_TASK)}?from={checked_start(start)}"
        async with self._sessions.lease() as shared:
            events = await with_retries(
                lambda: self._transport.stream(shared.session, path, None, timeout_s), None
            )
            async with aclosing(_read(events, finished=True)) as answers:
                async for answer in answers:
                    yield answer

    async def result(self, task_id: str) -> FinalResponse[ChatCompletionResponse]:
        """The answer of an asynchronous task."""
        return await self._result(task_id, None, None)

    async def _result(
        self, task_id: str, timeout_s: float | None, retry: Retry | None
    ) -> FinalResponse[ChatCompletionResponse]:
        # A task is asked for by its id alone: neither its model nor the path it came by matters.
        body = _dumped({"mode": "async_result", "task_id": task_id})
        async with self._sessions.lease() as shared:
            raw = await with_retries(
                lambda: self._transport.post(shared.session, _ONLINE, body, timeout_s), retry
            )
        return _answered(_parsed(ChatCompletionResponse, raw))

    async def usage(
        self, by: str, since: str | None, until: str | None
    ) -> FinalResponse[UsageReport]:
        """What the keys used, and what is left of their limits."""
        asked = {"by": by, "since": since, "until": until}
        path = f"{_USAGE}?{urlencode({k: v for k, v in asked.items() if v is not None})}"
        async with self._sessions.lease() as shared:
            raw = await with_retries(lambda: self._transport.ask(shared.session, "GET", path), None)
        return FinalResponse(data=_parsed(UsageResponse, raw).data)

    async def tasks(self, limit: int) -> FinalResponse[TaskList]:
        """The caller's asynchronous tasks."""
        path = f"{_TASKS}?limit={limit}"
        async with self._sessions.lease() as shared:
            raw = await with_retries(lambda: self._transport.ask(shared.session, "GET", path), None)
        return FinalResponse(data=_parsed(TaskList, raw))

    async def cancel(self, task_id: str) -> FinalResponse[TaskCard]:
        """End one of them."""
        path = f"{_TASKS}{_segment(task_id, _NO_TASK)}"
        async with self._sessions.lease() as shared:
            raw = await with_retries(
                lambda: self._transport.ask(shared.session, "DELETE", path), None
            )
        return FinalResponse(data=_parsed(TaskResponse, raw).data)

    async def upload(
        self, paths: Paths, report: Report | None, timeout_s: float | None
    ) -> FinalResponse[FileList]:
        """Files of this machine, sent."""
        files = await look_at(paths)
        async with self._sessions.lease() as shared:
            sent = await self._sent(shared, files, report, timeout_s)
        return FinalResponse(data=FileList(data=sent.data))

    async def files(self) -> FinalResponse[FileList]:
        """The caller's files."""
        async with self._sessions.lease() as shared:
            raw = await with_retries(
                lambda: self._transport.ask(shared.session, "GET", _FILES), None
            )
        return FinalResponse(data=_parsed(FileList, raw))

    async def delete_file(self, file_id: str) -> FinalResponse[None]:
        """One of them, deleted."""
        path = f"{_FILES}{_segment(file_id, _NO_FILE)}"
        async with self._sessions.lease() as shared:
            await with_retries(lambda: self._transport.ask(shared.session, "DELETE", path), None)
        return FinalResponse()

    async def draw(self, arguments: DrawArguments) -> FinalResponse[str | ChatCompletionResponse]:
        """Pictures."""
        body, once = _dumped(arguments.payload()), _once(arguments)
        async with self._sessions.lease() as shared:
            raw = await with_retries(
                lambda: self._transport.post(
                    shared.session, _DRAW, body, arguments.timeout, once=once
                ),
                steered(arguments.retry_action, arguments.try_num),
            )
        return _submitted(_parsed(ChatCompletionResponse, raw), arguments.mode)

    async def _routed(
        self, shared: Shared, arguments: ChatArguments, ask: Callable[[str], Awaitable[T]]
    ) -> T:
        """Ask on the model's path, with retries; on the other one where the service says so, once."""

        async def fetch() -> ModelList:
            return _parsed(ModelList, await self._transport.get(shared.session, _LISTS[ModelList]))

        retry = steered(arguments.retry_action, arguments.try_num)
        model = arguments.model
        path = _path(local=await self._channels.is_local(model, fetch, shared.lock))
        try:
            return await with_retries(lambda: ask(path), retry)
        except FengChaoAPIError as error:
            if error.status not in _PATH_MAY_BE_WRONG:
                raise
            local = await self._channels.corrected(model, error.status, fetch, shared.lock)
            other = _path(local=local)
            if other == path:
                raise
        return await with_retries(lambda: ask(other), retry)

    async def _body(self, shared: Shared, arguments: ChatArguments) -> bytes:
        payload = await arguments.payload()
        names = arguments.paths()
        if local := [name for name in names if not is_uploaded(name)]:
            sent = await self._sent(shared, await look_at(local), None, arguments.timeout)
            there = dict(zip(local, sent.files, strict=False))
            payload["files"] = [there.get(name, name) for name in names]
        return _dumped(payload)

    async def _sent(
        self,
        shared: Shared,
        files: Sequence[LocalFile],
        report: Report | None,
        timeout_s: float | None,
    ) -> UploadResponse:
        # Each attempt reads the files from their beginning.
        raw = await with_retries(
            lambda: self._transport.upload(shared.session, _UPLOAD, Form(files, report), timeout_s),
            None,
        )
        uploaded = _parsed(UploadResponse, raw)
        if uploaded.status != Code.OK or len(uploaded.files) != len(files):
            raise error_for(FinalResponse(status=uploaded.status, msg=uploaded.msg))
        return uploaded


async def _read(events: EventStream, *, finished: bool) -> AsyncGenerator[Event, None]:
    """The answers of a stream, which is closed in the end. `finished`: whether it may end before its first event."""
    try:
        while (event := await events.next()) is not None:
            answer = _parsed(ChatCompletionResponse, event)
            finished = any(choice.finish_reason for choice in answer.choices)
            yield _answered(answer)
        if not finished:
            raise error_of(Code.ACCESS_FAILED, "流式结果在结束之前中断")
    finally:
        events.close()


def _once(arguments: ChatArguments | DrawArguments) -> str | None:
    """
    What the attempts to submit a task have in common.

    Where the answer to the first is lost on its way, the second must not make another task.
    """
    return secrets.token_hex(16) if arguments.mode == "async" else None


def _path(*, local: bool) -> str:
    return _LOCAL if local else _ONLINE


def _segment(name: str, refusal: str) -> str:
    # These would be read as another path, and answered as one.
    if name in ("", ".", ".."):
        raise error_of(Code.INVALID_PARAMETER, refusal)
    return quote(name, safe="")


def _answered(answer: ChatCompletionResponse) -> Event:
    status = Code.OK if answer.status is None else answer.status
    if status != Code.OK:
        raise error_for(FinalResponse(status=status, msg=answer.msg or "", data=answer))
    return FinalResponse(data=answer)


def _submitted(
    answer: ChatCompletionResponse, mode: str
) -> FinalResponse[str | ChatCompletionResponse]:
    answered = _answered(answer)
    if mode == "async" and answer.choices:
        return FinalResponse(data=answer.choices[0].message.content)
    return answered


def _parsed(shape: type[Parsed], raw: bytes) -> Parsed:
    try:
        return shape.model_validate_json(raw)
    except ValidationError:
        # Not chained: it would repeat the answer's text.
        raise error_of(Code.ACCESS_FAILED, "服务的回答无法解析") from None


def _dumped(payload: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(payload)
    except TypeError as error:
        raise error_of(Code.INVALID_PARAMETER, "参数中有不能写成 JSON 的值") from error
