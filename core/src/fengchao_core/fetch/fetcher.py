"""
A guarded GET: for addresses that callers name, which must not lead to what only this machine can reach.

Each name is resolved once, every address it has is checked, and the connection goes to a checked address: a name that
answers otherwise the next time gains nothing. Redirects are followed here, one by one, each checked anew.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, Self

from typing_extensions import override

from fengchao_core.errors import InvalidParameter
from fengchao_core.fetch.addresses import is_public
from fengchao_core.settings import FetchSettings

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession
    from aiohttp.abc import AbstractResolver
    from yarl import URL

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""From a host and a port to the host's IP addresses. Raises `OSError`."""

_PORTS = frozenset({80, 443})
_MOST_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LONGEST_URL = 4096


@dataclass(frozen=True, slots=True)
class Fetched:
    """What an address gave."""

    content: bytes
    media_type: str


class Fetcher:
    """
    Fetches from the public Internet, and from the hosts that the settings allow. Close it when done.

    Args:
        settings: which hosts are allowed beside the public ones, and the limits.
        resolve: looks names up; the system's resolver where not given.
    """

    def __init__(self, settings: FetchSettings, *, resolve: Resolve | None = None) -> None:
        self._settings = settings
        self._allowed = frozenset(host.lower() for host in settings.allow_hosts)
        self._resolve = resolve or _system_resolve
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Nothing is opened before the first `get`."""
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, url: str, *, kinds: tuple[str, ...], param: str) -> Fetched:
        """
        What is at an address.

        Args:
            kinds: the beginnings of the media types that are taken (`image/`); `application/octet-stream`, which says
                nothing, is taken too.
            param: the field the address came in, for errors.

        Raises:
            InvalidParameter: the address is not public, not answered well in time, too large or of another kind.
        """
        from aiohttp import ClientError, InvalidURL
        from yarl import URL

        if not self._settings.enabled:
            _refuse("this gateway fetches no addresses; send the data itself", param)
        limit_s = self._settings.timeout_s
        try:
            async with asyncio.timeout(limit_s):
                return await self._follow(URL(_checked(url, param)), kinds, param)
        except _NotPublicError:
            _refuse(
                "the address leads to no public host; expected one that anybody can reach", param
            )
        except TimeoutError:
            _refuse(f"the address did not give all within {limit_s:g} s", param)
        except (ClientError, OSError, InvalidURL, ValueError) as error:
            # Its text may hold the address; its kind says enough.
            _refuse(f"the address could not be fetched ({type(error).__name__})", param)

    async def _follow(self, url: URL, kinds: tuple[str, ...], param: str) -> Fetched:  # noqa: RET503  # _refuse never returns
        for _ in range(_MOST_REDIRECTS + 1):
            self._check(url, param)
            async with self._open().get(url, allow_redirects=False) as response:
                if response.status not in _REDIRECTS:
                    return await self._read(response, kinds, param)
                url = url.join(type(url)(response.headers.get("Location", "")))
        _refuse(f"the address redirects more than {_MOST_REDIRECTS} times", param)

    def _check(self, url: URL, param: str) -> None:
        host, port = url.host, url.port
        if url.scheme not in ("http", "https") or not host or port is None:
            _refuse("expected an http:// or https:// address", param)
        if url.user is not None or url.password is not None:
            _refuse("an address may hold no name or password", param)
        if self._is_allowed(host, port):
            return
        if port not in _PORTS:
            raise _NotPublicError
        # A host that is an address itself is never looked up, so it is judged here.
        if _is_address(host) and not is_public(host):
            raise _NotPublicError

    async def _read(self, response: ClientResponse, kinds: tuple[str, ...], param: str) -> Fetched:
        if response.status != 200:
            _refuse(f"the address answered HTTP {response.status}", param)
        kind = response.content_type
        if kind != "application/octet-stream" and not kind.startswith(kinds):
            _refuse(f"the address gave {kind[:64]!r}; expected {' or '.join(kinds)}…", param)
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            _refuse("the address gave compressed content, which was not asked for", param)
        most = self._settings.max_bytes
        too_large = f"what the address gave is larger than {most} bytes"
        if (response.content_length or 0) > most:
            _refuse(too_large, param)
        content = bytearray()
        while chunk := await response.content.readany():
            content += chunk
            if len(content) > most:
                _refuse(too_large, param)
        return Fetched(bytes(content), kind)

    def _is_allowed(self, host: str, port: int) -> bool:
        return bool(self._allowed) and (
            host.lower() in self._allowed or f"{host.lower()}:{port}" in self._allowed
        )

    def _open(self) -> ClientSession:
        if self._session is None:
            from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

            self._session = ClientSession(
                connector=TCPConnector(
                    resolver=_resolver(self._addresses),
                    use_dns_cache=False,  # each connection goes where this very look-up said
                    force_close=True,
                    limit=32,
                ),
                cookie_jar=DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                timeout=ClientTimeout(total=None, sock_connect=10),
                headers={"User-Agent": "fengchao", "Accept-Encoding": "identity"},
            )
        return self._session

    async def _addresses(self, host: str, port: int) -> list[str]:
        addresses = await self._resolve(host, port)
        if not self._is_allowed(host, port) and not (
            addresses and all(is_public(address) for address in addresses)
        ):
            raise _NotPublicError
        return addresses


class _NotPublicError(Exception):
    """An address that callers may not have us visit."""


def _resolver(addresses: Resolve) -> AbstractResolver:
    """What aiohttp asks for addresses; only they are connected to."""
    from aiohttp.abc import AbstractResolver, ResolveResult

    class CheckedResolver(AbstractResolver):
        @override
        async def resolve(
            self,
            host: str,
            port: int = 0,
            family: socket.AddressFamily = socket.AF_UNSPEC,  # both are looked up
        ) -> list[ResolveResult]:
            return [
                ResolveResult(
                    hostname=host,
                    host=address,
                    port=port,
                    family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                    proto=0,
                    flags=socket.AI_NUMERICHOST,
                )
                for address in await addresses(host, port)
            ]

        @override
        async def close(self) -> None:
            pass

    return CheckedResolver()


async def _system_resolve(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _is_address(host: str) -> bool:
    from ipaddress import ip_address

    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _checked(url: str, param: str) -> str:
    if len(url) > _LONGEST_URL:
        _refuse(f"the address is longer than {_LONGEST_URL} characters", param)
    return url


def _refuse(why: str, param: str) -> NoReturn:
    raise InvalidParameter(why, param=param) from None
