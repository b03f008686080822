"""
The bodies of `/v1` as models, for the documentation alone.

Requests are read by hand (`chat_request`), answers are written as plain dicts (`chat_answer`); a test holds the fields
alike.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from fengchao_server.described import Described


class ChatCompletionRequest(Described):
    """The body of a chat completion. Unknown fields travel to the vendor; explicit nulls count as absent."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(description="模型名称，见 GET /v1/models")
    messages: list[dict[str, Any]] = Field(
        min_length=1, description="对话：system、developer、user、assistant、tool"
    )
    stream: bool | None = Field(None, description="以 SSE 流式返回")
    stream_options: dict[str, Any] | None = Field(None, description="include_usage：流末附上用量")
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1, description="优先于 max_tokens")
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    top_k: int | None = Field(None, ge=-1)
    n: int | None = Field(None, ge=1, le=128)
    stop: str | list[str] | None = None
    seed: int | None = None
    do_sample: bool | None = None
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    repetition_penalty: float | None = Field(None, ge=0, le=10)
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = Field(
        None, description="text、json_object 或 json_schema"
    )
    reasoning_effort: str | None = None
    user: str | None = None
    modalities: list[str] | None = Field(None, description='只接受 ["text"]')
    service_tier: str | None = Field(None, description="只接受 auto、default")


class Usage(Described):
    """Tokens used."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: dict[str, int]
    completion_tokens_details: dict[str, int]


class Choice(Described):
    """One answer."""

    index: int
    message: dict[str, Any]
    logprobs: dict[str, Any] | None
    finish_reason: str


class ChatCompletion(Described):
    """A whole answer."""

    id: str
    object: str = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage


class ChunkDelta(Described):
    """What a piece adds to an answer; a field that it adds nothing to is absent."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class ChunkChoice(Described):
    """A piece of one answer. The finish reason is null while that goes on."""

    index: int
    delta: ChunkDelta
    logprobs: dict[str, Any] | None
    finish_reason: str | None


class ChatCompletionChunk(Described):
    """A piece of a streamed answer. With `include_usage` the last one has the usage, and no choices."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None


class Model(Described):
    """A model."""

    id: str
    object: str = "model"
    created: int
    owned_by: str


class Models(Described):
    """The models."""

    object: str = "list"
    data: list[Model]


class EmbeddingsRequest(Described):
    """Texts to turn into vectors."""

    model: str
    input: str | list[str] = Field(description="文本，或 1 至 2048 条文本；不接受 token 数组")
    dimensions: int | None = Field(None, ge=1)
    encoding_format: str | None = Field(None, description="float（默认）或 base64（小端 float32）")
    user: str | None = None


class Embedding(Described):
    """One vector."""

    object: str = "embedding"
    index: int
    embedding: list[float] | str


class Embeddings(Described):
    """The vectors."""

    object: str = "list"
    data: list[Embedding]
    model: str
    usage: dict[str, int]


class ImagesRequest(Described):
    """What to draw. Unknown fields travel to the vendor; explicit nulls count as absent."""

    model_config = ConfigDict(extra="allow")

    model: str
    prompt: str
    n: int | None = Field(None, ge=1, le=10)
    size: str | None = Field(None, description="宽乘高，如 1024x1024；auto 由厂商决定")
    quality: str | None = None
    style: str | None = None
    negative_prompt: str | None = Field(None, description="画面里不要有什么")
    response_format: str | None = Field(None, description="url 或 b64_json")
    user: str | None = None


class Images(Described):
    """The pictures: each has an `url` or `b64_json`, as the vendor gives it."""

    created: int
    data: list[dict[str, str]]
    usage: dict[str, int] | None = None


class ErrorBody(Described):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None
    content_filter: dict[str, Any] | None = Field(
        None, description="拦下的敏感词：类别与位置，没有词本身"
    )


class Error(Described):
    """OpenAI's error body."""

    error: ErrorBody
