"""The request body: what is accepted, what is refused, and in which words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengchao.wire import BodyError, ChatBody, check_chat_body, parse_chat_body

SENT_BY_1_0_2 = {
    "model": "glm-4",
    "query": "你好",
    "request_id": "6cffaf50-d479-11ee-84f5-80615f1e1c07",
    "system": None,
    "prompt": None,
    "is_sensitive": True,
    "task_id": None,
    "history": [],
    "do_sample": True,
    "temperature": 0.8,
    "top_p": 0.75,
    "max_tokens": 256,
    "knowledge": None,
    "top_k": 5,
    "threshold": 500,
    "mode": "invoke",
}
SENT_BY_2_5_1 = SENT_BY_1_0_2 | {
    "prompt_fill": {},
    "sensitive_replace": False,
    "response_format": "text",
    "files": None,
    "image": None,
    "video": None,
    "agg_models": None,
    "search_param": None,
}


@pytest.mark.parametrize("body", [SENT_BY_1_0_2, SENT_BY_2_5_1])
@pytest.mark.parametrize(
    "given_too",
    [
        {},
        {"history": [{"role": "user", "content": "甲"}, {"role": "assistant", "content": "乙"}]},
        {"prompt": "译{{query}}为{{to}}", "prompt_fill": {"to": "英文", "n": 3}},
        {"temperature": 1, "top_p": 1, "threshold": 0, "max_tokens": 1},
        {"temperature": None, "top_p": None, "max_tokens": None, "do_sample": None},
        {"mode": "stream", "response_format": "json"},
        {"mode": "async_result", "task_id": "t", "query": None},
        {"search_param": {"top_k": 5, "score": 0.1}, "agg_models": ["glm-4"]},
        {"files": "one"},
        {"files": ["one", "two"], "image": "iVBORw0KGgo=", "video": "http://films/1.mp4"},
        {"request_id": 12},
    ],
)
def test_what_published_sdks_send_is_accepted(body, given_too):
    """Every body that 1.0.2 and 2.5.1 make, with whatever their users give, is a good body."""
    assert "glm-4" == parse_chat_body(json.dumps(body | given_too)).model


def test_defaults_are_those_of_the_product_text():
    """What a body leaves out has the documented default."""
    body = parse_chat_body('{"model":"m"}')
    assert (True, False, True, 0.8, 0.75, 256, "invoke", 5, 500) == (
        body.is_sensitive,
        body.sensitive_replace,
        body.do_sample,
        body.temperature,
        body.top_p,
        body.max_tokens,
        body.mode,
        body.top_k,
        body.threshold,
    )


@pytest.mark.parametrize(
    ("body", "param", "msg"),
    [
        ({}, "model", "model 必填"),
        ({"model": ""}, "model", "model 不能为空"),
        ({"model": 5}, "model", "model 应为字符串"),
        ({"model": "m", "query": ["q"]}, "query", "query 应为字符串"),
        (
            {"model": "m", "temprature": 1},
            "temprature",
            "temprature 是未知字段，是否想写 temperature？",
        ),
        ({"model": "m", "stream": True}, "stream", "stream 是未知字段，请删除"),
        ({"model": "m", "temperature": 2.1}, "temperature", "temperature 不能大于 2"),
        ({"model": "m", "temperature": "hot"}, "temperature", "temperature 应为数值"),
        ({"model": "m", "temperature": True}, "temperature", "temperature 应为数值"),
        ({"model": "m", "top_p": -0.1}, "top_p", "top_p 不能小于 0"),
        ({"model": "m", "max_tokens": 0}, "max_tokens", "max_tokens 不能小于 1"),
        ({"model": "m", "max_tokens": 1.5}, "max_tokens", "max_tokens 应为整数"),
        ({"model": "m", "is_sensitive": "no"}, "is_sensitive", "is_sensitive 应为布尔值"),
        ({"model": "m", "history": {}}, "history", "history 应为数组"),
        ({"model": "m", "history": ["q"]}, "history", "history[0] 应为 JSON 对象"),
        (
            {"model": "m", "history": [{"role": "tool", "content": "x"}]},
            "history",
            "history[0].role 的值不在可选范围内，可选：'system', 'user', 'assistant'",
        ),
        ({"model": "m", "history": [{"content": "x"}]}, "history", "history[0].role 必填"),
        ({"model": "m", "prompt_fill": {"a": {}}}, "prompt_fill", "prompt_fill.a 应为字符串"),
        ({"model": "m", "request_id": "a\r\nb"}, "request_id", "request_id 不能包含控制字符"),
        (
            {"model": "m", "mode": "batch"},
            "mode",
            "mode 的值不在可选范围内，可选：'invoke', 'async', 'async_result', 'stream'",
        ),
        (
            {"model": "m", "search_param": {"top_k": 0}},
            "search_param",
            "search_param.top_k 不能小于 1",
        ),
        ([], None, "应为 JSON 对象"),
        (None, None, "应为 JSON 对象"),
    ],
)
def test_what_is_wrong_is_said_precisely(body, param, msg):
    """The message names the field and what it should be, in Chinese."""
    with pytest.raises(BodyError) as caught:
        parse_chat_body(json.dumps(body))
    assert (param, msg) == (caught.value.param, caught.value.msg)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"model":"m",}',
        b'{"model":"\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_what_is_no_json_is_refused(raw):
    """Broken JSON, broken UTF-8 and JSON without end are one clear message, not a crash."""
    with pytest.raises(BodyError, match="不是合法的 JSON"):
        parse_chat_body(raw)


def test_deep_nesting_in_a_field_is_refused():
    """A field nests no deeper than its type."""
    with pytest.raises(BodyError):
        parse_chat_body(b'{"model":"m","prompt_fill":' + b'{"a":' * 150 + b"1" + b"}" * 151)


def test_all_problems_are_told_at_once_but_not_endlessly():
    """Several problems come in one message; a flood of them is counted."""
    with pytest.raises(BodyError) as caught:
        parse_chat_body(json.dumps({"model": "m"} | {f"field{n}": 1 for n in range(9)}))
    assert caught.value.msg.endswith("；另有 4 处")


@given(st.text(min_size=8, max_size=40))
def test_no_value_of_the_body_is_repeated(secret):
    """Whatever a caller typed into a wrong field stays out of the message."""
    with pytest.raises(BodyError) as caught:
        parse_chat_body(
            json.dumps({"model": "m", "temperature": f"<{secret}>", "history": f"<{secret}>"})
        )
    assert f"<{secret}>" not in f"{caught.value} {caught.value.msg} {caught.value.__cause__}"


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(sorted(ChatBody.model_fields)), inner, max_size=6)
        ),
        max_leaves=12,
    )
)
def test_any_json_is_a_body_or_a_body_error(value):
    """No JSON whatever gets another exception out of the check."""
    raw = json.dumps(value)
    try:
        parsed = parse_chat_body(raw)
    except BodyError:
        with pytest.raises(BodyError):
            check_chat_body(value)
    else:
        assert parsed == check_chat_body(value)
