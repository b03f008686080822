"""
The pipeline: one request, from its checks to the settling of the ledger.

`prepare` refuses what can be refused for free and seals the rest. `run` asks a deployment and passes its deltas on, and
`once` asks for what comes in one piece. Whatever happens, each request leaves one usage row.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from fengchao_core.aggregate import gather
from fengchao_core.caller import Caller
from fengchao_core.catalog import Entry
from fengchao_core.compose import compose, screened_passages, screened_texts
from fengchao_core.counting import can_count, count_tokens
from fengchao_core.deadlines import Deadline
from fengchao_core.draining import Drains
from fengchao_core.errors import (
    FengChaoError,
    InvalidParameter,
    PermissionDenied,
    ProviderError,
    ProviderProtocolError,
    ProviderTimeout,
    UnknownKnowledge,
    WrongChannel,
)
from fengchao_core.exchange import Exchange
from fengchao_core.files import OpenFile
from fengchao_core.files.attaching import Native, documents, notes_of, shown
from fengchao_core.foreign import text_length
from fengchao_core.gathering import Gathering
from fengchao_core.holding import HELD
from fengchao_core.ids import IdSource
from fengchao_core.media import check_capable, media_of, needs_of, resolve
from fengchao_core.meter import Meter
from fengchao_core.reservation import reserve_chat, reserve_once
from fengchao_core.retrieval import Passage, Retriever
from fengchao_core.retry import Retry, RetryPolicy
from fengchao_core.routing import Deployment, Route
from fengchao_core.searching import with_pages
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
    ModelCard,
)
from fengchao_core.window import Fitted, check_history, fit

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from fengchao_core.assembly import Parts
    from fengchao_core.screening import CleanTexts, Screening

_Result = TypeVar("_Result", EmbeddingResult, ImageResult)
_First = tuple[AsyncGenerator[Sequence[Delta], None], Sequence[Delta]]

_LONG_TEXT = 20_000
"""Characters beyond which a prompt is screened and measured in a thread."""

_LONG_PIECE = 4_000
"""Characters of an answer that arrive together beyond which they are screened in a thread: many may follow at once."""


class Pipeline:
    """What every request of a gateway goes through. Serves any number of concurrent calls of one loop."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._catalog = parts.catalog
        self._clock = parts.clock
        self._limits = parts.settings.limits.limits()
        self._policy = RetryPolicy(parts.settings.retry)
        self._telemetry = parts.telemetry
        self._ledger = parts.ledger
        self._warden = parts.warden
        self._ids = IdSource()
        self._known: CleanTexts | None = None
        self._drains = Drains()
        self._drained = frozenset(
            model
            for model, changes in parts.settings.models.items()
            if changes.on_disconnect == "drain"
        )
        self._counts: set[asyncio.Task[None]] = set()

    async def prepare(
        self, call: ChatCall, *, stream: bool, caller: Caller, retry: Retry | None
    ) -> Exchange:
        """As `Gateway.prepare`."""
        id_ = self._ids.next()
        meter = Meter(id_, caller, call.model, streamed=stream, clock=self._clock)
        request_id = call.request_id or id_
        span = self._telemetry.start("chat", call.model)
        try:
            entry = await self._admit(call, caller)
            await self._follow()
            screening = self._screening(
                is_sensitive=call.is_sensitive, replace_words=call.sensitive_replace
            )
            passages = screened_passages(await self._retrieve(call), screening)
            gathered: Gathered | None = None
            files: tuple[OpenFile, ...] = ()
            if call.wants_more or call.files:
                asked = call
                gathering = Gathering(self, self._parts, caller, screening)
                if call.wants_more:
                    gathered = await gathering.check(asked)
                if call.files:
                    call, files = await self._open_files(call, caller)
                if gathered is not None:
                    await gathering.search(gathered, asked, id_, request_id)
            fitted = await self._fitted(
                call, passages, gathered, screening, entry.card, files=files
            )
            messages = fitted.messages
            needs: frozenset[Capability] = frozenset()
            if call.attachments or call.messages:
                messages, needs = await self._look_at_media(call, messages, entry)
            params, notes = call.params, [*fitted.notes]
            most = entry.card.max_output_tokens
            if params.max_tokens is not None and most is not None and params.max_tokens > most:
                notes.append(
                    f"max_tokens was lowered from {params.max_tokens} to {most}, the model's most"
                )
                params = replace(params, max_tokens=most)
            likely = entry.deployments[0].card  # with one deployment, the request is used as it is
            exchange = Exchange(
                request_id,
                call.model,
                caller,
                entry,
                ChatRequest(
                    model=likely.upstream_id,
                    messages=messages,
                    params=params,
                    stream=stream,
                    request_id=request_id,
                    card=likely,
                ),
                meter,
                span,
                screening,
                retry,
                passages,
                notes,
                needs=needs,
                gathered=gathered,
            )
            if fitted.question is not None:
                exchange.native = Native.of(files, messages, fitted.question)
            if self._ledger.is_journalled or caller.is_limited:
                exchange.reservation = reserve_chat(
                    id_,
                    likely,
                    fitted.messages,
                    params,
                    request_id=request_id,
                    key=caller.key,
                    group=caller.group,
                    model=call.model,
                    streamed=stream,
                    started_at=meter.started_at,
                )
                if caller.is_limited:
                    meter.hold = await self._warden.reserve(caller, exchange.reservation)
        except BaseException as error:
            self._settle("chat", meter, span, error, request_id)
            raise
        return exchange

    async def check(self, call: ChatCall, *, caller: Caller) -> None:
        """As `Gateway.check`."""
        id_ = self._ids.next()
        meter = Meter(id_, caller, call.model, streamed=False, clock=self._clock)
        try:
            entry = await self._admit(call, caller)
            await self._follow()
            if call.knowledge:
                self._retriever(call.knowledge)
            screening = self._screening(
                is_sensitive=call.is_sensitive, replace_words=call.sensitive_replace
            )
            if call.wants_more:
                await Gathering(self, self._parts, caller, screening).check(call)
            files: tuple[OpenFile, ...] = ()
            if call.files:
                call, files = await self._open_files(call, caller)
            await self._fitted(call, (), None, screening, entry.card, files=files)
        except BaseException as error:
            span = self._telemetry.start("chat", call.model)
            self._settle("chat", meter, span, error, call.request_id or id_)
            raise

    def run(self, exchange: Exchange) -> AsyncGenerator[Sequence[Delta], None]:
        """As `Gateway.run`."""
        batches = self._run(exchange)
        if exchange.card.id in self._drained:
            return self._drains.pass_on(batches, exchange.meter.caller_left)
        return batches

    async def close(self) -> None:
        """Cut the answers that are read for callers who left, and book what is being counted."""
        await self._drains.close()
        if self._counts:
            await asyncio.wait(self._counts)

    async def _run(self, exchange: Exchange) -> AsyncGenerator[Sequence[Delta], None]:
        if exchange.started:
            raise InvalidParameter("this exchange was run already; prepare another")
        exchange.started = True
        meter, screening = exchange.meter, exchange.screening
        failure: BaseException | None = None
        deadline = Deadline(self._limits)
        if exchange.reservation is not None:
            self._ledger.reserve(exchange.reservation)
        try:
            if exchange.gathered is not None:
                await gather(self, exchange, self._parts.settings.aggregate.wait_s)
            source, first = await self._first(exchange, deadline)
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
                    batch = await deadline.pull(source, first=False)
            finally:
                await source.aclose()
            if not meter.finished:
                raise ProviderProtocolError("the provider's stream ended before its answer did")
            if meter.is_uncounted:
                await self._count(exchange)
        except BaseException as error:
            failure = error
            meter.failed(error)
            _name(error, meter, exchange.model)
            raise
        finally:
            deadline.stop()
            if not meter.is_settled:
                if failure is not None and meter.is_uncounted:
                    self._settle_counted(exchange, failure)
                else:
                    self._settle("chat", meter, exchange.span, failure, exchange.request_id)

    async def branch(
        self,
        exchange: Exchange,
        label: str,
        *,
        model: str,
        messages: tuple[Message, ...],
        params: ChatParams,
    ) -> Exchange:
        """
        A further request that an exchange makes on its way, whole and booked on its own.

        Args:
            label: ends the id of its usage row, which begins with that of the exchange's row.
            messages: checked and screened already.

        Raises:
            CallError: the caller may not ask this model.
        """
        id_ = f"{exchange.meter.id}-{label}"
        caller = exchange.caller
        meter = Meter(id_, caller, model, streamed=False, clock=self._clock)
        span = self._telemetry.start("chat", model)
        try:
            entry = await self.find(model, "chat", caller)
            check_capable(entry.card, exchange.needs, self._catalog.cards())
        except BaseException as error:
            self._settle("chat", meter, span, error, exchange.request_id)
            raise
        likely = entry.deployments[0].card
        most = likely.max_output_tokens
        if most is not None and params.max_tokens is not None and params.max_tokens > most:
            params = replace(params, max_tokens=most)
        other = Exchange(
            exchange.request_id,
            model,
            caller,
            entry,
            ChatRequest(
                model=likely.upstream_id,
                messages=messages,
                params=params,
                request_id=id_,
                card=likely,
            ),
            meter,
            span,
            exchange.screening.anew() if exchange.screening is not None else None,
            needs=exchange.needs,
        )
        if self._ledger.is_journalled or caller.is_limited:
            other.reservation = reserve_chat(
                id_,
                likely,
                messages,
                params,
                request_id=exchange.request_id,
                key=caller.key,
                group=caller.group,
                model=model,
                streamed=False,
                started_at=meter.started_at,
            )
            if caller.is_limited:
                try:
                    meter.hold = await self._warden.reserve(caller, other.reservation, is_part=True)
                except BaseException as error:
                    self._settle("chat", meter, span, error, exchange.request_id)
                    raise
        return other

    @contextmanager
    def booked(
        self, operation: str, model: str, caller: Caller, *, id_: str, request_id: str
    ) -> Iterator[Meter]:
        """One request that is answered in one piece, from its arrival to its usage row; no limits of time, no retries."""
        meter = Meter(id_, caller, model, streamed=False, clock=self._clock, operation=operation)
        span = self._telemetry.start(operation, model)
        failure: BaseException | None = None
        try:
            yield meter
        except BaseException as error:
            failure = error
            _name(error, meter, model)
            raise
        finally:
            self._settle(operation, meter, span, failure, request_id)

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
        id_ = self._ids.next()
        with self.booked("embeddings", model, caller, id_=id_, request_id=id_) as meter:
            await self.find(model, "embedding", caller)
            await self._follow()
            screening = self._screening(is_sensitive=is_sensitive, replace_words=False)
            if screening is not None:
                if sum(map(len, texts)) < _LONG_TEXT:
                    texts = screened_texts(texts, screening)
                else:
                    texts = await asyncio.to_thread(screened_texts, texts, screening)
            clean = tuple(texts)
            return await self._once(
                meter,
                "embeddings",
                model,
                "embedding",
                caller,
                lambda deployment: ask(deployment, clean),
                clean,
            )

    async def draw(self, call: DrawCall, caller: Caller) -> ImageResult:
        """As `Gateway.draw`."""
        from fengchao_core.drawing import Drawing  # loaded only where somebody draws

        id_ = self._ids.next()
        request_id = call.request_id or id_
        operation = "image_generation"
        with self.booked(operation, call.model, caller, id_=id_, request_id=request_id) as meter:
            drawing = Drawing(await self._image_request(call, caller), [])
            texts = (drawing.request.prompt,)
            result = await self._once(
                meter, operation, call.model, "image", caller, drawing.ask, texts, call.n or 1
            )
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
            id_, operation = self._ids.next(), "image_generation"
            request_id = call.request_id or id_
            with self.booked(operation, call.model, caller, id_=id_, request_id=request_id):
                raise error  # noqa: TRY201  # it is the refusal that is booked

    async def _image_request(self, call: DrawCall, caller: Caller) -> ImageRequest:
        from fengchao_core.drawing import request_of  # loaded only where somebody draws

        await self.find(call.model, "image", caller)
        await self._follow()
        screening = self._screening(
            is_sensitive=call.is_sensitive, replace_words=call.sensitive_replace
        )
        return request_of(call, self._parts.prompts.library, screening)

    async def _once(  # noqa: PLR0917  # one call has one caller each
        self,
        meter: Meter,
        operation: str,
        model: str,
        kind: str,
        caller: Caller,
        ask: Callable[[Deployment], Awaitable[_Result]],
        texts: Sequence[str],
        images: int = 0,
    ) -> _Result:
        """
        What is answered in one piece: reserved, limited in time, retried by the one policy.

        Args:
            texts: what goes in, for the estimates.
            images: how many pictures are asked for.
        """
        entry = await self.find(model, kind, caller)
        await self.reserve(meter, entry.card, texts, caller, operation, model=model, images=images)
        route = self._route(entry)
        deadline = Deadline(self._limits)

        async def limited(deployment: Deployment) -> _Result:
            self._asking(meter, deployment, meter.id)
            limit = min(self._limits.first_delta_s, deadline.remaining_s)
            timeout = asyncio.timeout(limit)
            try:
                async with timeout:
                    return await ask(deployment)
            except TimeoutError as error:
                if timeout.expired():
                    raise ProviderTimeout("first delta", limit) from error
                raise
            except ProviderError as error:
                meter.failed(error)
                raise

        result = await self._policy.run(partial(route.ask, limited), None, deadline.remaining_s)
        meter.count(result, texts)
        return result

    async def reserve(  # as `reserve_once`
        self,
        meter: Meter,
        card: ModelCard,
        texts: Sequence[str],
        caller: Caller,
        operation: str,
        *,
        model: str,
        images: int = 0,
        is_part: bool = False,
    ) -> None:
        """
        Say what a request that is answered in one piece is expected to use, before a vendor is asked.

        Args:
            is_part: whether it is made on the way of another request, which has its place already.

        Raises:
            LimitExceeded, PermissionDenied: the caller may not use so much.
        """
        if self._ledger.is_journalled or caller.is_limited:
            reservation = reserve_once(
                meter.id,
                card,
                texts,
                key=caller.key,
                group=caller.group,
                model=model,
                images=images,
                started_at=meter.started_at,
                operation=operation,
            )
            if caller.is_limited:
                meter.hold = await self._warden.reserve(caller, reservation, is_part=is_part)
            self._ledger.reserve(reservation)

    async def _admit(self, call: ChatCall, caller: Caller) -> Entry:
        entry = await self.find(call.model, "chat", caller)
        if call.channel is not None and entry.card.is_local != (call.channel == "local"):
            kind = "a local model" if entry.card.is_local else "an online model"
            raise WrongChannel(
                f"model {entry.card.id!r} is {kind}; ask it on that channel",
                is_local=entry.card.is_local,
            )
        return entry

    async def find(self, model: str, kind: str, caller: Caller) -> Entry:
        """The model, where the caller may ask it. Raises `CallError`."""
        entry = self._catalog.get(model) or await self._catalog.find(model)
        if caller.models and entry.card.id not in caller.models:
            raise PermissionDenied(f"this key may not use model {entry.card.id!r}", param="model")
        if entry.card.kind != kind:
            raise InvalidParameter(
                f"model {entry.card.id!r} is for {entry.card.kind}, not for {kind}", param="model"
            )
        return entry

    async def _open_files(
        self, call: ChatCall, caller: Caller
    ) -> tuple[ChatCall, tuple[OpenFile, ...]]:
        """The call with the pictures and films among its files, and all of them."""
        files = await self._parts.files.open(call.files, caller)
        parts = await shown(self._parts.files, files)
        return replace(call, attachments=(*parts, *call.attachments)), files

    async def _fitted(
        self,
        call: ChatCall,
        passages: tuple[Passage, ...],
        gathered: Gathered | None,
        screening: Screening | None,
        card: ModelCard,
        *,
        files: tuple[OpenFile, ...],
    ) -> Fitted:
        if call.length + sum(file.record.chars or 0 for file in files) < _LONG_TEXT:
            return self._fit(call, passages, gathered, screening, card, files=files)
        # A book takes the filter longer than the other requests should wait.
        return await asyncio.to_thread(
            self._fit, call, passages, gathered, screening, card, files=files
        )

    def _fit(
        self,
        call: ChatCall,
        passages: tuple[Passage, ...],
        gathered: Gathered | None,
        screening: Screening | None,
        card: ModelCard,
        *,
        files: tuple[OpenFile, ...],
    ) -> Fitted:
        """The conversation to send. A caller that brings its own messages minds their order and length itself."""
        if call.history:
            check_history(call.history)
        messages = compose(call, self._parts.prompts.library, passages, screening)
        if gathered is not None and gathered.pages:
            most = self._parts.settings.search.page_chars
            messages = with_pages(messages, gathered.pages, most, card.max_input_tokens)
        if call.messages:
            return Fitted(messages)
        if not files:
            return fit(messages, card.max_input_tokens)
        texts, are_own = documents(files, None if screening is None else screening.input)
        fitted = fit(messages, card.max_input_tokens, texts)
        # A vendor may read a file itself only where that says the same as what was screened and is sent of it.
        may_read = bool(texts) and are_own and fitted.is_whole
        return fitted._replace(
            notes=(*notes_of(files), *fitted.notes),
            question=messages[-1] if may_read else None,
        )

    async def _look_at_media(
        self, call: ChatCall, messages: tuple[Message, ...], entry: Entry
    ) -> tuple[tuple[Message, ...], frozenset[Capability]]:
        """The conversation with its pictures and films as they can be sent, and what a model needs for them."""
        media = media_of(messages)
        if not media:
            return messages, frozenset()
        needs = needs_of(media)
        check_capable(entry.card, needs, self._catalog.cards())
        checks = not call.messages
        if checks or not self._all_take_addresses(entry, needs):
            most = self._parts.settings.fetch.max_bytes
            messages = await resolve(messages, self._parts.fetcher, most, checks_data=checks)
        return messages, needs

    def _all_take_addresses(self, entry: Entry, needs: frozenset[Capability]) -> bool:
        groups = self._groups(entry, needs)
        return all(each.provider.takes_addresses for group in groups for each in group)

    async def _follow(self) -> None:
        """See what operators changed since the last request: two looks into memory, if nothing."""
        prompts, words = self._parts.prompts, self._parts.words
        if prompts.is_stale:
            await prompts.refresh()
        if words is not None and words.is_stale:
            await words.refresh()

    def _screening(self, *, is_sensitive: bool, replace_words: bool) -> Screening | None:
        words = self._parts.words
        lexicon = words.lexicon if words is not None and is_sensitive else None
        if lexicon is None:
            return None
        known = self._known
        if known is None or known.lexicon is not lexicon:
            from fengchao_core.screening import CleanTexts  # loaded only where there are words

            known = self._known = CleanTexts(lexicon)
        if self._parts.settings.sensitive.log_text:
            from fengchao_core.screening_log import LoggedScreening  # rare

            return LoggedScreening(known, replace=replace_words, telemetry=self._telemetry)
        return known.screening(replace=replace_words, telemetry=self._telemetry)

    async def _retrieve(self, call: ChatCall) -> tuple[Passage, ...]:
        if not call.knowledge:
            return ()
        return await self._retriever(call.knowledge).retrieve(
            call.knowledge,
            call.query or "",
            top_k=call.knowledge_top_k,
            threshold=call.knowledge_threshold,
        )

    def _retriever(self, knowledge: str) -> Retriever:
        for retriever in self._parts.retrievers:
            if any(base.id == knowledge for base in retriever.bases()):
                return retriever
        known = ", ".join(
            repr(base.id) for retriever in self._parts.retrievers for base in retriever.bases()
        )
        raise UnknownKnowledge(
            f"no knowledge base of this name; known: {known or 'none'}", param="knowledge"
        )

    async def _first(self, exchange: Exchange, deadline: Deadline) -> _First:
        """The provider's stream and its first batch, after as many attempts as it takes."""
        route = self._route(exchange.entry, exchange.needs)

        async def ask(deployment: Deployment) -> _First:
            request = exchange.request
            if deployment.card is not request.card:
                request = replace(request, model=deployment.card.upstream_id, card=deployment.card)
            if exchange.native is None:
                return await open_stream(deployment, request)
            try:
                async with asyncio.timeout(deadline.remaining_s) as limit:
                    return await exchange.native.ask(
                        deployment,
                        request,
                        self._parts.copies,
                        exchange.notes,
                        partial(open_stream, deployment),
                    )
            except TimeoutError:
                if limit.expired():
                    raise ProviderTimeout("total", self._limits.total_s) from None
                raise

        async def open_stream(deployment: Deployment, request: ChatRequest) -> _First:
            if request.params.response_format is not None:
                from fengchao_core.structured import fitted  # loaded only where it is wanted

                request = fitted(request)
            self._asking(exchange.meter, deployment, exchange.request_id, request.messages)
            exchange.asked = deployment.provider
            source = deployment.provider.stream(request)
            try:
                first = await deadline.pull(source, first=True)
                if first is None:
                    raise ProviderProtocolError("the provider's stream ended without an answer")
            except BaseException as error:
                exchange.meter.failed(error)
                await source.aclose()
                raise
            return source, first

        return await self._policy.run(partial(route.ask, ask), exchange.retry, deadline.remaining_s)

    def _route(self, entry: Entry, needs: frozenset[Capability] = frozenset()) -> Route:
        return Route(self._groups(entry, needs))

    def _groups(self, entry: Entry, needs: frozenset[Capability]) -> list[list[Deployment]]:
        """Who may be asked, the model's own deployments first; fallbacks only where they can do what is needed."""
        groups = [entry.deployments]
        for name in entry.fallbacks:
            fallback = self._catalog.get(name)
            if fallback is not None and (
                not needs or needs <= fallback.card.capabilities or not fallback.card.is_known
            ):
                groups.append(fallback.deployments)
        return groups

    def _asking(
        self,
        meter: Meter,
        deployment: Deployment,
        request_id: str,
        messages: Sequence[Message] = (),
    ) -> None:
        """A vendor is about to be asked; what an earlier attempt cost is booked for itself."""
        if meter.usage.source != "none":
            row = meter.retried(request_id)
            self._ledger.settle(row)
            if meter.hold is not None:
                meter.hold.count(row)
        meter.asking(deployment.provider_name, deployment.card, messages)

    async def _count(self, exchange: Exchange) -> None:
        """Ask the model's tokenizer what its vendor did not say."""
        meter = exchange.meter
        if exchange.asked is not None:
            usage = await count_tokens(exchange.asked, exchange.request, meter.answer)
            if usage is not None:
                meter.usage = usage

    def _settle_counted(self, exchange: Exchange, error: BaseException) -> None:
        """Settle an answer that was broken off: whoever broke it off does not wait until it is counted."""
        settle = partial(
            self._settle, "chat", exchange.meter, exchange.span, error, exchange.request_id
        )
        if not can_count(exchange.asked):
            settle()
            return

        async def count() -> None:
            await self._count(exchange)
            settle()

        task = asyncio.create_task(count(), name="fengchao-count")
        self._counts.add(task)
        task.add_done_callback(self._counts.discard)

    def _settle(
        self, operation: str, meter: Meter, span: Span, error: BaseException | None, request_id: str
    ) -> None:
        row = meter.close(error, request_id)
        if meter.hold is not None:
            meter.hold.settle(row)
        held = HELD.get()
        if held is None or not held.take(row):
            self._ledger.settle(row)
        self._telemetry.end(span, operation, row)


def _name(error: BaseException, meter: Meter, model: str) -> None:
    """Put in what the plugin cannot know."""
    if isinstance(error, ProviderError):
        error.provider = error.provider or meter.provider
        error.model = model
        error.attempts = meter.attempts


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
