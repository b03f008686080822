"""The transport: pooled, strict about secrets, refreshing once, and really hanging up."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from pydantic import SecretStr

from fengchao_core.errors import (
    ProviderAuthFailed,
    ProviderError,
    ProviderProtocolError,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    SettingsError,
)
from fengchao_core.kit.auth import Authoriser, StaticAuth, TokenAuth
from fengchao_core.kit.errors import classify_by
from fengchao_core.kit.http import MAX_ERROR_BYTES, Sessions, VendorHttp
from fengchao_core.kit.multipart import Field, form
from fengchao_core.provider import Limits, ProviderContext, ProviderSettings
from fengchao_core.testing import (
    Answer,
    Do,
    FakeClock,
    Received,
    ScriptedVendor,
    json_answer,
    sse_answer,
)
from fengchao_core.tokens import Token, TokenManager

KEY = "a-very-secret-key"


class Settings(ProviderSettings):
    """Settings with a secret."""

    api_key: SecretStr = SecretStr(KEY)


@pytest.fixture
async def vendor() -> AsyncIterator[ScriptedVendor]:
    """A vendor that answers `{}`."""
    async with ScriptedVendor() as vendor:
        vendor.answers(json_answer({}))
        yield vendor


@asynccontextmanager
async def opened(
    base_url: str,
    auth: Authoriser | None = None,
    *,
    clock: FakeClock | None = None,
    limits: Limits | None = None,
    max_body_bytes: int = 1000,
    **settings: Any,
) -> AsyncIterator[VendorHttp]:
    """A transport to a vendor, with sessions of its own."""
    async with Sessions() as sessions:
        context = ProviderContext("acme", clock or FakeClock(), limits or Limits(), sessions)
        yield VendorHttp(
            context,
            Settings(base_url=base_url, **settings),
            auth or StaticAuth({"Authorization": f"Bearer {KEY}"}),
            classify_by({"fast": RateLimited}),
            headers={"X-Own": "yes"},
            max_body_bytes=max_body_bytes,
            secrets=("half-of-it",),
        )


async def error_of(vendor: ScriptedVendor, answer: Answer, **options: Any) -> ProviderError:
    """The error that a whole call ends with."""
    vendor.answers(answer)
    async with opened(vendor.base_url, **options) as http:
        with pytest.raises(ProviderError) as caught:
            await http.post_json("/chat", b"{}")
    return caught.value


async def test_a_whole_exchange(vendor: ScriptedVendor) -> None:
    """Method, path, headers and body arrive as given; nothing else of ours but the agent's name."""
    vendor.answers(json_answer(b'{"ok":1}'))
    async with opened(f"{vendor.base_url}/v1/") as http:
        assert b'{"ok":1}' == await http.post_json("/chat", b'{"q":1}')
    sent = vendor.requests[0]
    assert ("POST", "/v1/chat", b'{"q":1}') == (sent.method, sent.path, sent.body)
    assert f"Bearer {KEY}" == sent.headers["Authorization"]
    assert "application/json" == sent.headers["Content-Type"]
    assert "yes" == sent.headers["X-Own"]
    assert sent.headers["User-Agent"].startswith("fengchao/")
    assert "Cookie" not in sent.headers


async def test_get_delete_and_forms(vendor: ScriptedVendor) -> None:
    """The other methods, with a query, an escaped id and a form whose file has a Chinese name."""
    async with opened(f"{vendor.base_url}/v1?api-version=1") as http:
        await http.get("/files", params={"purpose": "批"})
        await http.delete("/files/a%2Fb")
        await http.post_form(
            "/files", form([Field("purpose", "x"), Field("file", b"\0\1", '数据".txt')])
        )
    listed, deleted, posted = vendor.requests
    assert ("GET", {"api-version": "1", "purpose": "批"}) == (listed.method, dict(listed.query))
    assert ("DELETE", "/v1/files/a%2Fb?api-version=1") == (deleted.method, deleted.target)
    assert posted.headers["Content-Type"].startswith("multipart/form-data; boundary=")
    assert 'filename="数据%22.txt"'.encode() in posted.body


async def test_reads_come_as_they_arrive(vendor: ScriptedVendor) -> None:
    """A stream gives what has arrived, at once, and the connection serves the next call."""
    go_on = asyncio.Event()
    vendor.answers(sse_answer(b"data: 1\n\n", go_on, b"data: 2\n\n"), json_answer({}))
    async with opened(vendor.base_url) as http:
        async with http.post("/chat", b"{}") as answer:
            reads = aiter(answer)
            assert b"data: 1\n\n" == await anext(reads)
            go_on.set()
            assert b"data: 2\n\n" == b"".join([read async for read in reads])
        await http.post_json("/chat", b"{}")
    assert 1 == len({request.peer for request in vendor.requests})


