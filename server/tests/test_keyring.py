"""The keyring: who is let in, who is not, and how soon a change is seen."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from fengchao_core.errors import (
    AuthenticationFailed,
    FengChaoError,
    InvalidParameter,
    SetupError,
)
from fengchao_core.limits import KeyLimits
from fengchao_core.store import KeyStore, MemoryStore
from fengchao_core.testing import FakeClock
from fengchao_server.auditing import auditor
from fengchao_server.doorkeeper import REMEMBERED
from fengchao_server.keyring import Keyring, NewKey, open_keyring
from fengchao_server.vault import Vault
from fengchao_sql.store import open_store

NOT_VALID = "the credentials are not valid; check the key and its secret"
MINUTE = 60
HOUR = 3600


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()


@pytest.fixture
def store() -> MemoryStore:
    """A store that several keyrings of a test may share."""
    return MemoryStore()


@pytest.fixture
async def keyring(store: MemoryStore, clock: FakeClock, tmp_path: Path) -> AsyncIterator[Keyring]:
    """A keyring without keys."""
    async with open_keyring(store.keys, tmp_path, clock=clock, env={}) as opened:
        yield opened


@pytest.fixture
async def key(keyring: Keyring) -> NewKey:
    """A live key that may use all models."""
    return await keyring.create("team")


class Signer:
    """Signs as the SDK does, or as an attacker would."""

    def __init__(self, key: NewKey, clock: FakeClock) -> None:
        self.key = key
        self.clock = clock

    def at(self, seconds: float) -> int:
        """Milliseconds of an instant so many seconds from now."""
        return round((self.clock.now().timestamp() + seconds) * 1000)

    def sign(self, *, secret: str | None = None, **claims: object) -> str:
        """A token with the published SDK's claims, changed by those given; None leaves one out."""
        body = {
            "api_key": self.key.api_key,
            "exp": self.at(30 * MINUTE),
            "timestamp": self.at(0),
        } | claims
        body = {name: value for name, value in body.items() if value is not None}
        secret = self.key.secret_key if secret is None else secret
        return jwt.encode(body, secret, algorithm="HS256", headers={"sign_type": "SIGN"})


@pytest.fixture
def signer(key: NewKey, clock: FakeClock) -> Signer:
    """Signs for the live key."""
    return Signer(key, clock)


def refusal(keyring: Keyring, header: str | None) -> str:
    """The message with which a header is refused."""
    with pytest.raises(AuthenticationFailed) as caught:
        keyring.authenticate(header)
    return caught.value.message


# Who is let in.


@pytest.mark.parametrize("prefix", ["", "Bearer ", "bearer ", "BEARER   "])
async def test_every_way_to_prove_oneself(keyring, key, signer, prefix):
    """A token of ours, one the SDK signed and the one-string key are taken, with and without Bearer."""
    for credentials in (
        keyring.issue_token(key.api_key, key.secret_key),
        signer.sign(),
        key.token,
    ):
        caller = keyring.authenticate(prefix + credentials)
        assert (key.api_key, "team", ()) == (caller.key, caller.name, caller.models)


async def test_key_has_its_form(key):
    """A key is 32 hexadecimal digits, 43 letters and digits, and both in one string."""
    assert 32 == len(bytes.fromhex(key.api_key)) * 2
    assert 43 == len(key.secret_key)
    assert key.secret_key.isascii()
    assert key.secret_key.isalnum()
    assert f"sk-{key.api_key}.{key.secret_key}" == key.token


async def test_keys_are_all_different(keyring):
    """No two keys share a half."""
    keys = [await keyring.create(f"team {n}") for n in range(20)]
    assert 20 == len({key.api_key for key in keys}) == len({key.secret_key for key in keys})


async def test_caller_has_its_models(keyring):
    """A caller carries the models its key may use, each once."""
    key = await keyring.create("team", models=["glm-4", " 文心一言 ", "glm-4"])
    assert ("glm-4", "文心一言") == keyring.authenticate(key.token).models


