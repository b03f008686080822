"""What a user who checks types may write, and be told: read by mypy, not run. `test_typing.py` says what is expected of it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import assert_type

from tenacity import RetryCallState

from fengchao import (
    AnswerStream,
    AsyncAnswerStream,
    ChatCompletionResponse,
    FengChao,
    FengChaoAPIError,
    FengChaoAsync,
    FileList,
    FinalResponse,
    KGList,
    ModelList,
    Progress,
    PromptList,
    RateLimitError,
    Retry,
    TaskCard,
    TaskList,
    UsageReport,
)
from fengchao_core import Gateway, Settings

Answer = FinalResponse[ChatCompletionResponse]


class Twice(Retry):
    """A user's Retry."""

    retry_num = 2

    def before(self, retry_status: RetryCallState) -> None:
        """Before an attempt."""
        assert_type(retry_status.attempt_number, int)


def report(progress: Progress) -> None:
    """A user's progress."""
    assert_type((progress.name, progress.sent / progress.total), tuple[str, float])


def opening() -> AbstractAsyncContextManager[Gateway]:
    """A gateway."""
    return Gateway.open(Settings.load())


def lists(client: FengChao) -> None:
    """Lists have their cards."""
    assert_type(client.models(), FinalResponse[ModelList])
    assert_type(client.prompts(), FinalResponse[PromptList])
    assert_type(client.kgs(), FinalResponse[KGList])
    assert_type(client.models().unwrap().data[0].in_price, float | None)
    assert_type(client.usage(by="day", since="2026-11-01"), FinalResponse[UsageReport])
    assert_type(client.tasks(10).unwrap(), TaskList)
    assert_type(client.cancel_task("id").unwrap(), TaskCard)
    uploaded = client.upload_files([Path("a.txt"), "b.txt"], progress=report)
    assert_type(uploaded.unwrap(), FileList)
    assert_type(client.files(), FinalResponse[FileList])
    assert_type(client.delete_file(uploaded.unwrap().data[0].id), FinalResponse[None])


def chats(client: FengChao) -> None:
    """The mode decides what a chat gives."""
    whole = client.chat(
        "glm-4",
        query="q",
        prompt="{{query}}{{tone}}",
        prompt_fill={"tone": "正式", "words": 100},
        history=[{"role": "user", "content": "你好"}],
        image="a.png",
        files=["a.txt"],
        agg_models=["gpt-4o"],
        search_param={"top_k": 5, "score": 0.1},
        json_schema={"type": "object"},
        retry_action=Twice(),
        timeout=5,
    )
    assert_type(whole, Answer)
    assert_type(whole.unwrap().choices[0].message.content, str)
    again = client.chat("glm-4", query="q", history=[whole.unwrap().choices[0].message])
    assert_type(again.unwrap().usage.cost, float)
    stream = client.chat("glm-4", query="q", mode="stream", resumable=True)
    assert_type(stream, AnswerStream)
    with stream:
        for event in stream:
            assert_type(event, Answer)
    submitted = client.chat("glm-4", query="q", mode="async", max_tokens=10)
    assert_type(submitted.unwrap(), str)
    assert_type(client.chat("glm-4", mode="async_result", task_id=submitted.unwrap()), Answer)
    assert_type(client.wait_for(submitted.unwrap(), timeout=60), Answer)
    assert_type(client.attach(stream.task_id or "", start=1), AnswerStream)
    assert_type(client.t2i("cogview-3-plus", "一只猫", n=2), Answer)
    assert_type(client.t2i("cogview-3-plus", "一只猫", mode="async").unwrap(), str)


async def side_by_side(client: FengChaoAsync) -> None:
    """The async client says the same."""
    assert_type(await client.models(), FinalResponse[ModelList])
    assert_type(await client.chat("glm-4", query="q"), Answer)
    async with await client.chat("glm-4", query="q", mode="stream") as stream:
        assert_type(stream, AsyncAnswerStream)
        async for event in stream:
            assert_type(event, Answer)
    task_id = (await client.chat("glm-4", query="q", mode="async")).unwrap()
    assert_type(await client.wait_for(task_id), Answer)
    assert_type(client.attach(task_id), AsyncAnswerStream)
    assert_type((await client.t2i("cogview-3-plus", "一只猫", mode="async")).unwrap(), str)
    assert_type((await client.upload_files("a.txt", progress=True)).unwrap(), FileList)
    assert_type(await client.usage(), FinalResponse[UsageReport])


def made() -> None:
    """Clients are made for a service, from settings, and over a gateway; failures have facts."""
    lists(FengChao("key", "secret", "http://127.0.0.1:8000", errors="raise", timeout=60))
    chats(FengChao(settings=Settings.load()))
    try:
        FengChao(gateway=opening).models()
    except RateLimitError as error:
        assert_type(error.retry_after_s, float | None)
    except FengChaoAPIError as error:
        assert_type((error.status, error.msg), tuple[int, str])


def mistakes(client: FengChao) -> None:
    """Each is refused by the checker: strict mypy complains of an `ignore` that nothing needs."""
    client.chat("glm-4", query=1)  # type: ignore[call-overload]
    client.chat("glm-4", query="q", mode="sync")  # type: ignore[call-overload]
    client.chat("glm-4", query="q", mode="stream", no_such=1)  # type: ignore[call-overload]
    client.usage(by="week")  # type: ignore[arg-type]
    _ = client.models().data.data  # type: ignore[union-attr]
    FengChao(errors="ignore")  # type: ignore[arg-type]
