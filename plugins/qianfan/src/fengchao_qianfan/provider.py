"""The provider: chat in both generations, vectors, pictures, ranking, counting, and lists of what there is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from typing_extensions import override

from fengchao_core.errors import ProviderAuthFailed, ProviderUnavailable
from fengchao_core.kit.auth import Authoriser, StaticAuth, TokenAuth
from fengchao_core.kit.errors import Classify
from fengchao_core.kit.http import VendorHttp
from fengchao_core.kit.openai_chat import converse
from fengchao_core.kit.sse import SseParser
from fengchao_core.provider import Provider, ProviderContext
from fengchao_core.tokens import Token, TokenManager
from fengchao_core.types import (
    ChatRequest,
    Delta,
    EmbeddingRequest,
    EmbeddingResult,
    ImageRequest,
    ImageResult,
    Usage,
)
from fengchao_qianfan import auth, embeddings, images, tools, v1_wire, v2_wire
from fengchao_qianfan.access import SignedAccess, TokenAccess, V1Access
from fengchao_qianfan.codes import classify, classify_oauth
from fengchao_qianfan.endpoints import (
    TOKENIZER,
    V1,
    Access,
    Endpoint,
    locked,
    published,
    route,
)
from fengchao_qianfan.settings import QianfanSettings
from fengchao_qianfan.tools import Ranking, Service
from fengchao_qianfan.v1_http import V1Http, observing
from fengchao_qianfan.v1_replies import Decoder

if TYPE_CHECKING:
    from datetime import datetime

_MARGIN_S = 300.0  # access tokens live for a month
_TAIL_BYTES = 8192


@asynccontextmanager
async def open_qianfan(
    settings: QianfanSettings, context: ProviderContext
) -> AsyncIterator[Provider]:
    """
    Open the provider. It owns nothing: the sessions are the gateway's.

    Raises:
        SettingsError: a base URL is not usable.
    """
    yield QianfanProvider(settings, context)


class QianfanProvider(Provider):
    """
    Qianfan, ready to answer.

    Args:
        settings: which hosts, which credentials.
        context: what the gateway lends.
    """

    def __init__(self, settings: QianfanSettings, context: ProviderContext) -> None:
        self._name = context.name
        self._access = Access(settings.has_v1, settings.has_v2, settings.prefer)
        self._listed: dict[str, Endpoint] = {}
        signed = _signed_access(settings, context)
        learning = classify if signed is None else observing(signed.learn)

        def v1(access: V1Access, base_url: str) -> V1Http:
            return V1Http(
                VendorHttp(context, settings, access, learning, base_url=base_url), access
            )

        access = _token_access(settings, context) or signed
        self._v1 = None if access is None else v1(access, settings.base_url)
        self._console = None if signed is None else v1(signed, settings.console_base_url)
        bearer = _bearer(settings, context, signed)
        self._v2 = (
            None
            if bearer is None
            else VendorHttp(
                context,
                settings,
                bearer,
                classify,
                base_url=settings.v2_base_url,
                headers={} if settings.app_id is None else {"appid": settings.app_id},
            )
        )

    @override
    def __repr__(self) -> str:
        return f"<QianfanProvider {self._name}>"

    @override
    def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        place = self._place(request.model)
        if isinstance(place, Endpoint):
            return self._stream_v1(request, place)
        arranged, notes = v2_wire.arranged(replace(request, model=place))
        dialect = v2_wire.dialect_for(arranged)
        answer = converse(self._second(), v2_wire.CHAT_PATH, arranged, dialect)
        return _noting(answer, notes) if notes else answer

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResult:
        """Vectors in the order of the inputs, asked for in as many calls as the vendor's limit makes it."""
        place = self._place(request.model)
        v2_model = None if isinstance(place, Endpoint) else place
        step = embeddings.most_inputs(request.model)
        vectors: list[Sequence[float]] = []
        prompt_tokens = 0
        for start in range(0, len(request.inputs), step):
            some = replace(request, inputs=request.inputs[start : start + step])
            body = embeddings.encode(some, v2_model=v2_model)
            answer = await self._post(place, embeddings.PATH, body)
            result = embeddings.decode(answer, len(some.inputs), self._classify(place))
            vectors += result.vectors
            prompt_tokens += result.usage.prompt_tokens
        return EmbeddingResult(vectors=tuple(vectors), usage=Usage(prompt_tokens))

    async def draw(self, request: ImageRequest) -> ImageResult:
        """Pictures: of V1 as base64, of V2 by a URL that lives for a while."""
        place = self._place(request.model)
        v2_model = None if isinstance(place, Endpoint) else place
        body = images.encode(request, v2_model=v2_model)
        return images.decode(await self._post(place, images.PATH, body), self._classify(place))

    async def rerank(
        self, model: str, query: str, documents: Sequence[str], *, top_n: int | None = None
    ) -> Ranking:
        """
        Rank documents by how well they answer a query.

        Args:
            model: the vendor's name of the model, `bce-reranker-base_v1`.
            query: the question.
            documents: the texts to rank.
            top_n: how many of the best to give; all where not given.

        Raises:
            ProviderError: anything on the vendor's side.
        """
        place = self._place(model)
        v2_model = None if isinstance(place, Endpoint) else place
        body = tools.encode_ranking(query, documents, top_n, v2_model=v2_model)
        answer = await self._post(place, tools.RERANK_PATH, body)
        return tools.decode_ranking(answer, len(documents), self._classify(place))

    async def count_tokens(self, request: ChatRequest) -> int:
        """
        Input tokens of the texts of a request, by the vendor's counter, which only V1 has.

        Raises:
            ProviderAuthFailed: the settings hold no credentials for V1.
            ProviderError: anything else on the vendor's side.
        """
        v1 = self._first()
        answer = await v1.post(TOKENIZER, tools.encode_count(request))
        return tools.decode_count(answer, v1.classify)

    async def services(self) -> tuple[Service, ...]:
        """
        The services that the account may use, its own published ones among them.

        Raises:
            ProviderAuthFailed: the settings hold no IAM keys, which alone open this list.
            ProviderError: anything else on the vendor's side.
        """
        if self._console is None:
            raise ProviderAuthFailed(
                "the provider lists services to IAM keys only; set 'iam_ak' and 'iam_sk'",
                provider=self._name,
            )
        answer = await self._console.post(tools.SERVICES_PATH, b"{}")
        services = tools.decode_services(answer, self._console.classify)
        self._listed |= {each.name: published(each.endpoint) for each in services}
        return services

    async def list_models(self) -> tuple[str, ...]:
        """
        The names of the models to be had: V2's list where its key is there, the account's services where IAM keys are.

        With an application's key alone the vendor lists nothing; then it is every name of V1 that we know.
        """
        names: list[str] = []
        if self._console is not None:
            names += [service.name for service in await self.services()]
        if self._v2 is not None:
            answer = await self._v2.get(v2_wire.MODELS_PATH)
            names += tools.decode_models(answer, self._v2.classify)
        return tuple(dict.fromkeys(names or V1))

    def _place(self, model: str) -> Endpoint | str:
        """Where a model is served. Raises `ProviderAuthFailed` where the credentials do not open it."""
        if (listed := self._listed.get(model)) is not None:
            return listed
        return route(model, self._access)

    def _first(self) -> V1Http:
        if self._v1 is None:
            raise locked("V1")
        return self._v1

    def _second(self) -> VendorHttp:
        if self._v2 is None:
            raise locked("V2")
        return self._v2

    def _classify(self, place: Endpoint | str) -> Classify:
        return (self._first() if isinstance(place, Endpoint) else self._second()).classify

    async def _post(self, place: Endpoint | str, v2_path: str, body: bytes) -> bytes:
        if isinstance(place, Endpoint):
            return await self._first().post(place.path, body)
        return await self._second().post_json(v2_path, body)

    async def _stream_v1(
        self, request: ChatRequest, endpoint: Endpoint
    ) -> AsyncGenerator[Sequence[Delta], None]:
        body, notes = v1_wire.encode(request, endpoint)
        v1 = self._first()
        decoder = Decoder(
            classify=v1.classify,
            notes=notes,
            with_plugins=endpoint.shape in ("plugins", "query"),
        )
        async with v1.ask(endpoint.path, body, stream=request.stream) as (start, answer):
            if answer is None:
                yield decoder.whole(start)
                return
            parser = SseParser()
            read = start
            tail = b""
            try:
                while read:
                    # An error may come as a bare line of JSON, which no event stream has: it is kept for the end.
                    is_plain = read.startswith(b"data:") and read.endswith(b"\n\n")
                    tail = b"" if is_plain else (tail + read)[-_TAIL_BYTES:]
                    if deltas := decoder.decode(parser.feed(read)):
                        yield deltas
                    if decoder.failure is not None:
                        raise decoder.failure
                    if decoder.is_done:
                        await answer.settle()
                        return
                    read = await anext(answer, b"")
            except ProviderUnavailable:
                if not decoder.is_complete:
                    raise
            if deltas := decoder.close(parser.close(), tail=tail):
                yield deltas
            if decoder.failure is not None:
                raise decoder.failure


