"""Moonshot, opened: the transport and the codecs put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from urllib.parse import quote

import structlog
from typing_extensions import override

from fengchao_core.errors import ProviderError
from fengchao_core.kit import attachments
from fengchao_core.kit.auth import StaticAuth
from fengchao_core.kit.http import VendorHttp
from fengchao_core.kit.openai_chat import converse
from fengchao_core.provider import Provider, ProviderContext
from fengchao_core.types import ChatRequest, Delta, FilePart
from fengchao_moonshot import account, files, wire
from fengchao_moonshot.account import Balance
from fengchao_moonshot.files import ExtractedFile, StoredFile
from fengchao_moonshot.settings import MoonshotSettings

log = structlog.get_logger()

_FORGET_S = 5.0  # a caller that hung up waits no longer than this for the clean-up


@asynccontextmanager
async def open_moonshot(
    settings: MoonshotSettings, context: ProviderContext
) -> AsyncIterator[Provider]:
    """
    Open the provider; no connection is made before the first call.

    Raises:
        SettingsError: the base URL or the key is not usable.
    """
    key = settings.api_key.get_secret_value()
    authoriser = StaticAuth({"Authorization": f"Bearer {key}"})
    yield MoonshotProvider(settings, VendorHttp(context, settings, authoriser, wire.classify))


class MoonshotProvider(Provider):
    """
    Moonshot, ready to answer. Chats, counts tokens, lists its models, keeps files and reads them.

    Files in messages are read by the vendor first, and their text goes before the question: those with a `file_id` are
    fetched, those that come with their data are uploaded, read and deleted again.
    """

    takes_addresses = False
    chat_purpose = files.EXTRACT

    def __init__(self, settings: MoonshotSettings, http: VendorHttp) -> None:
        self._settings = settings
        self._http = http

    @override
    def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        if attached := attachments.attached(request.messages):
            return self._stream_with(attached, request)
        return converse(self._http, wire.CHAT, request, wire.dialect_for(request.model))

    async def count_tokens(self, request: ChatRequest) -> int:
        """Input tokens of the request, files included, as the vendor counts them. Raises `ProviderError`."""
        if attached := attachments.attached(request.messages):
            request = await self._with_texts(attached, request)
        answer = await self._http.post_json(wire.ESTIMATE, wire.encode_estimate(request))
        return account.decode_estimate(answer, self._http.classify)

    async def list_models(self) -> tuple[str, ...]:
        """The vendor's own model names. Raises `ProviderError`."""
        return account.decode_models(await self._http.get(account.MODELS), self._http.classify)

    async def balance(self) -> Balance:
        """What is left on the account. Raises `ProviderError`."""
        answer = await self._http.get(account.BALANCE)
        return account.decode_balance(answer, self._http.classify, self._settings.currency)

    async def upload(self, filename: str, content: bytes, *, purpose: str = files.EXTRACT) -> str:
        """
        Upload a file; returns the vendor's id of it.

        Args:
            filename: its ending tells the vendor how to read it.
            content: 100 MB at most.
            purpose: `file-extract` for text, which `read_file` gives back; `image` or `video` for what messages show
                as `ms://` and the id.

        Raises:
            ProviderError: it was not taken.
        """
        form = files.encode_file(filename, content, purpose)
        answer = await self._http.post_form(files.FILES, form)
        return files.decode_file(answer, self._http.classify).id

    async def read_file(self, file_id: str) -> ExtractedFile:
        """The text of a file that was uploaded for the purpose `file-extract`. Raises `ProviderError`."""
        return files.decode_content(await self._http.get(f"{_path(file_id)}/content"))

    async def show_file(self, file_id: str) -> StoredFile:
        """What the vendor knows of a file. Raises `ProviderError`."""
        return files.decode_file(await self._http.get(_path(file_id)), self._http.classify)

    async def list_files(self) -> tuple[StoredFile, ...]:
        """The account's files, 1,000 at most. Raises `ProviderError`."""
        return files.decode_files(await self._http.get(files.FILES), self._http.classify)

    async def delete(self, file_id: str) -> None:
        """Delete an uploaded file. Raises `ProviderError`."""
        await self._http.delete(_path(file_id))

    async def _stream_with(
        self, attached: Sequence[FilePart], request: ChatRequest
    ) -> AsyncGenerator[Sequence[Delta], None]:
        request = await self._with_texts(attached, request)
        dialect = wire.dialect_for(request.model)
        async with aclosing(converse(self._http, wire.CHAT, request, dialect)) as batches:
            async for batch in batches:
                yield batch

    async def _with_texts(self, attached: Sequence[FilePart], request: ChatRequest) -> ChatRequest:
        texts = {part: await self._text_of(part) for part in attached}
        return replace(request, messages=attachments.inject(request.messages, texts))

    async def _text_of(self, part: FilePart) -> str:
        if part.file_id:
            return (await self.read_file(part.file_id)).text
        data = attachments.decode_data(part.data or "")
        file_id = await self.upload(part.filename or "file.txt", data)
        try:
            return (await self.read_file(file_id)).text
        finally:
            await self._forget(file_id)

    async def _forget(self, file_id: str) -> None:
        try:
            async with asyncio.timeout(_FORGET_S):
                await self.delete(file_id)
        except (ProviderError, TimeoutError) as error:
            # It only takes up room there; the answer is worth more.
            log.warning(
                "moonshot.file_left_behind",
                provider=self._http.name,
                file_id=file_id,
                error=type(error).__name__,
            )


def _path(file_id: str) -> str:
    return f"{files.FILES}/{quote(file_id, safe='')}"
