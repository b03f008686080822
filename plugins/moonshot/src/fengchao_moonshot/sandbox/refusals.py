"""Moonshot's error answers: a type and words, no code."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from aiohttp import web

from fengchao_core.kit.sandbox import Faults

_STATUSES: Mapping[str, int] = {
    "invalid_request_error": 400,
    "content_filter": 400,
    "invalid_authentication_error": 401,
    "incorrect_api_key_error": 401,
    "permission_denied_error": 403,
    "resource_not_found_error": 404,
    "engine_overloaded_error": 429,
    "exceeded_current_quota_error": 429,
    "rate_limit_reached_error": 429,
    "server_error": 500,
}

_SCRIPTED: Mapping[str, tuple[str, str]] = {
    "429": (
        "rate_limit_reached_error",
        "Your account reached max request: 3, please try again after 1 seconds",
    ),
    "500": ("server_error", "The server had an error while processing your request"),
    "503": (
        "engine_overloaded_error",
        "The engine is currently overloaded, please try again later",
    ),
    "expired_token": ("invalid_authentication_error", "Invalid Authentication"),
    "arrears": (
        "exceeded_current_quota_error",
        "Your account is not active, please check your plan and billing details",
    ),
    "content_filter": (
        "content_filter",
        "The request was rejected because it was considered high risk",
    ),
    "too_long": ("invalid_request_error", "Input token length too long"),
}


class Refusal(Exception):
    """
    A request that is not served; the application answers with it.

    Args:
        kind: Moonshot's `type`, which also says the HTTP status.
        message: for people.
        headers: further headers of the answer.
    """

    def __init__(
        self, kind: str, message: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.headers = dict(headers or {})

    def body(self) -> dict[str, object]:
        """The answer's body, which is also the data of an error within a stream."""
        return {"error": {"message": str(self), "type": self.kind}}

    def response(self) -> web.Response:
        """The answer."""
        return web.Response(
            body=orjson.dumps(self.body()),
            status=_STATUSES[self.kind],
            content_type="application/json",
            headers=self.headers,
        )


def invalid(message: str) -> Refusal:
    """A request that Moonshot calls wrong."""
    return Refusal("invalid_request_error", f"Invalid request: {message}")


def missing(what: str) -> Refusal:
    """A model, a file or an address that is not there, or not for this caller."""
    return Refusal("resource_not_found_error", f"Not found {what} or Permission denied")


def scripted(faults: Faults) -> Refusal:
    """The refusal that a marker in the prompt asks for."""
    wait = {} if faults.retry_after is None else {"Retry-After": f"{faults.retry_after:g}"}
    word = faults.refusal or ""
    if word not in _SCRIPTED:
        return invalid(f"unknown value '{word}'")
    kind, message = _SCRIPTED[word]
    return Refusal(kind, message, headers=wait)
