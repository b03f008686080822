"""
Every error that fengchao raises, as one tree.

    FengChaoError
    ├── CallError                 the caller can mend it
    │   ├── InvalidParameter      a parameter is missing, of the wrong type or out of range
    │   │   ├── EmptyQuery        there is nothing to ask
    │   │   ├── FileRefused       an uploaded file that cannot be taken or read
    │   │   ├── UnknownFile       no such file, or somebody else's
    │   │   └── UnknownTask       no asynchronous task of this id is the caller's
    │   ├── UnknownModel          no configured provider serves the model
    │   ├── WrongChannel          a local model on the online path, or the other way round
    │   ├── UnknownKnowledge      no such knowledge base
    │   ├── AuthenticationFailed  no credentials, or not valid ones
    │   ├── PermissionDenied      valid credentials that may not do this
    │   └── LimitExceeded         a rate or concurrency limit of the caller's key or its group
    │       └── BudgetExceeded    its money for the day or the month is spent
    ├── SensitiveContent          a word list blocked the text
    ├── ResultNotReady            an asynchronous task still runs
    ├── TaskEnded                 an asynchronous task ended without a result: cancelled, expired, interrupted
    ├── StoreUnavailable          the database does not answer now
    ├── ProviderError             the vendor's side
    │   ├── ProviderAuthFailed    the vendor refuses our credentials
    │   ├── QuotaExhausted        arrears, or a quota that waiting seconds will not mend
    │   ├── RateLimited           too fast; `retry_after` says when to come back   (retryable)
    │   ├── ProviderOverloaded    the vendor has no capacity                       (retryable)
    │   ├── ProviderUnavailable   no connection, a cut one, or a 5xx               (retryable)
    │   ├── ProviderTimeout       one of the four time limits passed               (retryable)
    │   ├── ContentRefused        the vendor's own safety filter
    │   ├── ContextTooLong        more tokens than the model takes
    │   ├── RequestRejected       the vendor calls the request malformed
    │   └── ProviderProtocolError the vendor answered nonsense
    └── SetupError                only while starting
        ├── SettingsError         a settings file or variable is wrong
        └── PluginError           a plugin does not load

Facts are attributes, never sentences to be parsed. No message holds a secret or a user's text: vendor messages are
kept apart in `vendor_message`, redacted by the transport. HTTP statuses and the product's own codes live in the server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from fengchao_core.rates import RatesLeft
    from fengchao_core.types import Usage


class FengChaoError(Exception):
    """The root: catch it to catch everything that fengchao raises on purpose."""

    @property
    def message(self) -> str:
        """What was expected, what was found and what to do, in one English sentence."""
        return str(self)


class CallError(FengChaoError):
    """
    The caller can mend it by changing the call.

    Args:
        message: what was expected, what came, what to do.
        param: the field that is wrong, by its name in the caller's API, where one field is.
    """

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class InvalidParameter(CallError):
    """A parameter is missing, of the wrong type, out of range, or not possible with this model."""


class EmptyQuery(InvalidParameter):
    """There is no text to send: the query is absent, empty or blank."""


class UnknownTask(InvalidParameter):
    """No asynchronous task of this id is the caller's: it never was, was forgotten, or is somebody else's."""


class FileRefused(InvalidParameter):
    """
    An uploaded file that is not taken.

    Args:
        reason: why, in one word: `empty`, `too_large`, `too_many`, `type`, `mismatch`, `old_office`, `encrypted`, `broken`,
            `unsafe`, `too_complex`, `no_text`, `no_reader`, `disabled`.
        filename: as its caller named it, without any path; empty where it is not known.
    """

    def __init__(self, message: str, *, reason: str = "broken", filename: str = "") -> None:
        super().__init__(message, param="files")
        self.reason = reason
        self.filename = filename


class UnknownFile(InvalidParameter):
    """No file of this name is there for this caller: it never was, has expired, or is somebody else's."""


class UnknownModel(CallError):
    """No configured provider serves a model of this name."""


class WrongChannel(CallError):
    """
    The model exists on the other channel.

    Args:
        is_local: whether the model itself runs locally.
    """

    def __init__(self, message: str, *, is_local: bool) -> None:
        super().__init__(message, param="model")
        self.is_local = is_local


class UnknownKnowledge(CallError):
    """No knowledge base of this name exists."""


class AuthenticationFailed(CallError):
    """No credentials came, or they are malformed, forged, expired or revoked."""


class PermissionDenied(CallError):
    """The credentials are valid but may not do this."""


class LimitExceeded(CallError):
    """
    A limit of the caller's key, or of its group, is reached.

    Args:
        limit: the name of the limit: `requests_per_minute`, `tokens_per_minute`, `concurrent`, `budget_day`, `budget_month`.
        retry_after: seconds until it is worth coming back; None where waiting does not help.
        rates: what is left of the key's rates.
    """

    def __init__(
        self,
        message: str,
        *,
        limit: str,
        retry_after: float | None = None,
        rates: RatesLeft | None = None,
    ) -> None:
        super().__init__(message)
        self.limit = limit
        self.retry_after = retry_after
        self.rates = rates


