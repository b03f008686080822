"""What is wrong with settings, in sentences that say what to do; never a value, which may be a secret."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import BaseModel, ValidationError

from fengchao_core.sources import ENV_PREFIX


def explain(
    error: ValidationError, model: type[BaseModel] | None, *, where: str, section: str = ""
) -> list[str]:
    """
    One sentence per problem of a pydantic error, naming the key, and for an unknown key the nearest known one.

    Args:
        model: what was being read; None where the known keys are not worth telling.
    """
    out = []
    for item in error.errors(include_url=False, include_input=False):
        loc = [str(part) for part in item["loc"]]
        key = ".".join(([section] if section else []) + loc)
        if item["type"] == "extra_forbidden":
            known = _known_keys(model, loc)
            near = difflib.get_close_matches(loc[-1], known, n=1)
            hint = (
                f"; did you mean {near[0]!r}?"
                if near
                else f"; known: {', '.join(known)}"
                if known
                else ""
            )
            out.append(f"{where}: unknown key '{key}'{hint}")
        elif item["type"] == "missing":
            name = ENV_PREFIX + "__".join(part.upper().replace("-", "_") for part in key.split("."))
            out.append(f"{where}: '{key}' is missing; set it in the file or as {name}")
        else:
            out.append(f"{where}: '{key}': {item['msg'].removeprefix('Value error, ')}")
    return out


def _known_keys(model: Any, loc: list[str]) -> list[str]:
    for part in loc[:-1]:
        field = model.model_fields.get(part) if model else None
        annotation = field.annotation if field else None
        model = (
            annotation
            if isinstance(annotation, type) and issubclass(annotation, BaseModel)
            else None
        )
    return sorted(model.model_fields) if model else []
