"""
Spark's embeddings on the wire: one text a call, base64 in base64. Pure.

Source: Embedding_api.html and Embedding_new_api.html in copies of 2024 and 2025; the fields are those that the vendor's SDK sends.
"""

from __future__ import annotations

import sys
from array import array
from base64 import b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from fengchao_core.errors import InvalidParameter, ProviderProtocolError
from fengchao_core.kit.errors import Classify
from fengchao_core.kit.openai_chat import dump
from fengchao_core.types import EmbeddingRequest
from fengchao_spark.replies import DEFAULT_UID, read


@dataclass(frozen=True, slots=True)
class Service:
    """
    One kind of vectors.

    Attributes:
        path: of the service.
        domain: `query` for questions, `para` for passages; None where the path says it.
    """

    path: str
    domain: str | None = None

    @property
    def is_private(self) -> bool:
        """Whether it is on the host of the services with one address for each kind."""
        return self.domain is None


SERVICES: Mapping[str, Service] = {
    "spark-embedding-query": Service("/", "query"),
    "spark-embedding-para": Service("/", "para"),
    "spark-embedding-p": Service("/v1/private/sa8a05c27"),
    "spark-embedding-q": Service("/v1/private/s50d55a16"),
}
"""The services by model: `p` and `para` for passages, `q` and `query` for questions."""


class _Feature(BaseModel):
    text: str


class _Payload(BaseModel):
    feature: _Feature


class _Reply(BaseModel):
    payload: _Payload


def service_of(model: str) -> Service:
    """The service of a model. Raises `InvalidParameter` where there is none."""
    service = SERVICES.get(model)
    if service is None:
        raise InvalidParameter(
            f"this provider has no embedding model '{model}'; it has: {', '.join(SERVICES)}",
            param="model",
        )
    return service


def encode(request: EmbeddingRequest, text: str, service: Service, app_id: str) -> bytes:
    """
    A call for the vector of one text.

    Raises:
        InvalidParameter: a length of vectors is asked for, which the vendor lets nobody choose.
    """
    if request.dimensions is not None:
        raise InvalidParameter(
            "this provider lets nobody choose the length of its vectors", param="dimensions"
        )
    emb: dict[str, Any] = {"feature": {"encoding": "utf8"}, **request.extra}
    if service.domain is not None:
        emb["domain"] = service.domain
    said = dump({"messages": [{"content": text, "role": "user"}]})
    return dump(
        {
            "header": {"app_id": app_id, "uid": request.user or DEFAULT_UID, "status": 3},
            "parameter": {"emb": emb},
            "payload": {"messages": {"text": b64encode(said).decode()}},
        }
    )


def decode(body: bytes, classify: Classify) -> Sequence[float]:
    """
    The vector: little-endian float32.

    Raises:
        ProviderError: as `replies.read`.
    """
    floats = array("f")
    try:
        floats.frombytes(a2b_base64(read(_Reply, body, classify).payload.feature.text))
    except (Base64Error, ValueError):
        floats = array("f")
    if not floats:
        raise ProviderProtocolError("the provider's vector is not base64 of float32 numbers")
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tolist()
