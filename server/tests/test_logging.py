"""What the process logs: one line per request, never a secret, never a text."""

import asyncio
import logging
import os

import orjson
import pytest
import structlog

from fengchao_core.settings import LogSettings
from fengchao_server.lines import say
from fengchao_server.logging import configure_logging


@pytest.fixture
def log_lines(tmp_path):
    """Logging into a file; a function that gives the lines so far, parsed."""
    path = tmp_path / "log"
    stream = os.open(path, os.O_WRONLY | os.O_CREAT)
    before, handlers = structlog.get_config(), logging.getLogger().handlers[:]
    level = logging.getLogger().level
    writer = configure_logging(LogSettings(level="debug"), stream=stream)
    structlog.configure(cache_logger_on_first_use=False)

    def lines():
        writer.flush()
        return [orjson.loads(line) for line in path.read_bytes().splitlines()]

    lines.writer = writer
    yield lines
    os.close(stream)
    structlog.configure(**before)
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


async def test_one_line_per_request(bench, log_lines):
    """A request leaves one info line with who, what, how it ended and how long it took; no text of anybody."""
    await bench.chat(messages=[{"role": "user", "content": "geheimer Text"}])
    (line,) = [line for line in log_lines() if line["event"] == "request"]
    assert ("info", "POST", "/v1/chat/completions", 200, "online-1", "test", 3, 4) == tuple(
        line[k] for k in ("level", "method", "path", "status", "model", "name", "prompt_tokens", "completion_tokens")
    )  # fmt: skip
    assert bench.key.api_key.startswith(line["key"])
    assert "geheim" not in str(line)


async def test_the_fast_way_says_the_same(open_bench, log_lines):
    """The line that is put together around what its kind shares has the same facts in the same order, masked alike."""

    def twice(*ended):
        say(*ended)
        log_lines.writer.request(*ended)

    bench = await open_bench(say=twice)
    secret = "sk-" + "s" * 30
    for given in (
        {},
        {"model": "eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.sig"},
        {"model": 100 * "长"},
        {"model": '%"d'},
    ):
        await bench.chat(**given)
    for path, caller_id in (
        ("/healthz", "a.b:c-1"),
        ("/v1/models", secret),
        ("/nowhere", "not one"),
        (f"/nowhere/{secret}/%25d%s", ""),
        ("/" + 300 * "x", ""),
    ):
        async with bench.client.get(path, headers={"X-Request-Id": caller_id}):
            pass
    lines = log_lines()
    assert len(lines) == 18
    assert "sssss" not in str(lines)
    assert "eyJhIjoxfQ" not in str(lines)
    for told, made in zip(lines[::2], lines[1::2], strict=True):
        assert told.pop("event") == made.pop("event")
        assert list(told) == list(made)
        for differs in ("ms", "at"):
            assert type(told.pop(differs)) is type(made.pop(differs))
        assert told == made


async def test_secrets_in_urls_are_not_logged(bench, log_lines):
    """The key pair in the query of /aigc/token, and credentials in paths that do not exist, stay out of the log."""
    pair = {"api_key": bench.key.api_key, "secret_key": bench.key.secret_key}
    for path in ("/aigc/token", "/aigc/tokenn"):
        async with bench.client.get(path, params=pair):
            pass
    assert bench.key.secret_key not in str(log_lines())
    assert ["/aigc/token", "/aigc/tokenn"] == [line["path"] for line in log_lines()]


async def test_malformed_requests_do_not_leak(bench, log_lines, raw):
    """What a broken request held is not logged: it may be a secret."""
    secret = "sk-" + "s" * 30
    await raw(bench, f"GET / HTTP/1.1\r\nAuthorization: {secret * 1000}\r\n\r\n".encode())
    await raw(bench, f"GET /?token={secret} HTTP/x\r\n\r\n".encode())
    assert secret not in str(log_lines())


async def test_half_a_secret_is_not_logged(bench, log_lines):
    """A path that is too long for the log is masked before it is cut: what is left of a secret would pass for none."""
    secret = "sk-abcdefghijklmnop"
    async with bench.client.get("/" + "a" * 92 + "/" + secret):
        pass
    (line,) = log_lines()
    assert 404 == line["status"]
    assert "sk-" not in line["path"]


async def test_incident(bench, log_lines):
    """An incident is logged with its id and its traceback."""
    bench.provider.will(ZeroDivisionError("x"))
    _, answer = await bench.chat()
    (line,) = [line for line in log_lines() if line["event"] == "server.incident"]
    assert line["incident"] in answer["error"]["message"]
    assert "ZeroDivisionError" in line["exception"]


async def test_who_left(bench, log_lines):
    """A caller that hung up is logged as 499."""
    wait = asyncio.Event()
    bench.provider.will(wait)
    request = asyncio.create_task(bench.chat())
    await bench.provider.begun.wait()
    request.cancel()
    await bench.provider.closed.wait()
    await asyncio.sleep(0)
    assert [499] == [line["status"] for line in log_lines()]


def test_the_net_below(log_lines):
    """What looks like a secret is masked, by its name or by itself, also in libraries' lines."""
    log = structlog.get_logger()
    log.info("x", api_key="abc", url="https://v.test/?api_key=abcdef&x=1", header="Bearer abcdefgh")
    log.info("x", nested={"a": "eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.sig"}, plain="glm-4 answered")
    logging.getLogger("some.library").warning("connecting with token=%s", "abcdefghijkl")
    text = str(log_lines())
    for secret in ("abc'", "abcdef", "eyJhbGci", "abcdefghijkl"):
        assert secret not in text
    assert "glm-4 answered" in text
