"""Chats in the vendor's own time: submitted, asked for, done or failed."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from fengchao_core.errors import (
    ContentRefused,
    InvalidParameter,
    ProviderError,
    ProviderProtocolError,
    ProviderUnavailable,
    QuotaExhausted,
    RequestRejected,
)
from fengchao_core.testing import ScriptedVendor, json_answer, open_provider, open_sandboxed
from fengchao_core.types import ChatParams, ChatRequest, Message, Tool, Usage
from fengchao_zhipu import SANDBOX, SPEC, tasks
from fengchao_zhipu.provider import ZhipuProvider
from fengchao_zhipu.sandbox import API_KEY
from fengchao_zhipu.wire import classify

Recorded = dict[str, dict[str, Any]]


def ask(text: str, model: str = "glm-4", **params: Any) -> ChatRequest:
    """A request of one user message."""
    return ChatRequest(
        model=model,
        messages=(Message("user", text),),
        params=ChatParams(**params),
        stream=True,
        request_id="req-async-1",
    )


def read(body: object) -> Any:
    """What a reply about a task says."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return tasks.decode_result(data, "zhipu", classify)


async def test_the_requests_are_the_sdks(recorded: Recorded) -> None:
    """A task is submitted, never streamed, and asked for as the vendor's SDK does, but for the id's suffix."""
    create, result = (recorded[name]["expected"] for name in ("async_create", "async_result"))
    task_id = recorded["async_result"]["input"]["arguments"]["id"]
    async with ScriptedVendor() as vendor:
        vendor.answers(
            json_answer({"id": task_id, "request_id": "r", "task_status": "PROCESSING"}),
            json_answer({"id": task_id, "task_status": "PROCESSING"}),
        )
        base_url = f"{vendor.base_url}/api/paas/v4"
        async with open_provider(SPEC, {"base_url": base_url, "api_key": API_KEY}) as provider:
            assert isinstance(provider, ZhipuProvider)
            task = await provider.submit(ask("长文"))
            assert None is await provider.result(task.id)
        submitted, asked = vendor.requests
    assert (task_id, "r") == (task.id, task.request_id)
    assert [create["method"], result["method"]] == [submitted.method, asked.method]
    assert create["url"].endswith(submitted.target)
    assert result["url"].endswith(asked.target)
    expected = {name: value for name, value in create["body"].items() if value is not None}
    body = submitted.json()
    assert body.pop("request_id").startswith(expected.pop("request_id") + "-")
    assert expected == body


def test_the_answers_are_read(recorded: Recorded) -> None:
    """The recorded results are understood: not yet, done with text and usage, failed."""
    bodies = {
        name: recorded[f"async_{name}"]["http"]["body"].encode()
        for name in ("processing", "success", "fail")
    }
    assert None is read(bodies["processing"])
    done = read(bodies["success"])
    assert ("完成", "stop", "glm-4", "zhipu", "86540", 1712345678) == (
        done.text,
        done.choices[0].finish_reason,
        done.model,
        done.provider,
        done.request_id,
        done.created,
    )
    assert Usage(9, 4) == done.usage
    with pytest.raises(ProviderError) as caught:
        read(bodies["fail"])
    assert (ProviderError, "FAIL", False) == (
        type(caught.value),
        caught.value.vendor_code,
        caught.value.retryable,
    )


@pytest.mark.parametrize(
    "nonsense",
    [b"", b"[]", {}, {"task_status": "LOST"}, {"task_status": "SUCCESS"}, {"task_status": 1}],
)
def test_nonsense_is_a_protocol_error(nonsense: object) -> None:
    """A reply that is not about a task, of an unknown status, or done without an answer, is nonsense."""
    with pytest.raises(ProviderProtocolError):
        read(nonsense)


def test_errors_under_status_200_are_errors() -> None:
    """An error in place of a task has the class of its code."""
    body = orjson.dumps({"error": {"code": "1113", "message": "欠费"}})
    with pytest.raises(QuotaExhausted):
        read(body)
    with pytest.raises(QuotaExhausted):
        tasks.decode_task(body, (), classify)


def test_a_task_may_fail_at_once() -> None:
    """A task that is created as failed is an error, not an id to wait for."""
    with pytest.raises(ProviderError) as caught:
        tasks.decode_task(b'{"id": "t", "task_status": "FAIL"}', (), classify)
    assert "FAIL" == caught.value.vendor_code


def test_ids_stay_within_their_path() -> None:
    """Whatever an id holds, it names a task and no other path."""
    assert "/async-result/..%2Ffiles%3Fa%23b" == tasks.result_path("../files?a#b")


async def sandboxed_result(request: ChatRequest) -> Any:
    """Submit against the sandbox, and ask twice."""
    async with open_sandboxed(SPEC, SANDBOX) as provider:
        assert isinstance(provider, ZhipuProvider)
        task = await provider.submit(request)
        assert None is await provider.result(task.id)
        return task, await provider.result(task.id)


async def test_a_task_gets_done() -> None:
    """A task is under way first and done later, with notes of what was adapted."""
    task, done = await sandboxed_result(ask("写一篇长文", temperature=0))
    assert "写一篇长文" in done.text
    assert done.usage.completion_tokens > 0
    assert task.request_id == done.request_id
    (note,) = task.notes
    assert "temperature" in note


async def test_tasks_think_and_search() -> None:
    """Thinking is told apart in a task's answer, and what a search found travels beside it."""
    _, thought = await sandboxed_result(ask("你好", "glm-z1-air"))
    assert thought.choices[0].message.reasoning
    assert "<think>" not in thought.text
    search = Tool("web_search", body={"web_search": {"enable": True, "search_result": True}})
    _, found = await sandboxed_result(ask("新闻", tools=(search,)))
    assert "ref_1" == found.extra["web_search"][0]["refer"]


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        ("task_fail", ProviderError, "FAIL"),
        ("network_error", ProviderUnavailable, "network_error"),
        ("content_filter", ContentRefused, "1301"),
        ("arrears", QuotaExhausted, "1113"),
    ],
)
async def test_faults_become_errors(fault: str, kind: type[ProviderError], code: str) -> None:
    """A task that is refused, fails, or whose inference fails raises, each with its class."""
    with pytest.raises(ProviderError) as caught:
        await sandboxed_result(ask(f"你好 [[fault:{fault}]]"))
    assert (kind, code, "zhipu") == (
        type(caught.value),
        caught.value.vendor_code,
        caught.value.provider,
    )


async def test_what_the_vendor_lacks_is_refused_before_it_is_sent() -> None:
    """A feature that a chat lacks is refused for tasks, too; an unknown task is refused by the vendor."""
    async with open_sandboxed(SPEC, SANDBOX) as provider:
        assert isinstance(provider, ZhipuProvider)
        with pytest.raises(InvalidParameter):
            await provider.submit(ask("你好", n=2))
        with pytest.raises(RequestRejected) as caught:
            await provider.result("nothing")
        assert "1214" == caught.value.vendor_code
