"""The dialect as settings describe it, and the codecs beside chat."""

from __future__ import annotations

import base64
import struct
from dataclasses import fields
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengchao_core.errors import (
    InvalidParameter,
    ProviderError,
    ProviderProtocolError,
    QuotaExhausted,
)
from fengchao_core.kit.openai_chat import build
from fengchao_core.types import (
    ChatParams,
    ChatRequest,
    EmbeddingRequest,
    ImageRequest,
    Message,
    ModelCard,
    ResponseFormat,
    Tool,
    VideoPart,
)
from fengchao_openai import catalogue, embeddings, images, wire
from fengchao_openai.settings import OpenAISettings

OPENAI = OpenAISettings()
ELSEWHERE = OpenAISettings(base_url="http://10.0.0.5:8000/v1")
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
SENT: dict[str, tuple[str, object] | None] = {
    "temperature": ("temperature", 0.5),
    "top_p": ("top_p", 0.9),
    "top_k": None,
    "max_tokens": ("max_completion_tokens", 100),
    "stop": ("stop", ["###"]),
    "n": ("n", 2),
    "seed": ("seed", 7),
    "do_sample": ("temperature", 0),
    "presence_penalty": ("presence_penalty", 0.1),
    "frequency_penalty": ("frequency_penalty", 0.2),
    "repetition_penalty": None,
    "logit_bias": ("logit_bias", {"1": 2.0}),
    "logprobs": ("logprobs", True),
    "top_logprobs": ("top_logprobs", 3),
    "tools": ("tools", [{"type": "function", "function": {"name": "f"}}]),
    "tool_choice": ("tool_choice", "auto"),
    "parallel_tool_calls": ("parallel_tool_calls", False),
    "response_format": ("response_format", {"type": "json_object"}),
    "reasoning_effort": ("reasoning_effort", "low"),
    "user": ("user", "u"),
}
"""Which knob reaches OpenAI's wire, under which name; None: left out, with a note."""


def body_of(settings: OpenAISettings, **params: Any) -> tuple[dict[str, Any], list[str]]:
    """A body with these parameters, and its notes."""
    request = ChatRequest(model="m", messages=(Message("user", "hi"),), params=ChatParams(**params))
    return build(request, wire.dialect_of(settings))


@pytest.mark.parametrize(
    "knob", [field.name for field in fields(ChatParams) if field.name != "extra"]
)
def test_which_knob_reaches_the_wire(knob: str) -> None:
    """Each knob is sent under its name there, or left out with a note that names it."""
    body, notes = body_of(OPENAI, **{knob: KNOBS[knob]})
    added = {key: value for key, value in body.items() if key not in ("model", "messages")}
    sent = SENT[knob]
    assert ({} if sent is None else dict([sent])) == added
    assert (sent is None or knob == "do_sample") == any(note.startswith(knob) for note in notes)


def test_extra_knobs_are_sent_where_the_settings_say_so() -> None:
    """An endpoint that takes more than OpenAI gets more, without a note."""
    settings = OpenAISettings(extra_knobs=frozenset({"top_k", "repetition_penalty", "do_sample"}))
    body, notes = body_of(settings, top_k=40, repetition_penalty=1.1, do_sample=False)
    assert (40, 1.1, False) == (body["top_k"], body["repetition_penalty"], body["do_sample"])
    assert [] == notes


def test_name_of_the_longest_answer() -> None:
    """`max_completion_tokens` at OpenAI and for models that reason, `max_tokens` elsewhere, or as the settings say."""
    reasons = ModelCard(id="m", owned_by="x", capabilities=frozenset({"reasoning"}))
    request = ChatRequest(
        model="m", messages=(Message("user", "hi"),), params=ChatParams(max_tokens=5), card=reasons
    )
    assert 5 == body_of(OPENAI, max_tokens=5)[0]["max_completion_tokens"]
    assert 5 == body_of(ELSEWHERE, max_tokens=5)[0]["max_tokens"]
    assert 5 == build(request, wire.dialect_of(ELSEWHERE))[0]["max_completion_tokens"]
    fixed = OpenAISettings(max_tokens_field="max_tokens")
    assert 5 == build(request, wire.dialect_of(fixed))[0]["max_tokens"]


def test_developer_messages_are_system_messages_elsewhere() -> None:
    """Only OpenAI itself knows the role; the settings may say otherwise."""
    request = ChatRequest(model="m", messages=(Message("developer", "d"),))

    def role(settings: OpenAISettings) -> str:
        sent: str = build(request, wire.dialect_of(settings))[0]["messages"][0]["role"]
        return sent

    assert "developer" == role(OPENAI)
    assert "system" == role(ELSEWHERE)
    assert "developer" == role(ELSEWHERE.model_copy(update={"developer_role": "developer"}))


def test_films_are_refused_at_openai_and_sent_elsewhere() -> None:
    """OpenAI takes no films; endpoints like it often do."""
    request = ChatRequest(model="m", messages=(Message("user", (VideoPart("https://x/v.mp4"),)),))
    with pytest.raises(InvalidParameter, match="no video"):
        build(request, wire.dialect_of(OPENAI))
    part = build(request, wire.dialect_of(ELSEWHERE))[0]["messages"][0]["content"][0]
    assert {"type": "video_url", "video_url": {"url": "https://x/v.mp4"}} == part


