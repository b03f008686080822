"""
What every provider must keep to, as tests that a plugin inherits.

Subclass `ProviderContract` in the plugin's tests, tell it how to open the provider and what its vendor says, and pytest
runs the contract against a `ScriptedVendor`. The time limits of a call are the gateway's and are not tested here.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fengchao_core.errors import ProviderError, ProviderProtocolError, ProviderUnavailable
from fengchao_core.fold import Fold
from fengchao_core.provider import Provider, ProviderSpec
from fengchao_core.testing.opening import answer_of, deltas_of, open_provider
from fengchao_core.testing.strategies import chunkings
from fengchao_core.testing.vendor import (
    Answer,
    Do,
    Received,
    ScriptedVendor,
    Step,
    json_answer,
    sse_answer,
)
from fengchao_core.types import ChatParams, ChatRequest, Delta, Message, Usage

TEXT = '你好，世界！👩‍👩‍👧‍👦 é \u2028 {{query}} data: [DONE] 𠮷 "end"'
"""What the vendor says in most tests: nothing in it may get lost or be taken for something else."""

_LONGEST_S = 20
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


class ProviderContract:
    """
    The contract. A subclass names `spec`, `errors` and `secrets` and writes `settings`, `frames` and `whole`.

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

    Example:
        ```python
        class TestAcme(ProviderContract):
            spec = fengchao_acme.SPEC
            errors = (ErrorCase(429, b'{"error": {"code": "busy"}}', RateLimited, "busy"),)
            secrets = ("a-secret-key",)

            def settings(self, base_url: str) -> Mapping[str, object]:
                return {"base_url": base_url, "api_key": "a-secret-key"}

            def frames(self, text: str) -> Sequence[bytes]:
                return chat_frames(text, self.usage)

            def whole(self, text: str) -> bytes:
                return chat_body(text, self.usage)
        ```
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

    # The contract.

    @pytest.mark.asyncio
    async def test_stream_gives_the_text_in_order_and_one_end(self) -> None:
        """The deltas of a stream join to the text, exactly one ends it, and only usage may follow."""
        deltas = await self._stream_of(self.frames(TEXT))
        ends = [at for at, delta in enumerate(deltas) if delta.finish_reason is not None]
        assert "".join(delta.text for delta in deltas) == TEXT
        assert len(ends) == 1, "exactly one delta ends a choice"
        assert deltas[ends[0]].finish_reason == "stop"
        assert not any(_says(delta) for delta in deltas[ends[0] + 1 :])

    @pytest.mark.asyncio
    async def test_stream_and_whole_answer_are_the_same(self) -> None:
        """Folding the stream gives what the whole answer gives: choices and usage, as the vendor counted it."""
        async with self._vendor() as vendor, self._provider(vendor) as provider:
            vendor.answers(
                self.stream_answer(*self.frames(TEXT)), self.whole_answer(self.whole(TEXT))
            )
            streamed = await answer_of(provider, self.request(stream=True))
            whole = await answer_of(provider, self.request(stream=False))
        assert whole == streamed
        assert whole[0][0].message.text == TEXT
        assert self.usage == whole[1]

    @pytest.mark.asyncio
    async def test_each_error_becomes_its_class(self) -> None:
        """Each documented error becomes exactly its class, with the vendor's code, whole and streamed."""
        for case in self.errors:
            for stream in (True, False):
                error = await self._error_of(
                    json_answer(case.body, status=case.status, headers=case.headers), stream=stream
                )
                told = f"{case.status} {case.body!r}"
                assert case.kind is type(error), told
                assert case.status == error.status, told
                if case.vendor_code is not None:
                    assert case.vendor_code == error.vendor_code, told
                if case.retry_after is not None:
                    assert case.retry_after == error.retry_after, told

    @pytest.mark.asyncio
    async def test_an_error_in_the_middle_of_a_stream_is_raised(self) -> None:
        """An error event after the first delta becomes its class."""
        if self.error_frame is None:
            pytest.skip("this vendor sends no errors within a stream")
        frame, kind = self.error_frame
        answer = self.stream_answer(*self.frames(TEXT)[:2], frame)
        assert kind is type(await self._error_of(answer, stream=True))

    @pytest.mark.asyncio
    async def test_a_cut_connection_is_unavailable(self) -> None:
        """A connection that breaks, before or after the head or within the stream, is `ProviderUnavailable`."""
        frames = self.frames(TEXT)
        body = self.whole(TEXT)
        head = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        for stream, answer in (
            (True, Answer((Do.CUT,))),
            (True, self.stream_answer(Do.CUT)),
            (True, self.stream_answer(*frames[:2], Do.CUT)),
            (False, Answer((Do.CUT,))),
            (False, Answer((body[: len(body) // 2], Do.CUT), headers=head)),
        ):
            error = await self._error_of(answer, stream=stream)
            assert isinstance(error, ProviderUnavailable), repr(error)

    @pytest.mark.asyncio
    async def test_no_connection_is_unavailable(self) -> None:
        """A vendor that cannot be reached is `ProviderUnavailable`."""
        async with ScriptedVendor() as vendor:
            base_url = vendor.base_url
        async with open_provider(self.spec, self.settings(base_url)) as provider:
            for stream in (True, False):
                with pytest.raises(ProviderError) as caught:
                    await deltas_of(provider, self.request(stream=stream))
                assert isinstance(caught.value, ProviderUnavailable), repr(caught.value)

    @pytest.mark.asyncio
    async def test_a_stream_that_stops_short_is_an_error(self) -> None:
        """A stream that ends well on the wire, but within a line or before its last delta, is never a whole answer."""
        frames = self.frames(TEXT)
        for steps in (
            (),
            frames[:2],
            (*frames[:2], frames[2][: len(frames[2]) // 2]),
            (frames[0], frames[1].rstrip()[:-1]),
        ):
            error = await self._error_of(self.stream_answer(*steps), stream=True)
            assert isinstance(error, ProviderProtocolError | ProviderUnavailable), repr(error)

    @pytest.mark.asyncio
    async def test_nonsense_is_a_protocol_error(self) -> None:
        """Answers under HTTP 200 that do not follow the vendor's own protocol are `ProviderProtocolError`."""
        frames, body = self.frames(TEXT), self.whole(TEXT)
        page = json_answer(b"<html>sorry</html>", headers={"Content-Type": "text/html"})
        broken = frames[1].replace("世".encode(), b"\xff").replace("好".encode(), b"\xff")
        cases: list[tuple[bool, Answer]] = [
            (True, self.stream_answer(*frames[:2], self.malformed_frame, *frames[2:])),
            (True, self.stream_answer(self.malformed_frame)),
            (True, page),
            (False, page),
        ]
        if b"\xff" in broken:
            cases.append((True, self.stream_answer(frames[0], broken, *frames[2:])))
        nonsense = (b"", b"null", b"[]", b"{}", b'"text"', body[: len(body) // 2], b"\xff\xfe")
        cases += [(False, self.whole_answer(each)) for each in nonsense]
        for stream, answer in cases:
            error = await self._error_of(answer, stream=stream)
            assert isinstance(error, ProviderProtocolError), f"{answer!r} became {error!r}"

    @pytest.mark.asyncio
    async def test_closing_the_stream_closes_the_connection(self) -> None:
        """Closing the generator early closes the vendor's connection within a second; the next call works."""
        async with self._vendor() as vendor, self._provider(vendor) as provider:
            vendor.answers(
                self.stream_answer(*self.frames(TEXT)[:2], Do.HANG),
                self.stream_answer(*self.frames(TEXT)),
            )
            async with aclosing(provider.stream(self.request(stream=True))) as batches:
                await anext(batches)
            await self._closed(vendor, 1)
            assert _text(await deltas_of(provider, self.request(stream=True))) == TEXT

    @pytest.mark.asyncio
    async def test_cancelling_closes_the_connection(self) -> None:
        """Cancelling the task that waits, at whatever point, closes the vendor's connection within a second."""
        scripts: tuple[tuple[bool, Answer], ...] = (
            (True, Answer((Do.HANG,))),
            (True, self.stream_answer(Do.HANG)),
            (True, self.stream_answer(*self.frames(TEXT)[:2], Do.HANG)),
            (False, Answer((Do.HANG,))),
        )
        async with self._vendor() as vendor, self._provider(vendor) as provider:
            for stream, answer in scripts:
                vendor.answers(answer)
                before = len(vendor.requests_to())
                call = asyncio.ensure_future(deltas_of(provider, self.request(stream=stream)))
                await self._chat_request(vendor, before + 1)
                await asyncio.sleep(0)
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
                await self._closed(vendor, before + 1)
            vendor.answers(self.whole_answer(self.whole(TEXT)))
            assert _text(await deltas_of(provider, self.request(stream=False))) == TEXT

    @pytest.mark.asyncio
    async def test_a_stream_split_at_every_byte_is_the_same(self) -> None:
        """A stream whose every byte comes by itself gives the same deltas as one that comes event by event."""
        if not self.splits_bytes:
            pytest.skip("this vendor's answers do not come as a stream of bytes")
        whole = b"".join(self.frames(TEXT))
        expected = await self._stream_of(self.frames(TEXT))
        assert expected == await self._stream_of([bytes([byte]) for byte in whole])
        assert expected == await self._stream_of([whole])

    @pytest.mark.asyncio
    @hypothesis_settings(
        max_examples=15,
        deadline=None,
        suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
    )
    @given(data=st.data())
    async def test_any_split_of_a_stream_is_the_same(self, data: st.DataObject) -> None:
        """However the bytes of a stream are cut, the deltas are the same."""
        if not self.splits_bytes:
            pytest.skip("this vendor's answers do not come as a stream of bytes")
        chunks = data.draw(chunkings(b"".join(self.frames(TEXT))))
        expected = await self._stream_of(self.frames(TEXT))
        assert expected == await self._stream_of([chunk for chunk in chunks if chunk])

    @pytest.mark.asyncio
    async def test_twenty_streams_do_not_mix(self) -> None:
        """Twenty streams that are open at the same time each give their own text."""
        count = 20
        all_here = asyncio.Event()

        def own_text(received: Received) -> Sequence[Step]:
            if len(vendor.requests_to()) >= count:
                all_here.set()
            frames = self.frames(self._marked(received) * 3)
            return (frames[0], frames[1], all_here, *frames[2:])

        async with self._vendor() as vendor, self._provider(vendor) as provider:
            vendor.answers(self.stream_answer(own_text))
            async with asyncio.timeout(_LONGEST_S), asyncio.TaskGroup() as group:
                tasks = {
                    f"«{number}号»": group.create_task(
                        deltas_of(provider, self.request(f"«{number}号»", stream=True))
                    )
                    for number in range(count)
                }
        for mark, task in tasks.items():
            assert mark * 3 == _text(task.result())

    @pytest.mark.asyncio
    async def test_a_whole_answer_gives_its_connection_back(self) -> None:
        """After an answer was read to its end, the next call goes over the same connection."""
        if not self.reuses_connections:
            pytest.skip("this vendor takes one call for each connection")
        async with self._vendor() as vendor, self._provider(vendor) as provider:
            vendor.answers(
                self.stream_answer(*self.frames(TEXT)), self.whole_answer(self.whole(TEXT))
            )
            await deltas_of(provider, self.request(stream=True))
            await deltas_of(provider, self.request(stream=False))
            await deltas_of(provider, self.request(stream=False))
            assert len({received.peer for received in vendor.requests_to()}) == 1

    @pytest.mark.asyncio
    async def test_vendor_only_parameters_are_passed_on(self) -> None:
        """Parameters in `extra` reach the vendor untouched."""
        extra = {"contract_knob": {"数": [1, 2.5, None, True]}}
        async with self._vendor() as vendor, self._provider(vendor) as provider:
            vendor.answers(self.whole_answer(self.whole(TEXT)))
            await deltas_of(provider, self.request(stream=False, extra=extra))
            sent = self.sent_parameters(await self._chat_request(vendor, 1))
        assert extra["contract_knob"] == sent.get("contract_knob")

    @pytest.mark.asyncio
    async def test_no_secret_is_shown(
        self, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        """No secret shows in a repr, a log or an exception, even where the vendor says it back to us."""
        assert self.secrets, "name the secrets of the settings"
        caplog.set_level("DEBUG")
        told: list[str] = []
        echoed: list[str] = []

        def echo(received: Received) -> Answer:
            echoed.extend(
                value.removeprefix("Bearer ")
                for name, value in received.headers.items()
                if name.lower() == "authorization"
            )
            seen = " ".join([*self.secrets, *received.headers.values(), received.target])
            return json_answer(self.error_body(f"who are you? {seen}"), status=401)

        async with self._vendor() as vendor, self._provider(vendor) as provider:
            told += [repr(provider), str(provider)]
            for answer in (echo, Answer((Do.CUT,)), json_answer(b"<html>", status=502)):
                vendor.answers(answer)
                for stream in (True, False):
                    with pytest.raises(ProviderError) as caught:
                        await deltas_of(provider, self.request(stream=stream))
                    told.append("".join(traceback.format_exception(caught.value)))
                    told += [repr(each.__dict__) for each in _chain(caught.value)]
        checked = self.spec.settings.model_validate({**self.settings("http://127.0.0.1:1")})
        told += [repr(checked), str(checked), checked.model_dump_json(), repr(checked.model_dump())]
        output = capsys.readouterr()
        told += [output.out, output.err, caplog.text]
        everything = "\n".join(told)
        for secret in (*self.secrets, *echoed):
            assert secret not in everything, "a secret is shown"

    # Helpers.

    def _vendor(self) -> _PreparedVendor:
        return _PreparedVendor(self)

    def _provider(self, vendor: ScriptedVendor) -> Any:
        return open_provider(self.spec, self.settings(vendor.base_url))

    async def _stream_of(self, steps: Sequence[Step]) -> list[Delta]:
        async with self._vendor() as vendor, self._provider(vendor) as provider:
            vendor.answers(self.stream_answer(*steps))
            return await self._in_time(provider, stream=True)

    async def _error_of(self, answer: Answer, *, stream: bool) -> ProviderError:
        async with self._vendor() as vendor, self._provider(vendor) as provider:
            vendor.answers(answer)
            with pytest.raises(ProviderError) as caught:
                await self._in_time(provider, stream=stream)
        return caught.value

    async def _in_time(self, provider: Provider, *, stream: bool) -> list[Delta]:
        async with asyncio.timeout(_LONGEST_S):
            return await deltas_of(provider, self.request(stream=stream))

    async def _chat_request(self, vendor: ScriptedVendor, number: int) -> Received:
        async with asyncio.timeout(_LONGEST_S):
            return await vendor.request(number)

    async def _closed(self, vendor: ScriptedVendor, number: int) -> None:
        received = await self._chat_request(vendor, number)
        async with asyncio.timeout(_HANG_UP_S):
            await received.closed_by_client.wait()

    def _marked(self, received: Received) -> str:
        sent = received.body.decode() + "".join(str(message) for message in received.messages)
        return "«" + sent.partition("«")[2].partition("»")[0] + "»"


class _PreparedVendor(ScriptedVendor):
    """A vendor with what the plugin scripts besides the chat."""

    def __init__(self, contract: ProviderContract) -> None:
        super().__init__()
        contract.prepare(self)


def chat_frames(text: str, usage: Usage, *, piece: int = 2) -> list[bytes]:
    """The events of a stream in the chat-completions dialect: one role, pieces of text, an end, the usage, `[DONE]`."""
    head: dict[str, object] = {
        "id": "c-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "a-model",
    }

    def event(delta: Mapping[str, object], finish: str | None = None) -> dict[str, object]:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    events = [
        event({"role": "assistant", "content": ""}),
        *(event({"content": text[at : at + piece]}) for at in range(0, len(text), piece)),
        event({}, "stop"),
        {**head, "choices": [], "usage": _usage_body(usage)},
    ]
    return [*(b"data: " + orjson.dumps(each) + b"\n\n" for each in events), b"data: [DONE]\n\n"]


def chat_body(text: str, usage: Usage) -> bytes:
    """A whole answer in the chat-completions dialect."""
    message = {"role": "assistant", "content": text}
    return orjson.dumps(
        {
            "id": "c-1",
            "object": "chat.completion",
            "created": 1,
            "model": "a-model",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": _usage_body(usage),
        }
    )


def _usage_body(usage: Usage) -> dict[str, object]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def _text(deltas: Sequence[Delta]) -> str:
    fold = Fold()
    fold.feed(deltas)
    return fold.choices()[0].message.text


def _says(delta: Delta) -> bool:
    """Whether a delta carries anything but usage."""
    return replace(delta, usage=None) != Delta(index=delta.index)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
