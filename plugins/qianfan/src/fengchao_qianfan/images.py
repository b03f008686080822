"""Pictures drawn, on the wire of both generations. Pure."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from fengchao_core.errors import InvalidParameter, ProviderProtocolError
from fengchao_core.kit.errors import Classify
from fengchao_core.kit.openai_chat import dump
from fengchao_core.kit.replies import read_reply
from fengchao_core.types import NO_USAGE, Image, ImageRequest, ImageResult, Usage

PATH = "/images/generations"
"""V2's path; V1 has one for each model."""


class _Usage(BaseModel):
    prompt_tokens: int = Field(default=0, ge=0)
    total_tokens: int = Field(default=0, ge=0)


class _Picture(BaseModel):
    index: int = 0
    url: str | None = None
    b64_image: str | None = None
    b64_json: str | None = None


class _Answer(BaseModel):
    created: float = 0.0
    data: list[_Picture] = Field(min_length=1)
    usage: _Usage | None = None


def encode(request: ImageRequest, *, v2_model: str | None = None) -> bytes:
    """
    A call for pictures.

    Args:
        request: what is asked.
        v2_model: V2's name of the model; None for V1, where the path names it.

    Raises:
        InvalidParameter: it asks for what the generation lacks.
    """
    lacking = ["quality"]
    body: dict[str, Any] = {**request.extra, "prompt": request.prompt, "n": request.n}
    body["size"] = request.size
    if v2_model is None:
        body |= {"style": request.style, "negative_prompt": request.negative_prompt}
        body["user_id"] = request.user
        if request.response_format == "url":
            raise InvalidParameter(
                "this model answers pictures as base64 only; ask for 'b64_json'",
                param="response_format",
            )
    else:
        lacking += ["style", "negative_prompt"]
        body |= {"model": v2_model, "user": request.user}
        if request.response_format == "b64_json":
            raise InvalidParameter(
                "this model answers pictures by their address only; ask for 'url'",
                param="response_format",
            )
    for name in lacking:
        if getattr(request, name) is not None:
            raise InvalidParameter(f"this model has no '{name}' for pictures", param=name)
    return dump({name: value for name, value in body.items() if value is not None})


def decode(body: bytes, classify: Classify) -> ImageResult:
    """The pictures, in the vendor's order. Raises `ProviderError`, as `read_reply`."""
    answer = read_reply(_Answer, body, classify)
    pictures = sorted(answer.data, key=lambda picture: picture.index)
    images = tuple(Image(url=p.url, b64_json=p.b64_image or p.b64_json) for p in pictures)
    if any(image.url is None and image.b64_json is None for image in images):
        raise ProviderProtocolError("a picture of the provider has neither an address nor data")
    usage = answer.usage
    return ImageResult(
        images=images,
        usage=NO_USAGE if usage is None else Usage(usage.prompt_tokens or usage.total_tokens),
        created=answer.created,
    )
