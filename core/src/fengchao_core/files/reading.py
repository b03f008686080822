"""
The text in a file: of plain text read here, of a document read by a process of its own, under limits.

A parser of documents is the part of a gateway that strangers can reach most easily. It runs where it can do little: no
secrets, bounded memory and time, few at a time; what happens to it is a refusal of one file and nothing more.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fengchao_core.errors import FileRefused
from fengchao_core.files import child
from fengchao_core.files.kinds import Kind, decode_text
from fengchao_core.readers import ReaderSpec
from fengchao_core.settings import FileSettings

_KEPT_VARIABLES: Final = ("PATH", "PYTHONPATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
_MESSAGES: Final[Mapping[str, str]] = {
    "encrypted": "the file is encrypted",
    "unsafe": "the file is built in a way that is not safe to open",
    "no_text": "there is no text in the file",
    "broken": "the file is broken",
    "too_complex": "the file takes too much time or memory to read",
}


@dataclass(frozen=True, slots=True)
class Text:
    """What was read; `is_cut` where there was more of it than is taken."""

    text: str
    is_cut: bool


class Reading:
    """
    Reads texts. Serves any number of concurrent calls; so many at a time as the settings say, the others wait.

    Args:
        readers: of documents, by plugins.
    """

    def __init__(self, settings: FileSettings, readers: Iterable[ReaderSpec]) -> None:
        self._settings = settings
        self._targets = {kind: spec.target for spec in readers for kind in spec.kinds}
        self._turn = asyncio.Semaphore(settings.readers)

    async def text_of(self, path: Path, kind: Kind) -> Text | None:
        """
        The text of a file; None where it is a picture or a film.

        Raises:
            FileRefused: it is not what it seems, or cannot be read within the limits.
        """
        if kind.group in ("picture", "film"):
            return None
        if kind.group == "text":
            return await asyncio.to_thread(_plain, path, self._settings.max_text_chars)
        target = self._targets.get(kind.name)
        if target is None:
            raise FileRefused(
                f"no installed plugin reads {kind.name} files; install fengchao-documents",
                reason="no_reader",
            )
        async with self._turn:
            return await self._run(target, path)

    async def _run(self, target: str, path: Path) -> Text:
        settings = self._settings
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # the folder of the script holds modules named like others' (`html`)
            "-B",
            str(Path(child.__file__)),
            target,
            str(path),
            str(settings.max_text_chars),
            str(settings.reader_memory_bytes),
            str(int(settings.reader_timeout_s) + 1),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ},
        )
        try:
            async with asyncio.timeout(settings.reader_timeout_s):
                raw = await _bounded(process, settings.max_text_chars * 4)
                status = await process.wait()
        except TimeoutError:
            raise _refused("too_complex") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if status not in (child.WHOLE, child.CUT):
            # Killed by a limit, where it is no status of its own.
            raise _refused(child.REASONS.get(status, "too_complex" if status < 0 else "broken"))
        text = raw.decode("utf-8", "replace").replace("\0", "").strip()
        if not text:
            raise _refused("no_text")
        return Text(text, status == child.CUT)


async def _bounded(process: asyncio.subprocess.Process, most_bytes: int) -> bytes:
    raw = bytearray()
    assert process.stdout is not None  # noqa: S101  # it was asked for
    while piece := await process.stdout.read(65_536):
        raw += piece
        if len(raw) > most_bytes:
            raise _refused("too_complex")
    return bytes(raw)


def _plain(path: Path, most_chars: int) -> Text:
    with path.open("rb") as file:
        raw = file.read(most_chars * 4 + 4)
        has_more = bool(file.read(1))
    text = decode_text(raw, is_whole=not has_more)
    if text is None:
        raise FileRefused("the file is neither a document of a known kind nor text", reason="type")
    if not text.strip():
        raise _refused("no_text")
    return Text(text[:most_chars], has_more or len(text) > most_chars)


def _refused(reason: str) -> FileRefused:
    return FileRefused(_MESSAGES[reason], reason=reason)
