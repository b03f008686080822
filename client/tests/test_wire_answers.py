"""What the core gives, as the contract writes it: calls, answers, events, lists."""

import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengchao.wire import BodyError, ChatCompletionResponse, ModelList, check_chat_body
from fengchao.wire.bridge import (
    answer,
    failed,
    json_text,
    kg_list,
    model_list,
    prompt_list,
    to_call,
)
from fengchao.wire.codes import Code, failure
from fengchao.wire.events import AnswerEvents
from fengchao_core.prompts import PromptTemplate
from fengchao_core.retrieval import KnowledgeBase, Passage
from fengchao_core.types import (
    ChatCall,
    ChatParams,
    Choice,
    Completion,
    Delta,
    ImagePart,
    Message,
    ModelCard,
    Money,
    Price,
    ResponseFormat,
    ToolCall,
    ToolCallFragment,
    Usage,
    VideoPart,
)

PASSAGE = Passage("北京是首都", 12.5, "beijing.txt")


def body(**given_too):
    """A checked body."""
    return check_chat_body({"model": "glm-4", "query": "你好"} | given_too)


def completion(message=None, **given_too):
    """A whole answer of the core."""
    return Completion(
        request_id="rid",
        model="glm-4",
        provider="zhipu",
        choices=(Choice(message or Message("assistant", "你好"), "stop"),),
        usage=Usage(3, 4),
        created=1_700_000_000.0,
        cost=Money(Decimal("0.0012"), "CNY"),
        **given_too,
    )


def exchange(*passages):
    """An exchange, as far as events read it."""
    return SimpleNamespace(
        notes=[],
        request_id='r"id',
        model="glm-4",
        created=1_700_000_000.0,
        passages=passages,
        usage=Usage(3, 4),
        cost=Money(Decimal("0.0012"), "CNY"),
        gathered=None,
    )


def test_a_body_becomes_a_call():
    """Every field arrives where the core wants it."""
    checked = body(
        request_id="rid",
        system="s",
        prompt="p",
        prompt_fill={"n": 3},
        is_sensitive=False,
        sensitive_replace=True,
        history=[{"role": "user", "content": "h", "reasoning_content": "thought"}],
        response_format="json",
        do_sample=False,
        temperature=0.3,
        top_p=0.4,
        max_tokens=99,
        knowledge="kb",
        top_k=7,
        threshold=0,
    )
    assert ChatCall(
        model="glm-4",
        query="你好",
        request_id="rid",
        system="s",
        prompt="p",
        prompt_fill={"n": "3"},
        is_sensitive=False,
        sensitive_replace=True,
        history=(Message("user", "h"),),
        knowledge="kb",
        knowledge_top_k=7,
        knowledge_threshold=0,
        channel="local",
        params=ChatParams(
            temperature=0.3,
            top_p=0.4,
            max_tokens=99,
            do_sample=False,
            response_format=ResponseFormat("json_object"),
        ),
    ) == to_call(checked, "local")


def test_null_does_not_switch_the_word_filter_off():
    """Only an explicit false does."""
    assert to_call(body(is_sensitive=None), None).is_sensitive


@pytest.mark.parametrize(
    ("image", "url"),
    [
        ("http://pictures/1.png", "http://pictures/1.png"),
        ("data:image/png;base64,iVBO", "data:image/png;base64,iVBO"),
        ("iVBORw0KGgo=", "data:image/png;base64,iVBORw0KGgo="),
        ("/9j/4AAQ", "data:image/jpeg;base64,/9j/4AAQ"),
        ("R0lGODlh", "data:image/gif;base64,R0lGODlh"),
        ("UklGRg==", "data:image/webp;base64,UklGRg=="),
    ],
)
def test_a_picture_goes_before_the_question(image, url):
    """A picture by address or as bare base64 is attached to the question, beside prompt and system text."""
    call = to_call(body(image=image, system="s"), None)
    assert (ImagePart(url),) == call.attachments
    assert ("你好", "s") == (call.query, call.system)


def test_a_film_becomes_a_part():
    """A film likewise."""
    call = to_call(body(video="AAAAIGZ0eXA="), None)
    assert (VideoPart("data:video/mp4;base64,AAAAIGZ0eXA="),) == call.attachments