async def test_leaving_a_stream_closes_the_connection(vendor: ScriptedVendor) -> None:
    """Who leaves early hangs up: the rest is not drained."""
    vendor.answers(sse_answer(b"data: 1\n\n", Do.HANG))
    async with opened(vendor.base_url) as http:
        async with http.post("/chat", b"{}") as answer:
            await anext(aiter(answer))
        async with asyncio.timeout(1):
            await vendor.requests[0].closed_by_client.wait()


async def test_settling_waits_for_the_end_but_not_forever(vendor: ScriptedVendor) -> None:
    """After the last event a moment is given to the end of the body; a vendor that stays silent is hung up on."""
    vendor.answers(sse_answer(b"data: 1\n\n", Do.HANG))
    async with opened(vendor.base_url) as http:
        async with http.post("/chat", b"{}") as answer:
            await anext(aiter(answer))
            async with asyncio.timeout(5):
                await answer.settle()
        async with asyncio.timeout(1):
            await vendor.requests[0].closed_by_client.wait()


async def test_redirects_are_not_followed(vendor: ScriptedVendor) -> None:
    """A redirect is an error: the credentials do not travel."""
    error = await error_of(
        vendor, Answer(status=307, headers={"Location": f"{vendor.base_url}/elsewhere?key={KEY}"})
    )
    assert isinstance(error, ProviderProtocolError)
    assert "redirect" in str(error)
    assert 1 == len(vendor.requests)


async def test_errors_carry_their_facts(vendor: ScriptedVendor) -> None:
    """Class, name, status, code, words, waiting time and request id."""
    clock = FakeClock()
    until = format_datetime(clock.now() + timedelta(seconds=30), usegmt=True)
    error = await error_of(
        vendor,
        json_answer(
            {"error": {"message": "slow\ndown", "code": "fast"}},
            status=429,
            headers={"Retry-After": until, "x-request-id": "r-1"},
        ),
        clock=clock,
    )
    assert RateLimited is type(error)
    assert ("acme", 429, "fast", "slow down", 30.0, "r-1") == (
        error.provider,
        error.status,
        error.vendor_code,
        error.vendor_message,
        error.retry_after,
        error.vendor_request_id,
    )


@pytest.mark.parametrize(
    ("header", "status", "expected"), [("false", 429, False), ("true", 400, True)]
)
async def test_a_vendor_may_say_whether_to_retry(
    vendor: ScriptedVendor, header: str, status: int, expected: bool
) -> None:
    """`x-should-retry` outranks the error's class."""
    error = await error_of(
        vendor, json_answer({}, status=status, headers={"x-should-retry": header})
    )
    assert expected is error.retryable


async def test_an_endless_error_page_is_cut(vendor: ScriptedVendor) -> None:
    """Of an error's body only the beginning is read."""
    pages = tuple(b"x" * 10_000 for _ in range(20))
    assert sum(map(len, pages)) > MAX_ERROR_BYTES
    error = await error_of(vendor, Answer((*pages, Do.HANG), status=500))
    assert isinstance(error, ProviderUnavailable)
    assert len(error.vendor_message or "") <= 500


@pytest.mark.parametrize("steps", [(Do.CUT,), (b"", Do.CUT), (b"{", Do.CUT)])
async def test_a_cut_connection_is_unavailable(
    vendor: ScriptedVendor, steps: tuple[Any, ...]
) -> None:
    """Wherever the connection breaks."""
    assert isinstance(await error_of(vendor, Answer(steps)), ProviderUnavailable)


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/9.9 OK\r\n\r\n",
        b"",
    ],
)
async def test_broken_http_is_unavailable(vendor: ScriptedVendor, raw: bytes) -> None:
    """Whatever a vendor writes instead of HTTP, it is our error and holds no header of ours."""
    error = await error_of(vendor, Answer((raw,), raw=True))
    assert isinstance(error, ProviderUnavailable)
    assert KEY not in told(error)


async def test_no_server_is_unavailable() -> None:
    """Nobody listens: the system's reason is told."""
    async with opened("http://127.0.0.1:1") as http:
        with pytest.raises(ProviderUnavailable, match="could not be reached"):
            await http.post_json("/chat", b"{}")


async def test_a_connection_that_does_not_come_about_is_a_timeout() -> None:
    """A server that accepts and never shakes hands passes the connect limit."""
    released = asyncio.Event()

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await released.wait()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with opened(f"https://127.0.0.1:{port}", limits=Limits(connect_s=0.05)) as http:
            with pytest.raises(ProviderTimeout) as caught:
                await http.post_json("/chat", b"{}")
    finally:
        released.set()
        server.close()
        await server.wait_closed()
    assert ("connect", 0.05, "acme") == (
        caught.value.phase,
        caught.value.limit_s,
        caught.value.provider,
    )


