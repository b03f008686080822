"""The HTTP sessions of a gateway, one per vendor origin."""

from __future__ import annotations

from importlib.metadata import version
from typing import Self

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar
from yarl import URL

from fengchao_core.errors import ProviderUnavailable
from fengchao_core.kit.http.reading import Connector

_KEEP_ALIVE_S = 30.0
_DNS_TTL_S = 60


class Sessions:
    """
    The pooled HTTP sessions of one gateway: one per vendor origin, opened when first used, closed together.

    No cookies, no proxies or credentials from the environment, TLS verified by the system's authorities.
    """

    def __init__(self) -> None:
        self._open: dict[tuple[URL, int], ClientSession] = {}
        self._closed = False

    def session(self, url: URL, *, max_connections: int = 1000) -> ClientSession:
        """
        The session for the origin of a URL. It belongs to this object: do not close it.

        Args:
            max_connections: open connections at most; calls beyond that wait. Providers that share an origin and this
                figure share the session.
        """
        if self._closed:
            raise ProviderUnavailable("the gateway is closed; expected an open one")
        key = (url.origin(), max_connections)
        session = self._open.get(key)
        if session is None:
            session = self._open[key] = ClientSession(
                connector=Connector(
                    limit=max_connections, keepalive_timeout=_KEEP_ALIVE_S, ttl_dns_cache=_DNS_TTL_S
                ),
                cookie_jar=DummyCookieJar(),
                trust_env=False,
                auto_decompress=True,
                timeout=ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
                headers={"User-Agent": f"fengchao/{version('fengchao-core')}"},
            )
        return session

    async def close(self) -> None:
        """Close them all, and the connections with them."""
        self._closed = True
        while self._open:
            _, session = self._open.popitem()
            await session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()
