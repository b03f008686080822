"""Files over HTTP: uploaded with and without a key, asked about, listed, deleted; each its owner's alone."""

import io
import random
import zipfile

import pytest
from aiohttp import FormData

from fengchao_core.types import ImagePart, ModelCard

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
CARDS = (
    ModelCard(id="m", owned_by="T", capabilities=frozenset({"vision"})),
    ModelCard(id="blind", owned_by="T"),
    ModelCard(id="small", owned_by="T", max_input_tokens=600),
)


def form_of(*files):
    form = FormData(quote_fields=False)
    for name, content in files:
        form.add_field("files", content, filename=name, content_type="application/octet-stream")
    return form


async def upload(bench, *files, headers=None, path="/aigc/uploadfiles/"):
    sent = bench.bearer if headers is None else headers
    async with bench.client.post(path, data=form_of(*files), headers=sent) as response:
        return response.status, await response.json()


async def listed(bench, headers=None):
    async with bench.client.get("/aigc/files/", headers=headers or bench.bearer) as response:
        assert 200 == response.status
        return (await response.json())["data"]


async def delete(bench, file_id, headers=None):
    sent = headers or bench.bearer
    async with bench.client.delete(f"/aigc/files/{file_id}", headers=sent) as response:
        return response.status, await response.json()


async def another_key(bench):
    key = await bench.served.keyring.create("another")
    return {"Authorization": f"Bearer {key.token}"}


def left(tmp_path):
    folder = tmp_path / "files"
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


@pytest.fixture
async def bench(open_bench):
    """A server whose models see, do not, and take little."""
    return await open_bench(cards=CARDS)


async def test_files_are_uploaded_and_asked_about(bench):
    """Several at once; their text stands before the question, with their names; the answer is the product's."""
    status, answer = await upload(
        bench, ("甲.txt", "蜜蜂六百只".encode()), ("b.md", b"# Title\r\nbees")
    )
    assert (200, 200, "执行成功") == (status, answer["status"], answer["msg"])
    first, second = answer["files"]
    status, _ = await bench.ask(model="m", files=[first, second], query="几只？")
    assert 200 == status
    text = bench.provider.requests[-1].messages[-1].text
    assert text.endswith("\n\n几只？")
    for piece in ("甲.txt", "蜜蜂六百只", "b.md", "# Title\nbees"):
        assert piece in text


async def test_a_file_has_its_card(bench):
    """Listed newest first, with name, kind, size and times; opaque names that tell nothing of the file."""
    _, one = await upload(bench, ("one.txt", b"one"))
    _, two = await upload(bench, ("two.png", PNG))
    cards = await listed(bench)
    assert [two["files"][0], one["files"][0]] == [card["id"] for card in cards]
    assert ("one.txt", "text", 3, 3) == tuple(
        cards[1][k] for k in ("name", "kind", "size", "chars")
    )
    assert ("two.png", "png", len(PNG), None) == tuple(
        cards[0][k] for k in ("name", "kind", "size", "chars")
    )
    assert "one" not in cards[1]["id"]
    assert cards[0]["created"] < cards[0]["expires"]


async def test_a_file_without_a_key_is_the_first_users(bench):
    """As the published SDKs upload: no header. The key that uses it first owns it from then on, nobody else."""
    status, answer = await upload(bench, ("a.txt", b"hello"), headers={})
    assert 200 == status
    (file_id,) = answer["files"]
    assert [] == await listed(bench)
    assert 200 == (await bench.ask(model="m", files=file_id))[0]
    assert [file_id] == [card["id"] for card in await listed(bench)]
    other = await another_key(bench)
    async with bench.client.post(
        "/aigc/chat/", json={"model": "m", "query": "q", "files": [file_id]}, headers=other
    ) as response:
        assert 445 == response.status
    assert 445 == (await delete(bench, file_id, other))[0]


async def test_files_are_their_owners_alone(bench):
    """To another key a file is not there: not to use, to see or to delete."""
    _, answer = await upload(bench, ("a.txt", b"secret"))
    (file_id,) = answer["files"]
    other = await another_key(bench)
    assert [] == await listed(bench, other)
    status, refused = await delete(bench, file_id, other)
    unknown = await delete(bench, "file-" + "x" * 32, other)
    assert (status, refused) == unknown
    assert 445 == status
    assert "不存在" in refused["msg"]
    assert 200 == (await bench.ask(model="m", files=[file_id]))[0]


