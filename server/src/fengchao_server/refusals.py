"""Refusals that only HTTP knows: they belong to no layer below the server."""

from __future__ import annotations

import math

from fengchao_core.errors import AuthenticationFailed, CallError, FengChaoError, InvalidParameter


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


class Worded(CallError):
    """
    A refusal that says in its own words what is wrong, to people and to programs.

    Args:
        message: in English.
        msg: in Chinese, for the page.
        param: the field that is wrong, where one field is.
    """

    def __init__(self, message: str, *, msg: str, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.msg = msg


class Invalid(Worded, InvalidParameter):
    """A field is missing, unknown, of the wrong type or out of range."""


class SignInRefused(Worded, AuthenticationFailed):
    """Nobody is signed in, or the name and password do not belong together."""


class Forbidden(Worded):
    """Who asks is known, and may not do this."""


class Conflict(Worded):
    """What was to be made is there already, or what was to be changed was changed by somebody else meanwhile."""


class KeyReused(Invalid):
    """Another request came under an idempotency key that has its answer already."""

    def __init__(self) -> None:
        super().__init__(
            "this Idempotency-Key came with another body before; take a new key for a new request",
            msg="这个 Idempotency-Key 先前用于内容不同的请求；新的请求请换一个新的值",
            param="Idempotency-Key",
        )


class UnknownKey(InvalidParameter):
    """No key has this name or public half."""

    msg = "没有这个密钥"


class NoSuchThing(Worded):
    """The path is right, but what it names is not there."""


class TooManyAttempts(CallError):
    """
    Passwords or links were tried too often.

    Args:
        retry_after: in seconds.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"too many attempts; wait {math.ceil(retry_after)} s and try again")
        self.retry_after = retry_after
        self.msg = f"尝试过于频繁，请 {math.ceil(retry_after)} 秒后再试"
