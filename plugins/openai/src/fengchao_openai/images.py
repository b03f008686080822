"""Pictures, on OpenAI's wire."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from fengchao_core.errors import InvalidParameter, ProviderProtocolError
from fengchao_core.kit.errors import Classify
from fengchao_core.kit.openai_chat import dump
from fengchao_core.kit.replies import read_reply
from fengchao_core.types import NO_USAGE, Image, ImageRequest, ImageResult, Usage

IMAGES = "/images/generations"


class _ImageUsage(BaseModel):
    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)


class _Image(BaseModel):
    url: str | None = None
    b64_json: str | None = None
    revised_prompt: str | None = None


class _Images(BaseModel):
    created: float = 0.0
    data: Annotated[list[_Image], Field(min_length=1)]
    usage: _ImageUsage | None = None


def encode_image(request: ImageRequest, extra_knobs: frozenset[str] = frozenset()) -> bytes:
    """
    The body that asks for pictures.

    Raises:
        InvalidParameter: it asks for a negative prompt where `extra_knobs` names none, or for an answer by URL from a
            model that gives the picture itself, as the gpt-image models do.
    """
    body: dict[str, Any] = {**request.extra, "model": request.model, "prompt": request.prompt}
    for name in ("n", "size", "quality", "style", "user"):
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if request.negative_prompt is not None:
        if "negative_prompt" not in extra_knobs:
            raise InvalidParameter(
                "this provider has no 'negative_prompt'", param="negative_prompt"
            )
        body["negative_prompt"] = request.negative_prompt
    if not request.model.startswith("gpt-image"):
        if request.response_format is not None:
            body["response_format"] = request.response_format
    elif request.response_format == "url":
        raise InvalidParameter(
            f"model {request.model!r} answers pictures as base64 only; ask for 'b64_json'",
            param="response_format",
        )
    return dump(body)


def decode_images(body: bytes, classify: Classify) -> ImageResult:
    """The pictures. Raises `ProviderError`, as `read_reply`."""
    answer = read_reply(_Images, body, classify)
    if any(image.url is None and image.b64_json is None for image in answer.data):
        raise ProviderProtocolError("a picture of the provider has neither a URL nor data")
    usage = answer.usage
    return ImageResult(
        images=tuple(
            Image(image.url, image.b64_json, image.revised_prompt) for image in answer.data
        ),
        usage=NO_USAGE if usage is None else Usage(usage.input_tokens, usage.output_tokens),
        created=answer.created,
    )
