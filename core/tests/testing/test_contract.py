"""The provider contract: a plain provider passes it, and one that breaks a rule is caught."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr
from typing_extensions import override

from fengchao_core.errors import (
    ProviderError,
    ProviderOverloaded,
    ProviderProtocolError,
    ProviderUnavailable,
    RateLimited,
)
from fengchao_core.kit.auth import StaticAuth
from fengchao_core.kit.errors import classify_by
from fengchao_core.kit.http import VendorHttp
from fengchao_core.kit.openai_chat import converse
from fengchao_core.kit.openai_chat.dialect import CHAT_COMPLETIONS
from fengchao_core.provider import Provider, ProviderContext, ProviderSettings, ProviderSpec
from fengchao_core.testing import ErrorCase, ProviderContract, chat_body, chat_frames
from fengchao_core.types import ChatRequest, Delta

KEY = "a-secret-key-0123456789"


class AcmeSettings(ProviderSettings):
    """Settings of the plain provider."""

    api_key: SecretStr


class Acme(Provider):
    """The plainest provider."""

    def __init__(self, settings: AcmeSettings, context: ProviderContext) -> None:
        key = settings.api_key.get_secret_value()
        auth = StaticAuth({"Authorization": f"Bearer {key}"})
        self._http = VendorHttp(
            context, settings, auth, classify_by({"busy": ProviderOverloaded, "fast": RateLimited})
        )

    @override
    def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        return converse(self._http, "/chat", request, CHAT_COMPLETIONS)


def spec_of(provider: Callable[[AcmeSettings, ProviderContext], Provider]) -> ProviderSpec:
    """A plugin's description of a provider."""

    @asynccontextmanager
    async def open_it(settings: AcmeSettings, context: ProviderContext) -> AsyncIterator[Provider]:
        yield provider(settings, context)

    return ProviderSpec("acme", "Acme", AcmeSettings, tuple, open_it)


class TestAcme(ProviderContract):
    """The plain provider keeps to the contract."""

    spec = spec_of(Acme)
    secrets = (KEY,)
    errors = (
        ErrorCase(503, b'{"error": {"code": "busy", "message": "x"}}', ProviderOverloaded, "busy"),
        ErrorCase(
            429,
            b'{"error": {"code": "fast"}}',
            RateLimited,
            "fast",
            {"Retry-After": "7"},
            retry_after=7.0,
        ),
        ErrorCase(500, b"<html>oops", ProviderUnavailable),
    )
    error_frame = (b'data: {"error": {"code": "busy"}}\n\n', ProviderOverloaded)

    @override
    def settings(self, base_url: str) -> Mapping[str, object]:
        return {"base_url": base_url, "api_key": KEY}

    @override
    def frames(self, text: str) -> Sequence[bytes]:
        return chat_frames(text, self.usage)

    @override
    def whole(self, text: str) -> bytes:
        return chat_body(text, self.usage)


# Providers that break a rule, and the test of the contract that catches each.


class Doubles(Acme):
    """Says each piece of text twice."""

    @override
    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        async for batch in super().stream(request):
            yield [delta for delta in batch for _ in range(1 + bool(delta.text and request.stream))]


class EndsTwice(Acme):
    """Gives its finish reason twice."""

    @override
    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        async for batch in super().stream(request):
            yield [*batch, *(replace(d, text="") for d in batch if d.finish_reason)]


class LosesUsage(Acme):
    """Forgets the usage of streams."""

    @override
    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        async for batch in super().stream(request):
            yield [replace(delta, usage=None) for delta in batch] if request.stream else batch


class SwallowsErrors(Acme):
    """Takes a failure for the end of the answer."""

    @override
    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        try:
            async for batch in super().stream(request):
                yield batch
        except ProviderError:
            yield [Delta(finish_reason="stop")]


class BlursErrors(Acme):
    """Makes every error a plain one."""

    @override
    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        try:
            async for batch in super().stream(request):
                yield batch
        except ProviderError as error:
            raise ProviderError(str(error)) from None


