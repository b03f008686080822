"""Whole replies other than chat: embeddings, pictures, lists. Checked by small pydantic models that ignore the rest."""

from __future__ import annotations

from typing import TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from fengchao_core.errors import ProviderProtocolError
from fengchao_core.kit.errors import Classify, read_error

_Model = TypeVar("_Model", bound=BaseModel)


def read_reply(model: type[_Model], body: bytes, classify: Classify) -> _Model:
    """
    A reply under HTTP 200, checked.

    Args:
        model: names the fields that are used, and insists on them.
        classify: makes the error of a body that is an error although its status says otherwise.

    Raises:
        ProviderError: the body is an error.
        ProviderProtocolError: it is nonsense.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        fields = sorted(
            {
                ".".join(str(step) for step in each["loc"][:1])
                for each in error.errors(include_input=False)
            }
        )
    # Raised out here: pydantic's own error would carry the whole body along as its context.
    if _is_error(body):
        raise classify(200, {}, body)
    where = f" in {', '.join(repr(field) for field in fields if field)}" if any(fields) else ""
    raise ProviderProtocolError(f"the provider's reply does not follow its documentation{where}")


def _is_error(body: bytes) -> bool:
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return isinstance(tree, dict) and bool(tree.get("error") or read_error(body).codes)
