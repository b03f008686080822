"""
How a gateway is put together: settings in, opened parts out, everything owned by one exit stack.

All problems of the settings are found before anything is opened.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import structlog  # noqa: F401  # with the gateway, not with the first line that is logged: see `logs`
from pydantic import BaseModel, ValidationError

from fengchao_core.catalog import Catalog, OpenProvider, plain_card
from fengchao_core.clock import Clock
from fengchao_core.errors import SettingsError
from fengchao_core.fetch import Fetcher
from fengchao_core.files import Files
from fengchao_core.files.blobs import FolderBlobs
from fengchao_core.files.copies import Copies
from fengchao_core.files.reading import Reading
from fengchao_core.ledger import StoreLedger
from fengchao_core.ledger.bodies import Bodies
from fengchao_core.ledger.journal import journal_folder
from fengchao_core.ledger.writer import open_journal
from fengchao_core.limiter import SpentRows, Warden
from fengchao_core.live_prompts import LivePrompts
from fengchao_core.live_words import LiveWords, open_words
from fengchao_core.plugins import Plugins, load_plugins
from fengchao_core.problems import explain
from fengchao_core.prompts import load_templates
from fengchao_core.provider import ListsModels, ProviderContext, ProviderSettings, ProviderSpec
from fengchao_core.retrieval import Retriever, RetrieverSpec
from fengchao_core.searching import Searcher, searcher_of
from fengchao_core.settings import Settings, StoreSettings
from fengchao_core.store import MemoryStore, Store, StoreSpec
from fengchao_core.telemetry import Telemetry
from fengchao_core.types import ModelCard

if TYPE_CHECKING:
    from fengchao_core.sensitive import WordList

_WEIGHT = "weight"


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything a gateway is made of, open."""

    settings: Settings
    store: Store
    catalog: Catalog
    prompts: LivePrompts
    retrievers: tuple[Retriever, ...]
    searcher: Searcher | None
    words: LiveWords | None
    ledger: StoreLedger
    bodies: Bodies
    warden: Warden
    telemetry: Telemetry
    clock: Clock
    plugins: Plugins
    fetcher: Fetcher
    files: Files
    copies: Copies


@dataclass(frozen=True, slots=True)
class _Planned:
    """A provider whose settings are checked, to be opened."""

    name: str
    spec: ProviderSpec
    settings: ProviderSettings
    weight: int


@asynccontextmanager
async def assemble(
    settings: Settings, *, store: Store | None, clock: Clock, providers: Iterable[ProviderSpec]
) -> AsyncIterator[Parts]:
    """
    Open every part; leaving the context closes them in reverse, the ledger's rows written first.

    Raises:
        SettingsError, PluginError: with every problem found.
    """
    kinds = {str(raw.get("kind") or name) for name, raw in settings.providers.items()}
    plugins = load_plugins(settings.plugins, kinds=kinds)
    specs = plugins.provider_specs()
    for spec in providers:
        specs[spec.name] = spec
    planned = _plan(settings.providers, specs, plugins)
    layers = (load_templates(), *plugins.manager.hook.fengchao_prompts())
    telemetry = Telemetry()
    lists = await _wordlists(settings, plugins)

    async with AsyncExitStack() as stack:
        has_journal = False
        if store is None:
            kept_in = _store_spec(settings, plugins)
            store = await stack.enter_async_context(kept_in.open())
            has_journal = settings.ledger.journal and kept_in.name != "memory"
        prompts = LivePrompts(store.prompts, *layers)
        await prompts.open()
        words = await _open_words(settings, store, lists)
        retrievers = await _open_retrievers(settings, plugins, stack)
        opened = await _open_providers(settings, planned, clock, stack)
        files, copies = _files(settings, plugins, store, opened, clock)
        if settings.files.enabled:
            sweeper = asyncio.create_task(files.keep_swept(), name="fengchao-files")
            stack.push_async_callback(_stop, sweeper)
        catalog = Catalog(opened, settings.models, settings.routing, time.monotonic)
        searcher = searcher_of(settings.search, {each.name: each.provider for each in opened})
        journal = None
        if has_journal:
            folder = journal_folder(settings.home, settings.store.url)
            journal = open_journal(folder, settings.ledger)
        ledger = StoreLedger(
            store.usage, settings.ledger, telemetry, journal, partial(_card, catalog)
        )
        writer = asyncio.create_task(ledger.run(), name="fengchao-ledger")
        stack.push_async_callback(_finish, ledger, writer)
        bodies = Bodies(store.bodies, settings.ledger)
        scribe = asyncio.create_task(bodies.run(), name="fengchao-bodies")
        stack.push_async_callback(_finish, bodies, scribe)
        warden = Warden(settings, SpentRows(store.usage), clock, catalog.canonical)
        stack.callback(warden.close)
        followers = (prompts, warden, words) if words is not None else (prompts, warden)
        for follower in followers:
            await stack.enter_async_context(_running(follower.run()))
        yield Parts(
            settings,
            store,
            catalog,
            prompts,
            retrievers,
            searcher,
            words,
            ledger,
            bodies,
            warden,
            telemetry,
            clock,
            plugins,
            await stack.enter_async_context(Fetcher(settings.fetch)),
            files,
            copies,
        )


