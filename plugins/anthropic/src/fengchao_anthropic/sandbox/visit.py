"""What is known of one request to the stand-in besides the request itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web


@dataclass(slots=True)
class Visit:
    """
    One request.

    Attributes:
        request_id: what the vendor calls it.
        credential: a public name of the key; empty as long as nobody has shown one.
        version: the generation of the API that it is made by.
        model: the model it asks, as soon as that is known.
    """

    request_id: str
    credential: str = ""
    version: str = ""
    model: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every answer."""
        return {"request-id": self.request_id}

    def json(self, body: Mapping[str, object]) -> web.Response:
        """An answer in one piece."""
        return web.json_response(body, headers=self.headers)
