"""The wire of both generations: which parameter becomes what, and how answers are read."""

from __future__ import annotations

import base64
import contextlib
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengchao_core.errors import (
    InvalidParameter,
    ProviderAuthFailed,
    ProviderError,
    ProviderProtocolError,
    ProviderUnavailable,
    RateLimited,
)
from fengchao_core.fold import Fold
from fengchao_core.kit.openai_chat import build
from fengchao_core.types import (
    AudioPart,
    ChatParams,
    ChatRequest,
    Choice,
    Delta,
    EmbeddingRequest,
    ImagePart,
    ImageRequest,
    Message,
    ModelCard,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCall,
    Usage,
)
from fengchao_qianfan import SPEC, embeddings, images, tools, v1_wire, v2_wire
from fengchao_qianfan.codes import classify, classify_oauth
from fengchao_qianfan.endpoints import Access, Endpoint, published, route
from fengchao_qianfan.v1_replies import Decoder

ONLY_V1, ONLY_V2 = Access(v1=True, v2=False), Access(v1=False, v2=True)
BOTH = Access(v1=True, v2=True)
F, G = Tool(name="f", description="F"), Tool(name="g", parameters={"type": "object"})
BARE = {"type": "object", "properties": {}}
WIRE_F = {"name": "f", "description": "F", "parameters": BARE}
WIRE_G = {"name": "g", "description": "g", "parameters": {"type": "object"}}
NAMED_F = {"type": "function", "function": {"name": "f"}}


def ask(
    *content: Any, model: str = "ERNIE-Bot-4", stream: bool = False, **params: Any
) -> ChatRequest:
    """A request of one user message, or of the messages given."""
    messages = tuple(
        each if isinstance(each, Message) else Message("user", each) for each in content
    )
    return ChatRequest(
        model=model,
        messages=messages or (Message("user", "你好"),),
        stream=stream,
        params=ChatParams(**params),
    )


