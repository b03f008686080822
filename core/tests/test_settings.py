"""Settings: files, environment, and what is said when they are wrong."""

from pathlib import Path

import pytest

from fengchao_core import Settings
from fengchao_core.errors import SettingsError


def write(folder: Path, text: str) -> Path:
    path = folder / "fengchao.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_need_nothing():
    """Without a file and without variables every setting has a default."""
    settings = Settings.load(env={})
    assert (8000, 1, {}) == (settings.server.port, settings.server.workers, settings.providers)


def test_a_file_is_read(tmp_path):
    """A TOML file named by the caller sets values."""
    path = write(tmp_path, '[server]\nport = 9000\n[providers.zhipu]\napi_key = "a.b"\n')
    settings = Settings.load(path, env={})
    assert (9000, "a.b") == (settings.server.port, settings.providers["zhipu"]["api_key"])


def test_the_environment_names_the_file(tmp_path):
    """FENGCHAO_CONFIG names the file where no argument does."""
    path = write(tmp_path, "[server]\nport = 9001\n")
    assert Settings.load(env={"FENGCHAO_CONFIG": str(path)}).server.port == 9001


def test_the_working_directory_is_looked_at(tmp_path, monkeypatch):
    """A fengchao.toml in the working directory is found."""
    write(tmp_path, "[server]\nport = 9002\n")
    monkeypatch.chdir(tmp_path)
    assert Settings.load(env={}).server.port == 9002


def test_a_variable_wins_over_the_file(tmp_path):
    """FENGCHAO__SECTION__KEY overrides the file."""
    path = write(tmp_path, "[server]\nport = 9000\n")
    assert Settings.load(path, env={"FENGCHAO__SERVER__PORT": "7000"}).server.port == 7000


def test_a_variable_finds_a_hyphenated_section(tmp_path):
    """A provider's name with a hyphen is met by an underscore in a variable."""
    path = write(tmp_path, '[providers.my-vllm]\nkind = "openai"\n')
    settings = Settings.load(path, env={"FENGCHAO__PROVIDERS__MY_VLLM__BASE_URL": "http://h/v1"})
    assert settings.providers == {"my-vllm": {"kind": "openai", "base_url": "http://h/v1"}}


def test_a_variable_may_hold_a_list():
    """JSON in a variable gives lists and tables."""
    settings = Settings.load(env={"FENGCHAO__SENSITIVE__ALLOW": '["好", "美"]'})
    assert settings.sensitive.allow == ("好", "美")


def test_references_take_the_environment(tmp_path):
    """${NAME} takes a variable, $$ is a dollar."""
    path = write(tmp_path, '[providers.openai]\napi_key = "${KEY}"\nbase_url = "http://x/$$"\n')
    settings = Settings.load(path, env={"KEY": "k1"})
    assert settings.providers["openai"] == {"api_key": "k1", "base_url": "http://x/$"}


def test_a_missing_reference_is_named(tmp_path):
    """A reference to an unset variable says which key refers to which variable."""
    path = write(tmp_path, '[providers.openai]\napi_key = "${NOT_SET}"\n')
    with pytest.raises(SettingsError, match=r"providers\.openai\.api_key.*NOT_SET"):
        Settings.load(path, env={})


def test_a_typing_mistake_gets_a_suggestion(tmp_path):
    """An unknown key is an error that names the nearest known one."""
    path = write(tmp_path, "[server]\nprot = 9000\n")
    with pytest.raises(SettingsError, match=r"unknown key 'server\.prot'; did you mean 'port'"):
        Settings.load(path, env={})


def test_an_unknown_section_gets_a_suggestion(tmp_path):
    """An unknown section is an error that names the nearest known one."""
    path = write(tmp_path, "[sevrer]\nport = 9000\n")
    with pytest.raises(SettingsError, match="did you mean 'server'"):
        Settings.load(path, env={})


def test_all_problems_come_at_once(tmp_path):
    """Several mistakes are reported together."""
    path = write(tmp_path, '[server]\nport = "x"\nworkers = 0\n[limits]\nidle_s = -1\n')
    with pytest.raises(SettingsError) as caught:
        Settings.load(path, env={})
    assert len(caught.value.problems) == 3


def test_broken_toml_is_told_with_its_place(tmp_path):
    """A file that is no TOML is an error with file, line and column."""
    path = write(tmp_path, "[server\n")
    with pytest.raises(SettingsError, match=r"fengchao\.toml: not valid TOML.*line 1"):
        Settings.load(path, env={})


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    """A named file that does not exist is an error, not a default."""
    with pytest.raises(SettingsError, match="does not exist"):
        Settings.load(tmp_path / "nowhere.toml", env={})


def test_secrets_stay_out_of_repr_and_errors(tmp_path):
    """No credential appears in the repr of the settings, nor in what is said of a mistake beside it."""
    path = write(tmp_path, '[providers.openai]\napi_key = "sk-secret"\n')
    assert "sk-secret" not in repr(Settings.load(path, env={}))
    path = write(tmp_path, '[providers]\nopenai = "sk-secret"\n')
    with pytest.raises(SettingsError) as caught:
        Settings.load(path, env={})
    assert "sk-secret" not in str(caught.value)


def test_vendor_variables_work_without_a_file():
    """A vendor's usual variable makes its provider's section."""
    settings = Settings.load(env={"ZHIPUAI_API_KEY": "id.secret"})
    assert settings.providers == {"zhipu": {"api_key": "id.secret"}}


def test_an_address_alone_makes_no_provider():
    """OPENAI_BASE_URL without a key configures nothing."""
    assert Settings.load(env={"OPENAI_BASE_URL": "http://h/v1"}).providers == {}


def test_the_file_wins_over_vendor_variables(tmp_path):
    """What the file says of a provider is kept; the variable only fills what is missing."""
    path = write(tmp_path, '[providers.openai]\nbase_url = "http://h/v1"\n')
    settings = Settings.load(
        path, env={"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://other/v1"}
    )
    assert settings.providers["openai"] == {"base_url": "http://h/v1", "api_key": "k"}


def test_paths_are_relative_to_the_file(tmp_path):
    """A word list's path is taken from the settings file's folder."""
    path = write(tmp_path, '[sensitive]\nwordlists = ["words.txt"]\n')
    assert Settings.load(path, env={}).sensitive.wordlists == (tmp_path / "words.txt",)


def test_home_comes_from_the_environment(tmp_path):
    """FENGCHAO_HOME says where data goes."""
    assert Settings.load(env={"FENGCHAO_HOME": str(tmp_path)}).home == tmp_path
