"""
Batches: many requests that the vendor answers within a day, at half the price. Pure.

The shape of the results is not confirmed; they are read with care.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import orjson
from pydantic import BaseModel

from fengchao_anthropic.decode import Decoder
from fengchao_anthropic.knobs import JSON_TOOL
from fengchao_core.errors import InvalidParameter, ProviderError, ProviderProtocolError
from fengchao_core.fold import Fold
from fengchao_core.kit.errors import Classify
from fengchao_core.kit.openai_chat import dump
from fengchao_core.kit.replies import read_reply
from fengchao_core.types import NO_USAGE, Choice, Usage

BATCHES = "/v1/messages/batches"


class _Counts(BaseModel):
    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0


class _Batch(BaseModel):
    id: str
    processing_status: Literal["in_progress", "canceling", "ended"]
    request_counts: _Counts = _Counts()
    created_at: datetime | None = None
    expires_at: datetime | None = None
    ended_at: datetime | None = None
    results_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """
    Many requests that the vendor answers within a day, at half the price.

    Attributes:
        status: `ended` once every request has its result.
        processing: how many requests are still waiting.
        expires_at: when what has no answer by then is given up.
    """

    id: str
    status: Literal["in_progress", "canceling", "ended"]
    processing: int
    succeeded: int
    errored: int
    canceled: int
    expired: int
    created_at: datetime | None
    expires_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """
    What became of one request of a batch.

    Attributes:
        name: the request's.
        status: `canceled` and `expired` were never asked.
        choices: the answer, where there is one.
        error: why there is none, where the vendor says so.
    """

    name: str
    status: Literal["succeeded", "errored", "canceled", "expired"]
    choices: tuple[Choice, ...] = ()
    usage: Usage = NO_USAGE
    error: ProviderError | None = None


def encode_batch(bodies: Mapping[str, bytes]) -> bytes:
    """A batch of requests, by the names that their results will bear."""
    if not bodies:
        raise InvalidParameter("a batch needs at least one request", param="requests")
    return dump(
        {
            "requests": [
                {"custom_id": name, "params": orjson.loads(body)} for name, body in bodies.items()
            ]
        }
    )


def decode_batch(body: bytes, classify: Classify) -> Batch:
    """What the vendor says of a batch."""
    batch = read_reply(_Batch, body, classify)
    return Batch(
        id=batch.id,
        status=batch.processing_status,
        created_at=batch.created_at,
        expires_at=batch.expires_at,
        ended_at=batch.ended_at,
        **batch.request_counts.model_dump(),
    )


def decode_results(body: bytes, classify: Classify) -> tuple[BatchResult, ...]:
    """
    The results of a batch, one JSON object a line.

    Raises:
        ProviderProtocolError: a line is not what is documented.
    """
    return tuple(_result(line, classify) for line in body.split(b"\n") if line.strip())


def _result(line: bytes, classify: Classify) -> BatchResult:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        row = None
    result = row.get("result") if isinstance(row, dict) else None
    if not isinstance(result, dict) or not isinstance(row.get("custom_id"), str):
        raise ProviderProtocolError("a line of a batch's results is not what is documented")
    name: str = row["custom_id"]
    match result.get("type"):
        case "succeeded":
            return _succeeded(name, result.get("message"), classify)
        case "errored":
            error = result.get("error")
            # The whole error body, or what stands in it.
            body = error if isinstance(error, dict) and "error" in error else {"error": error}
            return BatchResult(
                name=name, status="errored", error=classify(200, {}, orjson.dumps(body))
            )
        case "canceled":
            return BatchResult(name=name, status="canceled")
        case "expired":
            return BatchResult(name=name, status="expired")
    raise ProviderProtocolError("a result of a batch is of no documented type")


def _succeeded(name: str, message: Any, classify: Classify) -> BatchResult:
    content = message.get("content") if isinstance(message, dict) else None
    by_tool = isinstance(content, list) and any(
        isinstance(block, dict) and block.get("name") == JSON_TOOL for block in content
    )
    deltas = Decoder(classify=classify, answers_by_tool=by_tool).whole(orjson.dumps(message))
    fold = Fold()
    fold.feed(deltas)
    return BatchResult(
        name=name,
        status="succeeded",
        choices=fold.choices(),
        usage=deltas[-1].usage or NO_USAGE,
    )