def sent(request: ChatRequest) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What V1 is sent, without the messages, and the notes."""
    place = route(request.model, ONLY_V1)
    assert isinstance(place, Endpoint)
    body, notes = v1_wire.encode(request, place)
    tree = orjson.loads(body)
    assert [{"role": "user", "content": "你好"}] == tree.pop("messages")
    return tree, notes


# Which parameter becomes what: V1's flagships, its swift models, models of other makers, and V2.

REFUSED = object()


@dataclass(frozen=True)
class Adapted:
    """What is sent with a note, because it is not what was given; nothing at all where it was dropped."""

    body: dict[str, Any] = field(default_factory=dict)


DROPPED = Adapted()

KNOBS: list[tuple[dict[str, Any], Any, Any, Any, Any]] = [
    # parameter, ERNIE-Bot-4, ERNIE-Speed-8K, Llama-2-7b-chat, V2 (each: what is sent, dropped with a note, or refused)
    ({"temperature": 0.5}, *[{"temperature": 0.5}] * 4),
    ({"temperature": 0}, *[Adapted({"temperature": 0.01})] * 4),
    ({"temperature": 1.7}, *[Adapted({"temperature": 1})] * 4),
    ({"top_p": 0.3}, *[{"top_p": 0.3}] * 4),
    ({"top_p": 1.3}, *[Adapted({"top_p": 1})] * 4),
    ({"top_k": 7}, DROPPED, DROPPED, {"top_k": 7}, DROPPED),
    (
        {"max_tokens": 99},
        {"max_output_tokens": 99},
        {"max_output_tokens": 99},
        DROPPED,
        {"max_completion_tokens": 99},
    ),
    ({"max_tokens": 1}, *[Adapted({"max_output_tokens": 2})] * 2, DROPPED, Adapted({"max_completion_tokens": 2})),
    ({"stop": ("a", "b")}, *[{"stop": ["a", "b"]}] * 4),
    ({"n": 1}, *[{}] * 4),
    ({"n": 2}, *[REFUSED] * 4),
    ({"seed": 7}, DROPPED, DROPPED, DROPPED, {"seed": 7}),
    ({"do_sample": True}, *[{}] * 4),
    ({"do_sample": False}, *[Adapted({"temperature": 0.01})] * 4),
    ({"presence_penalty": 0.5}, DROPPED, {"presence_penalty": 0.5}, DROPPED, {"presence_penalty": 0.5}),
    ({"frequency_penalty": 0.5}, DROPPED, {"frequency_penalty": 0.5}, DROPPED, {"frequency_penalty": 0.5}),
    ({"repetition_penalty": 1.2}, *[{"penalty_score": 1.2}] * 4),
    ({"repetition_penalty": 0.5}, *[Adapted({"penalty_score": 1})] * 4),
    ({"logit_bias": {"1": 2.0}}, *[DROPPED] * 4),
    ({"logprobs": True}, *[REFUSED] * 4),
    ({"top_logprobs": 2}, *[REFUSED] * 4),
    (
        {"tools": (F, G)},
        {"functions": [WIRE_F, WIRE_G]},
        REFUSED,
        REFUSED,
        {
            "tools": [
                {"type": "function", "function": {"name": "f", "description": "F"}},
                {"type": "function", "function": {"name": "g", "parameters": {"type": "object"}}},
            ]
        },
    ),
    (
        {"tools": (F,), "tool_choice": NAMED_F},
        {"functions": [WIRE_F], "tool_choice": NAMED_F},
        REFUSED,
        REFUSED,
        {
            "tools": [{"type": "function", "function": {"name": "f", "description": "F"}}],
            "tool_choice": NAMED_F,
        },
    ),
    ({"parallel_tool_calls": True}, DROPPED, DROPPED, DROPPED, {"parallel_tool_calls": True}),
    (
        {"response_format": ResponseFormat("json_object")},
        {"response_format": "json_object"},
        REFUSED,
        REFUSED,
        {"response_format": {"type": "json_object"}},
    ),
    (
        {"response_format": ResponseFormat("json_schema", name="a", schema={"type": "object"})},
        REFUSED,
        REFUSED,
        REFUSED,
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "a", "schema": {"type": "object"}},
            }
        },
    ),
    ({"reasoning_effort": "high"}, *[DROPPED] * 4),
    ({"user": "u-1"}, *[{"user_id": "u-1"}] * 3, {"user": "u-1"}),
    ({"extra": {"disable_search": True}}, *[{"disable_search": True}] * 4),
]  # fmt: skip


@pytest.mark.parametrize(
    "row", KNOBS, ids=lambda row: " ".join(f"{k}={v}" for k, v in row[0].items())
)
def test_each_parameter_is_sent_adapted_dropped_or_refused(row: tuple[Any, ...]) -> None:
    """Every parameter of a chat reaches the wire, is adapted or dropped with a note, or is refused, for each family."""
    params, *expected = row
    for model, wanted in zip(
        ("ERNIE-Bot-4", "ERNIE-Speed-8K", "Llama-2-7b-chat"), expected[:3], strict=True
    ):
        _check(wanted, lambda model=model: sent(ask(model=model, **params)))

    def second() -> tuple[dict[str, Any], tuple[str, ...]]:
        body, notes = build(ask(model="ernie-4.5-turbo-128k", **params), v2_wire.DIALECT)
        del body["model"], body["messages"]
        return orjson.loads(orjson.dumps(body)), tuple(notes)

    _check(expected[3], second)


def _check(wanted: Any, make: Any) -> None:
    if wanted is REFUSED:
        with pytest.raises(InvalidParameter):
            make()
        return
    body, notes = make()
    adapted = isinstance(wanted, Adapted)
    assert (wanted.body if adapted else wanted) == body
    assert adapted == bool(notes)


def test_every_parameter_is_in_the_table() -> None:
    """No parameter of a chat is left out of the table above."""
    assert set(ChatParams.__slots__) == {name for row in KNOBS for name in row[0]}


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"tools": (F,), "tool_choice": "auto"}, {"functions": [WIRE_F]}),
        ({"tools": (F,), "tool_choice": "none"}, {}),
        (
            {"tools": (F,), "tool_choice": "required"},
            {"functions": [WIRE_F], "tool_choice": NAMED_F},
        ),
        ({"tools": (F, G), "tool_choice": "required"}, None),
        ({"tools": (Tool("web_search"),)}, None),
    ],
)
def test_functions_are_chosen_as_v1_can(params: dict[str, Any], expected: Any) -> None:
    """V1 knows a named function and nothing else; what can be said so is, and the rest is refused."""
    if expected is None:
        with pytest.raises(InvalidParameter):
            sent(ask(**params))
    else:
        assert expected == sent(ask(**params))[0]


def test_limits_are_kept_with_a_note() -> None:
    """Stop texts and the longest answer are cut to what the vendor takes, and the caller is told."""
    long = "一" * 21
    body, notes = sent(ask(stop=("a", long, "b", "c", "d")))
    assert ["a", "b", "c"] == body["stop"]
    assert 2 == len(notes)
    assert "stop" not in sent(ask(stop=(long,)))[0]
    card = ModelCard(id="ERNIE-Bot-4", owned_by="Baidu", max_output_tokens=2048)
    request = ask(max_tokens=9000)
    request = ChatRequest(
        model=request.model, messages=request.messages, params=request.params, card=card
    )
    body, notes = sent(request)
    assert 2048 == body["max_output_tokens"]
    assert "9000" in notes[0]


def test_system_texts_go_where_the_model_takes_them() -> None:
    """ERNIE has a field for the system text; models of other makers get it before the first message, with a note."""
    messages = (Message("system", "你是助手"), Message("user", "你好"))
    body, notes = v1_wire.encode(ask(*messages), _place("ERNIE-Bot-4"))
    assert ("你是助手", ()) == (orjson.loads(body)["system"], notes)
    body, notes = v1_wire.encode(ask(*messages), _place("BLOOMZ-7B"))
    assert [{"role": "user", "content": "你是助手\n\n你好"}] == orjson.loads(body)["messages"]
    assert 1 == len(notes)


def test_messages_of_functions_are_written_as_v1_wants() -> None:
    """Parallel calls go one after the other, results by the name of their function and as JSON."""
    messages = (
        Message("user", "天气"),
        Message(
            "assistant",
            "我看看",
            tool_calls=(ToolCall("1", "f", '{"a":1}'), ToolCall("2", "g", "{}")),
        ),
        Message("tool", "晴", tool_call_id="2"),
        Message("tool", '{"t": 21}', tool_call_id="1"),
        Message("user", "谢谢"),
    )
    body, notes = v1_wire.encode(ask(*messages), _place("ERNIE-Bot-4"))
    assert [
        {"role": "user", "content": "天气"},
        {
            "role": "assistant",
            "content": "我看看",
            "function_call": {"name": "f", "arguments": '{"a":1}'},
        },
        {"role": "function", "name": "f", "content": '{"t": 21}'},
        {"role": "assistant", "content": "", "function_call": {"name": "g", "arguments": "{}"}},
        {"role": "function", "name": "g", "content": '{"result":"晴"}'},
        {"role": "assistant", "content": "好的"},
        {"role": "user", "content": "谢谢"},
    ] == orjson.loads(body)["messages"]
    assert 2 == len(notes)


def test_other_shapes_of_questions() -> None:
    """Plugins, completions and questions about a picture have their own bodies."""
    plugins = {"plugins": ["eChart"]}
    body = orjson.loads(v1_wire.encode(ask("图", extra=plugins), _place("EBPluginV2")).body)
    assert {"messages": [{"role": "user", "content": "图"}], **plugins} == body
    with pytest.raises(InvalidParameter, match="plugins"):
        v1_wire.encode(ask("图"), _place("EBPluginV2"))
    own = published("plugin/my_plugin")
    assert own.path.endswith("/wenxinworkshop/plugin/my_plugin/")
    assert {"query": "图", **plugins} == orjson.loads(
        v1_wire.encode(ask("图", extra=plugins), own).body
    )
    lead = Message("system", "简短")
    body, notes = v1_wire.encode(ask(lead, Message("user", "写")), _place("CodeLlama-7b-Instruct"))
    assert ({"prompt": "简短\n\n写"}, 1) == (orjson.loads(body), len(notes))
    with pytest.raises(InvalidParameter, match="no history"):
        several = (Message("user", "a"), Message("assistant", "b"), Message("user", "c"))
        v1_wire.encode(ask(*several), _place("CodeLlama-7b-Instruct"))


def test_pictures_go_to_those_who_see() -> None:
    """A picture travels as bare base64 to a model that sees; other models and other kinds of content are refused."""
    picture = ImagePart("data:image/png;base64,aW1n")
    asked = ask((TextPart("这是什么"), picture))
    body = orjson.loads(v1_wire.encode(asked, _place("Fuyu-8B")).body)
    assert {"prompt": "这是什么", "image": "aW1n"} == body
    for model, content in (
        ("ERNIE-Bot-4", (TextPart("x"), picture)),
        ("ERNIE-Bot-4", (AudioPart("aGk=", "wav"),)),
        ("Fuyu-8B", (TextPart("x"),)),
        ("Fuyu-8B", (TextPart("x"), ImagePart("https://example.com/a.png"))),
        ("Fuyu-8B", (picture,)),
    ):
        with pytest.raises(InvalidParameter):
            v1_wire.encode(ask(content), _place(model))


def test_v2_mends_and_marks() -> None:
    """V2 keeps the system text among the messages, joins neighbours, and looks for results of a search it asked for."""
    request = ask(
        Message("user", "a"),
        Message("user", "b"),
        Message("developer", "S"),
        extra={"web_search": {"enable": True}},
    )
    arranged, notes = v2_wire.arranged(request)
    assert [("system", "S"), ("user", "a\nb")] == [(m.role, m.content) for m in arranged.messages]
    assert 2 == len(notes)
    assert ("search_results",) == v2_wire.dialect_for(request).keep
    assert () == v2_wire.dialect_for(ask("a")).keep


# Where a model is served.


@pytest.mark.parametrize(
    ("model", "access", "expected"),
    [
        ("ERNIE-Bot-4", BOTH, "chat/completions_pro"),
        ("ERNIE-Bot-4", Access(v1=True, v2=True, prefer="v2"), "ernie-4.0-8k"),
        ("ERNIE-Bot-4", ONLY_V2, "ernie-4.0-8k"),
        ("ernie-4.0-8k", ONLY_V1, "chat/completions_pro"),
        ("ernie-char-8k", ONLY_V1, "chat/ernie-char-8k"),
        ("ERNIE-Bot-8k", BOTH, "chat/ernie_bot_8k"),
        ("BLOOMZ-7B", Access(v1=True, v2=True, prefer="v2"), "chat/bloomz_7b1"),
        ("BLOOMZ-7B", ONLY_V2, None),
        ("ernie-x1.1", BOTH, "ernie-x1.1"),
        ("ernie-x1.1", ONLY_V1, None),
        ("my_endpoint", ONLY_V1, "chat/my_endpoint"),
        ("my-model", BOTH, "my-model"),
        ("chat/my_endpoint", BOTH, "chat/my_endpoint"),
        ("chat/my_endpoint", ONLY_V2, None),
        ("chat/a b?c", BOTH, "chat/a%20b%3Fc"),
    ],
)
def test_models_are_served_where_the_credentials_lead(
    model: str, access: Access, expected: str | None
) -> None:
    """A model is asked for in the generation that has it and that the credentials open; elsewhere an operator is told."""
    if expected is None:
        with pytest.raises(ProviderAuthFailed, match="credentials"):
            route(model, access)
        return
    place = route(model, access)
    assert expected == (
        place.path.partition("wenxinworkshop/")[2] if isinstance(place, Endpoint) else place
    )


def test_every_card_has_a_place() -> None:
    """Each model that is shown can be asked for, and the product's eleven are among them, in V1."""
    ids = [card.id for card in SPEC.cards()]
    product = (
        *("ERNIE-Bot-4", "ERNIE-Bot-8k", "ERNIE-Bot", "ERNIE-Bot-turbo", "BLOOMZ-7B"),
        *("Llama-2-7b-chat", "Llama-2-13b-chat", "Llama-2-70b-chat", "Mixtral-8x7B-Instruct"),
        *("Qianfan-Chinese-Llama-2-7B", "Qianfan-Chinese-Llama-2-13B"),
    )
    assert list(product) == ids[: len(product)]
    for name in ids:
        route(name, BOTH)
    assert all(isinstance(route(name, ONLY_V1), Endpoint) for name in product)


