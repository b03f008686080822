"""
Native answers, whole or streamed, as deltas. Pure.

Everything is under `data`; texts are plain strings beside their choice's tool calls. What the vendor leaves open is read
in each form that was told: a stateful conversation has its text under `data` itself, a text completion in `text`, a
character's answer in `reply`, a fragment of a call with or without its id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from fengchao_core.errors import ProviderError, ProviderProtocolError
from fengchao_core.kit.errors import Classify
from fengchao_core.kit.openai_chat import read_usage
from fengchao_core.kit.openai_chat.calls import CallTracker
from fengchao_core.types import Delta, FinishReason, ToolCallFragment, Usage
from fengchao_sensetime.codes import is_bad
from fengchao_sensetime.wire import FINISH

_KEPT = ("plugins", "knowledge_base_results")
_TEXTS = ("delta", "message", "text", "reply")
_USUAL = frozenset(("index", "role", "delta", "finish_reason"))
_REASONING = ("reasoning_content", "reasoning")
_MAX_CHOICES = 1024


class NativeDecoder:
    """
    Decodes one answer; the native counterpart of the kit's `Decoder`, and used like it.

    Args:
        classify: makes the error of an error object that comes under HTTP 200; `VendorHttp.classify`.
        notes: what was adapted in the request; the first delta carries them in `extra["notes"]`.

    Attributes:
        is_done: the answer is over; whatever still comes is ignored.
        failure: an error that came in the same read as deltas before it; raise it once those are out.
    """

    __slots__ = ("_choices", "_classify", "_kept", "_notes", "_usage", "failure", "is_done")

    def __init__(self, *, classify: Classify, notes: Sequence[str] = ()) -> None:
        self._classify = classify
        self._notes = list(notes)
        self._choices: dict[int, _Choice] = {}
        self._kept: dict[str, object] = {}
        self._usage: Mapping[str, Any] | None = None
        self.is_done = False
        self.failure: ProviderError | None = None

    @property
    def usage(self) -> Usage | None:
        """What the vendor has said so far that it charges; None where it said nothing."""
        return usage_of(self._usage)

    @property
    def is_complete(self) -> bool:
        """Whether every choice that was begun has its finish reason."""
        return bool(self._choices) and all(c.finish is not None for c in self._choices.values())

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
                self._event(event, deltas)
        except ProviderError as error:
            if not deltas:
                raise
            self.failure = error
        return self._noted(deltas)

    def close(self, events: Iterable[bytes] = ()) -> list[Delta]:
        """
        The last deltas, once the stream has ended; the vendor may leave `[DONE]` out.

        Raises:
            ProviderProtocolError: the stream ended before its answer did.
        """
        deltas = self.decode(events)
        if not self.is_done and self.failure is None:
            try:
                if not self.is_complete:
                    raise ProviderProtocolError("the provider's stream ended before its answer did")
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
        deltas: list[Delta] = []
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            answer = _NONSENSE
        if answer is _NONSENSE:  # raised out here: the other error carries the whole text along
            raise ProviderProtocolError("the provider's answer is not JSON; expected a JSON object")
        self._chunk(answer, body, deltas)
        self._finish(deltas)
        return self._noted(deltas)

    def _event(self, event: bytes, deltas: list[Delta]) -> None:
        try:
            chunk = orjson.loads(event)
        except orjson.JSONDecodeError:
            chunk = _NONSENSE
        if chunk is _NONSENSE:
            text = event.strip()
            if text == b"[DONE]":
                self._finish(deltas)
            elif text:
                raise ProviderProtocolError("the provider's stream holds an event that is not JSON")
            return
        self._chunk(chunk, event, deltas)

    def _chunk(self, chunk: object, raw: bytes, deltas: list[Delta]) -> None:
        if not isinstance(chunk, dict):
            raise ProviderProtocolError("the provider's answer is not a JSON object")
        if chunk.get("error") or is_bad(chunk.get("status")):
            raise self._classify(200, {}, raw)
        data = chunk.get("data")
        if not isinstance(data, dict):
            raise ProviderProtocolError("the provider's answer has no object as its 'data'")
        if isinstance(usage := data.get("usage"), dict) and usage:
            self._usage = usage
        choices = data.get("choices")
        if choices is None:
            if any(name in data for name in (*_TEXTS, "finish_reason")):
                self._take(data, 0, deltas)
        elif isinstance(choices, list):
            if len(choices) != 1 or not self._plain(choices[0], deltas):
                for position, choice in enumerate(choices):
                    self._take(choice, position, deltas)
        else:
            raise ProviderProtocolError("'choices' of the provider's answer is not a list")
        for name in _KEPT:
            if found := data.get(name):
                self._keep(name, found, deltas)

    def _keep(self, name: str, found: object, deltas: list[Delta]) -> None:
        """Pass on what only this vendor says; what a later chunk repeats, or says longer, once."""
        before = self._kept.get(name)
        if found == before:
            return
        self._kept[name] = found
        if isinstance(found, list) and isinstance(before, list) and found[: len(before)] == before:
            found = found[len(before) :]  # lists of several deltas are joined
        deltas.append(Delta(extra={name: found}))

    def _plain(self, wire: object, deltas: list[Delta]) -> bool:
        """Take the usual choice: a known one with nothing but a piece of text. False where there is more to it."""
        if type(wire) is not dict or len(wire) != len(_USUAL) or wire.keys() != _USUAL:
            return False
        text, index = wire["delta"], wire["index"]
        if type(text) is not str or type(index) is not int or wire["finish_reason"]:
            return False
        if index not in self._choices:
            return False
        if text:
            deltas.append(Delta(text, index=index))
        return True

    def _take(self, wire: object, position: int, deltas: list[Delta]) -> None:
        if not isinstance(wire, dict):
            raise ProviderProtocolError("a choice of the provider's answer is not an object")
        index = wire.get("index")
        if index is None:
            index = position
        if type(index) is not int or not 0 <= index < _MAX_CHOICES:
            raise ProviderProtocolError("a choice of the provider's answer has no small index")
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = _Choice()
        text = _text_of(wire)
        reasoning = next((r for key in _REASONING if (r := wire.get(key))), "")
        if not isinstance(reasoning, str):
            raise ProviderProtocolError("the reasoning of the provider's answer is not text")
        calls: tuple[ToolCallFragment, ...] = ()
        if wire_calls := wire.get("tool_calls"):
            calls = choice.calls.fragments(wire_calls, choice=index)
        if text or reasoning or calls:
            deltas.append(Delta(text, reasoning, calls, index=index))
        if reason := wire.get("finish_reason"):  # an empty one means that more will come
            choice.finish = self._reason(reason)

    def _reason(self, reason: object) -> FinishReason:
        if not isinstance(reason, str):
            raise ProviderProtocolError("the provider's finish reason is not text")
        finish = FINISH.get(reason)
        if finish is None:
            # The vendor documents no complete list, so a new word is no failure; but nobody shall overlook it.
            self._notes.append(
                f"the provider's finish reason {reason[:60]!r} is unknown and was taken as 'stop'"
            )
            return "stop"
        return finish

    def _finish(self, deltas: list[Delta]) -> None:
        if not self._choices:
            raise ProviderProtocolError("the provider's answer holds no choice")
        self.is_done = True
        indices = sorted(self._choices)
        usage = usage_of(self._usage)
        deltas.extend(
            Delta(
                finish_reason=self._choices[index].end(),
                index=index,
                usage=usage if index == indices[-1] else None,
            )
            for index in indices
        )

    def _noted(self, deltas: list[Delta]) -> list[Delta]:
        if self._notes and deltas:
            first = deltas[0]
            first.extra = {**(first.extra or {}), "notes": self._notes}
            self._notes = []
        return deltas


class _Choice:
    """What must be known of a choice between two chunks."""

    __slots__ = ("calls", "finish")

    def __init__(self) -> None:
        self.finish: FinishReason | None = None
        self.calls = CallTracker()

    def end(self) -> FinishReason:
        if self.finish is None or self.finish == "stop":
            return "tool_calls" if self.calls.count else "stop"
        return self.finish


_NONSENSE = object()


def usage_of(wire: object) -> Usage | None:
    """The vendor's usage; the tokens of knowledge that it put into the prompt belong to the prompt."""
    usage = read_usage(wire)
    if usage is None or not isinstance(wire, dict):
        return usage
    knowledge = wire.get("knowledge_tokens")
    if type(knowledge) is not int or not 0 < knowledge < 2**53:
        return usage
    if (
        wire.get("completion_tokens") is None
    ):  # then the kit took all of the total that is no prompt
        usage = replace(usage, completion_tokens=max(0, usage.completion_tokens - knowledge))
    return replace(usage, prompt_tokens=usage.prompt_tokens + knowledge)


def _text_of(wire: Mapping[str, Any]) -> str:
    """The text of a choice: the first of its fields that is there at all counts, even where it is empty."""
    for name in _TEXTS:
        text = wire.get(name)
        if isinstance(text, str):
            return text
        if text is not None:
            raise ProviderProtocolError(f"'{name}' of the provider's answer is not text")
    return ""