async def test_issued_token_is_the_published_form(keyring, key, clock):
    """A token of ours is what any JWT library reads: HS256, sign_type SIGN, 30 minutes, in milliseconds."""
    token = keyring.issue_token(key.api_key, key.secret_key)
    claims = jwt.decode(token, key.secret_key, algorithms=["HS256"], options={"verify_exp": False})
    now = round(clock.now().timestamp() * 1000)
    assert {"api_key": key.api_key, "exp": now + 1_800_000, "timestamp": now} == claims
    assert {"alg": "HS256", "sign_type": "SIGN", "typ": "JWT"} == jwt.get_unverified_header(token)


async def test_issued_token_ends_after_half_an_hour(keyring, key, clock):
    """A token of ours holds for 30 minutes and not a second longer, however often it was used."""
    token = keyring.issue_token(key.api_key, key.secret_key)
    for _ in range(2):
        keyring.authenticate(token)
        clock.advance(30 * MINUTE - 1)
        keyring.authenticate(token)
        clock.advance(1)
        assert "expired" in refusal(keyring, token)
        token = keyring.issue_token(key.api_key, key.secret_key)


async def test_issued_token_never_outlives_its_key(keyring, clock):
    """A token of a key that ends in a minute ends with it."""
    key = await keyring.create("short", expires_at=clock.now() + timedelta(minutes=1))
    token = keyring.issue_token(key.api_key, key.secret_key)
    claims = jwt.decode(token, key.secret_key, algorithms=["HS256"], options={"verify_exp": False})
    assert round(clock.now().timestamp() * 1000) + 60_000 == claims["exp"]


@pytest.mark.parametrize("name", ["exp", "timestamp"])
async def test_seconds_are_taken_too(keyring, key, signer, clock, name):
    """Instants in seconds, whole or not, mean the same as in milliseconds."""
    now = clock.now().timestamp()
    exp, timestamp = now + 10 * MINUTE, now
    for claims in (
        {"exp": int(exp), "timestamp": int(timestamp)},
        {"exp": exp + 0.5, "timestamp": timestamp + 0.5},
        {"exp": int(exp), "timestamp": None},
        {"exp": int(exp * 1000), "timestamp": None},
    ):
        assert key.api_key == keyring.authenticate(signer.sign(**claims)).key


@pytest.fixture
async def key_taken(store: MemoryStore) -> tuple[KeyStore, Vault, NewKey]:
    """A live key, and what a keyring with a clock of its own needs to know it."""
    vault = Vault([bytes(32)])
    return store.keys, vault, await Keyring(store.keys, vault).create("team")