def test_names_mean_one_model_each() -> None:
    """No id or alias of a card is another card's, and each alias leads to where its card leads."""
    cards = SPEC.cards()
    names = [name for card in cards for name in (card.id, *card.aliases)]
    assert len(names) == len(set(names))
    for card in cards:
        for alias in card.aliases:
            assert route(card.id, BOTH) == route(alias, BOTH)


# Answers of V1.

HEAD = {"id": "as-1", "object": "chat.completion", "created": 1}
USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}


def whole(**body: Any) -> tuple[Choice, dict[str, Any]]:
    """A whole answer, read."""
    fold = Fold()
    fold.feed(Decoder(classify=classify).whole(orjson.dumps({**HEAD, "usage": USAGE, **body})))
    return fold.choices()[0], dict(fold.extra)


def streamed(*events: dict[str, Any], **how: Any) -> tuple[Choice, dict[str, Any]]:
    """A streamed answer, read event by event."""
    decoder, fold = Decoder(classify=classify, **how), Fold()
    for event in events:
        fold.feed(decoder.decode([orjson.dumps({**HEAD, **event})]))
    if not decoder.is_done:
        fold.feed(decoder.close())
    return fold.choices()[0], dict(fold.extra)


@pytest.mark.parametrize(
    ("body", "finish"),
    [
        ({}, "stop"),
        ({"finish_reason": "normal"}, "stop"),
        ({"finish_reason": "stop"}, "stop"),
        ({"finish_reason": "length"}, "length"),
        ({"finish_reason": "content_filter"}, "content_filter"),
        ({"is_truncated": True}, "length"),
        ({"need_clear_history": True, "ban_round": -1}, "content_filter"),
        ({"flag": 3}, "content_filter"),
        ({"is_safe": 0}, "content_filter"),
        ({"is_safe": 1}, "stop"),
    ],
)
def test_ends_are_told(body: dict[str, Any], finish: str) -> None:
    """However the vendor tells it, the end of an answer is one of ours, whole and streamed."""
    choice, extra = whole(result="好", **body)
    assert finish == choice.finish_reason
    assert (choice, extra) == streamed(
        {"result": "好", "is_end": False}, {"result": "", "is_end": True, **body}
    )
    assert ("ban_round" in body) == ("ban_round" in extra)


