"""One chat over the legacy MaaS API."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence

from fengchao_core.errors import ProviderUnavailable
from fengchao_core.kit.http import VendorHttp
from fengchao_core.kit.openai_chat import CHAT_COMPLETIONS, Decoder, Encoded
from fengchao_core.kit.sse import SseParser
from fengchao_core.types import ChatRequest, Delta
from fengchao_volcengine.maas_wire import rewrite


async def talk(
    http: VendorHttp, path: str, request: ChatRequest, encode: Callable[[ChatRequest], Encoded]
) -> AsyncGenerator[Sequence[Delta], None]:
    """
    Ask, and yield the answer: `kit.openai_chat.converse` with each event rewritten on its way.

    Closing this generator at any point closes the connection.

    Args:
        path: appended to the base URL.
        encode: makes the body.

    Yields:
        one batch per network read that holds deltas; a single one for a request that is not streamed.

    Raises:
        InvalidParameter: the request asks for a feature that the vendor lacks.
        ProviderError: anything on the vendor's side.
    """
    body, notes = encode(request)
    decoder = Decoder(CHAT_COMPLETIONS, classify=http.classify, notes=notes)
    async with http.post(path, body) as answer:
        if not request.stream:
            yield decoder.whole(rewrite(await answer.read()))
            return
        parser = SseParser()
        is_first = True
        try:
            async for read in answer:
                if is_first and (start := read.lstrip()):
                    is_first = False
                    if start.startswith(
                        b"{"
                    ):  # an answer in one piece, usually an error under HTTP 200
                        yield decoder.whole(rewrite(read + await answer.read()))
                        return
                deltas = decoder.decode(map(rewrite, parser.feed(read)))
                if deltas:
                    yield deltas
                if decoder.failure is not None:
                    raise decoder.failure
                if decoder.is_done:
                    await answer.settle()
                    return
        except ProviderUnavailable:
            if not decoder.is_complete:
                raise
        deltas = decoder.close(map(rewrite, parser.close()))
        if deltas:
            yield deltas
        if decoder.failure is not None:
            raise decoder.failure
