"""
The floors: who may import whom. Imports are read from the source, so that a lazy one inside a function counts too.

What stands under `if TYPE_CHECKING:` is not an import: it never runs.
"""

import ast
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DISTRIBUTIONS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["fengchao"][
    "distributions"
]

# The core from the ground up. A module may import those of its own floor and of the floors below, never in a circle.
FLOORS = [
    {"types", "errors", "clock", "caller", "limits", "rates", "money", "ids", "logs"},
    {
        "usage",
        "reports",
        "repricing",
        "reservation",
        "provider",
        "retrieval",
        "store",
        "readers",
        "hookspecs",
        "tokens",
        "kit",
    },
    {
        "prompts",
        "sensitive",
        "prices",
        "cards",
        "fold",
        "deadlines",
        "draining",
        "counting",
        "telemetry",
        "meter",
        "account",
        "exchange",
    },
    {
        "live",
        "live_prompts",
        "live_words",
        "prompt_keeping",
        "foreign",
        "screening_log",
        "screening",
        "compose",
        "window",
        "fetch",
        "files",
        "media",
        "conversations",
        "searching",
        "branching",
        "aggregate",
        "structured",
        "drawing",
        "settings",
        "sources",
        "problems",
        "retry",
        "routing",
        "holding",
        "ledger",
        "limiter",
        "exchange_rates",
        "plugins",
        "catalog",
        "jobs",
        "word_keeping",
    },
    {"assembly", "pipeline", "gateway"},
    {"testing"},
]

# What a distribution may import of the others, beside the whole of itself.
ALLOWED = {
    "fengchao_core": set(),
    "fengchao": {"fengchao_core"},  # but only where it runs embedded, see below
    "fengchao_sql": {"fengchao_core"},
    "fengchao_server": {"fengchao_core", "fengchao_sql", "fengchao.wire"},
}

# What must not come along with an import: it is slow, big, or wanted by few.
HEAVY = {
    "aiohttp",
    "jwt",
    "sqlalchemy",
    "alembic",
    "numpy",
    "torch",
    "cryptography",
    "opentelemetry.sdk",
    "jsonschema_rs",
}

# What must not come along with the core either: an open gateway needs it, or one where something fails.
FOR_OPEN_GATEWAYS = {
    "structlog",
    "tenacity",
    "fengchao_core.assembly",
    "fengchao_core.files",
    "fengchao_core.pipeline",
}


def packages() -> dict[str, Path]:
    """Map each distribution's import package to its folder."""
    found = {}
    for name in DISTRIBUTIONS:
        folder = ROOT / name
        document = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
        for package in document["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
            found[Path(package).name] = folder / package
    return found


PACKAGES = packages()


def modules(package: str) -> Iterator[Path]:
    """Yield every Python file of a package, but for caches."""
    return (p for p in sorted(PACKAGES[package].rglob("*.py")) if "__pycache__" not in p.parts)


def dotted(package: str, path: Path) -> str:
    """Name the module that a file holds."""
    parts = [package, *path.relative_to(PACKAGES[package]).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(path: Path) -> frozenset[str]:
    """Every module a file imports at run time, as `package.module` or `package.module.name`."""
    return frozenset(_imports(ast.parse(path.read_text("utf-8"))))


def _imports(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from (name for other in child.orelse for name in _imports(other))
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute here"
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        else:
            yield from _imports(child)


def floor_of(module: str) -> int:
    """Tell the floor of `fengchao_core.<module>…`, by the first name after the package."""
    name = module.split(".")[1]
    return next((i for i, floor in enumerate(FLOORS) if name in floor), -1)


def core_modules() -> list[str]:
    """List every module of the core but the package itself, which re-exports."""
    return [m for p in modules("fengchao_core") if "." in (m := dotted("fengchao_core", p))]


def file_of(module: str) -> Path | None:
    """Find the file of a core module; None where the name is no module but something in one."""
    base = PACKAGES["fengchao_core"].joinpath(*module.split(".")[1:])
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)


def core_edges(module: str) -> set[str]:
    """The core modules that a core module imports."""
    path = file_of(module)
    names = {n for n in imports(path) if n.startswith("fengchao_core.")}
    return {n if file_of(n) else n.rpartition(".")[0] for n in names} - {module}


@pytest.mark.parametrize("module", core_modules())
def test_core_imports_go_down(module):
    """A core module imports its own floor or lower ones, and every module has a floor."""
    assert floor_of(module) >= 0, f"{module}: put it on a floor in {Path(__file__).name}"
    for other in core_edges(module):
        assert other != "fengchao_core", f"{module} imports the package that re-exports it"
        assert floor_of(other) <= floor_of(module), f"{module} imports {other} from above"


def test_core_has_no_circles():
    """No core module imports itself through others."""
    graph = {module: core_edges(module) for module in core_modules()}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for other in graph.get(module, ()):
                visit(other, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_every_floor_is_inhabited():
    """The table of floors names no module that is gone."""
    there = {m.split(".")[1] for m in core_modules()}
    assert set() == {name for floor in FLOORS for name in floor} - there


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_distributions_import_only_what_they_may(package):
    """The core imports none of the others; a plugin the core only; the server core, sql and the wire; nobody a plugin."""
    allowed = {package} | ALLOWED.get(package, {"fengchao_core"})
    for path in modules(package):
        for name in imports(path):
            if name.split(".")[0] in PACKAGES:
                good = any(name == a or name.startswith(f"{a}.") for a in allowed)
                assert good, f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_nothing_served_imports_test_helpers(package):
    """What runs in production imports neither pytest nor our own testing package."""
    for path in modules(package):
        if "testing" not in path.parts:
            names = {
                n
                for n in imports(path)
                if n.startswith(("fengchao_core.testing", "pytest", "hypothesis"))
            }
            assert set() == names, path.relative_to(ROOT)


def fresh(code: str, tmp_path: Path) -> str:
    """Run code in a fresh interpreter that keeps its bytecode, and give what it printed."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "FENGCHAO", "COV"))}
    env["PYTHONPYCACHEPREFIX"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("package", sorted(PACKAGES.keys() - {"fengchao", "fengchao_server"}))
def test_importing_is_light(package, tmp_path):
    """Importing the core or a plugin brings none of the heavy libraries along, nor the core what an open gateway needs."""
    loaded = json.loads(
        fresh(f"import json, sys, {package}; print(json.dumps([*sys.modules]))", tmp_path)
    )
    heavy = HEAVY | FOR_OPEN_GATEWAYS if package == "fengchao_core" else HEAVY
    assert set() == heavy & set(loaded)


def test_sdk_needs_no_core(tmp_path):
    """The SDK and the models of its wire import where `fengchao_core` is not installed."""
    code = "import sys; sys.modules['fengchao_core'] = None; import fengchao, fengchao.wire; print('fine')"
    assert fresh(code, tmp_path) == "fine\n"


def test_importing_the_core_is_quick(tmp_path):
    """
    With compiled bytecode `import fengchao_core` takes less than 300 ms of processor time, at best of four.

    On a slow machine it may take longer: up to twice what aiohttp alone takes beside it.
    """
    code = "import time; t = time.process_time(); import {}; print(time.process_time() - t)"
    ours, yardstick = (
        min(float(fresh(code.format(name), tmp_path)) for _ in range(4))
        for name in ("fengchao_core", "aiohttp")
    )
    assert ours < max(0.3, 2 * yardstick)