class Reads(Acme):
    """Reads on in a task of its own, so that closing the generator closes nothing."""

    tasks: set[asyncio.Task[None]] = set()  # keeps the tasks alive

    @override
    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        queue: asyncio.Queue[Any] = asyncio.Queue()
        source = super().stream(request)

        async def pump() -> None:
            try:
                async for batch in source:
                    queue.put_nowait(batch)
                queue.put_nowait(None)
            except ProviderError as error:
                queue.put_nowait(error)

        task = asyncio.ensure_future(pump())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        while (batch := await queue.get()) is not None:
            if isinstance(batch, ProviderError):
                raise batch
            yield batch


class Shares(Acme):
    """Keeps one stream's text for all."""

    def __init__(self, settings: AcmeSettings, context: ProviderContext) -> None:
        super().__init__(settings, context)
        self._said: list[Delta] = []

    @override
    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        async for batch in super().stream(request):
            self._said += batch
            yield [self._said.pop(0) for _ in range(len(self._said))]
            await asyncio.sleep(0)
            self._said += [Delta("x")]


class DropsExtra(Acme):
    """Does not pass vendor-only parameters on."""

    @override
    def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        return super().stream(replace(request, params=replace(request.params, extra={})))


class Blabs(Acme):
    """Shows its key in its repr."""

    def __init__(self, settings: AcmeSettings, context: ProviderContext) -> None:
        super().__init__(settings, context)
        self._key = settings.api_key.get_secret_value()

    @override
    def __repr__(self) -> str:
        return f"<Blabs {self._key}>"


class BlabsInErrors(Acme):
    """Shows the vendor's words, which hold the key, in its errors."""

    @override
    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        try:
            async for batch in super().stream(request):
                yield batch
        except ProviderProtocolError:
            raise
        except ProviderError as error:
            raise type(error)("refused", vendor_message=f"who are you, {KEY}?") from None


class HangsUp(Acme):
    """Closes its connections after each call."""

    @override
    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        async for batch in super().stream(request):
            yield batch
        await self._http.session.connector.close()  # type: ignore[union-attr]  # an open session has one
        self._http._sessions._open.clear()


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (Doubles, "test_stream_gives_the_text_in_order_and_one_end"),
        (EndsTwice, "test_stream_gives_the_text_in_order_and_one_end"),
        (LosesUsage, "test_stream_and_whole_answer_are_the_same"),
        (SwallowsErrors, "test_each_error_becomes_its_class"),
        (BlursErrors, "test_each_error_becomes_its_class"),
        (BlursErrors, "test_an_error_in_the_middle_of_a_stream_is_raised"),
        (BlursErrors, "test_a_cut_connection_is_unavailable"),
        (BlursErrors, "test_no_connection_is_unavailable"),
        (SwallowsErrors, "test_a_stream_that_stops_short_is_an_error"),
        (BlursErrors, "test_nonsense_is_a_protocol_error"),
        (Reads, "test_closing_the_stream_closes_the_connection"),
        (Reads, "test_cancelling_closes_the_connection"),
        (Shares, "test_twenty_streams_do_not_mix"),
        (HangsUp, "test_a_whole_answer_gives_its_connection_back"),
        (DropsExtra, "test_vendor_only_parameters_are_passed_on"),
    ],
)
async def test_a_broken_rule_is_caught(broken: type[Acme], test: str) -> None:
    """A provider that breaks one rule fails the test of the contract which is about it."""
    contract = TestAcme()
    contract.spec = spec_of(broken)  # type: ignore[misc]  # an attribute of this one object
    with pytest.raises((AssertionError, pytest.fail.Exception, TimeoutError)):
        await getattr(contract, test)()


@pytest.mark.parametrize("broken", [Blabs, BlabsInErrors])
async def test_a_shown_secret_is_caught(
    broken: type[Acme], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A provider that shows its key in a repr or an error fails the contract."""
    contract = TestAcme()
    contract.spec = spec_of(broken)  # type: ignore[misc]  # an attribute of this one object
    with pytest.raises(AssertionError, match="a secret is shown"):
        await contract.test_no_secret_is_shown(capsys, caplog)
