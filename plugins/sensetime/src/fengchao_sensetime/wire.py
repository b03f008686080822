"""
SenseNova's wire, on the way out: the native shape, its variants, and the two chat-completions dialects. Pure.

Sources: the vendor's help pages and the recorded requests of its SDK (sensenova 1.0.6), as of late 2025; for the
chat-completions dialects, public clients. The README tells what is documented and what is inferred.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fengchao_core.errors import InvalidParameter
from fengchao_core.kit.openai_chat import CHAT_COMPLETIONS, PARTS, Dialect, Notes, clamp
from fengchao_core.types import ChatRequest, FilePart, FinishReason, ImagePart, Role, TextPart

CHAT_PATH = "/chat-completions"
COMPATIBLE_PATH = "/chat/completions"

WritePart = Callable[[Any], dict[str, Any]]

LOWEST = 0.000001
"""The smallest number that the vendor reads, which has six decimals; it takes no 0."""

FINISH: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    # Not confirmed: the safety filter, and a context that is full.
    "sensitive": "content_filter",
    "context": "length",
}
"""The vendor's finish reasons."""

_MOST_CHOICES = 4
_HIGHEST_TOP_P = 0.999999


# Values.


def _temperature(name: str, value: float) -> tuple[float, str | None]:
    nearest = round(min(max(value, LOWEST), 2.0), 6)
    return nearest, None if nearest == value else _sent_as(name, value, nearest)


def _top_p(name: str, value: float) -> tuple[float, str | None]:
    nearest = min(max(value, LOWEST), _HIGHEST_TOP_P) if not 0 < value < 1 else value
    return nearest, None if nearest == value else _sent_as(name, value, nearest)


def _repetition(name: str, value: float) -> tuple[float, str | None]:
    nearest = min(max(value, LOWEST), 2.0)
    return nearest, None if nearest == value else _sent_as(name, value, nearest)


def _sent_as(name: str, value: float, nearest: float) -> str:
    return f"{name} {value} was sent as {nearest:g}, the nearest this provider takes"


def _choices(_: str, n: int) -> tuple[int, None]:
    if not 1 <= n <= _MOST_CHOICES:
        raise InvalidParameter(
            f"this provider gives 1 to {_MOST_CHOICES} choices, found n={n}", param="n"
        )
    return n, None


def _thinking(_: str, effort: str) -> tuple[dict[str, bool], str]:
    enabled = effort not in ("none", "minimal")
    told = "on" if enabled else "off"
    return {"enabled": enabled}, f"reasoning_effort '{effort}' was sent as thinking {told}"


def _tool_choice(choice: str | Mapping[str, object], tools: object) -> dict[str, object]:
    """The vendor's object: a mode, and the tools that are forced."""
    if choice in ("auto", "none"):
        return {"mode": choice, "tools": []}
    if isinstance(choice, Mapping):
        if "mode" in choice:  # written for this vendor already
            return dict(choice)
        inner = choice.get("function")
        name = inner.get("name") if isinstance(inner, Mapping) else None
        if isinstance(name, str):
            return {"mode": "manual", "tools": [{"type": "function", "name": name}]}
    elif choice == "required" and isinstance(tools, list) and len(tools) == 1:
        # The vendor documents no such mode; where there is one tool, to force it says the same.
        return {
            "mode": "manual",
            "tools": [{"type": "function", "name": tools[0]["function"]["name"]}],
        }
    raise InvalidParameter(
        "this provider takes tool_choice 'auto', 'none', a function by its name, or 'required' with a single tool",
        param="tool_choice",
    )


# Parts of messages.


def _image(part: ImagePart) -> dict[str, Any]:
    if part.url.startswith("data:"):  # the vendor takes the base64 alone
        return {"type": "image_base64", "image_base64": part.url.partition(",")[2]}
    return {"type": "image_url", "image_url": part.url}


def _uploaded(part: FilePart) -> dict[str, Any]:
    if part.file_id is None:
        raise InvalidParameter(
            "this provider takes uploaded pictures by their id, and no file that comes along",
            param="messages",
        )
    return {"type": "image_file_id", "image_file_id": part.file_id}


_NATIVE_PARTS: Mapping[type, WritePart] = {
    TextPart: PARTS[TextPart],
    ImagePart: _image,
    FilePart: _uploaded,
}
_ROLES: Mapping[Role, str] = {**CHAT_COMPLETIONS.roles, "developer": "system"}


# Last changes.


def _amend(body: dict[str, Any], request: ChatRequest, notes: Notes) -> None:
    _tidy_messages(body, notes)
    _only_functions(body, notes)
    _end_with_a_question(request)
    if request.params.do_sample is False:
        notes[:] = [note for note in notes if not note.startswith("do_sample")]
        body["temperature"] = LOWEST
        notes.append(
            f"do_sample=false was sent as temperature {LOWEST:g}, which this provider takes instead"
        )


