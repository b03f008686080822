"""What Ark keeps for us: files, conversations (contexts), and tasks that make films. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from pydantic import BaseModel, Field

from fengchao_core.errors import InvalidParameter
from fengchao_core.kit.errors import Classify
from fengchao_core.kit.multipart import Field as FormField
from fengchao_core.kit.multipart import Form, form
from fengchao_core.kit.openai_chat import build, dump
from fengchao_core.kit.replies import read_reply
from fengchao_core.types import ChatRequest, ContentPart, ImagePart, Message, TextPart
from fengchao_volcengine.wire import dialect_for

FILES = "/files"
CONTEXTS = "/context/create"
TASKS = "/contents/generations/tasks"
TOKENIZATION = "/tokenization"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """
    A file that the vendor keeps.

    Attributes:
        status: `processing`, `active` or `failed`.
        created: seconds since 1970, as `expires`.
    """

    id: str
    filename: str
    purpose: str
    status: str
    size_bytes: int
    created: int
    expires: int


@dataclass(frozen=True, slots=True)
class VideoTask:
    """
    A task that makes a film.

    Attributes:
        status: `queued`, `running`, `succeeded`, `failed` or `cancelled`.
        video_url: of a task that has succeeded; it lives for a while.
        error_code: of a task that has failed.
        completion_tokens: what it used.
    """

    id: str
    model: str
    status: str
    video_url: str | None = None
    error_code: str | None = None
    completion_tokens: int = 0


class _File(BaseModel):
    id: str
    filename: str = ""
    purpose: str = ""
    status: str = ""
    bytes: int | None = None
    created_at: int = 0
    expire_at: int = 0

    def stored(self) -> StoredFile:
        return StoredFile(
            self.id,
            self.filename,
            self.purpose,
            self.status,
            self.bytes or 0,
            self.created_at,
            self.expire_at,
        )


class _Files(BaseModel):
    data: list[_File]


class _Named(BaseModel):
    id: str


class _Content(BaseModel):
    video_url: str | None = None


class _Error(BaseModel):
    code: str | None = None


class _TaskUsage(BaseModel):
    completion_tokens: int = 0


class _Task(BaseModel):
    id: str
    model: str = ""
    status: str
    content: _Content | None = None
    error: _Error | None = None
    usage: _TaskUsage | None = None

    def task(self) -> VideoTask:
        return VideoTask(
            self.id,
            self.model,
            self.status,
            None if self.content is None else self.content.video_url or None,
            None if self.error is None else self.error.code or None,
            0 if self.usage is None else self.usage.completion_tokens,
        )


class _Tasks(BaseModel):
    items: list[_Task]


class _Tokens(BaseModel):
    total_tokens: int = Field(ge=0)


class _Tokenized(BaseModel):
    data: list[_Tokens]


class _LegacyTokenized(BaseModel):
    total_tokens: int = Field(ge=0)


def file_path(file_id: str) -> str:
    """Where a file is."""
    return f"{FILES}/{quote(file_id, safe='')}"


def task_path(task_id: str) -> str:
    """Where a task is."""
    return f"{TASKS}/{quote(task_id, safe='')}"


def encode_file(filename: str, content: bytes, purpose: str) -> Form:
    """The form that uploads a file."""
    return form((FormField("purpose", purpose), FormField("file", content, filename)))


def decode_file(body: bytes, classify: Classify) -> StoredFile:
    """A file. Raises `ProviderError`, as `read_reply`."""
    return read_reply(_File, body, classify).stored()


def decode_files(body: bytes, classify: Classify) -> tuple[StoredFile, ...]:
    """A list of files. Raises as `decode_file`."""
    return tuple(each.stored() for each in read_reply(_Files, body, classify).data)


def encode_context(
    model: str,
    messages: Sequence[Message],
    *,
    mode: Literal["session", "common_prefix"],
    ttl_s: int | None,
    extra: Mapping[str, object],
) -> bytes:
    """The body that makes a conversation. Raises `InvalidParameter` as the chat itself."""
    request = ChatRequest(model=model, messages=tuple(messages))
    body, _ = build(request, dialect_for(model))
    body["mode"] = mode
    if ttl_s is not None:
        body["ttl"] = ttl_s
    return dump({**body, **extra})


def decode_context(body: bytes, classify: Classify) -> str:
    """The id of a conversation. Raises `ProviderError`, as `read_reply`."""
    return read_reply(_Named, body, classify).id


def encode_task(model: str, content: Sequence[ContentPart], extra: Mapping[str, object]) -> bytes:
    """
    The body that begins a film.

    Raises:
        InvalidParameter: the content holds anything but texts and pictures.
    """
    parts: list[dict[str, object]] = []
    for part in content:
        if isinstance(part, TextPart):
            parts.append({"type": "text", "text": part.text})
        elif isinstance(part, ImagePart):
            parts.append({"type": "image_url", "image_url": {"url": part.url}})
        else:
            raise InvalidParameter("films are made of texts and pictures only", param="content")
    return dump({"model": model, "content": parts, **extra})


def decode_task_id(body: bytes, classify: Classify) -> str:
    """The id of a task. Raises `ProviderError`, as `read_reply`."""
    return read_reply(_Named, body, classify).id


def decode_task(body: bytes, classify: Classify) -> VideoTask:
    """A task. Its own `error` is a fact of it, not of the call. Raises `ProviderError`, as `read_reply`."""
    return read_reply(_Task, body, classify).task()


def decode_tasks(body: bytes, classify: Classify) -> tuple[VideoTask, ...]:
    """A list of tasks. Raises as `decode_task`."""
    return tuple(each.task() for each in read_reply(_Tasks, body, classify).items)


def texts_of(request: ChatRequest) -> list[str]:
    """The texts of a conversation, as tokens are counted: pictures and what the vendor puts around turns are not."""
    return [message.text for message in request.messages if message.text]


def encode_tokenization(model: str, texts: Sequence[str]) -> bytes:
    """The body that asks for tokens."""
    return dump({"model": model, "text": list(texts)})


def decode_tokenization(body: bytes, classify: Classify) -> int:
    """How many tokens all texts have. Raises `ProviderError`, as `read_reply`."""
    return sum(each.total_tokens for each in read_reply(_Tokenized, body, classify).data)


def encode_legacy_tokenization(model: Mapping[str, str] | None, texts: Sequence[str]) -> bytes:
    """
    The legacy body that asks for tokens: one text.

    Args:
        model: None for version 2, whose path names it.
    """
    head: dict[str, object] = {} if model is None else {"model": dict(model)}
    return dump({**head, "text": "\n".join(texts)})


def decode_legacy_tokenization(body: bytes, classify: Classify) -> int:
    """How many tokens the text has. Raises `ProviderError`, as `read_reply`."""
    return read_reply(_LegacyTokenized, body, classify).total_tokens
