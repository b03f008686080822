"""Whole replies of the signed HTTP services: a header with a code, and a payload. Pure."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from fengchao_core.errors import ProviderProtocolError
from fengchao_core.kit.errors import Classify

DEFAULT_UID = "fengchao"
"""Who asks, where the caller does not say."""

_Payload = TypeVar("_Payload", bound=BaseModel)


class _Header(BaseModel):
    code: int


class _Head(BaseModel):
    header: _Header


def read(payload: type[_Payload], body: bytes, classify: Classify) -> _Payload:
    """
    A reply under HTTP 200.

    Args:
        payload: names the fields that are used, `payload` at the top, and insists on them.
        classify: makes the error of a reply whose code is not 0.

    Raises:
        ProviderError: the reply is an error.
        ProviderProtocolError: it is nonsense.
    """
    try:
        head = _Head.model_validate_json(body)
        if not head.header.code:
            return payload.model_validate_json(body)
    except ValidationError as error:
        where = ".".join(str(step) for step in error.errors(include_input=False)[0]["loc"])
    else:
        raise classify(200, {}, body)
    # Raised out here: pydantic's own error would carry the whole body along as its context.
    raise ProviderProtocolError(
        f"the provider's reply is not what it documents, at '{where or 'the top'}'"
    )
