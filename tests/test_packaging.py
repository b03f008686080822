"""Packaging: the distributions move in step, and each works when it is installed as a stranger would install it."""

import functools
import json
import os
import re
import subprocess
import sys
import threading
import tomllib
import venv
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
WORKSPACE = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
DISTRIBUTIONS = WORKSPACE["tool"]["fengchao"]["distributions"]


@functools.cache
def project(name: str) -> dict:
    """Read the pyproject of a distribution."""
    return tomllib.loads((ROOT / name / "pyproject.toml").read_text("utf-8"))


def package_folder(name: str) -> Path:
    """Find the folder of a distribution's import package."""
    (package,) = project(name)["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    return ROOT / name / package


def test_the_list_of_distributions_is_whole():
    """Every folder with a pyproject is listed, once; only examples (a leading underscore) are not."""
    there = {
        p.parent for p in (*ROOT.glob("*/pyproject.toml"), *ROOT.glob("plugins/*/pyproject.toml"))
    }
    assert sorted(p.relative_to(ROOT).as_posix() for p in there if p.name[0] != "_") == sorted(
        DISTRIBUTIONS
    )


def test_tools_know_every_distribution():
    """Type checks resolve every distribution's package from its source."""
    assert {f"{name}/src" for name in DISTRIBUTIONS} <= set(
        WORKSPACE["tool"]["mypy"]["mypy_path"].split(":")
    )


def test_versions_move_in_step():
    """All distributions carry one version, and require each other in exactly that one."""
    (version,) = {project(name)["project"]["version"] for name in DISTRIBUTIONS}
    own = {project(name)["project"]["name"] for name in DISTRIBUTIONS}
    for name in DISTRIBUTIONS:
        table = project(name)["project"]
        extras = table.get("optional-dependencies", {}).values()
        wanted = [*table.get("dependencies", ()), *(r for extra in extras for r in extra)]
        for requirement in wanted:
            if re.split(r"[^a-z0-9-]", requirement)[0] in own:
                assert requirement.endswith(f"=={version}"), f"{name} requires {requirement}"


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_metadata_is_complete(name):
    """Each distribution tells its licence, its Python, what it is, and that it is typed."""
    table = project(name)["project"]
    assert "MIT" == table["license"]
    assert ">=3.11" == table["requires-python"]
    assert "Typing :: Typed" in table["classifiers"]
    assert table["description"]
    assert (ROOT / name / "README.md").read_text("utf-8").startswith(f"# {table['name']}\n")


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    """Build every distribution's wheel, with the hatchling of this environment."""
    out = tmp_path_factory.mktemp("wheels")
    for name in DISTRIBUTIONS:
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
            cwd=ROOT / name,
            check=True,
            capture_output=True,
        )
    return {path.name.split("-")[0]: path for path in out.iterdir()}


@pytest.mark.xdist_group("packaging")
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_wheel_holds_the_package_and_its_data(name, wheels):
    """A wheel holds py.typed and every data file of its package, and nothing from outside the package."""
    folder = package_folder(name)
    expected = {
        path.relative_to(folder.parent).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    wheel = wheels[project(name)["project"]["name"].replace("-", "_")]
    held = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    assert expected == held
    assert f"{folder.name}/py.typed" in held


@pytest.mark.xdist_group("packaging")
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_wheel_holds_the_licence(name, wheels):
    """The text of the one licence ships in every wheel, word for word."""
    with zipfile.ZipFile(wheels[project(name)["project"]["name"].replace("-", "_")]) as wheel:
        (text,) = (n for n in wheel.namelist() if n.endswith(".dist-info/licenses/LICENSE"))
        assert (ROOT / "LICENSE").read_bytes() == wheel.read(text)


class Endpoint(BaseHTTPRequestHandler):
    """The smallest endpoint that speaks the chat-completions dialect: it says back what it was asked."""

    def do_POST(self):
        """Answer whole or streamed."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = f"{self.headers['Authorization']} {body['messages'][-1]['content']}"
        if body.get("stream"):
            events = [
                *({"delta": {"content": c}, "finish_reason": None} for c in text),
                {"delta": {}, "finish_reason": "stop"},
            ]
            payload = "".join(
                f"data: {json.dumps(self.reply('chat.completion.chunk', e))}\n\n" for e in events
            )
            payload, kind = payload + "data: [DONE]\n\n", "text/event-stream"
        else:
            choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            payload, kind = json.dumps(self.reply("chat.completion", choice)), "application/json"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(payload.encode())))
        self.end_headers()
        self.wfile.write(payload.encode())

    @staticmethod
    def reply(kind, choice):
        """Make a body of the dialect around one choice."""
        usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
        return {
            "id": "x",
            "object": kind,
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, **choice}],
            "usage": usage,
        }

    def log_message(self, *args):
        """Keep quiet."""


@pytest.fixture
def endpoint():
    """Serve `Endpoint` on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def empty_venv(tmp_path_factory):
    """Install the core and one vendor into an empty environment, the way the README says."""
    folder = tmp_path_factory.mktemp("stranger") / "venv"
    venv.create(folder, with_pip=True)
    install(folder, "./core", "./plugins/openai")
    return folder


def install(folder: Path, *what: str) -> None:
    """Run pip in an environment, from the root of the checkout."""
    run(folder, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", *what, cwd=ROOT)


def run(folder: Path, *arguments: str, cwd: Path | None = None, **env: str) -> str:
    """Run the Python of an environment with nothing of this process's Python settings, and give its output."""
    kept = {
        k: v
        for k, v in os.environ.items()
        if k in KEPT or re.match(r"pip_|ssl_|.*_proxy$", k.lower())
    }
    done = subprocess.run(
        [folder / "bin" / "python", *arguments],
        cwd=cwd or folder,
        env={**kept, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# What a fresh interpreter may see of this process's environment: where programs and packages come from.
KEPT = {"PATH", "HOME", "TMPDIR", "LANG", "REQUESTS_CA_BUNDLE"}

EMBEDDED = """
import asyncio
from fengchao_core import ChatCall, Gateway

async def main():
    async with Gateway.open() as gateway:
        answer = await gateway.chat(ChatCall(model="gpt-3.5-turbo", query="你好"))
        pieces = [d.text async for d in gateway.stream(ChatCall(model="gpt-3.5-turbo", query="再见"))]
        print(answer.text, "".join(pieces), answer.usage.total_tokens, sep="|")

asyncio.run(main())
"""


@pytest.mark.xdist_group("packaging")
def test_core_and_one_vendor_chat_by_themselves(empty_venv, endpoint):
    """`pip install ./core ./plugins/openai` and ten lines are a working embedded gateway, with nothing else installed."""
    out = run(empty_venv, "-c", EMBEDDED, OPENAI_API_KEY="sk-test", OPENAI_BASE_URL=endpoint)
    assert "Bearer sk-test 你好|Bearer sk-test 再见|7\n" == out
    installed = json.loads(run(empty_venv, "-m", "pip", "list", "--format=json"))
    names = {entry["name"] for entry in installed}
    assert {"fengchao-core", "fengchao-openai"} == {n for n in names if n.startswith("fengchao")}
    assert set() == names & {"SQLAlchemy", "cryptography", "numpy", "torch", "openai"}


def test_a_plugin_is_under_sixty_lines():
    """The template that others start from is a whole provider in under 60 lines of Python; the tutorial's test runs it."""
    sources = (ROOT / "plugins" / "_template" / "src").rglob("*.py")
    assert sum(len(path.read_text("utf-8").splitlines()) for path in sources) < 60
