"""The two dialects as bodies, and the codecs beside chat."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import orjson
import pytest

from fengchao_core.errors import (
    InvalidParameter,
)
from fengchao_core.kit.openai_chat import build
from fengchao_core.types import (
    AudioPart,
    ChatParams,
    ChatRequest,
    FilePart,
    ImagePart,
    Message,
    ResponseFormat,
    Tool,
    ToolCall,
    VideoPart,
)
from fengchao_moonshot import wire
from fengchao_moonshot.search import WEB_SEARCH, search_results

CLASSIC = "moonshot-v1-8k"
KIMI = "kimi-k2.6"
KNOBS: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 40,
    "max_tokens": 100,
    "stop": ("###",),
    "n": 2,
    "seed": 7,
    "do_sample": False,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.2,
    "repetition_penalty": 1.1,
    "logit_bias": {"1": 2.0},
    "logprobs": True,
    "top_logprobs": 3,
    "tools": (Tool(name="f"),),
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "response_format": ResponseFormat("json_object"),
    "reasoning_effort": "low",
    "user": "u",
}
_SAME: dict[str, dict[str, object] | None] = {
    "top_k": None,
    "max_tokens": {"max_completion_tokens": 100},
    "stop": {"stop": ["###"]},
    "seed": {"seed": 7},
    "repetition_penalty": None,
    "logit_bias": {"logit_bias": {"1": 2.0}},
    "logprobs": {"logprobs": True},
    "top_logprobs": {"top_logprobs": 3},
    "tools": {"tools": [{"type": "function", "function": {"name": "f"}}]},
    "tool_choice": {"tool_choice": "auto"},
    "parallel_tool_calls": {"parallel_tool_calls": False},
    "response_format": {"response_format": {"type": "json_object"}},
    "user": {"user": "u"},
}
SENT: dict[str, dict[str, dict[str, object] | None]] = {
    CLASSIC: {
        **_SAME,
        "temperature": {"temperature": 0.5},
        "top_p": {"top_p": 0.9},
        "n": {"n": 2, "temperature": 0.3},
        "do_sample": {"temperature": 0},
        "presence_penalty": {"presence_penalty": 0.1},
        "frequency_penalty": {"frequency_penalty": 0.2},
        "reasoning_effort": None,
    },
    KIMI: {
        **_SAME,
        "temperature": None,
        "top_p": None,
        "n": {"n": 2},
        "do_sample": None,
        "presence_penalty": None,
        "frequency_penalty": None,
        "reasoning_effort": {"thinking": {"type": "enabled"}},
    },
}
"""What each knob becomes on the wire of each family; None: left out, with a note."""
NOTED = {
    (CLASSIC, "n"): "temperature",
    (CLASSIC, "do_sample"): "do_sample",
    (KIMI, "reasoning_effort"): "reasoning_effort",
}
"""Knobs that are sent in another shape, and how the note begins that says so."""


def ask(model: str, *messages: Message, **params: Any) -> ChatRequest:
    """A request as the gateway seals it; of one user message where none is given."""
    return ChatRequest(
        model=model,
        messages=messages or (Message("user", "hi"),),
        params=ChatParams(**params),
    )


def body_of(model: str, *messages: Message, **params: Any) -> tuple[dict[str, Any], list[str]]:
    """A body with these parameters, and its notes."""
    return build(ask(model, *messages, **params), wire.dialect_for(model))


@pytest.mark.parametrize("model", [CLASSIC, KIMI])
@pytest.mark.parametrize("knob", [each.name for each in fields(ChatParams) if each.name != "extra"])
def test_which_knob_reaches_the_wire(model: str, knob: str) -> None:
    """Each knob is sent, adapted with a note, or left out with a note that names it."""
    body, notes = body_of(model, **{knob: KNOBS[knob]})
    added = {key: value for key, value in body.items() if key not in ("model", "messages")}
    sent = SENT[model][knob]
    assert (sent or {}) == added
    expected = NOTED.get((model, knob), knob if sent is None else None)
    assert ([] if expected is None else [expected]) == [
        note.split()[0].split("=")[0] for note in notes
    ]


@pytest.mark.parametrize(
    ("given_", "sent"), [(-1, 0), (0, 0), (0.7, 0.7), (1, 1), (1.5, 1), (2, 1)]
)
def test_temperature_is_kept_within_the_vendors_range(given_: float, sent: float) -> None:
    """OpenAI's range is twice as wide; what is outside goes as the nearest, with a note."""
    body, notes = body_of(CLASSIC, temperature=given_)
    assert sent == body["temperature"]
    assert (given_ != sent) == bool(notes)


