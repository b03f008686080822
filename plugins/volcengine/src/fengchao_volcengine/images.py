"""Pictures (Seedream) on Ark's wire. Pure."""

from __future__ import annotations

from pydantic import BaseModel, Field

from fengchao_core.errors import InvalidParameter, ProviderProtocolError
from fengchao_core.kit.errors import Classify
from fengchao_core.kit.openai_chat import dump
from fengchao_core.kit.replies import read_reply
from fengchao_core.types import NO_USAGE, Image, ImageRequest, ImageResult, Usage

PATH = "/images/generations"


class _Failure(BaseModel):
    code: str = ""
    message: str = ""


class _Picture(BaseModel):
    url: str | None = None
    b64_json: str | None = None
    error: _Failure | None = None


class _Usage(BaseModel):
    output_tokens: int = Field(default=0, ge=0)
    total_tokens: int = Field(default=0, ge=0)


class _Answer(BaseModel):
    created: float = 0.0
    data: list[_Picture] = Field(min_length=1)
    usage: _Usage | None = None


def encode(request: ImageRequest) -> bytes:
    """
    A call for a picture, or for a series where `extra` asks for one (`sequential_image_generation`).

    `user` is left out, since the vendor has no such field.

    Raises:
        InvalidParameter: the request has a quality, a style, a negative prompt, or asks for several pictures.
    """
    for name in ("quality", "style", "negative_prompt"):
        if getattr(request, name) is not None:
            raise InvalidParameter(f"this provider has no '{name}'", param=name)
    if (request.n or 1) > 1:
        raise InvalidParameter(
            "this provider draws one picture for a call, or a series whose length the model chooses: ask several "
            "times, or pass 'sequential_image_generation'",
            param="n",
        )
    body: dict[str, object] = {"model": request.model, "prompt": request.prompt}
    if request.size is not None:
        body["size"] = request.size
    if request.response_format is not None:
        body["response_format"] = request.response_format
    return dump({**body, **request.extra})


def decode(body: bytes, classify: Classify) -> ImageResult:
    """
    The pictures. Those of a series that could not be drawn are left out, unless none is left.

    Raises:
        ProviderError: the body is an error, no picture could be drawn, or it is not what the vendor documents.
    """
    answer = read_reply(_Answer, body, classify)
    drawn = [each for each in answer.data if each.url or each.b64_json]
    if not drawn:
        failure = next((each.error for each in answer.data if each.error is not None), None)
        if failure is None:
            raise ProviderProtocolError("a picture of the provider has neither a URL nor data")
        raise classify(200, {}, dump({"error": failure.model_dump()}))
    usage = answer.usage
    return ImageResult(
        images=tuple(Image(url=each.url, b64_json=each.b64_json) for each in drawn),
        usage=NO_USAGE
        if usage is None
        else Usage(max(0, usage.total_tokens - usage.output_tokens), usage.output_tokens),
        created=answer.created,
    )
