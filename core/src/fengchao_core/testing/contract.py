"""
What every provider must keep to, as tests that a plugin inherits.

Subclass `ProviderContract` in the plugin's tests, tell it how to open the provider and what its vendor says, and pytest
runs the contract against a `ScriptedVendor`. The time limits of a call are the gateway's and are not tested here.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fengchao_core.errors import ProviderError, ProviderProtocolError, ProviderUnavailable
from fengchao_core.fold import Fold
from fengchao_core.testing.opening import answer_of, deltas_of, open_provider
from fengchao_core.testing.strategies import chunkings
from fengchao_core.testing.terms import LONGEST_S, TEXT, ContractTerms
from fengchao_core.testing.vendor import (
    Answer,
    Do,
    Received,
    ScriptedVendor,
    Step,
    json_answer,
)
from fengchao_core.types import Delta


class ProviderContract(ContractTerms):
    """
    The contract. A subclass names `spec`, `errors` and `secrets`, and writes `settings`, `frames` and `whole`.

    The other attributes are told at `ContractTerms`.

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

    @pytest.mark.asyncio
    async def test_stream_gives_the_text_in_order_and_one_end(self) -> None:
        """The deltas of a stream join to the text, exactly one ends it, and only usage may follow."""
        deltas = await self.stream_of(self.frames(TEXT))
        ends = [at for at, delta in enumerate(deltas) if delta.finish_reason is not None]
        assert "".join(delta.text for delta in deltas) == TEXT
        assert len(ends) == 1, "exactly one delta ends a choice"
        assert deltas[ends[0]].finish_reason == "stop"
        assert not any(_says(delta) for delta in deltas[ends[0] + 1 :])

    @pytest.mark.asyncio
    async def test_stream_and_whole_answer_are_the_same(self) -> None:
        """Folding the stream gives what the whole answer gives: choices and usage, as the vendor counted it."""
        async with self.vendor() as vendor, self.provider(vendor) as provider:
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
                error = await self.error_of(
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
        assert kind is type(await self.error_of(answer, stream=True))

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
            error = await self.error_of(answer, stream=stream)
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
            error = await self.error_of(self.stream_answer(*steps), stream=True)
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
            error = await self.error_of(answer, stream=stream)
            assert isinstance(error, ProviderProtocolError), f"{answer!r} became {error!r}"

    @pytest.mark.asyncio
    async def test_closing_the_stream_closes_the_connection(self) -> None:
        """Closing the generator early closes the vendor's connection within a second; the next call works."""
        async with self.vendor() as vendor, self.provider(vendor) as provider:
            vendor.answers(
                self.stream_answer(*self.frames(TEXT)[:2], Do.HANG),
                self.stream_answer(*self.frames(TEXT)),
            )
            async with aclosing(provider.stream(self.request(stream=True))) as batches:
                await anext(batches)
            await self.closed(vendor, 1)
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
        async with self.vendor() as vendor, self.provider(vendor) as provider:
            for stream, answer in scripts:
                vendor.answers(answer)
                before = len(vendor.requests_to())
                call = asyncio.ensure_future(deltas_of(provider, self.request(stream=stream)))
                await self.chat_request(vendor, before + 1)
                await asyncio.sleep(0)
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
                await self.closed(vendor, before + 1)
            vendor.answers(self.whole_answer(self.whole(TEXT)))
            assert _text(await deltas_of(provider, self.request(stream=False))) == TEXT

    @pytest.mark.asyncio
    async def test_a_stream_split_at_every_byte_is_the_same(self) -> None:
        """A stream whose every byte comes by itself gives the same deltas as one that comes event by event."""
        if not self.splits_bytes:
            pytest.skip("this vendor's answers do not come as a stream of bytes")
        whole = b"".join(self.frames(TEXT))
        expected = await self.stream_of(self.frames(TEXT))
        assert expected == await self.stream_of([bytes([byte]) for byte in whole])
        assert expected == await self.stream_of([whole])

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
        expected = await self.stream_of(self.frames(TEXT))
        assert expected == await self.stream_of([chunk for chunk in chunks if chunk])

    @pytest.mark.asyncio
    async def test_twenty_streams_do_not_mix(self) -> None:
        """Twenty streams that are open at the same time each give their own text."""
        count = 20
        all_here = asyncio.Event()

        def own_text(received: Received) -> Sequence[Step]:
            if len(vendor.requests_to()) >= count:
                all_here.set()
            frames = self.frames(self.marked(received) * 3)
            return (frames[0], frames[1], all_here, *frames[2:])

        async with self.vendor() as vendor, self.provider(vendor) as provider:
            vendor.answers(self.stream_answer(own_text))
            async with asyncio.timeout(LONGEST_S), asyncio.TaskGroup() as group:
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
        async with self.vendor() as vendor, self.provider(vendor) as provider:
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
        async with self.vendor() as vendor, self.provider(vendor) as provider:
            vendor.answers(self.whole_answer(self.whole(TEXT)))
            await deltas_of(provider, self.request(stream=False, extra=extra))
            sent = self.sent_parameters(await self.chat_request(vendor, 1))
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

        async with self.vendor() as vendor, self.provider(vendor) as provider:
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
