"""
A conversation as the vendor wants it: system text apart, user and assistant in turns, results right after their calls.

Pure. What can be put right without losing a word is put right: neighbours of one role become one turn, results move to
the front of theirs, empty texts go, a turn is set before a conversation that the assistant opens. Everything else is
refused here, in words, rather than by the vendor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from fengchao_anthropic.blocks import Block, block_of, is_blank, text_block
from fengchao_anthropic.thinking import thinking_blocks
from fengchao_core.errors import EmptyQuery, InvalidParameter
from fengchao_core.types import Message, TextPart, ToolCall

OPENING = "(The conversation begins.)"
"""What stands in for the user where the assistant speaks first: the vendor wants a user's turn at the start."""

_MESSAGE_EXTRAS = frozenset({"cache_control", "thinking_blocks", "content_blocks", "is_error"})


@dataclass(slots=True)
class Turn:
    """
    One turn.

    Attributes:
        first: blocks that must stand before the others: results of calls in a user's turn, thinking in an assistant's.
        blocks: everything else.
        calls: the ids of the calls that an assistant made.
    """

    role: Literal["user", "assistant"]
    first: list[Block] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def body(self) -> Block:
        """As it goes over the wire; a single plain text as text."""
        blocks = [*self.first, *self.blocks]
        if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
            return {"role": self.role, "content": blocks[0]["text"]}
        return {"role": self.role, "content": blocks}


def build_turns(
    messages: Sequence[Message], notes: list[str]
) -> tuple[str | list[Block] | None, list[Block]]:
    """
    The `system` and the `messages` of a body.

    Args:
        messages: the conversation.
        notes: takes what had to be adapted.

    Raises:
        InvalidParameter: the conversation cannot be told to this vendor without losing something.
        EmptyQuery: there is nothing in it.
    """
    system: list[Block] = []
    turns: list[Turn] = []
    for message in messages:
        _leave_out(message, notes)
        if message.role in ("system", "developer"):
            if turns:
                _once(notes, "a system message in mid-conversation was moved to the system text")
            system += _system(message)
            continue
        role: Literal["user", "assistant"] = "assistant" if message.role == "assistant" else "user"
        said = Turn(role)
        _fill(said, message, notes)
        if not said.first and not said.blocks:
            continue
        if turns and turns[-1].role == role and not turns[-1].calls:
            turns[-1].first += said.first
            turns[-1].blocks += said.blocks
            turns[-1].calls += said.calls
        else:
            turns.append(said)
    if not turns:
        raise EmptyQuery(
            "there is nothing to ask: expected a message of the user with some text",
            param="messages",
        )
    _check_results(turns)
    if turns[0].role == "assistant":
        turns.insert(0, Turn("user", blocks=[text_block(OPENING)]))
        notes.append(
            f"a user's turn {OPENING!r} was put first: this provider's conversations begin with the user"
        )
    return _system_body(system), [turn.body() for turn in turns]


def _fill(turn: Turn, message: Message, notes: list[str]) -> None:
    if message.role == "tool":
        turn.first.append(_result(message, notes))
        return
    if message.role == "assistant":
        turn.first += thinking_blocks(message)
    turn.blocks += _extra_blocks(message)
    content = _contents(message, notes)
    if message.role == "assistant":
        if message.refusal:
            content.append(text_block(message.refusal))
        if any(block["type"] == "image" for block in content):
            raise InvalidParameter(
                "this provider takes pictures in the user's messages only", param="messages"
            )
    turn.blocks += (block for block in content if not is_blank(block))
    for call in message.tool_calls:
        turn.blocks.append(_tool_use(call))
        turn.calls.append(call.id)
    _cache(turn.blocks, message)


def _contents(message: Message, notes: list[str]) -> list[Block]:
    content = message.content
    if content is None or isinstance(content, str):
        return [text_block(content)] if content else []
    return [block_of(part, notes) for part in content]


