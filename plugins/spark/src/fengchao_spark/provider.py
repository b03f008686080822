"""The provider: chat over WebSocket or over HTTP, pictures understood and drawn, embeddings."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from typing_extensions import override

from fengchao_core.errors import ProviderAuthFailed
from fengchao_core.kit.auth import StaticAuth
from fengchao_core.kit.http import VendorHttp
from fengchao_core.kit.openai_chat import encode, talk
from fengchao_core.provider import Provider, ProviderContext
from fengchao_core.types import (
    ChatRequest,
    Delta,
    EmbeddingRequest,
    EmbeddingResult,
    ImageRequest,
    ImageResult,
    Usage,
)
from fengchao_core.usage import estimate_tokens
from fengchao_spark import embeddings, http_wire, images, wire
from fengchao_spark.codes import classify
from fengchao_spark.endpoints import Endpoint, endpoint_of
from fengchao_spark.frames import FrameDecoder
from fengchao_spark.settings import SparkSettings
from fengchao_spark.signer import SignedAuth
from fengchao_spark.sockets import Sockets


@asynccontextmanager
async def open_spark(settings: SparkSettings, context: ProviderContext) -> AsyncIterator[Provider]:
    """Open the provider. The connections are the gateway's; the sessions over them end with it."""
    provider = SparkProvider(settings, context)
    try:
        yield provider
    finally:
        await provider.close()


class SparkProvider(Provider):
    """
    Spark, ready to answer.

    Args:
        settings: which hosts, which credentials, which protocol.
        context: what the gateway lends.
    """

    takes_addresses = False

    def __init__(self, settings: SparkSettings, context: ProviderContext) -> None:
        self._settings = settings
        self._clock = context.clock
        self._name = context.name
        self._auth = SignedAuth(
            settings.api_key.get_secret_value(),
            settings.api_secret.get_secret_value(),
            context.clock,
            name=context.name,
        )

        def signed(base_url: str) -> VendorHttp:
            return VendorHttp(
                context, settings, self._auth, classify, base_url=_over_http(base_url)
            )

        self._drawing = signed(settings.image_base_url)
        self._embedding = signed(settings.embedding_base_url)
        self._private_embedding = signed(settings.embedding_private_base_url)
        self._sockets = {
            "chat": Sockets(signed(settings.base_url), self._auth),
            "image": Sockets(self._drawing, self._auth),
            "maas": Sockets(signed(settings.maas_base_url), self._auth),
            "literature": Sockets(signed(settings.literature_base_url), self._auth),
        }
        bearer = StaticAuth({"Authorization": f"Bearer {settings.password}"})
        self._http = {
            version: VendorHttp(
                context,
                settings,
                bearer,
                classify,
                base_url=http_wire.base_of(settings.http_base_url, version),
            )
            for version in ("v1", "v2")
        }

    @override
    def __repr__(self) -> str:
        return f"<SparkProvider {self._name}>"

    async def close(self) -> None:
        """Close the sessions for handshakes."""
        for sockets in self._sockets.values():
            await sockets.close()

    @override
    def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        endpoint = endpoint_of(request.model)
        if self._settings.uses_http and endpoint.http:
            dialect = http_wire.dialect_of(endpoint)
            return talk(
                self._http[endpoint.http],
                http_wire.PATH,
                partial(encode, request, dialect),
                partial(http_wire.CheckedDecoder, dialect),
                stream=request.stream,
            )
        return self._talk(request, endpoint)

    async def _talk(
        self, request: ChatRequest, endpoint: Endpoint
    ) -> AsyncGenerator[Sequence[Delta], None]:
        """One connection, one frame that asks, and the frames that answer; whole answers are their sum."""
        self._need_signature(request.model)
        frame, notes = wire.encode(
            request,
            endpoint,
            self._settings.app_id,
            patch_id=self._settings.patch_ids.get(request.model, ""),
        )
        decoder = FrameDecoder(notes=notes, max_tokens=request.params.max_tokens)
        whole: list[Delta] = []
        async with self._sockets[endpoint.host].open(endpoint.path) as socket:
            await socket.send(frame)
            while not decoder.is_done:
                deltas = decoder.decode(await socket.receive())
                if not request.stream:
                    whole += deltas
                elif deltas:
                    yield deltas
            if whole:
                yield whole

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResult:
        """
        Vectors in the order of the inputs.

        The vendor takes one text a call and bears few calls a second, so they go one after another. It counts no
        tokens; the usage is an estimate.
        """
        self._need_signature(request.model)
        service = embeddings.service_of(request.model)
        http = self._private_embedding if service.is_private else self._embedding
        vectors = []
        for text in request.inputs:
            asked = embeddings.encode(request, text, service, self._settings.app_id)
            body = await self._post(http, service.path, asked)
            vectors.append(embeddings.decode(body, http.classify))
        tokens = sum(estimate_tokens(text) for text in request.inputs)
        return EmbeddingResult(vectors=tuple(vectors), usage=Usage(tokens, source="estimate"))

    async def draw(self, request: ImageRequest) -> ImageResult:
        """One picture, as data."""
        self._need_signature(request.model)
        asked = images.encode(request, self._settings.app_id)
        body = await self._post(self._drawing, images.PATH, asked)
        return images.decode(body, self._drawing.classify, created=self._clock.now().timestamp())

    async def _post(self, http: VendorHttp, path: str, body: bytes) -> bytes:
        """Post to a signed service. A clock that is wrong is told by 403 there, where the transport repairs 401 only."""
        exchange, clock = http.post(path, body), self._auth.clock
        try:
            async with exchange as answer:
                return await answer.read()
        except ProviderAuthFailed as error:
            if error.status != 403 or not self._auth.rejected(clock, exchange.headers.get("Date")):
                raise
        return await http.post_json(path, body)

    def _need_signature(self, model: str) -> None:
        if not self._settings.can_sign:
            raise ProviderAuthFailed(
                f"model '{model}' is not on the provider's HTTP API: expected 'app_id', 'api_key' and "
                f"'api_secret' under [providers.{self._name}]",
                provider=self._name,
            )


def _over_http(base_url: str) -> str:
    """A WebSocket address as the HTTP address under it, which is what a handshake goes to."""
    for scheme in ("ws", "wss"):
        if base_url.startswith(f"{scheme}://"):
            return "http" + base_url.removeprefix("ws")
    return base_url