@pytest.mark.parametrize(
    ("given_too", "param"),
    [
        ({"response_format": "json_schema"}, "json_schema"),
        ({"image": "no picture"}, "image"),
    ],
)
def test_what_is_not_served_is_refused_by_name(given_too, param):
    """Nothing a caller asks for is dropped in silence."""
    with pytest.raises(BodyError) as caught:
        to_call(body(**given_too), None)
    assert param == caught.value.param


def test_a_completion_becomes_an_answer():
    """The whole shape of the product text, with the lists that 2.5.1 reads."""
    made = answer(completion(), [PASSAGE])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", made.pop("created"))
    message = {"role": "assistant", "content": "你好"}
    assert {
        "request_id": "rid",
        "model": "glm-4",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "cost": 0.0012},
        "msg": "执行成功",
        "knowledge": [{"source": "beijing.txt", "text": "北京是首都", "distance": 12.5}],
        "status": 200,
        "search": [],
        "agg": [],
    } == made


def test_content_is_text_even_where_the_model_only_calls_tools():
    """`content` is never null; calls and thinking are not lost."""
    calls = (ToolCall("c1", "weather", '{"city":"北京"}'),)
    said = Message("assistant", None, reasoning="想", tool_calls=calls)
    assert {
        "role": "assistant",
        "content": "",
        "reasoning_content": "想",
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "weather", "arguments": '{"city":"北京"}'},
            }
        ],
    } == answer(completion(said))["choices"][0]["message"]


def test_a_refusal_is_content():
    """What a model says instead of an answer is shown as its answer."""
    said = Message("assistant", None, refusal="不行")
    assert "不行" == answer(completion(said))["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"首都":"北京"}', '{"首都":"北京"}'),
        ('```json\n{"a":1}\n```', '{"a":1}'),
        ("```\n[1]\n```", "[1]"),
        ("首都是北京", "{}"),
        ('好的：{"a":1}', "{}"),
        ("", "{}"),
    ],
)
def test_json_mode_gives_json(text, expected):
    """A fence is taken off; what is no JSON becomes `{}`, as the product promises."""
    assert expected == json_text(text)
    made = answer(completion(Message("assistant", text)), as_json=True)
    assert expected == made["choices"][0]["message"]["content"]


def test_a_failure_under_http_200_has_the_whole_shape():
    """Every field that 2.5.1 reads of a failed answer is there and not null."""
    made = failed(failure(Code.SENSITIVE, "输入内容包含敏感词"), model="glm-4")
    assert not [name for name, value in made.items() if value is None]
    assert set(answer(completion())) == set(made)
    assert (6601, "敏感词：输入内容包含敏感词") == (made["status"], made["msg"])
    (choice,) = made["choices"]  # 2.2.2 reads the first
    assert ("", "assistant", "error") == (
        choice["message"]["content"],
        choice["message"]["role"],
        choice["finish_reason"],
    )


def test_a_failure_by_http_status_is_two_fields():
    """Under an HTTP error the body is its code and its words."""
    refusal = failed(failure(Code.UNKNOWN_MODEL))
    assert {"status": 440, "msg": "模型不存在"} == refusal


def test_the_models_list_is_the_products():
    """Cards carry prices as floats per 1,000 tokens, the channel, and only the modes that are served."""
    prices = (
        Price(
            input=Decimal("0.05"),
            output=Decimal("0.1"),
            currency="CNY",
            since=date(2024, 1, 1),
            source="test",
        ),
    )
    per_image = Price(
        input=Decimal(0),
        output=Decimal(0),
        per_image=Decimal("0.25"),
        currency="CNY",
        since=date(2024, 1, 1),
        source="test",
    )
    cards = [
        ModelCard(
            id="glm-4",
            owned_by="ChatGLM",
            max_input_tokens=5000,
            max_output_tokens=2000,
            prices=prices,
            created=date(2024, 2, 7),
        ),
        ModelCard(id="Qwen1.5-0.5B-Chat", owned_by="Qwen", is_local=True),
        ModelCard(id="embedding-2", owned_by="ChatGLM", kind="embedding"),
        ModelCard(id="painter", owned_by="ChatGLM", kind="image", prices=(per_image,)),
    ]
    cards.insert(0, cards.pop())
    listed = model_list(cards, date(2026, 11, 21))
    assert {
        "id": "glm-4",
        "owned_by": "ChatGLM",
        "max_input_token": 5000,
        "max_output_token": 2000,
        "price": 0.1,
        "in_price": 0.05,
        "out_price": 0.1,
        "unit": "CNY",
        "mode": ["invoke", "async_invoke", "stream"],
        "channel": "在线模型",
        "created": "2024-02-07 00:00:00",
    } == listed["data"][0]
    local = ModelList.model_validate(listed).data[1]
    assert ("本地模型", 0.0, "CNY") == (local.channel, local.price, local.unit)
    painter = listed["data"][2]
    assert (["invoke", "async_invoke"], 0.25) == (painter["mode"], painter["price"])
    assert 3 == len(listed["data"])


