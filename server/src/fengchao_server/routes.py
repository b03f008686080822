"""
The route table: which method and path means what, in one place.

Dispatch, the documentation page and the OpenAPI document all read this table, so that none can drift from another.
Paths match with and without the trailing slash. A parameter in the middle of a path (`/admin/keys/{key}/rotate`) takes one
segment; one at its end (`/v1/models/{id}`) takes the whole rest, for ids of models may hold slashes. Both are
percent-decoded. Where several paths fit, the one with fewer parameters, then the longer one, is meant.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote

from fengchao_server.refusals import MethodNotAllowed, NotFound

if TYPE_CHECKING:
    from pydantic import BaseModel

    from fengchao_server.answers import Answer
    from fengchao_server.call import Call
    from fengchao_server.shapes import Shape

    Handler = Callable[[Call], Awaitable[Answer]]

BodyKind = Literal["none", "json", "own"]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Auth = bool | Literal["optional", "operator", "signed-in"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """
    What the server-sent events of an operation hold, for the documentation.

    Attributes:
        gives: the models: the data of each event is JSON of one of them, that of one which ends a failed stream too.
        ends: the text, no JSON, that is the data of the last event of a stream which came to its good end; empty: none is.
        asked_by: the fields of the request's body that ask for a stream; None: every good answer is one.
    """

    gives: tuple[type[BaseModel], ...]
    ends: str = ""
    asked_by: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """
    One operation of the HTTP API.

    Attributes:
        path: the canonical path; `{name}` may stand for a segment, and at its end for the rest.
        shape: how its API words answers and errors.
        auth: True: the caller needs a key; `optional`: a key that comes must be good, but none need come; `operator`: an operator must be signed in, and a viewer may only read;
            `signed-in`: either may; False: anybody.
        body: `json` is parsed before the handler runs; `own` is left to the handler.
        summary: what it does, Chinese first.
        query: names of the query parameters, for the documentation; one that may be left out ends in `?`.
        takes: the model of the request body, for the documentation.
        example: such a body, for the documentation.
        accepts: the media types that the body may come as.
        gives: the model of the answer, for the documentation.
        media: the media type of the answer.
        status: of a good answer.
        streams: what its events hold, where it can answer with server-sent events.
        quiet: whether its requests are logged for debugging only.
    """

    method: Method
    path: str
    handler: Handler
    shape: Shape
    auth: Auth = True
    body: BodyKind = "none"
    summary: str = ""
    query: tuple[str, ...] = ()
    takes: type[BaseModel] | None = None
    example: Mapping[str, object] | None = None
    accepts: tuple[str, ...] = ("application/json",)
    gives: type[BaseModel] | None = None
    media: str = "application/json"
    status: int = 200
    streams: Events | None = None
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
        self._by_path: dict[str, dict[str, Route]] = {}
        for route in self.routes:
            path = route.path.rstrip("/") or "/"
            methods = self._by_path.setdefault(path, {})
            if route.method in methods:
                raise ValueError(f"two routes answer {route.method} {route.path}")
            methods[route.method] = route
            if "{" not in path:
                self._fixed[route.method, path] = self._fixed[route.method, path + "/"] = route
        self._open = [
            (_pattern(path), self._by_path[path])
            for path in sorted(self._by_path, key=lambda path: (path.count("{"), -len(path)))
            if "{" in path
        ]

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
        methods, params = self._having(path.rstrip("/") or "/")
        route = methods.get("GET" if method == "HEAD" else method)
        if route is None:
            raise MethodNotAllowed(_with_implied(methods))
        return route, params

    def shape_of(self, path: str) -> Shape:
        """How errors of this path are worded."""
        return next(shape for prefix, shape in self._shapes if path.startswith(prefix))

    def _having(self, path: str) -> tuple[dict[str, Route], dict[str, str]]:
        if "{" not in path and (methods := self._by_path.get(path)):
            return methods, {}
        for pattern, methods in self._open:
            if found := pattern.fullmatch(path):
                return methods, {name: unquote(text) for name, text in found.groupdict().items()}
        raise NotFound


def _pattern(path: str) -> re.Pattern[str]:
    """What fits a path with parameters, its trailing slashes taken off."""
    parts = re.split(r"\{(\w+)\}", path)
    pattern = ""
    for literal, name in zip(parts[::2], [*parts[1::2], ""], strict=True):
        pattern += re.escape(literal)
        if name and f"{{{name}}}" == path[-len(name) - 2 :]:
            pattern += f"/*(?P<{name}>[^/].*)"
        elif name:
            pattern += f"(?P<{name}>[^/]+)"
    return re.compile(pattern, re.DOTALL)


def _with_implied(methods: Iterable[str]) -> tuple[str, ...]:
    """GET implies HEAD, and every path answers OPTIONS."""
    allowed: list[Any] = []
    for method in methods:
        allowed += ["GET", "HEAD"] if method == "GET" else [method]
    return (*allowed, "OPTIONS")
