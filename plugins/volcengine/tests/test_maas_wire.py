"""The legacy wire: requests as the vendor's SDK sends them, answers as it gives them, and what each parameter becomes."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from yarl import URL

from fengchao_core.errors import InvalidParameter
from fengchao_core.fold import Fold
from fengchao_core.kit.openai_chat import Decoder
from fengchao_core.kit.sse import SseParser
from fengchao_core.types import (
    ChatParams,
    ChatRequest,
    FilePart,
    ImagePart,
    Message,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCall,
    Usage,
)
from fengchao_volcengine import SPEC, maas_wire
from fengchao_volcengine.codes import classify_maas
from fengchao_volcengine.maas_wire import encode_v1, encode_v2, is_legacy, rewrite

CARDS = {card.id: card for card in SPEC.cards()}
FUNCTION = Tool(name="f", description="d", parameters={"type": "object"}, strict=True)


def asked(
    text: str | tuple[Any, ...], model: str = "skylark-lite-public", **more: Any
) -> ChatRequest:
    """A request of one user message; parameters by their names."""
    stream, before = more.pop("stream", False), more.pop("before", ())
    messages = (*before, Message("user", text))
    return ChatRequest(model=model, messages=messages, stream=stream, params=ChatParams(**more))


def body_of(request: ChatRequest, version: int = 1) -> dict[str, Any]:
    """The body of a request."""
    encode = encode_v1 if version == 1 else encode_v2
    body: dict[str, Any] = orjson.loads(encode(request).body)
    return body


RECORDED = asked("天为什么这么蓝？", temperature=0.7, top_p=0.9, top_k=0, max_tokens=1000)


@pytest.mark.parametrize(("name", "stream"), [("maas_v1_chat", False), ("maas_v1_stream", True)])
def test_chats_of_version_1_are_the_sdks(vectors: dict[str, Any], name: str, stream: bool) -> None:
    """What goes out is what the vendor's SDK sends for the same call, to the same path."""
    recorded = vectors[name]["request"]
    body = body_of(asked(RECORDED.messages[0].text, stream=stream, **_params(RECORDED)))
    assert orjson.loads(recorded["body_bytes_utf8"]) == body
    assert URL(recorded["url"]).raw_path == maas_wire.CHAT


@pytest.mark.parametrize("name", ["maas_v2_chat_aksk", "maas_v2_chat_apikey"])
def test_chats_of_version_2_are_the_sdks(vectors: dict[str, Any], name: str) -> None:
    """What goes out is what the vendor's SDK sends for the same call, to the same path."""
    recorded = vectors[name]["request"]
    body = body_of(asked("你好", "ep-20240101-abcde", max_tokens=100), 2)
    assert orjson.loads(recorded["body_bytes_utf8"]) == body
    path = maas_wire.path_of_endpoint("ep-20240101-abcde", "chat")
    assert URL(recorded["url"]).raw_path == path


def _params(request: ChatRequest) -> dict[str, Any]:
    return {
        name: getattr(request.params, name)
        for name in ("temperature", "top_p", "top_k", "max_tokens")
    }


def test_every_legacy_vector_is_covered(vectors: dict[str, Any]) -> None:
    """No recorded exchange of the legacy API is left out: those above, their signatures, and the error."""
    assert {name for name in vectors if name.startswith("maas_")} == {
        "maas_v1_chat",
        "maas_v1_stream",
        "maas_v2_chat_aksk",
        "maas_v2_chat_apikey",
        "maas_error",
    }


# Answers.


def read(body: bytes) -> tuple[Any, Usage | None]:
    """The one choice and the usage of an answer."""
    deltas = Decoder(classify=classify_maas).whole(rewrite(body))
    fold = Fold()
    fold.feed(deltas)
    (choice,) = fold.choices()
    return choice, deltas[-1].usage


def test_a_recorded_answer_is_read(vectors: dict[str, Any]) -> None:
    """The singular choice becomes the first of the choices."""
    choice, usage = read(orjson.dumps(vectors["maas_v1_chat"]["response"]["body"]))
    assert ("因为散射。", "stop") == (choice.message.text, choice.finish_reason)
    assert Usage(12, 6) == usage


def test_a_recorded_stream_is_read(vectors: dict[str, Any]) -> None:
    """What the vendor calls a message in a stream is an increment; the lines have no space after their colon."""
    case = vectors["maas_v1_stream"]
    raw = case["response"]["stream"].encode()
    for stream in (raw, raw.replace(b"data:", b"data: ")):
        decoder = Decoder(classify=classify_maas)
        deltas = decoder.decode(map(rewrite, SseParser().feed(stream)))
        assert case["expect"]["text"] == "".join(delta.text for delta in deltas)
        assert (case["expect"]["finish_reason"], Usage(12, 6)) == (
            deltas[-1].finish_reason,
            deltas[-1].usage,
        )


