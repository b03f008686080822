"""The state that one vendor's sandbox keeps while it runs, and the pages it has besides the vendor's own."""

from __future__ import annotations

from aiohttp import web

from fengchao_core.clock import Clock, SystemClock
from fengchao_core.kit.sandbox.markers import Faults
from fengchao_core.kit.sandbox.served import Served

SERVED_PATH = "/_sandbox/served"
_MOST_KEYS = 10_000


class SandboxDesk:
    """
    What a sandbox remembers: what it served, which scripted faults are used up, and how many ids it gave out.

    Args:
        clock: the time by which tokens expire; the machine's own where not given.
    """

    def __init__(self, *, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or SystemClock()
        self.served = Served()
        self._spent: dict[str, int] = {}
        self._ids = 0

    def faults(self, prompt: str) -> Faults:
        """The faults that the last user text asks for, those of `once` and `times` only as often as they may."""
        while len(self._spent) > _MOST_KEYS:
            del self._spent[next(iter(self._spent))]
        return Faults.from_prompt(prompt, self._spent)

    def next_id(self) -> int:
        """A number that this sandbox never gave out before, counting from 1."""
        self._ids += 1
        return self._ids

    def mount(self, app: web.Application) -> None:
        """Add `/_sandbox/served`: GET shows what was served, DELETE forgets it."""
        app.router.add_get(SERVED_PATH, self._show)
        app.router.add_delete(SERVED_PATH, self._forget)

    async def _show(self, _: web.Request) -> web.Response:
        return web.json_response(self.served.as_json())

    async def _forget(self, _: web.Request) -> web.Response:
        self.served.clear()
        return web.Response(status=204)
