"""The tokens of one choice as deltas: bytes to text, stop texts, thinking, calls, log-probabilities."""

from __future__ import annotations

from collections.abc import Sequence

from fengchao_core.kit.openai_chat import ThinkSplitter
from fengchao_core.types import Delta, FinishReason, ToolCallFragment
from fengchao_local_qwen.engine.calls import CallSplitter
from fengchao_local_qwen.engine.face import Token
from fengchao_local_qwen.engine.stops import StopFilter
from fengchao_local_qwen.engine.vocabulary import TextReader, Vocabulary


class ChoiceReader:
    """
    Reads one choice. Pure: no I/O, no clock.

    Args:
        begun: what of the answer the prompt holds already.
        thinks: split a leading `<think>` block off.
        calls: look for calls.
        stop_ids: tokens that end an answer and say nothing.

    Attributes:
        is_over: a stop text was reached, or the last token was read.
        tokens: read so far; `reasoning_tokens` of them before the answer itself began.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        index: int = 0,
        begun: str = "",
        thinks: bool = False,
        calls: bool = False,
        stops: Sequence[str] = (),
        stop_ids: frozenset[int] = frozenset(),
    ) -> None:
        self.tokens = 0
        self.reasoning_tokens = 0
        self.is_over = False
        self._vocabulary = vocabulary
        self._index = index
        self._text = TextReader(vocabulary)
        self._stops = StopFilter(stops)
        self._think = ThinkSplitter() if thinks else None
        self._calls = CallSplitter() if calls else None
        self._stop_ids = stop_ids
        self._is_thinking = False
        if begun:
            self._split(begun)

    def read(self, token: Token) -> Delta | None:
        """The delta that a token brings, or None. The last one carries the finish reason."""
        self.tokens += 1
        ends = token.id in self._stop_ids
        text = "" if ends else self._stops.feed(self._text.feed(token.id))
        over = token.is_last or self._stops.is_hit
        if over:
            text += self._stops.close()
        reasoning, words, calls = self._split(text)
        if over:
            more = self._close()
            reasoning, words, calls = reasoning + more[0], words + more[1], calls + more[2]
            self.is_over = True
        if reasoning or self._is_thinking:
            self.reasoning_tokens += 1
        logprobs = [self._logprob(token)] if token.logprob is not None and not ends else None
        if not (reasoning or words or calls or logprobs or over):
            return None
        return Delta(
            text=words,
            reasoning=reasoning,
            tool_calls=calls,
            finish_reason=self._finish(ends=ends) if over else None,
            index=self._index,
            logprobs=logprobs,
        )

    def _split(self, text: str) -> tuple[str, str, tuple[ToolCallFragment, ...]]:
        reasoning = ""
        if self._think is not None and text:
            reasoning, text = self._think.feed(text)
            self._is_thinking = (self._is_thinking or bool(reasoning)) and not text
        if self._calls is None or not text:
            return reasoning, text, ()
        words, calls = self._calls.feed(text)
        return reasoning, words, calls

    def _close(self) -> tuple[str, str, tuple[ToolCallFragment, ...]]:
        reasoning, text = ("", "") if self._think is None else self._think.close()
        self._is_thinking = False
        if self._calls is None:
            return reasoning, text, ()
        words, calls = self._calls.feed(text)
        rest, late = self._calls.close()
        return reasoning, words + rest, calls + late

    def _finish(self, *, ends: bool) -> FinishReason:
        if self._calls is not None and self._calls.count:
            return "tool_calls"
        return "stop" if ends or self._stops.is_hit else "length"

    def _logprob(self, token: Token) -> dict[str, object]:
        own = self._entry(token.id, token.logprob or 0.0)
        return {**own, "top_logprobs": [self._entry(other, by) for other, by in token.top]}

    def _entry(self, token: int, logprob: float) -> dict[str, object]:
        data = self._vocabulary.bytes_of(token)
        return {
            "token": self._vocabulary.name_of(token),
            "logprob": max(logprob, -9999.0),
            "bytes": list(data),
        }
