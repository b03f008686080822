"""The SDK examples of the product text, run as they stand but for the keys, the address and the model."""

import asyncio

import pytest
from tenacity import RetryCallState

from fengchao import (
    ChatCompletionResponse,
    FengChao,
    FengChaoAsync,
    FinalResponse,
    ModelList,
    Retry,
)


@pytest.fixture(autouse=True)
def address(monkeypatch, service):
    """The examples name no address: it comes from the environment."""
    monkeypatch.setenv("FENGCHAO_BASE_URL", service.url)


@pytest.fixture
def pair(keys):
    """The two keys."""
    return {"api_key": keys["api_key"], "secret_key": keys["secret_key"]}


def test_models(pair):
    """查看支持的模型: the result prints with the fields the product text shows, in its order."""
    fengchao = FengChao(**pair)
    result = fengchao.models()
    fengchao.close()
    assert isinstance(result.data, ModelList)
    shown = repr(result)
    fields = [
        "id=",
        "owned_by=",
        "max_input_token=",
        "max_output_token=",
        "price=",
        "unit=",
        "mode=",
        "channel=",
    ]
    places = [shown.index(field) for field in fields]
    assert sorted(places) == places


def test_invoke(pair):
    """同步对话."""
    fengchao = FengChao(**pair)
    result = fengchao.chat("Qwen1.5-0.5B-Chat", query="介绍一下北京", mode="invoke")
    fengchao.close()
    assert (200, "执行成功") == (result.status, result.msg)
    assert isinstance(result.data, ChatCompletionResponse)
    assert "ChatMessage(role='assistant', content='你问：介绍一下北京')" == repr(
        result.data.choices[0].message
    )


def test_async_task(pair):
    """异步对话, against a service that offers it: the data is the id of the task."""
    fengchao = FengChao(**pair)
    result = fengchao.chat("Qwen1.5-0.5B-Chat", query="介绍一下北京", mode="async")
    fengchao.close()
    assert (
        FinalResponse(msg="执行成功", status=200, data="615d5fa4697fbc63cbe7b2774c96a71b") == result
    )


def test_stream(pair):
    """流式对话: one event per piece, the last one empty, with the finish reason and the usage."""
    fengchao = FengChao(**pair)
    result = fengchao.chat("Qwen1.5-0.5B-Chat", query="介绍一下北京", mode="stream")
    events = [r for r in result]  # noqa: C416  # as the product text iterates
    fengchao.close()
    last = events[-1].data
    assert ("", "stop", len(events) - 1) == (
        last.choices[0].message.content,
        last.choices[0].finish_reason,
        last.choices[0].index,
    )
    assert (7, 9, 16) == (
        last.usage.prompt_tokens,
        last.usage.completion_tokens,
        last.usage.total_tokens,
    )


def test_coroutines(pair):
    """协程: ten tasks on a loop run by hand."""
    f = FengChaoAsync(**pair)
    loop = asyncio.new_event_loop()
    tasks = [
        loop.create_task(f.chat("Qwen1.5-0.5B-Chat", query="请以北京为主题写一篇文章"))
        for _ in range(10)
    ]
    wait_coro = asyncio.wait(tasks)
    loop.run_until_complete(wait_coro)
    assert [200] * 10 == [task.result().status for task in tasks]
    loop.close()


def test_retry(pair, capsys):
    """重试机制: a subclass of Retry whose `before` does something of its own."""

    class MyRetry(Retry):
        retry_num = 2

        def before(self, retry_status: RetryCallState) -> None:  # the hook's shape
            self.fun()

        def fun(self):
            print("测试效果")  # noqa: T201  # as the product text has it

    f = FengChao(**pair)
    result = f.chat(
        "Qwen1.5-0.5B-Chat",
        query="请以北京为主题写一篇文章",
        is_sensitive=False,
        retry_action=MyRetry(),
    )
    f.close()
    assert 200 == result.status
    assert "测试效果\n" == capsys.readouterr().out
