"""
OpenAI's error bodies, from one table.

A vendor that refuses **our** credentials, or whose account is empty, is not the caller's fault: it is answered 502 and
429 with `x-should-retry: false`, so that clients neither suspect their own key nor hammer. Text that a word list blocked
is answered as OpenAI answers its own filter: 400 `content_filter`, in a stream as a last event that holds the error.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from fengchao_core import errors as e
from fengchao_server import refusals as r
from fengchao_server.answers import Answer
from fengchao_server.v1 import schema
from fengchao_server.v1.rates import words_of

if TYPE_CHECKING:
    from fengchao_server.call import Call

_WORTH_WAITING_S: Final = 60.0
"""A client that waits longer for its turn does so in vain: its own patience ends before."""

INVALID: Final = "invalid_request_error"
SERVER: Final = "server_error"


class Wording(NamedTuple):
    """
    How a class of errors is answered.

    Attributes:
        retry: what clients are told about trying again; None leaves it to their rule for the status.
    """

    status: int
    type: str
    code: str | None
    retry: bool | None = None


TABLE: Final[dict[type[BaseException], Wording]] = {
    e.CallError: Wording(400, INVALID, None),
    e.InvalidParameter: Wording(400, INVALID, "invalid_value"),
    e.FileRefused: Wording(400, INVALID, "file_refused"),
    e.EmptyQuery: Wording(400, INVALID, "empty_query"),
    e.UnknownTask: Wording(404, INVALID, "task_not_found"),
    e.UnknownFile: Wording(404, INVALID, "file_not_found"),
    e.UnknownModel: Wording(404, INVALID, "model_not_found"),
    e.WrongChannel: Wording(400, INVALID, "wrong_channel"),
    e.UnknownKnowledge: Wording(404, INVALID, "knowledge_not_found"),
    e.AuthenticationFailed: Wording(401, INVALID, "invalid_api_key"),
    e.PermissionDenied: Wording(403, INVALID, "permission_denied"),
    e.LimitExceeded: Wording(429, "rate_limit_error", "rate_limit_exceeded"),
    e.BudgetExceeded: Wording(429, "insufficient_quota", "insufficient_quota"),
    e.SensitiveContent: Wording(400, INVALID, "content_filter"),
    e.ResultNotReady: Wording(409, INVALID, "result_not_ready"),
    e.TaskEnded: Wording(409, INVALID, "task_ended"),
    e.ProviderError: Wording(502, SERVER, "provider_error"),
    e.ProviderAuthFailed: Wording(502, SERVER, "provider_auth_failed", retry=False),
    e.QuotaExhausted: Wording(429, "insufficient_quota", "insufficient_quota", retry=False),
    e.RateLimited: Wording(429, "rate_limit_error", "rate_limit_exceeded"),
    e.ProviderOverloaded: Wording(503, SERVER, "overloaded"),
    e.ProviderUnavailable: Wording(502, SERVER, "provider_unavailable"),
    e.ProviderTimeout: Wording(504, SERVER, "timeout"),
    e.ContentRefused: Wording(400, INVALID, "content_filter"),
    e.ContextTooLong: Wording(400, INVALID, "context_length_exceeded"),
    e.RequestRejected: Wording(400, INVALID, "request_rejected"),
    e.ProviderProtocolError: Wording(502, SERVER, "provider_protocol_error"),
    e.StoreUnavailable: Wording(503, SERVER, "store_unavailable"),
    r.NotFound: Wording(404, INVALID, "not_found"),
    r.MethodNotAllowed: Wording(405, INVALID, "method_not_allowed"),
    r.BodyTooLarge: Wording(413, INVALID, "request_too_large"),
    r.BodyTimeout: Wording(408, INVALID, "request_timeout", retry=False),
    r.KeyReused: Wording(422, INVALID, "idempotency_key_reused", retry=False),
    r.MalformedBody: Wording(400, INVALID, "invalid_json"),
    r.Incident: Wording(500, SERVER, "internal_error"),
    e.FengChaoError: Wording(500, SERVER, "internal_error"),
}
"""The nearest class of an error's own line of classes is the one that holds."""


class V1Shape:
    """Words the errors of `/v1` (and of every path that is nobody's)."""

    failures = frozenset(wording.status for wording in TABLE.values())
    failure = schema.Error

    def refuse(self, error: Exception, call: Call) -> Answer:  # noqa: ARG002  # `Shape` has it
        """An OpenAI error body with its status and headers."""
        wording = wording_of(error)
        headers: dict[str, str] = {}
        after = getattr(error, "retry_after", None)
        retry = wording.retry
        if isinstance(error, e.LimitExceeded):
            headers.update(words_of(error.rates))
            if after is None or after > _WORTH_WAITING_S:
                retry = False
        if retry is not None:
            headers["x-should-retry"] = "true" if retry else "false"
        if after is not None:
            headers["Retry-After"] = str(math.ceil(after))
            headers["retry-after-ms"] = str(math.ceil(after * 1000))
        if isinstance(error, r.MethodNotAllowed):
            headers["Allow"] = ", ".join(error.allowed)
        if wording.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return Answer(_body(error, wording), status=wording.status, headers=headers)

    def last_event(self, error: Exception, call: Call) -> bytes:  # noqa: ARG002  # as above
        """The error as an event; no `[DONE]` follows, for the answer is not whole."""
        return b"data: %b\n\n" % _body(error, wording_of(error))


def wording_of(error: Exception) -> Wording:
    """The line of the table that holds for an error."""
    return next(TABLE[cls] for cls in type(error).__mro__ if cls in TABLE)


def _body(error: Exception, wording: Wording) -> bytes:
    message = str(error)
    # What a vendor says about a request it rejects is the only thing that helps its author.
    if isinstance(error, e.ProviderError) and wording.status == 400 and error.vendor_message:
        message = f"{message}: {error.vendor_message}"
    said = {
        "message": message,
        "type": wording.type,
        "param": getattr(error, "param", None),
        "code": wording.code,
    }
    if isinstance(error, e.SensitiveContent):
        said["content_filter"] = {
            "category": error.category,
            "direction": error.direction,
            "where": error.where,
            "start": error.start,
            "end": error.end,
        }
    return orjson.dumps({"error": said})
