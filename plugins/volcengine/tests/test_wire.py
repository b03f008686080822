"""Ark's wire: requests as the vendor's SDK sends them, answers as it gives them, and what each parameter becomes."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import assume, given

from fengchao_core.errors import InvalidParameter, ProviderError, ProviderProtocolError
from fengchao_core.fold import Fold
from fengchao_core.kit.openai_chat import Decoder, build
from fengchao_core.kit.sse import SseParser
from fengchao_core.testing import strategies
from fengchao_core.types import (
    AudioPart,
    ChatParams,
    ChatRequest,
    EmbeddingRequest,
    FilePart,
    ImagePart,
    ImageRequest,
    Message,
    ModelCard,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCall,
    Usage,
    VideoPart,
)
from fengchao_volcengine import SPEC, embeddings, images, storage, wire
from fengchao_volcengine.codes import classify

MODEL = "doubao-seed-1-6-250615"
CARDS = {card.id: card for card in SPEC.cards()}
USAGE = Usage(prompt_tokens=9, completion_tokens=6)
WEATHER = Tool(
    name="get_weather",
    description="Weather of a city",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
)


def asked(text: str | tuple[Any, ...], model: str = MODEL, **more: Any) -> ChatRequest:
    """A request of one user message; parameters by their names."""
    stream, card = more.pop("stream", False), more.pop("card", None)
    return ChatRequest(
        model=model,
        messages=(Message("user", text),),
        stream=stream,
        card=card,
        params=ChatParams(**more),
    )


def sent(request: ChatRequest) -> dict[str, Any]:
    """The body of a request."""
    return build(request, wire.dialect_for(request.model))[0]


def plain(body: dict[str, Any]) -> dict[str, Any]:
    """A recorded body without the nulls that the SDK sends for every field that is not set."""
    return {name: value for name, value in body.items() if value is not None}


CASES = {
    "ark_chat": asked("你好"),
    "ark_stream": asked("你好", "ep-20240101-abcde", stream=True),
    "ark_thinking": asked("1+1", extra={"thinking": {"type": "enabled"}}),
    "ark_tools": asked("天气", tools=(WEATHER,)),
}


@pytest.mark.parametrize("name", CASES)
def test_chats_are_the_sdks(vectors: dict[str, Any], name: str) -> None:
    """What goes out is what the vendor's SDK sends for the same call, to the same path."""
    recorded = vectors[name]["request"]
    assert plain(recorded["body"]) == sent(CASES[name])
    assert recorded["path"] == "/api/v3" + wire.path_for(CASES[name])


def test_other_requests_are_the_sdks(vectors: dict[str, Any]) -> None:
    """Vectors, pictures and tokens are asked for as the vendor's SDK does."""
    texts = EmbeddingRequest(model="doubao-embedding-text-240715", inputs=("你好",))
    picture = ImageRequest(
        model="doubao-seedream-4-0-250828",
        prompt="红点",
        size="1024x1024",
        response_format="url",
    )
    for name, path, body in (
        ("ark_embeddings", embeddings.PATH, embeddings.encode(texts)),
        ("ark_images", images.PATH, images.encode(picture)),
        ("ark_tokenization", storage.TOKENIZATION, storage.encode_tokenization(MODEL, ["你好"])),
    ):
        recorded = vectors[name]["request"]
        assert plain(recorded["body"]) == orjson.loads(body)
        assert recorded["path"] == "/api/v3" + path


def test_every_vector_of_ark_is_covered(vectors: dict[str, Any]) -> None:
    """No recorded exchange of Ark is left out."""
    others = {"ark_embeddings", "ark_images", "ark_tokenization"}
    assert {name for name in vectors if name.startswith("ark_")} == {*CASES, *others}


# Answers.


def whole(vectors: dict[str, Any], name: str) -> tuple[Any, Usage | None]:
    """The one choice and the usage of a recorded answer."""
    body = orjson.dumps(vectors[name]["response"]["body"])
    deltas = Decoder(wire.dialect_for(MODEL), classify=classify).whole(body)
    fold = Fold()
    fold.feed(deltas)
    (choice,) = fold.choices()
    return choice, deltas[-1].usage


