"""Lists of models, and files, on OpenAI's wire."""

from __future__ import annotations

from pydantic import BaseModel

from fengchao_core.kit.errors import Classify
from fengchao_core.kit.multipart import Field, Form, form
from fengchao_core.kit.replies import read_reply

MODELS = "/models"
FILES = "/files"


class _Named(BaseModel):
    id: str


class _NamedList(BaseModel):
    data: list[_Named]


def decode_models(body: bytes, classify: Classify) -> tuple[str, ...]:
    """The ids of a list of models. Raises `ProviderError`, as `read_reply`."""
    return tuple(model.id for model in read_reply(_NamedList, body, classify).data)


def encode_file(filename: str, content: bytes, purpose: str) -> Form:
    """The form that uploads a file."""
    return form((Field("purpose", purpose), Field("file", content, filename)))


def decode_file(body: bytes, classify: Classify) -> str:
    """The id of an uploaded file. Raises `ProviderError`, as `read_reply`."""
    return read_reply(_Named, body, classify).id
