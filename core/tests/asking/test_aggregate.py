"""One question to several models, and one answer out of theirs."""

import asyncio
from contextlib import aclosing

import pytest

from fengchao_core import Caller, ChatCall, ChatParams, Message
from fengchao_core.errors import (
    InvalidParameter,
    PermissionDenied,
    ProviderTimeout,
    ProviderUnavailable,
    SensitiveContent,
    UnknownModel,
)
from fengchao_core.types import ImagePart, ResponseFormat

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


async def test_the_main_model_merges_what_the_others_said(opened, vendor):
    """Each model gets the question; the main one gets it with their answers, and what it says is the answer."""
    vendor.will("a", "甲说")
    vendor.will("b", "乙说")
    vendor.will("main", "合并")
    async with opened() as gateway:
        completion = await gateway.chat(
            ChatCall(model="main", query="为什么？", aggregate=("a", "b"))
        )
    assert "合并" == completion.text
    assert [("a", "甲说", None), ("b", "乙说", None)] == [
        (p.model, p.text, p.error) for p in completion.gathered.partials
    ]
    (asked_a,), (asked_main,) = vendor.asked("a"), vendor.asked("main")
    assert "为什么？" == asked_a.messages[-1].text
    merged = asked_main.messages[-1].text
    assert merged.startswith("为什么？")
    assert "甲说" in merged
    assert "乙说" in merged
    assert asked_a.messages[:-1] == asked_main.messages[:-1]


async def test_the_models_are_asked_side_by_side(opened, vendor):
    """No model waits for another's answer."""
    gate = asyncio.Event()
    vendor.will("a", gate)
    vendor.will("b", gate)
    async with opened() as gateway, asyncio.TaskGroup() as group:
        task = group.create_task(
            gateway.chat(ChatCall(model="main", query="q", aggregate=("a", "b")))
        )
        while len(vendor.requests) < 2:
            await asyncio.sleep(0)
        gate.set()
        await task
    assert ["a", "b", "main"] == [request.model for request in vendor.requests]


async def test_each_model_is_booked_on_its_own(opened, rows):
    """Every model leaves a row under the same request id; the ids of the rows begin with the main one's."""
    async with opened() as gateway:
        completion = await gateway.chat(
            ChatCall(model="main", query="q", request_id="talk", aggregate=("a", "b"))
        )
        booked = await rows(gateway)
    assert ["main", "a", "b"] == [row.model for row in booked]
    assert {"talk"} == {row.request_id for row in booked}
    main, *others = booked
    assert [f"{main.id}-a1", f"{main.id}-a2"] == [row.id for row in others]
    assert completion.cost.amount == main.cost
    assert [row.cost for row in others] == [p.cost.amount for p in completion.gathered.partials]


async def test_the_merged_answer_streams(opened, vendor):
    """The main model's answer comes piece by piece, once the others are whole."""
    vendor.will("a", "甲说")
    vendor.will("main", "合并了")
    async with opened() as gateway:
        exchange = await gateway.prepare(
            ChatCall(model="main", query="q", aggregate=("a",)), stream=True
        )
        texts = []
        async with aclosing(gateway.run(exchange)) as batches:
            async for batch in batches:
                assert "甲说" == exchange.gathered.partials[0].text
                texts += [delta.text for delta in batch if delta.text]
    assert ["合", "并了"] == texts
    assert [False, True] == [request.stream for request in vendor.requests]


async def test_a_failing_model_is_reported_and_left_out(opened, vendor, rows):
    """One model's failure is told beside the others' answers, and does not fail the call."""
    vendor.will("a", ProviderUnavailable("gone"))
    vendor.will("b", "乙说")
    async with opened() as gateway:
        completion = await gateway.chat(ChatCall(model="main", query="q", aggregate=("a", "b")))
        booked = await rows(gateway)
    failed, good = completion.gathered.partials
    assert isinstance(failed.error, ProviderUnavailable)
    assert ("", "乙说") == (failed.text, good.text)
    assert {"failed", "ok"} == {row.outcome for row in booked}


async def test_a_fault_in_a_providers_code_is_reported_too(opened, vendor):
    """A bug in one plugin does not take the other answers with it."""
    vendor.will("a", KeyError("bug"))
    async with opened() as gateway:
        completion = await gateway.chat(ChatCall(model="main", query="q", aggregate=("a", "b")))
    assert completion.gathered.partials[0].error is not None
    assert "好" == completion.text


async def test_where_all_fail_the_main_model_answers_alone(opened, vendor):
    """With no partial answer at all the main model gets the plain question, and a note says so."""
    vendor.will("a", ProviderUnavailable("gone"))
    async with opened() as gateway:
        completion = await gateway.chat(ChatCall(model="main", query="为什么？", aggregate=("a",)))
    assert "为什么？" == vendor.asked("main")[0].messages[-1].text
    assert any("alone" in note for note in completion.notes)


async def test_a_slow_model_is_not_waited_for(opened, vendor):
    """After `wait_s` the others are merged without it, and its connection is closed."""
    vendor.will("a", asyncio.Event())
    async with opened(aggregate={"wait_s": 0.05}) as gateway:
        completion = await gateway.chat(ChatCall(model="main", query="q", aggregate=("a", "b")))
    assert isinstance(completion.gathered.partials[0].error, ProviderTimeout)
    assert "a" in vendor.closed


