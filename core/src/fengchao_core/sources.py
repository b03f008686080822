"""Where settings come from: a TOML file, the environment, and the vendors' usual variables; merged, not yet checked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import orjson

from fengchao_core.errors import SettingsError

ENV_PREFIX = "FENGCHAO__"
ENV_GROUP = "fengchao.env"
DEFAULT_FILE = "fengchao.toml"

_REFERENCE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def read_tree(path: Path | None, env: Mapping[str, str]) -> dict[str, Any]:
    """
    The merged tree of a file and the environment.

    Raises:
        SettingsError: the file is not TOML, or refers to variables that are not set; with every problem found.
    """
    problems: list[str] = []
    tree: dict[str, Any] = _interpolate(_read(path), env, (), problems) if path else {}
    if problems:
        raise SettingsError(*problems)
    _overlay(tree, env)
    _add_vendor_variables(tree, env)
    if home := env.get("FENGCHAO_HOME"):
        tree["home"] = home
    if path:
        _anchor(tree, path.resolve().parent)
    return tree


def find(config: Path | str | None, env: Mapping[str, str]) -> Path | None:
    """The settings file to read, or None. Raises `SettingsError` where a named one does not exist."""
    named = config or env.get("FENGCHAO_CONFIG")
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise SettingsError(
                f"settings file {str(named)!r} does not exist; check --config or FENGCHAO_CONFIG"
            )
        return path
    path = Path(DEFAULT_FILE)
    return path if path.is_file() else None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error.__class__.__name__}") from error


def _interpolate(
    node: Any, env: Mapping[str, str], at: tuple[str, ...], problems: list[str]
) -> Any:
    if isinstance(node, dict):
        return {key: _interpolate(value, env, (*at, key), problems) for key, value in node.items()}
    if isinstance(node, list):
        return [_interpolate(value, env, (*at, str(i)), problems) for i, value in enumerate(node)]
    if not isinstance(node, str) or "$" not in node:
        return node

    def take(match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return "$"
        if name not in env:
            problems.append(
                f"settings: '{'.'.join(at)}' refers to ${{{name}}}, which is not set in the environment"
            )
            return ""
        return env[name]

    return _REFERENCE.sub(take, node)


def _overlay(tree: dict[str, Any], env: Mapping[str, str]) -> None:
    for name in sorted(env):
        if not name.upper().startswith(ENV_PREFIX):
            continue
        parts = [part for part in name[len(ENV_PREFIX) :].split("__") if part]
        if not parts:
            continue
        node = tree
        for part in parts[:-1]:
            child = node.setdefault(_match(node, part), {})
            if not isinstance(child, dict):
                raise SettingsError(f"{name}: '{part}' is a value, not a section")
            node = child
        node[_match(node, parts[-1])] = _value(env[name])


def _match(node: Mapping[str, Any], part: str) -> str:
    """A variable cannot spell a hyphen, a dot or lower case: find the key that is meant, if it is there."""
    plain = re.sub(r"[^a-z0-9]", "_", part.lower())
    for key in node:
        if re.sub(r"[^a-z0-9]", "_", str(key).lower()) == plain:
            return str(key)
    return part.lower()


def _value(text: str) -> Any:
    if text[:1] in ("[", "{"):
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            return text
    return text


def _add_vendor_variables(tree: dict[str, Any], env: Mapping[str, str]) -> None:
    """
    Fill in what the vendors' usual variables say, from metadata alone: no plugin is imported for it.

    A variable completes the section of its provider, or makes one. An address alone makes none: it is no credential.
    """
    found: dict[str, dict[str, str]] = {}
    for entry in entry_points(group=ENV_GROUP):
        provider, _, key = entry.value.partition(":")
        if value := env.get(entry.name):
            found.setdefault(provider.strip(), {})[key.strip()] = value
    providers = tree.setdefault("providers", {})
    if not isinstance(providers, dict):
        return
    for provider, values in found.items():
        section = providers.get(provider)
        if section is None and set(values) != {"base_url"}:
            providers[provider] = values
        elif isinstance(section, dict) and "credentials" not in section:
            for key, value in values.items():
                section.setdefault(key, value)


def _anchor(tree: dict[str, Any], folder: Path) -> None:
    """Paths in a file are relative to that file, not to where the process happens to run."""
    sensitive = tree.get("sensitive")
    if isinstance(sensitive, dict) and isinstance(sensitive.get("wordlists"), list):
        sensitive["wordlists"] = [
            str(folder / path) if isinstance(path, str) else path for path in sensitive["wordlists"]
        ]
