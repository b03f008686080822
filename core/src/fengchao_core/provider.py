"""
What a provider is: one abstract method, `stream`, and a few optional capabilities.

A plugin returns a `ProviderSpec` from its `fengchao_providers` hook. The gateway reads the provider's settings section
through the spec's settings class, enters `spec.open(settings, context)` on its own exit stack, and from then on only
calls the object it got. A provider never retries, never measures time, never books usage: the pipeline does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from fengchao_core.clock import Clock
from fengchao_core.types import (
    ChatRequest,
    Delta,
    EmbeddingRequest,
    EmbeddingResult,
    ImageRequest,
    ImageResult,
    ModelCard,
    SearchRequest,
    SearchResult,
)

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import ClientSession, web
    from yarl import URL


class Provider(ABC):
    """
    A vendor or a local engine, ready to answer.

    One object serves any number of concurrent calls. The gateway closes it by leaving the context that opened it.

    Attributes:
        takes_addresses: whether its vendor fetches pictures and films by their addresses; where not, the gateway does and
            sends them as data.
    """

    takes_addresses: ClassVar[bool] = True

    @abstractmethod
    def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        """
        Answer a request.

        Written as an async generator. Each item is a batch: the deltas that arrived together (decoded from one network
        read, say). Batches let a burst of events cross the pipeline in one step; a provider that gets one event at a
        time yields batches of one. With `request.stream` False the provider should ask the vendor for the whole
        answer and yield it as one batch.

        Closing the generator, or cancelling the task that drives it, closes the vendor's connection at once.

        Yields:
            batches of deltas in order; for each choice exactly one delta with a finish reason.

        Raises:
            ProviderError: of the narrowest class; never after the last delta.
            InvalidParameter: the request asks for a feature this vendor lacks.
        """


@runtime_checkable
class Embeds(Protocol):
    """A provider that turns texts into vectors."""

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResult:
        """Vectors in the order of the inputs. Raises `ProviderError`."""
        ...


@runtime_checkable
class DrawsImages(Protocol):
    """A provider that draws pictures."""

    async def draw(self, request: ImageRequest) -> ImageResult:
        """Draw. Raises `ProviderError`."""
        ...


@runtime_checkable
class SearchesWeb(Protocol):
    """A provider that searches the web, with no model at work."""

    async def search_web(self, request: SearchRequest) -> SearchResult:
        """The pages found, best first. Raises `ProviderError`."""
        ...


@runtime_checkable
class KeepsFiles(Protocol):
    """A provider whose vendor takes files and lets messages refer to them."""

    async def upload(self, filename: str, content: bytes, *, purpose: str) -> str:
        """Upload a file; returns the vendor's id of it. Raises `ProviderError`."""
        ...

    async def delete(self, file_id: str) -> None:
        """Delete an uploaded file. Raises `ProviderError`."""
        ...


@runtime_checkable
class AnswersFromFiles(KeepsFiles, Protocol):
    """
    A provider whose models answer from files that a message names, by `FilePart.file_id`.

    Attributes:
        chat_purpose: what such files are uploaded for, in the vendor's word.
    """

    chat_purpose: str


@runtime_checkable
class CountsTokens(Protocol):
    """A provider that can say how long a prompt is before it is sent."""

    async def count_tokens(self, request: ChatRequest) -> int:
        """Input tokens of the request. Raises `ProviderError`."""
        ...


@runtime_checkable
class ListsModels(Protocol):
    """A provider that can ask its endpoint which models it serves."""

    async def list_models(self) -> tuple[str, ...]:
        """The endpoint's own model names. Raises `ProviderError`."""
        ...


@dataclass(frozen=True, slots=True)
class ModelState:
    """
    How a model that must be loaded fares.

    Attributes:
        state: `idle` (loaded when first asked), `loading`, `ready`, `failed` (not tried again by itself) or `down`
            (crashed, and started again after a pause).
        progress: of loading, 0 to 1.
        detail: what is known of it in one English sentence: why it failed, where it runs.
        queued: requests that wait for a place.
        running: requests under way.
    """

    state: Literal["idle", "loading", "ready", "failed", "down"]
    progress: float | None = None
    detail: str = ""
    queued: int = 0
    running: int = 0


@runtime_checkable
class TellsState(Protocol):
    """A provider whose models must be loaded before they can answer."""

    def model_state(self, model: str) -> ModelState | None:
        """How a model fares now, by its upstream id, without waiting; None where it is not this provider's."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """
    The four time limits of a call, in seconds. Each is always in force.

    Attributes:
        connect_s: until a connection to the vendor stands.
        first_delta_s: from sending until the first batch of deltas.
        idle_s: between two batches.
        total_s: the whole call, retries included.
    """

    connect_s: float = 10.0
    first_delta_s: float = 120.0
    idle_s: float = 60.0
    total_s: float = 600.0


class ProviderSettings(BaseModel):
    """
    The settings every provider has; a plugin adds its own fields in a subclass (secrets as `SecretStr`).

    Attributes:
        kind: which plugin serves this section; the section's own name where not given.
        base_url: where the vendor is. Always settable, so that a sandbox, a proxy or a private endpoint can stand in.
        models: the ids to serve: a list, or a table from id to the vendor's name; all cards of the plugin where absent.
        max_connections: open connections to the vendor at most; calls beyond that wait.
        proxy: an HTTP proxy to go through.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    kind: str = ""
    base_url: str = ""
    models: tuple[str, ...] | dict[str, str] | None = None
    max_connections: int = Field(default=1000, ge=1)
    proxy: str | None = None


class SessionPool(Protocol):
    """Pooled HTTP sessions, one per vendor origin."""

    def session(self, url: URL, *, max_connections: int = ...) -> ClientSession:
        """The session for the origin of a URL. It belongs to the pool: do not close it."""
        ...


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """
    What the gateway lends a provider while it is open.

    Attributes:
        name: the provider's name in the settings, for errors and logs.
        clock: the time; never read the machine's own.
        limits: the time limits; the transport needs `connect_s`.
        sessions: pooled HTTP sessions, owned and closed by the gateway.
        home: the gateway's folder of data, for what must be known to other processes; None where it keeps none.
    """

    name: str
    clock: Clock
    limits: Limits
    sessions: SessionPool
    home: Path | None = None


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """
    A provider as a plugin describes it.

    Attributes:
        name: the kind, equal to the plugin's entry-point name and its folder.
        title: the vendor's name for people, Chinese first.
        settings: the class that reads `[providers.<name>]`.
        cards: the models it knows; called once.
        open: opens the provider; does no I/O of its own before the first call.
        describe: the cards that are served with these settings, for kinds whose cards depend on them; None: the
            gateway chooses among `cards` by the settings' `models`.
    """

    name: str
    title: str
    settings: type[ProviderSettings]
    cards: Callable[[], tuple[ModelCard, ...]]
    open: Callable[[Any, ProviderContext], AbstractAsyncContextManager[Provider]]
    describe: Callable[[Any], tuple[ModelCard, ...]] | None = None


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """
    A local emulator of a vendor, which verifies what it is sent as the vendor would.

    Attributes:
        name: the kind of the provider it stands in for.
        build: makes the aiohttp application.
        settings: from the sandbox's base URL (`http://127.0.0.1:PORT`) to the provider settings that reach it,
            working credentials included.
    """

    name: str
    build: Callable[[], web.Application]
    settings: Callable[[str], Mapping[str, object]]
    title: str = field(default="")
