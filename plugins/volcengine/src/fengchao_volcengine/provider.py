"""Volcengine, opened: the transports of its three APIs and the codecs put together."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Literal

from typing_extensions import override

from fengchao_core.kit.openai_chat import converse, talk
from fengchao_core.provider import Provider, ProviderContext
from fengchao_core.types import (
    ChatRequest,
    ContentPart,
    Delta,
    EmbeddingRequest,
    EmbeddingResult,
    ImageRequest,
    ImageResult,
    Message,
    TextPart,
    Usage,
)
from fengchao_core.types.shared import EMPTY
from fengchao_volcengine import embeddings, images, maas_wire, storage, wire
from fengchao_volcengine.access import Access
from fengchao_volcengine.maas_decode import MaasDecoder
from fengchao_volcengine.settings import VolcengineSettings
from fengchao_volcengine.storage import StoredFile, VideoTask


@asynccontextmanager
async def open_volcengine(
    settings: VolcengineSettings, context: ProviderContext
) -> AsyncIterator[Provider]:
    """
    Open the provider; no connection is made before the first call.

    Raises:
        SettingsError: a base URL is not usable.
    """
    yield VolcengineProvider(settings, context)


class VolcengineProvider(Provider):
    """
    Volcengine, ready to answer. Chats, makes vectors, draws, counts tokens, keeps files, conversations and films.

    Ark answers, unless a model is one of the Skylark models or an endpoint of the legacy API.
    """

    def __init__(self, settings: VolcengineSettings, context: ProviderContext) -> None:
        self._settings = settings
        self._access = Access(settings, context)

    @override
    def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        if maas_wire.is_legacy(request):
            path, ask = maas_wire.CHAT, maas_wire.encode_v1
        elif self._is_legacy_endpoint(request.model):
            path, ask = maas_wire.path_of_endpoint(request.model, "chat"), maas_wire.encode_v2
        else:
            http = self._access.ark_for(request.model)
            return converse(http, wire.path_for(request), request, wire.dialect_for(request.model))
        asked = partial(ask, request)
        return talk(self._access.legacy(), path, asked, MaasDecoder, stream=request.stream)

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResult:
        """
        Vectors in the order of the inputs, asked for in as many calls as the vendor's limit makes it.

        Raises:
            ProviderError: as the vendor answers.
        """
        http = self._access.ark_for(request.model)
        vectors: list[Sequence[float]] = []
        prompt_tokens = 0
        most = 1 if embeddings.is_multimodal(request.model) else embeddings.MAX_INPUTS
        for start in range(0, len(request.inputs), most):
            some = replace(request, inputs=request.inputs[start : start + most])
            if embeddings.is_multimodal(request.model):
                result = await self.embed_parts(
                    request.model,
                    [TextPart(some.inputs[0])],
                    dimensions=request.dimensions,
                    extra=request.extra,
                )
            else:
                body = await http.post_json(embeddings.PATH, embeddings.encode(some))
                result = embeddings.decode(body, len(some.inputs), http.classify)
            vectors += result.vectors
            prompt_tokens += result.usage.prompt_tokens
        return EmbeddingResult(vectors=tuple(vectors), usage=Usage(prompt_tokens))

    async def embed_parts(
        self,
        model: str,
        parts: Sequence[ContentPart],
        *,
        dimensions: int | None = None,
        extra: Mapping[str, object] = EMPTY,
    ) -> EmbeddingResult:
        """
        The one vector of texts, pictures and films together, by a model for that (`doubao-embedding-vision`).

        Raises:
            InvalidParameter: a part is a sound or a file.
            ProviderError: as the vendor answers.
        """
        http = self._access.ark_for(model)
        body = embeddings.encode_parts(model, parts, dimensions=dimensions, extra=extra)
        answer = await http.post_json(embeddings.MULTIMODAL_PATH, body)
        return embeddings.decode_single(answer, http.classify)

    async def draw(self, request: ImageRequest) -> ImageResult:
        """Draw. Raises `InvalidParameter` for what the vendor lacks, and `ProviderError`."""
        http = self._access.ark()
        body = await http.post_json(images.PATH, images.encode(request))
        return images.decode(body, http.classify)

    async def count_tokens(self, request: ChatRequest) -> int:
        """
        The tokens of the texts of a conversation; pictures and what the vendor puts around turns are not counted.

        Raises:
            ProviderError: as the vendor answers.
        """
        texts, model = storage.texts_of(request), request.model
        if maas_wire.is_legacy(request):
            path, named = maas_wire.TOKENIZATION, maas_wire.model_of(model)
            return await self._count_legacy(path, storage.encode_legacy_tokenization(named, texts))
        if self._is_legacy_endpoint(model):
            path = maas_wire.path_of_endpoint(model, "tokenization")
            return await self._count_legacy(path, storage.encode_legacy_tokenization(None, texts))
        http = self._access.ark_for(model)
        body = storage.encode_tokenization(model, texts)
        return storage.decode_tokenization(
            await http.post_json(storage.TOKENIZATION, body), http.classify
        )

    async def create_context(
        self,
        model: str,
        messages: Sequence[Message],
        *,
        mode: Literal["session", "common_prefix"] = "session",
        ttl_s: int | None = None,
        extra: Mapping[str, object] = EMPTY,
    ) -> str:
        """
        Let the vendor keep the beginning of a conversation; returns its id.

        A chat whose `extra` holds it as `context_id` goes on from there.

        Args:
            model: an endpoint's id.
            mode: `session` keeps what is said later, too; `common_prefix` always begins with the same.
            ttl_s: how long it is kept after it was last used.

        Raises:
            ProviderError: as the vendor answers.
        """
        http = self._access.ark_for(model)
        body = storage.encode_context(model, messages, mode=mode, ttl_s=ttl_s, extra=extra)
        return storage.decode_context(await http.post_json(storage.CONTEXTS, body), http.classify)

    async def upload(self, filename: str, content: bytes, *, purpose: str = "user_data") -> str:
        """Upload a file of 512 MB at most; returns the vendor's id of it. Raises `ProviderError`."""
        http = self._access.ark()
        form = storage.encode_file(filename, content, purpose)
        return storage.decode_file(await http.post_form(storage.FILES, form), http.classify).id

    async def show_file(self, file_id: str) -> StoredFile:
        """What the vendor knows of a file. Raises `ProviderError`."""
        http = self._access.ark()
        return storage.decode_file(await http.get(storage.file_path(file_id)), http.classify)

    async def list_files(self) -> tuple[StoredFile, ...]:
        """The newest files of the account, 100 at most. Raises `ProviderError`."""
        http = self._access.ark()
        return storage.decode_files(await http.get(storage.FILES), http.classify)

    async def delete(self, file_id: str) -> None:
        """Delete an uploaded file. Raises `ProviderError`."""
        await self._access.ark().delete(storage.file_path(file_id))

    async def start_video(
        self, model: str, content: Sequence[ContentPart], *, extra: Mapping[str, object] = EMPTY
    ) -> str:
        """
        Begin a film; returns the id of the task.

        Args:
            content: what it shows, as texts and pictures.
            extra: the vendor's own parameters: `ratio`, `duration`, `resolution`, `seed` and more.

        Raises:
            ProviderError: as the vendor answers.
        """
        http = self._access.ark()
        body = storage.encode_task(model, content, extra)
        return storage.decode_task_id(await http.post_json(storage.TASKS, body), http.classify)

    async def show_video(self, task_id: str) -> VideoTask:
        """How far a film is. Raises `ProviderError`."""
        http = self._access.ark()
        return storage.decode_task(await http.get(storage.task_path(task_id)), http.classify)

    async def list_videos(self) -> tuple[VideoTask, ...]:
        """The films of the account, the vendor's first page. Raises `ProviderError`."""
        http = self._access.ark()
        return storage.decode_tasks(await http.get(storage.TASKS), http.classify)

    async def delete_video(self, task_id: str) -> None:
        """Cancel a film that has not begun, or forget one that is done. Raises `ProviderError`."""
        await self._access.ark().delete(storage.task_path(task_id))

    async def _count_legacy(self, path: str, body: bytes) -> int:
        http = self._access.legacy()
        return storage.decode_legacy_tokenization(await http.post_json(path, body), http.classify)

    def _is_legacy_endpoint(self, model: str) -> bool:
        return wire.is_endpoint(model) and self._settings.endpoints_are_legacy
