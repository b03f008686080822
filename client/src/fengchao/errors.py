"""
What the clients raise.

    FengChaoAPIError           the service did not answer the call as asked; raised only with errors="raise"
    ├── AuthenticationError    401
    ├── InvalidRequestError    404, 405, 413, 443, 445
    │   ├── ModelNotFoundError     440
    │   ├── WrongChannelError      441, 442
    │   └── KnowledgeNotFoundError 444
    ├── SensitiveContentError  6601
    ├── ResultNotReadyError    6602
    ├── RequestTimeoutError    408
    ├── RateLimitError         429
    ├── ServerError            5xx
    └── AccessError            400 and every other code: no connection, or the vendor failed
    ClientSetupError           the client cannot work as it was made; always raised
    ClientClosedError          a sync client was used after close(); always raised

With errors="return", which is the default, the same facts come as a `FinalResponse` whose status is not 200.
"""

from __future__ import annotations

from fengchao.wire.codes import Code, failure
from fengchao.wire.models import ChatCompletionResponse, FinalResponse


class FengChaoAPIError(Exception):
    """
    The service did not answer as asked.

    Args:
        response: what `errors="return"` would have returned.
        retryable: whether the same call may succeed in a moment, and did no harm so far.
        retry_after_s: how long the service asked to wait.
    """

    def __init__(
        self,
        response: FinalResponse[ChatCompletionResponse],
        *,
        retryable: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{response.status} {response.msg}")
        self.response = response
        self.retryable = retryable
        self.retry_after_s = retry_after_s

    @property
    def status(self) -> int:
        """The code of what went wrong."""
        return self.response.status

    @property
    def msg(self) -> str:
        """What went wrong, in words."""
        return self.response.msg


class AuthenticationError(FengChaoAPIError):
    """The keys are missing, wrong, expired or revoked, or may not do this."""


class InvalidRequestError(FengChaoAPIError):
    """The request is wrong; `msg` says where."""


class ModelNotFoundError(InvalidRequestError):
    """No such model."""


class WrongChannelError(InvalidRequestError):
    """A local model on the online path, or the other way round."""


class KnowledgeNotFoundError(InvalidRequestError):
    """No such knowledge base."""


class SensitiveContentError(FengChaoAPIError):
    """A word list blocked the question or the answer."""


class ResultNotReadyError(FengChaoAPIError):
    """The asynchronous task has no result yet."""


class RequestTimeoutError(FengChaoAPIError):
    """The service, or the vendor behind it, took too long."""


class RateLimitError(FengChaoAPIError):
    """Too many requests, or a quota is used up."""


class ServerError(FengChaoAPIError):
    """The service, or the vendor behind it, failed inside."""


class AccessError(FengChaoAPIError):
    """The service could not be reached, or the vendor behind it failed."""


class ClientSetupError(ValueError):
    """The client cannot work as it was made; the message says what to give it."""


class ClientClosedError(RuntimeError):
    """A sync client was used after `close()`."""


_BY_STATUS: dict[int, type[FengChaoAPIError]] = {
    401: AuthenticationError,
    404: InvalidRequestError,
    405: InvalidRequestError,
    408: RequestTimeoutError,
    413: InvalidRequestError,
    429: RateLimitError,
    440: ModelNotFoundError,
    441: WrongChannelError,
    442: WrongChannelError,
    443: InvalidRequestError,
    444: KnowledgeNotFoundError,
    445: InvalidRequestError,
    6601: SensitiveContentError,
    6602: ResultNotReadyError,
}


def error_for(
    response: FinalResponse[ChatCompletionResponse],
    *,
    retryable: bool = False,
    retry_after_s: float | None = None,
) -> FengChaoAPIError:
    """The error that a failed response stands for."""
    kind = _BY_STATUS.get(response.status)
    if kind is None:
        kind = ServerError if 500 <= response.status < 600 else AccessError
    return kind(response, retryable=retryable, retry_after_s=retry_after_s)


def error_of(code: Code, detail: str, *, retryable: bool = False) -> FengChaoAPIError:
    """An error of the client's own, in the words of the table of codes."""
    refusal = failure(code, detail)
    return error_for(
        FinalResponse(status=refusal.body_status, msg=refusal.msg), retryable=retryable
    )
