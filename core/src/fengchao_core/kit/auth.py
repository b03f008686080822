"""
How a request is authorised: an `Authoriser` puts the credentials on it just before it is sent.

`StaticAuth` for keys that stay, `TokenAuth` for tokens that expire. A vendor that signs whole requests (method, URL,
body) subclasses `Authoriser` itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from typing_extensions import override

from fengchao_core.errors import SettingsError
from fengchao_core.tokens import TokenManager

if TYPE_CHECKING:
    from yarl import URL


class Authoriser(ABC):
    """
    Authorises requests. One object serves any number of concurrent ones.

    Attributes:
        fixed: the headers that every request carries, where they never change: the transport then sends them without asking
            `sign`. None where each request has to be signed.
    """

    fixed: Mapping[str, str] | None = None

    @abstractmethod
    async def sign(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[URL, Mapping[str, str], str]:
        """
        Put the credentials on a request.

        Returns:
            the URL and the headers to send (the given ones are not changed), and the token that was used; empty where
            there is none that could be refreshed.
        """

    @abstractmethod
    def secrets(self) -> Iterable[str]:
        """The values that nobody may see, as they are now."""

    def rejected(self, token: str, date: str | None) -> bool:  # noqa: ARG002  # for those that can refresh
        """
        The vendor answered 401 to a request that carried this token.

        Args:
            date: the answer's `Date` header.

        Returns:
            whether signing anew may help; the transport then tries once more, and only once.
        """
        return False


class StaticAuth(Authoriser):
    """
    Fixed headers: `StaticAuth({"Authorization": "Bearer …"})`. None at all for an endpoint without keys.

    Raises:
        SettingsError: a value cannot travel in a header, because it holds a line break or another control character.
    """

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        self.fixed = fixed = dict(headers or {})
        self._fixed = fixed
        self._secrets = tuple(
            part for value in fixed.values() for part in (value, value.rpartition(" ")[2])
        )
        for name, value in fixed.items():
            if any(ord(char) < 0x20 or char == "\x7f" for char in value):
                raise SettingsError(
                    f"the credentials for the header {name} hold a line break or another control character; "
                    "expected printable text: check the setting's quotes and line ends"
                )

    @override
    async def sign(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[URL, Mapping[str, str], str]:
        return url, {**headers, **self._fixed}, ""

    @override
    def secrets(self) -> Iterable[str]:
        return self._secrets


class TokenAuth(Authoriser):
    """
    A token from a `TokenManager` in a header, or in a query parameter where the vendor wants it there.

    Args:
        manager: gives the tokens, and learns the vendor's time from rejections.
        header: the header that carries the token.
        prefix: what stands before it.
        query: the query parameter to use instead of the header.
    """

    def __init__(
        self,
        manager: TokenManager,
        *,
        header: str = "Authorization",
        prefix: str = "Bearer ",
        query: str | None = None,
    ) -> None:
        self._manager = manager
        self._header = header
        self._prefix = prefix
        self._query = query
        self._recent: deque[str] = deque(maxlen=8)  # rejected ones may still be echoed

    @override
    async def sign(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[URL, Mapping[str, str], str]:
        token = await self._manager.get()
        if token not in self._recent:
            self._recent.append(token)
        if self._query is not None:
            return url.update_query({self._query: token}), headers, token
        return url, {**headers, self._header: self._prefix + token}, token

    @override
    def secrets(self) -> Iterable[str]:
        return tuple(self._recent)

    @override
    def rejected(self, token: str, date: str | None) -> bool:
        if date is not None:
            self._manager.observe_date(date)
        self._manager.invalidate(token)
        return True
