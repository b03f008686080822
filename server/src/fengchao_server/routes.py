"""
The route table: which method and path means what, in one place.

Dispatch, the documentation page and the OpenAPI document all read this table, so that none can drift from another.
Paths match with and without the trailing slash. A route with a parameter (`/v1/models/{id}`) takes the whole rest of
the path, percent-decoded: ids of models may hold slashes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote

from fengchao_server.refusals import MethodNotAllowed, NotFound

if TYPE_CHECKING:
    from pydantic import BaseModel

    from fengchao_server.answers import Answer
    from fengchao_server.dispatch import Call
    from fengchao_server.shapes import Shape

    Handler = Callable[[Call], Awaitable[Answer]]

BodyKind = Literal["none", "json", "own"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """
    One operation of the HTTP API.

    Attributes:
        path: the canonical path; `{name}` may stand at its end and takes the rest.
        shape: how its API words answers and errors.
        auth: whether the caller must say who it is.
        body: `json` is parsed before the handler runs; `own` is left to the handler.
        summary: what it does, Chinese first.
        query: names of the query parameters, for the documentation.
        takes: the model of the request body, for the documentation.
        gives: the model of the answer, for the documentation.
        streams: whether it can answer with server-sent events.
        quiet: whether its requests are logged for debugging only.
    """

    method: Literal["GET", "POST"]
    path: str
    handler: Handler
    shape: Shape
    auth: bool = True
    body: BodyKind = "none"
    summary: str = ""
    query: tuple[str, ...] = ()
    takes: type[BaseModel] | None = None
    gives: type[BaseModel] | None = None
    streams: bool = False
    quiet: bool = False


class RouteTable:
    """
    Finds routes.

    Args:
        routes: all of them; their order is that of the documentation.
        shapes: which API words the errors of paths that no route has, by prefix; the first that fits.
    """

    def __init__(self, routes: Iterable[Route], shapes: Iterable[tuple[str, Shape]]) -> None:
        self.routes = tuple(routes)
        self._shapes = tuple(shapes)
        self._fixed: dict[tuple[str, str], Route] = {}
        self._open: list[tuple[str, str, Route]] = []
        for route in self.routes:
            stem, brace, name = route.path.partition("{")
            if brace:
                self._open.append((stem, name.rstrip("}"), route))
            else:
                path = route.path.rstrip("/")
                self._fixed[route.method, path or "/"] = self._fixed[route.method, path + "/"] = (
                    route
                )

    def exact(self, method: str, raw_path: str) -> Route | None:
        """The route of a path without parameters, by one look-up."""
        return self._fixed.get((method, raw_path))

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """
        The route of any path, and the values of its parameters.

        Args:
            path: percent-encoded, without the query. HEAD finds what GET does.

        Raises:
            NotFound: no route has this path.
            MethodNotAllowed: routes have it, with other methods.
        """
        wanted = "GET" if method == "HEAD" else method
        allowed = []
        for route, params in self._having(path):
            if route.method == wanted:
                return route, params
            allowed.append(route.method)
        if allowed:
            raise MethodNotAllowed(_with_implied(allowed))
        raise NotFound

    def shape_of(self, path: str) -> Shape:
        """How errors of this path are worded."""
        return next(shape for prefix, shape in self._shapes if path.startswith(prefix))

    def _having(self, path: str) -> Iterable[tuple[Route, dict[str, str]]]:
        for method in ("GET", "POST"):
            if route := self._fixed.get((method, path)):
                yield route, {}
        for stem, name, route in self._open:
            rest = path[len(stem) :].strip("/") if path.startswith(stem) else ""
            if rest:
                yield route, {name: unquote(rest)}


def _with_implied(methods: Iterable[str]) -> tuple[str, ...]:
    """GET implies HEAD, and every path answers OPTIONS."""
    allowed: list[Any] = []
    for method in methods:
        allowed += ["GET", "HEAD"] if method == "GET" else [method]
    return (*allowed, "OPTIONS")
