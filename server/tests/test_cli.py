"""The command line, as a process of its own: what it prints where, and its exit status."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fengchao_core import Gateway, Settings
from fengchao_core.jobs import JobKind
from fengchao_core.ledger import events
from fengchao_core.ledger.journal import journal_folder
from fengchao_core.usage import Begun
from fengchao_server.cli import main


@pytest.fixture
def fengchao(tmp_path):
    """A function that runs a command in an empty folder, with a data folder of its own."""

    def run(*args, stdin="", code=0, env=None):
        done = subprocess.run(
            [sys.executable, "-m", "fengchao_server", *args],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
            env={**os.environ, "FENGCHAO_HOME": str(tmp_path / "home"), **(env or {})},
            check=False,
        )
        assert "Traceback" not in done.stdout + done.stderr
        assert code == done.returncode, done.stderr
        return done

    return run


@pytest.mark.parametrize(
    "args", [(), ("fly",), ("serve", "--port", "-1"), ("serve", "--prot", "1"), ("keys",)]
)
def test_wrong_usage(args, capsys):
    """No command, an unknown one and a wrong option are exit status 2, with nothing on stdout."""
    with pytest.raises(SystemExit) as ended:
        main(args)
    out, err = capsys.readouterr()
    assert (2, "") == (ended.value.code, out)
    assert "usage: fengchao" in err


def test_version(capsys):
    """The version is an answer."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert 0 == (ended.value.code or 0)
    assert capsys.readouterr().out.startswith("fengchao 3.")


def test_life_of_a_key(fengchao):
    """A key is made, listed, rotated and revoked; its secret is shown once; its name must be unique."""
    made = json.loads(fengchao("keys", "create", "--name", "app", "--json").stdout)
    assert {"name", "api_key", "secret_key", "token"} == made.keys()
    assert "app" == made["name"]
    twice = fengchao("keys", "create", "--name", "app", code=1)
    assert "app" in twice.stderr
    listed = fengchao("keys", "list").stdout
    assert made["api_key"] in listed
    assert made["secret_key"] not in listed
    rotated = json.loads(fengchao("keys", "rotate", "--name", "app", "--json").stdout)
    assert made["api_key"] == rotated["api_key"]
    assert made["secret_key"] != rotated["secret_key"]
    fengchao("keys", "revoke", "--name", "app")
    (record,) = json.loads(fengchao("keys", "list", "--json").stdout)
    assert ("app", "revoked") == (record["name"], record["state"])
    assert "nobody" in fengchao("keys", "revoke", "--name", "nobody", code=1).stderr


def test_terms_of_a_key(fengchao, tmp_path):
    """What a key may do is set when it is made, changed and shown; a wrong limit, time or group is one line."""
    (tmp_path / "fengchao.toml").write_text("[groups.g]\n", "utf-8")
    assert "'x'" in fengchao("keys", "create", "--name", "app", "--group", "x", code=1).stderr
    made = fengchao(
        "keys", "create", "--name", "app", "--address", "10.0.0.0/8", "--group", "g",
        "--limits", '{"requests_per_minute": 60}', "--json",
    )  # fmt: skip
    key = json.loads(made.stdout)
    changed = fengchao(
        "keys", "update", "--name", "app", "--rename", "bot", "--any-address", "--model", "glm-4",
        "--expires", "2099-01-31", "--json",
    )  # fmt: skip
    shown = json.loads(changed.stdout)
    assert ("bot", [], ["glm-4"], "g", {"requests_per_minute": 60}) == tuple(
        shown[name] for name in ("name", "addresses", "models", "group", "limits")
    )
    assert shown["expires_at"].startswith("2099-01-31")
    rotated = fengchao("keys", "rotate", "--name", "bot", "--grace", "30m")
    assert "旧的 secret" in rotated.stderr
    text = fengchao("keys", "show", "--name", "bot").stdout
    assert "old_secret_until" in text
    assert key["secret_key"] not in text
    assert "--grace" in fengchao("keys", "rotate", "--name", "bot", "--grace", "1y", code=1).stderr
    assert "--limits" in fengchao("keys", "update", "--name", "bot", "--limits", "{", code=1).stderr
    log = json.loads(fengchao("audit", "--json").stdout)
    assert ["key.rotate", "key.update", "key.create"] == [entry["action"] for entry in log]
    assert {True} == {entry["actor"].startswith("cli:") for entry in log}
    assert key["secret_key"] not in str(log)


def test_operators(fengchao):
    """A setup link is made for who has none; nobody is there to be removed, and a token needs an owner."""
    link = json.loads(fengchao("admin", "setup-link", "--viewer", "--json").stdout)
    assert link["url"].endswith(f"/admin/setup#{link['token']}")
    assert [] == json.loads(fengchao("admin", "list", "--json").stdout)
    for args in (("remove",), ("token", "--label", "ci"), ("end-token", "--label", "ci")):
        assert "nobody" in fengchao("admin", *args, "--name", "nobody", code=1).stderr
    env = {"FENGCHAO__STORE__URL": "memory:"}
    assert "memory:" in fengchao("admin", "setup-link", code=1, env=env).stderr


