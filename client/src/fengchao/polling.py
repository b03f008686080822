"""Waiting for a task: asked for again and again, until it has ended or the time is up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fengchao.errors import ResultNotReadyError
from fengchao.wire.models import ChatCompletionResponse, FinalResponse


async def polled(
    ask: Callable[[], Awaitable[FinalResponse[ChatCompletionResponse]]],
    *,
    interval_s: float,
    timeout_s: float | None,
) -> FinalResponse[ChatCompletionResponse]:
    """
    The result of a task.

    Args:
        interval_s: between two questions.
        timeout_s: how long to go on asking; None: until the task has ended, which the service sees to.

    Raises:
        ResultNotReadyError: the time is up, and the task has not ended.
        FengChaoAPIError: what else asking raises: what the task failed with, among others.
    """
    clock = asyncio.get_running_loop().time
    until = None if timeout_s is None else clock() + timeout_s
    while True:
        try:
            return await ask()
        except ResultNotReadyError:
            if until is not None and clock() + interval_s > until:
                raise
        await asyncio.sleep(interval_s)
