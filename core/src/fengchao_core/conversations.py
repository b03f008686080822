"""Small changes to a sealed conversation: text around its last question, words to its system text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fengchao_core.types import Message, TextPart


def last_question(messages: tuple[Message, ...]) -> str:
    """The text of the last user turn; empty where there is none."""
    return next((m.text for m in reversed(messages) if m.role == "user"), "")


def with_last_question(
    messages: tuple[Message, ...], change: Callable[[str], str]
) -> tuple[Message, ...]:
    """The conversation with the text of its last user turn changed; pictures and files of that turn stay."""
    for at in range(len(messages) - 1, -1, -1):
        message = messages[at]
        if message.role != "user":
            continue
        content = message.content
        changed: Message
        if isinstance(content, tuple):
            others = tuple(part for part in content if not isinstance(part, TextPart))
            changed = replace(message, content=(*others, TextPart(change(message.text))))
        else:
            changed = replace(message, content=change(content or ""))
        return (*messages[:at], changed, *messages[at + 1 :])
    return (*messages, Message("user", change("")))


def with_system(messages: tuple[Message, ...], words: str) -> tuple[Message, ...]:
    """The conversation with words at the end of its system text, which is made where there is none."""
    if messages and messages[0].role == "system" and isinstance(messages[0].content, str):
        first = replace(messages[0], content=f"{messages[0].content}\n\n{words}")
        return (first, *messages[1:])
    return (Message("system", words), *messages)
