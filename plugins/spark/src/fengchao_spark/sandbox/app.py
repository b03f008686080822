"""The application: WebSocket chats, the signed HTTP services, and the HTTP API."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from email.utils import format_datetime

import orjson
from aiohttp import WSMsgType, web

from fengchao_core.clock import Clock
from fengchao_core.kit.sandbox import (
    Faults,
    SandboxDesk,
    answer_for,
    is_gone,
    last_user_text,
)
from fengchao_core.types import ChatRequest
from fengchao_spark.endpoints import ENDPOINTS
from fengchao_spark.sandbox.checks import read_frame
from fengchao_spark.sandbox.codes import HandshakeError, RefusedError, refusal_of
from fengchao_spark.sandbox.http_api import HttpApi
from fengchao_spark.sandbox.services import Services
from fengchao_spark.sandbox.signatures import verify
from fengchao_spark.sandbox.talk import Speaker, error_frame

APP_ID = "5a6e6462"
API_KEY = "5a6e64626f7800000000000000000000"
API_SECRET = "U2FuZGJveFNlY3JldE9mTm9Xb3J0aA=="  # noqa: S105  # the sandbox's own, of no worth
API_PASSWORD = "SandboxPassword:OfNoWorth"  # noqa: S105  # likewise
"""The credentials that the sandbox takes; the HTTP API also takes `API_KEY:API_SECRET`."""

_IDLE_S = 60.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build(*, clock: Clock | None = None, idle_s: float = _IDLE_S) -> web.Application:
    """
    The application.

    Args:
        clock: the time by which signatures are too old; the machine's own where not given.
        idle_s: how long a WebSocket may stay without being asked anything.
    """
    sandbox = _Sandbox(SandboxDesk(clock=clock), idle_s)
    services = Services(sandbox.desk, APP_ID)
    http_api = HttpApi(sandbox.desk, APP_ID, (API_PASSWORD, f"{API_KEY}:{API_SECRET}"))
    app = web.Application(client_max_size=64 * 1024 * 1024)
    for path in dict.fromkeys(endpoint.path for endpoint in ENDPOINTS.values()):
        app.router.add_get(path, sandbox.signed(sandbox.chat))
    for path, handler in services.routes():
        app.router.add_post(path, sandbox.signed(handler))
    for path, handler in http_api.routes():
        app.router.add_post(path, handler)
    sandbox.desk.mount(app)
    return app


def settings_for(base_url: str) -> dict[str, object]:
    """The provider's settings that reach a sandbox at `base_url`, over WebSocket; all hosts are this one."""
    socket_url = base_url.replace("http", "ws", 1)
    return {
        "base_url": socket_url,
        "app_id": APP_ID,
        "api_key": API_KEY,
        "api_secret": API_SECRET,
        "api_password": API_PASSWORD,
        "http_base_url": f"{base_url}/v1",
        "image_base_url": socket_url,
        "maas_base_url": socket_url,
        "literature_base_url": socket_url,
        "embedding_base_url": base_url,
        "embedding_private_base_url": base_url,
    }


class _Sandbox:
    def __init__(self, desk: SandboxDesk, idle_s: float) -> None:
        self.desk = desk
        self._idle_s = idle_s

    def signed(self, handler: Handler) -> Handler:
        """A handler behind the verification of the signature."""

        async def handle(request: web.Request) -> web.StreamResponse:
            now = self.desk.clock.now()
            try:
                verify(
                    request.query,
                    method=request.method,
                    path=request.path,
                    asked_host=request.host,
                    api_key=API_KEY,
                    api_secret=API_SECRET,
                    now=now,
                )
                return await handler(request)
            except HandshakeError as refused:
                return _refusal(refused, now)

        return handle

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """One conversation: one frame that asks, the frames that answer, and a goodbye."""
        socket = web.WebSocketResponse()
        if not socket.can_prepare(request):
            return web.json_response({"message": "Upgrade required"}, status=426)
        await socket.prepare(request)
        try:
            message = await socket.receive(timeout=self._idle_s)
        except TimeoutError:
            message = None
        if message is not None and message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            await self._answer(request, socket, message.data)
        await socket.close()
        return socket

    async def _answer(
        self, request: web.Request, socket: web.WebSocketResponse, data: str | bytes
    ) -> None:
        sid = f"cht{self.desk.next_id():08x}@dx"
        model = ""
        try:
            asked = read_frame(_parsed(data), request.path, APP_ID)
            model = asked.model
            faults = self.desk.faults(last_user_text(asked.messages))
            if faults.refusal is not None and faults.refusal_after is None:
                raise refusal_of(faults)
        except RefusedError as refused:
            self.desk.served.refused(APP_ID, model)
            error: RefusedError | None = refused
        else:
            error = await self._speak(request, socket, asked, faults, sid)
        if error is not None and not socket.closed and not is_gone(request):
            await socket.send_str(orjson.dumps(error_frame(error, sid)).decode())

    async def _speak(
        self,
        request: web.Request,
        socket: web.WebSocketResponse,
        asked: ChatRequest,
        faults: Faults,
        sid: str,
    ) -> RefusedError | None:
        """
        Answer, and listen at the same time: a client that says goodbye ends the answer at once.

        Returns:
            the refusal in the middle of the answer, where one was asked for.
        """
        reply = answer_for(asked, think=asked.model == "x1")
        served = self.desk.served.serving(APP_ID, asked.model, reply.usage.prompt_tokens)
        with served as serving:
            speaker = asyncio.ensure_future(
                Speaker(request, socket, faults, serving, sid).speak(reply)
            )
            listener = asyncio.ensure_future(_until_goodbye(socket))
            try:
                await asyncio.wait({speaker, listener}, return_when=asyncio.FIRST_COMPLETED)
                if not speaker.done():
                    serving.closed_by_client = True
            finally:
                for task in (speaker, listener):
                    task.cancel()
                told = await asyncio.gather(speaker, listener, return_exceptions=True)
            refused, _ = told
            if isinstance(refused, RefusedError):
                return refused
            if isinstance(refused, Exception) and not isinstance(refused, ConnectionError):
                raise refused
            if serving.usage is None and is_gone(request):
                serving.closed_by_client = faults.cut_after is None
        return None


async def _until_goodbye(socket: web.WebSocketResponse) -> None:
    async for _ in socket:
        pass  # one connection is one request: whatever else is asked goes unheard


def _parsed(data: str | bytes) -> Mapping[str, object]:
    try:
        frame: Mapping[str, object] = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise RefusedError(10003) from None
    return frame


def _refusal(refused: HandshakeError, now: datetime) -> web.Response:
    # The time is the sandbox's, which a test may hold in its hand.
    return web.json_response(
        {"message": refused.message},
        status=refused.status,
        headers={"Date": format_datetime(now, usegmt=True)},
    )