def test_whole_answers_are_read(vectors: dict[str, Any]) -> None:
    """Text, thinking, calls and usage of the recorded answers are understood."""
    choice, usage = whole(vectors, "ark_chat")
    assert ("你好，mock reply 🙂", "stop", USAGE) == (
        choice.message.text,
        choice.finish_reason,
        usage,
    )
    thought, _ = whole(vectors, "ark_thinking")
    assert "think…" == thought.message.reasoning
    called, _ = whole(vectors, "ark_tools")
    assert "tool_calls" == called.finish_reason
    expected = [ToolCall(f"call_{n}", "get_weather", '{"city": "text"}') for n in (0, 1)]
    assert expected == list(called.message.tool_calls)


def test_a_stream_is_read(vectors: dict[str, Any]) -> None:
    """The recorded stream gives the text piece by piece, and the usage of its last event."""
    parser, decoder = SseParser(), Decoder(wire.dialect_for("ep-1"), classify=classify)
    deltas = decoder.decode(parser.feed(vectors["ark_stream"]["response"]["stream"].encode()))
    assert ["你好，m", "ock ", "repl", "y 🙂"] == [delta.text for delta in deltas if delta.text]
    assert ("stop", USAGE) == (deltas[-1].finish_reason, deltas[-1].usage)


def test_other_answers_are_read(vectors: dict[str, Any]) -> None:
    """Vectors, pictures and counts of the recorded answers are understood."""
    body = {
        name: orjson.dumps(case["response"]["body"])
        for name, case in vectors.items()
        if "response" in case and "body" in case["response"]
    }
    result = embeddings.decode(body["ark_embeddings"], 1, classify)
    assert (([0.1, 0.2, 0.3, 0.4],), Usage(5)) == (result.vectors, result.usage)
    drawn = images.decode(body["ark_images"], classify)
    assert ("aGk=", 1700000000, Usage(1, 2)) == (
        drawn.images[0].b64_json,
        drawn.created,
        drawn.usage,
    )
    assert 2 == storage.decode_tokenization(body["ark_tokenization"], classify)


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}", b'{"data": 1}', b'{"data": []}'])
def test_nonsense_is_a_protocol_error(body: bytes) -> None:
    """Answers that do not follow the vendor's protocol are told as that."""
    for decode in (
        lambda: embeddings.decode(body, 1, classify),
        lambda: embeddings.decode_single(body, classify),
        lambda: images.decode(body, classify),
        lambda: storage.decode_file(body, classify),
        lambda: storage.decode_task(body, classify),
        lambda: storage.decode_context(body, classify),
    ):
        with pytest.raises(ProviderProtocolError):
            decode()