def _system(message: Message) -> list[Block]:
    content = message.content
    if not isinstance(content, str) and not all(isinstance(p, TextPart) for p in content or ()):
        raise InvalidParameter("this provider takes only text in system messages", param="messages")
    blocks = [block for block in _contents(message, []) if not is_blank(block)]
    _cache(blocks, message)
    return blocks


def _system_body(blocks: list[Block]) -> str | list[Block] | None:
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        return str(blocks[0]["text"])
    return blocks or None


def _tool_use(call: ToolCall) -> Block:
    if call.type != "function":
        raise InvalidParameter(
            f"this provider has no tool calls of type '{call.type[:40]}'", param="messages"
        )
    try:
        arguments = orjson.loads(call.arguments) if call.arguments.strip() else {}
    except orjson.JSONDecodeError:
        arguments = None
    if not isinstance(arguments, dict):
        raise InvalidParameter(
            "the arguments of an earlier tool call are not a JSON object, which this provider wants",
            param="messages",
        )
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments}


def _result(message: Message, notes: list[str]) -> Block:
    if not message.tool_call_id:
        raise InvalidParameter(
            "a tool message lacks its 'tool_call_id': expected that of the call it answers",
            param="messages",
        )
    block: Block = {"type": "tool_result", "tool_use_id": message.tool_call_id}
    content = message.content
    blocks = [b for b in _contents(message, notes) if not is_blank(b)] + _extra_blocks(message)
    if isinstance(content, str) and content and not message.extra.get("content_blocks"):
        block["content"] = content
    elif blocks:
        block["content"] = blocks
    if isinstance(is_error := message.extra.get("is_error"), bool):
        block["is_error"] = is_error
    _cache([block], message)
    return block


def _extra_blocks(message: Message) -> list[Block]:
    """Blocks of the vendor's own that our types have no name for (search results, its own tools' calls)."""
    blocks = message.extra.get("content_blocks", ())
    if not isinstance(blocks, list | tuple) or not all(isinstance(b, Mapping) for b in blocks):
        raise InvalidParameter(
            "'content_blocks' of a message is not a list of objects", param="messages"
        )
    return [dict(block) for block in blocks]


def _cache(blocks: list[Block], message: Message) -> None:
    """Set the message's cache mark on its last block; all before it is cached, too."""
    mark = message.extra.get("cache_control")
    if mark is not None and blocks:
        blocks[-1]["cache_control"] = mark


def _check_results(turns: Sequence[Turn]) -> None:
    """Each call must be answered once, in the turn after it, and nothing else may be."""
    open_calls: list[str] = []
    for turn in turns:
        answered = [str(b["tool_use_id"]) for b in turn.first if b["type"] == "tool_result"]
        _match(open_calls, answered)
        open_calls = turn.calls
    _match(open_calls, ())


def _match(calls: Iterable[str], answered: Sequence[str]) -> None:
    calls = list(calls)
    if missing := [call for call in calls if call not in answered]:
        raise InvalidParameter(
            f"the tool call {missing[0][:80]!r} has no result: this provider wants a tool message for each "
            "call, right after the calls",
            param="messages",
        )
    if strange := [call for call in answered if call not in calls]:
        raise InvalidParameter(
            f"the tool message for {strange[0][:80]!r} answers no call of the assistant's message before it",
            param="messages",
        )
    if len(set(answered)) != len(answered):
        raise InvalidParameter("a tool call is answered twice; expected one tool message for each")


def _leave_out(message: Message, notes: list[str]) -> None:
    if message.name and message.role in ("user", "assistant"):
        _once(notes, "the names of messages were left out: this provider has none")
    if unknown := sorted(message.extra.keys() - _MESSAGE_EXTRAS):
        _once(
            notes,
            f"the message field '{unknown[0][:60]}' was left out: this provider's messages have no such field",
        )


def _once(notes: list[Any], note: str) -> None:
    if note not in notes:
        notes.append(note)
