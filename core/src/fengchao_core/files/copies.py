"""
Copies of files at vendors that answer from files: uploaded when first asked about, deleted with the file.

A copy belongs to one file, and so to one owner: two callers who upload the same bytes share nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from fengchao_core.errors import ProviderError, RequestRejected
from fengchao_core.files.blobs import Blobs
from fengchao_core.logs import Log
from fengchao_core.provider import AnswersFromFiles, KeepsFiles
from fengchao_core.store import FileCopy, FileRecord, FileStore

log = Log()

_DELETE_S = 10.0


class Copies:
    """
    The copies of a gateway's files.

    Args:
        providers: those that are open, by their names in the settings.
    """

    def __init__(self, store: FileStore, blobs: Blobs, providers: Mapping[str, object]) -> None:
        self._store = store
        self._blobs = blobs
        self._providers = providers
        self._locks: dict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._waiting: dict[tuple[str, str], int] = defaultdict(int)

    async def ids(
        self, records: Sequence[FileRecord], name: str, provider: AnswersFromFiles
    ) -> tuple[dict[str, str], bool]:
        """
        The vendor's ids of some files, by ours, and whether it had any before; what it does not have is uploaded.

        Args:
            name: the provider's name in the settings.

        Raises:
            ProviderError: the vendor does not take one.
        """
        found = {}
        any_known = False
        for record in records:
            async with self._turn(record.id, name):
                known = {copy.provider: copy for copy in await self._store.copies(record.id)}
                any_known = any_known or name in known
                copy = known.get(name) or await self._upload(record, name, provider)
                found[record.id] = copy.vendor_id
        return found, any_known

    async def forget(
        self, records: Sequence[FileRecord], name: str, provider: AnswersFromFiles
    ) -> None:
        """Do without the copies at a vendor, which may not know them any more."""
        for record in records:
            for copy in await self._store.copies(record.id):
                if copy.provider == name and await _deleted(provider, copy):
                    await self._store.drop_copy(copy)

    async def delete(self, file_id: str) -> bool:
        """Delete a file's copies; False where a vendor does not answer, and it should be tried again."""
        is_done = True
        for copy in await self._store.copies(file_id):
            provider = self._providers.get(copy.provider)
            # A provider that is not in the settings any more cannot be told.
            if not isinstance(provider, KeepsFiles) or await _deleted(provider, copy):
                await self._store.drop_copy(copy)
            else:
                is_done = False
        return is_done

    async def _upload(self, record: FileRecord, name: str, provider: AnswersFromFiles) -> FileCopy:
        content = await self._blobs.read(record.id)
        vendor_id = await provider.upload(record.name, content, purpose=provider.chat_purpose)
        ours = FileCopy(record.id, name, vendor_id)
        kept = await self._store.add_copy(ours)
        if kept != ours:  # another process was quicker
            await _deleted(provider, ours)
        return kept

    @asynccontextmanager
    async def _turn(self, file_id: str, name: str) -> AsyncIterator[None]:
        """One upload of a file to a vendor at a time; the others find it done."""
        key = (file_id, name)
        self._waiting[key] += 1
        try:
            async with self._locks[key]:
                yield
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key], self._locks[key]


async def _deleted(provider: KeepsFiles, copy: FileCopy) -> bool:
    try:
        async with asyncio.timeout(_DELETE_S):
            with contextlib.suppress(RequestRejected):  # it has gone already
                await provider.delete(copy.vendor_id)
    except (ProviderError, TimeoutError) as error:
        log.warning("files.copy_left", provider=copy.provider, error=type(error).__name__)
        return False
    return True