def test_calls_are_read_whole_and_in_pieces() -> None:
    """A function call is the same whether it comes at once, in pieces, or longer each time; its thoughts are thinking."""
    call = {"name": "f", "arguments": '{"城":"北京"}', "thoughts": "要查"}
    expected, _ = whole(result="", function_call=call)
    assert ("tool_calls", "要查", None) == (
        expected.finish_reason,
        expected.message.reasoning,
        expected.message.content,
    )
    assert (ToolCall("call_as-1", "f", '{"城":"北京"}'),) == expected.message.tool_calls
    at_once = ({"result": "", "function_call": call, "is_end": True},)
    pieces = (
        {"result": "", "is_end": False, "function_call": {"name": "f", "thoughts": "要"}},
        {"result": "", "is_end": False, "function_call": {"arguments": '{"城":', "thoughts": "查"}},
        {"is_end": True, "function_call": {"name": "f", "arguments": '"北京"}'}},
    )
    longer = (
        {"result": "", "is_end": False, "function_call": {"name": "f", "arguments": '{"城":', "thoughts": "要"}},
        {"result": "", "is_end": False, "function_call": call},
        {"result": "", "is_end": True, "function_call": call},
    )  # fmt: skip
    for events in (at_once, pieces, longer):
        assert expected == streamed(*events)[0]


