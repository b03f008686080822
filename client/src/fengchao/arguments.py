"""The arguments of a chat and of a drawing, in the order and with the defaults of the published SDK."""

from __future__ import annotations

import asyncio
import base64
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

from pydantic import BaseModel

from fengchao.errors import error_of
from fengchao.retry import Retry
from fengchao.wire.codes import Code

Mode = Literal["invoke", "async", "async_result"]
Turn = Mapping[str, object] | BaseModel
_LONGEST_PATH = 4096


class ChatOptions(TypedDict, total=False):
    """What a streamed or submitted chat takes beside model, query and mode; for type checkers. `FengChao.chat` explains each."""

    request_id: str | None
    system: str | None
    prompt: str | None
    prompt_fill: Mapping[str, str | int | float] | None
    is_sensitive: bool
    sensitive_replace: bool
    task_id: str | None
    history: Sequence[Turn] | None
    response_format: str | None
    do_sample: bool | None
    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    knowledge: str | None
    top_k: int | None
    threshold: float | None
    image: str | None
    video: str | None
    try_num: int | None
    timeout: float | None
    retry_action: Retry | None
    files: Sequence[str] | str | None
    agg_models: Sequence[str] | None
    search_param: Mapping[str, float] | None
    json_schema: Mapping[str, Any] | None
    resumable: bool


class DrawOptions(TypedDict, total=False):
    """Likewise what a submitted drawing takes. `FengChao.t2i` explains each."""

    request_id: str | None
    task_id: str | None
    prompt: str | None
    negative_prompt: str | None
    prompt_fill: Mapping[str, str | int | float] | None
    n: int
    size: str
    style: str
    try_num: int | None
    timeout: float | None
    retry_action: Retry | None


@dataclass(frozen=True, slots=True)
class ChatArguments:
    """What `chat()` was given; the fields are its parameters, in order."""

    model: str
    query: str | None
    request_id: str | None
    system: str | None
    prompt: str | None
    prompt_fill: Mapping[str, str | int | float] | None
    is_sensitive: bool
    sensitive_replace: bool
    task_id: str | None
    history: Sequence[Turn] | None
    response_format: str | None
    do_sample: bool | None
    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    mode: str
    knowledge: str | None
    top_k: int | None
    threshold: float | None
    image: str | None
    video: str | None
    try_num: int | None
    timeout: float | None
    retry_action: Retry | None
    files: Sequence[str] | str | None
    agg_models: Sequence[str] | None
    search_param: Mapping[str, float] | None
    json_schema: Mapping[str, Any] | None = None
    resumable: bool = False

    async def payload(self) -> dict[str, Any]:
        """
        The body to send. Local pictures and films are read and sent as base64.

        `files` are as the caller gave them: paths, which whoever sends the body must upload first.
        """
        body = {
            "model": self.model,
            "query": self.query,
            "request_id": self.request_id or str(uuid.uuid4()),
            "system": self.system,
            "prompt": self.prompt,
            "prompt_fill": dict(self.prompt_fill or {}),
            "is_sensitive": self.is_sensitive,
            "sensitive_replace": self.sensitive_replace,
            "task_id": self.task_id,
            "history": [_turn(turn) for turn in self.history or ()],
            "response_format": self.response_format,
            "do_sample": self.do_sample,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "knowledge": self.knowledge,
            "top_k": self.top_k,
            "threshold": self.threshold,
            "mode": self.mode,
            "files": self.paths() or None,
            "image": await _media(self.image, "image"),
            "video": await _media(self.video, "video"),
            "agg_models": list(self.agg_models) if self.agg_models is not None else None,
            "search_param": dict(self.search_param) if self.search_param is not None else None,
        }
        if self.json_schema is not None:  # an older service does not know the field
            body["json_schema"] = dict(self.json_schema)
        if self.resumable:  # likewise
            body["resumable"] = True
        return body

    def paths(self) -> list[str]:
        """The files to upload."""
        return [self.files] if isinstance(self.files, str) else list(self.files or ())


@dataclass(frozen=True, slots=True)
class DrawArguments:
    """What `t2i()` was given; the fields are its parameters, in order."""

    model: str
    query: str | None
    request_id: str | None
    task_id: str | None
    prompt: str | None
    negative_prompt: str | None
    prompt_fill: Mapping[str, str | int | float] | None
    n: int
    size: str
    style: str
    mode: str
    try_num: int | None
    timeout: float | None
    retry_action: Retry | None

    def payload(self) -> dict[str, Any]:
        """The body to send."""
        return {
            "model": self.model,
            "query": self.query,
            "request_id": self.request_id or str(uuid.uuid4()),
            "task_id": self.task_id,
            "negative_prompt": self.negative_prompt,
            "prompt": self.prompt,
            "prompt_fill": dict(self.prompt_fill or {}),
            "n": self.n,
            "style": self.style,
            "size": self.size,
            "mode": self.mode,
        }


def checked_start(start: int) -> int:
    """
    The number of a stream's event to begin with.

    Raises:
        InvalidRequestError: it is negative.
    """
    if start < 0:
        raise error_of(Code.INVALID_PARAMETER, "start 应为不小于 0 的整数")
    return start


async def read_file(path: str, param: str) -> bytes:
    """
    A local file, read off the loop.

    Raises:
        InvalidRequestError: it cannot be read; the path is not repeated.
    """
    try:
        return await asyncio.to_thread(Path(path).read_bytes)
    except OSError as error:
        reason = f"{param} 指向的文件无法读取（{error.strerror or '未知原因'}）"
        raise error_of(Code.INVALID_PARAMETER, reason) from error


async def _media(value: str | None, param: str) -> str | None:
    # What looks like a path and is one; anything else (a URL, base64) is the server's to judge.
    if not value or len(value) > _LONGEST_PATH or "\0" in value:
        return value
    if value.startswith(("http://", "https://", "data:")) or not os.path.isfile(value):  # noqa: ASYNC240, PTH113  # one stat
        return value
    return base64.b64encode(await read_file(value, param)).decode("ascii")


def _turn(turn: Turn) -> dict[str, object]:
    return turn.model_dump(exclude_none=True) if isinstance(turn, BaseModel) else dict(turn)
