"""
The Python SDK of fengchao: `FengChao`, `FengChaoAsync`, `Retry`, what they return and what they raise.

`fengchao.wire` holds the HTTP contract, which the server shares.
"""

from fengchao.answers import AnswerStream, AsyncAnswerStream
from fengchao.asynchronous import FengChaoAsync
from fengchao.errors import (
    AccessError,
    AuthenticationError,
    ClientClosedError,
    ClientSetupError,
    FengChaoAPIError,
    InvalidRequestError,
    KnowledgeNotFoundError,
    ModelNotFoundError,
    RateLimitError,
    RequestTimeoutError,
    ResultNotReadyError,
    SensitiveContentError,
    ServerError,
    WrongChannelError,
)
from fengchao.retry import Retry
from fengchao.synchronous import FengChao
from fengchao.uploads import Progress, TerminalBar
from fengchao.wire.models import (
    ChatCompletionResponse,
    ChatCompletionResponseAgg,
    ChatCompletionResponseChoice,
    ChatCompletionResponseSearch,
    ChatCompletionResponseUsage,
    ChatMessage,
    FileCard,
    FileList,
    FinalResponse,
    KGCard,
    KGList,
    ModelCard,
    ModelList,
    PromptCard,
    PromptList,
    TaskCard,
    TaskList,
)
from fengchao.wire.usage import UsageReport

__all__ = [
    "AccessError",
    "AnswerStream",
    "AsyncAnswerStream",
    "AuthenticationError",
    "ChatCompletionResponse",
    "ChatCompletionResponseAgg",
    "ChatCompletionResponseChoice",
    "ChatCompletionResponseSearch",
    "ChatCompletionResponseUsage",
    "ChatMessage",
    "ClientClosedError",
    "ClientSetupError",
    "FengChao",
    "FengChaoAPIError",
    "FengChaoAsync",
    "FileCard",
    "FileList",
    "FinalResponse",
    "InvalidRequestError",
    "KGCard",
    "KGList",
    "KnowledgeNotFoundError",
    "ModelCard",
    "ModelList",
    "ModelNotFoundError",
    "Progress",
    "PromptCard",
    "PromptList",
    "RateLimitError",
    "RequestTimeoutError",
    "ResultNotReadyError",
    "Retry",
    "SensitiveContentError",
    "ServerError",
    "TaskCard",
    "TaskList",
    "TerminalBar",
    "UsageReport",
    "WrongChannelError",
]
