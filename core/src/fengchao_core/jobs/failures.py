"""Errors as JSON and back: a task's failure is raised to whoever asks for its result, in another process and on another day."""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson

from fengchao_core.errors import FengChaoError, TaskEnded

_SCALARS = (str, int, float, bool, type(None))


def dump_failure(error: FengChaoError) -> bytes:
    """An error, with the facts it carries."""
    facts = {name: value for name, value in vars(error).items() if isinstance(value, _SCALARS)}
    return orjson.dumps({"error": type(error).__name__, "message": str(error), "facts": facts})


def load_failure(raw: bytes) -> FengChaoError:
    """The error that `dump_failure` took; of a class that this version does not know, a `TaskEnded`."""
    told: dict[str, Any] = orjson.loads(raw)
    kind = _classes().get(told["error"])
    if kind is None:
        return TaskEnded("incident")
    # Not called: constructors differ, and what they would set is in the facts.
    error = kind.__new__(kind, told["message"])
    error.args = (told["message"],)
    vars(error).update(told["facts"])
    return error


@cache
def _classes() -> dict[str, type[FengChaoError]]:
    found: dict[str, type[FengChaoError]] = {}
    waiting = [FengChaoError]
    while waiting:
        kind = waiting.pop()
        if kind.__module__.partition(".")[0] == "fengchao_core":
            found[kind.__name__] = kind
        waiting += kind.__subclasses__()
    return found
