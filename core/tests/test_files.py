"""Files in the core: what they are, whether they are safe, and what happens to their bytes."""

import asyncio
import os
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fengchao_core import Caller, MemoryStore
from fengchao_core.errors import FileRefused, LimitExceeded, ProviderUnavailable
from fengchao_core.files import ANYBODY, Files, clean_name
from fengchao_core.files.blobs import FolderBlobs
from fengchao_core.files.copies import Copies
from fengchao_core.files.inspection import inspect
from fengchao_core.files.kinds import KINDS, decode_text, tell_media
from fengchao_core.files.reading import Reading
from fengchao_core.settings import FileSettings
from fengchao_core.testing import FakeClock

ALICE = Caller("alice", "alice")
STARTS = [
    b"%PDF-1.7", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff", b"RIFF1234WEBP", b"BM", b"\0\0\0\x18ftypisom",
    b"\x1a\x45\xdf\xa3", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"<html>", b"\xff\xfe", b"\xef\xbb\xbf", b"", b"PK\x05\x06",
]  # fmt: skip


def service(tmp_path, clock=None, store=None, **more):
    """A service of files over a folder, and a store that forgets."""
    store = store or MemoryStore()
    options = FileSettings(**more)
    blobs = FolderBlobs(tmp_path / "files")
    return Files(
        options,
        store.files,
        blobs,
        reading=Reading(options, ()),
        copies=Copies(store.files, blobs, {}),
        clock=clock or FakeClock(),
    )


def left(tmp_path):
    folder = tmp_path / "files"
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(STARTS), st.binary(max_size=300), st.text(max_size=20))
def test_any_bytes_are_told_or_refused(tmp_path, start, rest, name):
    """Whatever a file holds and is called, it has a kind or is refused; nothing else is raised."""
    path = tmp_path / "content"
    path.write_bytes(start + rest)
    try:
        kind = inspect(path, name)
    except FileRefused:
        return
    assert KINDS[kind.name] is kind


@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"])),
    st.sampled_from(["utf-8", "utf-16", "utf-8-sig"]),
)
def test_texts_are_read_in_their_encoding(text, encoding):
    """What was written is read; a byte order mark is no part of it."""
    assert text.removeprefix("\ufeff") == decode_text(text.encode(encoding)).removeprefix("\ufeff")


def test_a_chinese_text_of_the_older_kind_is_read():
    """GB 18030, also where it was cut within a character."""
    raw = "蜜蜂六百只".encode("gb18030")
    assert "蜜蜂六百只" == decode_text(raw)
    assert "蜜蜂六百" == decode_text(raw[:-1], is_whole=False)
    assert decode_text(b"\x00\x01\x02\x03") is None


@given(st.text(max_size=400))
def test_names_are_always_usable(name):
    """No path, no control character, never empty, never too long; cleaning it again changes nothing."""
    clean = clean_name(name)
    assert 0 < len(clean) <= 200
    assert not set(clean) & set("/\\\r\n\0")
    assert clean.strip(".")
    assert clean == clean_name(clean)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(8), "png"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "webp"),
        (b"BM" + bytes(12) + b"\x28\0\0\0" + bytes(20), "bmp"),
        (b"BM is how this text begins, and it is long enough", None),
        (b"\0\0\0\x14ftypqt  " + bytes(8), "mov"),
        (b"\x1a\x45\xdf\xa3" + bytes(20) + b"webm", "webm"),
        (b"\x1a\x45\xdf\xa3" + bytes(20) + b"matroska", None),
    ],
)
def test_media_are_told_by_their_first_bytes(head, kind):
    """By signatures that texts do not have by chance."""
    told = tell_media(head)
    assert kind == (told.name if told else None)


async def test_bytes_are_written_as_they_come(tmp_path):
    """In pieces, for the owner's eyes alone; too much of it or a break leaves nothing."""
    blobs = FolderBlobs(tmp_path / "files")

    async def pieces(count, fails=False):
        for _ in range(count):
            yield bytes(100_000)
        if fails:
            raise ConnectionError

    written = await blobs.write("a", pieces(10), most_bytes=1_000_000)
    assert 1_000_000 == written.size_bytes
    assert 0o600 == (tmp_path / "files" / "a").stat().st_mode & 0o777
    assert 0o700 == (tmp_path / "files").stat().st_mode & 0o777
    with pytest.raises(FileRefused) as caught:
        await blobs.write("b", pieces(11), most_bytes=1_000_000)
    assert "too_large" == caught.value.reason
    with pytest.raises(ConnectionError):
        await blobs.write("c", pieces(3, fails=True), most_bytes=1_000_000)
    assert ["a"] == left(tmp_path)


