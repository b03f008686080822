"""
A gateway in this process, as a backend: the same answers and codes as over HTTP, with no server.

What goes in and comes out passes through `fengchao.wire.bridge`, as it does in the server. Only the errors that the house
raises on purpose become answers; a programming mistake in this process stays the exception it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar, cast

from fengchao.arguments import ChatArguments, DrawArguments, checked_start
from fengchao.backend import Event, Listing
from fengchao.errors import error_for, error_of
from fengchao.retry import steered
from fengchao.uploads import (
    LocalFile,
    Paths,
    Progress,
    Report,
    is_uploaded,
    look_at,
)
from fengchao.wire.bridge import (
    answer,
    drawn,
    failed,
    file_list,
    kg_list,
    model_list,
    prompt_list,
    to_call,
    to_draw_call,
    wants_json,
)
from fengchao.wire.codes import BodyError, Code, status_of
from fengchao.wire.events import AnswerEvents
from fengchao.wire.models import (
    ChatCompletionResponse,
    FileList,
    FinalResponse,
    ModelList,
    PromptList,
    TaskCard,
    TaskList,
)
from fengchao.wire.request import ChatBody, DrawBody, check_chat_body, check_draw_body
from fengchao.wire.tasks import (
    KINDS,
    open_chat_stream,
    submit_chat,
    submit_drawing,
    task_card,
    task_id_of,
    task_list,
)
from fengchao.wire.usage import BY, UsageReport, usage_report
from fengchao_core.caller import EMBEDDED
from fengchao_core.errors import FengChaoError
from fengchao_core.gateway import Gateway
from fengchao_core.store import FileRecord

if TYPE_CHECKING:
    from fengchao_core.exchange import Exchange
    from fengchao_core.jobs import Jobs
    from fengchao_core.retry import Retry as CoreRetry

T = TypeVar("T")


class EmbeddedBackend:
    """
    An open gateway; it stays its owner's to close.

    Args:
        timeout_s: as over HTTP: of a whole answer, and of each wait for a streamed answer's next events. None leaves it to
            the gateway's own limits.
    """

    def __init__(self, gateway: Gateway, *, timeout_s: float | None) -> None:
        self._gateway = gateway
        self._timeout_s = timeout_s

    async def open(self) -> None:
        """Nothing to keep: the gateway is open."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def listing(self, shape: type[Listing]) -> FinalResponse[Listing]:
        """A list."""
        if shape is ModelList:
            found = model_list(await self._gateway.discover())
        elif shape is PromptList:
            found = prompt_list(self._gateway.prompts())
        else:
            found = kg_list(self._gateway.knowledge_bases())
        return FinalResponse(data=shape.model_validate(found))

    async def chat(self, arguments: ChatArguments) -> FinalResponse[str | ChatCompletionResponse]:
        """A whole answer."""
        with _as_answers(arguments):
            async with asyncio.timeout(self._limit(arguments)):
                body = await self._body(arguments)
                if body.mode in ("async", "async_result"):
                    return await self._task(body)
                exchange = await self._prepared(body, arguments, stream=False)
                completion = await self._gateway.complete(exchange)
        whole = answer(completion, exchange.passages, as_json=wants_json(body))
        return FinalResponse(data=ChatCompletionResponse.model_validate(whole))

    async def stream(self, arguments: ChatArguments) -> AsyncGenerator[Event, None]:
        """The events of an answer."""
        limit_s = self._limit(arguments)
        with _as_answers(arguments):
            body = await self._body(arguments)
            if body.resumable:
                id_ = await open_chat_stream(self._gateway, body, None, EMBEDDED)
        if body.resumable:
            async with aclosing(self.attach(id_, 0, limit_s)) as resumable:
                async for answer in resumable:
                    yield answer
            return
        with _as_answers(arguments):
            exchange = await self._prepared(body, arguments, stream=True)
        events = AnswerEvents(exchange)
        async with aclosing(self._gateway.run(exchange)) as batches:
            while True:
                with _as_answers(arguments):
                    batch = await _within(limit_s, lambda: anext(batches, None))
                if batch is None:
                    break
                for event in events.events(batch):
                    yield FinalResponse(data=ChatCompletionResponse.model_validate(event))
        yield FinalResponse(data=ChatCompletionResponse.model_validate(events.last()))

    async def upload(
        self, paths: Paths, report: Report | None, timeout_s: float | None
    ) -> FinalResponse[FileList]:
        """Files of this machine, given to the gateway."""
        with _as_answers():
            async with asyncio.timeout(self._timeout_s if timeout_s is None else timeout_s):
                records = await self._taken(paths, report)
        return FinalResponse(data=FileList.model_validate(file_list(records)))

    async def files(self) -> FinalResponse[FileList]:
        """The files of this process."""
        records = await self._gateway.files.all(EMBEDDED)
        return FinalResponse(data=FileList.model_validate(file_list(records)))

    async def delete_file(self, file_id: str) -> FinalResponse[None]:
        """One of them, deleted."""
        with _as_answers():
            await self._gateway.files.delete(file_id, EMBEDDED)
        return FinalResponse()

    async def _taken(self, paths: Paths, report: Report | None) -> list[FileRecord]:
        files = await look_at(paths)
        total, sent = sum(file.size for file in files), 0

        async def told(file: LocalFile) -> AsyncIterator[bytes]:
            nonlocal sent
            async for piece in file.pieces():
                yield piece
                sent += len(piece)
                if report is not None:
                    report(Progress(file.name, sent, total))

        records: list[FileRecord] = []
        try:
            for file in files:
                record = await self._gateway.files.add(file.name, told(file), caller=EMBEDDED)
                records.append(record)
        except BaseException:
            for record in records:
                await self._gateway.files.delete(record.id, EMBEDDED)
            raise
        return records

    async def _body(self, arguments: ChatArguments) -> ChatBody:
        payload = await arguments.payload()
        names = arguments.paths()
        if local := [name for name in names if not is_uploaded(name)]:
            there = dict(zip(local, await self._taken(local, None), strict=True))
            payload["files"] = [there[n].id if n in there else n for n in names]
        return check_chat_body(payload)

    async def draw(self, arguments: DrawArguments) -> FinalResponse[str | ChatCompletionResponse]:
        """Pictures."""
        limit_s = self._timeout_s if arguments.timeout is None else arguments.timeout
        with _as_answers(arguments):
            async with asyncio.timeout(limit_s):
                body = check_draw_body(arguments.payload())
                if body.mode != "invoke":
                    return await self._task(body)
                result = await self._gateway.draw(to_draw_call(body))
        return FinalResponse(data=ChatCompletionResponse.model_validate(drawn(result, body.model)))

    async def result(self, task_id: str) -> FinalResponse[ChatCompletionResponse]:
        """The answer of an asynchronous task."""
        with _as_answers():
            asked = check_chat_body({"mode": "async_result", "task_id": task_id})
            whole = await self._jobs.result(task_id_of(asked))
        return FinalResponse(data=ChatCompletionResponse.model_validate(whole))

    async def usage(
        self, by: str, since: str | None, until: str | None
    ) -> FinalResponse[UsageReport]:
        """What this process used."""
        with _as_answers():
            if by not in BY:
                raise BodyError(f"by 应为 {' 或 '.join(BY)}", param="by")
            account = await self._gateway.account(
                by=("day",) if by == "day" else ("model",),
                since=_instant(since, "since"),
                until=_instant(until, "until"),
            )
        return FinalResponse(data=UsageReport.model_validate(usage_report(account)))

    async def tasks(self, limit: int) -> FinalResponse[TaskList]:
        """The asynchronous tasks."""
        with _as_answers():
            if limit < 1:
                raise BodyError("limit 应为不小于 1 的整数", param="limit")
            listed = task_list(await self._jobs.list(limit=limit))
        return FinalResponse(data=TaskList.model_validate(listed))

    async def cancel(self, task_id: str) -> FinalResponse[TaskCard]:
        """End one of them."""
        with _as_answers():
            card = task_card(await self._jobs.cancel(task_id))
        return FinalResponse(data=TaskCard.model_validate(card))

    async def attach(
        self, task_id: str, start: int, timeout_s: float | None
    ) -> AsyncGenerator[Event, None]:
        """The events of a resumable stream, from number `start` on."""
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        first = checked_start(start)
        async with aclosing(self._jobs.events(task_id, start=first)) as batches:
            while True:
                with _as_answers():
                    batch = await _within(limit_s, lambda: anext(batches, None))
                if batch is None:
                    break
                for event in batch:
                    yield FinalResponse(data=ChatCompletionResponse.model_validate_json(event))

    @property
    def _jobs(self) -> Jobs:
        jobs = self._gateway.jobs
        jobs.register(*KINDS)
        return jobs

    async def _task(self, body: ChatBody | DrawBody) -> FinalResponse[str | ChatCompletionResponse]:
        jobs = self._jobs
        if body.mode == "async":
            if isinstance(body, DrawBody):
                submitted = await submit_drawing(self._gateway, body, EMBEDDED)
            else:
                submitted = await submit_chat(self._gateway, body, None, EMBEDDED)
            return FinalResponse(data=submitted["choices"][0]["message"]["content"])
        whole = await jobs.result(task_id_of(body))
        return FinalResponse(data=ChatCompletionResponse.model_validate(whole))

    async def _prepared(
        self, body: ChatBody, arguments: ChatArguments, *, stream: bool
    ) -> Exchange:
        retry = steered(arguments.retry_action, arguments.try_num)
        return await self._gateway.prepare(
            to_call(body, None),
            stream=stream,
            # The same three hooks and the same number, by the promise of both packages; neither imports the other's.
            retry=cast("CoreRetry | None", retry),
        )

    def _limit(self, arguments: ChatArguments) -> float | None:
        return self._timeout_s if arguments.timeout is None else arguments.timeout


@contextmanager
def _as_answers(
    arguments: ChatArguments | DrawArguments | None = None,
) -> Iterator[None]:
    try:
        yield
    except (FengChaoError, BodyError) as error:
        said = status_of(error)
        data = None
        if said.http_status == Code.OK:
            asked = (None, None) if arguments is None else (arguments.request_id, arguments.model)
            whole = failed(said, request_id=asked[0], model=asked[1])
            data = ChatCompletionResponse.model_validate(whole)
        response: Event = FinalResponse(status=said.body_status, msg=said.msg, data=data)
        raise error_for(response) from error
    except TimeoutError as error:
        raise error_of(Code.TIMEOUT, "服务未在时限内回答") from error


async def _within(limit_s: float | None, step: Callable[[], Awaitable[T]]) -> T:
    async with asyncio.timeout(limit_s):
        return await step()


def _instant(text: str | None, param: str) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BodyError(
            "since 与 until 应为日期，例如 2026-11-21，或带时区的时间", param=param
        ) from None
    return found if found.utcoffset() is not None else found.replace(tzinfo=UTC)
