"""One native answer over HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence

from fengchao_core.errors import ProviderUnavailable
from fengchao_core.kit.http import VendorHttp
from fengchao_core.kit.openai_chat import Encoded
from fengchao_core.kit.sse import SseParser
from fengchao_core.types import Delta
from fengchao_sensetime.decode import NativeDecoder


async def talk(
    http: VendorHttp, path: str, encode: Callable[[], Encoded], *, stream: bool
) -> AsyncGenerator[Sequence[Delta], None]:
    """
    Ask, and yield the answer: the kit's `converse`, for the native shape.

    A vendor that answers a streamed request in one piece is understood, too. Closing this generator at any point closes
    the connection.

    Args:
        path: appended to the base URL.
        encode: makes the body, and tells what was adapted in it.
        stream: whether the body asks for a stream.

    Raises:
        InvalidParameter: the request asks for what the vendor lacks.
        ProviderError: anything on the vendor's side.
    """
    asked = encode()
    decoder = NativeDecoder(classify=http.classify, notes=asked.notes)
    async with http.post(path, asked.body) as answer:
        if not stream:
            yield decoder.whole(await answer.read())
            return
        parser = SseParser()
        is_first = True
        try:
            async for read in answer:
                if is_first and (start := read.lstrip()):
                    is_first = False
                    if start.startswith(b"{"):  # no line of an event stream begins so
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
