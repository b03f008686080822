"""
`ChatParams` on the vendor's wire: each knob is sent, brought into the vendor's range with a note, or refused.

Pure. `KNOBS` is the table; each of its functions takes the knob's value into the body under way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fengchao_anthropic.abilities import Abilities
from fengchao_core.errors import InvalidParameter
from fengchao_core.kit.openai_chat import clamp
from fengchao_core.types import ChatParams, ResponseFormat, Tool

JSON_TOOL = "answer_in_json"
"""The function by whose arguments a model answers in JSON that has no such output format."""

JSON_TEXT = "Answer with one JSON object and nothing else: no explanation, no code fence."

LEAST_BUDGET = 1024
_BUDGETS: Mapping[str, int] = {
    "minimal": LEAST_BUDGET,
    "low": 2048,
    "medium": 8192,
    "high": 16384,
    "xhigh": 32768,
    "max": 65536,
}
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_EMPTY_SCHEMA: Mapping[str, object] = {"type": "object", "properties": {}}


@dataclass(slots=True)
class Draft:
    """
    A body under way.

    Attributes:
        able: what the model takes.
        takes_sampling: whether the generation of the API that is spoken lets temperature and its like through.
        body: the fields so far.
        notes: what was adapted.
        answers_by_tool: the answer will come as the arguments of `JSON_TOOL`.
        loops_unsigned: the conversation ends within a tool loop whose thinking did not come back.
    """

    able: Abilities
    takes_sampling: bool
    body: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    answers_by_tool: bool = False
    loops_unsigned: bool = False


Knob = Callable[[Draft, str, Any, ChatParams], None]


def turn_knobs(draft: Draft, params: ChatParams) -> None:
    """
    Take every knob that is given into a draft.

    Raises:
        InvalidParameter: a knob asks for what this vendor, or this model, has not.
    """
    for name, turn in KNOBS.items():
        value = getattr(params, name)
        if value is not None and value not in ((), {}):
            turn(draft, name, value, params)


def _sampled(low: float, high: float) -> Knob:
    within = clamp(low, high)

    def turn(draft: Draft, name: str, value: Any, params: ChatParams) -> None:  # noqa: ARG001  # a Knob
        if not draft.able.sampling:
            draft.notes.append(f"{name} was left out: this model takes only its default")
        elif not draft.takes_sampling:
            draft.notes.append(
                f"{name} was left out: this generation of the API takes none; version 2023-06-01 does"
            )
        elif name == "top_p" and draft.able.one_sampler and "temperature" in draft.body:
            draft.notes.append(
                "top_p was left out: this model takes it or the temperature, not both"
            )
        else:
            draft.body[name], note = within(name, value)
            if note is not None:
                draft.notes.append(note)

    return turn


def _greedy(draft: Draft, _: str, value: bool, params: ChatParams) -> None:  # noqa: FBT001  # a Knob
    if value or params.temperature is not None:
        return
    if draft.able.sampling and draft.takes_sampling:
        draft.body["temperature"] = 0
        draft.notes.append("do_sample=false was sent as temperature 0, the nearest there is")
    else:
        draft.notes.append("do_sample was left out: this model takes only its own sampling")


def _stop(draft: Draft, _: str, value: tuple[str, ...], params: ChatParams) -> None:  # noqa: ARG001  # a Knob
    words = [word for word in value if word.strip()]
    if len(words) < len(value):
        draft.notes.append("a stop text of white space was left out: this provider refuses such")
    if words:
        draft.body["stop_sequences"] = words


def _plainly(field_name: str) -> Knob:
    def turn(draft: Draft, name: str, value: Any, params: ChatParams) -> None:  # noqa: ARG001  # a Knob
        draft.body[field_name] = value

    return turn


def _lacking(*nothing: object) -> Knob:
    """A knob the vendor lacks, and can be left out; these values say no more than leaving it out."""

    def turn(draft: Draft, name: str, value: Any, params: ChatParams) -> None:  # noqa: ARG001  # a Knob
        if value not in nothing:
            draft.notes.append(f"{name} was left out: this provider has no such parameter")

    return turn


def _refused(*nothing: object) -> Knob:
    """A feature the vendor lacks, without which the answer would be another one."""

    def turn(draft: Draft, name: str, value: Any, params: ChatParams) -> None:  # noqa: ARG001  # a Knob
        if value not in nothing:
            raise InvalidParameter(f"this provider has no '{name}'", param=name)

    return turn


def _tools(draft: Draft, _: str, value: tuple[Tool, ...], params: ChatParams) -> None:  # noqa: ARG001  # a Knob
    draft.body["tools"] = [_tool(tool) for tool in value]


def _tool(tool: Tool) -> dict[str, Any]:
    if tool.type != "function":
        return {"type": tool.type, **tool.body}
    schema = dict(tool.parameters or _EMPTY_SCHEMA)
    schema.setdefault("type", "object")
    given = {
        "name": tool.name,
        "description": tool.description,
        "input_schema": schema,
        "strict": tool.strict,
        **tool.body,
    }
    return {key: value for key, value in given.items() if value is not None}


def _tool_choice(
    draft: Draft, name: str, value: str | Mapping[str, object], params: ChatParams
) -> None:
    choice = _choice(value)
    if choice is None:
        raise InvalidParameter(
            "tool_choice is neither 'auto', 'none', 'required' nor the name of one function, "
            "which is what this provider takes",
            param=name,
        )
    if params.tools:
        draft.body["tool_choice"] = choice
    elif choice["type"] in ("any", "tool"):
        raise InvalidParameter("tool_choice asks for a tool, but there are no tools", param=name)


def _choice(value: str | Mapping[str, object]) -> dict[str, Any] | None:
    kind = value if isinstance(value, str) else value.get("type")
    if kind in ("auto", "none"):
        return {"type": kind} if isinstance(value, str) else dict(value)
    if kind in ("required", "any"):
        return {"type": "any"} if isinstance(value, str) else {**value, "type": "any"}
    if isinstance(value, str):
        return None
    if kind == "tool" and value.get("name"):  # the vendor's own form
        return dict(value)
    function = value.get("function")
    named = function.get("name") if isinstance(function, Mapping) else None
    return {"type": "tool", "name": named} if kind == "function" and named else None


def _parallel(draft: Draft, _: str, value: bool, params: ChatParams) -> None:  # noqa: FBT001  # a Knob
    if value or not params.tools:
        return
    choice = draft.body.setdefault("tool_choice", {"type": "auto"})
    if choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True


def _format(draft: Draft, name: str, form: ResponseFormat, params: ChatParams) -> None:
    if form.type == "text":
        return
    if form.type == "json_schema" and form.schema is None:
        raise InvalidParameter("a json_schema response format needs its schema", param=name)
    if not draft.able.schemas:
        _answer_by_tool(draft, name, form, params)
    elif form.type == "json_schema":
        schema = dict(form.schema or {})
        if form.description is not None:
            schema.setdefault("description", form.description)
        draft.body.setdefault("output_config", {})["format"] = {
            "type": "json_schema",
            "schema": schema,
        }
    else:
        system = draft.body.get("system")
        if isinstance(system, list):
            draft.body["system"] = [*system, {"type": "text", "text": JSON_TEXT}]
        else:
            draft.body["system"] = JSON_TEXT if system is None else f"{system}\n\n{JSON_TEXT}"
        draft.notes.append(
            "response_format 'json_object' was asked for in the system text: this provider has no such mode"
        )


def _answer_by_tool(draft: Draft, name: str, form: ResponseFormat, params: ChatParams) -> None:
    if params.tools:
        raise InvalidParameter(
            f"this model takes response_format '{form.type}' or tools, not both", param=name
        )
    schema = {**(form.schema or {"additionalProperties": True})}
    schema.setdefault("type", "object")
    if schema["type"] != "object":
        raise InvalidParameter(
            "the schema of the response format is not that of an object, which this model needs",
            param=name,
        )
    draft.body["tools"] = [
        {
            "name": JSON_TOOL,
            "description": form.description or "Gives the answer. Its arguments are the answer.",
            "input_schema": schema,
        }
    ]
    draft.body["tool_choice"] = {"type": "tool", "name": JSON_TOOL}
    draft.answers_by_tool = True
    draft.notes.append(
        f"response_format '{form.type}' was asked for as the arguments of a function, "
        "which this model has instead"
    )


def _effort(draft: Draft, name: str, value: str, params: ChatParams) -> None:
    if value != "none" and value not in _BUDGETS:
        raise InvalidParameter(
            f"reasoning_effort must be none, {', '.join(_BUDGETS)}; found {value[:40]!r}",
            param=name,
        )
    match draft.able.thinking:
        case "none":
            if value != "none":
                draft.notes.append("reasoning_effort was left out: this model does not think")
        case "budget":
            _budget(draft, value, params)
        case "adaptive" if value == "none":
            draft.body["thinking"] = {"type": "disabled"}
        case _:
            effort = value if value in _EFFORTS else "low"
            if effort != value:
                draft.notes.append(
                    f"reasoning_effort '{value}' was sent as 'low', the least there is"
                )
            draft.body["thinking"] = {"type": "adaptive"}
            draft.body.setdefault("output_config", {})["effort"] = effort


def _budget(draft: Draft, value: str, params: ChatParams) -> None:  # noqa: ARG001  # told by max_tokens in the body
    if value == "none":
        return  # these models do not think unless they are told to
    longest = draft.body["max_tokens"]
    if longest <= LEAST_BUDGET:
        draft.notes.append(
            f"reasoning_effort was left out: thinking takes more than {LEAST_BUDGET} max_tokens"
        )
    elif draft.answers_by_tool:
        draft.notes.append(
            "reasoning_effort was left out: this model cannot think and be made to answer in JSON"
        )
    elif draft.loops_unsigned:
        draft.notes.append(
            "reasoning_effort was left out: the tool loop's earlier thinking did not come back in 'thinking_blocks'"
        )
    else:
        budget = max(LEAST_BUDGET, min(_BUDGETS[value], longest // 2))
        draft.body["thinking"] = {"type": "enabled", "budget_tokens": budget}
        draft.notes.append(f"reasoning_effort '{value}' was sent as a budget of {budget} tokens")


def _user(draft: Draft, _: str, value: str, params: ChatParams) -> None:  # noqa: ARG001  # a Knob
    draft.body["metadata"] = {"user_id": value}


KNOBS: Mapping[str, Knob] = {
    "temperature": _sampled(0, 1),
    "top_p": _sampled(0, 1),
    "top_k": _sampled(0, float("inf")),
    "do_sample": _greedy,
    "max_tokens": _plainly("max_tokens"),
    "stop": _stop,
    "n": _refused(1),
    "seed": _lacking(),
    "presence_penalty": _lacking(0),
    "frequency_penalty": _lacking(0),
    "repetition_penalty": _lacking(1),
    "logit_bias": _lacking(),
    "logprobs": _refused(False),
    "top_logprobs": _refused(0),
    "tools": _tools,
    "tool_choice": _tool_choice,
    "parallel_tool_calls": _parallel,
    "response_format": _format,
    "reasoning_effort": _effort,
    "user": _user,
}
"""What becomes of each knob, in the order in which they are taken."""
