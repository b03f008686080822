"""What Qianfan has besides chats, vectors and pictures: ranking, counting, and lists of services. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import BaseModel, Field

from fengchao_core.errors import ProviderProtocolError
from fengchao_core.kit.errors import Classify
from fengchao_core.kit.openai_chat import dump
from fengchao_core.kit.replies import read_reply
from fengchao_core.types import ChatRequest, Usage

RERANK_PATH = "/rerankers"
"""V2's path of ranking; V1 has one for each model."""

SERVICES_PATH = "/wenxinworkshop/service/list"


@dataclass(frozen=True, slots=True)
class Ranked:
    """
    A document and how well it answers the query.

    Attributes:
        index: its place among the documents that were given.
        score: higher is better.
    """

    index: int
    score: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """The best documents, best first, and what the ranking used."""

    documents: tuple[Ranked, ...]
    usage: Usage


@dataclass(frozen=True, slots=True)
class Service:
    """
    A service of the account, public or its own.

    Attributes:
        name: for people.
        endpoint: what to ask for it by: a path of V1 like `chat/completions_pro`.
    """

    name: str
    endpoint: str


class _Usage(BaseModel):
    prompt_tokens: int = Field(default=0, ge=0)
    total_tokens: int = Field(default=0, ge=0)


class _Result(BaseModel):
    index: int = Field(ge=0)
    relevance_score: float


class _Results(BaseModel):
    results: list[_Result]
    usage: _Usage = _Usage()


class _Counted(BaseModel):
    usage: _Usage


class _Service(BaseModel):
    name: str
    url: str


class _Services(BaseModel):
    common: list[_Service] = []
    custom: list[_Service] = []


class _ServiceList(BaseModel):
    result: _Services


class _Model(BaseModel):
    id: str


class _Models(BaseModel):
    data: list[_Model]


def encode_ranking(
    query: str, documents: Sequence[str], top_n: int | None, *, v2_model: str | None = None
) -> bytes:
    """A call that ranks documents; `v2_model` as in `embeddings.encode`."""
    body: dict[str, object] = {"query": query, "documents": list(documents)}
    if top_n is not None:
        body["top_n"] = top_n
    if v2_model is not None:
        body["model"] = v2_model
    return dump(body)


def decode_ranking(body: bytes, count: int, classify: Classify) -> Ranking:
    """
    The ranking of `count` documents.

    Raises:
        ProviderError: the body is an error, or nonsense.
    """
    answer = read_reply(_Results, body, classify)
    if any(result.index >= count for result in answer.results):
        raise ProviderProtocolError("the provider ranked a document that it was not given")
    ranked = sorted(answer.results, key=lambda result: -result.relevance_score)
    return Ranking(
        tuple(Ranked(result.index, result.relevance_score) for result in ranked),
        Usage(answer.usage.prompt_tokens or answer.usage.total_tokens),
    )


def encode_count(request: ChatRequest) -> bytes:
    """A call that counts the tokens of a request's texts."""
    text = "\n".join(message.text for message in request.messages)
    return dump({"prompt": text, "model": request.model.lower()})


def decode_count(body: bytes, classify: Classify) -> int:
    """How many tokens there are. Raises `ProviderError`, as `read_reply`."""
    usage = read_reply(_Counted, body, classify).usage
    return usage.total_tokens or usage.prompt_tokens


def decode_services(body: bytes, classify: Classify) -> tuple[Service, ...]:
    """The services of an account, public ones first. Raises `ProviderError`, as `read_reply`."""
    answer = read_reply(_ServiceList, body, classify).result
    return tuple(
        Service(each.name, _endpoint(each.url)) for each in (*answer.common, *answer.custom)
    )


def decode_models(body: bytes, classify: Classify) -> tuple[str, ...]:
    """The models of V2. Raises `ProviderError`, as `read_reply`."""
    return tuple(model.id for model in read_reply(_Models, body, classify).data)


def _endpoint(url: str) -> str:
    """The last two parts of a service's address: its kind and its name."""
    return "/".join(part for part in urlsplit(url).path.split("/") if part).split(
        "wenxinworkshop/", 1
    )[-1]
