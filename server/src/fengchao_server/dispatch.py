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
import contextlib
import secrets
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from itertools import count
from time import perf_counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiohttp import web

from fengchao.wire import BodyError
from fengchao_core import EMBEDDED, Caller
from fengchao_core.errors import AuthenticationFailed, FengChaoError
from fengchao_server.addresses import Address, client_address
from fengchao_server.answers import Answer, ClientGoneError, EventStream, KeepAlives
from fengchao_server.auditing import Auditor, auditor
from fengchao_server.bodies import parse_object, read_body
from fengchao_server.lines import RequestLine, line_of, say
from fengchao_server.refusals import Incident, MethodNotAllowed
from fengchao_server.repeats import HEADER, RecordedStream, Repeats

if TYPE_CHECKING:
    from fengchao_core.exchange import Exchange
    from fengchao_core.gateway import Gateway
    from fengchao_core.types import ModelCard, Usage
    from fengchao_server.admin.desk import Desk
    from fengchao_server.admin.people import Operator
    from fengchao_server.keyring import Keyring
    from fengchao_server.routes import Route, RouteTable

log = structlog.get_logger()

REQUEST_ID: ContextVar[str] = ContextVar("fengchao_request_id", default="")
"""The id of the HTTP request under way, for the log."""

CLIENT_CLOSED: Final = 499
"""What the log says where the caller left before the answer; never sent."""

_DISCOVERY_S: Final = 5.0
_LOOK_EVERY_S: Final = 0.25


class Call:
    """
    One request on its way through the server.

    Attributes:
        id: of this HTTP request, in the log and in `X-Request-Id`.
        route: what serves it, once that is found.
        path: of the route, or of the request where no route has it; never with a query, which may hold a secret.
        operator: who is signed in, where the route wants that.
        params: values of the path's parameters.
        document: the parsed body, where the route wants one.
        model: as asked, for the log.
        conversation: the caller's id of the conversation, where its body has one.
        usage: what it used, for the log, where no exchange says so.
        exchange: what the gateway runs for it, once it does.
        stream: the stream of events it is answered with, once it is.
        received: the body as it came, where it is needed again.
        is_recorded: whether a stream must remember what it sends.
    """

    # Most requests set few of these: defaults on the class cost them nothing.
    route: Route | None = None
    path = ""
    caller: Caller = EMBEDDED
    operator: Operator | None = None
    params: Mapping[str, str] = MappingProxyType({})
    document: Mapping[str, Any] = MappingProxyType({})
    model = ""
    conversation = ""
    usage: Usage | None = None
    exchange: Exchange | None = None
    stream: EventStream | None = None
    is_recorded = False
    received: bytes | None = None

    def __init__(self, request: web.BaseRequest, id_: str, server: Dispatcher) -> None:
        self.request = request
        self.id = id_
        self.gateway = server.gateway
        self._server = server

    async def issue_token(self, api_key: str, secret_key: str) -> str:
        """A token of the key pair. Raises `AuthenticationFailed`."""
        keyring = self._server.keyring
        try:
            token = keyring.issue_token(api_key, secret_key)
        except AuthenticationFailed:
            if not await self._server.look_again():
                raise
            token = keyring.issue_token(api_key, secret_key)
        keyring.check_place(api_key, self.address)
        return token

    @property
    def desk(self) -> Desk:
        """Where operators sign in."""
        return self._server.desk

    @property
    def keyring(self) -> Keyring:
        """The callers' keys."""
        return self._server.keyring

    @property
    def address(self) -> Address | None:
        """Where the request comes from."""
        return client_address(self.request, self._server.desk.trusted)

    @property
    def who(self) -> Operator:
        """The operator that is signed in; there is one wherever the route wants one."""
        if self.operator is None:
            raise AssertionError("the route lets anybody in")
        return self.operator

    @property
    def entry(self) -> Auditor:
        """What makes audit records of the operator that is signed in: `call.entry("words.add", name, after={…})`."""
        return auditor(self.who.actor, self.desk.clock, self.address)

    @property
    def routes(self) -> RouteTable:
        """Everything that is served."""
        return self._server.routes

    async def models(self) -> tuple[ModelCard, ...]:
        """The models; an endpoint that is slow to list its own is not waited for."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DISCOVERY_S):
                await self.gateway.discover()
        return self.gateway.models()

    async def body(self) -> bytes:
        """The body, for a handler that reads it itself."""
        if self.received is None:
            self.received = await read_body(self.request, self._server.max_body_bytes)
        return self.received

    def events(self) -> EventStream:
        """Answer with server-sent events; comments fill long silences."""
        kind = RecordedStream if self.is_recorded else EventStream
        stream = self.stream = kind(self.request, self.id)
        self._server.keep_alives.add(stream)
        return stream


class Dispatcher:
    """
    The request handler that aiohttp calls.

    Args:
        gateway: does the work.
        keyring: knows who asks.
        desk: knows who runs the gateway.
        routes: what is served.
        max_body_bytes: the largest body.
        say: takes each request's line for the log.

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
        say: Callable[[RequestLine], None] = say,
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
            self._say(line_of(call, status, error, begun))
        return answer

    async def drain(self) -> None:
        """Close every connection after its next answer from now on, and wait until no request is under way."""
        self._idle = asyncio.Event()
        if self.under_way:
            await self._idle.wait()

    async def look_again(self) -> bool:
        """
        Whether keys came that were not there a moment ago: one that was just made shall work at once.

        Looks at the store a few times a second at most, however many forged tokens come.
        """
        now = perf_counter()
        if now < self._looked_at + _LOOK_EVERY_S:
            return False
        self._looked_at = now
        try:
            return await self.keyring.refresh()
        except Exception as error:
            log.warning("keyring.store_away", error=type(error).__name__)
            return False

    async def _serve(self, call: Call) -> Answer:
        request = call.request
        route = self.routes.exact(request.method, request.raw_path)
        if route is None:
            call.path = request.rel_url.raw_path
            route, call.params = self.routes.find(request.method, call.path)
        call.route = route
        call.path = route.path
        if route.auth is True or (route.auth == "optional" and "Authorization" in request.headers):
            given = request.headers.get("Authorization")
            try:
                call.caller = self.keyring.authenticate(given)
            except AuthenticationFailed:
                if not await self.look_again():
                    raise
                call.caller = self.keyring.authenticate(given)
            if self.keyring.binds:
                self.keyring.check_place(call.caller.key, call.address)
        elif route.auth and route.auth != "optional":
            changing = route.auth == "operator" and request.method not in ("GET", "HEAD")
            call.operator = await self.desk.admit(request, changing=changing)
        body = None
        if route.body == "json":
            body = await read_body(request, self.max_body_bytes)
            call.document = parse_object(body)
        repeats = self._repeats
        if (
            repeats is not None
            and (HEADER in request.headers or repeats.takes_request_ids)
            and route.body != "none"
            and route.auth is True
        ):
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
