"""
The embeddable API: the whole pipeline in this process, with no server.

    async with Gateway.open() as gateway:
        completion = await gateway.chat(ChatCall(model="glm-4", query="你好"))

One request goes through here once, top to bottom: `prepare` refuses what can be refused for free and seals the rest,
`run` asks a deployment and passes its deltas on. Whole answers, streams and (later) tasks drain the same `run`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from fengchao_core.caller import EMBEDDED, Caller
from fengchao_core.catalog import Catalog, Entry
from fengchao_core.clock import Clock, SystemClock
from fengchao_core.compose import compose
from fengchao_core.deadlines import Deadline
from fengchao_core.errors import (
    InvalidParameter,
    PermissionDenied,
    ProviderError,
    ProviderProtocolError,
    ProviderTimeout,
    UnknownKnowledge,
    WrongChannel,
)
from fengchao_core.exchange import Exchange
from fengchao_core.fold import Fold
from fengchao_core.ids import IdSource
from fengchao_core.meter import Meter
from fengchao_core.prompts import PromptTemplate
from fengchao_core.provider import DrawsImages, Embeds, ProviderSpec
from fengchao_core.retrieval import KnowledgeBase, Passage
from fengchao_core.retry import Retry, RetryPolicy
from fengchao_core.routing import Deployment, Route
from fengchao_core.settings import Settings
from fengchao_core.store import Store
from fengchao_core.types import (
    ChatCall,
    ChatRequest,
    Completion,
    Delta,
    EmbeddingRequest,
    EmbeddingResult,
    ImageRequest,
    ImageResult,
    ModelCard,
)

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from fengchao_core.assembly import Parts
    from fengchao_core.screening import Screening

_Result = TypeVar("_Result", EmbeddingResult, ImageResult)
_LONG_TEXT = 20_000
_First = tuple[AsyncGenerator[Sequence[Delta], None], Sequence[Delta]]


class Gateway:
    """
    Every model, behind one door. Open it with `Gateway.open()`; it serves any number of concurrent calls of one loop.

    Attributes:
        settings: what it was opened with.
        store: where keys and usage are kept.
    """

    def __init__(self, parts: Parts) -> None:
        self.settings: Settings = parts.settings
        self.store: Store = parts.store
        self._parts = parts
        self._catalog: Catalog = parts.catalog
        self._clock: Clock = parts.clock
        self._limits = parts.settings.limits.limits()
        self._policy = RetryPolicy(parts.settings.retry)
        self._telemetry = parts.telemetry
        self._ids = IdSource()
        self._ledger = parts.ledger

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: Settings | None = None,
        *,
        store: Store | None = None,
        clock: Clock | None = None,
        providers: Iterable[ProviderSpec] = (),
    ) -> AsyncIterator[Gateway]:
        """
        Open a gateway: load the plugins that the settings need, open their providers, start the ledger.

        Leaving the context ends all of it: calls under way are the caller's to end first; every usage row taken is
        written before it returns.

        Args:
            settings: `Settings.load()` where not given.
            store: instead of the one the settings name; it stays the caller's to close.
            clock: the machine's where not given.
            providers: further providers, beside the installed plugins'.

        Raises:
            SettingsError, PluginError: with every problem found.
        """
        from fengchao_core.assembly import assemble

        async with assemble(
            settings or Settings.load(),
            store=store,
            clock=clock or SystemClock(),
            providers=providers,
        ) as parts:
            yield cls(parts)

    def models(self) -> tuple[ModelCard, ...]:
        """Every model that can be asked now, in the order of the settings."""
        return self._catalog.cards()

    async def discover(self) -> tuple[ModelCard, ...]:
        """As `models()`, after asking the endpoints that have no cards which models they serve."""
        await self._catalog.discover()
        return self._catalog.cards()

    async def card(self, model: str) -> ModelCard:
        """The card of this id or alias. Raises `UnknownModel`."""
        return (await self._catalog.find(model)).card

    def prompts(self) -> tuple[PromptTemplate, ...]:
        """The preset instructions, in order."""
        return tuple(self._parts.prompts)

    def knowledge_bases(self) -> tuple[KnowledgeBase, ...]:
        """The knowledge bases of all retrievers."""
        return tuple(base for retriever in self._parts.retrievers for base in retriever.bases())

    async def flush(self) -> None:
        """Wait until the usage of every ended request is in the store."""
        await self._ledger.flush()

    async def chat(
        self, call: ChatCall, *, caller: Caller = EMBEDDED, retry: Retry | None = None
    ) -> Completion:
        """
        Ask, and wait for the whole answer.

        Args:
            caller: whom the usage is booked to.
            retry: how this call is retried, instead of the settings.

        Raises:
            CallError: the call is wrong, or its caller may not make it.
            SensitiveContent: a word list blocked the prompt or the answer.
            ProviderError: the vendor's side failed, after the retries and fallbacks there are.
        """
        return await self.complete(
            await self.prepare(call, stream=False, caller=caller, retry=retry)
        )

    async def stream(
        self, call: ChatCall, *, caller: Caller = EMBEDDED, retry: Retry | None = None
    ) -> AsyncGenerator[Delta, None]:
        """
        Ask, and take the answer as it comes. Consume it under `contextlib.aclosing`.

        Yields:
            deltas; per choice exactly one carries the finish reason.

        Raises:
            as `chat`; after deltas were yielded nothing is retried.
        """
        exchange = await self.prepare(call, stream=True, caller=caller, retry=retry)
        async with aclosing(self.run(exchange)) as batches:
            async for batch in batches:
                for delta in batch:
                    yield delta

    async def prepare(
        self, call: ChatCall, *, stream: bool, caller: Caller = EMBEDDED, retry: Retry | None = None
    ) -> Exchange:
        """
        Check, refuse or seal a call. Not a byte goes to a vendor; a refusal is booked like any request.

        The exchange must be drained by `run()` (or `complete()`), once.

        Raises:
            as `chat`, but for `ProviderError`.
        """
        id_ = self._ids.next()
        meter = Meter(id_, caller, call.model, streamed=stream, clock=self._clock)
        request_id = call.request_id or id_
        span = self._telemetry.start("chat", call.model)
        try:
            entry = await self._admit(call, caller)
            screening = self._screening(call)
            passages = await self._retrieve(call)
            if screening is None or call.length < _LONG_TEXT:
                messages = compose(call, self._parts.prompts, passages, screening)
            else:  # a book takes the filter longer than the other requests should wait
                messages = await asyncio.to_thread(
                    compose, call, self._parts.prompts, passages, screening
                )
            params, notes = call.params, []
            most = entry.card.max_output_tokens
            if params.max_tokens is not None and most is not None and params.max_tokens > most:
                notes.append(
                    f"max_tokens was lowered from {params.max_tokens} to {most}, the model's most"
                )
                params = replace(params, max_tokens=most)
            self._ledger.reserve(caller.key, entry.card.id)
            return Exchange(
                request_id,
                call.model,
                caller,
                entry,
                ChatRequest(
                    model=entry.card.upstream_id,
                    messages=messages,
                    params=params,
                    stream=stream,
                    request_id=request_id,
                    card=entry.deployments[0].card,
                ),
                meter,
                span,
                screening,
                retry,
                passages,
                notes,
            )
        except BaseException as error:
            self._settle("chat", meter, span, error, request_id)
            raise

    async def complete(self, exchange: Exchange) -> Completion:
        """Drain a prepared exchange into the whole answer. Raises as `chat`."""
        fold = Fold()
        async with aclosing(self.run(exchange)) as batches:
            async for batch in batches:
                fold.feed(batch)
        return exchange.complete(fold)

    async def run(self, exchange: Exchange) -> AsyncGenerator[Sequence[Delta], None]:
        """
        Ask a deployment and pass its deltas on. Consume it under `contextlib.aclosing`.

        Retries and falls back until the first delta, never after. Closing it closes the vendor's connection. Whatever
        happens, the ledger is settled once, before the generator ends.

        Yields:
            batches of deltas that arrived together.

        Raises:
            as `chat`.
        """
        if exchange.started:
            raise InvalidParameter("this exchange was run already; prepare another")
        exchange.started = True
        meter, screening = exchange.meter, exchange.screening
        failure: BaseException | None = None
        try:
            deadline = Deadline(self._limits)
            source, first = await self._first(exchange, deadline)
            async with aclosing(source):
                batch: Sequence[Delta] | None = first
                while batch is not None:
                    meter.see(batch)
                    exchange.take_notes(batch)
                    if screening is not None:
                        batch, blocked = screening.output(batch)
                        if batch:
                            yield batch
                        if blocked is not None:
                            raise blocked
                    else:
                        yield batch
                    batch = await deadline.pull(source, first=False)
            if not meter.finished:
                raise ProviderProtocolError("the provider's stream ended before its answer did")
        except BaseException as error:
            failure = error
            _name(error, meter, exchange.model)
            raise
        finally:
            if not meter.is_settled:
                self._settle("chat", meter, exchange.span, failure, exchange.request_id)

    async def embed(
        self,
        model: str,
        inputs: Sequence[str],
        *,
        dimensions: int | None = None,
        caller: Caller = EMBEDDED,
    ) -> EmbeddingResult:
        """
        Turn texts into vectors.

        Args:
            dimensions: length of the vectors, where the model lets one choose.

        Raises:
            CallError, ProviderError: as `chat`.
        """

        async def ask(deployment: Deployment) -> EmbeddingResult:
            if not isinstance(deployment.provider, Embeds):
                raise InvalidParameter(
                    f"provider {deployment.provider_name!r} makes no embeddings", param="model"
                )
            return await deployment.provider.embed(
                EmbeddingRequest(
                    model=deployment.card.upstream_id, inputs=tuple(inputs), dimensions=dimensions
                )
            )

        if not inputs or not all(inputs):
            raise InvalidParameter(
                "input must be one or more texts, none of them empty", param="input"
            )
        return await self._once("embeddings", model, "embedding", caller, ask)

    async def draw(self, request: ImageRequest, *, caller: Caller = EMBEDDED) -> ImageResult:
        """
        Draw pictures. `request.model` is the model's name as `models()` lists it.

        Raises:
            CallError, ProviderError: as `chat`.
        """

        async def ask(deployment: Deployment) -> ImageResult:
            if not isinstance(deployment.provider, DrawsImages):
                raise InvalidParameter(
                    f"provider {deployment.provider_name!r} draws no pictures", param="model"
                )
            return await deployment.provider.draw(
                replace(request, model=deployment.card.upstream_id)
            )

        return await self._once("image_generation", request.model, "image", caller, ask)

    async def _admit(self, call: ChatCall, caller: Caller) -> Entry:
        entry = await self._find(call.model, "chat", caller)
        if call.channel is not None and entry.card.is_local != (call.channel == "local"):
            kind = "a local model" if entry.card.is_local else "an online model"
            raise WrongChannel(
                f"model {entry.card.id!r} is {kind}; ask it on that channel",
                is_local=entry.card.is_local,
            )
        return entry

    async def _find(self, model: str, kind: str, caller: Caller) -> Entry:
        entry = self._catalog.get(model) or await self._catalog.find(model)
        if caller.models and entry.card.id not in caller.models:
            raise PermissionDenied(f"this key may not use model {entry.card.id!r}", param="model")
        if entry.card.kind != kind:
            raise InvalidParameter(
                f"model {entry.card.id!r} is for {entry.card.kind}, not for {kind}", param="model"
            )
        return entry

    def _screening(self, call: ChatCall) -> Screening | None:
        words = self._parts.words
        if words is None or not call.is_sensitive:
            return None
        from fengchao_core.screening import Screening  # loaded only where there are words

        return Screening(words.current, replace=call.sensitive_replace, telemetry=self._telemetry)

    async def _retrieve(self, call: ChatCall) -> tuple[Passage, ...]:
        if not call.knowledge:
            return ()
        for retriever in self._parts.retrievers:
            if any(base.id == call.knowledge for base in retriever.bases()):
                return await retriever.retrieve(
                    call.knowledge,
                    call.query or "",
                    top_k=call.knowledge_top_k,
                    threshold=call.knowledge_threshold,
                )
        known = ", ".join(repr(base.id) for base in self.knowledge_bases()) or "none"
        raise UnknownKnowledge(f"no knowledge base of this name; known: {known}", param="knowledge")

    async def _first(self, exchange: Exchange, deadline: Deadline) -> _First:
        """The provider's stream and its first batch, after as many attempts as it takes."""
        route = self._route(exchange.entry)

        async def ask(deployment: Deployment) -> _First:
            request = exchange.request
            if deployment.card is not request.card:
                request = replace(request, model=deployment.card.upstream_id, card=deployment.card)
            exchange.meter.asking(deployment.provider_name, deployment.card, request.messages)
            source = deployment.provider.stream(request)
            try:
                first = await deadline.pull(source, first=True)
                if first is None:
                    raise ProviderProtocolError("the provider's stream ended without an answer")
            except BaseException:
                await source.aclose()
                raise
            return source, first

        return await self._policy.run(partial(route.ask, ask), exchange.retry, deadline.remaining_s)

    def _route(self, entry: Entry) -> Route:
        groups = [entry.deployments]
        for name in entry.fallbacks:
            fallback = self._catalog.get(name)
            if fallback is not None:
                groups.append(fallback.deployments)
        return Route(groups)

    async def _once(
        self,
        operation: str,
        model: str,
        kind: str,
        caller: Caller,
        ask: Callable[[Deployment], Awaitable[_Result]],
    ) -> _Result:
        """One request that is answered in one piece: metered, limited in time, retried by the one policy."""
        request_id = self._ids.next()
        meter = Meter(request_id, caller, model, streamed=False, clock=self._clock)
        span = self._telemetry.start(operation, model)
        failure: BaseException | None = None
        try:
            entry = await self._find(model, kind, caller)
            self._ledger.reserve(caller.key, entry.card.id)
            route = self._route(entry)
            deadline = Deadline(self._limits)

            async def limited(deployment: Deployment) -> _Result:
                meter.asking(deployment.provider_name, deployment.card)
                limit = min(self._limits.first_delta_s, deadline.remaining_s)
                timeout = asyncio.timeout(limit)
                try:
                    async with timeout:
                        return await ask(deployment)
                except TimeoutError as error:
                    if timeout.expired():
                        raise ProviderTimeout("first delta", limit) from error
                    raise

            result = await self._policy.run(partial(route.ask, limited), None, deadline.remaining_s)
            meter.count(result.usage)
            return result
        except BaseException as error:
            failure = error
            _name(error, meter, model)
            raise
        finally:
            self._settle(operation, meter, span, failure, request_id)

    def _settle(
        self, operation: str, meter: Meter, span: Span, error: BaseException | None, request_id: str
    ) -> None:
        row = meter.close(error, request_id)
        self._ledger.settle(row)
        self._telemetry.end(span, operation, row)


def _name(error: BaseException, meter: Meter, model: str) -> None:
    """Put in what the plugin cannot know."""
    if isinstance(error, ProviderError):
        error.provider = error.provider or meter.provider
        error.model = model
        error.attempts = meter.attempts
