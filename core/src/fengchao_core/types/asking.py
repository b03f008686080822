"""What is asked: of the gateway by a caller, and of a provider by the gateway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from fengchao_core.types.gathering import WebSearch
from fengchao_core.types.messages import ContentPart, Message
from fengchao_core.types.models import ModelCard
from fengchao_core.types.shared import dataclass, empty


@dataclass(frozen=True, slots=True)
class Tool:
    """
    A tool the model may use.

    A function has `name`, `description`, `parameters` (a JSON schema) and `strict`. Any other `type` (a vendor's
    built-in search or retrieval, a custom tool) keeps its own body in `body` and is passed on untouched.
    """

    type: str = "function"
    name: str = ""
    description: str | None = None
    parameters: Mapping[str, object] | None = None
    strict: bool | None = None
    body: Mapping[str, object] = field(default_factory=empty)


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """What the answer must look like: free text, any JSON object, or JSON after a schema."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str | None = None
    description: str | None = None
    schema: Mapping[str, object] | None = None
    strict: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatParams:
    """
    How to generate. None means «not given»: the vendor's own default holds.

    Attributes:
        max_tokens: longest answer, in tokens, reasoning included where the vendor counts it so.
        stop: texts that end the answer.
        n: how many choices.
        do_sample: False asks for greedy decoding where the vendor can.
        tool_choice: `none`, `auto`, `required`, or the chat-completions object that names a tool.
        extra: vendor-only parameters, passed on untouched at the top level of the vendor's body.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    n: int | None = None
    seed: int | None = None
    do_sample: bool | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: Mapping[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str | Mapping[str, object] | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    user: str | None = None
    extra: Mapping[str, object] = field(default_factory=empty)


DEFAULT_PARAMS = ChatParams()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatCall:
    """
    What a caller asks of the gateway.

    Either `query` (with `attachments`, `history`, `prompt` and `system`, the product's way) or `messages` (a whole conversation, the
    chat-completions way) says what to ask; giving both is an `InvalidParameter`.

    Attributes:
        model: the model's name or alias, as `Gateway.models()` lists it.
        attachments: pictures, films and files that the query is about; sent before its text.
        files: the ids of uploaded files that the query is about. Documents go as text, or to a vendor that reads files as they
            are; pictures and films as such.
        prompt: the id of a preset, or a custom text that holds `{{query}}`.
        prefix: text before the query; `{{system}}` in it takes the system text.
        prompt_fill: values of further `{{name}}` placeholders of a custom prompt.
        request_id: the caller's id of the conversation; made if absent.
        is_sensitive: screen the words of prompt and answer.
        sensitive_replace: replace hits by `*` instead of refusing.
        knowledge: the name of a knowledge base to take passages from.
        knowledge_top_k: how many passages at most.
        knowledge_threshold: largest distance of a passage, 0 to about 1100; 0 means no threshold.
        search: look the query up on the web first, and give the model the pages; None means no search.
        aggregate: further models that are asked the same question at the same time; `model` merges their answers.
        channel: which channel the caller came by; None takes either.
    """

    model: str
    query: str | None = None
    attachments: tuple[ContentPart, ...] = ()
    files: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()
    system: str | None = None
    prompt: str | None = None
    prefix: str | None = None
    prompt_fill: Mapping[str, str] = field(default_factory=dict)
    history: tuple[Message, ...] = ()
    request_id: str | None = None
    is_sensitive: bool = True
    sensitive_replace: bool = False
    knowledge: str | None = None
    knowledge_top_k: int = 5
    knowledge_threshold: float = 500
    search: WebSearch | None = None
    aggregate: tuple[str, ...] = ()
    channel: Literal["online", "local"] | None = None
    params: ChatParams = DEFAULT_PARAMS

    @property
    def wants_more(self) -> bool:
        """Whether it asks for what most calls do without: a search, further models, a form of the answer."""
        return (
            self.params.response_format is not None
            or self.search is not None
            or bool(self.aggregate)
        )

    @property
    def length(self) -> int:
        """Characters of text in all that the caller says."""
        size = 0
        for text in (self.query, self.system, self.prompt):
            if text is not None:
                size += len(text)
        for value in self.prompt_fill.values():
            size += len(value)
        for messages in (self.history, self.messages):
            for message in messages:
                content = message.content
                size += len(content if isinstance(content, str) else message.text)
        return size


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """
    What a provider receives: sealed, rendered, checked.

    Attributes:
        model: the **vendor's** name of the model.
        messages: the whole conversation, system text first.
        stream: whether the caller wants deltas as they come; False lets the provider fetch the answer in one piece.
        request_id: unique for this call, to be passed to vendors that take one.
        card: the model's card: its limits and capabilities.
    """

    model: str
    messages: tuple[Message, ...]
    params: ChatParams = DEFAULT_PARAMS
    stream: bool = False
    request_id: str = ""
    card: ModelCard | None = None
