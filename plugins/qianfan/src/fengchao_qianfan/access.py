"""
How a call of V1 is let in: by a token in the query, or by a signature. And how a refused one is mended.

V1 refuses tokens under HTTP 200, so the transport's own renewal under 401 does not see it: `V1Http` asks here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from typing_extensions import override

from fengchao_core.kit.auth import Authoriser
from fengchao_core.tokens import Token, TokenManager
from fengchao_qianfan import auth
from fengchao_qianfan.codes import SIGNATURE_REJECTED, TOKEN_REJECTED

if TYPE_CHECKING:
    from datetime import datetime

    from yarl import URL

    from fengchao_core.clock import Clock

_KEPT = 8
_MOST_URLS = 256


class V1Access(Authoriser):
    """
    Lets calls of V1 in.

    Attributes:
        renewable: the codes under HTTP 200 that another attempt may mend.
    """

    renewable: frozenset[str]

    @abstractmethod
    async def address(self, url: URL) -> tuple[URL, str]:
        """Where to send a call, and the token in it; empty where the headers let it in."""

    @abstractmethod
    def renew(self, token: str, date: str | None) -> bool:
        """
        The vendor refused this token or signature; learn from it.

        Args:
            token: as `address` gave it.
            date: the answer's `Date` header.

        Returns:
            whether another attempt may help.
        """

    @property
    @abstractmethod
    def skew_s(self) -> float:
        """By how many seconds the vendor's clock is taken to be ahead of ours."""


class TokenAccess(V1Access):
    """An access token in the query."""

    renewable = TOKEN_REJECTED

    def __init__(self, tokens: TokenManager) -> None:
        self._tokens = tokens
        self._urls: dict[URL, tuple[URL, str]] = {}
        self._recent: deque[str] = deque(maxlen=_KEPT)  # rejected ones may still be echoed

    @override
    async def address(self, url: URL) -> tuple[URL, str]:
        token = await self._tokens.get()
        known = self._urls.get(url)
        if known is not None and known[1] == token:
            return known
        if token not in self._recent:
            self._recent.append(token)
        if len(self._urls) >= _MOST_URLS:
            self._urls.clear()
        known = self._urls[url] = (url.update_query({"access_token": token}), token)
        return known

    @override
    async def sign(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[URL, Mapping[str, str], str]:
        return url, headers, ""

    @override
    def secrets(self) -> Iterable[str]:
        return tuple(self._recent)

    @override
    def renew(self, token: str, date: str | None) -> bool:
        if date is not None:
            self._tokens.observe_date(date)
        self._tokens.invalidate(token)
        return True

    @property
    @override
    def skew_s(self) -> float:
        return self._tokens.skew_s


class SignedAccess(V1Access):
    """
    A signature of the access management in the headers.

    Args:
        access_key: the Access Key ID, which travels.
        secret_key: the Secret Access Key, which does not.
        clock: the local time.
        name: the provider's name, for logs.
    """

    renewable = SIGNATURE_REJECTED

    def __init__(self, access_key: str, secret_key: str, clock: Clock, *, name: str) -> None:
        self._access_key = access_key
        self._secret_key = secret_key
        # Each request has a signature of its own; what the manager keeps here is the vendor's time.
        self._time = TokenManager(_no_token, clock, name=name)
        self._recent: deque[str] = deque(maxlen=_KEPT)

    @override
    async def address(self, url: URL) -> tuple[URL, str]:
        return url, ""

    @override
    async def sign(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[URL, Mapping[str, str], str]:
        now = self._time.now()
        signed = {
            "host": url.host_port_subcomponent or "",
            "x-bce-date": auth.date_of(now),
        }
        if content_type := headers.get("Content-Type"):
            signed["content-type"] = content_type
        request = auth.SignedRequest(method, url.raw_path, tuple(url.query.items()), signed)
        value = auth.authorization(self._access_key, self._secret_key, request, now)
        self._recent.append(value)
        return (
            url,
            {**headers, "x-bce-date": signed["x-bce-date"], "Authorization": value},
            value,
        )

    @override
    def secrets(self) -> Iterable[str]:
        # The signature alone would do, too, for whoever reads it within its few minutes.
        return tuple(part for value in self._recent for part in (value, value.rpartition("/")[2]))

    @override
    def rejected(self, token: str, date: str | None) -> bool:
        return self.renew(token, date)

    @override
    def renew(self, token: str, date: str | None) -> bool:
        """Whether the answer's date shows that our clock was wrong; only then another signature helps."""
        before = self.skew_s
        self.learn(date)
        return self.skew_s != before

    def learn(self, date: str | None) -> None:
        """Learn the vendor's time from the `Date` header of an answer."""
        if date is not None:
            self._time.observe_date(date)

    @property
    @override
    def skew_s(self) -> float:
        return self._time.skew_s


def _no_token(now: datetime) -> Token:
    raise NotImplementedError(f"signatures are made for each request; asked for a token at {now}")
