"""
The answers of the `/aigc` API, as pydantic models: what the SDK hands to its user.

The server does not build these on its hot path (`bridge` makes plain dicts of the same shape); a test holds both alike.
Unknown fields are ignored, so that an older SDK reads a newer server.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, cast

from pydantic import BaseModel, Field
from typing_extensions import TypeVar

from fengchao.wire.usage import UsageReport

OK_MSG = "执行成功"


class ModelCard(BaseModel):
    """
    A model as `models()` lists it.

    Attributes:
        price: per 1,000 output tokens, of a model that draws per picture; what the first SDKs show as the one price.
        in_price: per 1,000 input tokens.
        out_price: per 1,000 output tokens.
        unit: the currency of the prices, CNY or USD.
        mode: how it can be called; a model that draws (`t2i`) has no `stream`.
        channel: 在线模型 or 本地模型; decides which path a chat takes.
        created: local time, `YYYY-MM-DD HH:MM:SS`.
    """

    id: str
    owned_by: str | None = None
    max_input_token: int | None = None
    max_output_token: int | None = None
    price: float | None = None
    in_price: float | None = None
    out_price: float | None = None
    unit: str | None = None
    mode: list[str] | None = None
    channel: str | None = None
    created: str | None = None


class ModelList(BaseModel):
    """The models."""

    data: list[ModelCard] = Field(default_factory=list)


class PromptCard(BaseModel):
    """A preset instruction as `prompts()` lists it; `{{query}}` and `{{system}}` are its placeholders."""

    id: str
    prefix: str | None = ""
    prompt: str | None = ""
    system: str | None = ""
    created: str | None = None


class PromptList(BaseModel):
    """The preset instructions."""

    data: list[PromptCard] = Field(default_factory=list)


class KGCard(BaseModel):
    """A knowledge base as `kgs()` lists it."""

    id: str
    desc: str | None = ""
    created: str | None = None


class KGList(BaseModel):
    """The knowledge bases."""

    data: list[KGCard] = Field(default_factory=list)


class TokenResponse(BaseModel):
    """The answer of `/aigc/token`; `token` goes into the Authorization header as it is."""

    status: int = 200
    msg: str = OK_MSG
    token: str | None = None


class FileCard(BaseModel):
    """
    A file that was uploaded.

    Attributes:
        id: what to name it by in a chat's `files`.
        name: as it was called when it was uploaded.
        kind: what its content is: `pdf`, `docx`, `png` …
        size: in bytes.
        chars: how much text was read in it; None of a picture or a film.
        created: local time, as everywhere here.
        expires: from when on it is gone.
    """

    id: str
    name: str
    kind: str
    size: int
    chars: int | None = None
    created: str
    expires: str


class UploadResponse(BaseModel):
    """
    The answer of `/aigc/uploadfiles/`.

    Attributes:
        files: the names to give a chat as its `files`, in the order of the form.
        data: what is known of them, in the same order.
    """

    status: int = 200
    msg: str = OK_MSG
    files: list[str] = Field(default_factory=list)
    data: list[FileCard] = Field(default_factory=list)


class UploadForm(BaseModel):
    """The form that `/aigc/uploadfiles/` takes."""

    files: list[Annotated[bytes, Field(json_schema_extra={"format": "binary"})]]


class FileList(BaseModel):
    """The caller's files, newest first."""

    data: list[FileCard] = Field(default_factory=list)


class Done(BaseModel):
    """The answer where there is nothing to tell but that it was done."""

    status: int = 200
    msg: str = OK_MSG


class ChatMessage(BaseModel):
    """
    A message of an answer.

    Attributes:
        content: the text; empty where there is none, never null.
        reasoning_content: the model's thinking, where it showed it.
        tool_calls: calls the model wants made, in the chat-completions shape; fragments of them in a stream.
    """

    role: str | None = None
    content: str = ""
    reasoning_content: str | None = Field(default=None, repr=False)
    tool_calls: list[dict[str, Any]] | None = Field(default=None, repr=False)


class ChatCompletionResponseChoice(BaseModel):
    """
    An answer, or a piece of one.

    Attributes:
        index: of a whole answer its number, of a streamed piece the piece's, both from 0.
        finish_reason: None while the answer goes on.
    """

    index: int
    message: ChatMessage
    finish_reason: str | None = None


