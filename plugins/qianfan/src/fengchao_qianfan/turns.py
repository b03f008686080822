"""
The rules of conversations: what may follow what. Pure.

Both generations want the user and the assistant to take turns, the user first and last; V1 also wants the system text
apart, and one function call at a time. Where a conversation breaks a rule and nothing is lost by mending it, it is
mended, and a note tells so; where something would be lost, it is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from fengchao_core.errors import InvalidParameter
from fengchao_core.types import ContentPart, Message, TextPart, ToolCall

QUESTION = "你好"
"""Stands before an answer that no question came before."""

ANSWER = "好的"
"""Stands between a function's result and what the user says next."""


class Conversation(NamedTuple):
    """
    A conversation that keeps to the rules.

    Attributes:
        system: the system text; empty where there is none.
        turns: all other messages.
        notes: what was mended, one English sentence each.
    """

    system: str
    turns: tuple[Message, ...]
    notes: tuple[str, ...]


def arrange(messages: Sequence[Message], *, one_call_at_a_time: bool) -> Conversation:
    """
    A conversation that keeps to the rules and says the same.

    Args:
        messages: as the caller gave them.
        one_call_at_a_time: V1's rules for functions: an answer makes one call, its result follows at once, and takes
            the user's turn.

    Raises:
        InvalidParameter: nothing is left to be asked, the assistant speaks last, or calls and results do not match.
    """
    notes: list[str] = []
    system, turns = _apart(messages, notes)
    if one_call_at_a_time:
        turns = list(_unfolded(turns, notes))
    turns = _taking_turns(turns, notes, strict=one_call_at_a_time)
    if not turns:
        raise InvalidParameter(
            "there is nothing to ask; expected a message of the user with text", param="messages"
        )
    if turns[-1].role == "assistant":
        raise InvalidParameter(
            "the last message is the assistant's; this provider wants the user, or a tool's result, to come last",
            param="messages",
        )
    return Conversation(system, tuple(turns), tuple(dict.fromkeys(notes)))


def _apart(messages: Iterable[Message], notes: list[str]) -> tuple[str, list[Message]]:
    """The system texts joined, and the other messages without those that say nothing."""
    systems: list[str] = []
    turns: list[Message] = []
    for message in messages:
        if message.role in ("system", "developer"):
            if not message.text.strip():
                continue
            if turns:
                notes.append(
                    "a system text from the middle of the conversation was moved to its beginning"
                )
            systems.append(message.text)
        elif _says_something(message):
            turns.append(message)
        else:
            notes.append("messages without content were left out")
    return "\n".join(systems), turns


def _says_something(message: Message) -> bool:
    if message.tool_calls or message.role == "tool":
        return True
    content = message.content
    if content is None or isinstance(content, str):
        return bool((content or message.refusal or "").strip())
    return any(not isinstance(part, TextPart) or part.text.strip() for part in content)


def _unfolded(turns: Sequence[Message], notes: list[str]) -> Iterable[Message]:
    """Each call with its result after it, in the order of the calls; results know the names of their functions."""
    at = 0
    while at < len(turns):
        message = turns[at]
        at += 1
        if message.role == "tool" and not message.name:
            raise InvalidParameter(
                "a tool message answers no call of the message before it; expected its 'tool_call_id' among the calls, "
                "or a 'name'",
                param="messages",
            )
        if message.role != "assistant" or not message.tool_calls:
            yield message
            continue
        results: list[Message] = []
        while at < len(turns) and turns[at].role == "tool":
            results.append(turns[at])
            at += 1
        if len(message.tool_calls) > 1:
            notes.append("parallel tool calls of an earlier turn were sent one after the other")
        for number, call in enumerate(message.tool_calls):
            spoken = message if number == 0 else replace(message, content=None, reasoning=None)
            yield replace(spoken, tool_calls=(call,))
            yield replace(_taken(call, results), name=call.name)
        if results:
            raise InvalidParameter(
                f"{len(results)} tool messages answer no call of the message before them",
                param="messages",
            )


def _taken(call: ToolCall, results: list[Message]) -> Message:
    for at, result in enumerate(results):
        if result.tool_call_id == call.id or (
            result.tool_call_id is None and result.name == call.name
        ):
            return results.pop(at)
    raise InvalidParameter(
        "a tool call of the conversation has no result; expected a tool message for each call",
        param="messages",
    )


def _taking_turns(turns: Iterable[Message], notes: list[str], *, strict: bool) -> list[Message]:
    """Neighbours of one role joined, and what is missing filled in."""
    kept: list[Message] = []
    for message in turns:
        if not kept:
            if message.role == "assistant":
                notes.append(
                    f"the conversation began with an answer; '{QUESTION}' was put before it"
                )
                kept.append(Message("user", QUESTION))
            kept.append(message)
            continue
        before = kept[-1]
        if before.role == message.role and message.role != "tool" and not before.tool_calls:
            notes.append(f"neighbouring messages of the {message.role} were joined")
            kept[-1] = _joined(before, message)
            continue
        if strict and before.role != "assistant" and message.role != "assistant":
            notes.append(f"'{ANSWER}' was put between a tool's result and the message after it")
            kept.append(Message("assistant", ANSWER))
        kept.append(message)
    return kept


def _joined(first: Message, second: Message) -> Message:
    one, other = _spoken(first), _spoken(second)
    content: str | tuple[ContentPart, ...]
    if isinstance(one, str) and isinstance(other, str):
        content = "\n".join(text for text in (one, other) if text)
    else:
        content = (*_parts(one), *_parts(other))
    return replace(
        second,
        content=content,
        refusal=None,
        name=first.name or second.name,
        extra={**first.extra, **second.extra} if first.extra or second.extra else second.extra,
    )


def _spoken(message: Message) -> str | tuple[ContentPart, ...]:
    return message.content or message.refusal or ""


def _parts(content: str | tuple[ContentPart, ...]) -> tuple[ContentPart, ...]:
    if not isinstance(content, str):
        return content
    return (TextPart(content),) if content else ()