@pytest.mark.parametrize(
    ("temperature", "sent"), [(None, 0.3), (0, 0.3), (0.05, 0.3), (0.1, 0.1), (0.9, 0.9)]
)
def test_several_choices_are_not_asked_for_near_zero(
    temperature: float | None, sent: float
) -> None:
    """The vendor gives one choice only near 0, its default: the temperature is raised and the caller is told."""
    body, notes = body_of(CLASSIC, n=3, temperature=temperature)
    assert (3, sent) == (body["n"], body["temperature"])
    assert (temperature != sent) == bool(notes)
    assert "temperature" not in body_of(KIMI, n=3, temperature=temperature)[0]


def test_what_the_vendor_lacks_is_refused() -> None:
    """Too many choices, tools that must be called and schemas (of the older models), sounds, web addresses."""
    schema = ResponseFormat("json_schema", schema={"type": "object"})
    for model, params, param in (
        (CLASSIC, {"n": 6}, "n"),
        (KIMI, {"n": 0}, "n"),
        (CLASSIC, {"tool_choice": "required", "tools": (Tool(name="f"),)}, "tool_choice"),
        (CLASSIC, {"tool_choice": {"type": "function"}, "tools": (Tool(name="f"),)}, "tool_choice"),
        (CLASSIC, {"response_format": schema}, "response_format"),
        (KIMI, {"tools": (Tool(name="f"), Tool(name="f"))}, "tools"),
        (KIMI, {"tools": (WEB_SEARCH, WEB_SEARCH)}, "tools"),
    ):
        with pytest.raises(InvalidParameter) as caught:
            body_of(model, **params)
        assert param == caught.value.param
    for part in (
        AudioPart("aGk=", "wav"),
        FilePart("file-1"),
        ImagePart("https://example.com/a.png"),
        VideoPart("https://example.com/a.mp4"),
    ):
        with pytest.raises(InvalidParameter):
            body_of(KIMI, Message("user", (part,)))


def test_kimi_takes_what_the_older_models_lack() -> None:
    """Schemas and tools that must be called are passed on."""
    schema = ResponseFormat("json_schema", name="a", schema={"type": "object"})
    body, notes = body_of(
        KIMI, response_format=schema, tools=(Tool(name="f"),), tool_choice="required"
    )
    assert ("json_schema", "required") == (body["response_format"]["type"], body["tool_choice"])
    assert [] == notes


def test_pictures_and_films() -> None:
    """Data URLs and files of the vendor's own are written as objects with a URL."""
    parts = (ImagePart("data:image/png;base64,aGk=", "low"), VideoPart("ms://file-1"))
    body, _ = body_of(KIMI, Message("user", parts))
    assert [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        {"type": "video_url", "video_url": {"url": "ms://file-1"}},
    ] == body["messages"][0]["content"]


def test_stops_beyond_the_limits_are_left_out() -> None:
    """At most five, of at most 32 bytes each; if none is left the field is not sent."""
    body, notes = body_of(CLASSIC, stop=("长" * 11, "a", "b", "c", "d", "e", "f"))
    assert ["a", "b", "c", "d", "e"] == body["stop"]
    assert ["1 stop values longer than 32 bytes", "only the first 5 of 6 stop values"] == [
        part[: len(expected)]
        for part, expected in zip(
            notes[0].split("; "),
            ("1 stop values longer than 32 bytes", "only the first 5 of 6 stop values"),
            strict=True,
        )
    ]
    body, notes = body_of(CLASSIC, stop=("长" * 11,))
    assert "stop" not in body
    assert 1 == len(notes)


