"""Answers in JSON."""

import pytest

from fengchao_core import ChatCall, ChatParams
from fengchao_core.errors import InvalidParameter, ProviderUnavailable
from fengchao_core.types import ResponseFormat

OBJECT = ResponseFormat("json_object")
SCHEMA = ResponseFormat(
    "json_schema",
    name="city",
    schema={
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
)


def asking(model, form, query="首都？"):
    """A call that wants a form."""
    return ChatCall(model=model, query=query, params=ChatParams(response_format=form))


@pytest.mark.parametrize(
    ("model", "form", "expected"),
    [
        ("json", OBJECT, ("json_object", True)),
        ("schema", SCHEMA, ("json_schema", False)),
        ("json", SCHEMA, ("json_object", True)),
        ("a", OBJECT, (None, True)),
        ("a", SCHEMA, (None, True)),
        ("blank", OBJECT, ("json_object", False)),
    ],
)
async def test_each_model_is_asked_as_it_can_be(opened, vendor, model, form, expected):
    """A model's own JSON mode is used where its card has one; what it lacks is told in words."""
    vendor.will(model, '{"city":"北京"}')
    async with opened() as gateway:
        completion = await gateway.chat(asking(model, form))
    (request,) = vendor.requests
    got = request.params.response_format
    told = any("JSON" in message.text for message in request.messages)
    assert expected == (got.type if got else None, told)
    assert ('{"city":"北京"}', True) == (completion.text, completion.is_json)


async def test_a_prompt_that_says_json_is_left_alone(opened, vendor):
    """Where the vendor has the mode and the caller says JSON already, nothing is added."""
    vendor.will("json", "{}")
    async with opened() as gateway:
        await gateway.chat(asking("json", OBJECT, "用 json 回答"))
    assert "用 json 回答" == vendor.requests[0].messages[-1].text
    assert "JSON" not in vendor.requests[0].messages[0].text


@pytest.mark.parametrize("text", ['```json\n{"a": 1}\n```', '```\n{"a": 1}\n```', ' {"a": 1}\n'])
async def test_a_fence_is_taken_off(opened, vendor, text):
    """What models put around JSON is not part of it."""
    vendor.will("json", text)
    async with opened() as gateway:
        assert '{"a": 1}' == (await gateway.chat(asking("json", OBJECT))).text


async def test_what_is_no_json_is_asked_for_once_more(opened, vendor, rows):
    """The second attempt is the answer; both are booked, and the answer's usage and cost are those of both."""
    vendor.will("a", "是北京", '{"city":"北京"}')
    async with opened() as gateway:
        completion = await gateway.chat(asking("a", OBJECT))
        booked = await rows(gateway)
    assert ('{"city":"北京"}', True) == (completion.text, completion.is_json)
    assert "是北京" == vendor.requests[1].messages[-2].text
    assert ["ok", "ok"] == [row.outcome for row in booked]
    assert f"{booked[0].id}-j2" == booked[1].id
    assert (20, 10) == (completion.usage.prompt_tokens, completion.usage.completion_tokens)
    assert completion.cost.amount == booked[0].cost + booked[1].cost


async def test_after_two_attempts_the_answer_stays_as_it_came(opened, vendor):
    """`is_json` says that it is none; the caller's API decides what to make of it."""
    vendor.will("a", "不是", "还不是", '{"late":1}')
    async with opened() as gateway:
        completion = await gateway.chat(asking("a", OBJECT))
    assert ("不是", False) == (completion.text, completion.is_json)
    assert 2 == len(vendor.requests)


async def test_a_second_attempt_that_fails_does_not_lose_the_first(opened, vendor):
    """The first answer is kept, and a note says what became of the second."""
    vendor.will("a", "不是", ProviderUnavailable("gone"))
    async with opened() as gateway:
        completion = await gateway.chat(asking("a", OBJECT))
    assert ("不是", False) == (completion.text, completion.is_json)
    assert any("ProviderUnavailable" in note for note in completion.notes)


async def test_json_that_does_not_fit_its_schema_is_asked_for_again(opened, vendor):
    """The model is told where it went wrong."""
    vendor.will("schema", '{"city":1}', '{"city":"北京"}')
    async with opened() as gateway:
        completion = await gateway.chat(asking("schema", SCHEMA))
    assert ('{"city":"北京"}', True) == (completion.text, completion.is_json)
    assert "city 处不满足 type" in vendor.requests[1].messages[-1].text


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "objekt"}, "not valid"),
        ({"$ref": "http://127.0.0.1/schema.json"}, "not valid"),
        ({"pattern": "(?=a)b"}, "not valid"),
        ({"enum": ["x" * 70_000]}, "longer"),
        ({"const": object()}, "cannot write"),
    ],
)
async def test_a_schema_that_cannot_be_used_is_refused(opened, vendor, schema, why):
    """Malformed, remote, too long or too clever: refused before anybody is asked."""
    async with opened() as gateway:
        with pytest.raises(InvalidParameter, match=why):
            await gateway.chat(asking("schema", ResponseFormat("json_schema", schema=schema)))
    assert [] == vendor.requests


async def test_a_schemas_pattern_cannot_stop_the_gateway(opened, vendor):
    """A pattern that a backtracking engine would take for ever over is checked at once."""
    vendor.will("schema", '"' + "a" * 50_000 + '!"', '"aa"')
    form = ResponseFormat("json_schema", schema={"type": "string", "pattern": "^(a+)+$"})
    async with opened() as gateway:
        assert '"aa"' == (await gateway.chat(asking("schema", form))).text


async def test_a_stream_is_not_checked(opened, vendor):
    """The pieces of a stream leave as they come; the model is asked for JSON all the same."""
    vendor.will("a", "不是")
    async with opened() as gateway:
        deltas = [delta async for delta in gateway.stream(asking("a", OBJECT))]
    assert "不是" == "".join(delta.text for delta in deltas)
    assert "JSON" in vendor.requests[0].messages[0].text
    assert 1 == len(vendor.requests)


async def test_plain_text_is_left_alone(opened, vendor):
    """`text` asks for nothing special."""
    async with opened() as gateway:
        completion = await gateway.chat(asking("a", ResponseFormat("text")))
    assert ("好", None) == (completion.text, completion.is_json)