def test_a_function_call_is_read() -> None:
    """A call in the older form is a tool call with an id to refer to."""
    call = {"name": "f", "arguments": '{"a": 1}'}
    message = {"role": "assistant", "content": "", "function_call": call}
    choice, _ = read(
        orjson.dumps({"choice": {"message": message, "finish_reason": "function_call"}})
    )
    assert "tool_calls" == choice.finish_reason
    assert (ToolCall("call_0_0", "f", '{"a": 1}'),) == choice.message.tool_calls
    empty = {"role": "assistant", "content": "t", "function_call": {"name": "", "arguments": ""}}
    choice, _ = read(orjson.dumps({"choice": {"message": empty, "finish_reason": "stop"}}))
    assert () == choice.message.tool_calls


def test_an_error_whose_number_is_0_is_none() -> None:
    """The vendor may send an empty error beside an answer."""
    body = {
        "choice": {"message": {"content": "t"}, "finish_reason": "stop"},
        "error": {"code_n": 0},
    }
    assert "t" == read(orjson.dumps(body))[0].message.text


@pytest.mark.parametrize("event", [b"", b"[DONE]", b"null", b"[1]", b'"x"', b"{", b"\xff"])
def test_what_is_no_object_is_left_as_it_is(event: bytes) -> None:
    """The decoder knows what to make of it."""
    assert event == rewrite(event)


@pytest.mark.parametrize(
    "event", [b'{"choice": 1}', b'{"choices": [1, {"message": 2}]}', b'{"choices": 3}']
)
def test_nonsense_survives_the_rewriting(event: bytes) -> None:
    """Rewriting never fails: the decoder tells what is wrong."""
    assert orjson.loads(rewrite(event))


# Which requests are legacy, and whose model they name.


@pytest.mark.parametrize(
    ("model", "card", "expected"),
    [
        ("skylark-chat", None, True),
        ("Skylark2-pro-4k", None, True),
        ("ep-1", "Skylark2-pro-4k", True),
        ("ep-1", None, False),
        ("ep-1", "doubao-seed-1-6-250615", False),
        ("doubao-seed-1-6-250615", None, False),
    ],
)
def test_which_requests_are_legacy(model: str, card: str | None, expected: bool) -> None:
    """The Skylark models are, also where an endpoint of one's own stands behind the name."""
    request = ChatRequest(model=model, messages=(), card=CARDS[card] if card else None)
    assert expected == is_legacy(request)


def test_an_endpoint_is_named_as_one() -> None:
    """Version 1 names a model by its name, an endpoint by its id."""
    assert {"name": "skylark-chat"} == body_of(asked("x", "skylark-chat"))["model"]
    assert {"endpoint_id": "ep-1"} == body_of(asked("x", "ep-1"))["model"]


# What each parameter becomes: every knob of `ChatParams` has a row.

_PARAMETERS = "parameters"
KNOBS: list[tuple[str, dict[str, Any], dict[str, Any] | None, str | None]] = [
    # knob, what is asked, what is sent in version 1 (None: refused), the beginning of the note
    ("temperature", {"temperature": 0.0}, {_PARAMETERS: {"temperature": 0.0}}, None),
    ("temperature", {"temperature": 1.5}, {_PARAMETERS: {"temperature": 1}}, "temperature 1.5 is outside"),
    ("top_p", {"top_p": 1.5}, {_PARAMETERS: {"top_p": 1}}, "top_p 1.5 is outside"),
    ("top_k", {"top_k": 5}, {_PARAMETERS: {"top_k": 5}}, None),
    ("top_k", {"top_k": 2000}, {_PARAMETERS: {"top_k": 1000}}, "top_k 2000 is outside"),
    ("max_tokens", {"max_tokens": 9}, {_PARAMETERS: {"max_new_tokens": 9}}, None),
    ("stop", {"stop": ("a",)}, {_PARAMETERS: {"stop": ["a"]}}, None),
    ("n", {"n": 1}, {}, None),
    ("n", {"n": 2}, None, None),
    ("seed", {"seed": 7}, {}, "seed was left out"),
    ("do_sample", {"do_sample": False}, {_PARAMETERS: {"do_sample": False}}, None),
    ("presence_penalty", {"presence_penalty": 3.0}, {_PARAMETERS: {"presence_penalty": 2}}, "presence_penalty"),
    ("frequency_penalty", {"frequency_penalty": 1.0}, {_PARAMETERS: {"frequency_penalty": 1.0}}, None),
    ("repetition_penalty", {"repetition_penalty": 0.5}, {_PARAMETERS: {"repetition_penalty": 1}}, "repetition_penalty"),
    ("logit_bias", {"logit_bias": {"1": 2.0}}, {}, "logit_bias was left out"),
    ("logprobs", {"logprobs": True}, None, None),
    ("top_logprobs", {"top_logprobs": 3}, None, None),
    (
        "tools",
        {"tools": (FUNCTION,)},
        {"functions": [{"name": "f", "description": "d", "parameters": {"type": "object"}}]},
        None,
    ),
    ("tools", {"tools": (Tool("web_search"),)}, None, None),
    ("tool_choice", {"tools": (FUNCTION,), "tool_choice": "none"}, {}, None),
    ("tool_choice", {"tools": (FUNCTION,), "tool_choice": "required"}, None, None),
    ("parallel_tool_calls", {"parallel_tool_calls": True}, {}, "parallel_tool_calls was left out"),
    ("response_format", {"response_format": ResponseFormat()}, {}, None),
    ("response_format", {"response_format": ResponseFormat("json_object")}, None, None),
    ("reasoning_effort", {"reasoning_effort": "low"}, {}, "reasoning_effort was left out"),
    ("user", {"user": "bob"}, {}, "user was left out"),
    ("extra", {"extra": {"min_new_tokens": 3}}, {_PARAMETERS: {"min_new_tokens": 3}}, None),
    ("extra", {"extra": {"plugins": ["browsing"]}}, {"plugins": ["browsing"]}, None),
]  # fmt: skip


