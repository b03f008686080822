"""
The stand-in's application: who asks, routes, errors.

The markers that steer it are told in `fengchao_core.kit.sandbox`; besides the common faults, any code of the vendor is
understood (`[[fault:AccessDenied]]`; for the legacy API also by number, `[[fault:1709816]]`).
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from aiohttp import web

from fengchao_core.clock import Clock
from fengchao_core.kit.sandbox import SandboxDesk, draw
from fengchao_volcengine.keys import QUERY
from fengchao_volcengine.sandbox.ark import Ark
from fengchao_volcengine.sandbox.call import Call, Handle
from fengchao_volcengine.sandbox.kept import MOST_FILE_BYTES, Contexts, Files, Tasks
from fengchao_volcengine.sandbox.maas import Maas
from fengchao_volcengine.sandbox.refusals import (
    Refusal,
    ark_response,
    control_response,
    maas_response,
)
from fengchao_volcengine.sandbox.signatures import verify

ARK_PATH = "/api/v3"
API_KEY = "5a6e6462-6f78-4000-8000-sandboxkey01"
AK = "AKLTSANDBOX0000000000"
SK = "U2FuZGJveFNlY3JldE9mTm9Xb3J0aA=="
"""The credentials that the sandbox takes."""

REGION = "cn-beijing"
_LONGEST_KEY_S = 30 * 24 * 3600
_MAX_BODY_BYTES = MOST_FILE_BYTES + 1024 * 1024
_CONTROL_CODES = {
    "MissingAuthenticationHeader": "MissingSignature",
    "AuthenticationHeaderIsInvalid": "InvalidCredential",
    "AuthenticationExpire": "InvalidTimestamp",
}
_KINDS = ("endpoint", "presetendpoint", "bot")


def build(*, clock: Clock | None = None) -> web.Application:
    """
    A fresh stand-in.

    Args:
        clock: the time by which signatures and temporary keys expire; the machine's own where not given.
    """
    return _Volcengine(clock).app


def settings_for(base_url: str) -> dict[str, object]:
    """The provider's settings that reach a sandbox at `base_url`."""
    return {
        "base_url": base_url + ARK_PATH,
        "maas_base_url": base_url,
        "control_base_url": base_url,
        "api_key": API_KEY,
        "ak": AK,
        "sk": SK,
    }