@asynccontextmanager
async def _running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """A task that lives as long as the context."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _card(catalog: Catalog, model: str) -> ModelCard | None:
    entry = catalog.get(model)
    return entry.card if entry is not None else None


async def _finish(ledger: StoreLedger | Bodies, writer: asyncio.Task[None]) -> None:
    await ledger.close()
    await writer


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _files(
    settings: Settings,
    plugins: Plugins,
    store: Store,
    opened: Iterable[OpenProvider],
    clock: Clock,
) -> tuple[Files, Copies]:
    readers = [spec for result in plugins.manager.hook.fengchao_readers() for spec in result]
    blobs = FolderBlobs(settings.home / settings.files.folder)
    providers = {each.name: each.provider for each in opened}
    copies = Copies(store.files, blobs, providers)
    reading = Reading(settings.files, readers)
    files = Files(settings.files, store.files, blobs, reading=reading, copies=copies, clock=clock)
    return files, copies


def _plan(
    sections: Mapping[str, Mapping[str, Any]], specs: Mapping[str, ProviderSpec], plugins: Plugins
) -> list[_Planned]:
    planned: list[_Planned] = []
    problems: list[str] = []
    quarantined = {info.name for info in plugins.infos if info.state == "quarantined"}
    for name, raw in sections.items():
        kind = str(raw.get("kind") or name)
        spec = specs.get(kind)
        if spec is None:
            if kind not in quarantined:
                problems.append(
                    f"settings: [providers.{name}]: no installed plugin brings the kind {kind!r}; "
                    f"install fengchao-{kind}, or set kind to one of: {', '.join(sorted(specs)) or 'none'}"
                )
            continue
        for label, fields, weight in _credentials(name, raw, problems):
            try:
                planned.append(
                    _Planned(
                        label, spec, spec.settings.model_validate({**fields, "kind": kind}), weight
                    )
                )
            except ValidationError as error:
                problems += explain(
                    error, spec.settings, where="settings", section=f"providers.{name}"
                )
    if problems:
        raise SettingsError(*dict.fromkeys(problems))
    return planned


def _credentials(
    name: str, raw: Mapping[str, Any], problems: list[str]
) -> Iterable[tuple[str, dict[str, Any], int]]:
    """One set of fields per credential: the section itself, or each of its `credentials` over the section."""
    common = {key: value for key, value in raw.items() if key != "credentials"}
    several = raw.get("credentials")
    if several is None:
        yield name, common, 1
        return
    if (
        not isinstance(several, list)
        or not several
        or not all(isinstance(c, dict) for c in several)
    ):
        problems.append(
            f"settings: [providers.{name}]: credentials must be tables, [[providers.{name}.credentials]]"
        )
        return
    for number, credential in enumerate(several, start=1):
        fields = {**common, **{key: value for key, value in credential.items() if key != _WEIGHT}}
        weight = credential.get(_WEIGHT, 1)
        if isinstance(weight, bool) or not isinstance(weight, int) or weight < 1:
            problems.append(
                f"settings: [providers.{name}]: weight must be a whole number of 1 or more"
            )
            weight = 1
        yield f"{name}#{number}", fields, weight


async def _open_providers(
    settings: Settings, planned: list[_Planned], clock: Clock, stack: AsyncExitStack
) -> list[OpenProvider]:
    if not planned:
        return []
    from fengchao_core.kit.http import Sessions

    limits = settings.limits.limits()
    sessions = await stack.enter_async_context(Sessions())
    opened = []
    for plan in planned:
        context = ProviderContext(plan.name, clock, limits, sessions, settings.home)
        provider = await stack.enter_async_context(plan.spec.open(plan.settings, context))
        cards, discovers = _cards(plan)
        opened.append(
            OpenProvider(
                plan.name,
                plan.spec.title,
                provider,
                cards,
                discovers and isinstance(provider, ListsModels),
                plan.weight,
            )
        )
    return opened


def _cards(plan: _Planned) -> tuple[tuple[ModelCard, ...], bool]:
    """
    The cards a provider serves, and whether its endpoint is asked for more.

    With `models` set: exactly those. Without: the plugin's cards for the vendor itself (a section named after its
    kind, or one that leaves the address alone); an endpoint elsewhere is asked, and so is a vendor of which the plugin
    knows no model to chat with.
    """
    if plan.spec.describe is not None:
        return plan.spec.describe(plan.settings), False
    known = {card.id: card for card in plan.spec.cards()}
    models = plan.settings.models
    if models is not None:
        wanted = dict(models) if isinstance(models, Mapping) else dict.fromkeys(models, "")
        cards = []
        for model, upstream in wanted.items():
            card = known.get(model) or plain_card(model, plan.spec.title)
            cards.append(_renamed(card, upstream) if upstream else card)
        return tuple(cards), False
    elsewhere = "base_url" in plan.settings.model_fields_set
    own_name = plan.name.split("#")[0] == plan.spec.name
    shown = tuple(known.values()) if own_name or not elsewhere else ()
    return shown, elsewhere or not own_name or all(card.kind != "chat" for card in shown)


def _renamed(card: ModelCard, upstream: str) -> ModelCard:
    return replace(card, upstream_id=upstream)


def _store_spec(settings: Settings, plugins: Plugins) -> StoreSpec:
    spec = plugins.manager.hook.fengchao_store(settings=settings)
    if spec is not None:
        return cast("StoreSpec", spec)
    url = settings.store.url
    if url != StoreSettings().url and not url.startswith("memory:"):
        scheme = url.split(":", 1)[0]
        raise SettingsError(
            f"settings: 'store.url' names a {scheme!r} store, but no installed plugin brings one; "
            "install fengchao-sql, or set it to 'memory:'"
        )
    return StoreSpec("memory", _open_memory)


@asynccontextmanager
async def _open_memory() -> AsyncIterator[Store]:
    yield MemoryStore()


async def _open_retrievers(
    settings: Settings, plugins: Plugins, stack: AsyncExitStack
) -> tuple[Retriever, ...]:
    specs: dict[str, RetrieverSpec] = {
        spec.name: spec for result in plugins.manager.hook.fengchao_retrievers() for spec in result
    }
    ready: list[tuple[RetrieverSpec, BaseModel]] = []
    problems = [
        f"settings: [knowledge.{name}]: no installed plugin brings this kind of knowledge base"
        for name in sorted(settings.knowledge.keys() - specs.keys())
    ]
    for name, spec in specs.items():
        try:
            ready.append((spec, spec.settings.model_validate(settings.knowledge.get(name, {}))))
        except ValidationError as error:
            problems += explain(error, spec.settings, where="settings", section=f"knowledge.{name}")
    if problems:
        raise SettingsError(*problems)
    return tuple([await stack.enter_async_context(spec.open(checked)) for spec, checked in ready])


async def _wordlists(settings: Settings, plugins: Plugins) -> list[WordList]:
    """The words that settings and plugins bring; none where the filter is switched off."""
    wanted = settings.sensitive
    if not wanted.enabled:
        return []
    lists: list[WordList] = [
        words for result in plugins.manager.hook.fengchao_wordlists() for words in result
    ]
    if wanted.wordlists or wanted.allow:
        from fengchao_core.sensitive import WordList, read_wordlists

        for path in wanted.wordlists:
            lists += await asyncio.to_thread(read_wordlists, path)
        if wanted.allow:
            lists.append(WordList("settings", allow=wanted.allow))
    return lists


async def _open_words(
    settings: Settings, store: Store, lists: Iterable[WordList]
) -> LiveWords | None:
    """The word filter; None where it is switched off."""
    if not settings.sensitive.enabled:
        return None
    folding = None
    if settings.sensitive.pinyin:
        from fengchao_core.sensitive import Folding

        folding = Folding(pinyin=True)
    return await open_words(store.words, lists, folding)
