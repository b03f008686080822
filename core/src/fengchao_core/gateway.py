"""
The embeddable API: the whole pipeline in this process, with no server.

    async with Gateway.open() as gateway:
        completion = await gateway.chat(ChatCall(model="glm-4", query="你好"))

Whole answers and streams drain the same `run` of the pipeline; `prepare` and `run` are open to those who answer in a shape
of their own, as the server does.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from fengchao_core.caller import EMBEDDED, Caller
from fengchao_core.clock import Clock, SystemClock
from fengchao_core.errors import InvalidParameter
from fengchao_core.exchange import Exchange
from fengchao_core.fold import Fold
from fengchao_core.prompts import PromptTemplate
from fengchao_core.provider import Embeds, ModelState, ProviderSpec, TellsState
from fengchao_core.rates import RatesLeft
from fengchao_core.reports import Dimension, UsageQuery
from fengchao_core.retrieval import KnowledgeBase
from fengchao_core.retry import Retry
from fengchao_core.routing import Deployment
from fengchao_core.settings import Settings
from fengchao_core.store import Store
from fengchao_core.types import (
    ChatCall,
    Completion,
    Delta,
    DrawCall,
    EmbeddingRequest,
    EmbeddingResult,
    ImageResult,
    ModelCard,
)

if TYPE_CHECKING:
    from fengchao_core.account import Account
    from fengchao_core.assembly import Parts
    from fengchao_core.files import Files
    from fengchao_core.jobs import Jobs
    from fengchao_core.live_words import LiveWords
    from fengchao_core.prompt_keeping import PromptKeeper
    from fengchao_core.store.audit import Journal
    from fengchao_core.word_keeping import WordKeeper


class Gateway:
    """
    Every model, behind one door. Open it with `Gateway.open()`; it serves any number of concurrent calls of one loop.

    Attributes:
        settings: what it was opened with.
        store: where keys and usage are kept.
        files: what callers uploaded.
    """

    def __init__(self, parts: Parts) -> None:
        from fengchao_core.pipeline import Pipeline  # as `assemble`: loaded where one is opened

        self.settings: Settings = parts.settings
        self.store: Store = parts.store
        self.files: Files = parts.files
        self._parts = parts
        self._catalog = parts.catalog
        self._pipeline = Pipeline(parts)
        self._jobs: Jobs | None = None

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
            gateway = cls(parts)
            try:
                yield gateway
            finally:
                if gateway._jobs is not None:
                    await gateway._jobs.close()
                await gateway._pipeline.close()

    @property
    def jobs(self) -> Jobs:
        """Asynchronous tasks. The first use begins to run them, see `Jobs`."""
        if self._jobs is None:
            from fengchao_core.jobs import Jobs  # loaded only where there are tasks

            self._jobs = Jobs(self, ledger=self._parts.ledger, clock=self._parts.clock)
        return self._jobs

    def models(self) -> tuple[ModelCard, ...]:
        """Every model that can be asked now, in the order of the settings."""
        return self._catalog.cards()

    async def discover(self) -> tuple[ModelCard, ...]:
        """As `models()`, after asking the endpoints that have no cards which models they serve."""
        await self._catalog.discover()
        return self._catalog.cards()

    def states(self) -> dict[str, tuple[ModelState, ...]]:
        """How the models that must be loaded fare, by their ids: one state for each deployment that tells."""
        found: dict[str, tuple[ModelState, ...]] = {}
        for entry in self._catalog.entries():
            states = [
                deployment.provider.model_state(deployment.card.upstream_id)
                for deployment in entry.deployments
                if isinstance(deployment.provider, TellsState)
            ]
            if told := tuple(state for state in states if state is not None):
                found[entry.card.id] = told
        return found

    async def card(self, model: str) -> ModelCard:
        """The card of this id or alias. Raises `UnknownModel`."""
        return (await self._catalog.find(model)).card

    def prompts(self) -> tuple[PromptTemplate, ...]:
        """The preset instructions, in order."""
        return tuple(self._parts.prompts.library)

    @property
    def words(self) -> LiveWords | None:
        """The sensitive words in force; None where the filter is switched off."""
        return self._parts.words

    def word_keeper(self, journal: Journal | None = None) -> WordKeeper:
        """What operators do to the sensitive words: add, change, remove, import, export."""
        from fengchao_core.word_keeping import WordKeeper

        return WordKeeper(self.store.words, journal=journal, clock=self._parts.clock)

    def prompt_keeper(self, journal: Journal | None = None) -> PromptKeeper:
        """What operators do to the preset instructions: add, edit, roll back, remove."""
        from fengchao_core.prompt_keeping import PromptKeeper

        parts = self._parts
        return PromptKeeper(
            self.store.prompts, parts.prompts.layers, journal=journal, clock=parts.clock
        )

    async def refresh(self) -> None:
        """Bring in force what other processes of this machine changed of words and presets. Costs nothing if nothing."""
        parts = self._parts
        for follower in (parts.prompts, parts.words):
            if follower is not None and follower.is_stale:
                await follower.refresh()

    def knowledge_bases(self) -> tuple[KnowledgeBase, ...]:
        """The knowledge bases of all retrievers."""
        return tuple(base for retriever in self._parts.retrievers for base in retriever.bases())

    async def open_limits(self) -> None:
        """Read now what was spent before, instead of when the first caller comes who has limits."""
        await self._parts.warden.open()

    def rates_left(self, caller: Caller, model: str) -> RatesLeft | None:
        """What is left of a caller's rates for a model; None where it has none, or nobody limited asked yet."""
        entry = self._catalog.get(model) if caller.is_limited else None
        return self._parts.warden.rates(caller, entry.card.id) if entry is not None else None

    async def account(
        self,
        caller: Caller = EMBEDDED,
        *,
        by: tuple[Dimension, ...] = ("model",),
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Account:
        """
        What a caller used, and what is left of its limits. Of requests that ended a moment ago the sums may know nothing yet.

        Args:
            since: the first instant, aware; None: from the beginning of the month, UTC.
            until: the first instant after; None: up to now.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        from fengchao_core.account import Account

        if since is None:
            now = self._parts.clock.now()
            since = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        query = UsageQuery(by=by, since=since, until=until, key=caller.key)
        budgets = await self._parts.warden.budgets(caller)
        return Account(
            query=query,
            sums=await self.store.usage.sums(query),
            budgets=budgets,
            rates=self._parts.warden.rates(caller, "") if caller.is_limited else None,
        )

    async def flush(self) -> None:
        """Wait until the usage of every ended request is in the store, and its body where bodies are kept."""
        await self._parts.ledger.flush()
        await self._parts.bodies.flush()

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
        return await self._pipeline.prepare(call, stream=stream, caller=caller, retry=retry)

    async def check(self, call: ChatCall, *, caller: Caller = EMBEDDED) -> None:
        """
        Refuse now what `prepare` would refuse, for a call that is made later. A refusal is booked like any request.

        Raises:
            as `prepare`, but for what limits the caller at the time of the call.
        """
        await self._pipeline.check(call, caller=caller)

    def run(self, exchange: Exchange) -> AsyncGenerator[Sequence[Delta], None]:
        """
        Ask a deployment and pass its deltas on. Consume it under `contextlib.aclosing`.

        Retries and falls back until the first delta, never after. Closing it closes the vendor's connection. Whatever
        happens, the ledger is settled once, before the generator ends.

        Yields:
            batches of deltas that arrived together.

        Raises:
            as `chat`.
        """
        return self._pipeline.run(exchange)

    async def complete(self, exchange: Exchange) -> Completion:
        """
        Drain a prepared exchange into the whole answer. Raises as `chat`.

        An answer that must be JSON is checked, and asked for once more where it is none: `Completion.is_json` says
        what came of it.
        """
        fold = Fold()
        batches = self.run(exchange)
        try:  # as `aclosing`; a generator that has ended by itself need not be closed
            async for batch in batches:
                fold.feed(batch)
        except BaseException:
            await batches.aclose()
            raise
        completion = exchange.complete(fold)
        if exchange.request.params.response_format is not None:
            from fengchao_core.structured import mended  # loaded only where it is wanted

            completion = await mended(self._pipeline, exchange, completion)
        return completion

    async def embed(
        self,
        model: str,
        inputs: Sequence[str],
        *,
        dimensions: int | None = None,
        is_sensitive: bool = True,
        caller: Caller = EMBEDDED,
    ) -> EmbeddingResult:
        """
        Turn texts into vectors.

        Args:
            dimensions: length of the vectors, where the model lets one choose.
            is_sensitive: screen the words of the texts.

        Raises:
            CallError, SensitiveContent, ProviderError: as `chat`.
        """

        async def ask(deployment: Deployment, texts: tuple[str, ...]) -> EmbeddingResult:
            if not isinstance(deployment.provider, Embeds):
                raise InvalidParameter(
                    f"provider {deployment.provider_name!r} makes no embeddings", param="model"
                )
            return await deployment.provider.embed(
                EmbeddingRequest(
                    model=deployment.card.upstream_id, inputs=texts, dimensions=dimensions
                )
            )

        if not inputs or not all(inputs):
            raise InvalidParameter(
                "input must be one or more texts, none of them empty", param="input"
            )
        return await self._pipeline.embed(
            model, caller, ask, texts=inputs, is_sensitive=is_sensitive
        )

    async def draw(self, call: DrawCall, *, caller: Caller = EMBEDDED) -> ImageResult:
        """
        Draw pictures. What the vendor lacks is told in the prompt or asked for one by one; `notes` says so.

        Raises:
            CallError: the call is wrong, or its caller may not make it.
            SensitiveContent: a word list blocked the prompt.
            ProviderError: the vendor's side failed, after the retries and fallbacks there are.
        """
        return await self._pipeline.draw(call, caller)

    async def check_draw(self, call: DrawCall, *, caller: Caller = EMBEDDED) -> None:
        """
        Refuse now what `draw` would refuse for free, for a call that is made later. A refusal is booked like any request.

        Raises:
            CallError, SensitiveContent: as `draw`.
        """
        await self._pipeline.check_draw(call, caller)
