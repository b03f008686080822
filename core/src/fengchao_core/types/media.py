"""Embeddings and pictures: requests that are answered in one piece."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Literal

from fengchao_core.types.models import Money
from fengchao_core.types.shared import dataclass, empty
from fengchao_core.types.using import NO_USAGE, Usage


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
class DrawCall:
    """
    What a caller wants drawn.

    Attributes:
        model: the model's name or alias, as `Gateway.models()` lists it.
        query: what the picture shows.
        prompt: the id of a preset, or a custom text that holds `{{query}}`.
        prompt_fill: values of further `{{name}}` placeholders of a custom prompt.
        negative_prompt: what the picture should not show.
        n: how many pictures, 1 to 10; one where not given.
        size: `WIDTHxHEIGHT` in pixels; the vendor's own where not given.
        response_format: how pictures come; as the vendor gives them where not given.
        request_id: the caller's id; made if absent.
        is_sensitive: screen the words of what is asked.
        sensitive_replace: replace hits by `*` instead of refusing.
        extra: vendor-only parameters, passed on untouched.
    """

    model: str
    query: str | None
    prompt: str | None = None
    prompt_fill: Mapping[str, str] = field(default_factory=dict)
    negative_prompt: str | None = None
    n: int | None = None
    size: str | None = None
    quality: str | None = None
    style: str | None = None
    response_format: Literal["url", "b64_json"] | None = None
    user: str | None = None
    request_id: str | None = None
    is_sensitive: bool = True
    sensitive_replace: bool = False
    extra: Mapping[str, object] = field(default_factory=empty)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequest:
    """What a provider that draws receives. `size` is `WIDTHxHEIGHT` in pixels."""

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
    """
    The pictures, and what they used.

    Attributes:
        created: in epoch seconds; 0 where the vendor does not say.
        request_id: the caller's, or the one the gateway made; empty as it comes from a provider, as are the next two.
        cost: what they cost; None where the model has no price.
        notes: what the gateway adapted on the way, one English sentence each.
    """

    images: tuple[Image, ...]
    usage: Usage = NO_USAGE
    created: float = 0.0
    request_id: str = ""
    cost: Money | None = None
    notes: tuple[str, ...] = ()
