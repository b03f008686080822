"""The stand-in's application: keys, routes, errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

from fengchao_core.cards import load_cards
from fengchao_core.clock import Clock
from fengchao_core.kit.sandbox import SandboxDesk
from fengchao_core.types import ModelCard
from fengchao_moonshot.sandbox.call import Call, Handle
from fengchao_moonshot.sandbox.chat import Chat
from fengchao_moonshot.sandbox.files import MOST_FILE_BYTES, Files
from fengchao_moonshot.sandbox.refusals import Refusal, invalid, missing

KEY_PREFIX = "sk-sandbox-"

_MAX_BODY_BYTES = MOST_FILE_BYTES + 1024 * 1024


def build(*, clock: Clock | None = None) -> web.Application:
    """
    A fresh stand-in.

    Args:
        clock: the time it stamps answers with; the machine's own where not given.
    """
    return _Moonshot(clock).app


class _Moonshot:
    def __init__(self, clock: Clock | None) -> None:
        self._desk = SandboxDesk(clock=clock)
        self._cards = {card.id: card for card in load_cards("fengchao_moonshot")}
        files = Files(self._desk)
        self._chat = Chat(self._desk, files)
        self.app = web.Application(client_max_size=_MAX_BODY_BYTES)
        self._desk.mount(self.app)
        for method, path, handle in (
            ("POST", "/v1/chat/completions", self._answer),
            ("POST", "/v1/tokenizers/estimate-token-count", self._estimate),
            ("GET", "/v1/users/me/balance", self._balance),
            ("GET", "/v1/models", self._list),
            ("GET", "/v1/models/{id}", self._show),
            *files.routes(),
            ("*", "/{path:.*}", self._nowhere),
        ):
            self.app.router.add_route(method, path, self._guarded(handle))

    def _guarded(self, handle: Handle) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Check the key before a handler, and write its refusals as Moonshot does."""

        async def guard(request: web.Request) -> web.StreamResponse:
            call = Call(request)
            try:
                call.credential = _credential(request.headers.get("Authorization", ""))
                return await handle(call)
            except Refusal as refusal:
                if call.credential:
                    self._desk.served.refused(call.credential, call.model)
                return refusal.response()

        return guard

    async def _nowhere(self, call: Call) -> web.StreamResponse:
        raise missing(f"the address {call.request.path}")

    async def _answer(self, call: Call) -> web.StreamResponse:
        body = await _json(call.request)
        return await self._chat.answer(call, body, self._card(call, body.get("model")))

    async def _estimate(self, call: Call) -> web.Response:
        body = await _json(call.request)
        tokens = self._chat.estimate(call, body, self._card(call, body.get("model")))
        return _reply({"code": 0, "data": {"total_tokens": tokens}, "scode": "0x0", "status": True})

    async def _balance(self, _: Call) -> web.Response:
        sums = {"available_balance": 49.58894, "voucher_balance": 46.58893, "cash_balance": 3.00001}
        return _reply({"code": 0, "data": sums, "scode": "0x0", "status": True})

    async def _list(self, _: Call) -> web.Response:
        return _reply({"object": "list", "data": [_model(card) for card in self._cards.values()]})

    async def _show(self, call: Call) -> web.Response:
        return _reply(_model(self._card(call, call.request.match_info["id"])))

    def _card(self, call: Call, model: object) -> ModelCard:
        if not isinstance(model, str) or not model:
            raise invalid("model is missing")
        card = self._cards.get(model)
        if card is None:
            raise missing(f"the model {model}")
        call.model = model
        return card


def _credential(header: str) -> str:
    scheme, _, key = header.partition(" ")
    if scheme != "Bearer" or not key:
        raise Refusal("invalid_authentication_error", "Invalid Authentication")
    name = key.removeprefix(KEY_PREFIX)
    if name == key or not name:
        raise Refusal("incorrect_api_key_error", "Incorrect API key provided")
    return name


async def _json(request: web.Request) -> Mapping[str, Any]:
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise invalid("the body is not a JSON object")
    return body


def _reply(body: Mapping[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json")


def _model(card: ModelCard) -> dict[str, Any]:
    created = card.created.toordinal() - 719_163 if card.created is not None else 0  # since 1970
    return {
        "id": card.id,
        "object": "model",
        "created": created * 86_400,
        "owned_by": "moonshot",
        "context_length": card.max_input_tokens,
        "supports_image_in": "vision" in card.capabilities,
        "supports_video_in": "video" in card.capabilities,
        "supports_reasoning": "reasoning" in card.capabilities,
    }