def test_keys_need_no_vendor(fengchao, tmp_path):
    """Keys are kept where the settings name a vendor that cannot be opened, for its chats or for searching."""
    (tmp_path / "fengchao.toml").write_text(
        '[providers.zhipu]\n[search]\nprovider = "zhipu"\n', "utf-8"
    )
    assert "错误" in fengchao("models", code=1).stderr
    fengchao("keys", "create", "--name", "app")


def test_log_of_the_command_line_is_one_line_each(fengchao):
    """A note with line breaks and escapes stays on the line of its record."""
    fengchao("keys", "create", "--name", "app", "--note", "a\nkey.revoke forged")
    text = fengchao("audit").stdout
    assert 2 == len(text.strip().splitlines())
    assert "\\n" in text


def test_plain_key(fengchao):
    """Without --json a person reads the key on stdout and the warning to keep it on stderr."""
    done = fengchao("keys", "create", "--name", "app", "--model", "glm-4", "--note", "测试")
    assert ["name", "api_key", "secret_key", "token"] == [
        line.split()[0] for line in done.stdout.splitlines()
    ]
    assert "请立即保存" in done.stderr


def test_tasks_are_counted(fengchao, tmp_path):
    """The tasks in the store are counted by key and state, for people and for programs."""
    assert "[]\n" == fengchao("tasks", "--json").stdout

    async def submit() -> None:
        settings = Settings.model_validate({"home": tmp_path / "home"})
        async with Gateway.open(settings) as gateway:
            gateway.jobs.register(JobKind("count", lambda *_: asyncio.Event().wait()))
            await gateway.jobs.submit("count", {})

    asyncio.run(submit())
    (row,) = json.loads(fengchao("tasks", "--json").stdout)
    assert ("embedded", "embedded", "queued", 1) == (
        row["queue"],
        row["key"],
        row["state"],
        row["tasks"],
    )
    assert "queued" in fengchao("tasks").stdout


def test_chat_and_its_usage(fengchao):
    """A chat streams the answer to stdout, alone; it is booked, and the report shows it."""
    done = fengchao("chat", "glm-4", "你好", "--sandbox")
    assert "你好" in done.stdout
    assert "" == done.stderr
    assert "glm" in fengchao("chat", "glm-4", "--sandbox", stdin="介绍一下北京\n").stdout
    assert fengchao("chat", "--sandbox", stdin="介绍一下北京\n").stdout
    (row,) = (
        row for row in json.loads(fengchao("usage", "--json").stdout) if row["group"] == "glm-4"
    )
    assert (3, 0) == (row["requests"], row["failures"])
    assert "embedded" in fengchao("usage", "--by", "key").stdout
    assert "[]\n" == fengchao("usage", "--json", "--until", "2020-01-01").stdout
    assert "2026-11-21" in fengchao("usage", "--since", "gestern", code=1).stderr


def test_chat_that_fails(fengchao):
    """An unknown model, and no model at all, are one line with a remedy each."""
    assert "known" not in fengchao("chat", "nobody", "hi", "--sandbox", code=1).stdout
    nothing = fengchao("chat", code=1, stdin="hi")
    assert 1 == len(nothing.stderr.splitlines())
    assert "--sandbox" in nothing.stderr


def test_models(fengchao):
    """The models of the configured providers are listed, and where there are none a remedy is."""
    assert "serve --sandbox" in fengchao("models").stderr
    models = json.loads(fengchao("models", "--json", env={"ZHIPUAI_API_KEY": "id.secret"}).stdout)
    glm = next(model for model in models if model["id"] == "glm-4")
    assert ("chat", "CNY") == (glm["kind"], glm["price"]["currency"])
    assert "glm-4" in fengchao("models", env={"ZHIPUAI_API_KEY": "id.secret"}).stdout


def test_models_tell_how_local_ones_fare(fengchao, tmp_path):
    """A model that must be loaded has a state: idle while nobody asked, or what is wrong with its folder; nothing is loaded."""
    path = tmp_path / "fengchao.toml"
    path.write_text(
        '[providers.local_qwen]\npreload = true\nmodels = { "Qwen3-8B" = "/nowhere/at/all" }\n',
        "utf-8",
    )
    (model,) = json.loads(fengchao("models", "--json", "--config", str(path)).stdout)
    assert ("failed", True) == (model["states"][0]["state"], model["is_local"])
    assert "失败 failed" in fengchao("models", "--config", str(path)).stdout
    assert "Download the model first" in fengchao("check", "--config", str(path), code=1).stdout


def test_plugins(fengchao):
    """Installed plugins are listed from metadata, needed or not."""
    infos = json.loads(fengchao("plugins", "--json").stdout)
    states = {info["name"]: info["state"] for info in infos}
    assert ("available", "loaded") == (states["zhipu"], states["store.sql"])
    assert "fengchao-zhipu" in fengchao("plugins").stdout


