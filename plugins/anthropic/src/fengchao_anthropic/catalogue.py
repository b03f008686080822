"""Counts of tokens, lists of models, and files, on the vendor's wire. Pure."""

from __future__ import annotations

from mimetypes import guess_type

from pydantic import BaseModel, Field

from fengchao_core.kit.errors import Classify
from fengchao_core.kit.multipart import Field as FormField
from fengchao_core.kit.multipart import Form, form
from fengchao_core.kit.replies import read_reply

MODELS = "/v1/models"
FILES = "/v1/files"
PAGE = 1000
"""The most models on one page."""


class _Count(BaseModel):
    input_tokens: int = Field(ge=0)


class _Named(BaseModel):
    id: str


class _Models(BaseModel):
    data: list[_Named]
    has_more: bool = False
    last_id: str | None = None


def decode_count(body: bytes, classify: Classify) -> int:
    """How many input tokens a request has. Raises `ProviderError`, as `read_reply`."""
    return read_reply(_Count, body, classify).input_tokens


def decode_models(body: bytes, classify: Classify) -> tuple[tuple[str, ...], str | None]:
    """The ids on a page of models, and after which one the next page goes on; None: there is none."""
    page = read_reply(_Models, body, classify)
    ids = tuple(model.id for model in page.data)
    if not page.has_more or not ids:
        return ids, None
    return ids, page.last_id or ids[-1]


def encode_file(filename: str, content: bytes) -> Form:
    """The form that uploads a file; its type is told by its name."""
    kind = guess_type(filename)[0] or "application/octet-stream"
    return form((FormField("file", content, filename, kind),))


def decode_file(body: bytes, classify: Classify) -> str:
    """The id of an uploaded file."""
    return read_reply(_Named, body, classify).id