def test_the_other_two_lists_are_the_products():
    """Prompts and knowledge bases, with their creation in local time."""
    when = datetime(2026, 11, 21, 8, tzinfo=UTC)
    shown = when.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    template = PromptTemplate(id="中译英", prompt="译{{query}}", created=when)
    assert {
        "data": [
            {
                "id": "中译英",
                "prefix": "{{system}}",
                "prompt": "译{{query}}",
                "system": "",
                "created": shown,
            }
        ]
    } == prompt_list([template])
    assert {"data": [{"id": "kb", "desc": "资讯库", "created": shown}]} == kg_list(
        [KnowledgeBase("kb", "资讯库", when)]
    )


def test_a_stream_ends_with_an_empty_event_that_tells_all():
    """Usage, cost, finish reason and passages stand in the last event."""
    events = AnswerEvents(exchange(PASSAGE))
    first, second = events.events(
        [Delta("你"), Delta("好", finish_reason="length"), Delta(usage=Usage(1, 2))]
    )
    last = events.last()
    assert (0, 1, 2) == tuple(e["choices"][0]["index"] for e in (first, second, last))
    assert (None, None, "length") == tuple(
        e["choices"][0]["finish_reason"] for e in (first, second, last)
    )
    assert (1, 0, 1) == tuple(len(e["knowledge"]) for e in (first, second, last))
    assert ("", 7, 0.0012) == (
        last["choices"][0]["message"]["content"],
        last["usage"]["total_tokens"],
        last["usage"]["cost"],
    )


def test_thinking_and_calls_stream_too():
    """Reasoning and fragments of tool calls are events of their own, with empty content."""
    events = AnswerEvents(exchange())
    fragment = ToolCallFragment(0, "c1", "weather", '{"ci')
    shown = events.events(
        [Delta(reasoning="想"), Delta(tool_calls=(fragment,)), Delta(refusal="不")]
    )
    messages = [event["choices"][0]["message"] for event in shown]
    assert ["", "", "不"] == [message["content"] for message in messages]
    assert "想" == messages[0]["reasoning_content"]
    assert [
        {
            "index": 0,
            "type": "function",
            "function": {"arguments": '{"ci', "name": "weather"},
            "id": "c1",
        }
    ] == messages[1]["tool_calls"]


def test_a_failure_in_mid_stream_is_a_last_event():
    """Once a stream has begun, its failure is an event whose status says why, whatever its HTTP status would be."""
    made = AnswerEvents(exchange()).failed(failure(Code.INTERNAL))
    assert (500, "服务内部错误", 'r"id', "") == (
        made["status"],
        made["msg"],
        made["request_id"],
        made["choices"][0]["message"]["content"],
    )


deltas = st.builds(
    Delta,
    text=st.text(max_size=6)
    | st.sampled_from(["\u2028", "\x85", "\u2029x", '"\\', "\n", "\ufdd0"]),
    reasoning=st.just("") | st.text(max_size=3),
)


@given(st.lists(st.lists(deltas, max_size=4), max_size=6), st.booleans())
def test_bytes_and_dicts_are_the_same_events(batches, with_passages):
    """The fast bytes say exactly what the dicts say, and every one is an answer of the contract."""
    passages = (PASSAGE,) if with_passages else ()
    as_dicts, as_bytes = AnswerEvents(exchange(*passages)), AnswerEvents(exchange(*passages))
    expected = [event for batch in batches for event in as_dicts.events(batch)] + [as_dicts.last()]
    frames = b"".join(as_bytes.frames(batch) for batch in batches) + as_bytes.last_frame()
    # As the published SDKs read: by str.splitlines, which knows more line ends than SSE does.
    lines = [line for line in frames.decode().splitlines() if line]
    assert all(line.startswith("data:") for line in lines)
    assert expected == [json.loads(line.partition(":")[2]) for line in lines]
    for event in expected:
        ChatCompletionResponse.model_validate(event, strict=True)
