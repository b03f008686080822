"""
Answers that are given again: a request that comes twice under one `Idempotency-Key` is paid for once.

    <home>/repeats/<name>      a file per key: its lock is held while the first request runs, its content is the answer

The file's lock is let go of by the kernel when a process dies, so that a key is never stuck, and every worker on the data
folder sees it. Only good answers are kept; after an error the next request under the key is a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import time
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog
from typing_extensions import override

from fengchao_core.errors import InvalidParameter
from fengchao_server.answers import Answer, EventStream
from fengchao_server.refusals import KeyReused

if TYPE_CHECKING:
    from aiohttp import web

    from fengchao_core.settings import IdempotencySettings
    from fengchao_server.call import Call
    from fengchao_server.routes import Handler

fcntl: ModuleType | None
try:
    fcntl = importlib.import_module("fcntl")
except ImportError:  # Windows
    fcntl = None

log = structlog.get_logger()

HEADER: Final = "Idempotency-Key"
REPLAYED: Final[Mapping[str, str]] = {"Idempotent-Replayed": "true"}

_LONGEST_KEY: Final = 255
_LOOK_EVERY_S: Final = 0.05
_SWEEP_EVERY_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Named:
    """
    What a request is known by.

    Attributes:
        name: of its file.
        digest: of its body.
        is_submit: whether it makes a task, which goes on without its caller.
    """

    name: str
    digest: str
    is_submit: bool = False


class RecordedStream(EventStream):
    """A stream of events that remembers what it sent."""

    def __init__(self, request: web.BaseRequest, request_id: str) -> None:
        super().__init__(request, request_id)
        self.sent: list[bytes] = []

    @override
    def send(self, data: bytes) -> None:
        self.sent.append(data)
        super().send(data)

    @override
    def finish(self, data: bytes) -> None:
        self.sent.append(data)
        super().finish(data)

    @override
    def keep_alive_comment(self) -> None:
        before = len(self.sent)
        super().keep_alive_comment()
        del self.sent[before:]


class Repeats:
    """The answers that are kept. `run()` is the owned task that forgets them."""

    def __init__(self, home: Path, settings: IdempotencySettings) -> None:
        self._folder = home / "repeats"
        self._settings = settings

    @property
    def takes_request_ids(self) -> bool:
        """Whether the `request_id` of `/aigc` counts as a key, together with the body."""
        return self._settings.request_id

    async def name_of(self, call: Call) -> Named | None:
        """
        What a request is known by; None where it asks for no repeating.

        Raises:
            InvalidParameter: the key is empty, too long, or not printable ASCII.
        """
        is_product = call.path.startswith("/aigc/")
        if not is_product and call.received is None:
            return None  # an upload: it is as long as it is, and costs nothing
        body = await call.body()
        key = call.request.headers.get(HEADER)
        digest = sha256(body).hexdigest()
        if key is None:
            key = _field(body, "request_id") if is_product else ""
            if not key:
                return None
            key = f"{key}\n{digest}"  # turns of one conversation share their id, and differ in the rest
        elif not 1 <= len(key) <= _LONGEST_KEY or not key.isascii() or not key.isprintable():
            raise InvalidParameter(
                f"{HEADER} must be 1 to {_LONGEST_KEY} printable ASCII characters", param=HEADER
            )
        scope = f"{call.caller.key}\n{call.path}\n{key}"
        name = sha256(scope.encode("utf-8", "replace")).hexdigest()
        return Named(name, digest, is_product and _field(body, "mode") == "async")

    async def serve(self, call: Call, handler: Handler, named: Named) -> Answer:
        """
        Answer as the first time, or for the first time. Whoever comes while the first is served waits for it.

        Raises:
            KeyReused: another body came under the key.
            whatever the handler raises.
        """
        if fcntl is None:
            return await handler(call)
        if named.is_submit:
            return await _to_its_end(self._serve(call, handler, named))
        return await self._serve(call, handler, named)

    async def _serve(self, call: Call, handler: Handler, named: Named) -> Answer:
        fd = await self._locked(named.name)
        try:
            kept = _read(fd)
            if kept is not None:
                if kept["digest"] != named.digest:
                    raise KeyReused
                return _again(call, kept)
            call.is_recorded = True
            answer = await handler(call)
            self._keep(fd, answer, named)
            return answer
        finally:
            os.close(fd)

    async def run(self) -> None:
        """Forget what is too old, or too much, until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_EVERY_S)
            try:
                await asyncio.to_thread(self._sweep)
            except OSError as error:
                log.warning("repeats.not_swept", error=str(error))

    async def _locked(self, name: str) -> int:
        """The file of a key, held by us alone."""
        if fcntl is None:
            raise AssertionError("only where there are locks")
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        while True:
            fd = os.open(self._folder / name, flags, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found = os.fstat(fd)
                if not found.st_nlink:  # it was swept away meanwhile
                    os.close(fd)
                    continue
                if found.st_size and time.time() > found.st_mtime + self._settings.keep_s:
                    os.ftruncate(fd, 0)
            except BlockingIOError:
                os.close(fd)
                await asyncio.sleep(_LOOK_EVERY_S)
            except BaseException:
                os.close(fd)
                raise
            else:
                return fd

    def _keep(self, fd: int, answer: Answer, named: Named) -> None:
        """Write down a good answer that is whole."""
        if answer.status != 200:
            return
        head: dict[str, Any] = {"digest": named.digest}
        if isinstance(answer, RecordedStream):
            if not answer.is_finished:
                return
            parts = answer.sent
            head["events"] = [len(part) for part in parts]
        else:
            parts = [answer.content]
            head["type"] = answer.media.decode()
        size = sum(map(len, parts))
        if size > self._settings.max_answer_bytes:
            log.warning("repeats.too_long", bytes=size)
            return
        data = b"".join((orjson.dumps(head), b"\n", *parts))
        try:
            if os.write(fd, data) != len(data):
                raise OSError("the disk is full")
        except OSError as error:
            log.warning("repeats.not_kept", error=str(error))
            with contextlib.suppress(OSError):
                os.ftruncate(fd, 0)

    def _sweep(self) -> None:
        total, now = 0, time.time()
        for path, found in sorted(self._files(), key=lambda each: each[1].st_mtime, reverse=True):
            total += found.st_size
            is_old = now > found.st_mtime + self._settings.keep_s
            is_empty = not found.st_size and now > found.st_mtime + _SWEEP_EVERY_S
            if is_old or is_empty or total > self._settings.max_bytes:
                _remove(path)

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                with contextlib.suppress(FileNotFoundError):
                    yield path, path.stat()


async def _to_its_end(work: Coroutine[Any, Any, Answer]) -> Answer:
    """
    Go on although the caller hangs up.

    It may do so when the task is made and the answer not yet kept; then the next attempt would make another.
    """
    task = asyncio.create_task(work, name="fengchao-submit")
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # seen: there is nobody left to be told
        raise


def _field(body: bytes, name: str) -> str:
    """A text of a body; empty where it has none. What is wrong with it is for the handler to say."""
    try:
        found = orjson.loads(body)
    except ValueError:
        return ""
    text = found.get(name) if isinstance(found, dict) else None
    return text if isinstance(text, str) else ""


def _remove(path: Path) -> None:
    """Delete a file that nobody holds."""
    if fcntl is None:
        return
    with contextlib.suppress(FileNotFoundError):
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        except BlockingIOError:
            return
        finally:
            os.close(fd)


def _read(fd: int) -> dict[str, Any] | None:
    """What a file holds; None where that is nothing, or was torn."""
    size = os.fstat(fd).st_size
    if not size:
        return None
    line, _, content = os.pread(fd, size, 0).partition(b"\n")
    try:
        head: dict[str, Any] = orjson.loads(line)
    except ValueError:
        os.ftruncate(fd, 0)
        return None
    if "events" in head and sum(head["events"]) != len(content):
        os.ftruncate(fd, 0)
        return None
    return {**head, "content": content}


def _again(call: Call, kept: Mapping[str, Any]) -> Answer:
    content: bytes = kept["content"]
    if "events" not in kept:
        return Answer(content, content_type=kept["type"].encode(), headers=REPLAYED)
    stream = call.events()
    stream.headers_too(REPLAYED)
    last = len(content) - kept["events"][-1]
    if last:
        stream.send(content[:last])
    stream.finish(content[last:])
    return stream
