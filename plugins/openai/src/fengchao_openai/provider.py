"""OpenAI, opened: the transport and the codecs put together."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import quote

from typing_extensions import override

from fengchao_core.kit.auth import StaticAuth
from fengchao_core.kit.http import VendorHttp
from fengchao_core.kit.openai_chat import converse
from fengchao_core.provider import Provider, ProviderContext
from fengchao_core.types import (
    ChatRequest,
    Delta,
    EmbeddingRequest,
    EmbeddingResult,
    ImageRequest,
    ImageResult,
)
from fengchao_openai import catalogue, embeddings, images, wire
from fengchao_openai.settings import OpenAISettings


class OpenAIProvider(Provider):
    """OpenAI or an endpoint like it. Chats, makes vectors, draws, lists its models, keeps files."""

    def __init__(self, settings: OpenAISettings, http: VendorHttp) -> None:
        self._settings = settings
        self._http = http
        self._dialect = wire.dialect_of(settings)

    @override
    def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        return converse(self._http, wire.CHAT, request, self._dialect)

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResult:
        """Vectors in the order of the inputs. Raises `ProviderError`."""
        body = embeddings.encode_embeddings(request, self._settings.embeddings_encoding)
        answer = await self._http.post_json(embeddings.EMBEDDINGS, body)
        return embeddings.decode_embeddings(answer, len(request.inputs), self._http.classify)

    async def draw(self, request: ImageRequest) -> ImageResult:
        """Draw. Raises `ProviderError`."""
        body = images.encode_image(request, self._settings.extra_knobs)
        return images.decode_images(
            await self._http.post_json(images.IMAGES, body), self._http.classify
        )

    async def list_models(self) -> tuple[str, ...]:
        """The endpoint's own model names. Raises `ProviderError`."""
        return catalogue.decode_models(await self._http.get(catalogue.MODELS), self._http.classify)

    async def upload(self, filename: str, content: bytes, *, purpose: str) -> str:
        """Upload a file; returns the endpoint's id of it. Raises `ProviderError`."""
        form = catalogue.encode_file(filename, content, purpose)
        return catalogue.decode_file(
            await self._http.post_form(catalogue.FILES, form), self._http.classify
        )

    async def delete(self, file_id: str) -> None:
        """Delete an uploaded file. Raises `ProviderError`."""
        await self._http.delete(f"{catalogue.FILES}/{quote(file_id, safe='')}")


@asynccontextmanager
async def open_openai(
    settings: OpenAISettings, context: ProviderContext
) -> AsyncIterator[Provider]:
    """
    Open the provider; no connection is made before the first call.

    Raises:
        SettingsError: the base URL or a credential is not usable.
    """
    headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
    if key := settings.api_key.get_secret_value():
        headers["Authorization"] = f"Bearer {key}"
    named = {"OpenAI-Organization": settings.organization, "OpenAI-Project": settings.project}
    http = VendorHttp(
        context,
        settings,
        StaticAuth(headers),
        wire.classify,
        headers={name: value for name, value in named.items() if value},
    )
    yield OpenAIProvider(settings, http)