@pytest.mark.parametrize(("knob", "params", "expected", "note"), KNOBS)
def test_what_each_parameter_becomes(
    knob: str, params: dict[str, Any], expected: dict[str, Any] | None, note: str | None
) -> None:
    """Each parameter reaches the wire, is adapted with a note, is left out with one, or is refused by name."""
    if expected is None:
        with pytest.raises(InvalidParameter) as caught:
            encode_v1(asked("x", **params))
        assert knob == caught.value.param
        return
    encoded = encode_v1(asked("x", **params))
    body = orjson.loads(encoded.body)
    assert expected == {k: v for k, v in body.items() if k not in ("model", "messages", "stream")}
    assert (note is None) == (not encoded.notes)
    assert note is None or encoded.notes[0].startswith(note)


def test_every_parameter_has_a_row() -> None:
    """The table above leaves no parameter out."""
    assert {row[0] for row in KNOBS} == set(ChatParams.__dataclass_fields__)


def test_version_2_has_tools_and_users() -> None:
    """Tools keep their newer form, and the user stands beside the parameters, without a note."""
    encoded = encode_v2(
        asked("x", "ep-1", tools=(FUNCTION,), user="bob", extra={"extra": {"a": "b"}})
    )
    body = orjson.loads(encoded.body)
    assert ("f", "bob", {"a": "b"}, ()) == (
        body["tools"][0]["function"]["name"],
        body["user"],
        body["extra"],
        encoded.notes,
    )


# Turns.


def test_turns_take_turns() -> None:
    """Texts of one speaker that follow each other are joined, with a note; system texts stay apart."""
    before = (
        Message("system", "s1"),
        Message("developer", "s2"),
        Message("user", "a"),
        Message("user", (TextPart("b"), TextPart("c"))),
        Message("assistant", "d"),
    )
    encoded = encode_v1(asked("e", before=before))
    assert [
        {"role": "system", "content": "s1"},
        {"role": "system", "content": "s2"},
        {"role": "user", "content": "a\nbc"},
        {"role": "assistant", "content": "d"},
        {"role": "user", "content": "e"},
    ] == orjson.loads(encoded.body)["messages"]
    assert 1 == len(encoded.notes)
    assert encoded.notes[0].startswith("1 messages were joined")


def test_calls_and_results_take_the_older_form() -> None:
    """In version 1 a call is a function call, and its result the message of a function by its name."""
    call = ToolCall("c1", "f", "{}")
    later = (
        Message("user", "q"),
        Message("assistant", tool_calls=(call,)),
        Message("tool", "r", tool_call_id="c1"),
    )
    request = ChatRequest(model="skylark-chat", messages=later)
    sent = body_of(request)["messages"]
    assert [
        {"role": "assistant", "content": "", "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "content": "r", "name": "f"},
    ] == sent[1:]
    newer = body_of(request, 2)["messages"]
    assert ("c1", "c1", "function") == (
        newer[1]["tool_calls"][0]["id"],
        newer[2]["tool_call_id"],
        newer[2]["role"],
    )
    twice = Message("assistant", tool_calls=(call, ToolCall("c2", "f", "{}")))
    with pytest.raises(InvalidParameter):
        encode_v1(asked("x", before=(twice,)))


def test_pictures_are_for_version_2() -> None:
    """Version 2 takes pictures by address or as data; version 1 takes text only, and neither takes files."""
    parts = (
        TextPart("t"),
        ImagePart("https://e/a", "low"),
        ImagePart("data:image/png;base64,AAAA"),
    )
    content = body_of(asked(parts, "ep-1"), 2)["messages"][0]["content"]
    assert [
        {"type": "text", "text": "t"},
        {"type": "image_url", "image_url": {"url": "https://e/a", "detail": "low"}},
        {"type": "image_url", "image_url": {"image_bytes": "AAAA"}},
    ] == content
    with pytest.raises(InvalidParameter):
        encode_v1(asked(parts))
    with pytest.raises(InvalidParameter):
        encode_v2(asked((FilePart(file_id="f"),), "ep-1"))


def test_what_belongs_to_a_message_goes_with_it() -> None:
    """Names and vendor-only fields of a message are sent."""
    message = Message("user", "x", name="bob", extra={"references": []})
    request = ChatRequest(model="skylark-chat", messages=(message,))
    assert {"role": "user", "content": "x", "name": "bob", "references": []} == body_of(request)[
        "messages"
    ][0]
