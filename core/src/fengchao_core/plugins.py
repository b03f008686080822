"""
Plugins: found by metadata, imported only when needed, blamed by name when they fail.

An entry point of the group `fengchao` whose name has no dot is a provider kind, and is imported only if a settings
section asks for that kind (or everything is asked for). A dotted name (`store.sql`, `prompts.acme`) is imported always.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Literal, TypeVar

import pluggy

from fengchao_core import hookspecs
from fengchao_core.errors import PluginError
from fengchao_core.logs import Log
from fengchao_core.provider import ProviderSpec, SandboxSpec
from fengchao_core.settings import PluginSettings

log = Log()

State = Literal["loaded", "available", "disabled", "quarantined"]
_Named = TypeVar("_Named", ProviderSpec, SandboxSpec)


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """
    A plugin as metadata tells it.

    Attributes:
        name: its entry point.
        state: `available` is installed but not needed, `quarantined` failed and was allowed to.
        problem: why it failed, where it did.
    """

    name: str
    module: str
    distribution: str
    version: str
    state: State
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Plugins:
    """What was loaded. `manager.hook` calls the hooks; after the gateway is open nobody does."""

    manager: pluggy.PluginManager
    infos: tuple[PluginInfo, ...] = field(default=())

    def provider_specs(self) -> dict[str, ProviderSpec]:
        """The providers by kind. Raises `PluginError` where two plugins claim one kind."""
        # A module with several kinds is loaded for any of them, also where one of the others is disabled.
        disabled = {info.name for info in self.infos if info.state == "disabled"}
        specs = _by_name(self.manager.hook.fengchao_providers(), "provider")
        return {name: spec for name, spec in specs.items() if name not in disabled}

    def sandbox_specs(self) -> dict[str, SandboxSpec]:
        """The sandboxes by kind. Raises `PluginError` where two plugins claim one kind."""
        return _by_name(self.manager.hook.fengchao_sandboxes(), "sandbox")


def load_plugins(
    settings: PluginSettings, *, kinds: Collection[str] | None = None, extra: Iterable[object] = ()
) -> Plugins:
    """
    Find the plugins and load those that are needed.

    Args:
        settings: which may fail and which are left out.
        kinds: the provider kinds that are needed; None means every installed one.
        extra: objects with hook implementations, registered as they are.

    Raises:
        PluginError: with all problems, each naming entry point, distribution, version and cause.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    for plugin in extra:
        _register(manager, plugin, name=None)
    infos, problems = [], []
    for entry in sorted(entry_points(group=hookspecs.PROJECT), key=lambda e: e.name):
        state: State = "available"
        problem = ""
        if entry.name in settings.disabled:
            state = "disabled"
        elif "." in entry.name or kinds is None or entry.name in kinds:
            try:
                _register(manager, entry.load(), name=entry.name)
                state = "loaded"
            except (
                Exception
            ) as error:  # whatever a plugin does while it is imported, it is named and contained
                problem = f"{_blame(entry)}: {_cause(error)}"
                state = "quarantined"
                if entry.name in settings.optional or "*" in settings.optional:
                    log.warning(
                        "plugin.quarantined", plugin=entry.name, problem=problem, exc_info=error
                    )
                else:
                    problems.append(problem)
        infos.append(_info(entry, state, problem))
    if problems:
        raise PluginError(*problems)
    return Plugins(manager, tuple(infos))


def _register(manager: pluggy.PluginManager, plugin: object, *, name: str | None) -> None:
    for attribute in dir(plugin):
        if attribute.startswith("fengchao_"):
            function = getattr(plugin, attribute)
            if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
                raise PluginError(
                    f"the hook {attribute} is a coroutine; hooks are plain functions that return specs: "
                    "move what must be awaited into the spec's open()"
                )
    if manager.is_registered(plugin):
        return  # another entry point names the same module
    registered = manager.register(plugin, name=name)
    try:
        manager.check_pending()
    except pluggy.PluginValidationError:
        manager.unregister(plugin)
        raise
    if registered is not None and not manager.get_hookcallers(plugin):
        manager.unregister(plugin)
        raise PluginError("it has no function marked with @hookimpl whose name is one of the hooks")


def _cause(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _blame(entry: EntryPoint) -> str:
    where = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown distribution"
    return f"plugin {entry.name!r} ({entry.value} of {where}) does not load"


def _info(entry: EntryPoint, state: State, problem: str) -> PluginInfo:
    dist = entry.dist
    return PluginInfo(
        entry.name,
        entry.value,
        dist.name if dist else "",
        dist.version if dist else "",
        state,
        problem,
    )


def _by_name(results: Iterable[Iterable[_Named]], what: str) -> dict[str, _Named]:
    found: dict[str, _Named] = {}
    for spec in (spec for result in results for spec in result):
        if spec.name in found:
            raise PluginError(
                f"two plugins bring a {what} named {spec.name!r}; uninstall or disable one"
            )
        found[spec.name] = spec
    return found