@given(
    lifetime=st.integers(-2 * HOUR, 25 * HOUR),
    ahead=st.integers(-HOUR, HOUR),
    unit=st.sampled_from([1, 1000]),
    wait=st.integers(0, 26 * HOUR),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_token_is_taken_out_of_its_time(key_taken, lifetime, ahead, unit, wait):
    """A token is taken exactly when it lives, its clock is within five minutes, and its life is a day at most."""
    keys, vault, key = key_taken
    clock = FakeClock()
    now = int(clock.now().timestamp())
    signer = Signer(key, clock)
    begin, end = now + ahead, now + ahead + lifetime
    token = signer.sign(timestamp=begin * unit, exp=end * unit)
    fresh = Keyring(keys, vault, clock=clock)
    await fresh.refresh()
    for _ in range(2):
        moment = int(clock.now().timestamp())
        good = moment < end and begin <= moment + 5 * MINUTE and lifetime <= 24 * HOUR
        if good:
            assert key.api_key == fresh.authenticate(token).key
        else:
            with pytest.raises(AuthenticationFailed):
                fresh.authenticate(token)
        clock.advance(wait)


# Who is not.


async def test_nothing_is_refused(keyring, key):
    """No header, an empty one and a bare scheme are refused, saying what to send."""
    for header in (None, "", "   "):
        assert "Authorization" in refusal(keyring, header)
    for header in ("Bearer", "Bearer ", "Basic dXNlcjpwYXNz"):
        assert "malformed" in refusal(keyring, header) or "no credentials" in refusal(
            keyring, header
        )


async def test_unknown_key_and_wrong_secret_look_alike(keyring, key, signer):
    """An unknown key and a wrong secret are refused in the same words, whichever way they come."""
    absent = "f" * 32
    said = {
        refusal(keyring, f"Bearer sk-{absent}.{key.secret_key}"),
        refusal(keyring, f"Bearer sk-{key.api_key}.{'x' * 43}"),
        refusal(keyring, f"Bearer sk-{key.api_key}"),
        refusal(keyring, f"Bearer sk-{key.api_key}."),
        refusal(keyring, "Bearer sk-"),
        refusal(keyring, signer.sign(api_key=absent)),
        refusal(keyring, signer.sign(secret="x" * 43)),
        refusal(keyring, signer.sign(api_key="", secret="x" * 43)),
    }
    for pair in (absent, key.secret_key), (key.api_key, "wrong"), ("", ""), (key.api_key, "\ud800"):
        with pytest.raises(AuthenticationFailed) as caught:
            keyring.issue_token(*pair)
        said.add(caught.value.message)
    assert {NOT_VALID} == said


def forge(header: dict[str, object], claims: object, secret: bytes = b"") -> str:
    """A token with any header, signed with HMAC-SHA256 whatever the header says."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    signed = f"{part(header)}.{part(claims)}"
    digest = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "None"},
        {"alg": "hs256"},
        {"alg": "HS384"},
        {"alg": "RS256"},
        {"alg": ["HS256"]},
        {},
        {"alg": "HS256", "crit": ["exp"]},
    ],
)
async def test_other_algorithms_are_refused(keyring, key, signer, header):
    """A token whose header asks for another check is refused even if it is signed with the right secret."""
    claims = {"api_key": key.api_key, "exp": signer.at(60), "timestamp": signer.at(0)}
    token = forge(header, claims, key.secret_key.encode())
    assert "HS256" in refusal(keyring, token)
    unsigned = token.rpartition(".")[0] + "."
    assert "HS256" in refusal(keyring, unsigned)


async def test_changed_token_is_refused(keyring, key, signer):
    """A token of which anything was changed or added is refused, also after the true one was seen."""
    token = signer.sign()
    keyring.authenticate(token)
    head, body, signature = token.split(".")
    claims = {"api_key": key.api_key, "exp": signer.at(23 * HOUR), "timestamp": signer.at(0)}
    other = forge({"alg": "HS256"}, claims).split(".")[1]
    for changed in (
        f"{head}.{other}.{signature}",
        f"{head}.{body}.{signature[:-2]}",
        f"{head}.{body}.{signature}=",
        f"{head}.{body}.{signature}A",
        f"{head}.{body}.",
        f"{head}.{body}",
        f"{head}.{body}.{signature}.{signature}",
        f".{body}.{signature}",
        f"{head}..{signature}",
    ):
        refusal(keyring, changed)
    assert key.api_key == keyring.authenticate(token).key


@given(noise=st.text(max_size=200) | st.from_regex(r"[\w.=-]{1,80}", fullmatch=True))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_noise_is_refused(keyring, key, noise):
    """Whatever text stands in the header, it is refused as ours and never breaks the check."""
    for header in (noise, f"Bearer {noise}", f"sk-{noise}", f"sk-{key.api_key}.{noise}"):
        refusal(keyring, header)


@pytest.mark.parametrize(
    "claims",
    [
        [],
        "text",
        7,
        None,
        {},
        {"api_key": 7},
        {"api_key": {"a": 1}},
    ],
)
async def test_claims_of_another_shape_are_refused(keyring, key, claims):
    """Claims that are no object, or name no key, are refused."""
    assert "malformed" in refusal(keyring, forge({"alg": "HS256"}, claims, key.secret_key.encode()))


@pytest.mark.parametrize("exp", [None, "tomorrow", True, [], {"a": 1}])
async def test_expiry_must_be_a_number(keyring, signer, exp):
    """A token that does not say when it ends is refused, not taken for ever."""
    assert "when it expires" in refusal(keyring, signer.sign(exp=exp))


async def test_hostile_token_is_cheap(keyring, key):
    """Deep nesting and huge headers are refused without being followed."""
    nest = base64.urlsafe_b64encode(b"[" * 2000).rstrip(b"=").decode()
    refusal(keyring, f"{nest}.{nest}.x")
    assert "longer than" in refusal(keyring, "Bearer " + "a" * 100_000)
    assert "longer than" in refusal(keyring, key.token + " " * 5000)


async def test_token_in_its_wrong_time_says_why(keyring, signer):
    """The holder of the secret is told whether the token is too old, too early or too long."""
    assert "expired" in refusal(keyring, signer.sign(exp=signer.at(0)))
    assert "clock" in refusal(
        keyring, signer.sign(timestamp=signer.at(6 * MINUTE), exp=signer.at(HOUR))
    )
    assert "clock" in refusal(keyring, signer.sign(nbf=signer.at(6 * MINUTE)))
    assert "24 hours" in refusal(keyring, signer.sign(exp=signer.at(25 * HOUR)))
    assert "24 hours" in refusal(keyring, signer.sign(exp=2**63))
    assert "24 hours" in refusal(
        keyring, signer.sign(timestamp=signer.at(-30 * HOUR), exp=signer.at(MINUTE))
    )
    assert NOT_VALID == refusal(keyring, signer.sign(exp=signer.at(0), secret="x" * 43))


async def test_expired_key_is_refused(keyring, clock):
    """A key stops at its instant, for every kind of credentials, remembered or not."""
    key = await keyring.create("guest", expires_at=clock.now() + timedelta(minutes=10))
    signed = Signer(key, clock).sign()
    assert {"guest"} == {keyring.authenticate(c).name for c in (key.token, signed)}
    clock.advance(10 * MINUTE)
    for credentials in (key.token, signed, Signer(key, clock).sign()):
        assert "the key expired" in refusal(keyring, credentials)
    with pytest.raises(AuthenticationFailed, match="expired"):
        keyring.issue_token(key.api_key, key.secret_key)


# Changes.


async def test_revoked_key_is_refused_at_once(keyring, key, signer):
    """A revoked key is refused from then on, remembered tokens included, and its holder is told."""
    token = signer.sign()
    keyring.authenticate(token)
    keyring.authenticate(key.token)
    record = await keyring.revoke("team")
    assert key.api_key == record.api_key
    for credentials in (token, key.token):
        assert "revoked" in refusal(keyring, credentials)
    assert NOT_VALID == refusal(keyring, signer.sign(secret="x" * 43))
    with pytest.raises(AuthenticationFailed, match="revoked"):
        keyring.issue_token(key.api_key, key.secret_key)


async def test_rotated_key_has_a_new_secret_only(keyring, key, signer):
    """Rotating without grace keeps the public half and the name; what the old secret signed is refused at once."""
    token = signer.sign()
    keyring.authenticate(token)
    fresh = await keyring.rotate(key.api_key, grace=timedelta())
    assert (key.api_key, "team") == (fresh.api_key, fresh.name)
    assert NOT_VALID == refusal(keyring, token)
    assert NOT_VALID == refusal(keyring, key.token)
    assert key.api_key == keyring.authenticate(fresh.token).key


async def test_old_secret_works_until_its_grace_ends(keyring, key, signer, clock):
    """In the time of grace both secrets work, in every form; then only the new one, remembered headers included."""
    fresh = await keyring.rotate("team", grace=timedelta(minutes=10))
    begun = clock.now()
    old = [key.token, signer.sign(), keyring.issue_token(key.api_key, key.secret_key)]
    new = [fresh.token, Signer(fresh, clock).sign()]
    clock.advance(10 * MINUTE - 1)
    assert {key.api_key} == {keyring.authenticate(header).key for header in old + new}
    clock.advance(1)
    for header in old:
        assert "rotated" in refusal(keyring, header) or "expired" in refusal(keyring, header)
    with pytest.raises(AuthenticationFailed, match="rotated"):
        keyring.issue_token(key.api_key, key.secret_key)
    assert {key.api_key} == {keyring.authenticate(header).key for header in new}
    assert timedelta(minutes=10) == clock.now() - begun


async def test_token_of_the_old_secret_ends_with_its_grace(keyring, key, clock):
    """A token that was issued for the old secret does not outlive the time of grace."""
    await keyring.rotate("team", grace=timedelta(minutes=10))
    claims = jwt.decode(
        keyring.issue_token(key.api_key, key.secret_key), options={"verify_signature": False}
    )
    assert (clock.now() + timedelta(minutes=10)).timestamp() == claims["exp"] / 1000


async def test_only_the_last_secret_has_grace(keyring, key, clock):
    """A second rotation ends the grace of the secret before the last; revoking and `end_grace` end that of the last."""
    second = await keyring.rotate("team")
    third = await keyring.rotate("team")
    assert NOT_VALID == refusal(keyring, key.token)
    assert "team" == keyring.authenticate(second.token).name
    await keyring.end_grace("team")
    assert NOT_VALID == refusal(keyring, second.token)
    fourth = await keyring.rotate("team")
    await keyring.revoke("team")
    for gone in (third, fourth):
        refusal(keyring, gone.token)


@pytest.mark.parametrize("grace", [timedelta(seconds=-1), timedelta(days=91)])
async def test_grace_has_bounds(keyring, key, grace):
    """A time of grace that is negative or endless is refused, and the secret stays as it was."""
    with pytest.raises(InvalidParameter) as caught:
        await keyring.rotate("team", grace=grace)
    assert "grace" == caught.value.param
    assert "team" == keyring.authenticate(key.token).name


async def test_changes_at_the_same_time_are_all_kept(store, keyring, key, clock, tmp_path):
    """Two processes that change one key at once both succeed: neither change undoes the other."""
    async with open_keyring(store.keys, tmp_path, clock=clock, env={}) as other:
        await other.refresh()
        fresh = await keyring.rotate("team")
        await other.update("team", lambda terms: replace(terms, note="changed"))
    await keyring.refresh()
    assert "team" == keyring.authenticate(fresh.token).name
    assert "changed" == keyring.records[0].note


async def test_key_is_bound_to_its_networks(keyring, key):
    """A key with addresses is refused from elsewhere and from nowhere; others may come from anywhere."""
    assert not keyring.binds
    bound = await keyring.create("bound", addresses=["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"])
    assert keyring.binds
    for good in ("10.1.2.3", "2001:db8::5", "192.0.2.7"):
        keyring.check_place(bound.api_key, ip_address(good))
    for bad in ("11.0.0.1", "::1", "192.0.2.8", None):
        with pytest.raises(AuthenticationFailed, match="may not be used from"):
            keyring.check_place(bound.api_key, bad and ip_address(bad))
        keyring.check_place(key.api_key, bad and ip_address(bad))


async def test_caller_has_its_keys_limits(keyring):
    """A caller comes with the group and the limits of its key, and with the new ones after a change."""
    limits = KeyLimits(requests_per_minute=5)
    key = await keyring.create("team", group="研发", limits=limits)
    caller = keyring.authenticate(key.token)
    assert ("研发", limits) == (caller.group, caller.limits)
    await keyring.update("team", lambda terms: replace(terms, limits=None, group=""))
    caller = keyring.authenticate(key.token)
    assert ("", None) == (caller.group, caller.limits)


async def test_every_change_is_written_down(store, keyring, clock):
    """The audit log has who made, changed, rotated and revoked a key, what changed, and never a secret."""
    by = auditor("cli:root", clock)
    keys = [await keyring.create("team", models=["glm-4"], by=by)]
    await keyring.update("team", lambda terms: replace(terms, models=("glm-3",)), by=by)
    await keyring.update("team", lambda terms: terms, by=by)
    keys.append(await keyring.rotate("team"))
    await keyring.revoke("team", by=by)
    log = await store.audit.page()
    assert [
        ("key.revoke", "cli:root"),
        ("key.rotate", "gateway"),
        ("key.update", "cli:root"),
        ("key.create", "cli:root"),
    ] == [(entry.action, entry.actor) for entry in log]
    assert {keys[0].api_key} == {entry.target for entry in log}
    assert {"name": "team", "models": ["glm-4"]} == log[2].before
    assert {"name": "team", "models": ["glm-3"]} == log[2].after
    for key in keys:
        assert key.secret_key not in repr(log)


async def test_changes_need_a_key_that_is_there(keyring, key):
    """Rotating and revoking name a live key or a public half; anything else is refused."""
    for change in (keyring.rotate, keyring.revoke):
        with pytest.raises(InvalidParameter, match="no live key"):
            await change("absent")
    await keyring.revoke("team")
    with pytest.raises(InvalidParameter, match="no live key"):
        await keyring.revoke("team")
    with pytest.raises(InvalidParameter, match="revoked"):
        await keyring.rotate(key.api_key)
    again = await keyring.revoke(key.api_key)
    assert again.revoked_at is not None


async def test_name_is_free_after_revoking(keyring, key):
    """A live name is taken once; after revoking it names the new key."""
    with pytest.raises(InvalidParameter) as caught:
        await keyring.create(" team ")
    assert "name" == caught.value.param
    await keyring.revoke("team")
    second = await keyring.create("team")
    assert second.api_key == (await keyring.rotate("team")).api_key
    assert ["team", "team"] == [record.name for record in keyring.records]


@pytest.mark.parametrize(
    ("arguments", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"name": "a", "models": ["glm-4", ""]}, "models"),
        ({"name": "a", "models": ["a\0b"]}, "models"),
        ({"name": "a", "expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, "expires_at"),
        ({"name": "a", "expires_at": datetime(2099, 1, 1)}, "expires_at"),  # noqa: DTZ001
        ({"name": "a", "addresses": ["10.0.0.1/8"]}, "addresses"),
        ({"name": "a", "addresses": ["example.com"]}, "addresses"),
        ({"name": "a", "group": "a\nb"}, "group"),
        ({"name": "a", "note": "x" * 1001}, "note"),
        ({"name": "a", "note": "\ud800"}, "note"),
    ],
)
async def test_wrong_arguments_make_no_key(keyring, arguments, param):
    """A key with a name, model, expiry or note that cannot be is refused and not kept."""
    with pytest.raises(InvalidParameter) as caught:
        await keyring.create(**arguments)
    assert param == caught.value.param
    assert () == keyring.records


async def test_change_of_another_process_is_seen(store, keyring, key, clock, tmp_path):
    """A key that another process made or revoked is seen after the next refresh, and nothing is read in vain."""
    async with open_keyring(store.keys, tmp_path, clock=clock, env={}) as other:
        added = await other.create("other")
        await other.revoke("team")
    assert key.api_key == keyring.authenticate(key.token).key
    assert await keyring.refresh()
    assert "revoked" in refusal(keyring, key.token)
    assert "other" == keyring.authenticate(added.token).name
    assert not await keyring.refresh()


class FragileKeys:
    """A key store that can be broken, and tells when it was asked."""

    def __init__(self, keys) -> None:
        self.keys = keys
        self.broken: Exception | None = None
        self.asked = asyncio.Event()

    async def revision(self) -> int:
        """The revision, or the breakage."""
        self.asked.set()
        if self.broken:
            raise self.broken
        return await self.keys.revision()

    def __getattr__(self, name):
        return getattr(self.keys, name)


async def test_watching_outlives_a_store_that_is_away(store, clock):
    """While the store is away callers stay known and one warning is logged; a revocation is seen when it is back."""
    fragile = FragileKeys(store.keys)
    vault = Vault([bytes(32)])
    keyring = Keyring(fragile, vault, clock=clock)
    key = await keyring.create("team")

    async def asked(times: int) -> None:
        for _ in range(times):
            fragile.asked.clear()
            await fragile.asked.wait()

    with capture_logs() as logs:
        task = asyncio.create_task(keyring.watch(every_s=0.001))
        fragile.broken = FengChaoError("away")
        await asked(3)
        fragile.broken = RuntimeError("a driver's own error")
        await asked(2)
        assert "team" == keyring.authenticate(key.token).name
        await Keyring(store.keys, vault, clock=clock).revoke("team")
        fragile.broken = None
        await asked(2)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert "revoked" in refusal(keyring, key.token)
    assert ["keyring.store_away", "keyring.store_back"] == [entry["event"] for entry in logs]


async def test_memory_stays_bounded(keyring, key, signer):
    """More different tokens than are remembered are all taken, and the oldest are checked again."""
    tokens = [signer.sign(n=n) for n in range(REMEMBERED + 10)]
    for token in tokens:
        keyring.authenticate(token)
    assert REMEMBERED == len(keyring._doorkeeper._good)
    assert key.api_key == keyring.authenticate(tokens[0]).key


# Secrets.


async def test_stolen_database_reveals_no_secret(tmp_path: Path):
    """Neither the secrets nor anything that authenticates stands anywhere in the database's files."""
    async with open_store("sqlite:///fengchao.db", tmp_path / "db") as store:
        async with open_keyring(store.keys, tmp_path / "home", env={}) as keyring:
            keys = [await keyring.create("team"), await keyring.create("other")]
            keys.append(await keyring.rotate("team"))
            await keyring.revoke("other")
            assert "team" == keyring.authenticate(keys[2].token).name
        files = list((tmp_path / "db").iterdir())
        stolen = b"".join(file.read_bytes() for file in files)
    stolen += (tmp_path / "db" / "fengchao.db").read_bytes()
    master = (tmp_path / "home" / "master.key").read_bytes().strip()
    assert keys[0].api_key.encode() in stolen
    for key in keys:
        assert key.secret_key.encode() not in stolen
        assert base64.b64encode(key.secret_key.encode()).rstrip(b"=") not in stolen
        assert hashlib.sha256(key.secret_key.encode()).digest() not in stolen
    assert master not in stolen
    assert base64.b64decode(master) not in stolen


async def test_reprs_show_no_secret(keyring, key):
    """No repr of what holds secrets shows one."""
    shown = f"{key!r} {keyring!r} {keyring.records!r} {vars(keyring._doorkeeper)!r}"
    assert key.api_key in shown
    assert key.secret_key not in repr(key)
    assert key.secret_key not in f"{keyring!r} {keyring.records!r} {keyring._doorkeeper._holders!r}"


async def test_refusals_show_no_credentials(keyring, key, signer):
    """No refusal repeats what was sent, nor does the error behind it."""
    for header in (
        f"sk-{key.api_key}.{'x' * 43}",
        signer.sign(secret="y" * 43),
        "hunter2.hunter2.hunter2",
    ):
        with pytest.raises(AuthenticationFailed) as caught:
            keyring.authenticate(header)
        said = f"{caught.value!r} {caught.value.__cause__}"
        assert not any(part in said for part in header.split("."))


async def test_lost_master_key_makes_no_new_keys(store, keyring, key, clock, tmp_path):
    """With another master key callers are refused, loudly, and no key is made that the server could not open."""
    with capture_logs() as logs:
        async with open_keyring(store.keys, tmp_path / "elsewhere", clock=clock, env={}) as other:
            assert NOT_VALID == refusal(other, key.token)
            for change in (other.create("new"), other.rotate("team")):
                with pytest.raises(SetupError, match="opens none of"):
                    await change
            await other.revoke("team")
            made = await other.create("new")
            assert "new" == other.authenticate(made.token).name
    assert {"keyring.sealed_shut"} == {entry["event"] for entry in logs}
    assert ["team"] == logs[0]["keys"]
