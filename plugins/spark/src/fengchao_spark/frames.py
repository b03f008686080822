"""
Spark over WebSocket: the frames that come back, as deltas. Pure.

Source: the vendor's Web.html in copies of 2024 and 2025, and the frames that its SDK reads (recorded). Beyond those, the
reader bears an empty `text`, binary messages and calls in pieces; what it insists on is a header with a code, and in an
answer the choices and their status.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from fengchao_core.errors import ProviderProtocolError
from fengchao_core.kit.openai_chat import read_usage
from fengchao_core.types import Delta, FinishReason, ToolCallFragment, Usage
from fengchao_spark.codes import SOFT_REFUSAL, error_of

_LAST = 2
_STATUSES = (0, 1, _LAST)
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_-]+")


class FrameDecoder:
    """
    Decodes one answer. Pure: no I/O, no clock; one object per answer.

    Args:
        notes: what `encode` adapted; the first delta carries them in `extra["notes"]`.
        max_tokens: the limit that was asked for. The vendor tells no finish reason, so an answer that used it up is
            taken for one that was cut there.

    Attributes:
        is_done: the answer is over; whatever still comes is ignored.
    """

    __slots__ = ("_calls", "_max_tokens", "_notes", "_said", "is_done")

    def __init__(self, *, notes: Sequence[str] = (), max_tokens: int | None = None) -> None:
        self._notes = tuple(notes)
        self._max_tokens = max_tokens
        self._calls = 0
        self._said = False
        self.is_done = False

    def decode(self, message: str | bytes) -> list[Delta]:
        """
        The deltas of one message.

        Raises:
            ProviderError: the message is an error.
            ProviderProtocolError: it is nonsense.
        """
        frame = _object(_parse(message), "frame")
        header = _object(frame.get("header"), "frame's header")
        code = header.get("code")
        if type(code) is not int:
            raise ProviderProtocolError("a frame of the provider has no number as its code")
        if code == SOFT_REFUSAL and self._said:
            return self._noted(self._softly_refused(frame, header))
        if code:
            raise error_of(header)
        payload = _object(frame.get("payload"), "frame's payload")
        choices = _object(payload.get("choices"), "frame's choices")
        status = choices.get("status")
        if status not in _STATUSES or isinstance(status, bool):
            raise ProviderProtocolError("a frame of the provider has no status of 0, 1 or 2")
        deltas = self._texts(choices, header)
        if len(payload) > (2 if "usage" in payload else 1):
            deltas.append(Delta(extra=_others(payload)))
        if status == _LAST:
            self.is_done = True
            usage = _usage(payload)
            deltas.append(Delta(finish_reason=self._finish(usage), usage=usage))
        return self._noted(deltas)

    def _texts(self, choices: Mapping[str, Any], header: Mapping[str, Any]) -> list[Delta]:
        items = choices.get("text")
        if items is None:
            return []
        if not isinstance(items, list):
            raise ProviderProtocolError("'text' of the provider's frame is not a list")
        deltas = [delta for item in items if (delta := self._text(item, header)) is not None]
        self._said = self._said or bool(deltas)
        return deltas

    def _text(self, wire: object, header: Mapping[str, Any]) -> Delta | None:
        item = _object(wire, "frame's text")
        text = _string(item, "content")
        reasoning = _string(item, "reasoning_content")
        call = item.get("function_call")
        if call:
            return Delta(text, reasoning, (self._fragment(call, header),))
        return Delta(text, reasoning) if text or reasoning else None

    def _fragment(self, wire: object, header: Mapping[str, Any]) -> ToolCallFragment:
        """A call comes whole as far as is known; one without a name is taken for more arguments of the last."""
        call = _object(wire, "function call")
        name, arguments = _string(call, "name"), call.get("arguments")
        if isinstance(arguments, dict):
            arguments = orjson.dumps(arguments).decode()
        if arguments is not None and not isinstance(arguments, str):
            raise ProviderProtocolError("the arguments of a provider's function call are not text")
        if not name:
            if not self._calls:
                raise ProviderProtocolError("a function call of the provider has no name")
            return ToolCallFragment(self._calls - 1, arguments=arguments or "")
        # The vendor gives calls no id; one made of the answer's own stays unique within a conversation.
        sid = _NOT_IN_IDS.sub("", str(header.get("sid") or ""))
        self._calls += 1
        return ToolCallFragment(
            self._calls - 1, f"call_{sid}_{self._calls - 1}", name, arguments or ""
        )

    def _softly_refused(self, frame: Mapping[str, Any], header: Mapping[str, Any]) -> list[Delta]:
        """The whole answer came before this; it stands, and the reason for its end is told."""
        self.is_done = True
        payload = frame.get("payload")
        usage = _usage(payload) if isinstance(payload, dict) else None
        warning = {"code": header.get("code"), "message": header.get("message")}
        return [
            Delta(extra={"spark": warning}),
            Delta(finish_reason="content_filter", usage=usage),
        ]

    def _finish(self, usage: Usage | None) -> FinishReason:
        if self._calls:
            return "tool_calls"
        limit = self._max_tokens
        if limit is not None and usage is not None and usage.completion_tokens >= limit:
            return "length"
        return "stop"

    def _noted(self, deltas: list[Delta]) -> list[Delta]:
        if self._notes and deltas:
            first = deltas[0]
            first.extra = {**(first.extra or {}), "notes": list(self._notes)}
            self._notes = ()
        return deltas


def _parse(message: str | bytes) -> object:
    try:
        return orjson.loads(message)
    except orjson.JSONDecodeError:
        pass  # and raised below: the decoder's own error carries the whole text with it
    raise ProviderProtocolError("a message of the provider is not JSON; expected a JSON object")


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ProviderProtocolError(f"the provider's {what} is not an object")
    return value


def _string(item: Mapping[str, Any], name: str) -> str:
    value = item.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ProviderProtocolError(f"'{name}' of the provider's frame is not text")
    return value


def _usage(payload: Mapping[str, Any]) -> Usage | None:
    usage = payload.get("usage")
    return read_usage(usage.get("text")) if isinstance(usage, dict) else None


def _others(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What else a payload holds: the references of a web search, say."""
    return {key: value for key, value in payload.items() if key not in ("choices", "usage")}
