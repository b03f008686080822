"""The vault: what it seals opens only here, and its master key is kept from everybody else."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fengchao_core.errors import SetupError
from fengchao_server.vault import SealBroken, Vault, open_vault

ONE, TWO = bytes(range(32)), bytes(range(32, 64))
POSIX = pytest.mark.skipif(os.name != "posix", reason="only POSIX has these modes")


def text_of(key: bytes) -> str:
    """A master key as people keep it."""
    return base64.b64encode(key).decode()


@given(secret=st.text(st.characters(exclude_categories=["Cs"])), owner=st.text("0123abcd"))
@settings(deadline=None)
def test_what_is_sealed_opens(secret, owner):
    """Any secret opens again for its owner, and does not show in what was sealed."""
    vault = Vault([ONE])
    sealed = vault.seal(secret, owner=owner)
    assert secret == vault.open(sealed, owner=owner)
    assert len(secret) < 3 or secret.encode() not in sealed


def test_same_secret_is_sealed_differently_each_time():
    """Sealing twice gives nothing from which equal secrets could be told."""
    vault = Vault([ONE])
    assert vault.seal("secret", owner="a") != vault.seal("secret", owner="a")


@given(place=st.integers(0, 60), bit=st.integers(0, 7))
@settings(deadline=None)
def test_any_changed_bit_is_noticed(place, bit):
    """A sealed secret with any one bit changed does not open."""
    vault = Vault([ONE])
    sealed = bytearray(vault.seal("x" * 32, owner="a"))
    sealed[place % len(sealed)] ^= 1 << bit
    with pytest.raises(SealBroken):
        vault.open(bytes(sealed), owner="a")


@pytest.mark.parametrize("length", [0, 1, 4, 5, 16, 32])
def test_cut_secret_is_noticed(length):
    """A sealed secret of which only the beginning is left does not open."""
    vault = Vault([ONE])
    with pytest.raises(SealBroken):
        vault.open(vault.seal("x" * 32, owner="a")[:length], owner="a")


def test_secret_belongs_to_its_owner():
    """A sealed secret that was moved to another record does not open."""
    vault = Vault([ONE])
    with pytest.raises(SealBroken):
        vault.open(vault.seal("secret", owner="a"), owner="b")


def test_other_master_key_does_not_open():
    """A vault with another master key says that the right one is missing."""
    with pytest.raises(SealBroken, match="not here"):
        Vault([TWO]).open(Vault([ONE]).seal("secret", owner="a"), owner="a")


def test_master_key_can_be_changed_in_two_steps():
    """With a new master key before the old one, old secrets open and new ones need only the new key."""
    old = Vault([ONE]).seal("old", owner="a")
    both = Vault([TWO, ONE])
    assert "old" == both.open(old, owner="a")
    assert "new" == Vault([TWO]).open(both.seal("new", owner="a"), owner="a")


def test_vault_shows_no_key():
    """Neither the vault nor its refusals show a key."""
    vault = Vault([ONE])
    with pytest.raises(SealBroken) as caught:
        vault.open(vault.seal("secret", owner="a")[:-1], owner="a")
    shown = f"{vault!r} {vault} {caught.value!r}"
    assert text_of(ONE) not in shown
    assert repr(ONE) not in shown
    assert "secret'" not in shown


@pytest.mark.parametrize("keys", [[], [b"short"], [ONE, b"x" * 33]])
def test_vault_needs_whole_keys(keys):
    """A vault without a key, or with one of another length, is not made."""
    with pytest.raises(ValueError, match="32 bytes"):
        Vault(keys)


def test_file_is_made_once(tmp_path: Path):
    """The first opening makes the master key, later ones find it."""
    home = tmp_path / "new" / "home"
    sealed = open_vault(home, env={}).seal("secret", owner="a")
    assert "secret" == open_vault(home, env={}).open(sealed, owner="a")
    assert ["master.key"] == [file.name for file in home.iterdir()]


@POSIX
def test_file_is_for_its_owner_alone(tmp_path: Path):
    """The file that is made can be read by nobody else, whatever the user's umask."""
    umask = os.umask(0)
    try:
        open_vault(tmp_path / "home", env={})
    finally:
        os.umask(umask)
    assert 0o100600 == (tmp_path / "home" / "master.key").stat().st_mode
    assert 0o40700 == (tmp_path / "home").stat().st_mode


