"""The scripted vendor: what it writes, when, how it ends, and what it remembers."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from fengchao_core.testing import Answer, Do, ScriptedVendor, Talk, json_answer, sse_answer


async def read(base_url: str, path: str = "/", data: bytes = b"") -> list[bytes]:
    """Post something and give each network read of the answer."""
    async with aiohttp.ClientSession() as client, client.post(base_url + path, data=data) as got:
        return [chunk async for chunk in got.content.iter_any()]


async def test_each_write_is_a_read_of_its_own() -> None:
    """A client sees exactly the writes of the script, also where they cut a character in two."""
    writes = [b"\xe4", b"\xbd\xa0", b"a", b"", b"bc"]
    async with ScriptedVendor() as vendor:
        vendor.answers(Answer(tuple(writes)))
        assert [b"\xe4", b"\xbd\xa0", b"a", b"bc"] == await read(vendor.base_url)


async def test_requests_are_kept() -> None:
    """Method, path, query, headers and body of a request can be looked at."""
    async with ScriptedVendor() as vendor:
        vendor.answers(json_answer({"ok": True}))
        assert [b'{"ok":true}'] == await read(vendor.base_url, "/a/b?c=%20d", b'{"x": 1}')
        received = await vendor.request(1)
        assert ("POST", "/a/b", {"c": " d"}) == (received.method, received.path, received.query)
        assert "/a/b?c=%20d" == received.target
        assert {"x": 1} == received.json()
        assert "127.0.0.1" in received.headers["host"]


async def test_scripts_come_in_turn_and_by_path() -> None:
    """Each request takes the next script, the last one stays; a path may have scripts of its own."""
    async with ScriptedVendor() as vendor:
        vendor.answers(json_answer(1), json_answer(2))
        vendor.answers(json_answer("token"), path="/token")
        answers = [await read(vendor.base_url) for _ in range(3)]
        assert [[b"1"], [b"2"], [b"2"]] == answers
        assert [b'"token"'] == await read(vendor.base_url, "/token")
        assert 3 == len(vendor.requests_to())
        assert 1 == len(vendor.requests_to("/token"))


async def test_a_script_can_be_made_from_the_request() -> None:
    """A function of the request gives the answer, or the steps in the middle of one."""
    async with ScriptedVendor() as vendor:
        vendor.answers(lambda received: json_answer(received.body))
        assert [b"echo"] == await read(vendor.base_url, data=b"echo")
        vendor.answers(Answer((b"<", lambda received: (received.body, b">"))))
        assert [b"<", b"echo", b">"] == await read(vendor.base_url, data=b"echo")


async def test_an_answer_waits_for_its_event() -> None:
    """What stands after an event is written when the event is set."""
    go_on = asyncio.Event()
    async with ScriptedVendor() as vendor, aiohttp.ClientSession() as client:
        vendor.answers(sse_answer({"n": 1}, go_on, b"data: [DONE]\n\n"))
        async with client.post(vendor.base_url) as got:
            assert b'data: {"n":1}\n\n' == await got.content.readany()
            assert not got.content.at_eof()
            go_on.set()
            assert b"data: [DONE]\n\n" == await got.content.readany()


async def test_a_client_that_hangs_up_is_noticed() -> None:
    """The event of a request is set when its client closes the connection, and only then."""
    async with ScriptedVendor() as vendor, aiohttp.ClientSession() as client:
        vendor.answers(sse_answer(b"data: 1\n\n", Do.HANG), json_answer(2))
        async with client.post(vendor.base_url) as got:
            await got.content.readany()
            received = await vendor.request(1)
            assert not received.closed_by_client.is_set()
        async with asyncio.timeout(1):
            await received.closed_by_client.wait()
        await read(vendor.base_url)
        assert not (await vendor.request(2)).closed_by_client.is_set()


@pytest.mark.parametrize("steps", [(Do.CUT,), (b"", Do.CUT), (b"half", Do.CUT)])
async def test_a_cut_breaks_the_clients_reading(steps: tuple[bytes | Do, ...]) -> None:
    """A cut connection is an error for the client, and not taken for a client that hung up."""
    async with ScriptedVendor() as vendor:
        vendor.answers(Answer(steps))
        with pytest.raises(aiohttp.ClientError):
            await read(vendor.base_url)
        assert not vendor.requests[0].closed_by_client.is_set()


async def test_raw_answers_are_the_bytes_of_the_script() -> None:
    """A raw script may break HTTP itself."""
    async with ScriptedVendor() as vendor:
        vendor.answers(Answer((b"HTTP/1.1 200 OK\r\nConte", b"nt-Length: 2\r\n\r\nhi"), raw=True))
        assert [b"hi"] == await read(vendor.base_url)
        vendor.answers(Answer((b"this is not HTTP\r\n\r\n",), raw=True))
        with pytest.raises(aiohttp.ClientError):
            await read(vendor.base_url)


async def test_what_is_not_scripted_says_so() -> None:
    """A request that no script is for gets 501 with the reason."""
    async with ScriptedVendor() as vendor:
        assert [b"no answer is scripted for POST /x"] == await read(vendor.base_url, "/x")
        with pytest.raises(ValueError, match="at least one"):
            vendor.answers()


async def test_a_talk_over_websocket() -> None:
    """A script sends texts and bytes, waits for the client's messages, keeps them, and closes with its code."""
    talk = Talk(
        (Do.RECEIVE, "你好", b"\x00", lambda received: (f"{received.messages[0]!s}!",)), code=4001
    )
    async with ScriptedVendor() as vendor, aiohttp.ClientSession() as client:
        vendor.answers(talk)
        async with client.ws_connect(vendor.ws_url + "/v3.5/chat?x=1") as socket:
            await socket.send_str("hi")
            assert "你好" == await socket.receive_str()
            assert b"\x00" == await socket.receive_bytes()
            assert "hi!" == await socket.receive_str()
            await socket.receive()
            assert 4001 == socket.close_code
        assert ["hi"] == vendor.requests[0].messages
        assert not vendor.requests[0].closed_by_client.is_set()


@pytest.mark.parametrize("politely", [True, False])
async def test_a_websocket_client_that_hangs_up_is_noticed(politely: bool) -> None:
    """A client that says goodbye, or just goes, sets the event while the script still waits."""
    async with ScriptedVendor() as vendor, aiohttp.ClientSession() as client:
        vendor.answers(Talk(("1", Do.HANG)))
        socket = await client.ws_connect(vendor.ws_url)
        await socket.receive_str()
        if politely:
            await socket.close()
        else:
            socket._response.close()
        async with asyncio.timeout(1):
            await vendor.requests[0].closed_by_client.wait()


async def test_a_cut_websocket_ends_the_clients_reading() -> None:
    """A cut socket is closed for the client without a goodbye."""
    async with ScriptedVendor() as vendor, aiohttp.ClientSession() as client:
        vendor.answers(Talk(("1", Do.CUT)))
        async with client.ws_connect(vendor.ws_url) as socket:
            assert "1" == await socket.receive_str()
            message = await socket.receive()
            assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
            assert 1006 == socket.close_code
