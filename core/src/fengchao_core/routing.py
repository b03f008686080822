"""
Which deployment of a model is asked next.

A deployment is one provider that serves the model. The healthy ones are taken in weighted turn; one that failed several
times in a row rests for a while, after which a single request probes it. A resting deployment is still asked when there
is no other: refusing without trying helps nobody.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from fengchao_core.errors import ProviderAuthFailed, ProviderError, QuotaExhausted
from fengchao_core.provider import Provider
from fengchao_core.settings import RoutingSettings
from fengchao_core.types import ModelCard

_Result = TypeVar("_Result")
_CREDENTIALS = (ProviderAuthFailed, QuotaExhausted)


class Breaker:
    """
    Remembers how a deployment fares.

    Closed: asked in turn. Open: rests until a time. Half open: one probe is under way; its outcome decides.
    """

    __slots__ = ("_cooldown", "_failures", "_now", "_probing", "_settings", "_until")

    def __init__(self, settings: RoutingSettings, now: Callable[[], float]) -> None:
        self._settings = settings
        self._now = now
        self._failures = 0
        self._until = 0.0
        self._cooldown = settings.cooldown_s
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether it should be left alone now."""
        return self._until > 0 and (self._now() < self._until or self._probing)

    @property
    def until(self) -> float:
        """When the rest ends, on the clock that was given; 0 where it does not rest."""
        return self._until

    def started(self) -> None:
        """A request is about to be sent."""
        if self._until:
            self._probing = True

    def succeeded(self) -> None:
        """The request got its first delta."""
        self._failures = 0
        self._until = 0.0
        self._cooldown = self._settings.cooldown_s
        self._probing = False

    def failed(self, error: ProviderError) -> None:
        """The request failed on the vendor's side."""
        was_probe = self._probing
        self._probing = False
        if not (error.retryable or isinstance(error, _CREDENTIALS)):
            return  # the request was at fault, not the deployment
        self._failures += 1
        if error.retry_after:
            self._until = self._now() + min(error.retry_after, self._settings.max_cooldown_s)
        elif was_probe or self._failures >= self._settings.failures:
            self._until = self._now() + self._cooldown
            self._cooldown = min(self._cooldown * 2, self._settings.max_cooldown_s)

    def abandoned(self) -> None:
        """The request ended without telling anything of the deployment: its caller left, say."""
        self._probing = False


@dataclass(slots=True)
class Deployment:
    """One provider that serves a model."""

    provider_name: str
    provider: Provider
    card: ModelCard
    breaker: Breaker
    weight: int = 1
    credit: int = field(default=0, repr=False)


class Route:
    """The order in which one call tries deployments: those of its model, then those of its fallbacks."""

    __slots__ = ("_asked", "_groups")

    def __init__(self, groups: Sequence[Sequence[Deployment]]) -> None:
        self._groups = groups
        self._asked: list[Deployment] = []

    def next(self) -> Deployment:
        """
        The deployment to ask now.

        Healthy before resting, not yet asked in this call before asked, own model before fallback; when all were
        asked, the round starts again.
        """
        if not self._asked and len(group := self._groups[0]) == 1 and not group[0].breaker.is_open:
            # As below, for the usual call: its first, of a model that one provider serves.
            self._asked.append(group[0])
            group[0].breaker.started()
            return group[0]
        best: Deployment | None = None
        for group in self._groups:
            fresh = [d for d in group if d not in self._asked]
            healthy = [d for d in fresh if not d.breaker.is_open]
            if healthy:
                best = _take_turn(healthy)
                break
        if best is None:
            everyone = [d for group in self._groups for d in group]
            fresh = [d for d in everyone if d not in self._asked]
            if not fresh:
                self._asked.clear()
                fresh = [d for d in everyone if not d.breaker.is_open] or everyone
            best = min(fresh, key=lambda d: d.breaker.until)
        self._asked.append(best)
        best.breaker.started()
        return best

    async def ask(self, question: Callable[[Deployment], Awaitable[_Result]]) -> _Result:
        """
        Put a question to the next deployment, and remember how it fared.

        A deployment whose credentials or credit fail is passed over at once for the next that was not asked yet: the
        others may well answer, and waiting mends nothing.

        Raises:
            what the question raised for the deployment asked last; a `ProviderError` names its provider.
        """
        while True:
            deployment = self.next()
            try:
                result = await question(deployment)
            except BaseException as error:
                if self.passes_over(deployment, error):
                    continue
                raise
            deployment.breaker.succeeded()
            return result

    def passes_over(self, deployment: Deployment, error: BaseException) -> bool:
        """Remember that a deployment failed so, and name it. Returns whether the next shall be asked at once."""
        if not isinstance(error, ProviderError):
            deployment.breaker.abandoned()
            return False
        deployment.breaker.failed(error)
        error.provider = error.provider or deployment.provider_name
        return isinstance(error, _CREDENTIALS) and self._has_more()

    def _has_more(self) -> bool:
        return any(d not in self._asked for group in self._groups for d in group)


def _take_turn(deployments: Sequence[Deployment]) -> Deployment:
    """Smooth weighted round robin: each gains its weight, the richest pays for all and is taken."""
    if len(deployments) == 1:
        return deployments[0]
    total = 0
    for deployment in deployments:
        deployment.credit += deployment.weight
        total += deployment.weight
    best = max(deployments, key=lambda d: d.credit)
    best.credit -= total
    return best
