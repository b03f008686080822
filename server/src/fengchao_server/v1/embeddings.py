"""`POST /v1/embeddings`: vectors as numbers, or as base64 of little-endian float32, as OpenAI's SDKs ask by default."""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Sequence
from typing import Any, Final

from fengchao_core.errors import InvalidParameter
from fengchao_server.answers import Answer
from fengchao_server.call import Call
from fengchao_server.v1.rates import rate_headers
from fengchao_server.v1.reading import integer, one_of, refuse, word

MOST_INPUTS: Final = 2048

_KNOWN: Final = frozenset({"model", "input", "dimensions", "encoding_format", "user"})


async def embeddings(call: Call) -> Answer:
    """Turn texts into vectors."""
    document = call.document
    model = call.model = word(document.get("model"), "model")
    for name, value in document.items():
        if name not in _KNOWN and value is not None:
            raise InvalidParameter(f"'{name}' is not known to this endpoint", param=name)
    inputs = _inputs(document.get("input"))
    dimensions = document.get("dimensions")
    encoding = document.get("encoding_format")
    in_base64 = (
        encoding is not None and one_of("float", "base64")(encoding, "encoding_format") == "base64"
    )
    result = await call.gateway.embed(
        model,
        inputs,
        dimensions=None if dimensions is None else integer(1)(dimensions, "dimensions"),
        caller=call.caller,
    )
    call.usage = result.usage
    return Answer.json(
        {
            "object": "list",
            "data": [
                {
                    "object": "embedding",
                    "index": index,
                    "embedding": packed(vector) if in_base64 else list(vector),
                }
                for index, vector in enumerate(result.vectors)
            ],
            "model": model,
            "usage": {
                "prompt_tokens": result.usage.prompt_tokens,
                "total_tokens": result.usage.total_tokens,
            },
        },
        headers=rate_headers(call),
    )


def packed(vector: Sequence[float]) -> str:
    """A vector as base64 of little-endian float32."""
    floats = array("f", vector)
    if sys.byteorder == "big":
        floats.byteswap()
    return base64.b64encode(floats.tobytes()).decode()


def _inputs(value: Any) -> tuple[str, ...]:
    if type(value) is str:
        return (value,)
    if type(value) is not list:
        refuse("input", "a string or an array of strings", value)
    if not 1 <= len(value) <= MOST_INPUTS:
        raise InvalidParameter(f"'input' must hold 1 to {MOST_INPUTS} texts", param="input")
    for index, item in enumerate(value):
        if type(item) is not str:
            if type(item) in (int, list):
                raise InvalidParameter(
                    "'input' holds tokens; send the text itself, for models count tokens differently",
                    param="input",
                )
            refuse(f"input[{index}]", "a string", item)
    return tuple(value)
