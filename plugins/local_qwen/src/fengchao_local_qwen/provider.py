"""Local models, opened: which engine answers, and what is told of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager

from typing_extensions import override

from fengchao_core.errors import ProviderUnavailable, RequestRejected
from fengchao_core.kit.auth import StaticAuth
from fengchao_core.kit.http import VendorHttp
from fengchao_core.kit.openai_chat import converse
from fengchao_core.provider import ModelState, Provider, ProviderContext
from fengchao_core.types import ChatRequest, Delta, EmbeddingRequest, EmbeddingResult
from fengchao_local_qwen import wire
from fengchao_local_qwen.metrics import Gauges
from fengchao_local_qwen.noticeboard import Noticeboard
from fengchao_local_qwen.process import EngineProcess, engine_config
from fengchao_local_qwen.settings import LocalQwenSettings
from fengchao_local_qwen.weights import FolderError, read_weights


class LocalQwen(Provider):
    """Models in processes of our own: for each model one engine on each device, the least busy is asked."""

    def __init__(self, settings: LocalQwenSettings, context: ProviderContext) -> None:
        self._context = context
        self._loopback = settings.model_copy(update={"proxy": None})
        self._board = Noticeboard(context.home, context.name)
        self._http: dict[EngineProcess, tuple[str, VendorHttp]] = {}
        self._engines: dict[str, list[EngineProcess]] = {}
        options = settings.model_dump()
        for model in (*settings.names, *settings.embeddings):
            kind = "embedding" if model in settings.embeddings else "chat"
            own = {**options, "kind": kind, "folder": settings.folder(model) or ""}
            self._engines[model] = [
                EngineProcess(
                    engine_config(model, device, own),
                    start_timeout_s=settings.start_timeout_s,
                    changed=self._changed,
                )
                for device in settings.devices
            ]

    def start(self) -> None:
        """Load every model now."""
        for engine in self.engines():
            engine.start()

    async def close(self) -> None:
        """End every engine."""
        for engine in self.engines():
            await engine.close()
        self._board.remove()

    def engines(self) -> Iterator[EngineProcess]:
        """Every engine, of every model."""
        for engines in self._engines.values():
            yield from engines

    @override
    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        with self._engine(request.model) as engine:
            http = await self._reach(engine)
            async with aclosing(converse(http, wire.CHAT, request, wire.DIALECT)) as batches:
                async for batch in batches:
                    yield batch

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResult:
        """Unit vectors in the order of the inputs. Raises `ProviderError`."""
        with self._engine(request.model) as engine:
            http = await self._reach(engine)
            answer = await http.post_json(wire.EMBEDDINGS, wire.encode_embeddings(request))
            return wire.decode_embeddings(answer, len(request.inputs), http.classify)

    def model_state(self, model: str) -> ModelState | None:
        """How a model fares: the best of its engines, or what another process says where none runs in this one."""
        engines = self._engines.get(model)
        if engines is None:
            return None
        order = ("ready", "loading", "down", "failed", "idle")
        best = min((e.state for e in engines), key=lambda state: order.index(state.state))
        if best.state == "idle":
            return self._board.read(model) or _judged(engines[0]) or best
        return ModelState(
            best.state,
            best.progress,
            best.detail,
            queued=sum(int(e.stats.get("queued", 0)) for e in engines),
            running=sum(int(e.stats.get("running", 0)) for e in engines),
        )

    @contextmanager
    def _engine(self, model: str) -> Iterator[EngineProcess]:
        """The engine with the fewest calls, of those that can be asked."""
        engines = self._engines.get(model)
        if not engines:
            raise RequestRejected(
                f"no local model has this name; expected one of: {', '.join(self._engines) or 'none'}",
                provider=self._context.name,
                vendor_code="model_not_found",
            )
        engine = min(engines, key=lambda e: (e.state.state in ("failed", "down"), e.calls))
        engine.calls += 1
        try:
            yield engine
        finally:
            engine.calls -= 1

    async def _reach(self, engine: EngineProcess) -> VendorHttp:
        try:
            base_url, key = await engine.address()
        except ProviderUnavailable as error:
            error.provider = self._context.name
            raise
        known = self._http.get(engine)
        if known is None or known[0] != base_url:  # each start has an address and a key of its own
            http = VendorHttp(
                self._context,
                self._loopback,
                StaticAuth({"Authorization": f"Bearer {key}"}),
                wire.classify,
                base_url=base_url,
                secrets=(key,),
            )
            known = self._http[engine] = (base_url, http)
        return known[1]

    def _changed(self) -> None:
        self._board.write(
            (model, engine.state) for model, engines in self._engines.items() for engine in engines
        )


def _judged(engine: EngineProcess) -> ModelState | None:
    """What its folder alone says of an engine that nobody started; None where nothing speaks against it."""
    if engine.config.stand_in:
        return None
    try:
        read_weights(engine.config.folder, kind=engine.config.kind)
    except FolderError as error:
        return ModelState("failed", detail=str(error))
    return None


class RemoteEngine(Provider):
    """An engine that somebody else started, at a base URL."""

    def __init__(self, http: VendorHttp) -> None:
        self._http = http

    @override
    def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        return converse(self._http, wire.CHAT, request, wire.DIALECT)

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResult:
        """Unit vectors in the order of the inputs. Raises `ProviderError`."""
        answer = await self._http.post_json(wire.EMBEDDINGS, wire.encode_embeddings(request))
        return wire.decode_embeddings(answer, len(request.inputs), self._http.classify)


@asynccontextmanager
async def open_local_qwen(
    settings: LocalQwenSettings, context: ProviderContext
) -> AsyncIterator[Provider]:
    """
    Open the provider. Nothing is loaded before the first call, unless the settings say `preload`.

    Raises:
        SettingsError: the base URL is not usable.
    """
    if settings.base_url:
        key = settings.api_key.get_secret_value()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        yield RemoteEngine(VendorHttp(context, settings, StaticAuth(headers), wire.classify))
        return
    provider = LocalQwen(settings, context)
    with Gauges(context.name, provider.engines):
        try:
            if settings.preload:
                provider.start()
            yield provider
        finally:
            await provider.close()
