"""JSON answers: tokens that would leave the grammar are never taken, and the answer is closed before it is cut off."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from fengchao_local_qwen.engine.face import Guard
from fengchao_local_qwen.engine.json_grammar import JsonMachine, Top
from fengchao_local_qwen.engine.vocabulary import Vocabulary

_RESERVE = 12
"""Tokens kept for closing what the next token may open."""


class JsonGuard(Guard):
    """
    Holds an answer to JSON.

    Args:
        end: the token that ends the answer.
        begun: what stands already when the model begins.
        after: a token before which anything goes: the end of the model's thinking.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        end: int,
        *,
        top: Top = "object",
        begun: bytes = b"",
        after: int | None = None,
    ) -> None:
        self._vocabulary = vocabulary
        self._end = end
        self._after = after
        self._machine = JsonMachine(top)
        self._machine.feed(begun)
        singles = (vocabulary.single(byte) for byte in range(0x20, 0x7F))
        self._likely = tuple(token for token in singles if token is not None)

    @override
    def allows(self, token: int) -> bool:
        if self._after is not None:
            return token != self._end
        if token == self._end:
            return self._machine.is_complete
        data = self._vocabulary.bytes_of(token)
        return bool(data) and self._machine.copy().feed(data)

    @override
    def take(self, token: int) -> None:
        if self._after is not None:
            self._after = None if token == self._after else self._after
        elif token != self._end:
            self._machine.feed(self._vocabulary.bytes_of(token))

    @override
    def forced(self, left: int) -> int | None:
        if self._after is not None:
            return self._after if left <= _RESERVE else None
        # A number at the top may go on, so that only its own end is left to the model.
        closing = self._machine.closing()
        if not closing:
            return None if self._machine.may_go_on else self._end
        # One token may bring the need for several more: `[` wants `]`, a key wants its colon and value.
        if left > len(closing) + _RESERVE:
            return None
        return self._vocabulary.single(closing[0])

    @override
    def likely(self) -> Sequence[int]:
        return self._likely
