"""
One frozen tree of settings, from a TOML file and the environment.

Where a value comes from, the first that has it: `FENGCHAO__SECTION__KEY`, the file, a vendor's usual variable
(`ZHIPUAI_API_KEY`, …), the default. `${NAME}` inside a value of the file takes an environment variable. Unknown keys are
errors, and all problems are reported at once. Nothing else in the core reads the environment.

The sections of providers and knowledge bases are kept raw here: only their plugins know the fields, and check them while
the gateway opens.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

import orjson
from platformdirs import user_data_path
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fengchao_core.errors import SettingsError
from fengchao_core.provider import Limits

ENV_PREFIX = "FENGCHAO__"
ENV_GROUP = "fengchao.env"
DEFAULT_FILE = "fengchao.toml"

_REFERENCE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Section(BaseModel):
    """A part of the tree: frozen, with unknown keys refused and no value shown in an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ServerSettings(Section):
    """
    `[server]`: where and how the server listens.

    Attributes:
        workers: processes that share the port.
        max_body_bytes: the largest request body; more is answered 413.
        drain_s: how long a stopping server waits for requests under way.
        keep_alive_s: how long an idle connection of a client stays open.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    workers: int = Field(default=1, ge=1, le=256)
    max_body_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    drain_s: float = Field(default=30.0, ge=0)
    keep_alive_s: float = Field(default=75.0, gt=0)


class StoreSettings(Section):
    """`[store]`: where keys and usage are kept. `memory:` forgets them when the process ends."""

    url: str = "sqlite:///fengchao.db"


class LimitSettings(Section):
    """`[limits]`: the four time limits of a call, in seconds."""

    connect_s: float = Field(default=10.0, gt=0)
    first_delta_s: float = Field(default=120.0, gt=0)
    idle_s: float = Field(default=60.0, gt=0)
    total_s: float = Field(default=600.0, gt=0)

    def limits(self) -> Limits:
        """The limits as the pipeline takes them."""
        return Limits(self.connect_s, self.first_delta_s, self.idle_s, self.total_s)


class RetrySettings(Section):
    """
    `[retry]`: how often a vendor is asked, and how long to wait in between.

    Attributes:
        attempts: at most, the first included.
        base_wait_s: the first wait, doubled each time, with jitter.
        max_wait_s: the longest wait; a vendor that asks for more is not waited for.
    """

    attempts: int = Field(default=3, ge=1, le=20)
    base_wait_s: float = Field(default=0.5, ge=0)
    max_wait_s: float = Field(default=8.0, ge=0)


class RoutingSettings(Section):
    """
    `[routing]`: when a deployment that keeps failing is left alone.

    Attributes:
        failures: consecutive failures that open the circuit.
        cooldown_s: how long it stays open before one request probes it; doubled each time the probe fails.
        max_cooldown_s: the longest it stays open.
    """

    failures: int = Field(default=3, ge=1)
    cooldown_s: float = Field(default=5.0, gt=0)
    max_cooldown_s: float = Field(default=120.0, gt=0)


class SensitiveSettings(Section):
    """
    `[sensitive]`: the word filter.

    Attributes:
        enabled: False switches it off for every request.
        wordlists: files of words (txt, csv, json), relative to the settings file.
        allow: words that are never a hit, even around a listed word.
        pinyin: also find words written in pinyin; needs the `pypinyin` package.
    """

    enabled: bool = True
    wordlists: tuple[Path, ...] = ()
    allow: tuple[str, ...] = ()
    pinyin: bool = False


class LedgerSettings(Section):
    """
    `[ledger]`: how usage rows reach the store.

    Attributes:
        capacity: rows that may wait while the store is away; beyond it the oldest are given up, loudly.
        batch: rows per transaction at most.
        interval_s: the longest a row waits for others to share its transaction.
    """

    capacity: int = Field(default=100_000, ge=1)
    batch: int = Field(default=500, ge=1)
    interval_s: float = Field(default=0.2, ge=0)


class LogSettings(Section):
    """`[log]`: what the process logs. `auto` is coloured text on a terminal and JSON elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class PluginSettings(Section):
    """
    `[plugins]`: which plugins may fail, and which are left out.

    Attributes:
        optional: entry points that are quarantined instead of stopping start-up; `*` means all.
        disabled: entry points that are never loaded.
    """

    optional: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()


