"""Which functions a sandbox calls, with which arguments; and which results of earlier calls it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from zlib import crc32

import orjson

from fengchao_core.kit.sandbox.markers import markers
from fengchao_core.kit.sandbox.schema import Hints, fill
from fengchao_core.types import ChatRequest, Message, Tool, ToolCall


def last_user_text(messages: Sequence[Message]) -> str:
    """The text of the last user message, markers included; empty where there is none."""
    return next((m.text for m in reversed(messages) if m.role == "user"), "")


def tool_results(messages: Sequence[Message]) -> list[tuple[str, str]]:
    """Name and content of the tool messages that end the conversation."""
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    results: list[tuple[str, str]] = []
    for message in reversed(messages):
        if message.role != "tool":
            break
        name = message.name or names.get(message.tool_call_id or "", "tool")
        results.insert(0, (name, message.text))
    return results


def calls_for(request: ChatRequest, question: str, index: int) -> tuple[ToolCall, ...]:
    """
    The calls of one choice; empty where the model answers in words.

    A model calls a function when functions are offered and the user spoke last, or when the caller forces it to: the
    one that is named, otherwise the one whose name and description fit the question best.

    Args:
        request: the request.
        question: the last user text without its markers.
        index: the choice's.
    """
    params = request.params
    functions = [tool for tool in params.tools if tool.type == "function"]
    marker = next(
        (m.body for m in markers(last_user_text(request.messages)) if m.name == "tools"), ""
    )
    choice = params.tool_choice
    forced = isinstance(choice, Mapping) or choice in ("required", "any")
    asked_now = bool(request.messages) and request.messages[-1].role == "user"
    if not functions or choice == "none" or not (asked_now or forced):
        return ()
    if marker == "none" and not forced:
        return ()
    chosen = _functions(functions, choice, marker, question)
    if params.parallel_tool_calls is False:
        chosen = chosen[:1]
    seed = crc32(f"{len(request.messages)} {index} {question}".encode("utf-8", "surrogatepass"))
    return tuple(
        ToolCall(
            id=f"call_{seed:08x}{nth:04d}",
            name=tool.name,
            arguments=orjson.dumps(
                fill(tool.parameters or {"type": "object"}, Hints(question, nth))
            ).decode(),
        )
        for nth, tool in enumerate(chosen)
    )


def _functions(
    functions: Sequence[Tool], choice: str | Mapping[str, object] | None, marker: str, question: str
) -> list[Tool]:
    named = choice.get("function") if isinstance(choice, Mapping) else None
    name = named.get("name") if isinstance(named, Mapping) else marker
    by_name = [tool for tool in functions if tool.name == name]
    if by_name:
        return by_name
    ranked = sorted(
        functions, key=lambda tool: -_fit(tool, question)
    )  # stable: the first of equals
    if not marker.startswith("parallel"):
        return ranked[:1]
    many = marker.partition("=")[2]
    wanted = int(many) if many.isdecimal() else max(2, len(functions))
    return [ranked[nth % len(ranked)] for nth in range(wanted)]


def _fit(tool: Tool, question: str) -> int:
    """How many pairs of neighbouring characters a question shares with a tool's name and description."""
    about = f"{tool.name} {tool.description or ''}".lower()
    asked = question.lower()
    return len(
        {about[i : i + 2] for i in range(len(about) - 1)}
        & {asked[i : i + 2] for i in range(len(asked) - 1)}
    )
