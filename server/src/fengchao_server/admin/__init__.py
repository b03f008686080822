"""
`/admin`: what the people who run the gateway may see and change.

Each part is a module with its handlers and its `routes()`; here they are put together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fengchao_server.admin import audit, bodies, entry, keys, operators, page, prompts, usage, words

if TYPE_CHECKING:
    from fengchao_server.routes import Route


def routes() -> list[Route]:
    """Every route under `/admin`, in the order of the documentation."""
    parts = (page, entry, operators, keys, usage, bodies, words, prompts, audit)
    return [route for part in parts for route in part.routes()]