def test_check_names_every_problem(fengchao, tmp_path):
    """A file with several mistakes is judged whole, with the key, and a hint for the misspelt one."""
    path = tmp_path / "fengchao.toml"
    path.write_text('[server]\nprot = 1\nworkers = "many"\n[limits]\nidle_s = -1\n')
    done = fengchao("check", code=1)
    for words in ("server.prot", "did you mean 'port'", "server.workers", "limits.idle_s"):
        assert words in done.stdout
    assert 3 == len(json.loads(fengchao("check", "--json", code=1).stdout)["problems"])
    assert "server.prot" in fengchao("serve", code=1).stderr
    assert "nowhere.toml" in fengchao("check", "--config", "nowhere.toml", code=1).stdout


def test_check_of_providers(fengchao, tmp_path):
    """A provider of an unknown kind, and one without its credentials, are named with what to do."""
    path = tmp_path / "fengchao.toml"
    path.write_text("[providers.nobody]\n[providers.zhipu]\n")
    done = fengchao("check", code=1)
    assert "nobody" in done.stdout
    path.write_text('[providers.zhipu]\napi_key = "id.secret"\n')
    assert "✓" in fengchao("check").stdout


def test_plugin_that_does_not_import(fengchao, tmp_path):
    """A plugin that fails to import is named with its distribution and its cause, by check, plugins and serve."""
    broken_plugin(tmp_path / "site")
    env = {
        "PYTHONPATH": str(tmp_path / "site"),
        "FENGCHAO__PROVIDERS__BROKEN__BASE_URL": "http://127.0.0.1:1",
    }
    for command in (("check",), ("serve", "--port", "0")):
        done = fengchao(*command, code=1, env=env)
        said = done.stdout + done.stderr
        assert "broken" in said
        assert "fengchao-broken 0.1" in said
        assert "no module named nothing here" in said.lower()
    states = json.loads(fengchao("plugins", "--json", code=1, env=env).stdout)
    assert "quarantined" == next(s["state"] for s in states if s["name"] == "broken")


def test_port_in_use(fengchao, free_port):
    """A port in use is one clear line and exit status 1."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port))
        taken.listen()
        for more in ((), ("--workers", "2")):
            done = fengchao("serve", "--port", str(free_port), *more, code=1)
            assert 1 == len(done.stderr.splitlines())
            assert f"port {free_port} on 127.0.0.1 is in use" in done.stderr
    assert "host 'nowhere.invalid'" in fengchao("serve", "--host", "nowhere.invalid", code=1).stderr


def broken_plugin(site: Path) -> None:
    """Install a plugin whose module raises when it is imported."""
    info = site / "fengchao_broken-0.1.dist-info"
    info.mkdir(parents=True)
    (site / "fengchao_broken.py").write_text('raise ImportError("No module named nothing here")\n')
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fengchao-broken\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[fengchao]\nbroken = fengchao_broken\n")


def test_check_of_the_store(fengchao):
    """A store that no plugin brings is a problem that is named."""
    assert (
        "mongodb" in fengchao("check", code=1, env={"FENGCHAO__STORE__URL": "mongodb://x/y"}).stdout
    )


def test_key_that_expires(fengchao):
    """A key can be made for a while; a day that is over, or none, is refused."""
    fengchao("keys", "create", "--name", "app", "--expires", "2999-01-01")
    (record,) = json.loads(fengchao("keys", "list", "--json").stdout)
    assert record["expires_at"].startswith("2999-01-01")
    for day in ("2001-01-01", "soon"):
        assert 1 == len(
            fengchao("keys", "create", "--name", "b", "--expires", day, code=1).stderr.splitlines()
        )


def test_usage_is_verified(fengchao, tmp_path):
    """A recount finds nothing off; a row whose database is gone is said to be lost, with exit status 1."""
    assert "0 lost, 0 doubled" in fengchao("usage", "verify").stdout
    folder = journal_folder(tmp_path / "home", Settings().store.url) / "kept"
    folder.mkdir(parents=True)
    request = Begun("r1", "r1", "k", "", "m", 1, datetime.now(UTC), operation="embeddings")
    (folder / "0-1-a-000001.log").write_bytes(events.header() + events.begun(request))
    said = fengchao("usage", "verify", "--json", code=1).stdout
    assert (1, ["r1"], 0) == tuple(json.loads(said)[k] for k in ("lost", "lost_ids", "doubled"))


def test_keys_are_reached_although_a_vendor_searches(fengchao):
    """Commands that need no vendor work with settings whose search names one."""
    env = {
        "FENGCHAO__SEARCH__PROVIDER": "zhipu",
        "FENGCHAO__PROVIDERS__ZHIPU__API_KEY": "id.secret",
    }
    assert "[]\n" == fengchao("keys", "list", "--json", env=env).stdout