class BudgetExceeded(LimitExceeded):
    """The money of the key, or of its group, for the day or the month is spent, or held back by requests under way."""


class SensitiveContent(FengChaoError):
    """
    A word list blocked the text. Holds categories and positions, never the word.

    Args:
        category: the category of the first hit.
        direction: whether the hit was in what the caller sent or in what the model answered.
        start: first character of the hit, an offset into the screened text.
        end: one past its last character.

    Attributes:
        where: which text: a field of the call (`query`, `history[0]`, `messages[2]`, `knowledge[0]` …) or a part of the
            answer (`text`, `reasoning`, `refusal`, `call` for a tool call's arguments, `extra`); empty where unknown.
    """

    where: str = ""

    def __init__(
        self, category: str, *, direction: Literal["input", "output"], start: int, end: int
    ) -> None:
        super().__init__(f"sensitive content of category {category!r} in the {direction}")
        self.category = category
        self.direction = direction
        self.start = start
        self.end = end


class ResultNotReady(FengChaoError):
    """The asynchronous task has no result yet; ask again later."""


class TaskEnded(FengChaoError):
    """
    An asynchronous task ended without a result, and not because of what it asked.

    Args:
        reason: its owner cancelled it; it did not end in time; its process died, as often as is borne; its events are more
            than are kept; or something of ours broke.
    """

    def __init__(
        self, reason: Literal["cancelled", "expired", "interrupted", "too long", "incident"]
    ) -> None:
        super().__init__(f"the task ended without a result: {reason}")
        self.reason = reason


class StoreUnavailable(FengChaoError):
    """
    The database does not answer now: it is locked, full, read-only or out of reach.

    What was being written is not kept (all of it, or none), and may be tried again.
    """


class ProviderError(FengChaoError):
    """
    Something on the vendor's side.

    Args:
        message: ours, in English, free of secrets and of user text.
        provider: the provider's name in the settings; filled in by the pipeline if the plugin left it out.
        model: the model's name as the caller knows it; likewise.
        status: the HTTP status, where there was one.
        vendor_code: the vendor's own code, as text.
        vendor_message: the vendor's own words, redacted.
        retry_after: seconds the vendor asked us to wait.
        vendor_request_id: what the vendor calls this exchange, for its support desk.

    Attributes:
        usage: what the vendor says it charges for this attempt all the same; None where it says nothing.
    """

    retryable: ClassVar[bool] = False
    usage: Usage | None = None

    def __init__(
        self,
        message: str,
        *,
        provider: str = "",
        model: str = "",
        status: int | None = None,
        vendor_code: str | None = None,
        vendor_message: str | None = None,
        retry_after: float | None = None,
        vendor_request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.model = model
        self.status = status
        self.vendor_code = vendor_code
        self.vendor_message = vendor_message
        self.retry_after = retry_after
        self.vendor_request_id = vendor_request_id
        self.attempts = 1


class ProviderAuthFailed(ProviderError):
    """The vendor refuses our credentials; an operator must act."""


class QuotaExhausted(ProviderError):
    """Arrears or an exhausted quota: waiting seconds will not mend it."""


class RateLimited(ProviderError):
    """The vendor asks us to slow down."""

    retryable = True


class ProviderOverloaded(ProviderError):
    """The vendor has no capacity for this model now."""

    retryable = True


class ProviderUnavailable(ProviderError):
    """The vendor could not be reached, cut the connection, or failed inside."""

    retryable = True


class ProviderTimeout(ProviderError):
    """
    One of the four time limits passed.

    Args:
        phase: which limit.
        limit_s: its length in seconds.
    """

    retryable = True

    def __init__(
        self,
        phase: Literal["connect", "first delta", "idle", "total"],
        limit_s: float,
        *,
        provider: str = "",
        model: str = "",
    ) -> None:
        super().__init__(
            f"the provider passed the {phase} limit of {limit_s:g} s",
            provider=provider,
            model=model,
        )
        self.phase = phase
        self.limit_s = limit_s


class ContentRefused(ProviderError):
    """The vendor's own safety filter refused the prompt or the answer."""


class ContextTooLong(ProviderError):
    """The prompt and the answer asked for do not fit the model's context."""


class RequestRejected(ProviderError):
    """The vendor calls the request wrong: a parameter, a model or a method it does not take."""


class ProviderProtocolError(ProviderError):
    """The vendor's answer does not follow its own protocol."""


class SetupError(FengChaoError):
    """
    Starting is not possible. Holds every problem found, not only the first.

    Args:
        problems: one sentence each: what was expected, what came, what to do.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class SettingsError(SetupError):
    """A settings file or an environment variable is wrong."""


class PluginError(SetupError):
    """A plugin does not load, or does not keep to the hooks."""
