"""Refusals that only HTTP knows: they belong to no layer below the server."""

from __future__ import annotations

from fengchao_core.errors import CallError, FengChaoError


class NotFound(CallError):
    """No route has this path."""

    def __init__(self) -> None:
        super().__init__("no such path; GET /docs lists what is served")


class MethodNotAllowed(CallError):
    """
    The path exists, the method does not.

    Args:
        allowed: the methods it takes.
    """

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__(f"this path takes {', '.join(allowed)}")
        self.allowed = allowed


class BodyTooLarge(CallError):
    """
    The request body is longer than the server takes.

    Args:
        limit: in bytes.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(f"the request body is longer than the limit of {limit} bytes")
        self.limit = limit


class BodyTimeout(CallError):
    """The request body did not come in time."""

    def __init__(self, limit_s: float) -> None:
        super().__init__(f"the request body did not arrive within {limit_s:g} s")


class MalformedBody(CallError):
    """The request body is not the JSON object that is expected."""


class Incident(FengChaoError):
    """
    Something of ours broke. The caller learns an id; the log has the rest under it.

    Args:
        incident_id: opaque.
    """

    def __init__(self, incident_id: str) -> None:
        super().__init__(f"internal error; tell the operator this incident id: {incident_id}")
        self.incident_id = incident_id
