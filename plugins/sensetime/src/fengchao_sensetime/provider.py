"""The provider: chat in three dialects, sessions, characters, completions, embeddings, and what the account keeps."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial

from typing_extensions import override

from fengchao_core.errors import ProviderAuthFailed, ProviderProtocolError, RequestRejected
from fengchao_core.kit.auth import Authoriser, StaticAuth, TokenAuth
from fengchao_core.kit.http import VendorHttp
from fengchao_core.kit.openai_chat import converse, encode, talk
from fengchao_core.provider import Provider, ProviderContext
from fengchao_core.tokens import TokenManager
from fengchao_core.types import (
    DEFAULT_PARAMS,
    ChatParams,
    ChatRequest,
    Delta,
    EmbeddingRequest,
    EmbeddingResult,
    Message,
    Usage,
)
from fengchao_sensetime import catalogue, characters, completions, embeddings, sessions, wire
from fengchao_sensetime.auth import sign
from fengchao_sensetime.catalogue import VendorFile, VendorKnowledgeBase
from fengchao_sensetime.codes import classify
from fengchao_sensetime.decode import NativeDecoder
from fengchao_sensetime.settings import SenseTimeSettings

_MARGIN_S = 100.0  # the older client of the product renewed a token of 1800 s after 1700 s


@asynccontextmanager
async def open_sensetime(
    settings: SenseTimeSettings, context: ProviderContext
) -> AsyncIterator[Provider]:
    """
    Open the provider. It owns nothing: the sessions are the gateway's.

    Raises:
        SettingsError: one of the base URLs is not usable.
    """
    yield SenseTimeProvider(settings, context)


class SenseTimeProvider(Provider):
    """
    SenseNova, ready to answer.

    Args:
        settings: which hosts, which credentials, which dialect.
        context: what the gateway lends.
    """

    def __init__(self, settings: SenseTimeSettings, context: ProviderContext) -> None:
        self._name = context.name
        self._context = context
        self._settings = settings
        self._is_compatible = settings.dialect == "compatible"
        key = settings.api_key.get_secret_value()
        bearer = StaticAuth({"Authorization": f"Bearer {key}"}) if key else None
        auth = _signing(settings, context) if settings.signs else bearer or StaticAuth()

        def http(base_url: str, authoriser: Authoriser) -> VendorHttp:
            return VendorHttp(context, settings, authoriser, classify, base_url=base_url)

        self._http = http(settings.base_url, auth)
        self._compatible = http(settings.compatible_base_url, auth)
        self._files = http(settings.file_base_url, auth)
        self._token_plan = None if bearer is None else http(settings.token_base_url, bearer)

    @override
    def __repr__(self) -> str:
        return f"<SenseTimeProvider {self._name}>"

    @override
    def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        model = request.model
        if wire.is_token_plan(model):
            http = self._need_token_plan(model)
            return converse(http, wire.COMPATIBLE_PATH, request, wire.TOKEN_PLAN)
        if wire.is_character(model):
            asked = partial(characters.encode, request)
            return talk(self._http, characters.PATH, asked, NativeDecoder, stream=request.stream)
        if self._is_compatible:
            dialect = wire.compatible_dialect(model)
            return converse(self._compatible, wire.COMPATIBLE_PATH, request, dialect)
        asked = partial(encode, request, wire.NATIVE)
        return talk(self._http, wire.CHAT_PATH, asked, NativeDecoder, stream=request.stream)

    async def create_session(self, system_prompt: Iterable[Message] = ()) -> str:
        """
        Begin a conversation that the vendor remembers; returns its id.

        Args:
            system_prompt: the messages that open it.

        Raises:
            ProviderError: the vendor refuses.
        """
        body = sessions.encode_session(tuple(system_prompt))
        answer = await self._http.post_json(sessions.SESSIONS_PATH, body)
        return sessions.decode_session(answer, self._http.classify)

    def continue_session(
        self,
        session_id: str,
        text: str,
        *,
        model: str,
        params: ChatParams = DEFAULT_PARAMS,
        stream: bool = True,
        action: str = "next",
    ) -> AsyncGenerator[Sequence[Delta], None]:
        """
        Say something in a conversation that the vendor remembers, and yield the answer as `Provider.stream` does.

        Args:
            session_id: what `create_session` returned.
            text: what is said.
            model: the vendor's name of it.
            params: as for a chat.
            stream: False fetches the answer in one piece.
            action: what to do; the vendor documents `next`.

        Raises:
            InvalidParameter: as for a chat.
            ProviderError: while the answer is read.
        """
        request = _of_one_message(text, model, params, stream=stream)
        asked = partial(sessions.encode_turn, session_id, request, action=action)
        return talk(self._http, sessions.CONVERSATIONS_PATH, asked, NativeDecoder, stream=stream)

    def complete(
        self,
        prompt: str,
        *,
        model: str,
        params: ChatParams = DEFAULT_PARAMS,
        stream: bool = True,
    ) -> AsyncGenerator[Sequence[Delta], None]:
        """
        Let the model go on with a text, and yield what it writes as `Provider.stream` does.

        Args:
            prompt: the text.
            model: the vendor's name of a model that completes.
            params: those of a chat without tools, and `stop`.
            stream: False fetches the answer in one piece.

        Raises:
            InvalidParameter: the vendor lacks what is asked for.
            ProviderError: while the answer is read.
        """
        request = _of_one_message(prompt, model, params, stream=stream)
        asked = partial(completions.encode, request)
        return talk(self._http, completions.PATH, asked, NativeDecoder, stream=stream)

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResult:
        """Vectors in the order of the inputs, asked for in as many calls as the vendor's limit makes it."""
        vectors: list[Sequence[float]] = []
        prompt_tokens = 0
        for start in range(0, len(request.inputs), embeddings.MAX_INPUTS):
            inputs = request.inputs[start : start + embeddings.MAX_INPUTS]
            some = EmbeddingRequest(
                model=request.model,
                inputs=inputs,
                dimensions=request.dimensions,
                extra=request.extra,
            )
            body = await self._http.post_json(embeddings.PATH, embeddings.encode(some))
            result = embeddings.decode(body, len(inputs), self._http.classify)
            vectors += result.vectors
            prompt_tokens += result.usage.prompt_tokens
        return EmbeddingResult(vectors=tuple(vectors), usage=Usage(prompt_tokens))

    async def list_models(self) -> tuple[str, ...]:
        """The names of the models that the account may ask. Raises `ProviderError`."""
        return catalogue.decode_models(await self._http.get(catalogue.MODELS), self._http.classify)

    async def has_model(self, model: str) -> bool:
        """Whether the account may ask a model. Raises `ProviderError`."""
        try:
            answer = await self._http.get(catalogue.one(catalogue.MODELS, model))
            catalogue.check_done(answer, self._http.classify)
        except RequestRejected as error:
            if error.status == 404:
                return False
            raise
        return True

    async def upload(
        self, filename: str, content: bytes, *, purpose: str, description: str = ""
    ) -> str:
        """
        Upload a file; returns the vendor's id of it.

        Args:
            filename: as people know it.
            content: of the file.
            purpose: the vendor's scheme: `KNOWLEDGE_BASE_1`, `FINE_TUNE_1`, `FINE_TUNE_2`, or one for pictures.
            description: for people; the file's name where it is empty.

        Raises:
            ProviderError: the vendor refuses.
        """
        form = catalogue.encode_file(
            filename, content, scheme=purpose, description=description or filename
        )
        answer = await self._files.post_form(catalogue.FILES, form)
        return catalogue.decode_file(answer, self._files.classify).id

    async def files(self) -> tuple[VendorFile, ...]:
        """The files of the account. Raises `ProviderError`."""
        return catalogue.decode_files(await self._files.get(catalogue.FILES), self._files.classify)

    async def file(self, file_id: str) -> VendorFile:
        """One file; it can be used once its status is `VALID`. Raises `ProviderError`."""
        path = catalogue.one(catalogue.FILES, file_id)
        return catalogue.decode_file(await self._files.get(path), self._files.classify)

    async def file_content(self, file_id: str) -> bytes:
        """
        What is in a file.

        The vendor may send us on to its storage. We go there without credentials, since the address alone suffices.

        Raises:
            ProviderError: the vendor refuses.
        """
        exchange = self._files.exchange("GET", catalogue.one(catalogue.FILES, file_id) + "/content")
        try:
            async with exchange as answer:
                return await answer.read()
        except ProviderProtocolError as error:
            moved = exchange.headers.get("Location", "") if error.status in _MOVED else ""
            if not moved.startswith(("http://", "https://")):
                raise
        storage = VendorHttp(
            self._context, self._settings, StaticAuth(), classify, base_url=moved, secrets=(moved,)
        )
        return await storage.get("")

    async def delete(self, file_id: str) -> None:
        """Delete an uploaded file. Raises `ProviderError`."""
        answer = await self._files.delete(catalogue.one(catalogue.FILES, file_id))
        catalogue.check_done(answer, self._files.classify)

    async def create_knowledge_base(
        self, description: str, files: Iterable[str] = ()
    ) -> VendorKnowledgeBase:
        """
        Make a knowledge base of uploaded files; its id goes into the parameter `know_ids`.

        Raises:
            ProviderError: the vendor refuses.
        """
        body = catalogue.encode_knowledge_base(description, files)
        answer = await self._http.post_json(catalogue.KNOWLEDGE_BASES, body)
        return catalogue.decode_knowledge_base(answer, self._http.classify)

    async def knowledge_bases(self) -> tuple[VendorKnowledgeBase, ...]:
        """The knowledge bases of the account. Raises `ProviderError`."""
        answer = await self._http.get(catalogue.KNOWLEDGE_BASES)
        return catalogue.decode_knowledge_bases(answer, self._http.classify)

    async def knowledge_base(self, knowledge_base_id: str) -> VendorKnowledgeBase:
        """One knowledge base. Raises `ProviderError`."""
        answer = await self._http.get(catalogue.one(catalogue.KNOWLEDGE_BASES, knowledge_base_id))
        return catalogue.decode_knowledge_base(answer, self._http.classify)

    async def update_knowledge_base(
        self, knowledge_base_id: str, description: str, files: Iterable[str]
    ) -> None:
        """Replace the description and the files of a knowledge base. Raises `ProviderError`."""
        body = catalogue.encode_knowledge_base(description, files)
        path = catalogue.one(catalogue.KNOWLEDGE_BASES, knowledge_base_id)
        async with self._http.exchange(
            "PUT", path, body=body, content_type="application/json"
        ) as answer:
            catalogue.check_done(await answer.read(), self._http.classify)

    async def delete_knowledge_base(self, knowledge_base_id: str) -> None:
        """Delete a knowledge base. Raises `ProviderError`."""
        path = catalogue.one(catalogue.KNOWLEDGE_BASES, knowledge_base_id)
        catalogue.check_done(await self._http.delete(path), self._http.classify)

    def _need_token_plan(self, model: str) -> VendorHttp:
        if self._token_plan is None:
            raise ProviderAuthFailed(
                f"model '{model}' is one of the token plan, which takes no access keys: "
                f"expected 'api_key' under [providers.{self._name}]",
                provider=self._name,
            )
        return self._token_plan


_MOVED = (301, 302, 303, 307, 308)


def _signing(settings: SenseTimeSettings, context: ProviderContext) -> Authoriser:
    ak, sk = settings.ak.get_secret_value(), settings.sk.get_secret_value()
    return TokenAuth(
        TokenManager(
            lambda now: sign(ak, sk, now), context.clock, name=context.name, margin_s=_MARGIN_S
        )
    )


def _of_one_message(text: str, model: str, params: ChatParams, *, stream: bool) -> ChatRequest:
    return ChatRequest(model=model, messages=(Message("user", text),), params=params, stream=stream)
