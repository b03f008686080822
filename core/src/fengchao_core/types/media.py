"""Embeddings and pictures: requests that are answered in one piece."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Literal

from fengchao_core.types.answering import NO_USAGE, Usage
from fengchao_core.types.shared import dataclass, empty


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingRequest:
    """
    Texts to turn into vectors.

    Attributes:
        model: the vendor's name of the model.
        inputs: the texts, in order.
        dimensions: length of the vectors, where the model lets one choose.
    """

    model: str
    inputs: tuple[str, ...]
    dimensions: int | None = None
    user: str | None = None
    extra: Mapping[str, object] = field(default_factory=empty)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingResult:
    """
    Vectors in the order of the inputs.

    Attributes:
        vectors: [inputs][dimensions] floats.
    """

    vectors: tuple[Sequence[float], ...]
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequest:
    """A picture to draw. `size` is `WIDTHxHEIGHT` in pixels."""

    model: str
    prompt: str
    n: int | None = None
    size: str | None = None
    quality: str | None = None
    style: str | None = None
    negative_prompt: str | None = None
    response_format: Literal["url", "b64_json"] | None = None
    user: str | None = None
    extra: Mapping[str, object] = field(default_factory=empty)


@dataclass(frozen=True, slots=True)
class Image:
    """A drawn picture: a URL that lives for a while, or base64 data."""

    url: str | None = None
    b64_json: str | None = None
    revised_prompt: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageResult:
    """The pictures, and what they used."""

    images: tuple[Image, ...]
    usage: Usage = NO_USAGE
    created: float = 0.0
