"""
Chat-completions answers, whole or streamed, as deltas.

Vendors agree on little beyond the usual path, so everything else is read with care: nothing that is valid JSON raises
anything but a `ProviderError`, and what a vendor leaves out (an index, a role, `[DONE]`, usage) is made good where it
can be. The usual chunk, one choice with one piece of text, takes a short way, and the next of its kind a shorter one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from fengchao_core.errors import ProviderError, ProviderProtocolError
from fengchao_core.kit.errors import Classify
from fengchao_core.kit.openai_chat import reading
from fengchao_core.kit.openai_chat.calls import CallTracker
from fengchao_core.kit.openai_chat.dialect import CHAT_COMPLETIONS, Dialect
from fengchao_core.kit.openai_chat.mould import Mould, mould_of
from fengchao_core.kit.openai_chat.think import ThinkSplitter
from fengchao_core.kit.openai_chat.usage import read_usage
from fengchao_core.types import Delta, FinishReason, ToolCallFragment, Usage

_MAX_CHOICES = 1024
_MAX_MOULDS = 3  # a vendor whose chunks have less in common is read chunk by chunk
_NOTHING = object()
_PLAIN_FIELDS = frozenset({"role", "content"})


class Decoder:
    """
    Decodes one answer. Pure: no I/O, no clock; one object per answer.

    The finish reason of each choice is held until the stream says that it is over, so that it stays last even where a
    vendor repeats it or sends it early; the usage travels with the last of them.

    Args:
        dialect: the vendor's table.
        classify: makes the error of an error object that comes under HTTP 200; `VendorHttp.classify`.
        notes: what `encode` adapted; the first delta carries them in `extra["notes"]`.

    Attributes:
        is_done: the answer is over; whatever still comes is ignored.
        failure: an error that came in the same read as deltas before it; raise it once those are out.
    """

    __slots__ = (
        "_choices",
        "_classify",
        "_dialect",
        "_mould",
        "_moulds",
        "_notes",
        "_usage",
        "failure",
        "is_done",
    )

    def __init__(
        self, dialect: Dialect = CHAT_COMPLETIONS, *, classify: Classify, notes: Sequence[str] = ()
    ) -> None:
        self._dialect = dialect
        self._classify = classify
        self._notes = tuple(notes)
        self._choices: dict[int, _Choice] = {}
        self._usage: Mapping[str, Any] | None = None
        self._mould: Mould | None = None
        self._moulds = 0
        self.is_done = False
        self.failure: ProviderError | None = None

    def decode(self, events: Iterable[bytes]) -> list[Delta]:
        """
        The deltas of the events of one network read.

        Args:
            events: the data of server-sent events.

        Raises:
            ProviderError: an event holds an error or nonsense, and nothing before it was worth a delta.
        """
        deltas: list[Delta] = []
        try:
            for event in events:
                if self.is_done:
                    break
                mould = self._mould
                if mould is not None and (text := mould.text(event)) is not None:
                    if text:
                        deltas.append(Delta(text, index=mould.index))
                else:
                    self._event(event, deltas)
        except ProviderError as error:
            if not deltas:
                raise
            self.failure = error
        return self._noted(deltas)

    @property
    def usage(self) -> Usage | None:
        """What the vendor has said so far that it charges; None where it said nothing."""
        return read_usage(self._usage)

    @property
    def is_complete(self) -> bool:
        """Whether every choice that was begun has its finish reason."""
        return bool(self._choices) and all(c.finish is not None for c in self._choices.values())

    def close(self, events: Iterable[bytes] = ()) -> list[Delta]:
        """
        The last deltas, once the stream has ended; only those of `events` where it was over before.

        Args:
            events: what the end of the stream completed, `SseParser.close()`.

        Raises:
            ProviderProtocolError: the stream ended before its answer did.
        """
        deltas = self.decode(events)
        if not self.is_done and self.failure is None:
            try:
                self._finish(deltas, is_certain=self._dialect.ends_silently)
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
        chunk = reading.parse(body)
        plain = self._plain_whole(chunk)
        if plain is not None:
            return self._noted([plain])
        deltas: list[Delta] = []
        self._chunk(chunk, body, deltas)
        said = len(deltas)
        self._finish(deltas, is_certain=True)
        if said == 1 and len(deltas) == 2 and deltas[0].index == deltas[1].index:
            # One choice that said one thing: one delta, so that whoever takes it sees that its text is whole.
            only, end = deltas
            only.finish_reason, only.usage = end.finish_reason, end.usage
            deltas = [only]
        return self._noted(deltas)

    def _plain_whole(self, chunk: Any) -> Delta | None:
        """The usual whole answer: one choice with text and its end. None where there is more to it."""
        dialect = self._dialect
        if type(chunk) is not dict or chunk.get("error") or dialect.keep or dialect.think_tags:
            return None
        choices = chunk.get("choices")
        if type(choices) is not list or len(choices) != 1 or type(choices[0]) is not dict:
            return None
        choice = choices[0]
        message = choice.get("message")
        if type(message) is not dict or choice.get("logprobs") or choice.get("usage"):
            return None
        text = message.get("content")
        reason = choice.get("finish_reason")
        if type(text) is not str or not text or type(reason) is not str or choice.get("index", 0):
            return None
        for name, value in message.items():
            if value and name not in _PLAIN_FIELDS:
                return None
        finish = dialect.finish.get(reason)
        if finish is None:
            return None
        self.is_done = True
        return Delta(text, finish_reason=finish, usage=read_usage(chunk.get("usage")))

    def _event(self, event: bytes, deltas: list[Delta]) -> None:
        try:
            chunk = orjson.loads(event)
        except orjson.JSONDecodeError:
            chunk = _NOTHING
        if chunk is _NOTHING:
            # Looked at only now, so that the usual event does not pay for it: neither of these is JSON.
            text = event.strip()
            if text == b"[DONE]":
                self._finish(deltas, is_certain=True)
            elif text:
                raise ProviderProtocolError("the provider's stream holds an event that is not JSON")
            return
        if not self._plain(chunk, event, deltas):
            self._chunk(chunk, event, deltas)

    def _plain(self, chunk: Any, raw: bytes, deltas: list[Delta]) -> bool:
        """Take the usual chunk: one known choice with nothing but text. False where there is more to it."""
        if type(chunk) is not dict or chunk.get("error") is not None or self._dialect.keep:
            return False
        choices = chunk.get("choices")
        if type(choices) is not list or len(choices) != 1:
            return False
        choice = choices[0]
        if type(choice) is not dict or choice.get("finish_reason") is not None:
            return False
        delta = choice.get("delta")
        if type(delta) is not dict or len(delta) != 1 or choice.get("logprobs") is not None:
            return False
        text = delta.get("content")
        index = choice.get("index")
        if type(text) is not str or type(index) is not int:
            return False
        known = self._choices.get(index)
        if known is None or known.think is not None or choice.get("usage") is not None:
            return False
        usage = chunk.get("usage")
        if usage and type(usage) is dict:
            self._usage = usage
        if text:
            deltas.append(Delta(text, index=index))
            if self._moulds < _MAX_MOULDS and not usage:
                self._moulds += 1
                self._mould = mould_of(raw, text, index)
        return True

    def _chunk(self, chunk: object, raw: bytes, deltas: list[Delta]) -> None:
        if not isinstance(chunk, dict):
            raise ProviderProtocolError(
                f"the provider's answer is {reading.kind(chunk)}; expected a JSON object"
            )
        choices = chunk.get("choices")
        if isinstance(usage := chunk.get("usage"), dict) and usage:
            self._usage = usage
        if reading.is_error(chunk, has_choices=bool(choices)):
            raise self._classify(200, {}, raw)
        if self._dialect.keep:
            kept = {name: chunk[name] for name in self._dialect.keep if chunk.get(name) is not None}
            if kept:
                deltas.append(Delta(extra=kept))
        if choices is None:
            return
        if not isinstance(choices, list):
            raise ProviderProtocolError(
                f"'choices' of the provider's answer is {reading.kind(choices)}; expected a list"
            )
        for position, choice in enumerate(choices):
            self._take(choice, position, deltas)

    def _take(self, wire: object, position: int, deltas: list[Delta]) -> None:
        if not isinstance(wire, dict):
            raise ProviderProtocolError(
                f"a choice of the provider's answer is {reading.kind(wire)}; expected an object"
            )
        index = wire.get("index")
        if index is None:
            index = position
        if type(index) is not int or not 0 <= index < _MAX_CHOICES:
            raise ProviderProtocolError(
                f"a choice of the provider's answer has {reading.kind(index)} as its index"
            )
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = _Choice(think=self._dialect.think_tags)
        message = wire.get("delta")
        if message is None:
            message = wire.get("message")  # whole answers, and some vendors' streams
        if message is not None:
            if not isinstance(message, dict):
                raise ProviderProtocolError(
                    f"a message of the provider's answer is {reading.kind(message)}"
                )
            logprobs = reading.logprobs(wire.get("logprobs"))
            if message or logprobs:
                self._say(message, logprobs, choice, index, deltas)
        if reason := wire.get("finish_reason"):
            choice.finish = self._reason(reason)
        if isinstance(usage := wire.get("usage"), dict) and usage:
            self._usage = usage

    def _reason(self, reason: object) -> FinishReason:
        if isinstance(reason, str):
            finish = self._dialect.finish.get(reason)
            if finish is not None:
                return finish
            failure = self._dialect.finish_errors.get(reason)
            if failure is not None:
                raise failure("the provider broke its answer off", vendor_code=reason)
        raise ProviderProtocolError(
            f"the provider's finish reason {str(reason)[:60]!r} is unknown; "
            f"expected one of {', '.join(sorted(self._dialect.finish))}"
        )

    def _say(
        self,
        message: Mapping[str, Any],
        logprobs: Sequence[object] | None,
        choice: _Choice,
        index: int,
        deltas: list[Delta],
    ) -> None:
        text, reasoning = reading.texts(message.get("content"))
        if not reasoning:
            reasoning = reading.reasoning(message, self._dialect.reasoning_fields)
        if choice.think is not None and text:
            thought, text = choice.think.feed(text)
            reasoning += thought
        calls: tuple[ToolCallFragment, ...] = ()
        if wire_calls := message.get("tool_calls"):
            calls = choice.calls.fragments(wire_calls, choice=index)
        refusal = message.get("refusal")
        if refusal is not None and not isinstance(refusal, str):
            raise ProviderProtocolError(
                f"'refusal' of the provider's answer is {reading.kind(refusal)}; expected text"
            )
        kept = {name: message[name] for name in self._dialect.keep_message if message.get(name)}
        if text or reasoning or calls or refusal or logprobs or kept:
            deltas.append(
                Delta(
                    text=text,
                    reasoning=reasoning,
                    tool_calls=calls,
                    index=index,
                    refusal=refusal or "",
                    logprobs=logprobs,
                    extra=kept or None,
                )
            )

    def _finish(self, deltas: list[Delta], *, is_certain: bool) -> None:
        """End every choice; where the end is not certain, each must have said so itself."""
        if not self._choices:
            raise ProviderProtocolError("the provider's answer holds no choice")
        self.is_done = True
        indices = sorted(self._choices)
        for index in indices:
            choice = self._choices[index]
            if choice.finish is None and not is_certain:
                raise ProviderProtocolError("the provider's stream ended before its answer did")
            if choice.think is not None:
                reasoning, text = choice.think.close()
                if reasoning or text:
                    deltas.append(Delta(text=text, reasoning=reasoning, index=index))
        usage = read_usage(self._usage)
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
            first.extra = {**(first.extra or {}), "notes": list(self._notes)}
            self._notes = ()
        return deltas


class _Choice:
    """What must be known of a choice between two chunks."""

    __slots__ = ("calls", "finish", "think")

    def __init__(self, *, think: bool) -> None:
        self.finish: FinishReason | None = None
        self.calls = CallTracker()
        self.think = ThinkSplitter() if think else None

    def end(self) -> FinishReason:
        # Some vendors say "stop" although they call tools, or say nothing at all.
        if self.finish is None or self.finish == "stop":
            return "tool_calls" if self.calls.count else "stop"
        return self.finish
