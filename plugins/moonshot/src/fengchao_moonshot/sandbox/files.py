"""Files: kept in memory, as long as the stand-in runs."""

from __future__ import annotations

import base64
import mimetypes
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import BodyPartReader, web

from fengchao_core.kit.sandbox import SandboxDesk
from fengchao_moonshot.sandbox.call import Call, Handle
from fengchao_moonshot.sandbox.refusals import invalid, missing

MOST_FILE_BYTES = 100 * 1024 * 1024

_PURPOSES = ("file-extract", "image", "video")
_MOST_FILES = 1000


@dataclass(frozen=True, slots=True)
class _File:
    id: str
    owner: str
    filename: str
    purpose: str
    content: bytes
    created_at: int

    @property
    def media_type(self) -> str:
        return mimetypes.guess_type(self.filename)[0] or "application/octet-stream"

    def body(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": self.created_at,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "ok",
            "status_details": "",
        }

    def text(self) -> str:
        """What can be read in it: the text itself, or what is known of a file that only a person could read."""
        try:
            return self.content.decode()
        except UnicodeDecodeError:
            return f"{self.filename} ({len(self.content)} bytes of {self.media_type})"


class Files:
    """Takes files, reads them, and gives their text. One object per stand-in."""

    def __init__(self, desk: SandboxDesk) -> None:
        self._desk = desk
        self._files: dict[str, _File] = {}

    def routes(self) -> tuple[tuple[str, str, Handle], ...]:
        """Method, path and handler."""
        return (
            ("POST", "/v1/files", self._take),
            ("GET", "/v1/files", self._list),
            ("GET", "/v1/files/{id}", self._show),
            ("GET", "/v1/files/{id}/content", self._read),
            ("DELETE", "/v1/files/{id}", self._delete),
        )

    def data_url(self, owner: str, url: str) -> str:
        """
        The picture or film that a URL names, as a data URL.

        Args:
            owner: who asks.
            url: a data URL, which is given back as it is, or `ms://` and a file's id.

        Raises:
            Refusal: the caller has no such file.
        """
        if not url.startswith("ms://"):
            return url
        file = self._find(owner, url.removeprefix("ms://"))
        if file.purpose not in ("image", "video"):
            raise invalid(f"the purpose of file {file.id} is not image or video")
        return f"data:{file.media_type};base64,{base64.b64encode(file.content).decode()}"

    async def _take(self, call: Call) -> web.Response:
        if not call.request.content_type.startswith("multipart/form-data"):
            raise invalid("expected multipart/form-data")
        purpose, name, content = "", "", None
        async for part in await call.request.multipart():
            if not isinstance(part, BodyPartReader):
                continue
            if part.name == "file":
                name, content = part.filename or "file", bytes(await part.read())
            elif part.name == "purpose":
                purpose = await part.text()
        if content is None:
            raise invalid("file is missing")
        if purpose not in _PURPOSES:
            raise invalid(f"purpose must be one of {', '.join(_PURPOSES)}")
        if not content:
            raise invalid("file is empty")
        if len(content) > MOST_FILE_BYTES:
            raise invalid(f"file size exceeds {MOST_FILE_BYTES} bytes")
        if sum(file.owner == call.credential for file in self._files.values()) >= _MOST_FILES:
            raise invalid(f"the number of files exceeds {_MOST_FILES}")
        file = _File(
            id=f"file-{self._desk.next_id():020d}",
            owner=call.credential,
            filename=name,
            purpose=purpose,
            content=content,
            created_at=int(self._desk.clock.now().timestamp()),
        )
        self._files[file.id] = file
        return _reply(file.body())

    async def _list(self, call: Call) -> web.Response:
        own = [file.body() for file in self._files.values() if file.owner == call.credential]
        # Said so that clients which turn pages do not ask for the same one for ever.
        return _reply({"object": "list", "data": own, "has_more": False})

    async def _show(self, call: Call) -> web.Response:
        return _reply(self._asked_for(call).body())

    async def _read(self, call: Call) -> web.Response:
        file = self._asked_for(call)
        if file.purpose != "file-extract":
            raise invalid(f"the purpose of file {file.id} is not file-extract")
        return _reply(
            {
                "content": file.text(),
                "file_type": file.media_type,
                "filename": file.filename,
                "title": "",
                "type": "file",
            }
        )

    async def _delete(self, call: Call) -> web.Response:
        file = self._asked_for(call)
        del self._files[file.id]
        return _reply({"id": file.id, "object": "file", "deleted": True})

    def _asked_for(self, call: Call) -> _File:
        return self._find(call.credential, call.request.match_info["id"])

    def _find(self, owner: str, file_id: str) -> _File:
        file = self._files.get(file_id)
        if file is None or file.owner != owner:
            raise missing(f"the file {file_id}")
        return file


def _reply(body: dict[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json")
