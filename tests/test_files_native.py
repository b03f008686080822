"""Files of a question at vendors that read files: given as they are, kept per file, deleted with it."""

from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

import fengchao_moonshot
import fengchao_zhipu
from fengchao_core import Caller, ChatCall, Gateway, MemoryStore, Settings
from fengchao_core.errors import UnknownFile
from fengchao_core.testing import FakeClock, open_provider, run_app

VENDORS = {
    "moonshot": (fengchao_moonshot, "moonshot-v1-32k"),
    "zhipu": (fengchao_zhipu, "glm-4-plus"),
}
ALICE, BOB = Caller("alice", "alice"), Caller("bob", "bob")


@asynccontextmanager
async def opened(name, tmp_path, clock, **more):
    """A gateway before the vendor's sandbox, and a look at the files that the vendor has."""
    plugin, model = VENDORS[name]
    async with run_app(plugin.SANDBOX.build()) as base:
        settings = plugin.SANDBOX.settings(base)
        tree = {
            "providers": {name: settings},
            "home": tmp_path,
            "retry": {"attempts": 1},
            "files": {"ttl_s": 3600},
            **more,
        }
        async with (
            Gateway.open(
                Settings.model_validate(tree), store=MemoryStore(), clock=clock
            ) as gateway,
            open_provider(plugin.SPEC, settings) as vendor,
        ):
            yield gateway, model, vendor


def call(model, *files):
    return ChatCall(model=model, query="几只？", files=tuple(files))


@pytest.mark.parametrize("name", VENDORS)
async def test_the_vendor_gets_the_file_once(name, tmp_path):
    """Uploaded with the first question, used again by the next, and deleted when the file expires."""
    clock = FakeClock()
    async with opened(name, tmp_path, clock) as (gateway, model, vendor):
        file = await gateway.files.add("蜂.txt", "蜜蜂六百只".encode(), caller=ALICE)
        assert () == await vendor.list_files()
        for _ in range(2):
            answer = await gateway.chat(call(model, file.id), caller=ALICE)
            assert answer.text
            assert () == answer.notes
        (kept,) = await vendor.list_files()
        assert ("蜂.txt", "file-extract") == (kept.filename, kept.purpose)
        clock.advance(3601)
        with pytest.raises(UnknownFile):
            await gateway.chat(call(model, file.id), caller=ALICE)
        assert 1 == await gateway.files.sweep()
        assert () == await vendor.list_files()
        assert 0 == await gateway.files.sweep()


@pytest.mark.parametrize("name", VENDORS)
async def test_copies_are_per_owner(name, tmp_path):
    """Two callers with the same bytes have a copy each; deleting one leaves the other's."""
    async with opened(name, tmp_path, FakeClock()) as (gateway, model, vendor):
        mine = await gateway.files.add("a.txt", b"same", caller=ALICE)
        yours = await gateway.files.add("a.txt", b"same", caller=BOB)
        await gateway.chat(call(model, mine.id), caller=ALICE)
        await gateway.chat(call(model, yours.id), caller=BOB)
        assert 2 == len(await vendor.list_files())
        with pytest.raises(UnknownFile):
            await gateway.chat(call(model, mine.id), caller=BOB)
        await gateway.files.delete(mine.id, ALICE)
        assert 1 == len(await vendor.list_files())
        await gateway.chat(call(model, yours.id), caller=BOB)


@pytest.mark.parametrize("name", VENDORS)
async def test_a_copy_that_the_vendor_forgot_is_made_anew(name, tmp_path):
    """Vendors delete files on their own; the question is answered all the same."""
    async with opened(name, tmp_path, FakeClock()) as (gateway, model, vendor):
        file = await gateway.files.add("a.txt", b"bees", caller=ALICE)
        await gateway.chat(call(model, file.id), caller=ALICE)
        (old,) = await vendor.list_files()
        await vendor.delete(old.id)
        assert (await gateway.chat(call(model, file.id), caller=ALICE)).text
        (new,) = await vendor.list_files()
        assert old.id != new.id


async def test_a_file_that_the_vendor_does_not_take_goes_as_text(tmp_path):
    """And the answer says so."""
    async with opened("zhipu", tmp_path, FakeClock()) as (gateway, model, vendor):
        file = await gateway.files.add("a.json", b'{"bees": 600}', caller=ALICE)
        answer = await gateway.chat(call(model, file.id), caller=ALICE)
        assert ["does not take these files" in note for note in answer.notes] == [True]
        assert () == await vendor.list_files()


@pytest.mark.parametrize("name", VENDORS)
async def test_what_is_screened_or_cut_goes_as_text(name, tmp_path):
    """A file with starred words is never given to the vendor as it is."""
    words = tmp_path / "words.txt"
    words.write_text("违禁词\n", "utf-8")
    more = {"sensitive": {"wordlists": [str(words)]}}
    async with opened(name, tmp_path, FakeClock(), **more) as (gateway, model, vendor):
        file = await gateway.files.add("a.txt", "有违禁词".encode(), caller=ALICE)
        asked = ChatCall(model=model, query="?", files=(file.id,), sensitive_replace=True)
        assert (await gateway.chat(asked, caller=ALICE)).text
        assert () == await vendor.list_files()


async def test_models_without_files_get_text(tmp_path):
    """A model whose card does not have `files` is sent the text, at the same vendor."""
    async with opened("zhipu", tmp_path, FakeClock()) as (gateway, _, vendor):
        file = await gateway.files.add("a.txt", b"bees", caller=ALICE)
        await gateway.chat(call("glm-z1-air", file.id), caller=ALICE)
        assert () == await vendor.list_files()


async def test_nobodys_files_last_shortly(tmp_path):
    """A file without an owner expires soon; once claimed, it lasts as any other."""
    from fengchao_core.files import ANYBODY

    clock = FakeClock()
    async with opened("zhipu", tmp_path, clock) as (gateway, model, _):
        lost = await gateway.files.add("a.txt", b"lost", caller=ANYBODY)
        kept = await gateway.files.add("b.txt", b"kept", caller=ANYBODY)
        await gateway.chat(call(model, kept.id), caller=ALICE)
        assert timedelta(seconds=600) == lost.expires_at - lost.created_at
        clock.advance(601)
        assert 1 == await gateway.files.sweep()
        (mine,) = await gateway.files.all(ALICE)
        assert kept.id == mine.id
        assert () == await gateway.files.all(ANYBODY)
        with pytest.raises(UnknownFile):
            await gateway.files.delete(lost.id, ALICE)
