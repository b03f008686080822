"""Deltas folded into whole answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fengchao_core.errors import ProviderProtocolError
from fengchao_core.types import Choice, Delta, FinishReason, Message, ToolCall, ToolCallFragment


class Fold:
    """Collects the deltas of one answer: the same whole, however the stream was cut into deltas."""

    __slots__ = ("_choices", "_extra", "_only")

    def __init__(self) -> None:
        self._choices: dict[int, _Choice] = {}
        self._extra: dict[str, object] = {}
        self._only: Delta | None = None

    def feed(self, batch: Sequence[Delta]) -> None:
        """Take the next deltas."""
        if self._only is None and not self._choices and len(batch) == 1 and _is_whole(batch[0]):
            self._only = batch[0]
            return
        self._unfold()
        for delta in batch:
            if delta.extra:
                merge_extra(self._extra, delta.extra)
            if delta.usage is not None and not _says_something(delta):
                continue
            choice = self._choices.get(delta.index)
            if choice is None:
                choice = self._choices[delta.index] = _Choice()
            choice.add(delta)

    @property
    def extra(self) -> Mapping[str, object]:
        """Vendor-only facts of all deltas, merged."""
        return self._extra

    def choices(self) -> tuple[Choice, ...]:
        """
        The whole answers, in order.

        Raises:
            ProviderProtocolError: the stream ended without ending its answer.
        """
        if (only := self._only) is not None and only.finish_reason is not None:
            message = Message("assistant", only.text)
            return (Choice(message, only.finish_reason, only.index),)
        if not self._choices:
            raise ProviderProtocolError("the provider's stream ended without an answer")
        return tuple(self._choices[index].close(index) for index in sorted(self._choices))

    def _unfold(self) -> None:
        """What seemed to be all was not."""
        if (only := self._only) is not None:
            self._only = None
            choice = self._choices[only.index] = _Choice()
            choice.add(only)


def _is_whole(delta: Delta) -> bool:
    """Whether a delta is a whole answer of nothing but text, as the usual one is that was not streamed."""
    return bool(
        delta.text
        and delta.finish_reason
        and not (
            delta.reasoning or delta.tool_calls or delta.refusal or delta.logprobs or delta.extra
        )
    )


def merge_extra(into: dict[str, object], new: Mapping[str, object]) -> None:
    """Merge vendor-only facts: lists append, anything else is replaced."""
    for key, value in new.items():
        old = into.get(key)
        into[key] = [*old, *value] if isinstance(old, list) and isinstance(value, list) else value


def _says_something(delta: Delta) -> bool:
    return bool(
        delta.text
        or delta.reasoning
        or delta.tool_calls
        or delta.finish_reason
        or delta.refusal
        or delta.logprobs
    )


class _Choice:
    __slots__ = ("calls", "finish", "logprobs", "reasoning", "refusal", "text")

    def __init__(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.refusal: list[str] = []
        self.calls: dict[int, _Call] = {}
        self.logprobs: list[Any] = []
        self.finish: FinishReason | None = None

    def add(self, delta: Delta) -> None:
        if delta.text:
            self.text.append(delta.text)
        if delta.reasoning:
            self.reasoning.append(delta.reasoning)
        if delta.refusal:
            self.refusal.append(delta.refusal)
        for fragment in delta.tool_calls:
            call = self.calls.get(fragment.index)
            if call is None:
                call = self.calls[fragment.index] = _Call()
            call.add(fragment)
        if delta.logprobs:
            self.logprobs.extend(delta.logprobs)
        if delta.finish_reason is not None:
            self.finish = delta.finish_reason

    def close(self, index: int) -> Choice:
        if self.finish is None:
            raise ProviderProtocolError("the provider's stream ended before its answer did")
        text = "".join(self.text)
        calls = tuple(self.calls[i].close() for i in sorted(self.calls))
        refusal = "".join(self.refusal)
        return Choice(
            message=Message(
                role="assistant",
                content=text if text or not (calls or refusal) else None,
                reasoning="".join(self.reasoning) or None,
                refusal=refusal or None,
                tool_calls=calls,
            ),
            finish_reason=self.finish,
            index=index,
            logprobs=tuple(self.logprobs) or None,
        )


class _Call:
    __slots__ = ("arguments", "id", "name", "type")

    def __init__(self) -> None:
        self.id = self.name = ""
        self.type = "function"
        self.arguments: list[str] = []

    def add(self, fragment: ToolCallFragment) -> None:
        self.id = self.id or fragment.id or ""
        self.name = self.name or fragment.name or ""
        self.type = fragment.type
        self.arguments.append(fragment.arguments)

    def close(self) -> ToolCall:
        return ToolCall(self.id, self.name, "".join(self.arguments), self.type)
