"""Signing as the transport wants it: an authoriser that knows the vendor's time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from typing_extensions import override
from yarl import URL

from fengchao_core.kit.auth import Authoriser
from fengchao_core.tokens import Token, TokenManager
from fengchao_volcengine.auth import AccessKey, sign

if TYPE_CHECKING:
    from fengchao_core.clock import Clock

_KEPT = 64


class SignedAuth(Authoriser):
    """
    Signs each request, by the vendor's clock as far as it is known.

    Args:
        key: who signs.
        clock: the local time.
        name: the provider's name, for logs.
    """

    def __init__(self, key: AccessKey, clock: Clock, *, name: str) -> None:
        self._key = key
        # A signature is made for each request and never kept; what the manager keeps here is the vendor's time.
        self._time = TokenManager(_no_token, clock, name=name)
        # A vendor may say back what it was sent; the settings keep the key itself in, this the last signatures.
        self._recent: deque[str] = deque(maxlen=_KEPT)

    @override
    async def sign(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[URL, Mapping[str, str], str]:
        made = sign(
            self._key,
            method=method,
            host=url.host_port_subcomponent or "",
            path=url.raw_path,
            query=url.query.items(),
            content_type=headers.get("Content-Type"),
            body=body or b"",
            now=self._time.now(),
        )
        self._recent.append(made["Authorization"].rpartition("=")[2])
        return url, {**headers, **made}, self._clock

    @override
    def secrets(self) -> Iterable[str]:
        return tuple(self._recent)

    @override
    def rejected(self, token: str, date: str | None) -> bool:
        """
        A signature was refused.

        Args:
            token: the clock by which it was made; another call may have put it right since.
            date: the answer's `Date` header.

        Returns:
            whether we know the time better now; only then another signature helps.
        """
        if date is not None:
            self._time.observe_date(date)
        return self._clock != token

    @property
    def _clock(self) -> str:
        """The clock that is signed by now: how far the vendor's is taken to be ahead of ours, in seconds."""
        return str(self._time.skew_s)


def _no_token(now: datetime) -> Token:
    raise NotImplementedError(f"signatures are made for each request; asked for a token at {now}")
