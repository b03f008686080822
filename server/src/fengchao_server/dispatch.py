"""
The one way through the server: every request enters here and every answer leaves here.

    find the route -> who asks -> read and parse the body -> handler -> answer
                  any error -> worded by the route's API;  at the end one line in the log

Nothing else catches what went wrong. An error that we raise on purpose is worded by its API's table; anything else is an
incident: the caller learns an opaque id, the log has the traceback under it. A stream that has begun cannot change its
status any more, so its error leaves as its last event.
"""

from __future__ import annotations

import asyncio
import secrets
from contextvars import ContextVar
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web

from fengchao.wire import BodyError
from fengchao_core.errors import AuthenticationFailed, FengChaoError
from fengchao_server.answers import Answer, ClientGoneError, KeepAlives
from fengchao_server.bodies import body_here, parse_object, read_body
from fengchao_server.call import Call
from fengchao_server.lines import Say, say
from fengchao_server.refusals import Incident, MethodNotAllowed
from fengchao_server.repeats import HEADER, Repeats

if TYPE_CHECKING:
    from fengchao_core.gateway import Gateway
    from fengchao_server.admin.desk import Desk
    from fengchao_server.keyring import Keyring
    from fengchao_server.routes import RouteTable

log = structlog.get_logger()

REQUEST_ID: ContextVar[str] = ContextVar("fengchao_request_id", default="")
"""The id of the HTTP request under way, for the log."""

CLIENT_CLOSED: Final = 499
"""What the log says where the caller left before the answer; never sent."""

_LOOK_EVERY_S: Final = 0.25


class Dispatcher:
    """
    The request handler that aiohttp calls.

    Args:
        gateway: does the work.
        keyring: knows who asks.
        desk: knows who runs the gateway.
        routes: what is served.
        max_body_bytes: the largest body.
        say: logs each request's line.

    Attributes:
        under_way: requests that have entered and not left.
    """

    def __init__(
        self,
        gateway: Gateway,
        keyring: Keyring,
        desk: Desk,
        routes: RouteTable,
        *,
        max_body_bytes: int,
        keep_alives: KeepAlives,
        repeats: Repeats | None = None,
        say: Say = say,
    ) -> None:
        self.gateway = gateway
        self.keyring = keyring
        self.desk = desk
        self.routes = routes
        self.max_body_bytes = max_body_bytes
        self.keep_alives = keep_alives
        self._repeats = repeats
        self._say = say
        self.under_way = 0
        self._idle: asyncio.Event | None = None
        self._looked_at = float("-inf")
        self._look: asyncio.Task[None] | None = None
        self._prefix = secrets.token_hex(6)
        self._numbers = count(1)

    async def __call__(self, request: web.BaseRequest) -> Answer:
        """Answer one request. Raises only where it is cancelled."""
        begun = perf_counter()
        self.under_way += 1
        id_ = f"{self._prefix}{next(self._numbers):08x}"
        REQUEST_ID.set(id_)
        call = Call(request, id_, self)
        status = CLIENT_CLOSED
        error: BaseException | None = None
        try:
            try:
                answer = await self._serve(call)
            except ClientGoneError:
                raise
            except Exception as caught:
                error = caught
                answer = self._failed(call, caught)
            answer.request_id = id_
            status = answer.status
            if self._idle is not None or not request.content.is_eof():
                answer.force_close()
        except ClientGoneError as gone:
            error = gone
            # The connection is closed: what is returned is written nowhere.
            answer = call.stream or Answer(b"")
            answer.force_close()
        except asyncio.CancelledError as cancelled:
            error = cancelled
            raise
        finally:
            self.under_way -= 1
            if self._idle is not None and not self.under_way:
                self._idle.set()
            if call.stream is not None:
                self.keep_alives.discard(call.stream)
            self._say(call, status, error, begun)
            # The error's traceback holds this frame, and so the body: in a circle until the garbage collector comes by.
            error = None
        return answer

    async def drain(self) -> None:
        """Close every connection after its next answer from now on, and wait until no request is under way."""
        self._idle = asyncio.Event()
        if self.under_way:
            await self._idle.wait()

    async def look_again(self) -> bool:
        """
        Look whether keys came that were not there a moment ago: one that was just made shall work at once.

        Looks at the store a few times a second at most, however many forged tokens come; who comes while it looks waits
        for the same look.

        Returns:
            Whether it looked.
        """
        if self._look is None:
            now = perf_counter()
            if now < self._looked_at + _LOOK_EVERY_S:
                return False
            self._looked_at = now
            self._look = asyncio.create_task(self._refresh(), name="fengchao-look")
        await asyncio.shield(self._look)
        return True

    async def _refresh(self) -> None:
        try:
            await self.keyring.refresh()
        except Exception as error:
            log.warning("keyring.store_away", error=type(error).__name__)
        finally:
            self._look = None

    async def _serve(self, call: Call) -> Answer:
        request = call.request
        method = request.method
        route = self.routes.exact(method, request.raw_path)
        if route is None:
            call.path = request.rel_url.raw_path
            route, call.params = self.routes.find(method, call.path)
        call.route = route
        call.path = route.path
        auth = route.auth
        if auth is True or (auth == "optional" and "Authorization" in request.headers):
            given = request.headers.get("Authorization")
            try:
                call.caller = self.keyring.authenticate(given)
            except AuthenticationFailed:
                if not await self.look_again():
                    raise
                call.caller = self.keyring.authenticate(given)
            if self.keyring.binds:
                self.keyring.check_place(call.caller.key, call.address)
        elif auth and auth != "optional":
            changing = auth == "operator" and method not in ("GET", "HEAD")
            call.operator = await self.desk.admit(request, changing=changing)
        body = None
        if route.body == "json":
            body = body_here(request, self.max_body_bytes)
            if body is None:
                body = await read_body(request, self.max_body_bytes)
            call.document = parse_object(body)
        if self._repeats is not None and route.body != "none" and auth is True:
            repeats = self._repeats
            if HEADER in request.headers or repeats.takes_request_ids:
                call.received = body
                if (named := await repeats.name_of(call)) is not None:
                    return await repeats.serve(call, route.handler, named)
        return await route.handler(call)

    def _failed(self, call: Call, error: Exception) -> Answer:
        if isinstance(error, MethodNotAllowed) and call.request.method == "OPTIONS":
            return Answer(b"", status=204, headers={"Allow": ", ".join(error.allowed)})
        if not isinstance(error, FengChaoError | BodyError):
            error = _incident(error)
        shape = call.route.shape if call.route is not None else self.routes.shape_of(call.path)
        stream = call.stream
        if stream is not None and stream.is_open:
            if not stream.is_finished:
                stream.finish(shape.last_event(error, call))
            return stream
        return shape.refuse(error, call)


def _incident(error: Exception) -> Incident:
    incident = Incident(secrets.token_hex(8))
    log.error("server.incident", incident=incident.incident_id, exc_info=error)
    return incident