async def _noting(
    answer: AsyncGenerator[Sequence[Delta], None], notes: Sequence[str]
) -> AsyncGenerator[Sequence[Delta], None]:
    """The same answer; its first delta tells what was mended in the conversation."""
    waiting = list(notes)
    try:
        async for deltas in answer:
            if waiting and deltas:
                first = deltas[0]
                told = (first.extra or {}).get("notes")
                both = [*waiting, *told] if isinstance(told, list) else waiting
                first.extra = {**(first.extra or {}), "notes": both}
                waiting = []
            yield deltas
    finally:
        await answer.aclose()


def _token_access(settings: QianfanSettings, context: ProviderContext) -> V1Access | None:
    """Access by a token, which is fetched once for everybody and kept until it expires or is refused."""
    ak, sk = settings.ak.get_secret_value(), settings.sk.get_secret_value()
    if not ak:
        return None
    http = VendorHttp(context, settings, StaticAuth(), classify_oauth)

    async def fetch(now: datetime) -> Token:
        ask = http.exchange(
            "POST",
            auth.OAUTH_PATH,
            params=auth.oauth_params(ak, sk),
            body=b"{}",
            content_type="application/json",
        )
        async with ask as answer:
            return auth.read_access_token(await answer.read(), http.classify, now)

    return TokenAccess(TokenManager(fetch, context.clock, name=context.name, margin_s=_MARGIN_S))


