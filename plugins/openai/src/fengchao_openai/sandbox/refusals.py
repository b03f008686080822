"""OpenAI's error answers."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from aiohttp import web

from fengchao_core.kit.sandbox import Faults


class Refusal(Exception):
    """
    A request that is not served; the application answers with it.

    Args:
        status: the HTTP status.
        message: for people.
        kind: OpenAI's `type`.
        param: the parameter that is wrong.
        code: OpenAI's `code`.
        headers: further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.param = param
        self.code = code
        self.headers = dict(headers or {})

    def body(self) -> dict[str, object]:
        """The answer's body, which is also the data of an error within a stream."""
        return {
            "error": {
                "message": str(self),
                "type": self.kind,
                "param": self.param,
                "code": self.code,
            }
        }

    def response(self, request_id: str) -> web.Response:
        """The answer."""
        return web.Response(
            body=orjson.dumps(self.body()),
            status=self.status,
            content_type="application/json",
            headers={"x-request-id": request_id, **self.headers},
        )


def scripted(faults: Faults) -> Refusal:
    """The refusal that a marker in the prompt asks for."""
    wait = {} if faults.retry_after is None else {"retry-after": f"{faults.retry_after:g}"}
    match faults.refusal:
        case "429":
            return Refusal(
                429,
                "Rate limit reached for requests",
                kind="requests",
                code="rate_limit_exceeded",
                headers=wait,
            )
        case "500":
            return Refusal(
                500,
                "The server had an error while processing your request",
                kind="server_error",
                headers=wait,
            )
        case "503":
            return Refusal(
                503, "The engine is currently overloaded", kind="overloaded", headers=wait
            )
        case "expired_token":
            return Refusal(401, "Incorrect API key provided: sk-sandb***.", code="invalid_api_key")
        case "arrears":
            return Refusal(
                429,
                "You exceeded your current quota, please check your plan and billing details.",
                kind="insufficient_quota",
                code="insufficient_quota",
            )
        case "content_filter":
            return Refusal(
                400,
                "Your request was rejected by our content policy.",
                param="messages",
                code="content_policy_violation",
            )
        case "too_long":
            return too_long(4096, 100_000)
        case word:
            return Refusal(400, f"Invalid value: '{word}'.", param="messages", code="invalid_value")


def too_long(limit: int, wanted: int) -> Refusal:
    """More tokens than the model's context holds."""
    return Refusal(
        400,
        f"This model's maximum context length is {limit} tokens. However, your messages resulted in {wanted} tokens. "
        "Please reduce the length of the messages.",
        param="messages",
        code="context_length_exceeded",
    )


def unknown_model(model: str) -> Refusal:
    """A model that OpenAI does not have."""
    return Refusal(
        404,
        f"The model `{model}` does not exist or you do not have access to it.",
        code="model_not_found",
    )
