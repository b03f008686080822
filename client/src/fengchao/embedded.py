"""
A gateway in this process, as a backend: the same answers and codes as over HTTP, with no server.

What goes in and comes out passes through `fengchao.wire.bridge`, as it does in the server. Only the errors that the house
raises on purpose become answers; a programming mistake in this process stays the exception it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, TypeVar, cast

from fengchao.arguments import ChatArguments, DrawArguments
from fengchao.backend import Listing
from fengchao.errors import error_for, error_of
from fengchao.retry import steered
from fengchao.wire.bridge import (
    answer,
    drawn,
    failed,
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
    FinalResponse,
    KGList,
    ModelList,
    PromptList,
)
from fengchao.wire.request import ChatBody, check_chat_body, check_draw_body
from fengchao.wire.tasks import KINDS, submit_chat, task_result
from fengchao_core.caller import EMBEDDED
from fengchao_core.errors import FengChaoError
from fengchao_core.gateway import Gateway

if TYPE_CHECKING:
    from fengchao_core.exchange import Exchange
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

    async def listing(self, what: Listing) -> FinalResponse:
        """A list."""
        if what == "models":
            models = model_list(await self._gateway.discover())
            return FinalResponse(data=ModelList.model_validate(models))
        if what == "prompts":
            prompts = prompt_list(self._gateway.prompts())
            return FinalResponse(data=PromptList.model_validate(prompts))
        return FinalResponse(data=KGList.model_validate(kg_list(self._gateway.knowledge_bases())))

    async def chat(self, arguments: ChatArguments) -> FinalResponse:
        """A whole answer."""
        with _as_answers(arguments):
            async with asyncio.timeout(self._limit(arguments)):
                body = check_chat_body(await arguments.payload())
                if body.mode in ("async", "async_result"):
                    return await self._task(body)
                exchange = await self._prepared(body, arguments, stream=False)
                completion = await self._gateway.complete(exchange)
        whole = answer(completion, exchange.passages, as_json=wants_json(body))
        return FinalResponse(data=ChatCompletionResponse.model_validate(whole))

    async def stream(self, arguments: ChatArguments) -> AsyncGenerator[FinalResponse, None]:
        """The events of an answer."""
        limit_s = self._limit(arguments)
        with _as_answers(arguments):
            body = check_chat_body(await arguments.payload())
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

    async def draw(self, arguments: DrawArguments) -> FinalResponse:
        """Pictures."""
        limit_s = self._timeout_s if arguments.timeout is None else arguments.timeout
        with _as_answers(arguments):
            async with asyncio.timeout(limit_s):
                body = check_draw_body(arguments.payload())
                result = await self._gateway.draw(to_draw_call(body))
        return FinalResponse(data=ChatCompletionResponse.model_validate(drawn(result, body.model)))

    async def _task(self, body: ChatBody) -> FinalResponse:
        gateway = self._gateway
        gateway.jobs.register(*KINDS)
        if body.mode == "async":
            submitted = await submit_chat(gateway, body, None, EMBEDDED)
            return FinalResponse(data=submitted["choices"][0]["message"]["content"])
        whole = await task_result(gateway, body, EMBEDDED)
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
def _as_answers(arguments: ChatArguments | DrawArguments) -> Iterator[None]:
    try:
        yield
    except (FengChaoError, BodyError) as error:
        said = status_of(error)
        data = None
        if said.http_status == Code.OK:
            whole = failed(said, request_id=arguments.request_id, model=arguments.model)
            data = ChatCompletionResponse.model_validate(whole)
        response = FinalResponse(status=said.body_status, msg=said.msg, data=data)
        raise error_for(response) from error
    except TimeoutError as error:
        raise error_of(Code.TIMEOUT, "服务未在时限内回答") from error


async def _within(limit_s: float | None, step: Callable[[], Awaitable[T]]) -> T:
    async with asyncio.timeout(limit_s):
        return await step()