async def test_tls_is_verified(tmp_path: Any) -> None:
    """A server whose certificate nobody vouches for is not talked to."""
    async with _tls_server(tmp_path) as (port, seen), opened(f"https://127.0.0.1:{port}") as http:
        with pytest.raises(ProviderUnavailable):
            await http.post_json("/chat", b"{}")
    assert b"" == bytes(seen)


async def test_a_body_without_end_is_refused(vendor: ScriptedVendor) -> None:
    """A whole answer is bounded, also when it only grows while it is unpacked."""
    plain = await error_of(vendor, Answer((b"x" * 600, b"x" * 600, Do.HANG)))
    bomb = gzip.compress(b"x" * 100_000)
    packed = await error_of(vendor, Answer((bomb,), headers={"Content-Encoding": "gzip"}))
    for error in (plain, packed):
        assert isinstance(error, ProviderProtocolError)
        assert "longer than 1000 bytes" in str(error)


def tokens(clock: FakeClock, *, counted: list[str]) -> TokenManager:
    """A manager that issues token-1, token-2 and so on."""

    def issue(now: Any) -> Token:
        counted.append(f"token-{len(counted) + 1}")
        return Token(counted[-1], now + timedelta(hours=1))

    return TokenManager(issue, clock, name="acme")


def only(token: str) -> Any:
    """An answer for this token alone."""

    def answer(received: Received) -> Answer:
        if received.headers["Authorization"] == f"Bearer {token}":
            return json_answer({})
        return json_answer(
            {"error": {"message": f"no {received.headers['Authorization']}"}}, status=401
        )

    return answer


async def test_a_401_costs_one_refresh(vendor: ScriptedVendor) -> None:
    """A rejected token is replaced once, and many calls that were rejected together share the new one."""
    vendor.answers(only("token-2"))
    counted: list[str] = []
    clock = FakeClock()
    async with opened(
        vendor.base_url, TokenAuth(tokens(clock, counted=counted)), clock=clock
    ) as http:
        await asyncio.gather(*(http.post_json("/chat", b'{"q":1}') for _ in range(20)))
    assert ["token-1", "token-2"] == counted
    assert all(request.body == b'{"q":1}' for request in vendor.requests)


async def test_a_second_401_is_final(vendor: ScriptedVendor) -> None:
    """There is one refresh and no more; neither token shows in the error."""
    vendor.answers(only("none"))
    counted: list[str] = []
    clock = FakeClock()
    async with opened(
        vendor.base_url, TokenAuth(tokens(clock, counted=counted)), clock=clock
    ) as http:
        with pytest.raises(ProviderAuthFailed) as caught:
            await http.post_json("/chat", b"{}")
    assert 2 == len(vendor.requests)
    assert not any(token in told(caught.value) for token in counted)


async def test_a_static_key_is_not_tried_twice(vendor: ScriptedVendor) -> None:
    """Where nothing can be refreshed, a 401 is final at once."""
    assert isinstance(await error_of(vendor, json_answer({}, status=401)), ProviderAuthFailed)
    assert 1 == len(vendor.requests)


async def test_the_vendors_clock_is_learnt_from_a_401(vendor: ScriptedVendor) -> None:
    """A rejection's `Date` puts the manager's clock right before the token is issued anew."""
    clock = FakeClock()
    theirs = clock.now() + timedelta(hours=3)
    date = {"Date": format_datetime(theirs, usegmt=True)}
    vendor.answers(json_answer({}, status=401, headers=date), json_answer({}))
    manager = tokens(clock, counted=[])
    async with opened(vendor.base_url, TokenAuth(manager), clock=clock) as http:
        await http.post_json("/chat", b"{}")
    assert theirs == manager.now()


async def test_a_token_may_travel_in_the_query(vendor: ScriptedVendor) -> None:
    """Some vendors want the token as a parameter; it shows in no error either."""
    clock = FakeClock()
    auth = TokenAuth(tokens(clock, counted=[]), query="access_token")
    vendor.answers(
        json_answer({}), json_answer({"error": "no https://x.y/?access_token=token-1"}, status=500)
    )
    async with opened(vendor.base_url, auth, clock=clock) as http:
        await http.post_json("/chat", b"{}")
        with pytest.raises(ProviderUnavailable) as caught:
            await http.post_json("/chat", b"{}")
    assert {"access_token": "token-1"} == dict(vendor.requests[0].query)
    assert "Authorization" not in vendor.requests[0].headers
    assert "token-1" not in told(caught.value)


