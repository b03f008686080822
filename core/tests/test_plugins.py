"""Plugins: found by metadata, imported only when needed, blamed by name."""

import sys

import pytest

from fengchao_core import hookimpl
from fengchao_core.errors import PluginError
from fengchao_core.plugins import load_plugins
from fengchao_core.settings import PluginSettings

GOOD = """
from fengchao_core import hookimpl

@hookimpl
def fengchao_prompts():
    return ()
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a module as a plugin: metadata beside it, as an installer would leave it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    installed = []

    def install(entry, module, source, *, distribution="acme-plugin", version="1.2"):
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        )
        (info / "entry_points.txt").write_text(f"[fengchao]\n{entry} = {module}\n")
        installed.append(module)

    yield install
    for module in installed:
        sys.modules.pop(module, None)


def states(plugins):
    return {info.name: info.state for info in plugins.infos}


def test_a_provider_nobody_needs_is_never_imported(install):
    """A provider kind that is not asked for stays unimported, and is still listed."""
    install("acme", "acme_provider", "raise RuntimeError('imported')")
    plugins = load_plugins(PluginSettings(), kinds=())
    assert ("available", False) == (states(plugins)["acme"], "acme_provider" in sys.modules)


def test_a_needed_provider_is_loaded(install):
    """A provider kind that is asked for is imported and its hooks are registered."""
    install("acme", "acme_provider", GOOD)
    assert "loaded" == states(load_plugins(PluginSettings(), kinds={"acme"}))["acme"]


def test_other_plugins_are_always_loaded(install):
    """An entry point with a dotted name is no provider and is imported in any case."""
    install("prompts.acme", "acme_prompts", GOOD)
    assert "loaded" == states(load_plugins(PluginSettings(), kinds=()))["prompts.acme"]


def test_several_entry_points_may_name_one_module(install):
    """A module that brings several kinds is registered once, and listed under each of its names."""
    install("acme", "acme_many", GOOD)
    install("acme-two", "acme_many", GOOD, distribution="acme-two")
    plugins = load_plugins(PluginSettings(), kinds={"acme", "acme-two"})
    found = states(plugins)
    assert ("loaded", "loaded") == (found["acme"], found["acme-two"])
    registered = [p for p in plugins.manager.get_plugins() if p is sys.modules["acme_many"]]
    assert 1 == len(registered)


def test_a_disabled_kind_stays_away_though_its_module_is_loaded(install):
    """Of a module with two kinds, the disabled one is no provider."""
    source = """
from types import SimpleNamespace
from fengchao_core import hookimpl

@hookimpl
def fengchao_providers():
    return (SimpleNamespace(name="acme"), SimpleNamespace(name="acme-two"))
"""
    install("acme", "acme_many", source)
    install("acme-two", "acme_many", source, distribution="acme-two")
    plugins = load_plugins(PluginSettings(disabled=("acme-two",)), kinds={"acme"})
    assert {"acme"} == set(plugins.provider_specs())


def test_a_plugin_that_does_not_import_is_blamed(install):
    """The error names entry point, module, distribution, version and cause."""
    install("acme", "acme_broken", "import nothing_of_that_name")
    with pytest.raises(PluginError) as caught:
        load_plugins(PluginSettings(), kinds={"acme"})
    said = str(caught.value)
    for fact in ("'acme'", "acme_broken", "acme-plugin 1.2", "nothing_of_that_name"):
        assert fact in said


def test_all_broken_plugins_are_named_at_once(install):
    """Two broken plugins give one error with two problems."""
    install("one", "acme_one", "1/0", distribution="acme-one")
    install("two", "acme_two", "1/0", distribution="acme-two")
    with pytest.raises(PluginError) as caught:
        load_plugins(PluginSettings(), kinds={"one", "two"})
    assert 2 == len(caught.value.problems)


@pytest.mark.parametrize("optional", ["acme", "*"])
def test_an_optional_plugin_is_quarantined(install, optional):
    """A plugin that may fail is left out, with the reason kept for who asks."""
    install("acme", "acme_broken", "1/0")
    plugins = load_plugins(PluginSettings(optional=(optional,)), kinds={"acme"})
    (info,) = [info for info in plugins.infos if info.name == "acme"]
    assert ("quarantined", True) == (info.state, "ZeroDivisionError" in info.problem)


def test_a_disabled_plugin_is_left_alone(install):
    """A disabled plugin is not imported even where it is asked for."""
    install("acme", "acme_broken", "1/0")
    plugins = load_plugins(PluginSettings(disabled=("acme",)), kinds={"acme"})
    assert "disabled" == states(plugins)["acme"]


def test_a_misspelt_hook_is_found(install):
    """A hook nobody specified is an error that names it."""
    install("acme", "acme_typo", GOOD.replace("fengchao_prompts", "fengchao_promts"))
    with pytest.raises(PluginError, match="fengchao_promts"):
        load_plugins(PluginSettings(), kinds={"acme"})


def test_a_coroutine_hook_is_refused_with_a_remedy(install):
    """A hook that would have to be awaited is refused, and the message says what to do."""
    install("acme", "acme_async", GOOD.replace("def fengchao", "async def fengchao"))
    with pytest.raises(PluginError, match=r"move what must be awaited into the spec's open\(\)"):
        load_plugins(PluginSettings(), kinds={"acme"})


def test_a_plugin_without_hooks_is_refused(install):
    """A module that marks no hook does nothing, which is never what was meant."""
    install("acme", "acme_empty", "")
    with pytest.raises(PluginError, match="no function marked with @hookimpl"):
        load_plugins(PluginSettings(), kinds={"acme"})


def test_two_plugins_may_not_bring_one_provider():
    """Two specs of one name are an error, not a race."""

    class Spec:
        name = "acme"

    class One:
        @staticmethod
        @hookimpl
        def fengchao_providers():
            return (Spec(),)

    class Two(One):
        pass

    plugins = load_plugins(PluginSettings(), kinds=(), extra=(One(), Two()))
    with pytest.raises(PluginError, match="'acme'"):
        plugins.provider_specs()
