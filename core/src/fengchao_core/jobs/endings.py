"""How tasks end, as the store keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

import orjson

from fengchao_core.clock import Clock
from fengchao_core.errors import FengChaoError, TaskEnded
from fengchao_core.jobs.failures import dump_failure
from fengchao_core.store.jobs import JobEnd, JobOutcome


class Endings:
    """
    Makes outcomes that hold as of now.

    Args:
        keep_s: how long an ended task is kept.
    """

    def __init__(self, clock: Clock, *, keep_s: float) -> None:
        self._clock = clock
        self._keep = timedelta(seconds=keep_s)

    def done(self, result: Mapping[str, object]) -> JobOutcome:
        """With a result. Raises `TypeError` where it is not JSON."""
        return self._outcome("done", result=orjson.dumps(result))

    def failed(self, error: FengChaoError) -> JobOutcome:
        """With the error that whoever asks is told."""
        return self._outcome("failed", failure=dump_failure(error))

    def ended(
        self, reason: Literal["cancelled", "expired", "interrupted", "too long", "incident"]
    ) -> JobOutcome:
        """Without a result, and not because of what was asked."""
        state: JobEnd = "cancelled" if reason == "cancelled" else "failed"
        return self._outcome(state, failure=dump_failure(TaskEnded(reason)))

    def _outcome(
        self, state: JobEnd, *, result: bytes | None = None, failure: bytes | None = None
    ) -> JobOutcome:
        now = self._clock.now()
        return JobOutcome(
            state=state,
            ended_at=now,
            keep_until=now + self._keep,
            result=result,
            failure=failure,
        )
