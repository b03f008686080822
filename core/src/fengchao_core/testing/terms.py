"""What a plugin tells the provider contract about its vendor, and what the contract's tests are made with."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import orjson
import pytest

from fengchao_core.errors import ProviderError
from fengchao_core.provider import Provider, ProviderSpec
from fengchao_core.testing.opening import deltas_of, open_provider
from fengchao_core.testing.vendor import (
    Answer,
    Received,
    ScriptedVendor,
    Step,
    json_answer,
    sse_answer,
)
from fengchao_core.types import ChatParams, ChatRequest, Delta, Message, Usage

TEXT = '你好，世界！👩‍👩‍👧‍👦 é \u2028 {{query}} data: [DONE] 𠮷 "end"'
"""What the vendor says in most tests: nothing in it may get lost or be taken for something else."""

LONGEST_S = 20
_HANG_UP_S = 1


@dataclass(frozen=True, slots=True)
class ErrorCase:
    """
    An answer that is an error, and what must become of it.

    Attributes:
        kind: the class itself, not one of its parents.
        vendor_code: what the error's `vendor_code` must be; None: anything.
        retry_after: what the error's `retry_after` must be; None: anything.
    """

    status: int
    body: bytes
    kind: type[ProviderError]
    vendor_code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after: float | None = None


class ContractTerms:
    """
    What the contract must know of a provider; see `ProviderContract`.

    Attributes:
        spec: the plugin's description.
        usage: what `frames` and `whole` say was used.
        errors: one case for each row of the plugin's error table that its vendor documents.
        error_frame: an event in the middle of a stream that means an error, and its class; None: the vendor has none.
        malformed_frame: an event that nobody can read.
        secrets: the secret values in `settings`; they may show nowhere.
        model: the vendor's name of a model.
        splits_bytes: whether answers are a stream of bytes that can be cut anywhere (not so over WebSocket).
        reuses_connections: whether one connection serves several calls.
    """

    spec: ClassVar[ProviderSpec]
    usage: ClassVar[Usage] = Usage(prompt_tokens=9, completion_tokens=4)
    errors: ClassVar[Sequence[ErrorCase]] = ()
    error_frame: ClassVar[tuple[bytes, type[ProviderError]] | None] = None
    malformed_frame: ClassVar[bytes] = b'data: {"choices": [}\n\n'
    secrets: ClassVar[Sequence[str]] = ()
    model: ClassVar[str] = "a-model"
    splits_bytes: ClassVar[bool] = True
    reuses_connections: ClassVar[bool] = True

    # What a plugin tells.

    def settings(self, base_url: str) -> Mapping[str, object]:
        """The provider's settings that reach a vendor at `base_url`, secrets included."""
        raise NotImplementedError

    def frames(self, text: str) -> Sequence[bytes]:
        """
        The events of a stream that says `text`, each as its bytes on the wire, whatever ends the stream included.

        The text must be spread over two events or more, and the end must carry `usage`.
        """
        raise NotImplementedError

    def whole(self, text: str) -> bytes:
        """The body of a whole answer that says `text` and used `usage`."""
        raise NotImplementedError

    # What a plugin may tell otherwise.

    def request(self, text: str = "你好", *, stream: bool, **params: Any) -> ChatRequest:
        """A request that the vendor would take."""
        return ChatRequest(
            model=self.model,
            messages=(Message("user", text),),
            params=ChatParams(**params),
            stream=stream,
            request_id="00000000-0000-4000-8000-000000000000",
        )

    def stream_answer(self, *steps: Step) -> Answer:
        """An answer that streams."""
        return sse_answer(*steps)

    def whole_answer(self, body: bytes) -> Answer:
        """An answer in one piece."""
        return json_answer(body)

    def error_body(self, message: str) -> bytes:
        """The body of an error with any code and this message."""
        return orjson.dumps({"error": {"code": "contract", "message": message}})

    def sent_parameters(self, received: Received) -> Mapping[str, object]:
        """Where vendor-only parameters arrive: the top level of the body."""
        body: Mapping[str, object] = received.json()
        return body

    def prepare(self, vendor: ScriptedVendor) -> None:
        """Script what the provider asks besides the chat itself (a token endpoint, say)."""

    # For the tests.

    def vendor(self) -> _PreparedVendor:
        """A vendor, scripted with what the plugin needs besides the chat."""
        return _PreparedVendor(self)

    def provider(self, vendor: ScriptedVendor) -> AbstractAsyncContextManager[Provider]:
        """The provider, opened against a vendor."""
        return open_provider(self.spec, self.settings(vendor.base_url))

    async def stream_of(self, steps: Sequence[Step]) -> list[Delta]:
        """The deltas of a stream that is written in these steps."""
        async with self.vendor() as vendor, self.provider(vendor) as provider:
            vendor.answers(self.stream_answer(*steps))
            return await self.in_time(provider, stream=True)

    async def error_of(self, answer: Answer, *, stream: bool) -> ProviderError:
        """The error that an answer becomes."""
        async with self.vendor() as vendor, self.provider(vendor) as provider:
            vendor.answers(answer)
            with pytest.raises(ProviderError) as caught:
                await self.in_time(provider, stream=stream)
        return caught.value

    async def in_time(self, provider: Provider, *, stream: bool) -> list[Delta]:
        """The deltas of an answer that must come to an end."""
        async with asyncio.timeout(LONGEST_S):
            return await deltas_of(provider, self.request(stream=stream))

    async def chat_request(self, vendor: ScriptedVendor, number: int) -> Received:
        """A request to the chat itself, as soon as it has come."""
        async with asyncio.timeout(LONGEST_S):
            return await vendor.request(number)

    async def closed(self, vendor: ScriptedVendor, number: int) -> None:
        """Wait until the client of a request has hung up; a second is the longest wait."""
        received = await self.chat_request(vendor, number)
        async with asyncio.timeout(_HANG_UP_S):
            await received.closed_by_client.wait()

    def marked(self, received: Received) -> str:
        """The mark «…» in what a request said."""
        sent = received.body.decode() + "".join(str(message) for message in received.messages)
        return "«" + sent.partition("«")[2].partition("»")[0] + "»"


class _PreparedVendor(ScriptedVendor):
    """A vendor with what the plugin scripts besides the chat."""

    def __init__(self, contract: ContractTerms) -> None:
        super().__init__()
        contract.prepare(self)