async def test_a_failing_main_model_fails_the_call(opened, vendor, rows):
    """Nobody merges: the error is the main model's, and what the others used is booked all the same."""
    vendor.will("main", ProviderUnavailable("gone"))
    async with opened() as gateway:
        with pytest.raises(ProviderUnavailable):
            await gateway.chat(ChatCall(model="main", query="q", aggregate=("a",)))
        assert ["failed", "ok"] == [row.outcome for row in await rows(gateway)]


async def test_hanging_up_closes_every_model(opened, vendor, rows):
    """A caller that leaves closes all connections, and each request is booked as cancelled."""
    vendor.will("a", asyncio.Event())
    vendor.will("b", asyncio.Event())
    async with opened() as gateway:
        task = asyncio.create_task(
            gateway.chat(ChatCall(model="main", query="q", aggregate=("a", "b")))
        )
        while len(vendor.requests) < 2:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert {"a", "b"} == set(vendor.closed)
        assert ["cancelled"] * 3 == [row.outcome for row in await rows(gateway)]


async def test_partial_answers_are_screened(opened, vendor, tmp_path):
    """A blocked word in a partial answer ends that answer, not the call."""
    words = tmp_path / "words.txt"
    words.write_text("坏词\n", "utf-8")
    vendor.will("a", "这是坏词")
    async with opened(sensitive={"wordlists": [str(words)]}) as gateway:
        completion = await gateway.chat(ChatCall(model="main", query="q", aggregate=("a", "b")))
        with pytest.raises(SensitiveContent):
            await gateway.chat(ChatCall(model="main", query="坏词", aggregate=("a",)))
    assert isinstance(completion.gathered.partials[0].error, SensitiveContent)
    assert "坏词" not in vendor.asked("main")[0].messages[-1].text
    assert 3 == len(vendor.requests)


@pytest.mark.parametrize(
    ("models", "error"),
    [
        (("a", "nobody"), UnknownModel),
        (("a", "painter"), InvalidParameter),
        (("a", "b", "c"), InvalidParameter),
    ],
)
async def test_models_are_checked_before_anybody_is_asked(opened, vendor, models, error):
    """An unknown model, one that does not chat, or one too many is refused for free."""
    async with opened(aggregate={"max_models": 2}) as gateway:
        with pytest.raises(error):
            await gateway.chat(ChatCall(model="main", query="q", aggregate=models))
    assert [] == vendor.requests


async def test_a_key_must_allow_every_model(opened, vendor):
    """A model that the caller's key may not use cannot be reached through another's aggregation."""
    caller = Caller(key="k", name="n", models=frozenset({"main", "a"}))
    async with opened() as gateway:
        with pytest.raises(PermissionDenied):
            await gateway.chat(
                ChatCall(model="main", query="q", aggregate=("a", "b")), caller=caller
            )
    assert [] == vendor.requests


async def test_a_model_named_twice_is_asked_once(opened, vendor):
    """Names of the same model count once, aliases included; the main model may be among them."""
    async with opened() as gateway:
        completion = await gateway.chat(
            ChatCall(model="main", query="q", aggregate=("a", "a", "chief", "main"))
        )
    assert ["a", "chief"] == [p.model for p in completion.gathered.partials]
    assert 2 == len(vendor.asked("main"))


async def test_partial_answers_fit_the_main_models_window(opened, vendor):
    """Answers longer than the main model has room for are cut, and a note says so."""
    vendor.will("a", "长" * 50_000)
    async with opened() as gateway:
        completion = await gateway.chat(ChatCall(model="main", query="q", aggregate=("a", "b")))
    assert 5000 > len(vendor.asked("main")[0].messages[-1].text)
    assert 50_000 == len(completion.gathered.partials[0].text)
    assert any("shortened" in note for note in completion.notes)


async def test_only_the_main_model_is_held_to_a_form(opened, vendor):
    """JSON is the main model's to give: the others answer in plain text, within their own limits."""
    vendor.will("main", '{"a":1}')
    params = ChatParams(response_format=ResponseFormat("json_object"), max_tokens=500)
    async with opened() as gateway:
        completion = await gateway.chat(
            ChatCall(model="main", query="q", aggregate=("b",), params=params)
        )
    assert ('{"a":1}', True) == (completion.text, completion.is_json)
    assert (None, 50) == (
        vendor.asked("b")[0].params.response_format,
        vendor.asked("b")[0].params.max_tokens,
    )


async def test_pictures_go_to_every_model_that_sees(opened, vendor):
    """What is asked about goes along with the question and its answers; a model that cannot see is reported."""
    picture = ImagePart(f"data:image/png;base64,{PIXEL}")
    async with opened() as gateway:
        completion = await gateway.chat(
            ChatCall(model="main", query="q", attachments=(picture,), aggregate=("a", "b"))
        )
    assert ["a", "main"] == [request.model for request in vendor.requests]
    for request in vendor.requests:
        assert any(isinstance(part, ImagePart) for part in request.messages[-1].content)
    assert isinstance(completion.gathered.partials[1].error, InvalidParameter)


async def test_a_whole_conversation_can_be_aggregated(opened, vendor):
    """A call by messages works as one by query does."""
    async with opened() as gateway:
        await gateway.chat(
            ChatCall(model="main", messages=(Message("user", "问"),), aggregate=("a",))
        )
    assert "问" == vendor.asked("a")[0].messages[-1].text
    assert "好" in vendor.asked("main")[0].messages[-1].text
