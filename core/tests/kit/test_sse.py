"""Server-sent events: the same from any split of the bytes, and never without bound."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fengchao_core.errors import ProviderProtocolError
from fengchao_core.kit.sse import SseParser
from fengchao_core.testing.strategies import chunkings


def parse(*reads: bytes) -> list[tuple[str, bytes]]:
    """All events of these reads and of the end, with their names."""
    parser = SseParser()
    return [event for read in reads for event in parser.feed_named(read)] + parser.close_named()


def data_of(*reads: bytes) -> list[bytes]:
    """The data alone, by the short way."""
    parser = SseParser()
    return [event for read in reads for event in parser.feed(read)] + parser.close()


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: a\n\n", [b"a"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a\n\n", [b" a"]),
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\n\ndata:b\n\n", [b"a", b"b"]),
        (b"data:a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data: a\ndata:\ndata: b\n\n", [b"a\n\nb"]),
        (b"data\n\n", [b""]),
        (b"data:\n\n", [b""]),
        (b": ping\n\ndata: a\n\n", [b"a"]),
        (b": ping\ndata: a\n\n", [b"a"]),
        (b"\n\n\ndata: a\n\n\n\n", [b"a"]),
        (b"id: 1\nretry: 9\ndata: a\nother: x\n\n", [b"a"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"data: \xe2\x80\xa8\xc2\x85\x0b\x0c\x1c\n\n", [b"\xe2\x80\xa8\xc2\x85\x0b\x0c\x1c"]),
        (b"data: a", [b"a"]),
        (b"data: a\n", [b"a"]),
        (b"data: a\r", [b"a"]),
        (b"data: a\n\ndata: b", [b"a", b"b"]),
        (b"", []),
        (b": only\n\n", []),
        (b"event: nothing\n\n", []),
        (b"data: [DONE]\n\n", [b"[DONE]"]),
        (b" data: a\n\n", []),
        (b"{}\n\n", []),
    ],
)
def test_events(stream: bytes, expected: list[bytes]) -> None:
    """Line ends, spaces, comments, several lines, other fields, and a last event that was not ended."""
    assert expected == data_of(stream)
    assert expected == data_of(*(bytes([byte]) for byte in stream))


def test_names() -> None:
    """Each event has its own name, or none."""
    assert [("x", b"1"), ("", b"2"), ("y", b"3")] == parse(
        b"event: x\ndata: 1\n\ndata: 2\n\nevent: z\n\nevent:y\ndata: 3\n\n"
    )


PIECES = st.sampled_from(
    [
        b"data: ", b"data:", b"data", b"event: e", b": ping", b"id: 1", b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n",
        b"[DONE]", b'{"a":1}', "好\u2028".encode(), b" ", b":", b"\xff", b"\xef\xbb\xbf",
    ]
)  # fmt: skip


@given(st.lists(PIECES, max_size=40).map(b"".join), st.data())
@example(b"data: a\n\ndata:b\n\n", None)
@example(b"data: a\n\n\ndata: b\n\n", None)
def test_any_split_gives_the_same_events(stream: bytes, data: st.DataObject | None) -> None:
    """However a stream is cut into reads, the events are the same, with names and without."""
    whole = parse(stream)
    if data is not None:
        assert whole == parse(*data.draw(chunkings(stream)))
        assert [event for _, event in whole] == data_of(*data.draw(chunkings(stream)))
    assert [event for _, event in whole] == data_of(stream)


@given(
    st.lists(st.binary().map(lambda b: b.replace(b"\n", b"").replace(b"\r", b"")), max_size=20),
    st.data(),
)
def test_what_was_written_is_read(payloads: list[bytes], data: st.DataObject) -> None:
    """Events written as one line each are read as they were written."""
    stream = b"".join(b"data: " + payload + b"\n\n" for payload in payloads)
    assert payloads == data_of(*data.draw(chunkings(stream)))


@pytest.mark.parametrize(
    "reads",
    [
        (b"data: " + b"x" * 200 + b"\n\n",),
        (b"x" * 60, b"x" * 60),
        tuple(b"data: xxxxxxxxxx\n" for _ in range(20)),
        (b"data: xxxxxxxxxx\n" * 20,),
        (b": " + b"x" * 200 + b"\n",),
    ],
)
def test_an_endless_event_is_refused(reads: tuple[bytes, ...]) -> None:
    """Neither a line nor an event grows without bound, however it comes."""
    parser = SseParser(max_event_bytes=100)
    with pytest.raises(ProviderProtocolError, match="longer than 100 bytes"):
        _ = [parser.feed(read) for read in reads]


def test_a_long_stream_of_short_events_is_fine() -> None:
    """The bound is on one event, not on what came before; comments in between do not add up."""
    parser = SseParser(max_event_bytes=100)
    assert [b"x"] * 90 == parser.feed(b"data: x\n\n" * 90)
    assert [] == parser.feed(b": ping\n" * 90)
    assert [b"x"] == parser.feed(b"data: x\n\n")
