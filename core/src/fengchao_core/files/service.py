"""Files that callers upload: taken, looked at, read, listed, and gone when their time is over."""

from __future__ import annotations

import asyncio
import re
import secrets
import unicodedata
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fengchao_core.caller import Caller
from fengchao_core.clock import Clock
from fengchao_core.errors import FengChaoError, FileRefused, UnknownFile
from fengchao_core.files.blobs import Blobs
from fengchao_core.files.copies import Copies
from fengchao_core.files.inspection import inspect
from fengchao_core.files.kinds import KINDS, Kind
from fengchao_core.files.reading import Reading
from fengchao_core.logs import Log
from fengchao_core.settings import FileSettings
from fengchao_core.store import NOBODY, FileQuota, FileRecord, FileStore

log = Log()

ANYBODY = Caller(NOBODY, "")
"""Who uploads without a key."""

_LONGEST_NAME = 200
_ID = re.compile(r"file-[A-Za-z0-9_-]{32}")
_MARGIN_S = (
    86_400.0  # how much longer than any file lives a blob that nobody knows of is left alone
)
_SWEPT_AT_ONCE = 5000
_PATIENCE = timedelta(days=1)  # for how long a vendor is asked to delete its copy


@dataclass(frozen=True, slots=True)
class OpenFile:
    """
    A file that a question is about.

    Attributes:
        text: what was read in it; None of a picture or a film.
    """

    record: FileRecord
    kind: Kind
    text: str | None