def test_misnumbered_vectors_are_a_protocol_error() -> None:
    """Two vectors of one number, or one too few, are never given out."""
    twice = {"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [2]}]}
    for count in (2, 3):
        with pytest.raises(ProviderProtocolError):
            embeddings.decode(orjson.dumps(twice), count, classify)
    swapped = {"data": [{"index": 1, "embedding": [1]}, {"index": 0, "embedding": [0]}]}
    assert ([0.0], [1.0]) == embeddings.decode(orjson.dumps(swapped), 2, classify).vectors


def test_a_series_loses_only_the_pictures_that_failed() -> None:
    """A picture that could not be drawn is left out of a series; where none could, that is the error."""
    failed = {"error": {"code": "OutputImageSensitiveContentDetected", "message": "m"}}
    some = {"data": [failed, {"url": "https://example.com/1.png"}]}
    assert 1 == len(images.decode(orjson.dumps(some), classify).images)
    with pytest.raises(ProviderError) as caught:
        images.decode(orjson.dumps({"data": [failed]}), classify)
    assert "OutputImageSensitiveContentDetected" == caught.value.vendor_code
    with pytest.raises(ProviderProtocolError):
        images.decode(orjson.dumps({"data": [{}]}), classify)


# What each parameter becomes: every knob of `ChatParams` has a row.

SCHEMA = ResponseFormat("json_schema", name="a", schema={"type": "object"}, strict=True)
KNOBS: list[tuple[str, dict[str, Any], dict[str, Any] | None, str | None]] = [
    # knob, what is asked, what is sent (None: refused), the beginning of the note
    ("temperature", {"temperature": 0.0}, {"temperature": 0.0}, None),
    ("temperature", {"temperature": 2.5}, {"temperature": 2}, "temperature 2.5 is outside 0 to 2"),
    ("top_p", {"top_p": 0.5}, {"top_p": 0.5}, None),
    ("top_p", {"top_p": 1.5}, {"top_p": 1}, "top_p 1.5 is outside"),
    ("top_k", {"top_k": 5}, {}, "top_k was left out"),
    ("max_tokens", {"max_tokens": 9}, {"max_tokens": 9}, None),
    ("stop", {"stop": ("a", "b")}, {"stop": ["a", "b"]}, None),
    ("stop", {"stop": tuple("abcde")}, {"stop": list("abcd")}, "only the first 4 of 5 stop"),
    ("n", {"n": 2}, {"n": 2}, None),
    ("seed", {"seed": 7}, {}, "seed was left out"),
    ("do_sample", {"do_sample": True}, {}, None),
    ("do_sample", {"do_sample": False}, {"temperature": 0}, "do_sample=false was sent as temperature"),
    ("presence_penalty", {"presence_penalty": 3.0}, {"presence_penalty": 2}, "presence_penalty 3.0"),
    ("frequency_penalty", {"frequency_penalty": -1.0}, {"frequency_penalty": -1.0}, None),
    ("repetition_penalty", {"repetition_penalty": 1.1}, {"repetition_penalty": 1.1}, None),
    ("logit_bias", {"logit_bias": {"1": 2.0}}, {"logit_bias": {"1": 2.0}}, None),
    ("logprobs", {"logprobs": True}, {"logprobs": True}, None),
    ("top_logprobs", {"top_logprobs": 30}, {"top_logprobs": 20}, "top_logprobs 30 is outside"),
    ("tools", {"tools": (Tool(name="f"),)}, {"tools": [{"type": "function", "function": {"name": "f"}}]}, None),
    ("tool_choice", {"tool_choice": "required"}, {"tool_choice": "required"}, None),
    ("parallel_tool_calls", {"parallel_tool_calls": False}, {"parallel_tool_calls": False}, None),
    ("response_format", {"response_format": ResponseFormat("json_object")}, {"response_format": {"type": "json_object"}}, None),
    (
        "response_format",
        {"response_format": SCHEMA},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "a", "schema": {"type": "object"}, "strict": True},
            }
        },
        None,
    ),
    ("reasoning_effort", {"reasoning_effort": "low"}, {"reasoning_effort": "low"}, None),
    ("reasoning_effort", {"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}, "reasoning_effort 'none'"),
    ("reasoning_effort", {"reasoning_effort": "xhigh"}, {"reasoning_effort": "high"}, "reasoning_effort 'xhigh'"),
    ("user", {"user": "bob"}, {"user": "bob"}, None),
    ("extra", {"extra": {"thinking": {"type": "auto"}}}, {"thinking": {"type": "auto"}}, None),
]  # fmt: skip


@pytest.mark.parametrize(("_knob", "params", "expected", "note"), KNOBS)
def test_what_each_parameter_becomes(
    _knob: str, params: dict[str, Any], expected: dict[str, Any], note: str | None
) -> None:
    """Each parameter reaches the wire, is adapted with a note, or is left out with one."""
    body, notes = build(asked("x", **params), wire.dialect_for(MODEL))
    assert expected == {k: v for k, v in body.items() if k not in ("model", "messages")}
    assert (note is None) == (not notes)
    assert note is None or notes[0].startswith(note)


def test_every_parameter_has_a_row() -> None:
    """The table above leaves no parameter out."""
    assert {row[0] for row in KNOBS} == set(ChatParams.__dataclass_fields__)


def test_models_that_do_not_think_are_asked_for_no_effort() -> None:
    """How hard to think is left out, with a note, where the card says that the model does not."""
    card: ModelCard = CARDS["doubao-1.5-pro-32k"]
    request = asked("x", card.upstream_id, card=card, reasoning_effort="high")
    body, notes = build(request, wire.dialect_for(card.upstream_id))
    assert "reasoning_effort" not in body
    assert ["reasoning_effort was left out: this model does not think"] == notes


@given(strategies.chat_requests())
def test_usual_requests_need_no_note(request: ChatRequest) -> None:
    """A request within the usual ranges goes out as it was asked."""
    assume(
        request.params.do_sample is not False
    )  # the vendor has no such switch: it becomes temperature 0, noted
    body, notes = build(request, wire.dialect_for(request.model))
    assert [] == notes
    assert request.params.temperature == body.get("temperature")


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (TextPart("t"), {"type": "text", "text": "t"}),
        (ImagePart("https://e/a"), {"type": "image_url", "image_url": {"url": "https://e/a"}}),
        (
            ImagePart("https://e/a", "original"),
            {"type": "image_url", "image_url": {"url": "https://e/a", "detail": "high"}},
        ),
        (VideoPart("https://e/a"), {"type": "video_url", "video_url": {"url": "https://e/a"}}),
        (
            AudioPart("AAAA", "wav"),
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        ),
    ],
)
def test_parts_reach_the_wire(part: Any, expected: object) -> None:
    """Texts, pictures, films and sounds are sent as the vendor's types have them."""
    assert [expected] == sent(asked((part,)))["messages"][0]["content"]