def test_facts_beside_the_text_are_kept() -> None:
    """What a search found and what plugins tell travels in `extra`; events of plugins need no text."""
    found = {"search_results": [{"index": 1, "url": "https://example.com/", "title": "t"}]}
    assert {"search_info": found} == whole(result="好", search_info=found)[1]
    choice, extra = streamed(
        {"plugin": "eChart", "state": "running"},
        {"result": "图", "is_end": False},
        {"result": "", "is_end": True, "usage": {**USAGE, "plugins": [{"name": "eChart"}]}},
        with_plugins=True,
    )
    assert "图" == choice.message.text
    assert [{**HEAD, "plugin": "eChart", "state": "running"}] == extra["plugin_events"]
    assert [{"name": "eChart"}] == extra["plugin_usage"]


def test_usage_is_the_last_one() -> None:
    """Each event counts anew; the last count holds."""
    decoder = Decoder(classify=classify)
    events = [
        {"result": "你", "is_end": False, "usage": {"prompt_tokens": 7, "completion_tokens": 0}},
        {"result": "好", "is_end": True, "usage": USAGE},
    ]
    deltas = decoder.decode(orjson.dumps(event) for event in events)
    assert [None, Usage(7, 2)] == [delta.usage for delta in deltas]


def test_a_stream_may_end_without_saying_so_after_its_finish_reason() -> None:
    """A finish reason is an end, too; an answer with neither is cut off."""
    choice, _ = streamed({"result": "好", "finish_reason": "normal"})
    assert "stop" == choice.finish_reason
    for cut in ({}, {"finish_reason": "normal"}):  # some models may tell a reason in every event
        with pytest.raises(ProviderProtocolError, match="ended before"):
            streamed({"result": "好", "is_end": False, **cut})


