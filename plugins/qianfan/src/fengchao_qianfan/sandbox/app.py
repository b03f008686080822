"""The stand-in's application: its routes, and what every handler goes through."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from fengchao_core.clock import Clock
from fengchao_core.kit.sandbox import SandboxDesk, draw
from fengchao_qianfan.auth import BEARER_PATH, OAUTH_PATH
from fengchao_qianfan.endpoints import PREFIX, TOKENIZER
from fengchao_qianfan.sandbox.doorkeeper import AK, API_KEY, MONTH_S, SK, Doorkeeper
from fengchao_qianfan.sandbox.first import FirstGeneration
from fengchao_qianfan.sandbox.first_tools import FirstTools
from fengchao_qianfan.sandbox.refusals import NotLetInError, RefusedError
from fengchao_qianfan.sandbox.second import SecondGeneration
from fengchao_qianfan.tools import SERVICES_PATH

Handle = Callable[[web.Request, str, Mapping[str, Any]], Awaitable[web.StreamResponse]]


def build(*, clock: Clock | None = None, token_life_s: float = MONTH_S) -> web.Application:
    """
    The application.

    Args:
        clock: the time by which tokens and signatures expire; the machine's own where not given.
        token_life_s: how long a token of V1 lives.
    """
    desk = SandboxDesk(clock=clock)
    door = Doorkeeper(desk.clock, token_life_s)
    guard = _Guard(desk, door)
    first, second = FirstGeneration(desk, door), SecondGeneration(desk)
    tools = FirstTools(desk, door)
    app = web.Application(client_max_size=64 * 1024 * 1024)
    routes = app.router

    async def token(request: web.Request) -> web.Response:
        return door.access_token(request.query)

    routes.add_route("*", OAUTH_PATH, token)
    for path, handle in (
        (TOKENIZER, tools.count),
        (f"{PREFIX}/embeddings/{{name}}", tools.embed),
        (f"{PREFIX}/text2image/{{name}}", tools.draw),
        (f"{PREFIX}/reranker/{{name}}", tools.rank),
        (f"{PREFIX}/{{kind}}/{{name}}", first.chat),
        (f"{PREFIX}/{{kind}}/{{name}}/", first.chat),
    ):
        routes.add_route("*", path, guard.v1(handle))
    routes.add_post(SERVICES_PATH, guard.signed(tools.services))
    routes.add_get(BEARER_PATH, guard.signed(tools.bearer))
    for path, handle in (
        ("/v2/chat/completions", second.chat),
        ("/v2/embeddings", second.embed),
        ("/v2/images/generations", second.draw),
        ("/v2/rerankers", second.rank),
    ):
        routes.add_post(path, guard.v2(handle))
    routes.add_get("/v2/models", guard.v2(second.models))
    desk.mount(app)
    routes.add_get("/_sandbox/pictures/{seed}-{width:[0-9]+}x{height:[0-9]+}.png", _picture)
    routes.add_get("/_sandbox/tokens", _Tokens(door).show)
    routes.add_route("*", "/v2/{rest:.*}", guard.v2(_no_method))
    routes.add_route("*", "/{rest:.*}", _nothing_here)
    return app


def settings_for(base_url: str) -> dict[str, object]:
    """The provider's settings that reach a sandbox at `base_url`."""
    return {
        "base_url": base_url,
        "ak": AK,
        "sk": SK,
        "api_key": API_KEY,
        "v2_base_url": f"{base_url}/v2",
        "console_base_url": base_url,
        "iam_base_url": base_url,
    }


@dataclass(frozen=True, slots=True)
class _Guard:
    """Lets calls in, reads their bodies, and turns refusals into answers."""

    desk: SandboxDesk
    door: Doorkeeper

    def v1(self, handle: Handle) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def enter(request: web.Request) -> tuple[str, Mapping[str, Any]]:
            who = self.door.let_in_v1(request)
            if request.method != "POST":
                raise RefusedError("336101")
            if request.content_type != "application/json":
                raise RefusedError("336001", "the content type must be application/json")
            return who, _object(await request.read(), "336002")

        return self._guarded(enter, handle)

    def v2(self, handle: Handle) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def enter(request: web.Request) -> tuple[str, Mapping[str, Any]]:
            who = self.door.let_in_v2(request)
            body = await request.read()
            return who, _object(body, "malformed_json") if request.method == "POST" else {}

        return self._guarded(enter, handle)

    def signed(self, handle: Handle) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def enter(request: web.Request) -> tuple[str, Mapping[str, Any]]:
            await request.read()
            return self.door.let_in_signed(request), {}

        return self._guarded(enter, handle)

    def _guarded(
        self,
        enter: Callable[[web.Request], Awaitable[tuple[str, Mapping[str, Any]]]],
        handle: Handle,
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def guarded(request: web.Request) -> web.StreamResponse:
            who, body = "", dict[str, Any]()
            try:
                who, read = await enter(request)
                body = dict(read)
                return await handle(request, who, body)
            except (RefusedError, NotLetInError) as refused:
                if who:
                    model = body.get("model") or request.match_info.get("name", "")
                    self.desk.served.refused(who, str(model))
                return refused.response(f"as-{self.desk.next_id():010d}")

        return guarded


def _object(data: bytes, code: str) -> Mapping[str, Any]:
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise RefusedError(code) from None
    if not isinstance(body, dict):
        raise RefusedError(code)
    return body


class _Tokens:
    """How many tokens were given out, for tests."""

    def __init__(self, door: Doorkeeper) -> None:
        self._door = door

    async def show(self, _: web.Request) -> web.Response:
        return web.json_response({"given_out": self._door.given_out})


async def _picture(request: web.Request) -> web.Response:
    width, height = (min(int(request.match_info[name]), 4096) for name in ("width", "height"))
    data = draw(request.match_info["seed"], max(width, 1), max(height, 1))
    return web.Response(body=data, content_type="image/png")


async def _no_method(_: web.Request, __: str, ___: Mapping[str, Any]) -> web.StreamResponse:
    raise RefusedError("method_not_supported")


async def _nothing_here(_: web.Request) -> web.Response:
    return RefusedError("3").response("as-0")
