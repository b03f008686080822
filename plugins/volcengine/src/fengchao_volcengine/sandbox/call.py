"""One call to the stand-in: the request, who makes it, and what it says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(slots=True)
class Call:
    """
    A call.

    Attributes:
        id: the vendor's name of it.
        credential: a public name of who makes it; empty until that is known.
        resource: the only model that this credential may ask; empty for any.
        model: the one that is asked, as far as it is known.
        said: the text of the answer, once there is one.
        body: what it says, without nulls: the vendor's SDK sends every field that is not set as one.
    """

    request: web.Request
    id: str
    credential: str = ""
    resource: str = ""
    model: str = ""
    said: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)


Handle = Callable[[Call], Awaitable[web.StreamResponse]]