async def test_no_secret_is_shown(vendor: ScriptedVendor) -> None:
    """Echoed keys vanish from errors, and reprs hold none."""
    body = {"error": {"message": f"bad key {KEY} half-of-it", "code": KEY}}
    error = await error_of(vendor, json_answer(body, status=403))
    assert error.vendor_message == "bad key *** ***"
    async with opened(vendor.base_url) as http:
        assert KEY not in told(error) + repr(http) + repr(http.post("/chat", b"")) + repr(
            http.authoriser
        )


async def test_errors_that_pass_through_are_dressed(vendor: ScriptedVendor) -> None:
    """An error raised inside an exchange leaves it with the provider's name and without secrets."""
    async with opened(vendor.base_url) as http:
        with pytest.raises(ProviderError) as caught:
            await _raise_inside(http)
    assert "acme" == caught.value.provider
    assert KEY not in told(caught.value)


async def test_sessions_are_shared_and_closed_together(vendor: ScriptedVendor) -> None:
    """One session for one origin, another for another; after closing there is none."""
    async with Sessions() as sessions:
        here = sessions.session(_url(f"{vendor.base_url}/a"))
        assert here is sessions.session(_url(f"{vendor.base_url}/b?c"))
        assert here is not sessions.session(_url("http://127.0.0.1:2/a"))
        assert here is not sessions.session(_url(f"{vendor.base_url}/a"), max_connections=5)
    assert here.closed
    with pytest.raises(ProviderUnavailable, match="closed"):
        sessions.session(_url(vendor.base_url))


async def test_no_more_connections_than_allowed(vendor: ScriptedVendor) -> None:
    """Calls beyond the limit wait for a connection instead of opening one."""
    async with opened(vendor.base_url, max_connections=2) as http:
        await asyncio.gather(*(http.post_json("/chat", b"{}") for _ in range(10)))
    assert len({request.peer for request in vendor.requests}) <= 2


@pytest.mark.parametrize(
    "base_url", ["", "api.openai.com/v1", "ftp://x/v1", "http://", "https://u:p@x/v1", "http://[/"]
)
async def test_a_wrong_base_url_is_told_at_once(base_url: str) -> None:
    """What cannot be an address is refused when the provider opens, without repeating it."""
    with pytest.raises(SettingsError, match=r"providers\.acme"):
        async with opened(base_url):
            pass


async def test_a_proxy_is_used_where_the_settings_name_one(vendor: ScriptedVendor) -> None:
    """The request goes to the proxy, in full; a wrong address of one is told at once."""
    async with opened("http://vendor.invalid/v1", proxy=vendor.base_url) as http:
        await http.post_json("/chat", b"{}")
    assert vendor.requests[0].target == "http://vendor.invalid/v1/chat"
    with pytest.raises(SettingsError, match="'proxy'"):
        async with opened(vendor.base_url, proxy="127.0.0.1:8080"):
            pass


@pytest.mark.parametrize("key", ["line\nbreak", "line\rbreak", "nul\x00"])
def test_a_key_with_a_line_break_is_told_at_once(key: str) -> None:
    """A key that cannot travel in a header is a settings error that does not repeat it."""
    with pytest.raises(SettingsError, match="Authorization") as caught:
        StaticAuth({"Authorization": key})
    assert key not in str(caught.value)


def told(error: BaseException) -> str:
    """Everything that a careless handler could show of an error."""
    shown = ["".join(traceback.format_exception(error))]
    each: BaseException | None = error
    while each is not None:
        shown.append(f"{each!r} {each.args} {vars(each)}")
        each = each.__cause__ or each.__context__
    return "\n".join(shown)


async def _raise_inside(http: VendorHttp) -> None:
    async with http.post("/chat", b"{}"):
        raise ProviderProtocolError(f"unknown finish reason {KEY!r}", vendor_message=KEY)


def _url(text: str) -> Any:
    from yarl import URL

    return URL(text)


@asynccontextmanager
async def _tls_server(folder: Any) -> AsyncIterator[tuple[int, bytearray]]:
    """A server with a certificate of its own making, and what it was sent."""
    seen = bytearray()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.extend(await reader.read(1000))
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*_certificate(folder))
    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # the handshake that the client breaks off
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        server.close()
        await server.wait_closed()
        loop.set_exception_handler(None)


def _certificate(folder: Any) -> tuple[str, str]:
    x509 = pytest.importorskip("cryptography.x509", reason="cryptography makes the certificate")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(folder / "cert.pem"), str(folder / "key.pem")
