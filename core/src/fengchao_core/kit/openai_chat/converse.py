"""One chat over HTTP in the chat-completions dialect: the middle of every provider that speaks it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from fengchao_core.errors import ProviderError, ProviderUnavailable
from fengchao_core.kit.http import VendorHttp
from fengchao_core.kit.openai_chat.decode import Decoder
from fengchao_core.kit.openai_chat.dialect import Dialect
from fengchao_core.kit.openai_chat.encode import build, dump
from fengchao_core.kit.sse import SseParser
from fengchao_core.types import ChatRequest, Delta


async def converse(
    http: VendorHttp, path: str, request: ChatRequest, dialect: Dialect
) -> AsyncGenerator[Sequence[Delta], None]:
    """
    Ask, and yield the answer: what `Provider.stream` returns.

    Closing this generator at any point closes the connection. A vendor that answers a streamed request in one piece
    (an error under HTTP 200, usually) is understood, too.

    Args:
        path: appended to the base URL.

    Yields:
        one batch per network read that holds deltas; a single one for a request that is not streamed.

    Raises:
        InvalidParameter: the request asks for a feature that the dialect lacks.
        ProviderError: anything on the vendor's side.
    """
    fields, notes = build(request, dialect)
    body = dump(fields)
    decoder = Decoder(dialect, classify=http.classify, notes=notes)
    try:
        async with http.post(path, body) as answer:
            if not request.stream:
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
            except ProviderUnavailable:
                if (
                    not decoder.is_complete
                ):  # a connection that is cut after the last word has done no harm
                    raise
            deltas = decoder.close(parser.close())
            if deltas:
                yield deltas
            if decoder.failure is not None:
                raise decoder.failure
    except ProviderError as error:
        error.usage = (
            error.usage or decoder.usage
        )  # an answer that is of no use may cost all the same
        raise
