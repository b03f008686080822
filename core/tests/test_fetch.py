"""Fetching addresses that callers name: only from the public, or from where the settings allow; real sockets throughout."""

import asyncio

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from fengchao_core.errors import InvalidParameter
from fengchao_core.fetch import Fetcher, is_public
from fengchao_core.settings import FetchSettings
from fengchao_core.testing import run_app

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "198.18.0.1", "224.0.0.1",
        "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:a00:1",
        "::7f00:1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "64:ff9b::7f00:1",
        "64:ff9b:1::1", "2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1", "fec0::1", "", "localhost", "0x7f.1", "127.1",
        "2130706433", "017700000001",
    ],
)  # fmt: skip
def test_addresses_of_houses_are_not_public(address):
    """Private, loopback, link-local, metadata, mapped and translated ones, and what is no plain address at all."""
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "114.114.114.114", "2400:3200::1", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_public_addresses_are(address):
    """Addresses anybody can reach, an IPv4 one inside an IPv6 one too."""
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_mapping_changes_no_verdict(address):
    """An IPv4 address is as public mapped into IPv6 as it is by itself."""
    assert is_public(str(address)) == is_public(f"::ffff:{address}")


def app_of(**handlers):
    app = web.Application()
    for name, handler in handlers.items():
        app.router.add_get(f"/{name}", handler)
    return app


async def picture(_request):
    return web.Response(body=PNG, content_type="image/png")


def fetcher(*allow, resolve=None, **more):
    return Fetcher(FetchSettings(allow_hosts=allow, **more), resolve=resolve)


async def refusal(fetch, url):
    with pytest.raises(InvalidParameter) as caught:
        await fetch.get(url, kinds=("image/",), param="image")
    assert "image" == caught.value.param
    assert caught.value.__cause__ is None
    return str(caught.value)


async def test_an_allowed_host_is_fetched():
    """What the settings allow is fetched although it is not public, by host alone or with its port."""
    async with run_app(app_of(a=picture)) as base:
        port = base.rpartition(":")[2]
        for allowed in ("127.0.0.1", f"127.0.0.1:{port}"):
            async with fetcher(allowed) as fetch:
                got = await fetch.get(f"{base}/a", kinds=("image/",), param="image")
                assert (PNG, "image/png") == (got.content, got.media_type)
        async with fetcher("127.0.0.1:1") as fetch:
            assert "no public host" in await refusal(fetch, f"{base}/a")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "0177.0.0.1", "2130706433", "localhost", "[::1]", "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]", "0.0.0.0", "[::]", "①②⑦.⓪.⓪.①", "127。0。0。1", "127.0.0.1.",
    ],
)  # fmt: skip
async def test_this_machine_is_not_reached_by_any_spelling(host):
    """Loopback is refused however it is written, and nothing connects to it."""
    reached = []

    async def note(_request):
        reached.append(host)
        return web.Response(body=PNG, content_type="image/png")

    app = app_of(a=note)
    async with run_app(app), fetcher() as fetch:
        text = await refusal(fetch, f"http://{host}/a")
    assert "public" in text or "fetched" in text
    assert host not in text
    assert [] == reached


async def test_a_name_that_leads_home_is_refused():
    """Every address of a name must be public: one of this house among them is enough to refuse all."""
    asked = []

    async def resolve(host, port):
        asked.append((host, port))
        return ["1.1.1.1", "169.254.169.254"]

    async with fetcher(resolve=resolve) as fetch:
        assert "no public host" in await refusal(fetch, "https://pictures.test/a.png")
    assert [("pictures.test", 443)] == asked


async def test_a_name_is_looked_up_once():
    """The connection goes to the very address that was checked, whatever the name says afterwards."""
    async with run_app(app_of(a=picture)) as base:
        port = base.rpartition(":")[2]
        answers = [["127.0.0.1"], ["169.254.169.254"]]

        async def resolve(_host, _port):
            return answers.pop(0)

        async with fetcher("pictures.test", resolve=resolve) as fetch:
            await fetch.get(f"http://pictures.test:{port}/a", kinds=("image/",), param="image")
    assert [["169.254.169.254"]] == answers


async def test_redirects_are_checked_one_by_one():
    """A redirect within what is allowed is followed; one that leads elsewhere into the house is refused."""
    targets = {}

    async def away(request):
        raise web.HTTPFound(targets[request.query["to"]])

    async with run_app(app_of(a=picture, away=away)) as base, run_app(app_of(a=picture)) as other:
        targets.update(
            near="/a",
            far=f"{other}/a",
            file="file:///etc/passwd",
            meta="http://169.254.169.254/latest/meta-data/",
            loop="/away?to=loop",
        )
        async with fetcher(base.removeprefix("http://")) as fetch:
            assert (
                PNG
                == (
                    await fetch.get(f"{base}/away?to=near", kinds=("image/",), param="image")
                ).content
            )
            assert "no public host" in await refusal(fetch, f"{base}/away?to=far")
            assert "no public host" in await refusal(fetch, f"{base}/away?to=meta")
            assert "http:// or https://" in await refusal(fetch, f"{base}/away?to=file")
            assert "more than 3 times" in await refusal(fetch, f"{base}/away?to=loop")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://1.1.1.1/a", "http:// or https://"),
        ("file:///etc/passwd", "http:// or https://"),
        ("http://user:pass@1.1.1.1/a", "name or password"),
        ("http://1.1.1.1:22/a", "no public host"),
        ("http://[::1", "could not be fetched"),
        ("http://", "http:// or https://"),
        ("https://1.1.1.1/" + "a" * 5000, "longer than"),
    ],
)
async def test_odd_addresses_are_refused(url, says):
    """Other schemes, credentials, ports that no web server has, broken and endless ones."""
    async with fetcher() as fetch:
        assert says in await refusal(fetch, url)


async def test_what_comes_is_limited():
    """By its size, declared or not, its kind, its status, its coding, and the time that it takes."""
    stuck = asyncio.Event()

    async def endless(request):
        response = web.StreamResponse(headers={"Content-Type": "image/png"})
        await response.prepare(request)
        for _ in range(64):
            await response.write(bytes(1024))
        return response

    async def large(_request):
        return web.Response(body=bytes(4096), content_type="image/png")

    async def page(_request):
        return web.Response(text="<html>", content_type="text/html")

    async def packed(_request):
        response = web.Response(body=PNG, content_type="image/png")
        response.headers["Content-Encoding"] = "gzip"
        return response

    async def slow(_request):
        await stuck.wait()
        return web.Response()

    app = app_of(endless=endless, large=large, page=page, packed=packed, slow=slow)
    async with run_app(app) as base:
        async with fetcher("127.0.0.1", max_bytes=2048, timeout_s=5) as fetch:
            assert "larger than 2048" in await refusal(fetch, f"{base}/endless")
            assert "larger than 2048" in await refusal(fetch, f"{base}/large")
            assert "expected image/" in await refusal(fetch, f"{base}/page")
            assert "compressed" in await refusal(fetch, f"{base}/packed")
            assert "HTTP 404" in await refusal(fetch, f"{base}/nowhere")
        async with fetcher("127.0.0.1", timeout_s=0.2) as fetch:
            assert "within 0.2 s" in await refusal(fetch, f"{base}/slow")
        stuck.set()
    async with fetcher("127.0.0.1") as fetch:
        assert "could not be fetched" in await refusal(fetch, f"{base}/gone")


async def test_fetching_can_be_switched_off():
    """Where the settings say so no address is visited."""
    async with fetcher("127.0.0.1", enabled=False) as fetch:
        assert "fetches no addresses" in await refusal(fetch, "http://127.0.0.1/a")