class ChatCompletionResponseUsage(BaseModel):
    """Tokens used, and what they cost in the currency of the model's card; zeros before a stream's last event."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cost: float = 0


class ChatCompletionResponseSearch(BaseModel):
    """
    A page that a web search found.

    Attributes:
        index: the number by which the answer cites it, as `[1]`.
        site: the site's name, where it is known.
        published: when, in the search service's words.
        score: relevance to the question, 0 to 1.
    """

    title: str | None = None
    url: str | None = None
    index: int | None = Field(default=None, repr=False)
    site: str | None = Field(default=None, repr=False)
    published: str | None = Field(default=None, repr=False)
    score: float | None = Field(default=None, repr=False)


class ChatCompletionResponseAgg(BaseModel):
    """
    What one of several aggregated models answered.

    Attributes:
        content: its answer; empty where it failed.
        status: 200, or the code of what went wrong; `msg` then says it in words.
        usage: its own, beside the merged answer's.
    """

    model: str | None = None
    content: str | None = None
    status: int | None = Field(default=None, repr=False)
    msg: str | None = Field(default=None, repr=False)
    usage: ChatCompletionResponseUsage | None = Field(default=None, repr=False)


class ChatCompletionResponse(BaseModel):
    """
    The answer to a chat: whole, or one event of a stream.

    Attributes:
        created: local time, `YYYY-MM-DD HH:MM:SS`.
        knowledge: the passages taken from the knowledge base: `source`, `text` and `distance` of each.
        status: 200, or the code of what went wrong; `msg` then says it in words.
        notes: what was adapted on the way, where something was: turns of the history that did not fit the model, say. Of
            a stream it stands in the last event.
        task_id: of an asynchronous task that was submitted, and in the events of a resumable stream.
    """

    request_id: str | None = None
    created: str | None = None
    model: str | None = None
    choices: list[ChatCompletionResponseChoice] = Field(default_factory=list)
    usage: ChatCompletionResponseUsage = Field(default_factory=ChatCompletionResponseUsage)
    msg: str | None = None
    knowledge: list[Any] = Field(default_factory=list)
    status: int | None = None
    result_type: str = "text"
    search: list[ChatCompletionResponseSearch] | None = None
    agg: list[ChatCompletionResponseAgg] | None = None
    notes: list[str] | None = None
    task_id: str | None = None


class TaskCard(BaseModel):
    """
    An asynchronous task as `tasks()` lists it.

    Attributes:
        kind: `chat`, `stream` or `t2i`.
        state: `queued`, `running`, `done`, `failed` or `cancelled`.
        attempts: how often it was begun.
        created: local time, `YYYY-MM-DD HH:MM:SS`; likewise the next two.
        ended: None while it has not.
        expires: while it is unfinished, when it is given up; afterwards, when it is forgotten.
    """

    id: str
    kind: str | None = None
    model: str | None = None
    request_id: str | None = None
    state: str | None = None
    attempts: int | None = None
    created: str | None = None
    ended: str | None = None
    expires: str | None = None


class TaskList(BaseModel):
    """Asynchronous tasks, newest first."""

    data: list[TaskCard] = Field(default_factory=list)


class TaskListResponse(TaskList):
    """The answer of `/aigc/tasks/`."""

    status: int = 200
    msg: str = OK_MSG


class TaskResponse(BaseModel):
    """The answer of `/aigc/tasks/{id}`."""

    status: int = 200
    msg: str = OK_MSG
    data: TaskCard


Data = (
    str
    | ModelList
    | PromptList
    | KGList
    | FileList
    | ChatCompletionResponse
    | TaskList
    | UsageReport
    | TaskCard
    | None
)

D_co = TypeVar("D_co", covariant=True, default=Data)


class FinalResponse(BaseModel, Generic[D_co]):
    """
    What every method of the SDK returns.

    Attributes:
        msg: 执行成功, or what went wrong.
        status: 200, or the HTTP or body code of what went wrong; see `fengchao.wire.codes`.
        data: a list, an answer, the id of an asynchronous task, or where one stands; which of them, the method's
            annotation tells. Of a failure None, or what the service said around it.
    """

    msg: str = OK_MSG
    status: int = 200
    data: D_co | None = None

    def unwrap(self) -> D_co:
        """
        The `data` of a success.

        Raises:
            FengChaoAPIError: the status is not 200; the class tells which it is, as with `errors="raise"`.
        """
        # Here, because the errors are built on these models.
        from fengchao.errors import error_for

        if self.status != 200:
            raise error_for(cast("FinalResponse[ChatCompletionResponse]", self))  # a failure's data
        return cast("D_co", self.data)  # a success has what its method says
