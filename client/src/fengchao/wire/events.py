"""
A streamed answer in the contract: server-sent events, one per piece of text.

Each event is a whole `ChatCompletionResponse`: `index` counts from 0, `finish_reason` stands in the last event only, and so
do the usage and its cost. The passages of a knowledge base, the pages of a web search and the answers of aggregated models
stand in the first event and in the last. A stream that fails
ends with an event whose `status` says why.

Two forms of the same events: dicts for the embedded client, bytes for the server. The bytes of plain text, which is nearly
every event, are put together around the quoted text alone; a test holds both forms alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import orjson

from fengchao.wire.bridge import Json, agg, failed, knowledge, local_time, msg_of, search, usage
from fengchao.wire.codes import Failure
from fengchao.wire.models import OK_MSG
from fengchao_core.exchange import Exchange
from fengchao_core.types import Delta, ToolCallFragment

SSE_CONTENT_TYPE = "text/event-stream; charset=utf-8"
"""The content type of a stream. Without the charset the published SDKs read Latin-1, or fail."""

# The published SDKs split a stream by `str.splitlines`, which also splits here; JSON may write all three as escapes.
_LINE_ENDS = (
    (b"\xc2\x85", b"\\u0085"),
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
)
_MARK = (
    "\ufdd0"  # a code point that no text may hold, to find the place of the text in a whole event
)


class AnswerEvents:
    """
    The events of one exchange. Feed it what `Gateway.run` yields, through `events` or through `frames`.

    A failure before the first byte of a stream whose answer is HTTP 200 must be sent as an event too (`failed_frame`): in
    stream mode the published SDKs read nothing else.
    """

    __slots__ = (
        "_created",
        "_exchange",
        "_finish",
        "_has_found",
        "_head",
        "_index",
        "_knowledge",
        "_middle",
        "_tail",
    )

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._created = local_time(exchange.created)
        self._knowledge = knowledge(exchange.passages)
        self._has_found = bool(self._knowledge) or exchange.gathered is not None
        self._index = 0
        self._finish: str | None = None
        self._head = self._middle = self._tail = b""

    def events(self, batch: Sequence[Delta]) -> list[Json]:
        """The events of a batch, as dicts; none where nothing is to be shown yet."""
        return [self._event(*shown) for shown in self._shown(batch)]

    def frames(self, batch: Sequence[Delta]) -> bytes:
        """The events of a batch, as bytes to send; empty where nothing is to be shown yet."""
        frames: list[bytes] = []
        for text, reasoning, calls in self._shown(batch):
            if reasoning or calls or (self._has_found and not self._index):
                frames.append(frame(self._event(text, reasoning, calls)))
                continue
            if not self._head:
                self._cut_template()
            frames.append(
                b"%b%d%b%b%b" % (self._head, self._index, self._middle, _quoted(text), self._tail)
            )
            self._index += 1
        return b"".join(frames)

    def last(self) -> Json:
        """The last event, once the run has ended: no text, the finish reason, the usage and what it cost."""
        event = self._event("", "", ())
        event["choices"][0]["finish_reason"] = self._finish
        event["usage"] = usage(self._exchange.usage, self._exchange.cost)
        self._tell(event)
        if notes := self._exchange.notes:
            event["notes"] = list(notes)
        return event

    def last_frame(self) -> bytes:
        """The last event as bytes."""
        return frame(self.last())

    def failed(self, failure: Failure) -> Json:
        """The event that ends a stream which failed."""
        return failed(
            failure._replace(http_status=200),  # the response has begun; only the event can say it
            request_id=self._exchange.request_id,
            model=self._exchange.model,
            created=self._exchange.created,
        )

    def failed_frame(self, failure: Failure) -> bytes:
        """The event that ends a stream which failed, as bytes."""
        return frame(self.failed(failure))

    def _shown(
        self, batch: Sequence[Delta]
    ) -> Iterable[tuple[str, str, Sequence[ToolCallFragment]]]:
        for delta in batch:
            if delta.finish_reason is not None:
                self._finish = delta.finish_reason
            text = delta.text or delta.refusal
            if text or delta.reasoning or delta.tool_calls:
                yield text, delta.reasoning, delta.tool_calls

    def _event(self, text: str, reasoning: str, calls: Sequence[ToolCallFragment]) -> Json:
        message: Json = {"role": "assistant", "content": text}
        if reasoning:
            message["reasoning_content"] = reasoning
        if calls:
            message["tool_calls"] = [_fragment(call) for call in calls]
        index = self._index
        self._index += 1
        event: Json = {
            "request_id": self._exchange.request_id,
            "created": self._created,
            "model": self._exchange.model,
            "choices": [{"index": index, "message": message, "finish_reason": None}],
            "usage": usage(None, None),
            "msg": OK_MSG,
            "knowledge": [],
            "status": 200,
            "search": [],
            "agg": [],
        }
        if not index:
            self._tell(event)
        return event

    def _tell(self, event: Json) -> None:
        """Put in what the answer rests on; what was gathered is known once the first piece has come."""
        if not self._has_found:
            return
        gathered = self._exchange.gathered
        event["knowledge"] = self._knowledge
        event["search"], event["agg"] = search(gathered), agg(gathered)
        event["msg"] = msg_of(gathered)

    def _cut_template(self) -> None:
        # An event made the plain way, cut around its index and its text.
        index, found = self._index, self._has_found
        self._has_found = False
        whole = frame(self._event(_MARK, "", ()))
        self._index, self._has_found = index, found
        numbered, _, self._tail = whole.rpartition(_quoted(_MARK))
        key = b'"choices":[{"index":'
        self._head, _, rest = numbered.rpartition(key)
        self._head += key
        self._middle = rest.removeprefix(b"%d" % index)


def frame(event: Mapping[str, object]) -> bytes:
    """An event as bytes to send."""
    return framed(event_json(event))


def event_json(event: Mapping[str, object]) -> bytes:
    """An event as one line of JSON."""
    return _one_line(orjson.dumps(event))


def framed(line: bytes) -> bytes:
    """A line of `event_json` as bytes to send."""
    return b"data: %b\n\n" % line


def _quoted(text: str) -> bytes:
    return _one_line(orjson.dumps(text))


def _one_line(data: bytes) -> bytes:
    for raw, escaped in _LINE_ENDS:
        if raw in data:
            data = data.replace(raw, escaped)
    return data


def _fragment(call: ToolCallFragment) -> Json:
    function: Json = {"arguments": call.arguments}
    if call.name is not None:
        function["name"] = call.name
    shown: Json = {"index": call.index, "type": call.type, "function": function}
    if call.id is not None:
        shown["id"] = call.id
    return shown
