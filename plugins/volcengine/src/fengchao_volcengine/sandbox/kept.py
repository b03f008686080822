"""What the stand-in for Ark keeps: conversations, files, and tasks that make films."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.web_request import FileField

from fengchao_core.kit.sandbox import SandboxDesk, chat_dialect, prompt_tokens
from fengchao_core.types import Usage
from fengchao_volcengine.sandbox.call import Call
from fengchao_volcengine.sandbox.checks import check, check_model, invalid
from fengchao_volcengine.sandbox.refusals import Refusal, ark_fault

MOST_FILE_BYTES = 16 * 1024 * 1024
_MOST_KEPT = 1000
_WEEK_S = 7 * 24 * 3600
_DAY_S = 24 * 3600


@dataclass(slots=True)
class Context:
    """A conversation that is kept: its messages as they came."""

    id: str
    model: str
    mode: str
    messages: list[Any]


class Contexts:
    """Conversations that are kept."""

    def __init__(self) -> None:
        self._kept: dict[str, Context] = {}

    async def create(self, call: Call) -> web.StreamResponse:
        """Keep the beginning of a conversation."""
        body = call.body
        call.model = check_model(body, "chat")
        if call.resource and call.resource != call.model:
            raise Refusal("AccessDenied")
        check(body, "ttl", lambda v: type(v) is int and 3600 <= v <= _WEEK_S)
        mode = body.get("mode", "session")
        messages = body.get("messages")
        if mode not in ("session", "common_prefix"):
            raise invalid("mode")
        if not isinstance(messages, list) or not messages:
            raise invalid("messages")
        context = Context(f"ctx-{call.id}", call.model, mode, list(messages))
        _keep(self._kept, context.id, context)
        tokens = prompt_tokens(chat_dialect.read_chat(body))
        return web.json_response(
            {
                "id": context.id,
                "model": call.model,
                "mode": mode,
                "ttl": body.get("ttl", _DAY_S),
                "truncation_strategy": {"type": "last_history_tokens", "last_history_tokens": 4096},
                "usage": chat_dialect.usage_body(Usage(tokens)),
            }
        )

    def find(self, context_id: object, model: str) -> Context:
        """A conversation of this model. Raises `Refusal`."""
        context = self._kept.get(context_id) if isinstance(context_id, str) else None
        if context is None or context.model != model:
            raise Refusal("NotFound", "The specified context is not found")
        return context


class Files:
    """Files that are kept."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, object]] = {}

    async def create(self, call: Call) -> web.StreamResponse:
        """Take a file."""
        if not call.request.content_type.startswith("multipart/"):
            raise invalid("file")
        form = await call.request.post()
        file, purpose = form.get("file"), form.get("purpose")
        if not isinstance(file, FileField):
            raise Refusal("MissingParameter", "missing parameter: file")
        if purpose not in ("user_data", "agent"):
            raise invalid("purpose")
        content = file.file.read()
        if not content:
            raise invalid("file")
        now = int(time.time())
        kept: dict[str, object] = {
            "id": f"file-{call.id}",
            "object": "file",
            "filename": file.filename,
            "purpose": purpose,
            "bytes": len(content),
            "mime_type": file.content_type,
            "created_at": now,
            "expire_at": now + _WEEK_S,
            "status": "active",
        }
        _keep(self._kept, str(kept["id"]), kept)
        return web.json_response(kept)

    async def list(self, _: Call) -> web.StreamResponse:
        """The files, newest first."""
        data = list(reversed(self._kept.values()))
        return web.json_response({"object": "list", "data": data, "has_more": False})

    async def show(self, call: Call) -> web.StreamResponse:
        """One file."""
        return web.json_response(self._find(call))

    async def delete(self, call: Call) -> web.StreamResponse:
        """Forget a file."""
        file_id = self._find(call)["id"]
        del self._kept[str(file_id)]
        return web.json_response({"id": file_id, "object": "file", "deleted": True})

    def _find(self, call: Call) -> Mapping[str, object]:
        kept = self._kept.get(call.request.match_info["id"])
        if kept is None:
            raise Refusal("NotFound", "The specified file is not found")
        return kept


@dataclass(slots=True)
class _Task:
    id: str
    model: str
    created: int
    looks: int = 0
    more: dict[str, object] = field(default_factory=dict)

    def body(self) -> dict[str, object]:
        status = ("queued", "running", "succeeded")[min(self.looks, 2)]
        body: dict[str, object] = {
            "id": self.id,
            "model": self.model,
            "status": status,
            "created_at": self.created,
            "updated_at": self.created + self.looks,
            **self.more,
        }
        if status == "succeeded":
            body["content"] = {"video_url": f"https://example.com/{self.id}.mp4"}
            body["usage"] = {"completion_tokens": 108_900, "total_tokens": 108_900}
        return body


class Tasks:
    """Tasks that make films; each look at one finds it a step further."""

    def __init__(self, desk: SandboxDesk) -> None:
        self._desk = desk
        self._kept: dict[str, _Task] = {}

    async def create(self, call: Call) -> web.StreamResponse:
        """Begin a film."""
        model, content = call.body.get("model"), call.body.get("content")
        if not isinstance(model, str) or not model.startswith(("doubao-seedance-", "ep-")):
            raise Refusal("InvalidEndpointOrModel.NotFound")
        if not isinstance(content, list) or not content:
            raise Refusal("MissingParameter", "missing parameter: content")
        call.model = model
        check(call.body, "duration", lambda v: type(v) is int and 2 <= v <= 15)
        check(call.body, "resolution", lambda v: v in ("480p", "720p", "1080p", "4k"))
        texts = [str(part.get("text", "")) for part in content if isinstance(part, Mapping)]
        faults = self._desk.faults(" ".join(texts))
        if faults.refusal is not None:
            raise ark_fault(faults)
        task = _Task(f"cgt-{call.id}", model, int(time.time()))
        _keep(self._kept, task.id, task)
        return web.json_response({"id": task.id})

    async def show(self, call: Call) -> web.StreamResponse:
        """One film."""
        task = self._find(call)
        body = task.body()
        task.looks += 1
        return web.json_response(body)

    async def list(self, call: Call) -> web.StreamResponse:
        """The films that fit the filter."""
        query = call.request.query
        bodies = [task.body() for task in reversed(self._kept.values())]
        wanted = query.getall("filter.task_ids", [])
        items = [
            body
            for body in bodies
            if query.get("filter.status", body["status"]) == body["status"]
            and query.get("filter.model", body["model"]) == body["model"]
            and (not wanted or body["id"] in wanted)
        ]
        return web.json_response({"items": items, "total": len(items)})

    async def delete(self, call: Call) -> web.StreamResponse:
        """Forget a film."""
        del self._kept[self._find(call).id]
        return web.json_response({})

    def _find(self, call: Call) -> _Task:
        task = self._kept.get(call.request.match_info["id"])
        if task is None:
            raise Refusal("NotFound", "The specified task is not found")
        return task


def _keep(kept: dict[str, Any], key: str, value: object) -> None:
    while len(kept) >= _MOST_KEPT:
        del kept[next(iter(kept))]
    kept[key] = value