def test_reasoning_goes_back_only_where_the_settings_say_so() -> None:
    """The thinking of earlier turns is left out unless the endpoint wants it."""
    request = ChatRequest(model="m", messages=(Message("assistant", "a", reasoning="because"),))
    back = OpenAISettings(reasoning_back="reasoning_content")
    assert "reasoning_content" not in build(request, wire.dialect_of(OPENAI))[0]["messages"][0]
    assert "because" == build(request, wire.dialect_of(back))[0]["messages"][0]["reasoning_content"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.openai.com/v1", True),
        ("https://eu.api.openai.com/v1", True),
        ("https://openai.com.example.net/v1", False),
        ("http://127.0.0.1:8000/v1", False),
    ],
)
def test_who_is_openai(url: str, expected: bool) -> None:
    """Only hosts of openai.com are OpenAI itself."""
    assert expected is OpenAISettings(base_url=url).is_openai


@given(
    st.lists(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=8), min_size=1, max_size=5),
    st.randoms(),
)
def test_vectors_are_the_same_in_either_encoding_and_any_order(
    vectors: list[list[float]], random: Any
) -> None:
    """Base64 and lists give the same vectors, in the order of the inputs, however the answer is ordered."""
    rows = list(enumerate(vectors))
    random.shuffle(rows)

    def read(write: Any) -> Any:
        data = [{"index": index, "embedding": write(vector)} for index, vector in rows]
        body = orjson.dumps({"data": data, "usage": {"prompt_tokens": 1, "total_tokens": 1}})
        return embeddings.decode_embeddings(body, len(vectors), wire.classify).vectors

    def packed(vector: list[float]) -> str:
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()

    assert vectors == [list(vector) for vector in read(list)]
    assert vectors == [list(vector) for vector in read(packed)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"data": []}',
        b'{"data": [{"embedding": []}]}',
        b'{"data": [{"embedding": "&&"}]}',
        b'{"data": [{"embedding": "AAA="}]}',
        b'{"data": [{"embedding": ""}]}',
        b'{"data": [{"embedding": [1], "index": 1}]}',
        b'{"data": [{"embedding": [1]}, {"embedding": [1], "index": 0}]}',
        b'{"data": [{"embedding": [1]}], "usage": {"prompt_tokens": -1}}',
    ],
)
def test_nonsense_vectors_are_protocol_errors(body: bytes) -> None:
    """Whatever does not hold one vector for one input is refused."""
    with pytest.raises(ProviderProtocolError):
        embeddings.decode_embeddings(body, 1, wire.classify)


def test_an_error_under_http_200_is_classified() -> None:
    """An error object in place of vectors, pictures or a list becomes its class."""
    body = b'{"error": {"message": "m", "type": "insufficient_quota", "code": null}}'
    for read in (
        lambda: embeddings.decode_embeddings(body, 1, wire.classify),
        lambda: images.decode_images(body, wire.classify),
        lambda: catalogue.decode_models(body, wire.classify),
    ):
        with pytest.raises(QuotaExhausted):
            read()


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["data", "id", "error", "usage", "embedding", "index", "url", "created"]
                ),
                inner,
                max_size=4,
            )
        ),
    )
)
def test_any_json_is_read_or_refused(value: object) -> None:
    """Whatever JSON comes, nothing but a provider error is raised."""
    body = orjson.dumps(value)
    for read in (
        lambda: embeddings.decode_embeddings(body, 1, wire.classify),
        lambda: images.decode_images(body, wire.classify),
        lambda: catalogue.decode_models(body, wire.classify),
        lambda: catalogue.decode_file(body, wire.classify),
    ):
        try:
            read()
        except ProviderError:
            continue


def test_embedding_bodies() -> None:
    """One text goes alone, several as a list; `extra` is passed on and replaces nothing of ours."""
    request = EmbeddingRequest(
        model="m",
        inputs=("a", "b"),
        dimensions=8,
        user="u",
        extra={"truncate": True, "model": "other"},
    )
    assert {
        "model": "m",
        "input": ["a", "b"],
        "encoding_format": "float",
        "dimensions": 8,
        "user": "u",
        "truncate": True,
    } == orjson.loads(embeddings.encode_embeddings(request, "float"))


def test_image_bodies() -> None:
    """The gpt-image models get no response format, since they know only one; what they cannot do is refused."""
    new = ImageRequest(
        model="gpt-image-1.5",
        prompt="狐狸",
        response_format="b64_json",
        extra={"background": "opaque"},
    )
    old = ImageRequest(
        model="dall-e-3", prompt="狐狸", response_format="url", style="vivid", negative_prompt="狗"
    )
    assert {"model": "gpt-image-1.5", "prompt": "狐狸", "background": "opaque"} == orjson.loads(
        images.encode_image(new)
    )
    with pytest.raises(InvalidParameter, match="negative_prompt"):
        images.encode_image(old)
    assert {
        "model": "dall-e-3",
        "prompt": "狐狸",
        "response_format": "url",
        "style": "vivid",
        "negative_prompt": "狗",
    } == orjson.loads(images.encode_image(old, frozenset({"negative_prompt"})))
    with pytest.raises(InvalidParameter, match="base64"):
        images.encode_image(ImageRequest(model="gpt-image-2", prompt="x", response_format="url"))


def test_settings_hide_their_secrets() -> None:
    """Neither key nor header shows in a repr or a dump."""
    settings = OpenAISettings(api_key="sk-very-secret", headers={"api-key": "also-secret"})
    shown = repr(settings) + str(settings.model_dump()) + settings.model_dump_json()
    assert "secret" not in shown.replace("api_key=SecretStr", "").replace("SecretStr", "")
