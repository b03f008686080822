"""An answer onto a WebSocket, frame by frame, with the faults that a prompt asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from itertools import pairwise

import orjson
from aiohttp import web

from fengchao_core.kit.sandbox import (
    Faults,
    Reply,
    Serving,
    chat_dialect,
    deltas,
    until_gone,
    wait,
)
from fengchao_core.types import Delta
from fengchao_spark.sandbox.codes import RefusedError, refusal_of

_BEFORE_A_CUT_S = 0.02
_BETWEEN_PIECES_S = 0.001
_TEXT, _FINAL = 0x01, 0x80


class Speaker:
    """
    Writes the frames of one answer.

    Args:
        sid: the vendor's id of the answer.
    """

    def __init__(
        self,
        request: web.Request,
        socket: web.WebSocketResponse,
        faults: Faults,
        serving: Serving,
        sid: str,
    ) -> None:
        self._request = request
        self._socket = socket
        self._faults = faults
        self._serving = serving
        self._sid = sid
        self._sent = 0

    async def speak(self, reply: Reply) -> None:
        """
        The whole answer; returns where a fault ended it.

        Raises:
            RefusedError: a refusal was asked for in the middle.
        """
        if not await wait(self._request, self._faults.latency):
            return
        frames = list(_frames(reply))
        for seq, (said, texts) in enumerate(frames):
            is_last = seq == len(frames) - 1
            status = 2 if is_last else min(seq, 1)
            frame = self._frame(status, seq, texts)
            if is_last:
                usage = chat_dialect.usage_body(reply.usage)
                frame["payload"]["usage"] = {"text": _counted(usage)}  # type: ignore[index]  # made above
            if not await self._send(orjson.dumps(frame)):
                return
            self._serving.sent(said)
        self._serving.complete(reply.usage)

    def _frame(self, status: int, seq: int, texts: list[dict[str, object]]) -> dict[str, object]:
        header = {"code": 0, "message": "Success", "sid": self._sid, "status": status}
        choices = {"status": status, "seq": seq, "text": texts}
        return {"header": header, "payload": {"choices": choices}}

    async def _send(self, data: bytes) -> bool:
        """Send one frame, with its faults; False where there is nobody to go on for."""
        faults, sent = self._faults, self._sent
        after = faults.refusal_after
        if faults.refusal is not None and after is not None and sent >= after:
            raise refusal_of(faults, midway=sent > 0)
        if faults.cut_after is not None and sent >= faults.cut_after:
            await asyncio.sleep(_BEFORE_A_CUT_S)  # what was written so far shall still arrive
            if self._request.transport is not None:
                self._request.transport.abort()
            return False
        if faults.silence_after is not None and sent >= faults.silence_after:
            await until_gone(self._request)
            return False
        if faults.malformed_after is not None and sent == faults.malformed_after:
            await self._socket.send_str('{"header": {]}')
        if faults.half_line_after is not None and sent >= faults.half_line_after:
            await self._socket.send_str(data[: len(data) // 2].decode("utf-8", "ignore"))
            return False
        if not await wait(self._request, faults.pace):
            return False
        if faults.split_utf8:
            await self._send_split(data)
        else:
            await self._socket.send_str(data.decode())
        self._sent += 1
        return True

    async def _send_split(self, data: bytes) -> None:
        """One message in fragments that cut characters apart, and its bytes in writes that cut the fragments."""
        written = b"".join(fragments(data))
        for at in range(0, len(written), 7):
            if self._request.transport is None:
                return
            self._request.transport.write(written[at : at + 7])
            await asyncio.sleep(_BETWEEN_PIECES_S)


def fragments(data: bytes) -> Iterator[bytes]:
    """A text message as the frames of RFC 6455, unmasked, cut inside its first characters of several bytes."""
    cuts = [at for at in range(1, len(data)) if data[at] & 0xC0 == 0x80][:3]
    edges = sorted({0, len(data) // 2, *cuts, len(data)})
    for start, end in pairwise(edges):
        first = (_TEXT if start == 0 else 0) | (_FINAL if end == len(data) else 0)
        length = end - start
        size = bytes([length]) if length < 126 else b"\x7e" + length.to_bytes(2, "big")
        yield bytes([first]) + size + data[start:end]


def error_frame(error: RefusedError, sid: str) -> dict[str, object]:
    """A refusal: a header alone."""
    return {"header": {"code": error.code, "message": error.message, "sid": sid, "status": 2}}


def _frames(reply: Reply) -> Iterator[tuple[Delta, list[dict[str, object]]]]:
    """What each frame says: the pieces of a text, or a call whole; the last piece is in the last frame."""
    for delta in deltas(reply, whole_tool_calls=True):
        if delta.finish_reason is not None:
            if not reply.choices[0].message.text and not reply.choices[0].message.tool_calls:
                yield delta, [_text(Delta())]
            continue
        yield delta, [_text(delta)]


def _text(delta: Delta) -> dict[str, object]:
    item: dict[str, object] = {"content": delta.text, "role": "assistant", "index": 0}
    if delta.reasoning:
        item["reasoning_content"] = delta.reasoning
    for call in delta.tool_calls:
        item["function_call"] = {"name": call.name, "arguments": call.arguments}
    return item


def _counted(usage: Mapping[str, object]) -> dict[str, object]:
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    return {"question_tokens": usage["prompt_tokens"], **{name: usage[name] for name in names}}
