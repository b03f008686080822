"""
Zhipu's asynchronous chat on the wire: a task is submitted, and asked for until it is done. Pure.

How long the vendor keeps a result, and how often it may be asked for, is not documented.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from pydantic import BaseModel

from fengchao_core.errors import ProviderError, ProviderProtocolError
from fengchao_core.fold import Fold
from fengchao_core.kit.errors import Classify
from fengchao_core.kit.openai_chat import Decoder
from fengchao_core.kit.replies import read_reply
from fengchao_core.types import NO_USAGE, Choice, Completion, Usage
from fengchao_zhipu.wire import dialect_for

SUBMIT = "/async/chat/completions"


@dataclass(frozen=True, slots=True)
class Task:
    """
    A chat that the vendor answers in its own time.

    Attributes:
        id: what the vendor calls it; ask for the result by it.
        request_id: of the request, as the vendor has it.
        notes: what was adapted in the request, one English sentence each.
    """

    id: str
    request_id: str = ""
    notes: tuple[str, ...] = ()


class _Created(BaseModel):
    id: str
    request_id: str | None = None
    task_status: str = "PROCESSING"


class _Result(BaseModel):
    task_status: str
    model: str | None = None
    request_id: str | None = None
    created: float = 0.0


def result_path(task_id: str) -> str:
    """Where a task's result is."""
    return f"/async-result/{quote(task_id, safe='')}"


def decode_task(body: bytes, notes: tuple[str, ...], classify: Classify) -> Task:
    """
    The task that a request became.

    Raises:
        ProviderError: the body is an error, the task failed at once, or the reply is nonsense.
    """
    created = read_reply(_Created, body, classify)
    if created.task_status == "FAIL":
        raise _failed()
    return Task(created.id, created.request_id or "", notes)


def decode_result(body: bytes, provider: str, classify: Classify) -> Completion | None:
    """
    The answer of a task; None while the vendor still works on it.

    Args:
        body: the reply.
        provider: who answers, by the settings' name.
        classify: makes the error of a body that is one.

    Raises:
        ProviderError: the body is an error, the task failed (the vendor gives no reason), or the reply is nonsense.
    """
    result = read_reply(_Result, body, classify)
    if result.task_status == "PROCESSING":
        return None
    if result.task_status == "FAIL":
        raise _failed()
    if result.task_status != "SUCCESS":
        raise ProviderProtocolError(
            f"the provider's task has the unknown status {result.task_status[:60]!r}; "
            "expected PROCESSING, SUCCESS or FAIL"
        )
    model = result.model or ""
    choices, usage, extra = _answer(body, model, classify)
    return Completion(
        request_id=result.request_id or "",
        model=model,
        provider=provider,
        choices=choices,
        usage=usage,
        created=result.created,
        extra=extra,
    )


def _answer(
    body: bytes, model: str, classify: Classify
) -> tuple[tuple[Choice, ...], Usage, Mapping[str, object]]:
    deltas = Decoder(dialect_for(model), classify=classify).whole(body)
    fold = Fold()
    fold.feed(deltas)
    usage = next((delta.usage for delta in reversed(deltas) if delta.usage is not None), NO_USAGE)
    return fold.choices(), usage, fold.extra


def _failed() -> ProviderError:
    return ProviderError("the provider's task failed; it gives no reason", vendor_code="FAIL")
