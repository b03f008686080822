"""Anthropic, opened: the transport and the codecs put together."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from urllib.parse import quote

from typing_extensions import override

from fengchao_anthropic import batches, catalogue, wire
from fengchao_anthropic.batches import Batch, BatchResult
from fengchao_anthropic.decode import Decoder
from fengchao_anthropic.settings import AnthropicSettings
from fengchao_anthropic.wire import NEWEST, OLDER, Version
from fengchao_core.errors import ProviderUnavailable
from fengchao_core.kit.auth import StaticAuth
from fengchao_core.kit.http import VendorHttp
from fengchao_core.kit.sse import SseParser
from fengchao_core.provider import Provider, ProviderContext
from fengchao_core.types import ChatRequest, Delta


class AnthropicProvider(Provider):
    """
    Anthropic. Chats, counts tokens, lists its models, keeps files, takes batches.

    Args:
        settings: which generation of the API to speak.
        https: the transports, one for each generation, since each has its own headers.
    """

    def __init__(self, settings: AnthropicSettings, https: Mapping[Version, VendorHttp]) -> None:
        self._version: Version | None = None if settings.version == "auto" else settings.version
        self._default_max_tokens = settings.default_max_tokens
        self._https = https

    @override
    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        body, notes, version, answers_by_tool = wire.encode(
            request, version=self._version, default_max_tokens=self._default_max_tokens
        )
        http = self._https[version]
        decoder = Decoder(classify=http.classify, notes=notes, answers_by_tool=answers_by_tool)
        async with http.post(wire.MESSAGES, body) as answer:
            if not request.stream:
                yield decoder.whole(await answer.read())
                return
            parser = SseParser()
            is_first = True
            try:
                async for read in answer:
                    if is_first and (start := read.lstrip()):
                        is_first = False
                        if start.startswith(b"{"):  # an answer in one piece, an error usually
                            yield decoder.whole(read + await answer.read())
                            return
                    deltas = decoder.decode(parser.feed(read))
                    if deltas:
                        yield deltas
                    if decoder.failure is not None:
                        raise decoder.failure
                    if decoder.is_done:
                        await answer.settle()
                        return
            except ProviderUnavailable as error:
                # A connection that is cut after the last word has done no harm; an error the vendor tells has.
                if error is decoder.failure or not decoder.is_complete:
                    raise
            deltas = decoder.close(parser.close())
            if deltas:
                yield deltas
            if decoder.failure is not None:
                raise decoder.failure

    async def count_tokens(self, request: ChatRequest) -> int:
        """Input tokens of the request, by the vendor's own count. Raises `ProviderError`."""
        body, version = wire.encode_count(request, version=self._version)
        http = self._https[version]
        return catalogue.decode_count(await http.post_json(wire.COUNT_TOKENS, body), http.classify)

    async def list_models(self) -> tuple[str, ...]:
        """The vendor's own model names, all pages of them. Raises `ProviderError`."""
        ids: list[str] = []
        query = {"limit": str(catalogue.PAGE)}
        while True:
            page = await self._http.get(catalogue.MODELS, params=query)
            some, after = catalogue.decode_models(page, self._http.classify)
            ids += some
            if after is None or query.get("after_id") == after:
                return tuple(ids)
            query["after_id"] = after

    async def upload(self, filename: str, content: bytes, *, purpose: str) -> str:  # noqa: ARG002  # this vendor has none
        """Upload a file; returns the vendor's id of it, for `FilePart`. Raises `ProviderError`."""
        form = catalogue.encode_file(filename, content)
        return catalogue.decode_file(
            await self._http.post_form(catalogue.FILES, form), self._http.classify
        )

    async def delete(self, file_id: str) -> None:
        """Delete an uploaded file. Raises `ProviderError`."""
        await self._http.delete(f"{catalogue.FILES}/{quote(file_id, safe='')}")

    async def create_batch(self, requests: Mapping[str, ChatRequest]) -> Batch:
        """
        Hand over many requests at once, to be answered within a day at half the price.

        Args:
            requests: by names of yours (letters, digits, `_` and `-`, 64 at most), which their results will bear.

        Raises:
            InvalidParameter: one of them cannot be asked, or they do not fit one generation of the API.
            ProviderError: the vendor refuses.
        """
        encoded = {
            name: wire.encode(
                request, version=self._version, default_max_tokens=self._default_max_tokens
            )
            for name, request in requests.items()
        }
        # One header speaks for all of them, and the older generation takes what the newest takes.
        version = OLDER if any(e.version == OLDER for e in encoded.values()) else NEWEST
        http = self._https[version]
        body = batches.encode_batch({name: each.body for name, each in encoded.items()})
        return batches.decode_batch(await http.post_json(batches.BATCHES, body), http.classify)

    async def batch(self, batch_id: str) -> Batch:
        """How far a batch is. Raises `ProviderError`."""
        path = f"{batches.BATCHES}/{quote(batch_id, safe='')}"
        return batches.decode_batch(await self._http.get(path), self._http.classify)

    async def cancel_batch(self, batch_id: str) -> Batch:
        """Give up what of a batch is not answered yet. Raises `ProviderError`."""
        path = f"{batches.BATCHES}/{quote(batch_id, safe='')}/cancel"
        async with self._http.exchange("POST", path) as answer:
            return batches.decode_batch(await answer.read(), self._http.classify)

    async def delete_batch(self, batch_id: str) -> None:
        """Forget a batch that has ended. Raises `ProviderError`."""
        await self._http.delete(f"{batches.BATCHES}/{quote(batch_id, safe='')}")

    async def batch_results(self, batch_id: str) -> tuple[BatchResult, ...]:
        """
        What became of the requests of a batch, in any order.

        Raises:
            ProviderError: the batch has not ended, or is not known.
        """
        path = f"{batches.BATCHES}/{quote(batch_id, safe='')}/results"
        return batches.decode_results(await self._http.get(path), self._http.classify)

    @property
    def _http(self) -> VendorHttp:
        """The transport for what is the same in both generations."""
        return self._https[self._version or NEWEST]


@asynccontextmanager
async def open_anthropic(
    settings: AnthropicSettings, context: ProviderContext
) -> AsyncIterator[Provider]:
    """
    Open the provider; no connection is made before the first call.

    Raises:
        SettingsError: the base URL is not usable.
    """
    key = settings.api_key.get_secret_value()

    def http(version: Version) -> VendorHttp:
        bearer = settings.auth == "bearer" or (settings.auth == "auto" and version == NEWEST)
        named = {"Authorization": f"Bearer {key}"} if bearer else {"x-api-key": key}
        headers = {"anthropic-version": str(version)}
        if settings.betas:
            headers["anthropic-beta"] = ",".join(settings.betas)
        return VendorHttp(context, settings, StaticAuth(named), wire.classify, headers=headers)

    yield AnthropicProvider(settings, {version: http(version) for version in (OLDER, NEWEST)})
