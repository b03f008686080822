"""Signing as the transport wants it: an authoriser that knows the vendor's time."""

from __future__ import annotations

from base64 import b64encode
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from typing_extensions import override
from yarl import URL

from fengchao_core.kit.auth import Authoriser
from fengchao_core.tokens import Token, TokenManager
from fengchao_spark.auth import authorization_head, sign_url

if TYPE_CHECKING:
    from fengchao_core.clock import Clock

_KEPT = 64


class SignedAuth(Authoriser):
    """
    Signs the URL of each request, by the vendor's clock as far as it is known.

    Args:
        api_key: travels in the URL.
        api_secret: signs.
        clock: the local time.
        name: the provider's name, for logs.
    """

    def __init__(self, api_key: str, api_secret: str, clock: Clock, *, name: str) -> None:
        self._key = api_key
        self._secret = api_secret
        # A signature is made for each connection and never kept; what the manager keeps here is the vendor's time.
        self._time = TokenManager(_no_token, clock, name=name)
        # A vendor may say back what it was sent. Every authorization begins alike, so the beginning tells all of them;
        # the ends of the last ones go, too.
        head = authorization_head(api_key).encode()
        self._head = b64encode(head[: len(head) // 3 * 3]).decode()
        self._recent: deque[str] = deque(maxlen=_KEPT)

    @property
    def clock(self) -> str:
        """The clock that is signed by now: how far the vendor's is taken to be ahead of ours, in seconds."""
        return str(self._time.skew_s)

    def signed(self, method: str, url: URL) -> URL:
        """A URL, signed."""
        text, value = sign_url(
            f"{url.scheme}://{url.host_port_subcomponent}{url.raw_path}",
            method=method,
            api_key=self._key,
            api_secret=self._secret,
            now=self._time.now(),
        )
        self._recent.append(value)
        return URL(text, encoded=True)

    @override
    async def sign(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[URL, Mapping[str, str], str]:
        return self.signed(method, url), headers, self.clock

    @override
    def secrets(self) -> Iterable[str]:
        return (*self._recent, self._head)

    @override
    def rejected(self, token: str, date: str | None) -> bool:
        """
        A signature was refused.

        Args:
            token: `clock` as it was when that signature was made; another call may have put it right since.
            date: the answer's `Date` header.

        Returns:
            whether we know the time better now; only then another signature helps.
        """
        if date is not None:
            self._time.observe_date(date)
        return self.clock != token


def _no_token(now: datetime) -> Token:
    raise NotImplementedError(f"Spark has no tokens; asked for one at {now}")
