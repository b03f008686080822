"""The signed HTTP services: embeddings and pictures."""

from __future__ import annotations

import binascii
import struct
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import orjson
from aiohttp import web

from fengchao_core.kit.sandbox import (
    Faults,
    SandboxDesk,
    count_tokens,
    draw,
    embedding,
    send_whole,
)
from fengchao_core.types import Usage
from fengchao_spark import embeddings, images
from fengchao_spark.sandbox.codes import RefusedError, refusal_of
from fengchao_spark.sandbox.signatures import expired

DIMENSIONS = 2560
_MAX_TOKENS = 2048
_MAX_PROMPT_CHARS = 1000

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_Asked = tuple[str, str, dict[str, object]]  # model, text, the answer's payload


class Services:
    """
    Embeddings and pictures.

    Args:
        app_id: the application that may ask.
    """

    def __init__(self, desk: SandboxDesk, app_id: str) -> None:
        self._desk = desk
        self._app_id = app_id

    def routes(self) -> Iterator[tuple[str, Handler]]:
        """The paths, and who answers there."""
        for path in dict.fromkeys(each.path for each in embeddings.SERVICES.values()):
            yield path, self._handler(_embedded)
        yield images.PATH, self._handler(_drawn)

    def _handler(self, answer: Callable[[str, Mapping[str, Any]], _Asked]) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            sid = f"ase{self._desk.next_id():08x}@dx"
            try:
                body = _body(await request.read(), self._app_id)
                model, text, payload = answer(request.path, body)
                faults = self._desk.faults(text)
                _refuse(faults)
            except RefusedError as refused:
                header = {"code": refused.code, "message": refused.message, "sid": sid}
                return web.json_response({"header": header})
            tokens = count_tokens(text)
            whole = {"header": {"code": 0, "message": "success", "sid": sid}, "payload": payload}
            with self._desk.served.serving(self._app_id, model, tokens) as serving:
                serving.complete(Usage(tokens))
                return await send_whole(request, whole, faults, serving)

        return handle


def _refuse(faults: Faults) -> None:
    if faults.refusal == "expired_token":
        raise expired()
    if faults.refusal is not None:
        raise refusal_of(faults)


def _embedded(path: str, body: Mapping[str, Any]) -> _Asked:
    emb = _inner(body, "parameter", "emb")
    model = next(
        (
            name
            for name, service in embeddings.SERVICES.items()
            if service.path == path and service.domain in (None, emb.get("domain"))
        ),
        None,
    )
    if model is None:
        raise RefusedError(10005, "parameter.emb.domain")
    try:
        said = orjson.loads(b64decode(_inner(body, "payload", "messages")["text"], validate=True))
        text = said["messages"][0]["content"]
    except (KeyError, IndexError, TypeError, binascii.Error, ValueError):
        raise RefusedError(10004, "payload.messages.text") from None
    if not isinstance(text, str) or not text:
        raise RefusedError(10004, "payload.messages.text")
    if count_tokens(text) > _MAX_TOKENS:
        raise RefusedError(10907)
    vector = struct.pack(f"<{DIMENSIONS}f", *embedding(text, DIMENSIONS))
    feature = {"encoding": "utf8", "compress": "raw", "format": "plain"}
    return model, text, {"feature": {**feature, "text": b64encode(vector).decode()}}


def _drawn(_: str, body: Mapping[str, Any]) -> _Asked:
    chat = _inner(body, "parameter", "chat")
    if f"{chat.get('width')}x{chat.get('height')}" not in images.SIZES:
        raise RefusedError(10005, "parameter.chat.width, height")
    try:
        prompt = _inner(body, "payload", "message")["text"][0]["content"]
    except (KeyError, IndexError, TypeError):
        raise RefusedError(10004, "payload.message.text") from None
    if not isinstance(prompt, str) or not 0 < len(prompt) <= _MAX_PROMPT_CHARS:
        raise RefusedError(10005, "payload.message.text.content")
    picture = b64encode(draw(prompt, chat["width"], chat["height"])).decode()
    said = {"content": picture, "role": "assistant", "index": 0}
    return images.MODEL, prompt, {"choices": {"status": 2, "seq": 0, "text": [said]}}


def _body(data: bytes, app_id: str) -> Mapping[str, Any]:
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise RefusedError(10003) from None
    if not isinstance(body, dict):
        raise RefusedError(10003)
    header = body.get("header")
    if not isinstance(header, dict) or not isinstance(header.get("app_id"), str):
        raise RefusedError(10004, "header.app_id")
    if header["app_id"] != app_id:
        raise RefusedError(10016)
    return body


def _inner(body: Mapping[str, Any], outer: str, name: str) -> Mapping[str, Any]:
    value = body.get(outer)
    inner = value.get(name) if isinstance(value, dict) else None
    if not isinstance(inner, dict):
        raise RefusedError(10004, f"{outer}.{name}")
    return inner
