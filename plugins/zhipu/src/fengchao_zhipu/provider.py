"""The provider: chat whole, streamed and in the vendor's own time, embeddings, pictures, files, web search."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import replace
from itertools import count
from secrets import token_hex

from typing_extensions import override

from fengchao_core import types as core
from fengchao_core.errors import InvalidParameter, ProviderError
from fengchao_core.kit import attachments
from fengchao_core.kit.auth import Authoriser, StaticAuth, TokenAuth
from fengchao_core.kit.http import VendorHttp
from fengchao_core.kit.openai_chat import converse, encode
from fengchao_core.provider import Provider, ProviderContext
from fengchao_core.tokens import TokenManager
from fengchao_core.types import (
    ChatRequest,
    Completion,
    Delta,
    EmbeddingRequest,
    EmbeddingResult,
    FilePart,
    ImageRequest,
    ImageResult,
    SearchRequest,
    Usage,
)
from fengchao_zhipu import embeddings, files, images, search, tasks, wire
from fengchao_zhipu.auth import sign
from fengchao_zhipu.files import StoredFile
from fengchao_zhipu.search import SearchResult
from fengchao_zhipu.settings import ZhipuSettings
from fengchao_zhipu.tasks import Task

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
    # The second half of the key signs on its own, so it is kept in on its own.
    secrets = (key.partition(".")[2],)
    yield ZhipuProvider(VendorHttp(context, settings, authoriser, wire.classify, secrets=secrets))


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

    chat_purpose = files.EXTRACT

    @override
    def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        if attached := attachments.attached(request.messages):
            return self._stream_with(attached, request)
        request = self._with_unique_id(request)
        return converse(self._http, wire.CHAT_PATH, request, wire.dialect_for(request.model))

    async def _stream_with(
        self, attached: Sequence[FilePart], request: ChatRequest
    ) -> AsyncGenerator[Sequence[Delta], None]:
        """Files that messages name are read by the vendor first, and their text goes before the question."""
        texts = {part: await self._text_of(part) for part in attached}
        request = replace(request, messages=attachments.put_within(request.messages, texts))
        async with aclosing(self.stream(request)) as batches:
            async for batch in batches:
                yield batch

    async def _text_of(self, part: FilePart) -> str:
        if not part.file_id:
            raise InvalidParameter(
                "this provider takes a file by its 'file_id' only; upload it first",
                param="messages",
            )
        return files.decode_text(await self.read_file(part.file_id))

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

    async def submit(self, request: ChatRequest) -> Task:
        """
        Ask for an answer in the vendor's own time; `result` fetches it.

        Args:
            request: as for `stream`; its `stream` does not count.

        Raises:
            InvalidParameter: the request asks for a feature this vendor lacks.
            ProviderError: the vendor did not take the task.
        """
        request = self._with_unique_id(replace(request, stream=False))
        body, notes = encode(request, wire.dialect_for(request.model))
        answer = await self._http.post_json(tasks.SUBMIT, body)
        with self._dressed():
            return tasks.decode_task(answer, notes, self._http.classify)

    async def result(self, task_id: str) -> Completion | None:
        """
        The answer of a task that was submitted; None while the vendor still works on it.

        The completion's `model` is the vendor's name, and it has no cost. Asking too often is limited by the vendor;
        a few seconds between two calls are enough.

        Raises:
            ProviderError: the task failed (`vendor_code` is then `FAIL`), or is not known.
        """
        answer = await self._http.get(tasks.result_path(task_id))
        with self._dressed():
            return tasks.decode_result(answer, self._http.name, self._http.classify)

    async def upload(
        self, filename: str, content: bytes, *, purpose: str, knowledge_id: str | None = None
    ) -> str:
        """
        Upload a file; returns the vendor's id of it.

        Args:
            filename: with its extension, by which the vendor tells the format.
            content: 100 MB at most.
            purpose: `file-extract` for a file that messages name by its id, `batch`, `fine-tune` or `retrieval`.
            knowledge_id: the knowledge base that takes the document, for the purpose `retrieval` only.

        Raises:
            InvalidParameter: the purpose and the knowledge base do not go together.
            ProviderError: the vendor did not take the file.
        """
        form = files.encode_upload(filename, content, purpose=purpose, knowledge_id=knowledge_id)
        answer = await self._http.post_form(files.FILES, form)
        with self._dressed():
            return files.decode_upload(answer, self._http.classify)

    async def list_files(
        self,
        *,
        purpose: str | None = None,
        limit: int | None = None,
        after: str | None = None,
        order: str | None = None,
    ) -> tuple[StoredFile, ...]:
        """
        Files of the account, one page of them.

        Args:
            purpose: only those that were uploaded for it.
            limit: how many at most.
            after: the id of the last file of the page before.
            order: the vendor's word for the order by age.

        Raises:
            ProviderError: the vendor refuses.
        """
        params = files.list_params(purpose, limit, after, order)
        answer = await self._http.get(files.FILES, params=params)
        with self._dressed():
            return files.decode_files(answer, self._http.classify)

    async def read_file(self, file_id: str) -> bytes:
        """The content of a file. Raises `ProviderError`."""
        return await self._http.get(f"{files.path_of(file_id)}/content")

    async def delete(self, file_id: str) -> None:
        """Delete an uploaded file. Raises `ProviderError`."""
        answer = await self._http.delete(files.path_of(file_id))
        with self._dressed():
            files.check_deleted(answer, self._http.classify)

    async def search_web(self, request: SearchRequest) -> core.SearchResult:
        """The pages that the search API finds. Raises `ProviderError`."""
        pages = await self.search(
            request.query[: search.LONGEST_QUERY],
            engine=request.engine or "search_std",
            count=request.count,
            request_id=request.request_id or None,
        )
        return core.SearchResult(tuple(search.web_page(page) for page in pages))

    async def search(
        self,
        query: str,
        *,
        engine: str = "search_std",
        count: int | None = None,
        domain: str | None = None,
        recency: str | None = None,
        content_size: str | None = None,
        request_id: str | None = None,
        user: str | None = None,
    ) -> tuple[SearchResult, ...]:
        """
        Search the web, with no model at work.

        Args:
            query: what to look for.
            engine: the vendor's name of a search engine.
            count: how many pages at most.
            domain: only pages of this domain.
            recency: only pages of this age, in the vendor's words.
            content_size: how much of a page is told, in the vendor's words.
            request_id: unique for this call; the vendor makes one where there is none.
            user: who searches, 6 to 128 characters.

        Raises:
            ProviderError: the vendor refuses.
        """
        body = search.encode_search(
            query,
            engine=engine,
            count=count,
            domain=domain,
            recency=recency,
            content_size=content_size,
            request_id=request_id,
            user=user,
        )
        answer = await self._http.post_json(search.SEARCH, body)
        with self._dressed():
            return search.decode_search(answer, self._http.classify)

    async def search_by_agent(
        self,
        query: str,
        *,
        scope: str | None = None,
        location: str | None = None,
        recent_days: int | None = None,
        request_id: str | None = None,
    ) -> tuple[SearchResult, ...]:
        """
        Search the web by the vendor's older agent, `web-search-pro`, which rewrites the query first.

        Args:
            query: the question as the user put it.
            scope: where to look, in the vendor's words; everywhere where not given.
            location: the region of the user.
            recent_days: only pages of the last days, 1 to 30.
            request_id: unique for this call.

        Raises:
            ProviderError: the vendor refuses.
        """
        body = search.encode_agent(
            query,
            scope=scope,
            location=location,
            recent_days=recent_days,
            request_id=request_id,
        )
        answer = await self._http.post_json(search.AGENT, body)
        with self._dressed():
            return search.decode_agent(answer, self._http.classify)

    def _with_unique_id(self, request: ChatRequest) -> ChatRequest:
        if not request.request_id:
            return request
        # The vendor refuses an id that it has seen, but ours stays the same for a retry and for a conversation.
        return replace(request, request_id=f"{request.request_id}-{self._run}-{next(self._count)}")

    @contextmanager
    def _dressed(self) -> Iterator[None]:
        """Errors of replies that are read outside an exchange: named, and without secrets, as those within."""
        try:
            yield
        except ProviderError as error:
            self._http.dress(error)
            raise
