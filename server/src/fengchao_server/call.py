"""One request on its way through the server: what is known of it, and what handlers may ask of the server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

from aiohttp import web

from fengchao_core import EMBEDDED, Caller
from fengchao_core.errors import AuthenticationFailed
from fengchao_server.addresses import Address, client_address
from fengchao_server.answers import EventStream, KeepAlives
from fengchao_server.auditing import Auditor, auditor
from fengchao_server.bodies import read_body
from fengchao_server.repeats import RecordedStream

if TYPE_CHECKING:
    from fengchao_core.exchange import Exchange
    from fengchao_core.gateway import Gateway
    from fengchao_core.types import ModelCard, Usage
    from fengchao_server.admin.desk import Desk
    from fengchao_server.admin.people import Operator
    from fengchao_server.keyring import Keyring
    from fengchao_server.routes import Route, RouteTable

_DISCOVERY_S: Final = 5.0


class Host(Protocol):
    """What a request asks of the server it came to."""

    gateway: Gateway
    keyring: Keyring
    desk: Desk
    routes: RouteTable
    max_body_bytes: int
    keep_alives: KeepAlives

    async def look_again(self) -> bool:
        """Look for keys that were not there a moment ago; whether it looked."""
        ...


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
        task: the id of the task whose events it is answered with, where it is.
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
    task = ""
    usage: Usage | None = None
    exchange: Exchange | None = None
    stream: EventStream | None = None
    is_recorded = False
    received: bytes | None = None

    def __init__(self, request: web.BaseRequest, id_: str, host: Host) -> None:
        self.request = request
        self.id = id_
        self.gateway = host.gateway
        self._host = host

    async def issue_token(self, api_key: str, secret_key: str) -> str:
        """A token of the key pair. Raises `AuthenticationFailed`."""
        keyring = self._host.keyring
        try:
            token = keyring.issue_token(api_key, secret_key)
        except AuthenticationFailed:
            if not await self._host.look_again():
                raise
            token = keyring.issue_token(api_key, secret_key)
        keyring.check_place(api_key, self.address)
        return token

    @property
    def desk(self) -> Desk:
        """Where operators sign in."""
        return self._host.desk

    @property
    def keyring(self) -> Keyring:
        """The callers' keys."""
        return self._host.keyring

    @property
    def address(self) -> Address | None:
        """Where the request comes from."""
        return client_address(self.request, self._host.desk.trusted)

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
        return self._host.routes

    async def models(self) -> tuple[ModelCard, ...]:
        """The models; an endpoint that is slow to list its own is not waited for."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DISCOVERY_S):
                await self.gateway.discover()
        return self.gateway.models()

    async def body(self, most: int | None = None) -> bytes:
        """
        The body, for a handler that reads it itself.

        Args:
            most: bytes, where what is asked for needs far less than the server takes; for those above all whom nobody knows.
        """
        if self.received is None:
            limit = self._host.max_body_bytes
            limit = limit if most is None else min(most, limit)
            self.received = await read_body(self.request, limit)
        return self.received

    def events(self) -> EventStream:
        """Answer with server-sent events; comments fill long silences."""
        kind = RecordedStream if self.is_recorded else EventStream
        stream = self.stream = kind(self.request, self.id)
        self._host.keep_alives.add(stream)
        return stream
