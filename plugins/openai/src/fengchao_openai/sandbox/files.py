"""Files: kept in memory, as long as the emulator runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import BodyPartReader, web

from fengchao_core.kit.sandbox import SandboxDesk
from fengchao_openai.sandbox.call import Call, Handle
from fengchao_openai.sandbox.refusals import Refusal

_PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
_MOST_FILES = 1000


@dataclass(frozen=True, slots=True)
class _File:
    id: str
    filename: str
    purpose: str
    content: bytes
    created_at: int
    expires_at: int | None

    def body(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": self.created_at,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
            "expires_at": self.expires_at,
        }


class Files:
    """Takes files and gives them back. One object per emulator."""

    def __init__(self, desk: SandboxDesk) -> None:
        self._desk = desk
        self._files: dict[str, _File] = {}

    def routes(self) -> tuple[tuple[str, str, Handle], ...]:
        """Method, path and handler."""
        return (
            ("POST", "/v1/files", self._take),
            ("GET", "/v1/files", self._list),
            ("GET", "/v1/files/{id}", self._show),
            ("GET", "/v1/files/{id}/content", self._give),
            ("DELETE", "/v1/files/{id}", self._delete),
        )

    async def _take(self, call: Call) -> web.Response:
        if not call.request.content_type.startswith("multipart/form-data"):
            raise Refusal(400, "Invalid content type: expected multipart/form-data.")
        fields: dict[str, str] = {}
        name, content = "", None
        async for part in await call.request.multipart():
            if not isinstance(part, BodyPartReader):
                continue
            if part.name == "file":
                name, content = part.filename or "file", bytes(await part.read())
            elif part.name is not None:
                fields[part.name] = await part.text()
        if content is None:
            raise Refusal(400, "'file' is a required property", param="file")
        purpose = fields.get("purpose", "")
        if purpose not in _PURPOSES:
            raise Refusal(
                400, f"'{purpose}' is not one of {list(_PURPOSES)} - 'purpose'", param="purpose"
            )
        if len(self._files) >= _MOST_FILES:
            raise Refusal(400, f"Too many files: this sandbox keeps {_MOST_FILES}.")
        now = int(self._desk.clock.now().timestamp())
        kept_s = fields.get("expires_after[seconds]")
        if kept_s is not None and not (kept_s.isdecimal() and 3600 <= int(kept_s) <= 2_592_000):
            raise Refusal(400, "expected 3600 to 2592000 seconds", param="expires_after.seconds")
        file = _File(
            id=f"file-{self._desk.next_id():024d}",
            filename=name,
            purpose=purpose,
            content=content,
            created_at=now,
            expires_at=None if kept_s is None else now + int(kept_s),
        )
        self._files[file.id] = file
        return _reply(file.body())

    async def _list(self, call: Call) -> web.Response:
        query = call.request.query
        files = [
            file for file in self._files.values() if query.get("purpose") in (None, file.purpose)
        ]
        if query.get("order", "desc") == "desc":
            files.reverse()
        if (after := query.get("after")) is not None:
            ids = [file.id for file in files]
            files = files[ids.index(after) + 1 :] if after in ids else []
        limit = query.get("limit", "10000")
        if not limit.isdecimal() or not 1 <= int(limit) <= 10_000:
            raise Refusal(400, "expected a limit of 1 to 10000", param="limit")
        page = [file.body() for file in files[: int(limit)]]
        return _reply({"object": "list", "data": page, "has_more": len(files) > int(limit)})

    async def _show(self, call: Call) -> web.Response:
        return _reply(self._find(call.request.match_info["id"]).body())

    async def _give(self, call: Call) -> web.Response:
        return web.Response(
            body=self._find(call.request.match_info["id"]).content,
            content_type="application/octet-stream",
        )

    async def _delete(self, call: Call) -> web.Response:
        file = self._find(call.request.match_info["id"])
        del self._files[file.id]
        return _reply({"id": file.id, "object": "file", "deleted": True})

    def _find(self, file_id: str) -> _File:
        file = self._files.get(file_id)
        if file is None:
            raise Refusal(404, f"No such File object: {file_id}", param="id")
        return file


def _reply(body: dict[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json")
