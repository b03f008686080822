"""
Which errors are tried again, how often, and how long to wait: one policy, on tenacity.

It applies before the first delta only: what a caller has seen is never repeated.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from fengchao_core.errors import ProviderError

if TYPE_CHECKING:
    from tenacity import AsyncRetrying, RetryCallState

    from fengchao_core.settings import RetrySettings

_Result = TypeVar("_Result")


class Retry:
    """
    How a caller steers the retries of one call: subclass it and override what you need.

    Attributes:
        retry_num: attempts at most, the first included.
    """

    retry_num: int = 3

    def before(self, retry_state: RetryCallState) -> None:
        """Called before each attempt, the first included."""

    def before_sleep(self, retry_state: RetryCallState) -> None:
        """Called after a failed attempt, before waiting for the next."""

    def after(self, retry_state: RetryCallState) -> None:
        """Called after each failed attempt."""


class RetryPolicy:
    """
    The one policy.

    Only a `ProviderError` that says it is `retryable` is tried again, and only while the vendor does not ask for a
    longer wait than `max_wait_s`.
    """

    def __init__(self, settings: RetrySettings) -> None:
        self._settings = settings

    async def run(
        self, attempt: Callable[[], Awaitable[_Result]], retry: Retry | None, remaining_s: float
    ) -> _Result:
        """
        Run an attempt until it succeeds or is given up.

        Args:
            retry: the caller's own steering, instead of the settings' number of attempts.
            remaining_s: the time left for waits; a wait that would pass it is not begun.

        Raises:
            what the last attempt raised.
        """
        if retry is not None:
            return await self._controller(retry, remaining_s)(attempt)
        # Most calls succeed at once: the machinery is built only for those that do not, which costs each of the
        # others some 20 microseconds less. It is handed the failure as its own first attempt.
        try:
            return await attempt()
        except ProviderError as error:
            if not self._again(error):
                raise
            failures = [error]

        async def replay() -> _Result:
            if failures:
                raise failures.pop()
            return await attempt()

        return await self._controller(None, remaining_s)(replay)

    def _controller(self, retry: Retry | None, remaining_s: float) -> AsyncRetrying:
        import tenacity  # loaded with the first failure

        settings, steer = self._settings, retry or Retry()
        attempts = settings.attempts if retry is None else max(1, retry.retry_num)
        backoff = tenacity.wait_exponential(
            multiplier=settings.base_wait_s, max=settings.max_wait_s
        ) + tenacity.wait_random(0, settings.base_wait_s)

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.retry_after if isinstance(error, ProviderError) else None
            return asked if asked is not None else backoff(state)

        return tenacity.AsyncRetrying(
            stop=tenacity.stop_any(
                tenacity.stop_after_attempt(attempts), tenacity.stop_before_delay(remaining_s)
            ),
            wait=wait,
            retry=tenacity.retry_if_exception(self._again),
            before=steer.before,
            before_sleep=steer.before_sleep,
            after=steer.after,
            reraise=True,
        )

    def _again(self, error: BaseException) -> bool:
        return (
            isinstance(error, ProviderError)
            and error.retryable
            and (error.retry_after or 0) <= self._settings.max_wait_s
        )