def test_files_in_messages_are_refused() -> None:
    """The vendor takes no files in chats."""
    with pytest.raises(InvalidParameter):
        sent(asked((FilePart(file_id="f"),)))


def test_developers_speak_as_the_system() -> None:
    """The role `developer` is sent as `system`, which is the vendor's word."""
    request = ChatRequest(model=MODEL, messages=(Message("developer", "b"), Message("user", "x")))
    assert "system" == sent(request)["messages"][0]["role"]


@pytest.mark.parametrize(
    ("model", "extra", "path"),
    [
        (MODEL, {}, "/chat/completions"),
        ("ep-1", {}, "/chat/completions"),
        ("bot-1", {}, "/bots/chat/completions"),
        ("ep-1", {"context_id": "ctx-1"}, "/context/chat/completions"),
    ],
)
def test_paths(model: str, extra: dict[str, object], path: str) -> None:
    """Bots and kept conversations have paths of their own."""
    assert path == wire.path_for(asked("x", model, extra=extra))


@pytest.mark.parametrize(
    ("name", "value"), [("quality", "hd"), ("style", "vivid"), ("negative_prompt", "x"), ("n", 2)]
)
def test_what_pictures_lack_is_refused(name: str, value: object) -> None:
    """What the vendor has no field for is refused by name, not lost in silence."""
    with pytest.raises(InvalidParameter) as caught:
        images.encode(ImageRequest(model="m", prompt="p", **{name: value}))  # type: ignore[arg-type]  # any of them
    assert name == caught.value.param


def test_vector_requests_carry_everything() -> None:
    """Length, user and vendor-only parameters of a request for vectors are sent."""
    request = EmbeddingRequest(
        model="m", inputs=("a", "b"), dimensions=1024, user="u", extra={"x": 1}
    )
    assert {
        "model": "m",
        "input": ["a", "b"],
        "encoding_format": "float",
        "dimensions": 1024,
        "user": "u",
        "x": 1,
    } == orjson.loads(embeddings.encode(request))
    with pytest.raises(InvalidParameter):
        embeddings.encode_parts("m", [AudioPart("AA", "wav")], dimensions=None, extra={})
