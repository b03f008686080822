"""The documentation: what it says of settings, paths, codes, hooks, errors and commands is what the code has."""

import ast
import contextlib
import functools
import inspect
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = sorted(
    {
        *ROOT.glob("*.md"),
        *ROOT.glob("*/README.md"),
        *ROOT.glob("plugins/*/README.md"),
        *DOCS.rglob("*.md"),
    }
)
RUNNABLE = re.compile(r"^```(python|bash) run\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
SHELLS = {
    "python": [sys.executable, "-X", "dev", "-W", "error", "-c"],
    "bash": ["bash", "-euo", "pipefail", "-c"],
}
FRAGMENTS = ("added", "changed", "fixed", "removed", "security")


def rows(page: str, heading: str = "") -> list[list[str]]:
    """Give the cells of every table row of a reference page, or of one of its sections (up to the next heading)."""
    text = (REFERENCE / page).read_text("utf-8")
    if heading:
        text = re.split(r"^#+ ", text.split(f"\n{heading}\n")[1], flags=re.MULTILINE)[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [c for c in cells if not set(c[0]) <= set("-: ")]


def keyed(found: list[list[str]]) -> dict[str, list[str]]:
    """Give rows by the code in their first cell, without the header rows."""
    return {c[0].strip("`"): c[1:] for c in found if c[0].startswith("`")}


def as_toml(value: object) -> str | None:
    """Write a default as the settings file would; None where prose has to say it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"' if value else None
    if isinstance(value, int | float):
        return f"{value:.15g}"
    return "[]" if value == () else None


def settings_keys() -> dict[str, object]:
    """Every key of the tree with its default; the sections of named things have a star for the name."""
    from fengchao_core.provider import ProviderSettings
    from fengchao_core.settings import GroupSettings, ModelSettings, Settings

    found: dict[str, object] = {}
    for section, field in Settings.model_fields.items():
        if section in ("models", "providers", "knowledge", "groups"):
            continue
        default = field.get_default(call_default_factory=True)
        fields = getattr(type(default), "model_fields", None)
        if fields is None:
            found[section] = default
        else:
            found |= {
                f"{section}.{key}": f.get_default(call_default_factory=True)
                for key, f in fields.items()
            }
    found |= {f"models.*.{k}": f.default for k, f in ModelSettings.model_fields.items()}
    found |= {f"groups.*.{k}": f.default for k, f in GroupSettings.model_fields.items()}
    found |= {f"providers.*.{k}": f.default for k, f in ProviderSettings.model_fields.items()}
    return found


def test_every_setting_is_documented_with_its_default():
    """reference/settings.md lists exactly the keys there are, and their defaults."""
    documented = {k: c for k, c in keyed(rows("settings.md")).items() if "." in k or k == "home"}
    kinds = {f"providers.{name}." for name in provider_specs()}
    common = {k: c for k, c in documented.items() if not k.startswith(tuple(kinds))}
    actual = settings_keys()
    assert set(actual) == set(common)
    for key, default in actual.items():
        if (text := as_toml(default)) is not None:
            assert text == common[key][0].strip("`"), key


@functools.cache
def provider_specs() -> dict:
    """The specs of every installed provider."""
    from fengchao_core.plugins import load_plugins
    from fengchao_core.settings import PluginSettings

    return load_plugins(PluginSettings(), kinds=None).provider_specs()


def test_every_providers_own_setting_is_documented():
    """Each provider that comes with the repository has its own fields in reference/settings.md."""
    from fengchao_core.provider import ProviderSettings

    documented = keyed(rows("settings.md"))
    for name in own_provider_kinds():
        fields = provider_specs()[name].settings.model_fields
        own = {
            f"providers.{name}.{f}"
            for f in fields.keys() - ProviderSettings.model_fields.keys() | {"base_url"}
        }
        assert own == {d for d in documented if d.startswith(f"providers.{name}.")}
        for key in own:
            field = fields[key.rpartition(".")[2]]
            if not field.is_required() and (text := as_toml(field.default)) is not None:
                assert text == documented[key][0].strip("`"), key


def own_entry_points(group: str) -> dict[str, str]:
    """The entry points that the distributions of this repository declare in a group."""
    workspace = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    found: dict[str, str] = {}
    for folder in workspace["tool"]["fengchao"]["distributions"]:
        document = tomllib.loads((ROOT / folder / "pyproject.toml").read_text("utf-8"))
        found |= document["project"].get("entry-points", {}).get(group, {})
    return found


def own_provider_kinds() -> list[str]:
    """The provider kinds that come with the repository."""
    return sorted(name for name in own_entry_points("fengchao") if "." not in name)


def test_every_vendor_variable_is_documented():
    """The vendors' usual environment variables stand in reference/settings.md, with the key they set."""
    documented = keyed(rows("settings.md"))
    for name, target in own_entry_points("fengchao.env").items():
        provider, key = target.split(":")
        assert f"`providers.{provider}.{key}`" == documented[name][0]


def test_every_sdk_method_and_error_is_documented():
    """reference/sdk.md names every method of the clients, every parameter they are made with, and every error's class."""
    import fengchao

    text = (REFERENCE / "sdk.md").read_text("utf-8")
    methods = {row[0].strip("`").partition("(")[0] for row in rows("sdk.md", "## 方法")[1:]}
    public = {name for name, _ in inspect.getmembers(fengchao.FengChao, inspect.isfunction)}
    assert {name for name in public if name[0] != "_"} - {"close"} == methods
    for client in (fengchao.FengChao, fengchao.FengChaoAsync):
        wanted = inspect.signature(client).parameters.keys() - {"logger_level"}
        assert {name for name in wanted if f"`{name}`" in text} == wanted
    errors = {
        n
        for n, kind in vars(fengchao).items()
        if inspect.isclass(kind) and issubclass(kind, Exception)
    }
    assert {name for name in errors if f"`{name}`" in text} == errors


def test_every_path_is_documented():
    """reference/http.md lists exactly the routes of the server, and which of them want a key."""
    from fengchao_server.api import build_routes

    words = {True: "是", False: "否", "operator": "管理员", "signed-in": "登录", "optional": "可选"}
    expected = {(r.method, f"`{r.path}`", words[r.auth]) for r in build_routes().routes}
    methods = ("GET", "POST", "PUT", "PATCH", "DELETE")
    assert expected == {tuple(c[:3]) for c in rows("http.md") if c[0] in methods}


def test_every_field_of_a_chat_is_documented():
    """reference/http.md lists exactly the fields of a chat's body, and their defaults."""
    from fengchao.wire import ChatBody

    documented = keyed(rows("http.md", "### 对话")[: len(ChatBody.model_fields) + 1])
    assert set(ChatBody.model_fields) == set(documented)
    for name, field in ChatBody.model_fields.items():
        if (text := as_toml(field.default)) is not None:
            assert text == documented[name][0].strip("`"), name


def test_every_field_of_a_model_is_documented():
    """reference/http.md lists exactly the fields of a model as `/aigc/models/` gives it."""
    from fengchao.wire import ModelCard

    assert set(ModelCard.model_fields) == set(keyed(rows("http.md", "### 列表")))


def test_every_product_code_is_documented():
    """reference/codes.md holds every code of the product's table with the words it is answered with."""
    from fengchao.wire import MSG

    http, body = (
        rows("codes.md", "### HTTP 状态码"),
        rows("codes.md", "### 响应体状态码（HTTP 200）"),
    )
    documented = {(c[0], c[1]) for c in http + body}
    for code, msg in MSG.items():
        assert (str(int(code)), msg) in documented
    known = {str(int(code)) for code in MSG} | {"码", "其他"}
    assert set() == {c[0] for c in http + body} - known


def test_every_openai_error_is_documented():
    """reference/codes.md holds the table of `/v1` as the server has it."""
    from fengchao_server.v1.errors import TABLE

    expected = {
        (f"`{cls.__name__}`", str(w.status), f"`{w.type}`", f"`{w.code}`" if w.code else "无")
        for cls, w in TABLE.items()
    }
    section = rows("codes.md", "## `/v1`：与 OpenAI 兼容的接口")
    assert expected == {tuple(c) for c in section if c[0].startswith("`")}


def test_every_admin_error_is_documented():
    """reference/codes.md holds the table of `/admin` as the server has it."""
    from fengchao_server.admin.shape import TABLE

    expected = {
        (f"`{cls.__name__}`", str(w.status), f"`{w.code}`", w.msg) for cls, w in TABLE.items()
    }
    section = rows("codes.md", "## `/admin`：管理")
    assert expected == {tuple(c) for c in section if c[0].startswith("`")}


def test_every_error_is_documented():
    """reference/errors.md holds every class of the error tree, and the facts it carries."""
    from fengchao_core import errors

    tree = {
        n: c
        for n, c in vars(errors).items()
        if inspect.isclass(c) and issubclass(c, errors.FengChaoError)
    }
    documented = keyed(rows("errors.md"))
    assert set(tree) == set(documented)
    for name, cls in tree.items():
        told = " ".join(cell for base in cls.__mro__ for cell in documented.get(base.__name__, ()))
        own = cls.__init__ if inspect.isfunction(cls.__init__) else None
        facts = inspect.signature(own).parameters.keys() - {"self", "message"} if own else set()
        assert set() == {fact for fact in facts if f"`{fact}`" not in told}, name


def test_every_hook_is_documented():
    """reference/hooks.md has a heading with the signature of every hook."""
    from fengchao_core import hookspecs

    hooks = {
        f"## `{name}({', '.join(inspect.signature(f).parameters)})`"
        for name, f in vars(hookspecs).items()
        if name.startswith("fengchao_")
    }
    text = (REFERENCE / "hooks.md").read_text("utf-8")
    assert hooks == {line for line in text.splitlines() if line.startswith("## `fengchao_")}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    """Every relative link of a page leads to a file that is there."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path = target.partition("#")[0]
        if path and "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / path).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_one_sentence_a_line(page):
    """A line of prose ends where its sentence does, so that a change shows as the sentence it changes."""
    text = re.sub(r"```.*?```|<!--.*?-->", "", page.read_text("utf-8"), flags=re.DOTALL)
    for line in text.splitlines():
        prose = not line.lstrip().startswith(("|", "-", "*", "#", ">", "<")) and not re.match(
            r"\s*\d+\. ", line
        )
        assert not (prose and re.search(r"。[^」』”）)\s|*_`]", line)), line


def test_every_page_is_listed():
    """docs/README.md leads to every page."""
    text = (DOCS / "README.md").read_text("utf-8")
    pages = {p.relative_to(DOCS).as_posix() for p in DOCS.rglob("*.md")} - {"README.md"}
    assert set() == {p for p in pages if f"]({p})" not in text}


def test_every_test_that_is_named_exists():
    """A test that a page names as proof is there."""
    named = {
        found
        for page in PAGES
        for found in re.findall(r"`([\w/]+\.py)::(\w+)`", page.read_text("utf-8"))
    }
    assert named
    for path, name in sorted(named):
        assert re.search(
            rf"^(async )?def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE
        ), (path, name)


def test_fragments_are_named_by_kind():
    """A fragment of the changelog is `<topic>.<kind>.md` with one of the five kinds, and says something."""
    for path in (ROOT / "changelog.d").iterdir():
        if path.name != "README.md":
            assert re.fullmatch(rf"[a-z0-9-]+\.({'|'.join(FRAGMENTS)})\.md", path.name), path.name
            assert path.read_text("utf-8").strip()


def help_of(*command: str) -> str:
    """Give what `fengchao … --help` prints."""
    from fengchao_server.cli import main

    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main([*command, "--help"])
    return out.getvalue()


def commands(*prefix: str) -> list[tuple[str, ...]]:
    """List every command that does something, sub-commands included."""
    inner = re.findall(r"^    ([a-z-]+)(?: |$)", help_of(*prefix), flags=re.MULTILINE)
    below = [c for name in inner for c in commands(*prefix, name)]
    return [prefix, *below] if not inner or (prefix and options_of(*prefix)) else below


def options_of(*command: str) -> set[str]:
    """Give the options of a command, without those that all have."""
    there = set(re.findall(r"--[a-z][a-z-]*", help_of(*command).split("options:")[1]))
    return there - {"--config", "--debug", "--help"}


def test_every_command_and_option_is_documented():
    """reference/cli.md has a section for every command, with exactly its options."""
    common = {"--config", "--debug", "--help"}
    assert common == set(keyed(rows("cli.md", "## 共同的选项")))
    documented = re.findall(
        r"^## `fengchao ([a-z -]+)`$", (REFERENCE / "cli.md").read_text("utf-8"), flags=re.MULTILINE
    )
    assert [" ".join(c) for c in commands()] == documented
    for command in commands():
        assert options_of(*command) == set(
            keyed(rows("cli.md", f"## `fengchao {' '.join(command)}`"))
        ), command


def blocks(page: Path, language: str) -> list[str]:
    """Give the code blocks of a page whose info string is this."""
    return re.findall(
        rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE
    )


def pages_with(language: str) -> list:
    """Give the pages that have such a block, named for the report."""
    return [
        pytest.param(p, id=p.relative_to(ROOT).as_posix()) for p in PAGES if blocks(p, language)
    ]


@pytest.mark.parametrize("page", pages_with("toml"))
def test_settings_in_the_documentation_are_valid(page, tmp_path):
    """A block of TOML parses; one that is a settings file is one that the gateway takes."""
    from fengchao_core.settings import Settings

    for block in blocks(page, "toml"):
        if set(tomllib.loads(block)) <= set(Settings.model_fields):
            path = tmp_path / "fengchao.toml"
            path.write_text(block, "utf-8")
            Settings.load(path, env=dict.fromkeys(re.findall(r"\$\{(\w+)\}", block), "x"))


@pytest.mark.parametrize("page", pages_with("python(?: run)?"))
def test_python_in_the_documentation_compiles(page):
    """A block of Python is Python, also where nothing can run it."""
    for block in blocks(page, "python(?: run)?"):
        compile(block, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory):
    """Run `fengchao serve --sandbox` with a data folder of its own, and tell what it printed."""
    home = tmp_path_factory.mktemp("home")
    env = {
        **os.environ,
        "FENGCHAO_HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = ["fengchao", "serve", "--sandbox", "--port", "0", "--json"]
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(command, env=env, cwd=home, stdout=subprocess.PIPE, stderr=log)
        try:
            line = server.stdout.readline()
            assert line, (home / "log").read_text("utf-8")
            yield json.loads(line), env
        finally:
            server.terminate()
            server.wait(timeout=30)
            server.stdout.close()


@pytest.mark.xdist_group("docs")
@pytest.mark.parametrize("page", pages_with("(?:python|bash) run"))
def test_runnable_blocks_run(page, sandbox, tmp_path):
    """A block marked `run` does what a reader would see it do, against the sandboxes, in the page's order."""
    said, env = sandbox
    key, url = said["key"], said["url"]
    # The gateway itself is an endpoint that the embedded core can ask.
    env = {**env, "OPENAI_API_KEY": key["token"], "OPENAI_BASE_URL": f"{url}/v1"}
    told = {
        "http://127.0.0.1:8000": url,
        **{f"<{name}>": key[name] for name in ("token", "api_key", "secret_key")},
    }
    (tmp_path / "fengchao").symlink_to(ROOT)
    for language, text in RUNNABLE.findall(page.read_text("utf-8")):
        block = functools.reduce(lambda done, item: done.replace(*item), told.items(), text)
        if "curl" in block and shutil.which("curl") is None:
            pytest.skip("this machine has no curl, which the block calls")
        done = subprocess.run(
            [*SHELLS[language], block],
            env=env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        assert '"error"' not in done.stdout, done.stdout
