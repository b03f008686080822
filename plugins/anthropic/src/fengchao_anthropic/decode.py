"""
Answers of the Messages API, whole or as its events, as deltas.

Pure. What the vendor may add (new events, new kinds of blocks and of deltas) passes without harm; what is missing where
it is needed is a `ProviderProtocolError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from fengchao_anthropic.thinking import signed
from fengchao_core.errors import ProviderError, ProviderProtocolError
from fengchao_core.kit.errors import Classify
from fengchao_core.types import Delta, FinishReason, ToolCallFragment, Usage

FINISH: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""The vendor's stop reasons."""

_TOLD = frozenset({"stop_sequence", "pause_turn", "refusal", "model_context_window_exceeded"})
"""Stop reasons that say more than the finish reason they become; passed on in `extra["stop_reason"]`."""

_MOST_TOKENS = 2**53


class Decoder:
    """
    Decodes one answer; one object per answer.

    Args:
        classify: makes the error of an error event, and of an error that comes under HTTP 200.
        notes: what `encode` adapted; the first delta carries them in `extra["notes"]`.
        answers_by_tool: the arguments of the one call are the text of the answer.

    Attributes:
        is_done: the answer is over; whatever still comes is ignored.
        failure: an error that came in the same read as deltas before it; raise it once those are out.
    """

    __slots__ = (
        "_answers_by_tool",
        "_blocks",
        "_calls",
        "_classify",
        "_notes",
        "_stop",
        "_usage",
        "failure",
        "is_done",
    )

    def __init__(
        self, *, classify: Classify, notes: Sequence[str] = (), answers_by_tool: bool = False
    ) -> None:
        self._classify = classify
        self._notes = tuple(notes)
        self._answers_by_tool = answers_by_tool
        self._blocks: dict[int, _Block] = {}
        self._calls = 0
        self._usage: dict[str, Any] = {}
        self._stop: Mapping[str, Any] | None = None
        self.is_done = False
        self.failure: ProviderError | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the vendor said why the answer ended; after that only formalities come."""
        return self._stop is not None

    def decode(self, events: Iterable[bytes]) -> list[Delta]:
        """
        The deltas of the events of one network read.

        Args:
            events: the data of server-sent events; each names its kind itself.

        Raises:
            ProviderError: an event holds an error or nonsense, and nothing before it was worth a delta.
        """
        deltas: list[Delta] = []
        try:
            for event in events:
                if self.is_done:
                    break
                self._event(event, deltas)
        except ProviderError as error:
            if not deltas:
                raise
            self.failure = error
        return self._noted(deltas)

    def close(self, events: Iterable[bytes] = ()) -> list[Delta]:
        """
        The last deltas, once the stream has ended.

        Args:
            events: what the end of the stream completed, `SseParser.close()`.

        Raises:
            ProviderProtocolError: the stream ended before its answer did.
        """
        deltas = self.decode(events)
        if not self.is_done and self.failure is None:
            try:
                self._finish(deltas)
            except ProviderError as error:
                if not deltas:
                    raise
                self.failure = error
        return self._noted(deltas)

    def whole(self, body: bytes) -> list[Delta]:
        """
        The deltas of an answer that came in one piece.

        Raises:
            ProviderError: the body is an error or nonsense.
        """
        message = _parsed(body, "the provider's answer")
        if message.get("type") == "error" or ("error" in message and "content" not in message):
            raise self._classify(200, {}, body)
        content = message.get("content")
        if not isinstance(content, list):
            raise ProviderProtocolError(
                "the provider's answer has no list of content; expected a message"
            )
        deltas: list[Delta] = []
        for index, block in enumerate(content):
            self._begin(index, block, deltas)
            self._end(index, deltas)
        self._count(message.get("usage"))
        self._stop = message
        self._finish(deltas)
        return self._noted(deltas)

    def _event(self, data: bytes, deltas: list[Delta]) -> None:
        event = _parsed(data, "an event of the provider's stream")
        kind = event.get("type")
        if kind == "content_block_delta":
            self._continue(event, deltas)
        elif kind == "content_block_start":
            self._begin(_index(event), event.get("content_block"), deltas)
        elif kind == "content_block_stop":
            self._end(_index(event), deltas)
        elif kind == "message_start":
            message = event.get("message")
            if isinstance(message, dict):
                self._count(message.get("usage"))
        elif kind == "message_delta":
            self._count(event.get("usage"))
            change = event.get("delta")
            if isinstance(change, dict) and change.get("stop_reason") is not None:
                self._stop = change
        elif kind == "message_stop":
            self._finish(deltas)
        elif kind == "error" or event.get("error"):
            raise self._classify(200, {}, data)
        elif not isinstance(kind, str):
            raise ProviderProtocolError("an event of the provider's stream has no type")
        # Anything else is a ping, or new; the vendor wants clients to pass over what they do not know.

    def _begin(self, index: int, wire: object, deltas: list[Delta]) -> None:
        if not isinstance(wire, dict) or not isinstance(wire.get("type"), str):
            raise ProviderProtocolError("a content block of the provider has no type")
        kind = wire["type"]
        block = self._blocks[index] = _Block(kind, wire)
        if kind == "text":
            if text := _text(wire, "text"):
                deltas.append(Delta(text))
            if citations := wire.get("citations"):
                deltas.append(Delta(extra={"citations": citations}))
        elif kind == "thinking":
            block.signature = _text(wire, "signature")
            if thought := _text(wire, "thinking"):
                block.chars = len(thought)
                deltas.append(Delta(reasoning=thought))
        elif kind == "tool_use" and not self._answers_by_tool:
            name, call_id = _text(wire, "name"), _text(wire, "id")
            if not name or not call_id:
                raise ProviderProtocolError("a tool call of the provider lacks its id or its name")
            block.call = self._calls
            self._calls += 1
            deltas.append(Delta(tool_calls=(ToolCallFragment(block.call, call_id, name),)))

    def _continue(self, event: Mapping[str, Any], deltas: list[Delta]) -> None:
        change = event.get("delta")
        if not isinstance(change, dict):
            raise ProviderProtocolError("a delta of the provider's stream is no object")
        kind = change.get("type")
        if kind == "text_delta":
            if text := _text(change, "text"):
                deltas.append(Delta(text))
            return
        block = self._blocks.get(_index(event))
        if block is None:
            raise ProviderProtocolError(
                "a delta of the provider's stream belongs to no content block"
            )
        if kind == "input_json_delta":
            self._arguments(block, _text(change, "partial_json"), deltas)
        elif kind == "thinking_delta":
            if thought := _text(change, "thinking"):
                block.chars += len(thought)
                deltas.append(Delta(reasoning=thought))
        elif kind == "signature_delta":
            block.signature += _text(change, "signature")
        elif kind == "citations_delta" and change.get("citation") is not None:
            deltas.append(Delta(extra={"citations": [change["citation"]]}))

    def _arguments(self, block: _Block, piece: str, deltas: list[Delta]) -> None:
        if not piece:
            return
        block.has_arguments = True
        if block.kind != "tool_use":
            block.pieces.append(piece)
        elif self._answers_by_tool:
            deltas.append(Delta(piece))
        else:
            deltas.append(Delta(tool_calls=(ToolCallFragment(block.call, arguments=piece),)))

    def _end(self, index: int, deltas: list[Delta]) -> None:
        block = self._blocks.get(index)
        if block is None:
            raise ProviderProtocolError("the provider's stream ends a content block it never began")
        if block.kind == "thinking":
            if block.signature:
                deltas.append(
                    Delta(extra={"thinking_blocks": [signed(block.chars, block.signature)]})
                )
        elif block.kind == "redacted_thinking":
            deltas.append(Delta(extra={"thinking_blocks": [dict(block.wire)]}))
        elif block.kind == "tool_use":
            if not block.has_arguments:
                given = block.wire.get("input") or {}
                self._arguments(block, orjson.dumps(given).decode(), deltas)
        elif block.kind != "text":
            whole = dict(block.wire)
            if block.pieces:
                whole["input"] = _loaded("".join(block.pieces))
            deltas.append(Delta(extra={"content_blocks": [whole]}))

    def _count(self, usage: object) -> None:
        """Take counts; those of the end are totals, and stand for those of the start."""
        if isinstance(usage, dict):
            self._usage.update({k: v for k, v in usage.items() if v is not None})

    def _finish(self, deltas: list[Delta]) -> None:
        if self._stop is None:
            raise ProviderProtocolError("the provider's stream ended before its answer did")
        reason = self._stop.get("stop_reason")
        finish = FINISH.get(reason) if isinstance(reason, str) else None
        if finish is None:
            raise ProviderProtocolError(
                f"the provider's stop reason {str(reason)[:60]!r} is unknown; "
                f"expected one of {', '.join(sorted(FINISH))}"
            )
        if finish == "tool_calls" and self._answers_by_tool:
            finish = "stop"
        self.is_done = True
        deltas.append(Delta(finish_reason=finish, usage=self._used(), extra=self._facts() or None))

    def _facts(self) -> dict[str, object]:
        """What only this vendor says at the end of an answer."""
        stop = self._stop or {}
        facts: dict[str, object] = {}
        if stop.get("stop_reason") in _TOLD:
            facts["stop_reason"] = stop["stop_reason"]
        for name in ("stop_sequence", "stop_details", "container"):
            if stop.get(name) is not None:
                facts[name] = stop[name]
        if written := _tokens(self._usage, "cache_creation_input_tokens"):
            facts["cache_creation_input_tokens"] = written  # dearer than other input
        return facts

    def _used(self) -> Usage | None:
        usage = self._usage
        if "input_tokens" not in usage and "output_tokens" not in usage:
            return None
        # The vendor's input_tokens are those that have nothing to do with the cache.
        cached = _tokens(usage, "cache_read_input_tokens")
        written = _tokens(usage, "cache_creation_input_tokens")
        prompt = _tokens(usage, "input_tokens") + written + cached
        completion = _tokens(usage, "output_tokens")
        details = usage.get("output_tokens_details")
        thinking = _tokens(details, "thinking_tokens") if isinstance(details, dict) else 0
        tools = usage.get("server_tool_use")
        return Usage(
            prompt,
            completion,
            cached,
            min(thinking, completion),
            cache_write_tokens=written,
            searches=_tokens(tools, "web_search_requests") if isinstance(tools, dict) else 0,
        )

    def _noted(self, deltas: list[Delta]) -> list[Delta]:
        if self._notes and deltas:
            first = deltas[0]
            first.extra = {**(first.extra or {}), "notes": list(self._notes)}
            self._notes = ()
        return deltas


class _Block:
    """What must be known of a content block until it ends."""

    __slots__ = ("call", "chars", "has_arguments", "kind", "pieces", "signature", "wire")

    def __init__(self, kind: str, wire: Mapping[str, Any]) -> None:
        self.kind = kind
        self.wire = wire
        self.call = 0
        self.chars = 0
        self.signature = ""
        self.has_arguments = False
        self.pieces: list[str] = []


def _parsed(data: bytes, what: str) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        value = None  # raised below: the decoder's own error carries the whole text with it
    if not isinstance(value, dict):
        raise ProviderProtocolError(f"{what} is not a JSON object")
    return value


def _loaded(text: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text  # cut off by the longest answer


def _index(event: Mapping[str, Any]) -> int:
    index = event.get("index")
    if type(index) is not int:
        raise ProviderProtocolError("an event of the provider's stream has no number as its index")
    return index


def _text(wire: Mapping[str, Any], name: str) -> str:
    value = wire.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ProviderProtocolError(f"'{name}' of the provider's answer is no text")
    return value


def _tokens(usage: Mapping[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if type(value) is int and 0 <= value < _MOST_TOKENS else 0