def _amend_native(body: dict[str, Any], request: ChatRequest, notes: Notes) -> None:
    _amend(body, request, notes)
    if "tool_choice" in body:
        body["tool_choice"] = _tool_choice(body["tool_choice"], body.get("tools"))


def _amend_token_plan(body: dict[str, Any], _: ChatRequest, notes: Notes) -> None:
    _tidy_messages(body, notes)
    _only_functions(body, notes)


def _tidy_messages(body: dict[str, Any], notes: Notes) -> None:
    """Texts as plain strings, no null, and no field that the vendor does not name."""
    for message in body["messages"]:
        content = message["content"]
        if content is None:
            message["content"] = ""
        elif isinstance(content, list) and all(part["type"] == "text" for part in content):
            message["content"] = "".join(part["text"] for part in content)
        message.pop("refusal", None)
        if message.pop("name", None) is not None and message["role"] != "tool":
            told = "the names of messages were left out: this provider has no such field"
            if told not in notes:
                notes.append(told)


def _only_functions(body: dict[str, Any], notes: Notes) -> None:
    for tool in body.get("tools", ()):
        if tool["type"] != "function":
            raise InvalidParameter(
                f"this provider takes functions as tools, found '{tool['type']}'; "
                "web search and knowledge are its own parameters 'plugins' and 'know_ids'",
                param="tools",
            )
        if tool["function"].pop("strict", None):
            notes.append("strict was left out of a tool: this provider has no such field")


def _end_with_a_question(request: ChatRequest) -> None:
    last = request.messages[-1].role if request.messages else "nothing"
    if last not in ("user", "tool"):
        raise InvalidParameter(
            f"this provider expects the last message to be of the user or of a tool, found '{last}'",
            param="messages",
        )


# The dialects.

_RANGES = {"temperature": _temperature, "top_p": _top_p}

NATIVE = replace(
    CHAT_COMPLETIONS,
    knobs={
        "temperature": "temperature",
        "top_p": "top_p",
        "max_tokens": "max_new_tokens",
        "n": "n",
        "repetition_penalty": "repetition_penalty",
        "tools": "tools",
        "tool_choice": "tool_choice",
        "user": "user",
    },
    adapt={**_RANGES, "n": _choices, "repetition_penalty": _repetition},
    roles=_ROLES,
    parts=_NATIVE_PARTS,
    response_formats=frozenset({"text"}),
    include_usage=False,  # it comes unasked
    amend=_amend_native,
    finish=FINISH,
)
"""The vendor's own shape. It is read by `decode.NativeDecoder`."""

COMPATIBLE = replace(
    NATIVE,
    knobs={
        "temperature": "temperature",
        "top_p": "top_p",
        "max_tokens": "max_new_tokens",  # here too, by public clients
        "n": "n",
        "frequency_penalty": "frequency_penalty",
        "tools": "tools",
        "tool_choice": "tool_choice",
        "user": "user",
    },
    adapt={**_RANGES, "n": _choices, "frequency_penalty": clamp(0, 2)},
    include_usage=True,
    amend=_amend,
)
"""The compatible mode: chat completions with the native names of the answer's length and of pictures."""

_THINKS_ON_DEMAND = replace(
    COMPATIBLE,
    knobs={**COMPATIBLE.knobs, "reasoning_effort": "thinking"},
    adapt={**COMPATIBLE.adapt, "reasoning_effort": _thinking},
)

TOKEN_PLAN = replace(
    CHAT_COMPLETIONS,
    # Public clients have it from the vendor's table, and saw any other field refused.
    knobs={
        name: name
        for name in (
            "temperature",
            "top_p",
            "max_tokens",
            "stop",
            "n",
            "seed",
            "presence_penalty",
            "frequency_penalty",
            "tools",
            "tool_choice",
            "parallel_tool_calls",
            "reasoning_effort",
        )
    },
    adapt={"temperature": clamp(0, 2)},
    roles=_ROLES,
    parts={TextPart: PARTS[TextPart], ImagePart: PARTS[ImagePart]},
    response_formats=frozenset({"text"}),
    finish=FINISH,
    amend=_amend_token_plan,
)
"""The token plan: chat completions as OpenAI has them, with fewer fields."""


def is_token_plan(model: str) -> bool:
    """Whether a model is one of the token plan's, by the vendor's name of it."""
    return model.startswith("sensenova-")


def is_character(model: str) -> bool:
    """Whether a model plays roles, and so has a form of its own."""
    return "-character" in model.lower()


def compatible_dialect(model: str) -> Dialect:
    """The compatible mode's dialect for a model."""
    return _THINKS_ON_DEMAND if "-V6-5-" in model else COMPATIBLE
