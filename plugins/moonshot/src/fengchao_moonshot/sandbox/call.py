"""A request under way in the stand-in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web


@dataclass(slots=True)
class Call:
    """
    A request under way.

    Attributes:
        credential: the name of the key, once it is checked.
        model: the model, once it is known.
    """

    request: web.Request
    credential: str = ""
    model: str = ""


Handle = Callable[[Call], Awaitable[web.StreamResponse]]
"""Answers a call. Raises `Refusal`."""
