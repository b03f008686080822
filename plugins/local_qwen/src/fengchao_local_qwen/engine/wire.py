"""
The engine's wire: chat completions as every vendor speaks them, read into checked values.

Fields that are not known are ignored, as OpenAI-compatible servers do; those that are known must be right.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class FunctionCall(_Wire):
    """The function of a call: its name, and its arguments as JSON text."""

    name: str
    arguments: str = "{}"


class CallBody(_Wire):
    """A call of an earlier turn."""

    id: str = ""
    type: Literal["function"] = "function"
    function: FunctionCall


class TextBody(_Wire):
    """A piece of text in a message of several parts; other parts are refused."""

    type: Literal["text"]
    text: str


class MessageBody(_Wire):
    """A turn of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | tuple[TextBody, ...] | None = None
    name: str | None = None
    reasoning_content: str | None = None
    tool_calls: tuple[CallBody, ...] = ()
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """Its text, the parts joined."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content or ())


class FunctionBody(_Wire):
    """A function that the model may call."""

    name: str = Field(min_length=1)
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ToolBody(_Wire):
    """A tool; Qwen's templates know functions only."""

    type: Literal["function"]
    function: FunctionBody


class NamedTool(_Wire):
    """A function that must be called."""

    type: Literal["function"] = "function"
    function: FunctionCall


class SchemaBody(_Wire):
    """A JSON schema of an answer."""

    name: str = ""
    schema_: dict[str, Any] = Field(default_factory=dict, alias="schema")


class FormatBody(_Wire):
    """What the answer must look like."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: SchemaBody | None = None


class StreamOptions(_Wire):
    """How a stream is told."""

    include_usage: bool = False


Probability = Annotated[float, Field(ge=0, le=1)]


class ChatBody(_Wire):
    """A request for a chat."""

    model: str
    messages: tuple[MessageBody, ...] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    temperature: float | None = Field(default=None, ge=0, le=100)
    top_p: Probability | None = None
    top_k: int | None = Field(default=None, ge=-1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    stop: tuple[str, ...] = Field(default=(), max_length=64)
    n: int = Field(default=1, ge=1, le=16)
    seed: int | None = None
    do_sample: bool | None = None
    presence_penalty: float = Field(default=0, ge=-2, le=2)
    frequency_penalty: float = Field(default=0, ge=-2, le=2)
    repetition_penalty: float | None = Field(default=None, gt=0, le=10)
    logit_bias: dict[int, float] = Field(default_factory=dict, max_length=1024)
    logprobs: bool = False
    top_logprobs: int = Field(default=0, ge=0, le=20)
    tools: tuple[ToolBody, ...] = ()
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool = True
    response_format: FormatBody = FormatBody(type="text")
    reasoning_effort: str | None = None
    enable_thinking: bool | None = None
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)

    @field_validator("stop", mode="before")
    @classmethod
    def _stops(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else () if value is None else value

    @field_validator(
        "stream_options",
        "response_format",
        "tools",
        "logit_bias",
        "n",
        "logprobs",
        "top_logprobs",
        "presence_penalty",
        "frequency_penalty",
        "parallel_tool_calls",
        mode="before",
    )
    @classmethod
    def _nulls(cls, value: Any, info: Any) -> Any:
        return (
            cls.model_fields[info.field_name].get_default(call_default_factory=True)
            if value is None
            else value
        )

    @property
    def limit(self) -> int | None:
        """The longest answer that is asked for, in tokens."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def thinks(self) -> bool | None:
        """Whether the model shall think; None leaves it to the model."""
        if self.enable_thinking is not None:
            return self.enable_thinking
        if self.reasoning_effort is not None:
            return self.reasoning_effort not in ("none", "minimal")
        return None


class EmbeddingBody(_Wire):
    """A request for vectors."""

    model: str
    input: tuple[str, ...] = Field(min_length=1, max_length=2048)
    dimensions: int | None = Field(default=None, ge=1)

    @field_validator("input", mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


def explain(error: ValidationError) -> tuple[str, str]:
    """The first problem of a body as a field and a sentence, without any of its values."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"][:4]) or "body"
    return field, f"{field}: {first['msg']}"


def error_body(
    message: str, *, code: str, kind: str = "invalid_request_error", param: str | None = None
) -> dict[str, object]:
    """An error in the dialect's shape."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
