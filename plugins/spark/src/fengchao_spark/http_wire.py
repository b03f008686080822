"""
Spark over its HTTP API: chat completions with the vendor's own rules. Pure.

Source: the vendor's HTTP调用文档.html and X1http.html in copies of 2024 and 2025. Ranges on which the copies differ are
taken at their widest; the README tells which.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson
from typing_extensions import override

from fengchao_core.errors import ProviderError
from fengchao_core.kit.errors import Classify
from fengchao_core.kit.openai_chat import (
    CHAT_COMPLETIONS,
    PARTS,
    Adapt,
    Decoder,
    Dialect,
    Notes,
    clamp,
)
from fengchao_core.types import ChatRequest, Delta, TextPart
from fengchao_spark.endpoints import Endpoint
from fengchao_spark.wire import LOWEST_TEMPERATURE

PATH = "/chat/completions"

_MAX_TEMPERATURE = 2.0


def base_of(http_base_url: str, version: str) -> str:
    """The base URL of one version of the HTTP API, from the setting with its `/v1` or without."""
    bare = http_base_url.rstrip("/")
    return f"{bare.removesuffix('/v1').removesuffix('/v2')}/{version}"


def dialect_of(endpoint: Endpoint) -> Dialect:
    """The dialect of a model."""
    if endpoint.max_tokens is None:
        return _DIALECT
    return replace(_DIALECT, adapt={**_DIALECT.adapt, "max_tokens": clamp(1, endpoint.max_tokens)})


class CheckedDecoder(Decoder):
    """
    The kit's decoder, for answers whose every chunk has a `code` of its own.

    After the start, a failure comes as a chunk with a code, beside choices that may be empty, under HTTP 200.
    """

    __slots__ = ("_refused",)

    def __init__(self, dialect: Dialect, *, classify: Classify, notes: Sequence[str] = ()) -> None:
        super().__init__(dialect, classify=classify, notes=notes)
        self._refused = classify

    @override
    def decode(self, events: Iterable[bytes]) -> list[Delta]:
        return super().decode(checked(events, self._refused))

    @override
    def whole(self, body: bytes) -> list[Delta]:
        if (error := _refusal(body, self._refused)) is not None:
            raise error
        return super().whole(body)


def checked(events: Iterable[bytes], classify: Classify) -> Iterator[bytes]:
    """The same events; one whose `code` is not 0 raises its error."""
    for event in events:
        is_usual = event.startswith(b'{"code":0,')  # as the vendor writes it
        if not is_usual and (error := _refusal(event, classify)) is not None:
            raise error
        yield event


def _refusal(event: bytes, classify: Classify) -> ProviderError | None:
    try:
        chunk = orjson.loads(event)
    except orjson.JSONDecodeError:
        return None  # `[DONE]`, or nonsense that the decoder tells apart
    code = chunk.get("code") if isinstance(chunk, dict) else None
    return None if code in (None, 0, "0") else classify(200, {}, event)


def _open_at_zero(most: float) -> Adapt:
    def adapt(name: str, value: Any) -> tuple[Any, str | None]:
        if 0 < value <= most:
            return value, None
        nearest = LOWEST_TEMPERATURE if value <= 0 else most
        return nearest, f"{name} {value} was sent as {nearest}, the nearest this provider takes"

    return adapt


def _amend(body: dict[str, Any], request: ChatRequest, notes: Notes) -> None:
    for message in body["messages"]:
        content = message["content"]
        if isinstance(content, list):  # only texts got here
            message["content"] = "".join(part["text"] for part in content)
        elif content is None:
            message["content"] = ""
    if request.params.do_sample is False:
        notes[:] = [note for note in notes if not note.startswith("do_sample")]
        body |= {"temperature": LOWEST_TEMPERATURE, "top_k": 1}
        notes.append(
            f"do_sample=false was sent as temperature {LOWEST_TEMPERATURE} and top_k 1, "
            "which this provider takes instead"
        )
    if body.get("tool_choice") == "none":
        # The vendor documents no such value; without tools none can be called.
        del body["tool_choice"]
        body.pop("tools", None)
    if "tools" in body:
        body["tool_calls_switch"] = True  # else calls come as one object, outside of any list


_KNOBS: Mapping[str, str] = {
    name: name
    for name in (
        "temperature",
        "top_p",
        "top_k",
        "max_tokens",
        "presence_penalty",
        "frequency_penalty",
        "tools",
        "tool_choice",
        "response_format",
        "user",
    )
}

_DIALECT = replace(
    CHAT_COMPLETIONS,
    knobs=_KNOBS,
    adapt={
        "temperature": _open_at_zero(_MAX_TEMPERATURE),
        "top_p": _open_at_zero(1.0),
        "top_k": clamp(1, 6),
        "presence_penalty": clamp(0, 2),
        "frequency_penalty": clamp(0, 1),
    },
    roles={**CHAT_COMPLETIONS.roles, "developer": "system"},
    parts={TextPart: PARTS[TextPart]},
    response_formats=frozenset({"text", "json_object"}),
    include_usage=False,  # it comes unasked, with the last chunk
    amend=_amend,
)