def test_a_bare_line_of_json_is_an_error() -> None:
    """An error that stands in a stream without `data:` before it is found at the stream's end."""
    decoder = Decoder(classify=classify)
    assert ["好"] == [d.text for d in decoder.decode([b'{"result":"\xe5\xa5\xbd","is_end":false}'])]
    with pytest.raises(RateLimited) as caught:
        decoder.close(tail=b'data: {"result"...\n\n{"error_code":336501,"error_msg":"no"}\n')
    assert "336501" == caught.value.vendor_code


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"result": None},
        {"result": 3},
        {"result": "x", "finish_reason": "because"},
        {"result": "x", "finish_reason": 7},
        {"result": "", "function_call": {"arguments": "{}"}},
        {"result": "", "function_call": "f"},
        {"result": "", "function_call": {"name": 3}},
    ],
)
def test_nonsense_is_refused(body: dict[str, Any]) -> None:
    """An answer without a text, of the wrong types, or with an unknown end is the vendor's nonsense."""
    with pytest.raises(ProviderProtocolError):
        whole(**body)


FIELDS = (
    *(
        "result",
        "is_end",
        "usage",
        "function_call",
        "name",
        "arguments",
        "thoughts",
        "flag",
        "error",
    ),
    *("finish_reason", "error_code", "error_msg", "id", "is_safe", "search_info", "is_truncated"),
)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(FIELDS),
                inner,
                max_size=6,
            )
        ),
    )
)
def test_any_json_is_read_or_refused(value: Any) -> None:
    """Whatever JSON the vendor sends becomes deltas or one of our errors, whole and streamed."""
    for take in (
        lambda decoder: decoder.whole(orjson.dumps(value)),
        lambda decoder: decoder.decode([orjson.dumps(value)]),
    ):
        with contextlib.suppress(ProviderError):
            assert all(isinstance(delta, Delta) for delta in take(Decoder(classify=classify)))


def test_errors_of_the_access_management_are_told_by_their_header() -> None:
    """A refusal with the vendor's header is one of credentials, whatever its status; a failure inside is none."""
    headers = {"X-Bce-Error-Code": "SignatureDoesNotMatch", "X-Bce-Request-Id": "r-1"}
    error = classify(400, headers, b'{"code":"SignatureDoesNotMatch"}')
    assert (ProviderAuthFailed, "SignatureDoesNotMatch", "r-1") == (
        type(error),
        error.vendor_code,
        error.vendor_request_id,
    )
    assert ProviderUnavailable is type(classify(500, headers, b""))


