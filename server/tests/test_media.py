"""Pictures and films in a chat: which models take them, and what is sent of an address, of data and of nonsense."""

import base64

import pytest
from aiohttp import web

from fengchao_core.testing import run_app
from fengchao_core.types import ImagePart, ModelCard, VideoPart

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
JPEG = b"\xff\xd8\xff\xe0" + bytes(40)
MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(40)

CARDS = (
    ModelCard(id="sees", owned_by="T", capabilities=frozenset({"vision", "video"})),
    ModelCard(id="blind", owned_by="T"),
    ModelCard(id="unheard-of", owned_by="T", is_known=False),
)


def b64(content):
    return base64.b64encode(content).decode()


def sent_parts(bench):
    return bench.provider.requests[-1].messages[-1].content


@pytest.fixture
async def pictures():
    """A web server with a picture, a film and a page."""
    app = web.Application()

    def serving(content, kind):
        async def handler(_request):
            return web.Response(body=content, content_type=kind)

        return handler

    app.router.add_get("/a.png", serving(PNG, "image/png"))
    app.router.add_get("/a.mp4", serving(MP4, "video/mp4"))
    app.router.add_get("/lies.png", serving(b"<html>", "image/png"))
    async with run_app(app) as base:
        yield base


async def test_a_picture_comes_as_base64_data_or_address(open_bench, pictures):
    """However it comes, the model gets the same data, before the question; a wrong media type is put right."""
    bench = await open_bench(cards=CARDS, fetch={"allow_hosts": ["127.0.0.1"]})
    expected = ImagePart(f"data:image/png;base64,{b64(PNG)}")
    for image in (b64(PNG), f"data:image/jpeg;base64,{b64(PNG)}", f"{pictures}/a.png"):
        status, _ = await bench.ask(model="sees", image=image)
        assert 200 == status
        first, second = sent_parts(bench)
        assert expected == first
        assert "你好" in second.text


async def test_a_film_comes_the_same_ways(open_bench, pictures):
    """As base64 and by its address."""
    bench = await open_bench(cards=CARDS, fetch={"allow_hosts": ["127.0.0.1"]})
    for video in (b64(MP4), f"{pictures}/a.mp4"):
        status, _ = await bench.ask(model="sees", video=video)
        assert 200 == status
        assert VideoPart(f"data:video/mp4;base64,{b64(MP4)}") == sent_parts(bench)[0]


async def test_models_without_eyes_refuse_by_name(open_bench):
    """445 that names the field and a model that can, on both APIs; a model of which nothing is known is believed."""
    bench = await open_bench(cards=CARDS)
    status, answer = await bench.ask(model="blind", image=b64(PNG))
    assert 445 == status
    assert "image" in answer["msg"]
    assert "sees" in answer["msg"]
    status, answer = await bench.ask(model="blind", video=b64(MP4))
    assert (445, True) == (status, "video" in answer["msg"])
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{b64(PNG)}"}}
    messages = [{"role": "user", "content": [picture, {"type": "text", "text": "看"}]}]
    status, answer = await bench.chat(model="blind", messages=messages)
    assert 400 == status
    assert "takes no pictures" in answer["error"]["message"]
    assert [] == bench.provider.requests
    status, _ = await bench.ask(model="unheard-of", image=b64(PNG))
    assert 200 == status


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"image": b64(b"MZ" + bytes(60))}, "image"),
        ({"image": "data:image/png;base64," + b64(b"\x7fELF" + bytes(60))}, "no picture"),
        ({"image": "data:image/png;base64,***"}, "base64"),
        ({"image": "data:image/png,plain"}, "base64"),
        ({"image": f"data:image/png;base64,{b64(MP4)}"}, "no picture"),
        ({"video": f"data:video/mp4;base64,{b64(PNG)}"}, "no film"),
        ({"image": "/etc/passwd"}, "image"),
        ({"image": "file:///etc/passwd"}, "image"),
        ({"image": "http://127.0.0.1/a.png"}, "no public host"),
        ({"image": "http://169.254.169.254/latest/meta-data/"}, "no public host"),
        ({"image": "http://[::ffff:10.0.0.1]/"}, "no public host"),
        ({"image": "https://user:geheim@1.1.1.1/"}, "name or password"),
    ],
)
async def test_what_is_no_picture_is_refused(open_bench, fields, says):
    """By its content and not by what it calls itself; no path of the server and no address of the house is opened."""
    bench = await open_bench(cards=CARDS)
    status, answer = await bench.ask(model="sees", **fields)
    assert 445 == status
    assert says in answer["msg"]
    assert "geheim" not in answer["msg"]
    assert [] == bench.provider.requests


async def test_a_large_picture_is_refused(open_bench):
    """The limit of the settings holds for data as for addresses."""
    bench = await open_bench(cards=CARDS, fetch={"max_bytes": 2000})
    status, answer = await bench.ask(model="sees", image=b64(PNG + bytes(3000)))
    assert 445 == status
    assert "2000" in answer["msg"]


async def test_a_page_that_calls_itself_a_picture_is_refused(open_bench, pictures):
    """What an address gives is looked at as well."""
    bench = await open_bench(cards=CARDS, fetch={"allow_hosts": ["127.0.0.1"]})
    status, answer = await bench.ask(model="sees", image=f"{pictures}/lies.png")
    assert (445, True) == (status, "no picture" in answer["msg"])


async def test_v1_leaves_addresses_to_vendors_that_take_them(open_bench, pictures):
    """On /v1 an address goes out as it came; for a vendor that takes none it is fetched, behind the same guard."""
    bench = await open_bench(cards=CARDS, fetch={"allow_hosts": ["127.0.0.1"]})

    async def ask(url):
        picture = {"type": "image_url", "image_url": {"url": url, "detail": "low"}}
        messages = [{"role": "user", "content": [picture, {"type": "text", "text": "看"}]}]
        return await bench.chat(model="sees", messages=messages)

    assert 200 == (await ask("https://x.test/a.png"))[0]
    assert ImagePart("https://x.test/a.png", "low") == sent_parts(bench)[0]
    type(bench.provider).takes_addresses = False
    try:
        assert 200 == (await ask(f"{pictures}/a.png"))[0]
        assert ImagePart(f"data:image/png;base64,{b64(PNG)}", "low") == sent_parts(bench)[0]
        assert 400 == (await ask("http://10.0.0.1/a.png"))[0]
    finally:
        del type(bench.provider).takes_addresses
