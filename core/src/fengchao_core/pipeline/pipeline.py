"""
One request, from its checks to the settling of the ledger.

`prepare` refuses what can be refused for free and seals the rest. `run` asks a deployment and passes its deltas on; `embed`
and `draw` ask for what comes in one piece. Whatever happens, each request leaves one usage row.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fengchao_core.aggregate import gather
from fengchao_core.caller import Caller
from fengchao_core.catalog import Entry
from fengchao_core.compose import screened_passages, screened_texts
from fengchao_core.draining import Drains
from fengchao_core.errors import FengChaoError, InvalidParameter, ProviderProtocolError
from fengchao_core.exchange import Exchange
from fengchao_core.files import OpenFile
from fengchao_core.files.attaching import Native
from fengchao_core.foreign import text_length
from fengchao_core.media import check_capable
from fengchao_core.pipeline.admission import LONG_TEXT, Admission
from fengchao_core.pipeline.asking import Asking
from fengchao_core.pipeline.books import Books, name_failure
from fengchao_core.pipeline.gathering import Gathering
from fengchao_core.retrieval import Passage
from fengchao_core.retry import Retry
from fengchao_core.routing import Deployment
from fengchao_core.types import (
    Capability,
    ChatCall,
    ChatParams,
    ChatRequest,
    Delta,
    DrawCall,
    EmbeddingResult,
    Gathered,
    ImageRequest,
    ImageResult,
    Message,
)

if TYPE_CHECKING:
    from fengchao_core.assembly import Parts

_LONG_PIECE = 4_000
"""Characters of an answer that arrive together beyond which they are screened in a thread: many may follow at once."""


class Pipeline:
    """What every request of a gateway goes through. Serves any number of concurrent calls of one loop."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._books = Books(parts)
        self._admission = Admission(parts)
        self._asking = Asking(parts, self._books)
        self._drains = Drains()
        self._bodies = parts.bodies if parts.bodies.are_kept else None
        self._drained = frozenset(
            model
            for model, changes in parts.settings.models.items()
            if changes.on_disconnect == "drain"
        )

    async def prepare(
        self, call: ChatCall, *, stream: bool, caller: Caller, retry: Retry | None
    ) -> Exchange:
        """As `Gateway.prepare`."""
        admission = self._admission
        id_ = self._books.ids.next()
        meter = self._books.meter(id_, caller, call.model, streamed=stream)
        request_id = call.request_id or id_
        span = self._books.telemetry.start("chat", call.model)
        try:
            entry = self._parts.catalog.get(call.model) or await self._parts.catalog.find(
                call.model
            )
            admission.admit(call, entry, caller)
            if admission.is_stale:
                await admission.follow()
            screening = admission.screening(
                is_sensitive=call.is_sensitive, replace_words=call.sensitive_replace
            )
            passages: tuple[Passage, ...] = ()
            if call.knowledge:
                passages = screened_passages(await admission.retrieve(call), screening)
            gathered: Gathered | None = None
            files: tuple[OpenFile, ...] = ()
            if call.wants_more or call.files:
                asked = call
                gathering = Gathering(admission, self._books, self._parts, caller, screening)
                if call.wants_more:
                    gathered = await gathering.check(asked)
                if call.files:
                    call, files = await admission.open_files(call, caller)
                if gathered is not None:
                    await gathering.search(gathered, asked, id_, request_id)
            card = entry.card
            if admission.is_long(call, files):
                fitted = await asyncio.to_thread(
                    admission.fitted, call, passages, gathered, screening, card, files=files
                )
            else:
                fitted = admission.fitted(call, passages, gathered, screening, card, files=files)
            messages = fitted.messages
            needs: frozenset[Capability] = frozenset()
            if call.attachments or call.messages:
                messages, needs = await admission.look_at_media(call, messages, entry)
            request, note = sealed(entry, messages, call.params, request_id, stream=stream)
            exchange = Exchange(
                request_id,
                call.model,
                caller,
                entry,
                request,
                meter,
                span,
                screening,
                retry,
                passages,
                [*fitted.notes, *note],
                needs=needs,
                gathered=gathered,
            )
            if fitted.question is not None:
                exchange.native = Native.of(files, messages, fitted.question)
            await self._books.reserve_chat(exchange, fitted.messages, is_part=False)
        except BaseException as error:
            self._books.settle("chat", meter, span, error, request_id)
            raise
        return exchange

    async def check(self, call: ChatCall, *, caller: Caller) -> None:
        """As `Gateway.check`."""
        admission = self._admission
        id_ = self._books.ids.next()
        meter = self._books.meter(id_, caller, call.model)
        try:
            entry = self._parts.catalog.get(call.model) or await self._parts.catalog.find(
                call.model
            )
            admission.admit(call, entry, caller)
            if admission.is_stale:
                await admission.follow()
            if call.knowledge:
                admission.retriever(call.knowledge)
            screening = admission.screening(
                is_sensitive=call.is_sensitive, replace_words=call.sensitive_replace
            )
            if call.wants_more:
                await Gathering(admission, self._books, self._parts, caller, screening).check(call)
            files: tuple[OpenFile, ...] = ()
            if call.files:
                call, files = await admission.open_files(call, caller)
            card = entry.card
            if admission.is_long(call, files):
                await asyncio.to_thread(
                    admission.fitted, call, (), None, screening, card, files=files
                )
            else:
                admission.fitted(call, (), None, screening, card, files=files)
        except BaseException as error:
            span = self._books.telemetry.start("chat", call.model)
            self._books.settle("chat", meter, span, error, call.request_id or id_)
            raise

    def run(self, exchange: Exchange) -> AsyncGenerator[Sequence[Delta], None]:
        """As `Gateway.run`."""
        batches = self._run(exchange)
        if self._bodies is not None:
            from fengchao_core.pipeline.recording import (
                recorded,
            )  # loaded only where bodies are kept

            batches = recorded(self._bodies, exchange, batches)
        if exchange.card.id in self._drained:
            return self._drains.pass_on(batches, exchange.meter.caller_left)
        return batches

    async def close(self) -> None:
        """Cut the answers that are read for callers who left, and book what is being counted."""
        await self._drains.close()
        await self._books.close()
        self._asking.close()

    async def _run(self, exchange: Exchange) -> AsyncGenerator[Sequence[Delta], None]:
        if exchange.started:
            raise InvalidParameter("this exchange was run already; prepare another")
        exchange.started = True
        meter, screening = exchange.meter, exchange.screening
        failure: BaseException | None = None
        deadline = self._asking.deadline()
        try:
            self._books.begin(exchange)
            if exchange.gathered is not None:
                await gather(self, exchange, self._parts.settings.aggregate.wait_s)
            groups = self._admission.groups(exchange.entry, exchange.needs)
            source, first = await self._asking.first(exchange, deadline, groups)
            try:  # what `aclosing` does, without its two coroutines
                batch: Sequence[Delta] | None = first
                while batch is not None:
                    meter.see(batch)
                    exchange.take_notes(batch)
                    if screening is not None:
                        batch, blocked = (
                            await asyncio.to_thread(screening.output, batch)
                            if _is_long(batch)
                            else screening.output(batch)
                        )
                        if batch:
                            yield batch
                        if blocked is not None:
                            raise blocked
                    else:
                        yield batch
                    if meter.is_over(exchange.request):
                        break
                    with deadline.step(first=False):
                        batch = await anext(source, None)
            finally:
                await source.aclose()
            if not meter.finished:
                raise ProviderProtocolError("the provider's stream ended before its answer did")
            if meter.is_uncounted:
                await self._books.count(exchange)
        except BaseException as error:
            failure = error
            meter.failed(error)
            name_failure(error, meter, exchange.model)
            raise
        finally:
            deadline.stop()
            if not meter.is_settled:
                if failure is not None and meter.is_uncounted:
                    self._books.settle_counted(exchange, failure)
                else:
                    self._books.settle("chat", meter, exchange.span, failure, exchange.request_id)
            failure = None  # its traceback holds this frame

    async def branch(
        self,
        exchange: Exchange,
        label: str,
        *,
        model: str,
        messages: tuple[Message, ...],
        params: ChatParams,
    ) -> Exchange:
        """As `Branching.branch`."""
        id_ = f"{exchange.meter.id}-{label}"
        caller = exchange.caller
        meter = self._books.meter(id_, caller, model)
        span = self._books.telemetry.start("chat", model)
        try:
            entry = await self._admission.find(model, "chat", caller)
            check_capable(entry.card, exchange.needs, self._parts.catalog.cards())
        except BaseException as error:
            self._books.settle("chat", meter, span, error, exchange.request_id)
            raise
        request, _ = sealed(entry, messages, params, id_, stream=False)
        other = Exchange(
            exchange.request_id,
            model,
            caller,
            entry,
            request,
            meter,
            span,
            exchange.screening.anew() if exchange.screening is not None else None,
            needs=exchange.needs,
        )
        try:
            await self._books.reserve_chat(other, messages, is_part=True)
        except BaseException as error:
            self._books.settle("chat", meter, span, error, exchange.request_id)
            raise
        return other

    async def embed(
        self,
        model: str,
        caller: Caller,
        ask: Callable[[Deployment, tuple[str, ...]], Awaitable[EmbeddingResult]],
        *,
        texts: Sequence[str],
        is_sensitive: bool,
    ) -> EmbeddingResult:
        """As `Gateway.embed`."""
        admission = self._admission
        id_ = self._books.ids.next()
        with self._books.booked("embeddings", model, caller, id_=id_, request_id=id_) as meter:
            entry = await admission.find(model, "embedding", caller)
            if admission.is_stale:
                await admission.follow()
            screening = admission.screening(is_sensitive=is_sensitive, replace_words=False)
            if screening is not None:
                if sum(map(len, texts)) < LONG_TEXT:
                    texts = screened_texts(texts, screening)
                else:
                    texts = await asyncio.to_thread(screened_texts, texts, screening)
            clean = tuple(texts)
            await self._books.reserve(meter, entry.card, clean, caller, "embeddings", model=model)
            groups = admission.groups(entry)
            return await self._asking.once(
                meter, lambda deployment: ask(deployment, clean), groups, clean
            )

    async def draw(self, call: DrawCall, caller: Caller) -> ImageResult:
        """As `Gateway.draw`."""
        from fengchao_core.drawing import Drawing  # loaded only where somebody draws

        id_ = self._books.ids.next()
        request_id = call.request_id or id_
        operation = "image_generation"
        with self._books.booked(
            operation, call.model, caller, id_=id_, request_id=request_id
        ) as meter:
            entry, request = await self._image_request(call, caller)
            drawing = Drawing(request, [])
            texts = (request.prompt,)
            await self._books.reserve(
                meter, entry.card, texts, caller, operation, model=call.model, images=call.n or 1
            )
            groups = self._admission.groups(entry)
            result = await self._asking.once(meter, drawing.ask, groups, texts)
        return replace(
            result,
            usage=meter.usage,
            request_id=request_id,
            cost=meter.cost,
            created=result.created or meter.started_at.timestamp(),
        )

    async def check_draw(self, call: DrawCall, caller: Caller) -> None:
        """As `Gateway.check_draw`."""
        try:
            await self._image_request(call, caller)
        except FengChaoError as error:
            id_, operation = self._books.ids.next(), "image_generation"
            request_id = call.request_id or id_
            with self._books.booked(operation, call.model, caller, id_=id_, request_id=request_id):
                raise error  # noqa: TRY201  # it is the refusal that is booked

    async def _image_request(self, call: DrawCall, caller: Caller) -> tuple[Entry, ImageRequest]:
        from fengchao_core.drawing import request_of  # loaded only where somebody draws

        admission = self._admission
        entry = await admission.find(call.model, "image", caller)
        if admission.is_stale:
            await admission.follow()
        screening = admission.screening(
            is_sensitive=call.is_sensitive, replace_words=call.sensitive_replace
        )
        return entry, request_of(call, self._parts.prompts.library, screening)


def sealed(
    entry: Entry,
    messages: tuple[Message, ...],
    params: ChatParams,
    request_id: str,
    *,
    stream: bool,
) -> tuple[ChatRequest, tuple[str, ...]]:
    """What is sent to the deployment that is asked most likely, and what was adapted for it."""
    likely = entry.deployments[0].card  # with one deployment, the request is used as it is
    most = entry.card.max_output_tokens
    notes: tuple[str, ...] = ()
    if params.max_tokens is not None and most is not None and params.max_tokens > most:
        notes = (f"max_tokens was lowered from {params.max_tokens} to {most}, the model's most",)
        params = replace(params, max_tokens=most)
    request = ChatRequest(
        model=likely.upstream_id,
        messages=messages,
        params=params,
        stream=stream,
        request_id=request_id,
        card=likely,
    )
    return request, notes


def _is_long(batch: Sequence[Delta]) -> bool:
    """Whether screening a batch takes longer than the other requests should wait."""
    length = 0
    for delta in batch:
        length += len(delta.text) + len(delta.reasoning)
        if delta.tool_calls:
            length += sum([len(call.arguments) for call in delta.tool_calls])
        if delta.extra:
            length += text_length(delta.extra)
    return length > _LONG_PIECE
