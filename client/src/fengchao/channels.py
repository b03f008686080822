"""Which models are local: the models list, kept for a while, because a chat's path depends on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from fengchao.errors import FengChaoAPIError
from fengchao.wire.codes import Code
from fengchao.wire.models import ModelList

LOCAL = "本地模型"
KEEP_S = 300.0
PAUSE_S = 5.0
"""After the list could not be had, chats take the online path this long before it is asked for again."""


class Channels:
    """
    Knows whether a model is local.

    A model that the list does not name (an alias, say) counts as online until the service says otherwise.

    Args:
        now: a monotonic clock.
    """

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._local: dict[str, bool] = {}
        self._told: dict[str, bool] = {}
        self._fresh_until = float("-inf")
        self._renewals = 0

    async def is_local(
        self, model: str, fetch: Callable[[], Awaitable[ModelList]], lock: asyncio.Lock
    ) -> bool:
        """
        Whether a model is local, by the list.

        Args:
            fetch: gets the list; called only where the kept one is too old.
            lock: of the running loop, so that calls side by side fetch once.
        """
        if self._now() >= self._fresh_until:
            async with lock:
                if self._now() >= self._fresh_until:
                    await self._renew(fetch)
        return self._local.get(model, self._told.get(model, False))

    async def corrected(
        self,
        model: str,
        status: int,
        fetch: Callable[[], Awaitable[ModelList]],
        lock: asyncio.Lock,
    ) -> bool:
        """Whether a model is local after all: asked once the service has refused the path that was taken."""
        told: bool | None = None
        if status != Code.UNKNOWN_MODEL:
            told = status == Code.LOCAL_MODEL_ON_ONLINE_PATH
        seen = self._renewals
        async with lock:
            # Calls side by side are refused side by side; what one of them has learnt serves the others.
            if self._renewals == seen and (told is None or self._told.get(model) != told):
                await self._renew(fetch)
            if told is not None:
                self._told[model] = self._local[model] = told
        return self._local.get(model, False)

    async def _renew(self, fetch: Callable[[], Awaitable[ModelList]]) -> None:
        try:
            models = await fetch()
        except FengChaoAPIError:
            # The chat that follows will say what is wrong, better than a list that nobody asked for.
            self._fresh_until = self._now() + PAUSE_S
            return
        finally:
            self._renewals += 1
        self._local = {card.id: card.channel == LOCAL for card in models.data}
        self._fresh_until = self._now() + KEEP_S
