"""Request bodies: read with limits, parsed once, guarded against depth."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import orjson
from aiohttp import web

from fengchao_server.refusals import BodyTimeout, BodyTooLarge, MalformedBody

BODY_TIMEOUT_S: Final = 60.0
MAX_BRACKETS: Final = 250_000
"""How many objects and arrays a body may hold, brackets in texts included: enough for any conversation."""

MAX_DEPTH: Final = 128
"""How deep a body may nest: far beyond any request of sense, far below what would break encoders further down."""


_BROKEN: Final = "the body breaks off, or its transfer or content coding is broken"


async def read_body(request: web.BaseRequest, limit: int) -> bytes:
    """
    The whole body.

    Args:
        limit: in bytes, after decompression.

    Raises:
        BodyTooLarge: it is longer, by its own declaration or in fact.
        BodyTimeout: it did not arrive in time.
        MalformedBody: its transfer or content coding is broken.
    """
    if (body := body_here(request, limit)) is not None:
        return body
    try:
        return await _read_rest(request, limit)
    except web.RequestPayloadError as error:
        raise MalformedBody(_BROKEN) from error


def body_here(request: web.BaseRequest, limit: int) -> bytes | None:
    """
    The body, where it arrived together with the headers, as small ones do; None where `read_body` must wait for it.

    Raises: as `read_body`.
    """
    content = request.content
    if not content.is_eof():
        return None
    try:
        body = content.read_nowait(-1)
    except web.RequestPayloadError as error:
        raise MalformedBody(_BROKEN) from error
    if len(body) > limit:
        raise BodyTooLarge(limit)
    return body


def parse_object(body: bytes) -> dict[str, Any]:
    """
    A JSON object.

    Raises:
        MalformedBody: it is not JSON, not an object, nests too deeply, or holds far too much.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedBody(f"the body is not valid JSON: {error}") from None
    if type(value) is not dict:
        raise MalformedBody(f"the body must be a JSON object, not {json_type(value)}")
    # Counting brackets costs next to nothing, and few of them cannot nest deeply.
    brackets = body.count(b"{") + body.count(b"[")
    if brackets > MAX_BRACKETS:
        raise MalformedBody(f"the body holds more than {MAX_BRACKETS} objects and arrays")
    if brackets > MAX_DEPTH and _is_deep(value):
        raise MalformedBody(f"the body nests deeper than {MAX_DEPTH} levels")
    return value


def json_type(value: object) -> str:
    """What JSON calls the type of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "an object"


async def _read_rest(request: web.BaseRequest, limit: int) -> bytes:
    if (declared := request.content_length) is not None and declared > limit:
        raise BodyTooLarge(limit)
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while chunk := await request.content.readany():
                body += chunk
                if len(body) > limit:
                    raise BodyTooLarge(limit)
    except TimeoutError as error:
        raise BodyTimeout(BODY_TIMEOUT_S) from error
    return bytes(body)


def _is_deep(value: object) -> bool:
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return False
    return True