def _signed_access(settings: QianfanSettings, context: ProviderContext) -> SignedAccess | None:
    """Access by signatures."""
    access_key, secret_key = settings.iam_ak.get_secret_value(), settings.iam_sk.get_secret_value()
    if not access_key:
        return None
    return SignedAccess(access_key, secret_key, context.clock, name=context.name)


def _bearer(
    settings: QianfanSettings, context: ProviderContext, signed: SignedAccess | None
) -> Authoriser | None:
    """The permanent key of V2, or temporary ones got with IAM keys."""
    if key := settings.api_key.get_secret_value():
        return StaticAuth({"Authorization": f"Bearer {key}"})
    if signed is None:
        return None
    http = VendorHttp(
        context,
        settings,
        signed,
        observing(signed.learn),
        base_url=settings.iam_base_url,
        headers={"Content-Type": "application/json"},
    )

    async def ask() -> bytes:
        return await http.get(auth.BEARER_PATH, params={"expireInSeconds": str(auth.BEARER_LIFE_S)})

    async def fetch(now: datetime) -> Token:
        skew_s = signed.skew_s
        try:
            body = await ask()
        except ProviderAuthFailed:
            if signed.skew_s == skew_s:
                raise
            body = await ask()  # now that the vendor's time is known
        return auth.read_bearer_token(body, http.classify, now)

    return TokenAuth(TokenManager(fetch, context.clock, name=context.name))
