"""
The hooks: called once each while the gateway opens, in the main thread, with no loop needed.

A hook returns descriptions (specs). It opens nothing, reads no environment and is never a coroutine; what must be
awaited belongs into the spec's `open`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from fengchao_core.prompts import PromptTemplate
    from fengchao_core.provider import ProviderSpec, SandboxSpec
    from fengchao_core.readers import ReaderSpec
    from fengchao_core.retrieval import RetrieverSpec
    from fengchao_core.sensitive import WordList
    from fengchao_core.settings import Settings
    from fengchao_core.store import StoreSpec

PROJECT = "fengchao"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def fengchao_providers() -> Iterable[ProviderSpec]:  # type: ignore[empty-body]  # a hook specification has no body
    """Vendors and local engines."""


@hookspec
def fengchao_retrievers() -> Iterable[RetrieverSpec]:  # type: ignore[empty-body]  # as above
    """Knowledge bases."""


@hookspec
def fengchao_prompts() -> Iterable[PromptTemplate]:  # type: ignore[empty-body]  # as above
    """Preset instructions."""


@hookspec
def fengchao_wordlists() -> Iterable[WordList]:  # type: ignore[empty-body]  # as above
    """Sensitive words, by category."""


@hookspec
def fengchao_readers() -> Iterable[ReaderSpec]:  # type: ignore[empty-body]  # as above
    """Readers of documents."""


@hookspec(firstresult=True)
def fengchao_store(settings: Settings) -> StoreSpec | None:
    """Where keys, usage, jobs and files are kept; None leaves it to the next plugin."""


@hookspec
def fengchao_sandboxes() -> Iterable[SandboxSpec]:  # type: ignore[empty-body]  # as above
    """Local emulators of vendors."""