class ModelSettings(Section):
    """
    `[models."<id>"]`: overrides a model's card.

    Attributes:
        fallbacks: models to ask when this one fails before its first delta.
        prices: replace the card's prices; the same fields as in a plugin's `models.toml`.
    """

    fallbacks: tuple[str, ...] = ()
    aliases: tuple[str, ...] | None = None
    owned_by: str | None = None
    max_input_tokens: int | None = Field(default=None, ge=1)
    max_output_tokens: int | None = Field(default=None, ge=1)
    capabilities: tuple[str, ...] | None = None
    prices: tuple[dict[str, Any], ...] | None = None


class Settings(Section):
    """The whole tree. Build it in code, or with `Settings.load()`."""

    server: ServerSettings = ServerSettings()
    store: StoreSettings = StoreSettings()
    limits: LimitSettings = LimitSettings()
    retry: RetrySettings = RetrySettings()
    routing: RoutingSettings = RoutingSettings()
    sensitive: SensitiveSettings = SensitiveSettings()
    ledger: LedgerSettings = LedgerSettings()
    log: LogSettings = LogSettings()
    plugins: PluginSettings = PluginSettings()
    models: dict[str, ModelSettings] = Field(default_factory=dict)
    providers: dict[str, dict[str, Any]] = Field(default_factory=dict, repr=False)
    knowledge: dict[str, dict[str, Any]] = Field(default_factory=dict, repr=False)
    home: Path = Field(default_factory=lambda: user_data_path("fengchao", appauthor=False))

    @classmethod
    def load(
        cls, config: Path | str | None = None, *, env: Mapping[str, str] | None = None
    ) -> Settings:
        """
        Read the settings.

        Args:
            config: the TOML file; by default `FENGCHAO_CONFIG`, else `fengchao.toml` in the working directory if there.
            env: the environment; the process's own by default.

        Raises:
            SettingsError: with every problem found.
        """
        env = os.environ if env is None else env
        path = _find(config, env)
        problems: list[str] = []
        tree: dict[str, Any] = _read(path) if path else {}
        tree = _interpolate(tree, env, (), problems)
        _overlay(tree, env)
        _add_vendor_variables(tree, env)
        if home := env.get("FENGCHAO_HOME"):
            tree["home"] = home
        if path:
            _anchor(tree, path.resolve().parent)
        if not problems:
            try:
                return cls.model_validate(tree)
            except ValidationError as error:
                problems += explain(error, where=str(path) if path else "settings")
        raise SettingsError(*problems)


def explain(error: ValidationError, *, where: str, section: str = "") -> list[str]:
    """One sentence per problem of a pydantic error, naming the key, and for an unknown key the nearest known one."""
    out = []
    for item in error.errors(include_url=False, include_input=False):
        loc = [str(part) for part in item["loc"]]
        key = ".".join(([section] if section else []) + loc)
        if item["type"] == "extra_forbidden":
            known = _known_keys(error.title, loc)
            near = difflib.get_close_matches(loc[-1], known, n=1)
            hint = (
                f"; did you mean {near[0]!r}?"
                if near
                else f"; known: {', '.join(known)}"
                if known
                else ""
            )
            out.append(f"{where}: unknown key '{key}'{hint}")
        elif item["type"] == "missing":
            name = ENV_PREFIX + "__".join(part.upper().replace("-", "_") for part in key.split("."))
            out.append(f"{where}: '{key}' is missing; set it in the file or as {name}")
        else:
            out.append(f"{where}: '{key}': {item['msg']}")
    return out


def _known_keys(title: str, loc: list[str]) -> list[str]:
    model: Any = next((m for m in _sections() if m.__name__ == title), None)
    for part in loc[:-1]:
        field = model.model_fields.get(part) if model else None
        annotation = field.annotation if field else None
        model = (
            annotation
            if isinstance(annotation, type) and issubclass(annotation, BaseModel)
            else None
        )
    return sorted(model.model_fields) if model else []


def _sections() -> Iterator[type[BaseModel]]:
    from fengchao_core.provider import ProviderSettings

    yield Settings
    todo: list[type[BaseModel]] = [Section, ProviderSettings]
    while todo:
        model = todo.pop()
        yield model
        todo += model.__subclasses__()


def _find(config: Path | str | None, env: Mapping[str, str]) -> Path | None:
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
