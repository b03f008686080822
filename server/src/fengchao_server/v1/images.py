"""`POST /v1/images/generations`: pictures from a text, in OpenAI's shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fengchao_core.errors import InvalidParameter
from fengchao_core.types import DrawCall, Image
from fengchao_server.answers import Answer
from fengchao_server.call import Call
from fengchao_server.v1.chat_request import HARMFUL
from fengchao_server.v1.rates import rate_headers
from fengchao_server.v1.reading import Reader, flag, integer, one_of, text, word

_READERS: Final[Mapping[str, Reader]] = {
    "n": integer(1, 10),
    "size": text,
    "quality": text,
    "style": text,
    "negative_prompt": text,
    "response_format": one_of("url", "b64_json"),
    "user": text,
}


async def generations(call: Call) -> Answer:
    """Draw."""
    drawing = read_drawing(call.document, call.id)
    call.model = drawing.model
    result = await call.gateway.draw(drawing, caller=call.caller)
    call.usage = used = result.usage
    body: dict[str, Any] = {
        "created": int(result.created),
        "data": [_picture(image) for image in result.images],
    }
    if used.total_tokens:
        body["usage"] = {
            "input_tokens": used.prompt_tokens,
            "output_tokens": used.completion_tokens,
            "total_tokens": used.total_tokens,
        }
    return Answer.json(body, headers=rate_headers(call))


def read_drawing(document: Mapping[str, Any], request_id: str) -> DrawCall:
    """
    Read a body. `auto` is left to the vendor; fields that nobody here knows travel to it untouched.

    Raises:
        InvalidParameter: naming the field.
    """
    known: dict[str, Any] = {}
    extra: dict[str, object] = {}
    for name, value in document.items():
        if name in ("model", "prompt") or value is None:
            continue
        if name == "stream":
            if flag(value, name):
                raise InvalidParameter("pictures are not streamed", param=name)
        elif name in HARMFUL:
            raise InvalidParameter(f"'{name}' is not taken: {HARMFUL[name]}", param=name)
        elif name in _READERS:
            read = _READERS[name](value, name)
            known[name] = None if read == "auto" else read
        else:
            extra[name] = value
    return DrawCall(
        model=word(document.get("model"), "model"),
        query=word(document.get("prompt"), "prompt"),
        request_id=request_id,
        extra=extra,
        **known,
    )


def _picture(image: Image) -> dict[str, str]:
    facts = {
        "url": image.url,
        "b64_json": image.b64_json,
        "revised_prompt": image.revised_prompt,
    }
    return {name: value for name, value in facts.items() if value is not None}
