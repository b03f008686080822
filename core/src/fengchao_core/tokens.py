"""
Vendor tokens that expire: fetched or signed on demand, once for everybody, and never handed out stale.

`Token` and `TokenManager` are all there is. The manager knows no vendor: the plugin gives it an `issue` function (pure
signing, or a call to the vendor's token endpoint), it decides when that function runs. It starts no task and no timer:
the caller who needs a token first fetches it, and the others wait for that one.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from fengchao_core.clock import Clock
from fengchao_core.errors import ProviderAuthFailed
from fengchao_core.logs import Log

log = Log()

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Token:
    """
    A credential that lives for a while. Its value never shows in a repr.

    Attributes:
        expires_at: the aware UTC instant from which the vendor no longer takes it.
    """

    value: str = field(repr=False)
    expires_at: datetime


Issue = Callable[[datetime], Token | Awaitable[Token]]
"""Makes a token, given the time by the vendor's clock. Plain or async."""


class TokenManager:
    """
    Hands out one vendor token to any number of concurrent callers of one event loop.

    - Single flight: a thousand callers who find no fresh token cause one issue. When it fails, all who waited for it
      get its error; who comes later tries anew.
    - Cancelling the caller whose issue is under way fails nobody else: the next one in line issues.
    - A token is handed out while at least `margin_s` of its life (or half of it, where it lives shorter than that)
      is left.
    - A wrong local clock is repaired from the vendor's `Date` header, see `observe_date`.

    Args:
        issue: makes a token; gets the time by the vendor's clock, as far as it is known.
        clock: the local time.
        name: the provider's name, for logs and errors.
        margin_s: how long before its expiry a token counts as stale, in seconds.
        skew_tolerance_s: by how much the vendor's clock may differ before its time is taken instead of ours.
    """

    __slots__ = (
        "_clock",
        "_failed",
        "_failure",
        "_issue",
        "_lock",
        "_margin",
        "_name",
        "_reported",
        "_skew",
        "_stale_at",
        "_token",
        "_tolerance_s",
    )

    def __init__(
        self,
        issue: Issue,
        clock: Clock,
        *,
        name: str = "",
        margin_s: float = 60.0,
        skew_tolerance_s: float = 5.0,
    ) -> None:
        self._issue = issue
        self._clock = clock
        self._name = name
        self._margin = timedelta(seconds=margin_s)
        self._tolerance_s = skew_tolerance_s
        self._lock = asyncio.Lock()
        self._token: Token | None = None
        self._stale_at = datetime.min.replace(tzinfo=UTC)
        self._skew = timedelta(0)
        self._reported = False
        self._failed = 0
        self._failure: Exception | None = None

    @property
    def skew_s(self) -> float:
        """By how many seconds the vendor's clock is taken to be ahead of ours."""
        return self._skew.total_seconds()

    def now(self) -> datetime:
        """The time by the vendor's clock, as far as it is known: an aware UTC instant."""
        return self._clock.now() + self._skew

    async def get(self) -> str:
        """
        A fresh token's value. Safe to cancel.

        Raises:
            ProviderAuthFailed: the tokens that are issued have expired already.
            Exception: whatever `issue` raised.
        """
        token = self._token
        if token is not None and self.now() < self._stale_at:
            return token.value
        failed_before = self._failed
        async with self._lock:
            for _ in range(_ATTEMPTS):
                if self._token is not None and self.now() < self._stale_at:
                    return self._token.value
                if self._failure is not None and self._failed != failed_before:
                    raise _twin(self._failure)
                await self._refresh()
            raise ProviderAuthFailed(
                f"the provider's tokens expired {_ATTEMPTS} times before they could be used; "
                "expected tokens that live longer than it takes to get them",
                provider=self._name,
            )

    def invalidate(self, token_value: str) -> None:
        """
        Forget a token that the vendor rejected, so that the next call gets a new one.

        A value that is no longer the current one is ignored: of many calls that were rejected with the same token, the
        first causes a refresh and the others find its result.
        """
        if self._token is not None and self._token.value == token_value:
            self._token = None

    def observe_date(self, header_value: str) -> None:
        """
        Learn the vendor's time from the `Date` header of an answer that just arrived.

        Where it differs from ours by more than the tolerance, tokens are issued by the vendor's time from now on, and
        that is reported once. A value that is not an HTTP date is ignored.
        """
        try:
            seen = parsedate_to_datetime(header_value)
        except (TypeError, ValueError, OverflowError):
            return
        if seen.tzinfo is None:  # "-0000": UTC from an unknown zone
            seen = seen.replace(tzinfo=UTC)
        ahead_s = (seen - self._clock.now()).total_seconds()
        if abs(ahead_s - self.skew_s) <= self._tolerance_s:
            return
        is_skewed = abs(ahead_s) > self._tolerance_s
        self._skew = timedelta(seconds=ahead_s if is_skewed else 0.0)
        if is_skewed and not self._reported:
            self._reported = True
            log.warning("token.clock_skew", provider=self._name, vendor_ahead_s=round(ahead_s, 1))

    async def _refresh(self) -> None:
        issued_at = self.now()
        try:
            made = self._issue(issued_at)
            token = await made if inspect.isawaitable(made) else made
            life = token.expires_at - issued_at
            if life <= timedelta(0):
                raise ProviderAuthFailed(
                    "the provider's token had already expired when it was issued; "
                    "expected an expiry in the future: check this machine's clock",
                    provider=self._name,
                )
        except Exception as error:
            self._failed += 1
            self._failure = _twin(error)
            raise
        self._token = token
        self._stale_at = token.expires_at - min(self._margin, life / 2)


def _twin(error: Exception) -> Exception:
    """An error of the same class and facts: each waiter raises its own, since the pipeline writes on what it catches."""
    twin = type(error).__new__(type(error))
    twin.args = error.args
    twin.__dict__.update(error.__dict__)
    return twin
