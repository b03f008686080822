"""The SDK's files: uploaded with a progress, asked about, listed, deleted; over HTTP and embedded, sync and async."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

import fengchao_zhipu
from fengchao import FengChao, FengChaoAsync, Progress
from fengchao_core import Gateway, MemoryStore, Settings
from fengchao_core.testing import run_app
from fengchao_server.listening import bind
from fengchao_server.serving import serving

MODEL = "glm-z1-air"


@asynccontextmanager
async def gateway_of(tmp_path):
    """A gateway before a vendor's sandbox."""
    async with run_app(fengchao_zhipu.SANDBOX.build()) as base:
        tree = {
            "providers": {"zhipu": fengchao_zhipu.SANDBOX.settings(base)},
            "home": tmp_path / "home",
            "store": {"url": "memory:"},
            "files": {"max_file_bytes": 3_000_000},
        }
        settings = Settings.model_validate(tree)
        async with Gateway.open(settings, store=MemoryStore()) as gateway:
            yield gateway, settings


@asynccontextmanager
async def served_at(tmp_path):
    """Arguments of a client of a running server."""
    async with AsyncExitStack() as stack:
        gateway, settings = await stack.enter_async_context(gateway_of(tmp_path))
        served = await stack.enter_async_context(
            serving(settings, bind("127.0.0.1", 0), gateway=gateway)
        )
        key = await served.keyring.create("sdk")
        yield {"api_key": key.api_key, "secret_key": key.secret_key, "base_url": served.url}


@pytest.fixture
async def over_http(tmp_path):
    """As `served_at`."""
    async with served_at(tmp_path) as arguments:
        yield arguments


@pytest.fixture(params=["remote", "embedded"])
async def client(request, tmp_path):
    """An async client, both ways."""
    if request.param == "remote":
        async with served_at(tmp_path) as arguments, FengChaoAsync(**arguments) as opened:
            yield opened
    else:
        async with gateway_of(tmp_path) as (gateway, _), FengChaoAsync(gateway=gateway) as opened:
            yield opened


@pytest.fixture
def papers(tmp_path):
    """Two local files, of which one is longer than a piece."""
    first, second = tmp_path / "报告 %41.txt", tmp_path / 'b"x.md'
    first.write_text("蜜蜂六百只", "utf-8")
    second.write_text("long line\n" * 100_000, "utf-8")
    return [first, second]


async def test_files_live_through_the_sdk(client, papers):
    """Uploaded in order with their names, used by path and by id, listed, deleted."""
    seen = []
    result = await client.upload_files(papers, progress=seen.append)
    assert (200, "执行成功") == (result.status, result.msg)
    cards = result.data.data
    assert [paper.name for paper in papers] == [card.name for card in cards]
    assert [paper.stat().st_size for paper in papers] == [card.size for card in cards]
    total = sum(card.size for card in cards)
    assert Progress(papers[1].name, total, total) == seen[-1]
    assert [p.sent for p in seen] == sorted({p.sent for p in seen})
    assert len(seen) > 4
    answer = await client.chat(MODEL, query="几只？", files=[cards[0].id, str(papers[0])])
    assert 200 == answer.status
    listed = (await client.files()).data.data
    assert 3 == len(listed)
    assert {card.id for card in cards} < {card.id for card in listed}
    assert 200 == (await client.delete_file(cards[0].id)).status
    assert 2 == len((await client.files()).data.data)
    refused = await client.chat(MODEL, query="几只？", files=cards[0].id)
    assert (445, True) == (refused.status, "不存在" in refused.msg)
    assert 445 == (await client.delete_file(cards[0].id)).status


async def test_a_bad_file_takes_the_good_ones_with_it(client, papers, tmp_path):
    """All or none, with the reason; nothing is kept."""
    bad = tmp_path / "bad.pdf"
    bad.write_bytes(b"MZ" + bytes(100))
    result = await client.upload_files([*papers, bad])
    assert 445 == result.status
    assert "bad.pdf" in result.msg
    assert [] == (await client.files()).data.data


async def test_large_and_missing_files(client, tmp_path):
    """Too large is 413; a path that is none is told before anything is sent, without the path."""
    large = tmp_path / "large.txt"
    large.write_bytes(b"x" * 3_000_001)
    assert 413 == (await client.upload_files(large)).status
    missing = await client.upload_files(tmp_path / "none.txt")
    assert (445, False) == (missing.status, str(tmp_path) in missing.msg)


async def test_the_sync_client_and_its_bar(over_http, papers, capsys):
    """The sync client does the same; a bar is drawn on terminals only."""

    def work():
        with FengChao(**over_http) as client:
            uploaded = client.upload_files(str(papers[0]), progress=True)
            (card,) = uploaded.data.data
            answer = client.chat(MODEL, query="几只？", files=[card.id])
            (listed,) = client.files().data.data
            return card, answer.status, listed, client.delete_file(card.id).status

    card, status, listed, deleted = await asyncio.to_thread(work)
    assert (card, 200, 200) == (listed, status, deleted)
    assert "" == capsys.readouterr().err


def test_the_bar_draws_itself(monkeypatch):
    """On a terminal: in place, once per percent, and a new line at the end."""
    import io
    import sys

    from fengchao import TerminalBar

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    bar = TerminalBar()
    for sent in (0, 1, 500, 1000):
        bar(Progress("a.txt", sent, 1000))
    text = terminal.getvalue()
    assert 3 == text.count("\r")
    assert text.endswith("\n")
    assert "100%" in text
