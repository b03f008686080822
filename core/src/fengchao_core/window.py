"""
The conversation within the model's window: the order of its turns, and what is left out where it is too long.

Token counts are the gateway's own estimate. A conversation that surely fits is told by its length alone and costs nothing
more; every text of the others is counted once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from fengchao_core.errors import InvalidParameter
from fengchao_core.types import ContentPart, Message, TextPart
from fengchao_core.usage import estimate_tokens

MESSAGE_TOKENS = 4
"""What a message costs beside its text."""

_MOST_PER_CHARACTER = 0.7  # of the estimate; a text can only be shorter than this says
_LEAST_CUT = 16  # tokens of a file below which nothing of it is worth sending
_STEP = 256  # characters by which a document is cut
_CUT = "……（以下内容超出模型上限，已省略）"


@dataclass(frozen=True, slots=True)
class Document:
    """A file's text that the last message is about, screened."""

    name: str
    text: str


class Fitted(NamedTuple):
    """
    A conversation that fits. A tuple, because every request makes one.

    Attributes:
        notes: what was left out, Chinese first.
        is_whole: whether every document is in it to its end.
        question: the last message without documents, where a vendor may read them itself.
    """

    messages: tuple[Message, ...]
    notes: tuple[str, ...] = ()
    is_whole: bool = True
    question: Message | None = None


def check_history(history: Sequence[Message]) -> None:
    """
    Check that a history can stand before a question.

    A system text may come first, and only there; after it users and assistants take turns, beginning with a user and
    ending with an assistant, since the question follows.

    Raises:
        InvalidParameter: naming the first turn that is out of place.
    """
    wanted = "user"
    for index, turn in enumerate(history):
        if turn.role == "system" and index == 0:
            continue
        if turn.role != wanted:
            found = f"expected role {wanted!r} here, found {turn.role!r}"
            why = "a system text may only come first" if turn.role == "system" else _ORDER
            raise InvalidParameter(f"{found}: {why}", param=f"history[{index}].role")
        wanted = "assistant" if wanted == "user" else "user"
    if wanted == "assistant":
        raise InvalidParameter(
            "the last turn is a user's; the query follows it, so an assistant's answer must stand between them",
            param=f"history[{len(history) - 1}].role",
        )


_ORDER = "users and assistants take turns, and a user begins"


def surely_fits(messages: Iterable[Message], most: int) -> bool:
    """Whether a conversation fits by its length alone, without counting."""
    length, count = 0, 0
    for message in messages:
        content = message.content
        length += len(content) if type(content) is str else len(message.text)
        count += 1
    return length * _MOST_PER_CHARACTER + count * (MESSAGE_TOKENS + 1) <= most


def fit(
    messages: tuple[Message, ...], most: int | None, documents: Sequence[Document] = ()
) -> Fitted:
    """
    A conversation that fits the window, its documents put before the last message's own text.

    The last message and a system text are always kept whole. Documents are cut where they leave no room for them; the
    oldest turns are dropped as pairs where there is no room for the history.

    Args:
        messages: system texts, the history and the question.
        most: the longest prompt that the model takes, in tokens; None: nobody knows, and nothing is left out.

    Raises:
        InvalidParameter: the question and the system text alone are too long.
    """
    whole = _with(messages, documents) if documents else messages
    if most is None or surely_fits(whole, most):
        return Fitted(whole)
    head = next((i for i, message in enumerate(messages) if message.role != "system"), 0)
    always = sum(_tokens(message) for message in (*messages[:head], messages[-1]))
    if always > most:
        raise InvalidParameter(
            f"the question and the system text have about {always} tokens, more than the {most} that the model "
            "takes; shorten them or choose a model that takes more",
            param="query",
        )
    notes: list[str] = []
    kept, used = _cut(documents, most - always, notes)
    is_whole = not notes
    turns, dropped = _newest(messages[head:-1], most - always - used)
    if dropped:
        notes.append(
            f"历史过长，已省略最早的 {dropped} 条消息（模型最多接受 {most} 个输入 token）"
            f" ({dropped} oldest messages of the history were left out: the model takes {most} input tokens)"
        )
    fitted = (*messages[:head], *turns, messages[-1])
    return Fitted(_with(fitted, kept), tuple(notes), is_whole)


def _cut(
    documents: Sequence[Document], room: int, notes: list[str]
) -> tuple[tuple[Document, ...], int]:
    """What fits of each document, and the tokens of all; short ones leave their share to the long ones."""
    sizes = [estimate_tokens(_block(number, each)) for number, each in enumerate(documents, 1)]
    if sum(sizes) <= room:
        return tuple(documents), sum(sizes)
    shares = dict.fromkeys(range(len(documents)), 0)
    left = room
    for nth, index in enumerate(sorted(shares, key=sizes.__getitem__)):
        shares[index] = min(sizes[index], left // (len(documents) - nth))
        left -= shares[index]
    kept: list[Document] = []
    for index, document in enumerate(documents):
        if shares[index] >= sizes[index]:
            kept.append(document)
            continue
        kept.append(replace(document, text=_shortened(document, index + 1, shares[index])))
        part = len(kept[-1].text) - len(_CUT)
        notes.append(
            f"文件 {document.name} 过长，只用了开头的 {part} 个字符，共 {len(document.text)} 个"
            f" (only the first {part} of the file's {len(document.text)} characters fit the model)"
        )
    used = sum(estimate_tokens(_block(number, each)) for number, each in enumerate(kept, 1))
    return tuple(kept), used


def _shortened(document: Document, number: int, share: int) -> str:
    room = share - estimate_tokens(_block(number, replace(document, text=_CUT))) - 1
    if room < _LEAST_CUT:
        raise InvalidParameter(
            "the question leaves the model no room for the files; shorten it, send fewer files, or choose a model that "
            "takes more",
            param="files",
        )
    text, end, tokens = document.text, 0, 0
    while end < len(text):
        tokens += estimate_tokens(text[end : end + _STEP])
        if tokens > room:
            break
        end += _STEP
    return text[:end] + _CUT


def _newest(history: tuple[Message, ...], room: int) -> tuple[tuple[Message, ...], int]:
    """The newest turns that fit, each whole: a user's message with all that answers it; and how many messages do not."""
    start = len(history)
    tokens = 0
    for index in range(len(history) - 1, -1, -1):
        tokens += _tokens(history[index])
        if tokens > room:
            break
        if history[index].role == "user":
            start = index
    return history[start:], start


def _with(messages: tuple[Message, ...], documents: Sequence[Document]) -> tuple[Message, ...]:
    if not documents:
        return messages
    blocks = "\n\n".join(_block(number, each) for number, each in enumerate(documents, 1))
    last = messages[-1]
    content: str | tuple[ContentPart, ...]
    if isinstance(last.content, str):
        content = f"{blocks}\n\n{last.content}"
    else:
        content = (TextPart(blocks), *(last.content or ()))
    return (*messages[:-1], replace(last, content=content))


def _block(number: int, document: Document) -> str:
    return f"【文件 {number}：{document.name}】\n{document.text}\n【文件 {number} 结束】"


def _tokens(message: Message) -> int:
    return estimate_tokens(message.text) + MESSAGE_TOKENS
