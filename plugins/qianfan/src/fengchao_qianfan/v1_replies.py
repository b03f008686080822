"""
Chats of V1 on the wire: what comes back, whole or streamed. Pure.

An answer is one object with its text in `result`; in a stream there is one such object for each piece of text, and the
last one says `is_end`. The reader is tolerant where the documentation is silent: a function call may come whole or in
pieces, and `finish_reason` may be there or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from fengchao_core.errors import ProviderError, ProviderProtocolError
from fengchao_core.kit.errors import Classify
from fengchao_core.kit.openai_chat import read_usage
from fengchao_core.types import Delta, FinishReason, ToolCallFragment
from fengchao_qianfan.codes import v1_code

FINISH: Mapping[str, FinishReason] = {
    "normal": "stop",
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "function_call": "tool_calls",
    "tool_calls": "tool_calls",
}
"""The vendor's finish reasons, of those models that tell one."""

_KEPT = ("search_info", "ban_round", "flag", "plugin_info", "meta_info", "image_url", "tools_info")
_TAIL = 8192


class Decoder:
    """
    Decodes one answer. One object per answer.

    Args:
        classify: makes the error of an error object.
        notes: what was adapted in the request; the first delta carries them in `extra["notes"]`.
        with_plugins: events without text are the plugins' own, and are kept in `extra["plugin_events"]`.

    Attributes:
        is_done: the answer is over; whatever still comes is ignored.
        failure: an error that came in the same read as deltas before it; raise it once those are out.
    """

    __slots__ = (
        "_arguments",
        "_called",
        "_classify",
        "_closed",
        "_finish",
        "_id",
        "_notes",
        "_thoughts",
        "_truncated",
        "_unsafe",
        "_usage",
        "_with_plugins",
        "failure",
        "is_done",
    )

    def __init__(
        self, *, classify: Classify, notes: Sequence[str] = (), with_plugins: bool = False
    ) -> None:
        self._classify = classify
        self._notes = tuple(notes)
        self._with_plugins = with_plugins
        self._id = ""
        self._called = ""
        self._arguments = ""
        self._thoughts = ""
        self._finish: FinishReason | None = None
        self._closed = False
        self._truncated = False
        self._unsafe = False
        self._usage: object = None
        self.is_done = False
        self.failure: ProviderError | None = None

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing, though the stream has not said that it is over."""
        return self.is_done or self._closed

    def decode(self, events: Iterable[bytes]) -> list[Delta]:
        """
        The deltas of the events of one network read.

        Raises:
            ProviderError: an event holds an error or nonsense, and nothing before it was worth a delta.
        """
        deltas: list[Delta] = []
        try:
            for event in events:
                if self.is_done:
                    break
                chunk = _parse(event)
                # The usual event: a piece of text and nothing else.
                text = chunk.get("result")
                if (
                    type(text) is str
                    and chunk.get("is_end") is False
                    and _PLAIN.issuperset(chunk)
                    and not chunk.get("need_clear_history")
                    and not chunk.get("is_truncated")
                    and not chunk.get("finish_reason")
                ):
                    if text:
                        deltas.append(Delta(text))
                    self._usage = chunk.get("usage") or self._usage
                    continue
                self._take(chunk, event, deltas)
        except ProviderError as error:
            if not deltas:
                raise
            self.failure = error
        return self._noted(deltas)

    def close(self, events: Iterable[bytes] = (), *, tail: bytes = b"") -> list[Delta]:
        """
        The last deltas, once the stream has ended.

        Args:
            events: what the end of the stream completed.
            tail: the stream's last bytes, where an error may stand on a line of its own.

        Raises:
            ProviderError: the vendor broke off with an error.
            ProviderProtocolError: the stream ended before its answer did.
        """
        deltas = self.decode(events)
        if self.is_done or self.failure is not None:
            return deltas
        if self._closed:
            deltas.append(self._last(""))
            return self._noted(deltas)
        failure = self._bare_error(tail) or ProviderProtocolError(
            "the provider's stream ended before its answer did"
        )
        if not deltas:
            raise failure
        self.failure = failure
        return deltas

    def whole(self, body: bytes) -> list[Delta]:
        """
        The deltas of an answer that came in one piece.

        Raises:
            ProviderError: the body is an error or nonsense.
        """
        deltas: list[Delta] = []
        self._take({**_parse(body), "is_end": True}, body, deltas)
        return self._noted(deltas)

    def _take(self, chunk: Mapping[str, Any], raw: bytes, deltas: list[Delta]) -> None:
        if v1_code(chunk) is not None or chunk.get("error"):
            raise self._classify(200, {}, raw)
        text = chunk.get("result")
        call = chunk.get("function_call")
        if text is None and self._with_plugins and not chunk.get("is_end"):
            deltas.append(Delta(extra={"plugin_events": [dict(chunk)]}))
            return
        if text is None and not call:
            raise ProviderProtocolError("the provider's answer has no 'result'; expected text")
        if text is not None and not isinstance(text, str):
            raise ProviderProtocolError("'result' of the provider's answer is no text")
        if isinstance(given := chunk.get("id"), str):
            self._id = given
        reasoning, calls = self._call(call) if call else ("", ())
        self._usage = chunk.get("usage") or self._usage
        self._learn(chunk)
        extra = {name: chunk[name] for name in _KEPT if chunk.get(name)}
        if isinstance(usage := chunk.get("usage"), dict) and usage.get("plugins"):
            extra["plugin_usage"] = usage["plugins"]
        if chunk.get("need_clear_history") is True:
            extra["need_clear_history"] = True
        if chunk.get("is_end") is True:
            last = self._last(text or "")
            last.reasoning, last.tool_calls, last.extra = reasoning, calls, extra or None
            deltas.append(last)
        elif text or reasoning or calls or extra:
            deltas.append(
                Delta(text or "", reasoning=reasoning, tool_calls=calls, extra=extra or None)
            )

    def _learn(self, chunk: Mapping[str, Any]) -> None:
        """What an event says about how the answer ends."""
        if (
            chunk.get("need_clear_history") is True
            or chunk.get("flag")
            or chunk.get("is_safe") == 0
        ):
            self._unsafe = True
        if chunk.get("is_truncated") is True:
            self._truncated = True
        if reason := chunk.get("finish_reason"):
            finish = FINISH.get(reason) if isinstance(reason, str) else None
            if finish is None:
                raise ProviderProtocolError(
                    f"the provider's finish reason {str(reason)[:60]!r} is unknown; "
                    f"expected one of {', '.join(sorted(FINISH))}"
                )
            self._finish = finish
            # A reason is an end by itself where the event does not say that more will come.
            self._closed = chunk.get("is_end") is not False

    def _last(self, text: str) -> Delta:
        self.is_done = True
        finish = self._finish or "stop"
        if self._unsafe:
            finish = "content_filter"
        elif self._called:
            finish = "tool_calls"
        elif self._truncated:
            finish = "length"
        return Delta(text, finish_reason=finish, usage=read_usage(self._usage))

    def _call(self, call: object) -> tuple[str, tuple[ToolCallFragment, ...]]:
        """The new part of a function call: the vendor may send it at once, in pieces, or longer each time."""
        name = call.get("name") if isinstance(call, dict) else None
        arguments = call.get("arguments") if isinstance(call, dict) else None
        thoughts = call.get("thoughts") if isinstance(call, dict) else None
        if isinstance(arguments, dict):
            arguments = orjson.dumps(arguments).decode()
        for value in (name, arguments, thoughts):
            if value is not None and not isinstance(value, str):
                raise ProviderProtocolError("'function_call' of the provider's answer is malformed")
        if not (name or self._called) or not isinstance(call, dict):
            raise ProviderProtocolError("'function_call' of the provider's answer has no name")
        new_thoughts, self._thoughts = _grown(self._thoughts, thoughts or "")
        more, self._arguments = _grown(self._arguments, arguments or "")
        if self._called:
            fragment = ToolCallFragment(0, arguments=more)
            return new_thoughts, (fragment,) if more else ()
        self._called = name or ""
        # V1 gives calls no ids; the answer's own is as unique as one needs to be.
        return new_thoughts, (ToolCallFragment(0, f"call_{self._id}", name, more),)

    def _bare_error(self, tail: bytes) -> ProviderError | None:
        """The error that stands in the tail without `data:` before it."""
        for line in tail[-_TAIL:].splitlines():
            if line.startswith(b"{"):
                try:
                    tree = orjson.loads(line)
                except orjson.JSONDecodeError:
                    continue
                if v1_code(tree) is not None:
                    return self._classify(200, {}, line)
        return None

    def _noted(self, deltas: list[Delta]) -> list[Delta]:
        if self._notes and deltas:
            first = deltas[0]
            first.extra = {**(first.extra or {}), "notes": list(self._notes)}
            self._notes = ()
        return deltas


_PLAIN = frozenset(
    {
        *("id", "object", "created", "sentence_id", "is_end", "is_truncated", "result"),
        *("need_clear_history", "finish_reason", "usage"),
    }
)
"""The fields of an event that adds text and nothing else; any other field is looked at."""


def _parse(body: bytes) -> dict[str, Any]:
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError:
        tree = None
    # Raised out here: the decoder's own error carries the whole text with it.
    if not isinstance(tree, dict):
        raise ProviderProtocolError(
            "the provider's answer is not JSON, or no object; expected a JSON object"
        )
    return tree


def _grown(before: str, now: str) -> tuple[str, str]:
    """What is new in a text that grows, and all of it by now."""
    if before and now.startswith(before):
        return now[len(before) :], now
    return now, before + now