class Files:
    """
    The files of a gateway. Serves any number of concurrent calls.

    Nobody but its owner learns whether a file exists. One that was uploaded without a key is nobody's, known only to who
    was told its id, until the first key uses it.

    Args:
        store: what is known of the files.
        blobs: their bytes.
        copies: their copies at vendors.
    """

    def __init__(
        self,
        settings: FileSettings,
        store: FileStore,
        blobs: Blobs,
        *,
        reading: Reading,
        copies: Copies,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._store = store
        self._blobs = blobs
        self._reading = reading
        self._copies = copies
        self._clock = clock
        self._own = FileQuota(settings.per_key_files, settings.per_key_bytes)
        self._nobodys = FileQuota(settings.anonymous_files, settings.anonymous_bytes)

    @property
    def most_at_once(self) -> int:
        """How many files one upload, and one question, may have."""
        return self._settings.max_files

    async def check_welcome(self, caller: Caller) -> None:
        """
        Refuse an upload before any of it is read, where it cannot be taken.

        Raises:
            FileRefused: files are not taken, or not without a key.
            LimitExceeded: the caller has as many as it may have.
        """
        if not self._settings.enabled:
            raise FileRefused("this gateway takes no files", reason="disabled")
        if caller.key == NOBODY and not self._settings.anonymous:
            raise FileRefused("this gateway takes no files without a key", reason="disabled")
        files, size = await self._store.used(caller.key, self._clock.now())
        self._quota(caller).check(files + 1, size)

    async def add(
        self, name: str, content: AsyncIterator[bytes] | bytes, *, caller: Caller
    ) -> FileRecord:
        """
        Take a file. It is written as it comes, then looked at and read.

        Args:
            name: as its caller calls it; any path in it is left out.
            content: its bytes.
            caller: whose it is; `ANYBODY` where nobody knows.

        Raises:
            FileRefused: it is too large, of no kind that is taken, or cannot be read.
            LimitExceeded: the caller has as many as it may have.
            StoreUnavailable: there is no room, or the database does not answer.
        """
        await self.check_welcome(caller)
        name = clean_name(name)
        file_id = f"file-{secrets.token_urlsafe(24)}"
        pieces = _once(content) if isinstance(content, bytes) else content
        try:
            return await self._take(file_id, name, pieces, caller)
        except FileRefused as error:
            error.filename = name
            await self._discard(file_id)
            raise
        except BaseException:
            await self._discard(file_id)
            raise

    async def all(self, caller: Caller) -> tuple[FileRecord, ...]:
        """The caller's files, newest first."""
        if caller.key == NOBODY:
            return ()
        return await self._store.of(caller.key, self._clock.now())

    async def open(self, ids: Sequence[str], caller: Caller) -> tuple[OpenFile, ...]:
        """
        The files that a question names, with their text, each once.

        Raises:
            UnknownFile: one is not there, or not the caller's.
            FileRefused: there are too many.
        """
        ids = tuple(dict.fromkeys(ids))
        if len(ids) > self._settings.max_files:
            raise FileRefused(
                f"more than {self._settings.max_files} files in one question", reason="too_many"
            )
        found = []
        for file_id in ids:
            record = await self._find(file_id, caller)
            text = None
            if record.chars is not None:
                text = (await self._blobs.read(_text_key(file_id))).decode()
            found.append(OpenFile(record, KINDS[record.kind], text))
        return tuple(found)

    async def read(self, record: FileRecord) -> bytes:
        """A file's content."""
        return await self._blobs.read(record.id)

    async def delete(self, file_id: str, caller: Caller) -> None:
        """
        Delete a file, and its copies at vendors.

        Raises:
            UnknownFile: it is not there, or not the caller's.
        """
        record = await self._find(file_id, caller)
        # Gone for everybody at once; what a vendor is slow to delete, the sweep deletes later.
        await self._store.expire(record.id, self._clock.now())
        await self._purge(record)

    async def sweep(self) -> int:
        """Delete what has expired, copies at vendors included, and bytes that nobody knows of; how many files."""
        count = 0
        for record in await self._store.expired(self._clock.now(), _SWEPT_AT_ONCE):
            count += await self._purge(record)
        await self._blobs.forget_older(self._settings.ttl_s + _MARGIN_S)
        return count

    async def keep_swept(self) -> None:
        """Sweep again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._settings.sweep_s)
            try:
                if count := await self.sweep():
                    log.info("files.swept", files=count)
            except (FengChaoError, OSError) as error:
                log.warning("files.sweep_failed", error=type(error).__name__)

    async def _take(
        self, file_id: str, name: str, content: AsyncIterator[bytes], caller: Caller
    ) -> FileRecord:
        most = self._settings.max_file_bytes
        written = await self._blobs.write(file_id, content, most_bytes=most)
        async with self._blobs.local(file_id) as path:
            kind = await asyncio.to_thread(inspect, path, name)
            text = await self._reading.text_of(path, kind)
        if text is not None:
            raw = text.text.encode("utf-8", "replace")
            await self._blobs.write(_text_key(file_id), _once(raw), most_bytes=len(raw))
        now = self._clock.now()
        record = FileRecord(
            id=file_id,
            owner=caller.key,
            name=name,
            kind=kind.name,
            size_bytes=written.size_bytes,
            sha256=written.sha256,
            created_at=now,
            expires_at=self._expiry(caller, now),
            chars=None if text is None else len(text.text),
            is_cut=text is not None and text.is_cut,
        )
        await self._store.add(record, self._quota(caller))
        return record

    async def _find(self, file_id: str, caller: Caller) -> FileRecord:
        now = self._clock.now()
        record = await self._store.get(file_id) if _ID.fullmatch(file_id) else None
        if record is not None and record.owner == NOBODY and caller.key != NOBODY:
            await self._store.claim(
                file_id,
                caller.key,
                now=now,
                expires_at=self._expiry(caller, now),
                quota=self._quota(caller),
            )
            record = await self._store.get(file_id)
        if record is None or record.owner != caller.key or record.expires_at <= now:
            raise UnknownFile("no such file, or it has expired; upload it again", param="files")
        return record

    async def _purge(self, record: FileRecord) -> bool:
        """Delete all there is of a file; False where a vendor keeps its copy and is to be asked again."""
        await self._discard(record.id)
        is_long_gone = self._clock.now() - record.expires_at > _PATIENCE
        if not await self._copies.delete(record.id):
            if not is_long_gone:
                return False
            log.warning("files.copy_given_up", file=record.id[:12])
        await self._store.delete(record.id)
        return True

    async def _discard(self, file_id: str) -> None:
        await self._blobs.delete(file_id)
        await self._blobs.delete(_text_key(file_id))

    def _quota(self, caller: Caller) -> FileQuota:
        return self._nobodys if caller.key == NOBODY else self._own

    def _expiry(self, caller: Caller, now: datetime) -> datetime:
        settings = self._settings
        lasts = settings.anonymous_ttl_s if caller.key == NOBODY else settings.ttl_s
        return now + timedelta(seconds=lasts)


def clean_name(name: str) -> str:
    """A file's name as it may be shown and sent on: without path, control characters and excess."""
    name = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    name = "".join(character for character in name if character.isprintable()).strip()
    if len(name) > _LONGEST_NAME:
        stem, dot, ending = name.rpartition(".")
        keeps = dot and len(ending) < 16
        name = f"{stem[: _LONGEST_NAME - 17]}.{ending}" if keeps else name[:_LONGEST_NAME]
    return name if name.strip(".") else "file"


def is_file_id(text: str) -> bool:
    """Whether a text has the shape of a file's id."""
    return _ID.fullmatch(text) is not None


def _text_key(file_id: str) -> str:
    return f"{file_id}.text"


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
