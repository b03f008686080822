"""What was sent and what was shown, gathered while it happens, for those who keep bodies."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from fengchao_core.store import BodyRecord
from fengchao_core.types import (
    AudioPart,
    ContentPart,
    Delta,
    FilePart,
    ImagePart,
    Message,
    TextPart,
    VideoPart,
)

if TYPE_CHECKING:
    from fengchao_core.exchange import Exchange
    from fengchao_core.ledger.bodies import Bodies

_PER_MESSAGE: Final = 40
"""What a message counts beside its text: without it, endless empty ones would cost nothing."""

_KINDS: Final[Mapping[type[ContentPart], str]] = {
    ImagePart: "image",
    VideoPart: "video",
    AudioPart: "audio",
    FilePart: "file",
}


async def recorded(
    bodies: Bodies, exchange: Exchange, batches: AsyncGenerator[Sequence[Delta], None]
) -> AsyncGenerator[Sequence[Delta], None]:
    """Pass an answer on, and hand over its body when it has ended, well or not. Where no vendor was asked, nothing was sent."""
    shown = Shown(bodies.most_chars)
    try:
        async for batch in batches:
            shown.see(batch)
            yield batch
    finally:
        await batches.aclose()
        if exchange.meter.attempts:
            texts = Texts(bodies.most_chars)
            messages = conversation(exchange.request.messages, texts)
            record = BodyRecord(
                id=exchange.meter.id,
                request_id=exchange.request_id,
                at=exchange.meter.started_at,
                messages=messages,
                answers=shown.answers(),
                is_cut=shown.texts.is_cut or texts.is_cut,
            )
            bodies.take(record, texts.taken + shown.texts.taken)


class Texts:
    """
    Takes texts up to a length in all.

    Attributes:
        left: how many characters still fit.
        is_cut: whether something did not.
    """

    __slots__ = ("_most", "is_cut", "left")

    def __init__(self, most: int) -> None:
        self._most = self.left = most
        self.is_cut = False

    @property
    def taken(self) -> int:
        """What was taken so far, in characters."""
        return self._most - self.left

    def take(self, text: str) -> str:
        """The text as it is kept: what does not fit is cut off, and a mark says so."""
        kept = self.part(text)
        return kept if len(kept) == len(text) else kept + mark(len(text) - len(kept))

    def part(self, text: str) -> str:
        """As much of the text as fits. Half of a surrogate pair, which no database takes, becomes `?`."""
        if len(text) > self.left:
            text = text[: self.left]
            self.is_cut = True
        self.left -= len(text)
        return text if text.isascii() else text.encode("utf-8", "replace").decode()

    def count(self, chars: int) -> bool:
        """Take what is no text; whether it fits."""
        if chars > self.left:
            self.is_cut = True
            return False
        self.left -= chars
        return True


def mark(omitted: int) -> str:
    """What stands where a text was cut."""
    return f"…（略去 {omitted} 字 {omitted} characters cut）"


def conversation(messages: Sequence[Message], texts: Texts) -> list[dict[str, object]]:
    """Messages in JSON's own types; where not all fit, the newest."""
    kept: list[dict[str, object]] = []
    for message in reversed(messages):
        if not texts.count(_PER_MESSAGE):
            break
        kept.append(_turn(message, texts))
    if omitted := len(messages) - len(kept):
        kept.append({"omitted": omitted})
    kept.reverse()
    return kept


def _turn(message: Message, texts: Texts) -> dict[str, object]:
    turn: dict[str, object] = {"role": message.role}
    content = message.content
    if isinstance(content, str):
        turn["content"] = texts.take(content)
    elif content is not None:
        parts: list[dict[str, str]] = []
        for part in content:
            if not texts.count(_PER_MESSAGE):
                break
            parts.append(
                {"type": "text", "text": texts.take(part.text)}
                if isinstance(part, TextPart)
                else {"type": _KINDS[type(part)]}
            )
        turn["content"] = parts
    for name in ("name", "reasoning", "refusal", "tool_call_id"):
        if text := getattr(message, name):
            turn[name] = texts.take(text)
    calls: list[dict[str, str]] = []
    for call in message.tool_calls:
        if not texts.count(_PER_MESSAGE):
            break
        calls.append(
            {
                "id": texts.take(call.id),
                "name": texts.take(call.name),
                "arguments": texts.take(call.arguments),
            }
        )
    if calls:
        turn["tool_calls"] = calls
    return turn


class Shown:
    """
    What a caller is shown, piece by piece.

    Attributes:
        texts: what bounds it.
    """

    __slots__ = ("_calls", "_choices", "_omitted", "texts")

    def __init__(self, most: int) -> None:
        self.texts = Texts(most)
        self._choices: dict[int, dict[str, list[str]]] = {}
        self._calls: dict[tuple[int, int], dict[str, list[str]]] = {}
        self._omitted: dict[int, int] = {}

    def see(self, batch: Sequence[Delta]) -> None:
        """Deltas are shown now."""
        for delta in batch:
            if delta.text or delta.reasoning or delta.refusal:
                choice = self._choices.setdefault(delta.index, {})
                self._add(choice, "reasoning", delta.reasoning)
                self._add(choice, "content", delta.text)
                self._add(choice, "refusal", delta.refusal)
            for piece in delta.tool_calls:
                key = (delta.index, piece.index)
                call = self._calls.get(key)
                if call is None:
                    if not self.texts.count(_PER_MESSAGE):
                        continue
                    call = self._calls[key] = {}
                    self._choices.setdefault(delta.index, {})
                self._add(call, "id", piece.id)
                self._add(call, "name", piece.name)
                self._add(call, "arguments", piece.arguments)

    def answers(self) -> list[dict[str, object]]:
        """One per choice, in order."""
        answers: list[dict[str, object]] = []
        for index in sorted(self._choices):
            answer: dict[str, object] = {"index": index, **self._joined(self._choices[index])}
            calls = [
                self._joined(call) for (of, _), call in sorted(self._calls.items()) if of == index
            ]
            if calls:
                answer["tool_calls"] = calls
            answers.append(answer)
        return answers

    def _add(self, to: dict[str, list[str]], name: str, text: str | None) -> None:
        if text:
            pieces = to.setdefault(name, [])
            kept = self.texts.part(text)
            if kept:
                pieces.append(kept)
            if len(kept) < len(text):
                self._omitted[id(pieces)] = self._omitted.get(id(pieces), 0) + len(text) - len(kept)

    def _joined(self, pieces: dict[str, list[str]]) -> dict[str, str]:
        joined = {}
        for name, texts in pieces.items():
            omitted = self._omitted.get(id(texts), 0)
            joined[name] = "".join(texts) + (mark(omitted) if omitted else "")
        return joined
