"""The one retry policy."""

import pytest

from fengchao_core import Retry
from fengchao_core.errors import ProviderUnavailable, RateLimited, RequestRejected
from fengchao_core.retry import RetryPolicy
from fengchao_core.settings import RetrySettings

FAST = RetrySettings(attempts=3, base_wait_s=0, max_wait_s=0.01)


class Attempts:
    """Fails with the given errors in turn, then succeeds."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.count = 0

    async def __call__(self):
        self.count += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


async def test_a_retryable_error_is_tried_again():
    """Failures that may pass are tried again until one attempt succeeds."""
    attempts = Attempts(ProviderUnavailable("1"), ProviderUnavailable("2"))
    answer = await RetryPolicy(FAST).run(attempts, None, 10)
    assert ("answer", 3) == (answer, attempts.count)


async def test_the_number_of_attempts_is_bounded():
    """After the last attempt its error is raised as it is."""
    attempts = Attempts(*(ProviderUnavailable(str(i)) for i in range(5)))
    with pytest.raises(ProviderUnavailable, match="2"):
        await RetryPolicy(FAST).run(attempts, None, 10)
    assert attempts.count == 3


async def test_what_will_not_pass_is_not_tried_again():
    """A request the vendor calls malformed is asked once."""
    attempts = Attempts(RequestRejected("bad"))
    with pytest.raises(RequestRejected):
        await RetryPolicy(FAST).run(attempts, None, 10)
    assert attempts.count == 1


async def test_a_long_wait_is_not_waited():
    """A vendor that asks for a longer wait than allowed gets no second attempt."""
    attempts = Attempts(RateLimited("later", retry_after=60))
    with pytest.raises(RateLimited):
        await RetryPolicy(FAST).run(attempts, None, 10)
    assert attempts.count == 1


async def test_no_wait_passes_the_time_left():
    """A wait that would pass the call's time limit is not begun."""
    attempts = Attempts(*(RateLimited("later", retry_after=5) for _ in range(3)))
    slow = RetrySettings(attempts=3, max_wait_s=10)
    with pytest.raises(RateLimited):
        await RetryPolicy(slow).run(attempts, None, 1)
    assert attempts.count == 1


async def test_a_callers_retry_steers():
    """A subclass of Retry sets the number of attempts, and its hooks are called as tenacity calls them."""
    seen = []

    class Mine(Retry):
        retry_num = 2

        def before(self, retry_state):
            seen.append(("before", retry_state.attempt_number))

        def before_sleep(self, retry_state):
            seen.append(("sleep", retry_state.attempt_number))

        def after(self, retry_state):
            seen.append(("after", retry_state.attempt_number))

    attempts = Attempts(ProviderUnavailable("1"), ProviderUnavailable("2"))
    with pytest.raises(ProviderUnavailable):
        await RetryPolicy(FAST).run(attempts, Mine(), 10)
    assert [("before", 1), ("after", 1), ("sleep", 1), ("before", 2), ("after", 2)] == seen