async def test_a_deleted_file_is_gone(bench, tmp_path):
    """From the list, from chats and from the disk."""
    _, answer = await upload(bench, ("a.txt", b"hello"), ("b.txt", b"you"))
    first, second = answer["files"]
    assert [first, f"{first}.text", second, f"{second}.text"] == sorted(
        left(tmp_path), key=lambda name: (second in name, name)
    )
    assert (200, {"status": 200, "msg": "执行成功"}) == await delete(bench, first)
    assert [second] == [card["id"] for card in await listed(bench)]
    assert sorted([second, f"{second}.text"]) == left(tmp_path)
    status, answer = await bench.ask(model="m", files=[first])
    assert (445, True) == (status, "不存在" in answer["msg"])
    assert 445 == (await delete(bench, first))[0]


async def test_a_picture_among_files_is_shown(bench):
    """As a picture, where the model can look at it; else the same refusal as for `image`."""
    _, answer = await upload(bench, ("a.png", PNG), ("a.txt", b"text"))
    assert 200 == (await bench.ask(model="m", files=answer["files"]))[0]
    kinds = [type(part).__name__ for part in bench.provider.requests[-1].messages[-1].content]
    assert ["TextPart", "ImagePart", "TextPart"] == kinds
    assert isinstance(bench.provider.requests[-1].messages[-1].content[1], ImagePart)
    status, refused = await bench.ask(model="blind", files=answer["files"])
    assert (445, True) == (status, "takes no pictures" in refused["msg"])


async def test_a_long_file_is_cut_to_the_window_and_said_so(bench):
    """What fits of it, and a note of how much that was."""
    _, answer = await upload(bench, ("long.txt", ("长" * 5000).encode()))
    status, said = await bench.ask(model="small", system="", files=answer["files"])
    assert 200 == status
    sent = bench.provider.requests[-1].messages[-1].text
    assert 300 < sent.count("长") < 900
    assert sent.endswith("你好")
    assert "long.txt" in said["notes"][0]


async def test_words_in_files_are_screened(open_bench, tmp_path):
    """A file's text passes the filter like any other: refused, or starred where the caller wants that."""
    words = tmp_path / "words.txt"
    words.write_text("违禁词\n", "utf-8")
    bench = await open_bench(cards=CARDS, sensitive={"wordlists": [str(words)]})
    _, answer = await upload(bench, ("a.txt", "这里有违禁词。".encode()))
    status, refused = await bench.ask(model="m", files=answer["files"])
    assert (200, 6601) == (status, refused["status"])
    assert [] == bench.provider.requests
    await bench.ask(model="m", files=answer["files"], sensitive_replace=True)
    assert "这里有***。" in bench.provider.requests[-1].messages[-1].text
    await bench.ask(model="m", files=answer["files"], is_sensitive=False)
    assert "违禁词" in bench.provider.requests[-1].messages[-1].text


def zip_of(**parts):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name.replace("__", "/"), content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", b"", "空的"),
        ("blank.txt", b" \n\t", "没有可读的文字"),
        ("a.exe", b"MZ\x90\x00" + bytes(100), "不支持的文件类型"),
        ("a.txt", b"\x7fELF\x02" + bytes(100), "不支持的文件类型"),
        ("a.png", b"\x89PNG and no more", "不符"),
        ("a.pdf", b"just text", "不符"),
        ("a.txt", PNG, "不符"),
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "旧版 Office"),
        ("a.zip", zip_of(a="x"), "不支持的文件类型"),
        ("a.docx", b"PK\x03\x04 broken", "损坏"),
        ("a.docx", zip_of(**{"[Content_Types].xml": "x", "../../etc": "x"}), "不安全"),
        ("a.docx", zip_of(**{"[Content_Types].xml": "x", "word__document.xml": bytes(300_000_000)}), "不安全"),
        ("a.txt", zip_of(a="x") + b"tail", "不安全"),
        ("a.txt", b"\x01\x02\x03\x04\x05" * 50, "类型"),
    ],
)  # fmt: skip
async def test_hostile_and_wrong_files_are_refused(bench, tmp_path, name, content, says):
    """Each with its reason and its name, whatever comes beside it; nothing of the upload is kept."""
    status, answer = await upload(bench, ("good.txt", b"good"), (name, content))
    assert (445, 445) == (status, answer["status"])
    assert says in answer["msg"]
    assert name in answer["msg"]
    assert [] == left(tmp_path)
    assert [] == await listed(bench)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\x\\报告.txt", "报告.txt"),
        ("a%0D%0Ab\u202e%00.txt", "ab.txt"),
        ("..", "file"),
        ("x" * 500 + ".txt", "x" * 183 + ".txt"),
    ],
)
async def test_names_are_only_names(bench, tmp_path, name, shown):
    """A path in a name leads nowhere, and no name is a path on the disk."""
    _, answer = await upload(bench, (name, b"content"))
    (card,) = await listed(bench)
    assert shown == card["name"]
    assert all(entry.startswith(answer["files"][0]) for entry in left(tmp_path))


