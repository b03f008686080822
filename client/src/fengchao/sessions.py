"""
HTTP sessions that live as long as somebody uses them.

A session belongs to one event loop, and an async client may be used from several, one after the other or side by side. So
each loop has its own, shared by all calls under way there and closed by the last of them. Entering the client
(`async with FengChaoAsync(...)`) is one more user, which keeps the session and its connections open from call to call.
An un-entered client leaves nothing open behind itself, whoever ends the loop, and however.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import ClientSession

MAX_CONNECTIONS = 1000


@dataclass(slots=True)
class Shared:
    """
    The session of one loop.

    Attributes:
        lock: for what should happen once at a time on this loop.
        users: how many hold it; the last closes it.
    """

    session: ClientSession
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Sessions:
    """
    The sessions of one client, by loop.

    Args:
        open_session: makes a session on the running loop.
    """

    def __init__(self, open_session: Callable[[], ClientSession]) -> None:
        self._open_session = open_session
        self._by_loop: dict[asyncio.AbstractEventLoop, Shared] = {}

    def take(self) -> Shared:
        """Become a user of the running loop's session; `give` it back in the end."""
        loop = asyncio.get_running_loop()
        shared = self._by_loop.get(loop)
        if shared is None:
            for dead in [other for other in self._by_loop if other.is_closed()]:
                del self._by_loop[dead]
            shared = self._by_loop[loop] = Shared(self._open_session())
        shared.users += 1
        return shared

    async def give(self, shared: Shared) -> None:
        """Stop being a user; the last one closes the session."""
        shared.users -= 1
        if shared.users == 0:
            loop = asyncio.get_running_loop()
            if self._by_loop.get(loop) is shared:
                del self._by_loop[loop]
            await shared.session.close()

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Shared]:
        """Use the running loop's session for the length of a block."""
        shared = self.take()
        try:
            yield shared
        finally:
            await self.give(shared)


def open_session() -> ClientSession:
    """A session for the API: no cookies, a bounded pool, proxies from the environment as usual in Python."""
    # Here, because importing it takes longer than the rest of the package.
    from importlib.metadata import version

    from aiohttp import ClientSession, DummyCookieJar, TCPConnector

    return ClientSession(
        connector=TCPConnector(limit=MAX_CONNECTIONS),
        cookie_jar=DummyCookieJar(),
        headers={"User-Agent": f"fengchao-python/{version('fengchao')}"},
        trust_env=True,
    )