@pytest.mark.parametrize(
    ("effort", "kind"),
    [("none", "disabled"), ("minimal", "disabled"), ("low", "enabled"), ("high", "enabled")],
)
def test_thinking_follows_the_effort(effort: str, kind: str) -> None:
    """No effort switches the thinking off; the vendor's own parameter outranks it."""
    assert {"type": kind} == body_of(KIMI, reasoning_effort=effort)[0]["thinking"]
    own = {"type": "enabled", "keep": "all"}
    body, _ = body_of(KIMI, reasoning_effort=effort, extra={"thinking": own})
    assert own == body["thinking"]


def test_thinking_goes_back_to_those_who_think() -> None:
    """Kimi insists on the thinking of its tool loop; the older models have none."""
    turn = Message(
        "assistant",
        reasoning="because",
        tool_calls=(ToolCall("get_weather:0", "get_weather", "{}"),),
    )
    assert "because" == body_of(KIMI, turn)[0]["messages"][0]["reasoning_content"]
    assert "reasoning_content" not in body_of(CLASSIC, turn)[0]["messages"][0]
    assert "get_weather:0" == body_of(KIMI, turn)[0]["messages"][0]["tool_calls"][0]["id"]


def test_developer_messages_are_system_messages() -> None:
    """The vendor knows no such role."""
    assert "system" == body_of(KIMI, Message("developer", "d"))[0]["messages"][0]["role"]


def test_partial_mode() -> None:
    """The beginning of the answer goes out as the last message, with its name."""
    begun = Message("assistant", "{", name="Kelsier", extra={"partial": True})
    for model in (CLASSIC, KIMI):
        body, notes = body_of(model, Message("user", "hi"), begun)
        assert {"role": "assistant", "content": "{", "name": "Kelsier", "partial": True} == body[
            "messages"
        ][1]
        assert [] == notes


def test_partial_mode_is_refused_where_it_cannot_work() -> None:
    """Not last, not the assistant's, or beside a JSON mode."""
    user, begun = Message("user", "hi"), Message("assistant", "{", extra={"partial": True})
    with pytest.raises(InvalidParameter) as caught:
        body_of(KIMI, begun, user)
    assert "messages[0].partial" == caught.value.param
    with pytest.raises(InvalidParameter):
        body_of(KIMI, Message("user", "hi", extra={"partial": True}))
    with pytest.raises(InvalidParameter) as caught:
        body_of(KIMI, user, begun, response_format=ResponseFormat("json_object"))
    assert "response_format" == caught.value.param


def test_web_search() -> None:
    """The vendor's own tool goes out as it documents it, and its calls are answered by their own arguments."""
    body, _ = body_of(KIMI, tools=(WEB_SEARCH, Tool(name="f")))
    assert {"type": "builtin_function", "function": {"name": "$web_search"}} == body["tools"][0]
    answer = Message(
        "assistant",
        tool_calls=(
            ToolCall("$web_search:0", "$web_search", '{"a": 1}', "builtin_function"),
            ToolCall("f:1", "f", "{}"),
        ),
    )
    assert (
        Message("tool", '{"a": 1}', name="$web_search", tool_call_id="$web_search:0"),
    ) == search_results(answer)
    assert "builtin_function" == body_of(KIMI, answer)[0]["messages"][0]["tool_calls"][0]["type"]


def test_extra_replaces_nothing_of_ours_and_breaks_nothing() -> None:
    """Vendor-only parameters travel as they are, odd ones too: the vendor says what it thinks of them."""
    odd = {"model": "x", "n": "3", "tools": "none", "response_format": 1, "temperature": "hot"}
    begun = Message("assistant", "{", extra={"partial": True, "role": "system"})
    body, notes = body_of(CLASSIC, Message("user", "hi"), begun, n=2, extra=odd)
    assert {"model": CLASSIC, **{k: v for k, v in odd.items() if k != "model"}} == {
        key: body[key] for key in odd
    }
    assert "assistant" == body["messages"][1]["role"]
    assert 1 == len(notes)


def test_estimates_leave_out_how_to_answer() -> None:
    """Model, messages and tools are what counts."""
    request = ask(CLASSIC, tools=(Tool(name="f"),), temperature=0.3, max_tokens=5, n=2)
    assert {"model", "messages", "tools"} == set(orjson.loads(wire.encode_estimate(request)))
