"""The emulator's application: keys, routes, errors."""

from __future__ import annotations

import base64
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

from fengchao_core.cards import load_cards
from fengchao_core.clock import Clock
from fengchao_core.kit.sandbox import SandboxDesk, count_tokens, draw, embedding
from fengchao_core.types import ModelCard
from fengchao_openai.sandbox import checks
from fengchao_openai.sandbox.call import Call, Handle
from fengchao_openai.sandbox.chat import Chat
from fengchao_openai.sandbox.files import Files
from fengchao_openai.sandbox.refusals import Refusal, unknown_model

KEY_PREFIX = "sk-sandbox-"

_MAX_BODY_BYTES = 64 * 1024 * 1024
_DIMENSIONS = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
}
_SIZES = {
    "auto": (1024, 1024),
    "1024x1024": (1024, 1024),
    "1536x1024": (1536, 1024),
    "1024x1536": (1024, 1536),
}


def build(*, clock: Clock | None = None) -> web.Application:
    """
    A fresh emulator.

    Args:
        clock: the time it stamps answers with; the machine's own where not given.
    """
    return _OpenAI(clock).app


class _OpenAI:
    def __init__(self, clock: Clock | None) -> None:
        self._desk = SandboxDesk(clock=clock)
        self._cards = {card.id: card for card in load_cards("fengchao_openai")}
        self._chat = Chat(self._desk)
        files = Files(self._desk)
        self.app = web.Application(client_max_size=_MAX_BODY_BYTES)
        self._desk.mount(self.app)
        for method, path, handle in (
            ("POST", "/v1/chat/completions", self._answer),
            ("POST", "/v1/embeddings", self._embed),
            ("POST", "/v1/images/generations", self._draw),
            ("GET", "/v1/models", self._list),
            ("GET", "/v1/models/{id}", self._show),
            *files.routes(),
            ("*", "/{path:.*}", self._nowhere),
        ):
            self.app.router.add_route(method, path, self._guarded(handle))

    def _guarded(self, handle: Handle) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Check the key before a handler, and write its refusals as OpenAI does."""

        async def guard(request: web.Request) -> web.StreamResponse:
            call = Call(request, f"req_{self._desk.next_id():024x}")
            try:
                call.credential = _credential(request.headers.get("Authorization", ""))
                response = await handle(call)
            except Refusal as refusal:
                if call.credential:
                    self._desk.served.refused(call.credential, call.model)
                return refusal.response(call.id)
            if not response.prepared:
                response.headers["x-request-id"] = call.id
            return response

        return guard

    async def _nowhere(self, call: Call) -> web.StreamResponse:
        raise Refusal(404, f"Invalid URL ({call.request.method} {call.request.path})")

    async def _answer(self, call: Call) -> web.StreamResponse:
        body = checks.check_fields(await _json(call.request), checks.CHAT, ("model", "messages"))
        card = self._card(call, body["model"], "chat")
        return await self._chat.answer(call, body, card)

    async def _embed(self, call: Call) -> web.Response:
        body = checks.check_fields(await _json(call.request), checks.EMBEDDINGS, ("model", "input"))
        card = self._card(call, body["model"], "embedding")
        longest = _DIMENSIONS[card.id]
        dimensions = body.get("dimensions", longest)
        if dimensions > longest or (dimensions != longest and card.id == "text-embedding-ada-002"):
            raise Refusal(400, "This model does not support these dimensions.", param="dimensions")
        texts = _texts(body["input"])
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": _vector(text, dimensions, body.get("encoding_format", "float")),
            }
            for index, text in enumerate(texts)
        ]
        used = sum(count_tokens(text) or 1 for text in texts)
        with self._desk.served.serving(call.credential, card.id, used):
            return _reply(
                {
                    "object": "list",
                    "data": data,
                    "model": card.id,
                    "usage": {"prompt_tokens": used, "total_tokens": used},
                }
            )

    async def _draw(self, call: Call) -> web.StreamResponse:
        body = checks.check_fields(await _json(call.request), checks.IMAGES, ("prompt",))
        card = self._card(call, body.get("model", "gpt-image-1.5"), "image")
        size = body.get("size", "auto")
        if size not in _SIZES:
            raise Refusal(400, f"Invalid value: '{size}'.", param="size", code="invalid_value")
        picture = base64.b64encode(draw(body["prompt"], *_SIZES[size])).decode()
        tokens = count_tokens(body["prompt"])
        facts = {
            "size": size if size != "auto" else "1024x1024",
            "quality": body.get("quality", "auto"),
            "background": "opaque",
            "output_format": "png",
        }
        usage = {
            "input_tokens": tokens,
            "output_tokens": 272 * body.get("n", 1),
            "total_tokens": tokens + 272 * body.get("n", 1),
            "input_tokens_details": {"text_tokens": tokens, "image_tokens": 0},
        }
        created = int(self._desk.clock.now().timestamp())
        with self._desk.served.serving(call.credential, card.id, tokens):
            if body.get("stream"):
                facts = {"b64_json": picture, "created_at": created, **facts}
                return await self._draw_in_steps(
                    call.request, facts, usage, body.get("partial_images", 0)
                )
            data = [{"b64_json": picture} for _ in range(body.get("n", 1))]
            return _reply({"created": created, "data": data, "usage": usage, **facts})

    async def _draw_in_steps(
        self, request: web.Request, facts: Mapping[str, Any], usage: Mapping[str, Any], partial: int
    ) -> web.StreamResponse:
        kind = "image_generation"
        events = [
            {"type": f"{kind}.partial_image", "partial_image_index": index, **facts}
            for index in range(partial)
        ]
        events.append({"type": f"{kind}.completed", "usage": usage, **facts})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        for event in events:
            await response.write(
                f"event: {event['type']}\ndata: ".encode() + orjson.dumps(event) + b"\n\n"
            )
        return response

    async def _list(self, _: Call) -> web.Response:
        return _reply({"object": "list", "data": [_model(card) for card in self._cards.values()]})

    async def _show(self, call: Call) -> web.Response:
        model = call.request.match_info["id"]
        if model not in self._cards:
            raise Refusal(
                404, f"The model '{model}' does not exist", param="model", code="model_not_found"
            )
        return _reply(_model(self._cards[model]))

    def _card(self, call: Call, model: str, kind: str) -> ModelCard:
        card = self._cards.get(model)
        if card is None:
            raise unknown_model(model)
        call.model = model
        if card.kind != kind:
            raise Refusal(404, f"This is not a model for {kind}: '{model}'.", param="model")
        return card


def _credential(header: str) -> str:
    scheme, _, key = header.partition(" ")
    if scheme != "Bearer" or not key:
        raise Refusal(
            401,
            "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer "
            "auth (i.e. Authorization: Bearer YOUR_KEY).",
        )
    name = key.removeprefix(KEY_PREFIX)
    if name == key or not name:
        raise Refusal(401, f"Incorrect API key provided: {key[:8]}***.", code="invalid_api_key")
    return name


async def _json(request: web.Request) -> Mapping[str, Any]:
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise Refusal(
            400,
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP "
            "library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)",
        )
    return body


def _reply(body: Mapping[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json")


def _model(card: ModelCard) -> dict[str, Any]:
    created = (
        card.created.toordinal() - 719_163 if card.created is not None else 0
    )  # days since 1970
    return {"id": card.id, "object": "model", "created": created * 86_400, "owned_by": "openai"}


def _texts(value: Any) -> list[str]:
    """The inputs as texts; token ids are taken as the texts of their numbers."""
    wrong = Refusal(400, "'$.input' is invalid. Please check the API reference.", param="input")
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not value or len(value) > 2048:
        raise wrong
    if all(type(item) is int for item in value):
        value = [value]
    texts = [" ".join(map(str, item)) if isinstance(item, list) else item for item in value]
    if not all(isinstance(text, str) and text for text in texts):
        raise wrong
    return texts


def _vector(text: str, dimensions: int, encoding: str) -> list[float] | str:
    floats = embedding(text, dimensions)
    if encoding == "float":
        return floats
    return base64.b64encode(struct.pack(f"<{len(floats)}f", *floats)).decode()