class _Volcengine:
    def __init__(self, clock: Clock | None) -> None:
        self._desk = SandboxDesk(clock=clock)
        self._temporary: dict[str, tuple[str, datetime]] = {}
        contexts, files, tasks = Contexts(), Files(), Tasks(self._desk)
        ark, maas = Ark(self._desk, contexts), Maas(self._desk)
        self.app = web.Application(client_max_size=_MAX_BODY_BYTES)
        self._desk.mount(self.app)
        self.app.router.add_get(
            "/_sandbox/pictures/{seed}-{width:[0-9]+}x{height:[0-9]+}.png", _picture
        )
        for method, path, handle in (
            ("POST", "/chat/completions", ark.chat),
            ("POST", "/bots/chat/completions", ark.bot_chat),
            ("POST", "/context/create", contexts.create),
            ("POST", "/context/chat/completions", ark.context_chat),
            ("POST", "/embeddings", ark.embed),
            ("POST", "/embeddings/multimodal", ark.embed_parts),
            ("POST", "/images/generations", ark.draw),
            ("POST", "/tokenization", ark.tokenize),
            ("POST", "/files", files.create),
            ("GET", "/files", files.list),
            ("GET", "/files/{id}", files.show),
            ("DELETE", "/files/{id}", files.delete),
            ("POST", "/contents/generations/tasks", tasks.create),
            ("GET", "/contents/generations/tasks", tasks.list),
            ("GET", "/contents/generations/tasks/{id}", tasks.show),
            ("DELETE", "/contents/generations/tasks/{id}", tasks.delete),
            ("*", "/{rest:.*}", _nowhere),
        ):
            self.app.router.add_route(method, ARK_PATH + path, self._guarded(handle, self._by_key))
        for legacy, handle in (
            ("/api/v1/chat", maas.chat_v1),
            ("/api/v1/tokenization", maas.tokenize_v1),
            ("/api/v2/endpoint/{endpoint}/chat", maas.chat_v2),
            ("/api/v2/endpoint/{endpoint}/tokenization", maas.tokenize_v2),
        ):
            guarded = self._guarded(handle, self._by_signature, maas_response)
            self.app.router.add_post(legacy, guarded)
        self.app.router.add_post(
            "/", self._guarded(self._issue, self._by_control_signature, control_response)
        )
        self.app.router.add_route(
            "*", "/{rest:.*}", self._guarded(_no_such_api, self._by_signature, maas_response)
        )

    def _guarded(
        self,
        handle: Handle,
        identify: Callable[[Call, bytes], None],
        refuse: Callable[[Refusal, str], web.Response] = ark_response,
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A handler behind authentication and the reading of the body, whose refusals become answers."""

        async def guard(request: web.Request) -> web.StreamResponse:
            call = Call(request, f"{self._desk.next_id():020d}")
            try:
                if request.content_type.startswith("multipart/"):
                    identify(call, b"")
                else:
                    data = await request.read()
                    identify(call, data)
                    call.body = _object(data) if data else {}
                return await handle(call)
            except Refusal as refusal:
                if call.credential:
                    self._desk.served.refused(call.credential, call.model)
                return refuse(refusal, call.id)

        return guard

    def _by_key(self, call: Call, body: bytes) -> None:
        del body  # a key is good for any
        scheme, _, key = call.request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer":
            raise Refusal("AuthenticationError")
        if hmac.compare_digest(key.encode(), API_KEY.encode()):
            call.credential = "api_key"
            return
        resource, expires_at = self._temporary.get(key, ("", datetime.min.replace(tzinfo=UTC)))
        if not resource or expires_at <= self._desk.clock.now():
            raise Refusal("AuthenticationError")
        if call.request.path.removeprefix(ARK_PATH).startswith(("/files", "/images", "/contents")):
            raise Refusal("AccessDenied")
        call.credential = call.resource = resource

    def _by_signature(self, call: Call, body: bytes) -> None:
        is_v2 = call.request.path.startswith("/api/v2/")
        if is_v2 and call.request.headers.get("Authorization", "").startswith("Bearer "):
            try:
                self._by_key(call, body)
            except Refusal:
                raise Refusal("AuthenticationHeaderIsInvalid") from None
            return
        self._verify(call, body, "ml_maas")

    def _by_control_signature(self, call: Call, body: bytes) -> None:
        try:
            self._verify(call, body, "ark")
        except Refusal as refusal:
            raise Refusal(_CONTROL_CODES.get(refusal.code, refusal.code), refusal.message) from None

    def _verify(self, call: Call, body: bytes, service: str) -> None:
        request = call.request
        verify(
            method=request.method,
            path=request.raw_path.partition("?")[0],
            query=request.query.items(),
            headers=request.headers,
            body=body,
            ak=AK,
            sk=SK,
            service=service,
            region=REGION,
            now=self._desk.clock.now(),
        )
        call.credential = AK

    async def _issue(self, call: Call) -> web.StreamResponse:
        """Hand out a temporary key for one endpoint, bot or model."""
        body = call.body
        resources, lifetime = body.get("ResourceIds"), body.get("DurationSeconds")
        if dict(call.request.query) != QUERY:
            raise Refusal("InvalidActionOrVersion", status=404)
        if body.get("ResourceType") not in _KINDS:
            raise Refusal("InvalidParameter", "ResourceType", status=400)
        if body["ResourceType"] == "presetendpoint" and not body.get("ProjectName"):
            raise Refusal("MissingParameter", "ProjectName", status=400)
        if not isinstance(resources, list) or len(resources) != 1:
            raise Refusal("InvalidParameter", "ResourceIds", status=400)
        if type(lifetime) is not int or not 0 < lifetime <= _LONGEST_KEY_S:
            raise Refusal("InvalidParameter", "DurationSeconds", status=400)
        key = f"temporary-{call.id}"
        expires_at = self._desk.clock.now() + timedelta(seconds=lifetime)
        self._temporary[key] = (str(resources[0]), expires_at)
        metadata = {"RequestId": call.id, **QUERY, "Service": "ark", "Region": REGION}
        result = {"ApiKey": key, "ExpiredTime": int(expires_at.timestamp())}
        return web.json_response({"ResponseMetadata": metadata, "Result": result})


def _object(data: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise Refusal("InvalidParameter", "the body is not a JSON object")
    # The vendor's SDK sends every field that is not set as null.
    return {name: value for name, value in body.items() if value is not None}


async def _nowhere(_: Call) -> web.StreamResponse:
    raise Refusal("NotFound")


async def _no_such_api(_: Call) -> web.StreamResponse:
    raise Refusal("APINotSupport")


async def _picture(request: web.Request) -> web.Response:
    width, height = (min(int(request.match_info[name]), 4096) for name in ("width", "height"))
    data = draw(request.match_info["seed"], max(width, 1), max(height, 1))
    return web.Response(body=data, content_type="image/png")
