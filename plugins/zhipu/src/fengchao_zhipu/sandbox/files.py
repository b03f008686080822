"""Files: kept in memory, as long as the stand-in runs."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass

import orjson
from aiohttp import BodyPartReader, web

from fengchao_core.kit.sandbox import SandboxDesk
from fengchao_zhipu.sandbox.checks import illegal
from fengchao_zhipu.sandbox.codes import RefusedError

MOST_FILE_BYTES = 100 * 1024 * 1024

_PURPOSES = ("batch", "fine-tune", "retrieval", "file-extract")
_READ = (
    "pdf",
    "docx",
    "doc",
    "xlsx",
    "xls",
    "pptx",
    "ppt",
    "png",
    "jpg",
    "jpeg",
    "csv",
    "py",
    "txt",
    "md",
    "bmp",
    "gif",
)
_PAGE = 20
_MOST_FILES = 1000


@dataclass(frozen=True, slots=True)
class _File:
    id: str
    filename: str
    purpose: str
    content: bytes
    created_at: int

    @property
    def media_type(self) -> str:
        return mimetypes.guess_type(self.filename)[0] or "application/octet-stream"

    def text(self) -> str:
        """What can be read in it: the text itself, or what is known of a file that only a reader of its kind could read."""
        try:
            return self.content.decode()
        except UnicodeDecodeError:
            return f"{self.filename} ({len(self.content)} bytes of {self.media_type})"

    def body(self) -> dict[str, object]:
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": self.created_at,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
        }


class Files:
    """
    Takes files, lists them and gives them back. One object per stand-in.

    Args:
        desk: gives ids and the time.
        max_file_bytes: longer files are refused.
    """

    def __init__(self, desk: SandboxDesk, max_file_bytes: int) -> None:
        self._desk = desk
        self._max_file_bytes = max_file_bytes
        self._files: dict[str, _File] = {}

    async def take(
        self, request: web.Request, credential: str, body: Mapping[str, object]
    ) -> web.StreamResponse:
        """Take a file; a document of a knowledge base is answered in a shape of its own."""
        del credential, body
        fields, name, content = await _form(request)
        purpose = fields.get("purpose")
        if purpose is None:
            raise RefusedError("1213", "未正常接收到 purpose 参数")
        if purpose not in _PURPOSES:
            raise illegal("purpose")
        if content is None:
            raise RefusedError("1213", "未正常接收到 file 参数")
        if not content:
            raise illegal("file")
        if len(content) > self._max_file_bytes:
            raise RefusedError("435")
        if purpose == "retrieval" and not fields.get("knowledge_id"):
            raise RefusedError("1213", "未正常接收到 knowledge_id 参数")
        if purpose == "file-extract" and name.rpartition(".")[2].lower() not in _READ:
            raise RefusedError("1214", "文件格式不支持")
        if len(self._files) >= _MOST_FILES:
            raise RefusedError("1210", f"文件数量不能超过 {_MOST_FILES}")
        created_at = int(self._desk.clock.now().timestamp())
        file = _File(f"file-{self._desk.next_id():020d}", name, purpose, content, created_at)
        self._files[file.id] = file
        if purpose == "retrieval":
            taken = {"documentId": file.id, "filename": name}
            return _json({"successInfos": [taken], "failedInfos": []})
        return _json(file.body())

    async def show(
        self, request: web.Request, credential: str, body: Mapping[str, object]
    ) -> web.StreamResponse:
        """List files, the newest first, a page at a time."""
        del credential, body
        query = request.query
        purpose, order = query.get("purpose"), query.get("order", "desc")
        limit = query.get("limit", str(_PAGE))
        if purpose is not None and purpose not in _PURPOSES:
            raise illegal("purpose")
        if order not in ("asc", "desc"):
            raise illegal("order")
        if not limit.isdecimal() or not 1 <= int(limit) <= 100:
            raise illegal("limit")
        files = [file for file in self._files.values() if purpose in (None, file.purpose)]
        if order == "desc":
            files.reverse()
        if (after := query.get("after")) is not None:
            at = next((at for at, file in enumerate(files) if file.id == after), None)
            if at is None:
                raise illegal("after")
            files = files[at + 1 :]
        page = files[: int(limit)]
        return _json(
            {
                "object": "list",
                "data": [file.body() for file in page],
                "has_more": len(page) < len(files),
            }
        )

    async def read(
        self, request: web.Request, credential: str, body: Mapping[str, object]
    ) -> web.StreamResponse:
        """Give a file back, or the text that was read in it."""
        del credential, body
        file = self._asked_for(request)
        if file.purpose != "file-extract":
            return web.Response(body=file.content)
        return _json(
            {
                "content": file.text(),
                "file_type": file.media_type,
                "filename": file.filename,
                "title": "",
                "type": "file",
            }
        )

    async def delete(
        self, request: web.Request, credential: str, body: Mapping[str, object]
    ) -> web.StreamResponse:
        """Forget a file."""
        del credential, body
        file = self._asked_for(request)
        del self._files[file.id]
        return _json({"id": file.id, "object": "file", "deleted": True})

    def _asked_for(self, request: web.Request) -> _File:
        file = self._files.get(request.match_info["id"])
        if file is None:
            raise RefusedError("1214", "文件不存在，请检查文件 id")
        return file


async def _form(request: web.Request) -> tuple[dict[str, str], str, bytes | None]:
    """Text fields, and name and content of the file."""
    if not request.content_type.startswith("multipart/form-data"):
        raise RefusedError("1210", "请求体必须是 multipart/form-data")
    fields: dict[str, str] = {}
    name, content = "", None
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            continue
        if part.name == "file":
            name, content = part.filename or "file", bytes(await part.read())
        elif part.name is not None:
            fields[part.name] = await part.text()
    return fields, name, content


def _json(body: Mapping[str, object]) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json")
