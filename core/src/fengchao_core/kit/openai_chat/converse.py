"""One chat over HTTP: the middle of every provider whose vendor answers a post with one body or with server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

from fengchao_core.errors import ProviderError, ProviderUnavailable
from fengchao_core.kit.openai_chat.decode import Decoder
from fengchao_core.kit.openai_chat.dialect import Dialect
from fengchao_core.kit.openai_chat.encode import Encoded, encode
from fengchao_core.kit.sse import SseParser
from fengchao_core.types import ChatRequest, Delta, Usage

if TYPE_CHECKING:
    from fengchao_core.kit.errors import Classify
    from fengchao_core.kit.http import VendorHttp


class AnswerDecoder(Protocol):
    """What `talk` asks of a decoder; `Decoder` tells what each of these is for."""

    is_done: bool
    failure: ProviderError | None

    @property
    def is_complete(self) -> bool:
        """Whether every choice that was begun has ended."""
        ...

    @property
    def usage(self) -> Usage | None:
        """What the vendor has said so far that it charges."""
        ...

    def decode(self, events: Iterable[bytes]) -> Sequence[Delta]:
        """The deltas of the events of one network read."""
        ...

    def close(self, events: Iterable[bytes]) -> Sequence[Delta]:
        """The last deltas, once the stream has ended."""
        ...

    def whole(self, body: bytes) -> Sequence[Delta]:
        """The deltas of an answer that came in one piece."""
        ...


class OpenDecoder(Protocol):
    """Makes the decoder of one answer: a class, or a `partial` of one."""

    def __call__(self, *, classify: Classify, notes: Sequence[str]) -> AnswerDecoder:
        """A decoder that makes errors by `classify`, and whose first delta carries the notes."""
        ...


def converse(
    http: VendorHttp, path: str, request: ChatRequest, dialect: Dialect
) -> AsyncGenerator[Sequence[Delta], None]:
    """
    Ask in the chat-completions dialect, and yield the answer: what `Provider.stream` returns.

    Args:
        path: appended to the base URL.

    Yields:
        as `talk`.

    Raises:
        InvalidParameter: the request asks for a feature that the dialect lacks.
        ProviderError: anything on the vendor's side.
    """
    ask, decoder = partial(encode, request, dialect), partial(Decoder, dialect)
    return talk(http, path, ask, decoder, stream=request.stream)


async def talk(
    http: VendorHttp,
    path: str,
    ask: Callable[[], Encoded],
    decoder: OpenDecoder,
    *,
    stream: bool,
) -> AsyncGenerator[Sequence[Delta], None]:
    """
    Ask, and yield the answer, for vendors with a dialect of their own: `converse` is this with the usual encoder and decoder.

    Closing this generator at any point closes the connection. A vendor that answers a streamed request in one piece
    (an error under HTTP 200, usually) is understood, too.

    Args:
        path: appended to the base URL.
        ask: makes the body, and tells what was adapted in it; called once, when the first batch is asked for.
        decoder: makes the decoder of the answer.
        stream: whether the body asks for a stream.

    Yields:
        one batch per network read that holds deltas; a single one for a request that is not streamed.

    Raises:
        InvalidParameter: `ask` refuses.
        ProviderError: anything on the vendor's side.
    """
    body, notes = ask()
    answered = decoder(classify=http.classify, notes=notes)
    try:
        async with http.post(path, body) as answer:
            if not stream:
                yield answered.whole(await answer.read())
                return
            parser = SseParser()
            is_first = True
            try:
                async for read in answer:
                    if is_first and (start := read.lstrip()):
                        is_first = False
                        if start.startswith(b"{"):  # no line of an event stream begins so
                            yield answered.whole(read + await answer.read())
                            return
                    deltas = answered.decode(parser.feed(read))
                    if deltas:
                        yield deltas
                    if answered.failure is not None:
                        raise answered.failure
                    if answered.is_done:
                        await answer.settle()
                        return
            except ProviderUnavailable as error:
                # A connection that is cut after the last word has done no harm; an error that the vendor tells has.
                if error is answered.failure or not answered.is_complete:
                    raise
            deltas = answered.close(parser.close())
            if deltas:
                yield deltas
            if answered.failure is not None:
                raise answered.failure
    except ProviderError as error:
        # An answer that is of no use may cost all the same.
        error.usage = error.usage or answered.usage
        raise