async def test_an_upload_that_is_cancelled_leaves_nothing(tmp_path):
    """Its caller hung up in the middle."""
    files = service(tmp_path)
    begun, never = asyncio.Event(), asyncio.Event()

    async def slow():
        yield b"beginning"
        begun.set()
        await never.wait()

    task = asyncio.create_task(files.add("a.txt", slow(), caller=ALICE))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [] == left(tmp_path)
    assert () == await files.all(ALICE)


async def test_quotas_are_checked_before_a_byte_is_read(tmp_path):
    """A caller that has enough already uploads nothing."""
    files = service(tmp_path, per_key_files=1, anonymous_files=1)
    for caller in (ALICE, ANYBODY):
        await files.add("a.txt", b"x", caller=caller)

        async def untouched():
            pytest.fail("it was read")
            yield b""

        with pytest.raises(LimitExceeded):
            await files.add("b.txt", untouched(), caller=caller)


async def test_bytes_that_nobody_knows_of_go_in_the_end(tmp_path):
    """What a crash left behind is deleted long after any file would have expired; what is younger stays."""
    files = service(tmp_path, ttl_s=10)
    record = await files.add("a.txt", b"x", caller=ALICE)
    stray = tmp_path / "files" / "file-stray.part"
    stray.write_bytes(b"half")
    long_ago = time.time() - 86_400 - 60
    os.utime(stray, (long_ago, long_ago))
    assert 0 == await files.sweep()
    assert [record.id, f"{record.id}.text"] == left(tmp_path)


class Vendor:
    """A vendor that reads files, and may be away."""

    chat_purpose = "read"

    def __init__(self):
        self.kept = {}
        self.is_away = False

    async def upload(self, filename, content, *, purpose):
        await asyncio.sleep(0)
        self.kept[f"v{len(self.kept)}"] = (filename, content, purpose)
        return f"v{len(self.kept) - 1}"

    async def delete(self, file_id):
        if self.is_away:
            raise ProviderUnavailable("away")
        del self.kept[file_id]


async def test_a_vendor_that_is_away_is_asked_again_and_given_up_at_last(tmp_path):
    """The bytes here go at once; where the copy is stays known, until a day has passed."""
    clock, store, vendor = FakeClock(), MemoryStore(), Vendor()
    blobs = FolderBlobs(tmp_path / "files")
    copies = Copies(store.files, blobs, {"vendor": vendor})
    options = FileSettings(ttl_s=10)
    reading = Reading(options, ())
    files = Files(options, store.files, blobs, reading=reading, copies=copies, clock=clock)
    first = await files.add("a.txt", b"a", caller=ALICE)
    second = await files.add("b.txt", b"b", caller=ALICE)
    await copies.ids([first, second], "vendor", vendor)
    clock.advance(11)
    vendor.is_away = True
    assert 0 == await files.sweep()
    assert [] == left(tmp_path)
    assert 2 == len(await store.files.expired(clock.now(), 10))
    vendor.is_away = False
    assert 2 == await files.sweep()
    assert {} == vendor.kept
    third = await files.add("c.txt", b"c", caller=ALICE)
    await copies.ids([third], "vendor", vendor)
    vendor.is_away = True
    await files.delete(third.id, ALICE)
    assert () == await files.all(ALICE)
    clock.advance(86_402)
    assert 1 == await files.sweep()
    assert () == await store.files.expired(clock.now(), 10)


async def test_one_file_is_uploaded_to_a_vendor_once(tmp_path):
    """However many questions about it begin at the same time."""
    store, vendor = MemoryStore(), Vendor()
    files = service(tmp_path, store=store)
    copies = Copies(store.files, FolderBlobs(tmp_path / "files"), {"vendor": vendor})
    record = await files.add("a.txt", b"a", caller=ALICE)
    found = await asyncio.gather(*(copies.ids([record], "vendor", vendor) for _ in range(20)))
    assert [{record.id: "v0"}] * 20 == [ids for ids, _ in found]
    assert {"v0": ("a.txt", b"a", "read")} == vendor.kept


async def test_documents_need_a_reader(tmp_path):
    """Where no plugin reads the kind, that is said."""
    with pytest.raises(FileRefused, match="fengchao-documents") as caught:
        await service(tmp_path).add("a.pdf", b"%PDF-1.7\n", caller=ALICE)
    assert ("no_reader", "a.pdf") == (caught.value.reason, caught.value.filename)
    assert [] == left(tmp_path)


async def test_a_long_text_is_read_to_the_limit(tmp_path):
    """And the record says that there was more; not all of it is ever in memory."""
    files = service(tmp_path, max_text_chars=1000)
    record = await files.add("a.txt", ("字" * 3000).encode(), caller=ALICE)
    assert (1000, True) == (record.chars, record.is_cut)
    (opened,) = await files.open([record.id], ALICE)
    assert "字" * 1000 == opened.text