async def test_limits(open_bench, tmp_path):
    """Of size (413), of number in one upload, of number and bytes of a key (429), each answered in words."""
    bench = await open_bench(
        cards=CARDS,
        files={"max_file_bytes": 1000, "max_files": 2, "per_key_files": 3, "per_key_bytes": 2000},
    )
    status, answer = await upload(bench, ("big.txt", b"x" * 1001))
    assert (413, 413, True) == (status, answer["status"], "1000" in answer["msg"])
    status, answer = await upload(bench, *[(f"{n}.txt", b"x") for n in range(3)])
    assert (445, True) == (status, "文件过多" in answer["msg"])
    assert [] == left(tmp_path)
    assert 200 == (await upload(bench, ("a.txt", b"x" * 900), ("b.txt", b"x" * 900)))[0]
    assert 429 == (await upload(bench, ("c.txt", b"x" * 900)))[0]
    assert 200 == (await upload(bench, ("c.txt", b"x")))[0]
    assert 429 == (await upload(bench, ("d.txt", b"x")))[0]
    ids = [card["id"] for card in await listed(bench)]
    status, answer = await bench.ask(model="m", files=ids)
    assert (445, True) == (status, "文件过多" in answer["msg"])


async def test_uploads_can_be_closed(open_bench):
    """To strangers, or to all."""
    bench = await open_bench(cards=CARDS, files={"anonymous": False})
    assert 445 == (await upload(bench, ("a.txt", b"x"), headers={}))[0]
    assert 200 == (await upload(bench, ("a.txt", b"x")))[0]
    bench = await open_bench(cards=CARDS, files={"enabled": False})
    status, answer = await upload(bench, ("a.txt", b"x"))
    assert (445, True) == (status, "不接受" in answer["msg"])


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b"nothing of the kind"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nv\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nhalf'),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\nContent-Encoding: gzip\r\n\r\nx\r\n--x--\r\n',
        ),
        ("multipart/form-data; boundary=" + "y" * 200, b"--" + b"y" * 200),
    ],
)  # fmt: skip
async def test_broken_forms_are_refused(bench, tmp_path, kind, body):
    """Whatever is no form with a file in it is 445, never worse, and leaves nothing behind."""
    headers = {**bench.bearer, "Content-Type": kind}
    async with bench.client.post("/aigc/uploadfiles/", data=body, headers=headers) as response:
        answer = await response.json()
        assert (445, 445) == (response.status, answer["status"])
    assert [] == left(tmp_path)


@pytest.mark.filterwarnings("ignore::Warning:aiohttp.multipart")
async def test_no_form_breaks_the_server(bench, tmp_path):
    """Hundreds of forms put together from pieces at random: each is taken or refused, none is an incident."""
    pieces = [
        b"--x", b"--x--", b"--y", b"\r\n", b"\n", b"\r\n\r\n", b": ", b"\0\xff", b"hello", b"A" * 9000, b"H: " + b"v" * 9000,
        b'Content-Disposition: form-data; name="files"; filename="a.txt"', b"Content-Disposition: ;;;",
        b"Content-Disposition: form-data; filename*=utf-8''%ff%fe", b"Content-Type: multipart/mixed; boundary=y",
        b"Content-Type: text/plain; charset=nonsense", b"Content-Length: -5", b"Content-Length: abc",
        b"Content-Transfer-Encoding: base64", b"Content-Encoding: deflate",
    ]  # fmt: skip
    chance = random.Random(7)
    headers = {**bench.bearer, "Content-Type": "multipart/form-data; boundary=x"}
    for _ in range(300):
        picked = chance.choices(pieces, k=chance.randint(0, 12))
        body = b"--x\r\n" + b"".join(p + b"\r\n" * chance.randint(0, 1) for p in picked)
        async with bench.client.post("/aigc/uploadfiles/", data=body, headers=headers) as response:
            answer = await response.json()
            assert response.status in {200, 413, 445}, (body, answer)
    assert all(name.startswith("file-") for name in left(tmp_path))


async def test_a_wrong_key_is_no_stranger(bench):
    """A key that is not good is refused, not taken for none."""
    status, _ = await upload(bench, ("a.txt", b"x"), headers={"Authorization": "Bearer nonsense"})
    assert 401 == status