def test_codes_keep_their_words_and_ids() -> None:
    """The vendor's message and id travel with an error; a code that nobody knows is kept; a code may be text."""
    error = classify(200, {}, b'{"error_code":999,"error_msg":"who knows","id":"as-7"}')
    assert (ProviderError, "999", "who knows", "as-7") == (
        type(error),
        error.vendor_code,
        error.vendor_message,
        error.vendor_request_id,
    )
    assert RateLimited is type(classify(200, {}, b'{"error_code":"18"}'))
    for status in (200, 401):
        body = b'{"error":"invalid_client","error_description":"unknown client id"}'
        assert ProviderAuthFailed is type(classify_oauth(status, {}, body))


# Vectors, pictures, rankings.


def test_embeddings_are_asked_for_as_each_generation_wants() -> None:
    """V1 knows the model by its path, V2 by its name; both take lists only, and neither another length."""
    request = EmbeddingRequest(model="bge-large-zh", inputs=("a",), user="u")
    assert {"input": ["a"], "user_id": "u"} == orjson.loads(embeddings.encode(request))
    assert {
        "input": ["a"],
        "model": "bge-large-zh",
        "encoding_format": "float",
        "user": "u",
    } == orjson.loads(embeddings.encode(request, v2_model="bge-large-zh"))
    with pytest.raises(InvalidParameter, match="dimensions"):
        embeddings.encode(EmbeddingRequest(model="x", inputs=("a",), dimensions=3))
    assert [16, 1] == [embeddings.most_inputs(name) for name in ("Embedding-V1", "tao-8k")]


@pytest.mark.parametrize(
    "data",
    [[], [{"index": 1, "embedding": [1.0]}], [{"index": 0, "embedding": []}], [{"index": 0}]],
)
def test_vectors_that_are_missing_are_refused(data: list[Any]) -> None:
    """Too few vectors, misnumbered ones and empty ones are the vendor's nonsense."""
    with pytest.raises(ProviderProtocolError):
        embeddings.decode(orjson.dumps({"data": data}), 1, classify)


def test_pictures_are_asked_for_as_each_generation_wants() -> None:
    """What a generation lacks is refused, not left out quietly."""
    request = ImageRequest(model="x", prompt="猫", style="Anime", user="u")
    assert {"prompt": "猫", "style": "Anime", "user_id": "u"} == orjson.loads(
        images.encode(request)
    )
    for v2_model, lacking in (
        (None, {"quality": "hd"}),
        (None, {"response_format": "url"}),
        ("irag-1.0", {"style": "Anime"}),
        ("irag-1.0", {"negative_prompt": "白"}),
        ("irag-1.0", {"response_format": "b64_json"}),
    ):
        with pytest.raises(InvalidParameter):
            images.encode(ImageRequest(model="x", prompt="猫", **lacking), v2_model=v2_model)
    with pytest.raises(ProviderProtocolError):
        images.decode(b'{"data":[{"index":1}]}', classify)
    two = [{"b64_image": "Mg==", "index": 2}, {"b64_image": "MQ==", "index": 1}]
    drawn = images.decode(orjson.dumps({"data": two}), classify)
    assert [b"1", b"2"] == [base64.b64decode(image.b64_json or "") for image in drawn.images]


def test_rankings_are_best_first() -> None:
    """Documents come best first, by their place among those given; a place that was not given is nonsense."""
    body = {"results": [{"index": 0, "relevance_score": 0.1}, {"index": 1, "relevance_score": 0.9}]}
    ranking = tools.decode_ranking(orjson.dumps(body), 2, classify)
    assert [1, 0] == [each.index for each in ranking.documents]
    with pytest.raises(ProviderProtocolError):
        tools.decode_ranking(orjson.dumps(body), 1, classify)


def _place(model: str) -> Endpoint:
    place = route(model, ONLY_V1)
    assert isinstance(place, Endpoint)
    return place
