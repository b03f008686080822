"""`/aigc/uploadfiles/` and the caller's files: taken as they come over the wire, listed, deleted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Final, TypeVar
from urllib.parse import unquote

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from fengchao.wire import OK_MSG, BodyError, bridge
from fengchao_core import EMBEDDED
from fengchao_core.errors import FileRefused
from fengchao_core.files import ANYBODY
from fengchao_core.store import FileRecord
from fengchao_server.answers import JSON_UTF8, Answer
from fengchao_server.call import Call
from fengchao_server.refusals import BodyTimeout

IDLE_S: Final = 30.0
"""How long an upload may stand still."""

WHOLE_S: Final = 1800.0
"""And how long it may take in all."""

_T = TypeVar("_T")
_PLAIN: Final = frozenset({"", "binary", "8bit", "7bit"})
_MOST_FIELDS: Final = 100

# What aiohttp raises where boundaries, headers or codings are broken; it has no error of its own for all of it.
_BROKEN: Final = (
    web.RequestPayloadError,
    HttpProcessingError,
    ValueError,
    LookupError,
    AssertionError,
    EOFError,
    RuntimeError,
)


async def upload(call: Call) -> Answer:
    """Take the files of a form: all of them, or none."""
    # The published SDKs send no key here: such a file is nobody's until a key uses it.
    caller = ANYBODY if call.caller is EMBEDDED else call.caller
    files = call.gateway.files
    await files.check_welcome(caller)
    taken: list[FileRecord] = []
    deadline = asyncio.get_running_loop().time() + WHOLE_S
    try:
        async for part in _parts(call.request, deadline):
            if len(taken) >= files.most_at_once:
                raise FileRefused(
                    f"more than {files.most_at_once} files in one upload", reason="too_many"
                )
            # Some clients percent-encode names, as the standard of forms allows.
            name = unquote(part.filename or "")
            record = await files.add(name, _content(part, deadline), caller=caller)
            taken.append(record)
        if not taken:
            raise BodyError("表单里没有文件，请以 files 为字段名上传", param="files")
    except BaseException:
        for record in taken:
            await files.delete(record.id, caller)
        raise
    return _json(
        {
            "status": 200,
            "msg": OK_MSG,
            "files": [record.id for record in taken],
            **bridge.file_list(taken),
        }
    )


async def listing(call: Call) -> Answer:
    """The caller's files, newest first."""
    return _json(bridge.file_list(await call.gateway.files.all(call.caller)))


async def delete(call: Call) -> Answer:
    """Delete one of the caller's files."""
    await call.gateway.files.delete(call.params["id"], call.caller)
    return _json({"status": 200, "msg": OK_MSG})


async def _parts(request: web.BaseRequest, deadline: float) -> AsyncIterator[BodyPartReader]:
    """The parts of a form that are files; fields that are none are passed over."""
    if request.content_type != "multipart/form-data":
        raise BodyError("请以 multipart/form-data 上传，字段名为 files", param="files")
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    reader = await _step(request.multipart(), deadline)
    for _ in range(_MOST_FIELDS):
        part = await _step(reader.next(), deadline)
        if part is None:
            return
        if isinstance(part, MultipartReader):
            raise _malformed()
        if part.filename is not None:
            yield part
    raise BodyError("表单的字段过多", param="files")


async def _content(part: BodyPartReader, deadline: float) -> AsyncIterator[bytes]:
    coding = part.headers.get("Content-Transfer-Encoding", "").lower()
    if coding not in _PLAIN or "Content-Encoding" in part.headers:
        raise _malformed()
    while chunk := await _step(part.read_chunk(64 * 1024), deadline):
        yield chunk


async def _step(step: Awaitable[_T], deadline: float) -> _T:
    """A step of aiohttp's reading, in time, and what it says of a broken form put into words."""
    try:
        until = min(asyncio.get_running_loop().time() + IDLE_S, deadline)
        async with asyncio.timeout_at(until):
            return await step
    except TimeoutError as error:
        raise BodyTimeout(IDLE_S) from error
    except _BROKEN as error:
        raise _malformed() from error


def _malformed() -> BodyError:
    return BodyError("上传的表单不完整或格式有误", param="files")


def _json(value: object) -> Answer:
    return Answer.json(value, content_type=JSON_UTF8)
