"""
What is measured, and what it is asked: the upstream, the bare forwarder, and our server with everything on.

Our server runs as a user would run it: `fengchao serve` with a settings file, keys checked, words filtered, one log line
and one usage row in SQLite per request.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from benchmarks.machine import CACHE, HERE, CannotMeasure, Cores, Process, free_port

PATH = "/v1/chat/completions"
EVENTS = 65  # the upstream's 64 chunks and [DONE]
BODY = {
    "model": "mock",
    "messages": [
        {"role": "system", "content": "你是一个简洁的助手。Answer tersely."},
        {"role": "user", "content": "请用一句话说说狐狸和狗。One plain sentence, please."},
    ],
    "temperature": 0.2,
    "max_tokens": 64,
}
_STRANGE = re.compile(
    r"FENGCHAO_.*|PYTHONDONTWRITEBYTECODE|.*_(API_KEY|API_SECRET|APP_ID|AK|SK|BASE_URL|PROXY)"
)
STREAM_BODY = {**BODY, "stream": True, "stream_options": {"include_usage": True}}
WHOLE_NEEDLE, STREAM_NEEDLE = "fox", "[DONE]"


class Target(Protocol):
    """A server under load."""

    name: str
    port: int
    token: str

    @property
    def process(self) -> Process:
        """The running server."""
        ...


class Upstream:
    """The C stand-in for a vendor."""

    def __init__(self, cores: Cores, *, lifetime_s: int = 1800) -> None:
        self.process = Process([str(CACHE / "upstream"), "0", str(lifetime_s)], core=cores.front)
        self.port = int(self.process.line())

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"http://127.0.0.1:{self.port}"

    def pace(self, event_us: int) -> None:
        """Set the time between the events of a stream, in microseconds; 0: full speed."""
        self._get(f"/set?event_us={event_us}")

    def answered(self) -> int:
        """How many requests reached it."""
        stats = self._get("/stats")
        return stats["whole"] + stats["streams"] + stats["refused"]

    def _get(self, path: str) -> dict[str, int]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            answer: dict[str, int] = json.loads(connection.getresponse().read())
            return answer
        finally:
            connection.close()


class Direct:
    """The upstream itself: how much the load driver and it can do with nothing between."""

    name = "upstream alone"
    token = "sk-upstream"

    def __init__(self, upstream: Upstream) -> None:
        self.port = upstream.port
        self.process = upstream.process


class Forwarder:
    """The bare aiohttp forwarder."""

    name = "bare forwarder"
    token = "sk-bench"

    def __init__(self, upstream: Upstream, cores: Cores, folder: Path) -> None:
        self.port = free_port()
        self.process = Process(
            [
                sys.executable,
                str(HERE / "forwarder.py"),
                "--port",
                str(self.port),
                "--upstream",
                upstream.url,
            ],
            core=cores.target,
            log=folder / "forwarder.log",
        )


class OurServer:
    """`fengchao serve` in a temporary home, with a key, 10,000 words and a database of its own."""

    name = "fengchao"

    def __init__(self, upstream: Upstream, cores: Cores, folder: Path) -> None:
        self._cores, self._folder = cores, folder
        self.port = free_port()
        self.config = write_settings(folder, upstream.url, self.port)
        self._env = {
            **clean_environment(),
            "FENGCHAO_HOME": str(folder / "home"),
        }
        made = self._command("keys", "create", "--name", "bench", "--json")
        self.token: str = json.loads(made)["token"]
        self.answered = 0  # by this server, as the clients counted; the usage rows must agree
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        """The running server."""
        assert self._process is not None, "not started"
        return self._process

    def start(self, wrapper: tuple[str, ...] = (), *, words: bool = True) -> None:
        """Start the server, behind a profiler's command line where one is given; on demand without its word list."""
        env = self._env if words else {**self._env, "FENGCHAO__SENSITIVE__ENABLED": "false"}
        self._process = Process(
            [*wrapper, str(_ours()), "serve", "--config", str(self.config)],
            core=self._cores.target,
            log=self._folder / "server.log",
            env=env,
            cwd=self._folder,
        )

    def stop(self) -> None:
        """End the server; it books what it still holds."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def check_ledger(self) -> int:
        """
        Compare the usage rows with the answers the clients counted; for a server that has ended.

        Returns:
            The number of rows.

        Raises:
            CannotMeasure: where a row is missing, too many, or says anything but `ok`.
        """
        totals = json.loads(self._command("usage", "--by", "outcome", "--json"))
        booked = {row["group"]: int(row["requests"]) for row in _rows(totals)}
        if booked != {"ok": self.answered}:
            raise CannotMeasure(
                f"{self.answered} requests were answered, but the usage rows say {booked}: "
                "a figure with lost rows is not a figure"
            )
        return self.answered

    def _command(self, *args: str) -> str:
        done = subprocess.run(
            [str(_ours()), *args, "--config", str(self.config)],
            env=self._env,
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise CannotMeasure(f"fengchao {' '.join(args)} failed:\n{done.stderr[-1500:]}")
        return done.stdout


def ask_once(target: Target, patience_s: float = 30) -> None:
    """Wait until the target answers one whole request rightly; raises `CannotMeasure` where it does not."""
    until = time.monotonic() + patience_s
    problem: object = "nothing answered"
    while time.monotonic() < until:
        target.process.insist_alive()
        connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=10)
        try:
            connection.request("POST", PATH, json.dumps(BODY), headers(target))
            answer = connection.getresponse()
            body = answer.read()
        except OSError as exc:
            problem = exc
            time.sleep(0.005)
            continue
        finally:
            connection.close()
        if answer.status == 200 and WHOLE_NEEDLE.encode() in body:
            return
        raise CannotMeasure(f"{target.name} answered {answer.status}: {body[:600]!r}")
    raise CannotMeasure(f"{target.name} did not answer within {patience_s} s: {problem}")


def headers(target: Target) -> Mapping[str, str]:
    """The headers of a request to a target."""
    return {"Authorization": f"Bearer {target.token}", "Content-Type": "application/json"}


def clean_environment() -> dict[str, str]:
    """
    The environment without what somebody may have set for other purposes.

    That is settings of ours, vendors' keys, proxies, and that no bytecode be kept: where we are installed it is.
    """
    return {k: v for k, v in os.environ.items() if not _STRANGE.fullmatch(k.upper())}


def write_settings(folder: Path, upstream: str, port: int) -> Path:
    """Write `fengchao.toml` and its word list; returns the former's path."""
    words = folder / "words.txt"
    words.write_text("\n".join(make_words(10_000)) + "\n", "utf-8")
    config = folder / "fengchao.toml"
    config.write_text(
        f"""\
[server]
host = "127.0.0.1"
port = {port}

[store]
url = "sqlite:///{folder / "usage.db"}"

[providers.openai]
base_url = "{upstream}/v1"
api_key = "sk-upstream"
models = ["mock"]

[sensitive]
wordlists = ["{words}"]
""",
        "utf-8",
    )
    return config


def make_words(count: int) -> list[str]:
    """Words to filter, the same in every run: half Chinese, half Latin, none of them in the texts of the benchmarks."""
    chance = random.Random(20240501)
    common = [chr(code) for code in range(0x4E00, 0x9000) if chr(code) not in "狐狸狗助手简洁"]
    words: set[str] = set()
    while len(words) < count:
        if len(words) % 2:
            words.add("".join(chance.choices(common, k=chance.randint(2, 5))))
        else:
            # Each letter once: a made-up "xjjjj" folds to "xj", and would be looked at again in every "fox jumps".
            words.add("x" + "".join(chance.sample("bcdfghjklmnpqrtvwz", k=chance.randint(4, 9))))
    return sorted(words)


def _ours() -> Path:
    command = Path(sys.executable).parent / "fengchao"
    if not command.exists():
        raise CannotMeasure(
            "the fengchao command is not installed beside this Python; run `make setup` first"
        )
    return command


def _rows(totals: Any) -> list[dict[str, Any]]:
    """The rows of a report, whether it is a list or an object that holds one."""
    if isinstance(totals, dict):
        totals = next(value for value in totals.values() if isinstance(value, list))
    return list(totals)
