"""Zhipu's pictures (cogview) on the wire. Pure."""

from __future__ import annotations

from pydantic import BaseModel, Field

from fengchao_core.errors import InvalidParameter
from fengchao_core.kit.errors import Classify
from fengchao_core.kit.openai_chat import dump
from fengchao_core.kit.replies import read_reply
from fengchao_core.types import Image, ImageRequest, ImageResult

PATH = "/images/generations"


class _Picture(BaseModel):
    url: str | None = None
    b64_json: str | None = None


class _Answer(BaseModel):
    created: float = 0.0
    data: list[_Picture] = Field(min_length=1)


def encode(request: ImageRequest) -> bytes:
    """
    A call for pictures.

    Raises:
        InvalidParameter: the request has a negative prompt, which the vendor lacks.
    """
    if request.negative_prompt is not None:
        raise InvalidParameter("this provider takes no negative prompt", param="negative_prompt")
    optional = {
        "size": request.size,
        "quality": request.quality,
        "style": request.style,
        "n": request.n,
        "response_format": request.response_format,
        "user_id": request.user,
    }
    given = {name: value for name, value in optional.items() if value is not None}
    return dump({"model": request.model, "prompt": request.prompt, **given, **request.extra})


def decode(body: bytes, classify: Classify) -> ImageResult:
    """The pictures. Raises `ProviderError` where the body is an error, or not what the vendor documents."""
    answer = read_reply(_Answer, body, classify)
    images = tuple(Image(url=each.url, b64_json=each.b64_json) for each in answer.data)
    return ImageResult(images=images, created=answer.created)