@POSIX
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o777])
def test_file_that_others_read_is_refused(tmp_path: Path, mode):
    """A master key that others could read is refused with the command that mends it."""
    open_vault(tmp_path, env={})
    (tmp_path / "master.key").chmod(mode)
    with pytest.raises(SetupError, match="chmod 600"):
        open_vault(tmp_path, env={})


def test_processes_that_start_at_once_share_one_key(tmp_path: Path):
    """Of several processes that find no master key one makes it and all use it."""
    script = """
import sys
from pathlib import Path
from fengchao_server.vault import open_vault
print("ready", flush=True)
sys.stdin.readline()
print(open_vault(Path(sys.argv[1]), env={}).seal("secret", owner="a").hex())
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "home")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout
        assert "ready\n" == process.stdout.readline()
    sealed = [process.communicate("go\n", timeout=60)[0] for process in processes]
    vault = open_vault(tmp_path / "home", env={})
    assert ["secret"] * 3 == [vault.open(bytes.fromhex(text), owner="a") for text in sealed]


def test_environment_comes_first(tmp_path: Path):
    """A master key in the environment is used, and no file is made beside it."""
    vault = open_vault(tmp_path, env={"FENGCHAO_MASTER_KEY": text_of(ONE)})
    assert "secret" == Vault([ONE]).open(vault.seal("secret", owner="a"), owner="a")
    assert [] == list(tmp_path.iterdir())


def test_environment_may_hold_several(tmp_path: Path):
    """Of several master keys in the environment the first seals and all open."""
    env = {"FENGCHAO_MASTER_KEY": f" {text_of(TWO)}, {text_of(ONE)} "}
    vault = open_vault(tmp_path, env=env)
    assert "old" == vault.open(Vault([ONE]).seal("old", owner="a"), owner="a")
    assert "new" == Vault([TWO]).open(vault.seal("new", owner="a"), owner="a")


def test_file_may_hold_several(tmp_path: Path):
    """Of several lines in the file the first seals and all open."""
    file = tmp_path / "master.key"
    file.write_text(f"{text_of(TWO)}\n\n{text_of(ONE)}\n")
    file.chmod(0o600)
    vault = open_vault(tmp_path, env={})
    assert "old" == vault.open(Vault([ONE]).seal("old", owner="a"), owner="a")
    assert "new" == Vault([TWO]).open(vault.seal("new", owner="a"), owner="a")


def test_url_safe_spelling_is_taken(tmp_path: Path):
    """A key in the URL-safe alphabet, with or without its padding, is the same key."""
    key = b"\xfb\xff" * 16
    for text in (base64.urlsafe_b64encode(key), base64.urlsafe_b64encode(key).rstrip(b"=")):
        vault = open_vault(tmp_path, env={"FENGCHAO_MASTER_KEY": text.decode()})
        assert "x" == Vault([key]).open(vault.seal("x", owner="a"), owner="a")


@pytest.mark.parametrize(
    "text",
    ["hunter2hunter2", text_of(ONE)[:-4], text_of(ONE) + "AAAA", "主密钥", f"{text_of(ONE)},x"],
)
def test_wrong_key_is_refused_and_not_repeated(tmp_path: Path, text):
    """Something that is no master key is refused without being repeated."""
    with pytest.raises(SetupError, match="32 bytes in base64") as caught:
        open_vault(tmp_path, env={"FENGCHAO_MASTER_KEY": text})
    assert text not in str(caught.value)


def test_empty_file_is_refused(tmp_path: Path):
    """An empty file is not taken for a missing one: a new key in its place would open nothing."""
    (tmp_path / "master.key").touch(0o600)
    with pytest.raises(SetupError, match="holds no master key"):
        open_vault(tmp_path, env={})


def test_unusable_home_is_refused(tmp_path: Path):
    """A home that cannot hold the file is refused, naming the way around it."""
    (tmp_path / "home").write_text("a file, not a folder")
    with pytest.raises(SetupError, match="FENGCHAO_MASTER_KEY"):
        open_vault(tmp_path / "home", env={})
