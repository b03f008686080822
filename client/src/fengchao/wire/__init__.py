"""
The `/aigc` HTTP contract, shared by the SDK and the server so that they cannot drift apart.

Here are the models, the checks and the codes, which need nothing of ours. `fengchao.wire.bridge` joins the contract to
`fengchao_core` and is imported by those who have it.
"""

from fengchao.wire.codes import MSG, BodyError, Code, Failure, failure, status_of
from fengchao.wire.models import (
    OK_MSG,
    ChatCompletionResponse,
    ChatCompletionResponseAgg,
    ChatCompletionResponseChoice,
    ChatCompletionResponseSearch,
    ChatCompletionResponseUsage,
    ChatMessage,
    FinalResponse,
    KGCard,
    KGList,
    ModelCard,
    ModelList,
    PromptCard,
    PromptList,
    TaskCard,
    TaskList,
    TaskListResponse,
    TaskResponse,
    TokenResponse,
    UploadResponse,
)
from fengchao.wire.request import (
    ChatBody,
    DrawBody,
    HistoryMessage,
    SearchParam,
    check_chat_body,
    check_draw_body,
    parse_chat_body,
    parse_draw_body,
)

__all__ = [
    "MSG",
    "OK_MSG",
    "BodyError",
    "ChatBody",
    "ChatCompletionResponse",
    "ChatCompletionResponseAgg",
    "ChatCompletionResponseChoice",
    "ChatCompletionResponseSearch",
    "ChatCompletionResponseUsage",
    "ChatMessage",
    "Code",
    "DrawBody",
    "Failure",
    "FinalResponse",
    "HistoryMessage",
    "KGCard",
    "KGList",
    "ModelCard",
    "ModelList",
    "PromptCard",
    "PromptList",
    "SearchParam",
    "TaskCard",
    "TaskList",
    "TaskListResponse",
    "TaskResponse",
    "TokenResponse",
    "UploadResponse",
    "check_chat_body",
    "check_draw_body",
    "failure",
    "parse_chat_body",
    "parse_draw_body",
    "status_of",
]
