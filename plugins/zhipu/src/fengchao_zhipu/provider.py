"""The provider: chat whole and streamed, embeddings, pictures."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from secrets import token_hex

from typing_extensions import override
from yarl import URL

from fengchao_core.kit.auth import Authoriser, StaticAuth, TokenAuth
from fengchao_core.kit.http import VendorHttp
from fengchao_core.kit.openai_chat import converse
from fengchao_core.provider import Provider, ProviderContext
from fengchao_core.tokens import TokenManager
from fengchao_core.types import (
    ChatRequest,
    Delta,
    EmbeddingRequest,
    EmbeddingResult,
    ImageRequest,
    ImageResult,
    Usage,
)
from fengchao_zhipu import embeddings, images, wire
from fengchao_zhipu.auth import sign
from fengchao_zhipu.settings import ZhipuSettings

_MARGIN_S = 30.0  # the SDK uses a token of 210 s for 180 s


@asynccontextmanager
async def open_zhipu(settings: ZhipuSettings, context: ProviderContext) -> AsyncIterator[Provider]:
    """Open the provider. It owns nothing: the sessions are the gateway's."""
    key = settings.api_key.get_secret_value()
    authoriser: Authoriser
    if settings.auth == "raw":
        authoriser = StaticAuth({"Authorization": f"Bearer {key}"})
    else:
        authoriser = TokenAuth(
            TokenManager(
                lambda now: sign(key, now), context.clock, name=context.name, margin_s=_MARGIN_S
            )
        )
    authoriser = _HalfKeptAuth(authoriser, key.partition(".")[2])
    yield ZhipuProvider(VendorHttp(context, settings, authoriser, wire.classify))


class ZhipuProvider(Provider):
    """
    Zhipu, ready to answer.

    Args:
        http: the transport, authorised.
    """

    def __init__(self, http: VendorHttp) -> None:
        self._http = http
        self._run = token_hex(4)
        self._count = count(1)

    @override
    def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        if request.request_id:
            # The vendor refuses an id that it has seen, but ours stays the same for a retry and for a conversation.
            unique = f"{request.request_id}-{self._run}-{next(self._count)}"
            request = replace(request, request_id=unique)
        return converse(self._http, wire.CHAT_PATH, request, wire.dialect_for(request.model))

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResult:
        """Vectors in the order of the inputs, asked for in as many calls as the vendor's limit makes it."""
        vectors: list[Sequence[float]] = []
        prompt_tokens = 0
        for start in range(0, len(request.inputs), embeddings.MAX_INPUTS):
            some = replace(request, inputs=request.inputs[start : start + embeddings.MAX_INPUTS])
            body = await self._http.post_json(embeddings.PATH, embeddings.encode(some))
            result = embeddings.decode(body, len(some.inputs), self._http.classify)
            vectors += result.vectors
            prompt_tokens += result.usage.prompt_tokens
        return EmbeddingResult(vectors=tuple(vectors), usage=Usage(prompt_tokens))

    async def draw(self, request: ImageRequest) -> ImageResult:
        """Pictures, by a URL that lives for a while."""
        body = await self._http.post_json(images.PATH, images.encode(request))
        return images.decode(body, self._http.classify)


class _HalfKeptAuth(Authoriser):
    """Another authoriser, which also keeps the second half of the key from being shown by itself."""

    def __init__(self, inner: Authoriser, secret: str) -> None:
        self._inner = inner
        self._secret = secret

    @override
    async def sign(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[URL, Mapping[str, str], str]:
        return await self._inner.sign(method, url, headers, body)

    @override
    def secrets(self) -> Iterable[str]:
        return (*self._inner.secrets(), self._secret)

    @override
    def rejected(self, token: str, date: str | None) -> bool:
        return self._inner.rejected(token, date)
