"""
How a call is tried again: a user's `Retry`, run by tenacity.

Only failures that say they are `retryable` are tried again: no connection, a time limit, HTTP 429, 502, 503 and 504. A
stream is never tried again once it has shown something.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from fengchao.errors import FengChaoAPIError

if TYPE_CHECKING:
    from tenacity import AsyncRetrying, RetryCallState

log = logging.getLogger("fengchao")

T = TypeVar("T")

FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 5.0
LONGEST_ASKED_WAIT_S = 30.0
"""A service that asks for a longer wait is not waited for: its answer is handed on instead."""


class Retry:
    """
    How a call is tried again. Subclass it, override what you need and give an instance as `retry_action`.

    The hooks run on the client's event loop, so they should return quickly; an exception in one of them ends the call.

    Attributes:
        retry_num: attempts at most, the first included. A `try_num` given to the call goes before it.
    """

    retry_num: int = 3

    def before(self, retry_status: RetryCallState) -> None:
        """Called before each attempt, the first included."""

    def before_sleep(self, retry_status: RetryCallState) -> None:
        """Called after a failed attempt, before the wait for the next."""

    def after(self, retry_status: RetryCallState) -> None:
        """Called after each failed attempt."""


class _Counted(Retry):
    """Another's hooks with a number of attempts of one's own."""

    def __init__(self, hooks: Retry, attempts: int) -> None:
        self.retry_num = attempts
        self.before = hooks.before  # type: ignore[method-assign]  # the very hooks, not copies of them
        self.before_sleep = hooks.before_sleep  # type: ignore[method-assign]  # as above
        self.after = hooks.after  # type: ignore[method-assign]  # as above


def steered(retry_action: Retry | None, try_num: int | None) -> Retry | None:
    """What the two arguments of a call mean together; None where neither was given."""
    if try_num is None:
        return retry_action
    return _Counted(retry_action or Retry(), try_num)


async def with_retries(attempt: Callable[[], Awaitable[T]], retry: Retry | None) -> T:
    """
    Run an attempt until it succeeds or is given up.

    Raises:
        FengChaoAPIError: what the last attempt raised.
    """

    async def once() -> T:  # tenacity awaits coroutine functions only, not what a lambda returns
        return await attempt()

    return await _controller(retry or Retry())(once)


def _controller(retry: Retry) -> AsyncRetrying:
    # Here, because tenacity takes longer to import than everything else of this package together.
    from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

    return AsyncRetrying(
        stop=stop_after_attempt(max(1, retry.retry_num)),
        wait=_wait,
        retry=retry_if_exception(_again),
        before=retry.before,
        before_sleep=_logged(retry.before_sleep),
        after=retry.after,
        reraise=True,
    )


def _again(error: BaseException) -> bool:
    return (
        isinstance(error, FengChaoAPIError)
        and error.retryable
        and (error.retry_after_s or 0) <= LONGEST_ASKED_WAIT_S
    )


def _wait(state: RetryCallState) -> float:
    from tenacity import wait_random_exponential

    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, FengChaoAPIError) and error.retry_after_s is not None:
        return error.retry_after_s
    return wait_random_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S)(state)


def _logged(hook: Callable[[RetryCallState], None]) -> Callable[[RetryCallState], None]:
    def before_sleep(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        status = error.status if isinstance(error, FengChaoAPIError) else None
        log.debug("client.retry attempt=%d status=%s", state.attempt_number, status)
        hook(state)

    return before_sleep
