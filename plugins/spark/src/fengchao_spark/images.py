"""
Spark's pictures on the wire. Pure.

Source: ImageGeneration.html in a copy of 2024; the SDK has no function for it. The list of sizes was read at a reseller's.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from fengchao_core.errors import InvalidParameter
from fengchao_core.kit.errors import Classify
from fengchao_core.kit.openai_chat import dump
from fengchao_core.types import Image, ImageRequest, ImageResult
from fengchao_spark.replies import DEFAULT_UID, read

MODEL = "spark-tti"
PATH = "/v2.1/tti"

SIZES = (
    "512x512",
    "640x360",
    "640x480",
    "640x640",
    "680x512",
    "512x680",
    "768x768",
    "720x1280",
    "1280x720",
    "1024x1024",
)
"""Width and height in pixels; the first is taken where none is asked for."""

_DOMAIN = "general"


class _Text(BaseModel):
    content: str


class _Choices(BaseModel):
    text: list[_Text] = Field(min_length=1)


class _Payload(BaseModel):
    choices: _Choices


class _Reply(BaseModel):
    payload: _Payload


def encode(request: ImageRequest, app_id: str) -> bytes:
    """
    A call for one picture.

    Raises:
        InvalidParameter: the request asks for what the vendor lacks.
    """
    for name in ("quality", "style", "negative_prompt"):
        if getattr(request, name) is not None:
            raise InvalidParameter(f"this provider's pictures have no '{name}'", param=name)
    if request.n not in (None, 1):
        raise InvalidParameter("this provider draws one picture a call", param="n")
    if request.response_format == "url":
        raise InvalidParameter(
            "this provider gives pictures as data only: ask for 'b64_json'", param="response_format"
        )
    size = request.size or SIZES[0]
    if size not in SIZES:
        raise InvalidParameter(f"this provider draws {', '.join(SIZES)}, not {size}", param="size")
    width, _, height = size.partition("x")
    chat: dict[str, Any] = {"width": int(width), "height": int(height), **request.extra}
    return dump(
        {
            "header": {"app_id": app_id, "uid": request.user or DEFAULT_UID},
            "parameter": {"chat": {**chat, "domain": _DOMAIN}},
            "payload": {"message": {"text": [{"role": "user", "content": request.prompt}]}},
        }
    )


def decode(body: bytes, classify: Classify, *, created: float) -> ImageResult:
    """The picture, as data. Raises as `replies.read`."""
    text = read(_Reply, body, classify).payload.choices.text
    return ImageResult(images=tuple(Image(b64_json=each.content) for each in text), created=created)
