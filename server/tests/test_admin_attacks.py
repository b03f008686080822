"""What an attacker tries at `/admin`, and what comes of it."""

from __future__ import annotations

import asyncio
import time
from ipaddress import ip_address

import pytest

from fengchao_core import MemoryStore, Settings
from fengchao_core.clock import SystemClock
from fengchao_core.testing import FakeClock
from fengchao_server.admin.desk import Desk
from fengchao_server.admin.passwords import Passwords
from fengchao_server.auditing import auditor
from fengchao_server.refusals import Conflict, Invalid, SignInRefused, TooManyAttempts

BY = auditor("test", SystemClock())
PASSWORD = "correct horse battery"
COOKIE = "fengchao_session"


async def post(bench, path, body=None, **headers):
    """The status, the JSON and the response of a POST."""
    async with bench.client.post(f"/admin{path}", json=body, headers=headers) as response:
        return response.status, await response.json(), response


async def set_up(bench, name="alice", **headers):
    """Make an operator, and sign it in."""
    token = await bench.served.desk.roster.make_setup_link(BY)
    body = {"token": token, "name": name, "password": PASSWORD}
    status, session, response = await post(bench, "/setup", body, **headers)
    assert 200 == status
    return session, response


@pytest.fixture
def desk():
    """A desk over a store of its own, whose clock stands still."""
    clock = FakeClock()
    made = Desk(MemoryStore(), Settings(), clock=clock)
    made.by = auditor("test", clock)
    made.advance = clock.advance
    return made


async def test_burst_of_guesses_is_cut_off(bench):
    """Of many attempts at once five are looked at; the rest is told to wait, and how long, in a clear shape."""
    body = {"name": "nobody", "password": "wrong"}
    answers = await asyncio.gather(*(post(bench, "/login", body) for _ in range(9)))
    assert [401] * 5 + [429] * 4 == sorted(status for status, _, _ in answers)
    (_, refused, response), *_ = [answer for answer in answers if answer[0] == 429]
    assert ("too_many_attempts", "1") == (refused["code"], response.headers["Retry-After"])
    assert "秒后再试" in refused["msg"]


async def test_guessing_a_password_gets_slower_and_slower(desk):
    """After five attempts each waits twice as long, right password or not; elsewhere its owner still gets in."""
    await desk.set_up(await desk.roster.make_setup_link(desk.by), "alice", PASSWORD, None)
    here, home = ip_address("198.51.100.7"), ip_address("192.0.2.1")
    for _ in range(5):
        with pytest.raises(SignInRefused):
            await desk.sign_in("alice", "wrong", here)
    for wait in (1, 2, 4):
        with pytest.raises(TooManyAttempts) as caught:
            await desk.sign_in("alice", PASSWORD, here)
        assert wait == caught.value.retry_after
        desk.advance(wait)
        with pytest.raises(SignInRefused):
            await desk.sign_in("alice", "wrong", here)
    assert "alice" == (await desk.sign_in("alice", PASSWORD, home))[0].name


async def test_network_of_version_6_is_one_place(desk):
    """Whoever owns an IPv6 network does not get attempts for each of its addresses."""
    for n in range(5):
        with pytest.raises(SignInRefused):
            await desk.sign_in("alice", "wrong", ip_address(f"2001:db8::{n}"))
    with pytest.raises(TooManyAttempts):
        await desk.sign_in("alice", "wrong", ip_address("2001:db8::ffff:1"))


async def test_unknown_name_takes_as_long_as_a_wrong_password():
    """How long a refusal takes does not tell whether there is such an operator."""
    passwords = Passwords()
    hashed = await passwords.hash(PASSWORD)
    spent = {}
    for known in (hashed, None, hashed, None):
        begun = time.process_time()  # of all threads; what else the machine does is not in it
        assert not await passwords.check(known, "wrong")
        spent.setdefault(known, []).append(time.process_time() - begun)
    assert min(spent[None]) > min(spent[hashed]) / 4


async def test_crowd_of_guesses_is_refused_at_once():
    """More passwords than can be checked are refused, while those under way are checked."""
    passwords = Passwords()
    hashed = await passwords.hash(PASSWORD)
    found = await asyncio.gather(
        *(passwords.check(hashed, PASSWORD) for _ in range(20)), return_exceptions=True
    )
    assert [True] * 16 == [good for good in found if good is True]
    assert 4 == sum(isinstance(error, TooManyAttempts) for error in found)


async def test_session_that_was_planted_is_not_taken_up(bench):
    """Signing in with a cookie that somebody chose gives another one, and the chosen one lets nobody in."""
    planted = "chosen-by-the-attacker"
    _, response = await set_up(bench, Cookie=f"{COOKIE}={planted}")
    assert planted != response.cookies[COOKIE].value
    headers = {"Cookie": f"{COOKIE}={planted}"}
    bench.client.cookie_jar.clear()
    async with bench.client.get("/admin/session", headers=headers) as answer:
        assert 401 == answer.status


async def test_other_site_cannot_sign_anybody_in(bench):
    """A form of another site, and a script of one, get nowhere, even with the right password."""
    await set_up(bench)
    body = {"name": "alice", "password": PASSWORD}
    status, refused, response = await post(
        bench, "/login", body, **{"Sec-Fetch-Site": "cross-site"}
    )
    assert (403, "forbidden", False) == (status, refused["code"], COOKIE in response.cookies)
    text = '{"name": "alice", "password": "' + PASSWORD + '"}'
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        headers = {"Content-Type": kind}
        async with bench.client.post("/admin/login", data=text, headers=headers) as response:
            assert (400, False) == (response.status, COOKIE in response.cookies)


async def test_no_other_site_may_read(bench):
    """No answer allows another origin, not even to a preflight, and none leads anywhere else."""
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "DELETE"}
    for method, path in (
        ("OPTIONS", "/admin/keys"), ("OPTIONS", "/admin/login"), ("GET", "/admin/session"),
        ("GET", "/admin?next=//evil.example"), ("GET", "/admin/setup?url=https://evil.example"),
        ("HEAD", "/admin/keys"),
    ):  # fmt: skip
        async with bench.client.request(
            method, path, headers=headers, allow_redirects=False
        ) as response:
            assert response.status in (200, 204, 401)
            assert not [h for h in response.headers if h.startswith("Access-Control")]
            assert "Location" not in response.headers


async def test_cookie_over_tls_is_bound_to_the_host(open_bench):
    """Behind a trusted TLS proxy the cookie is Secure and bound to the host; without a proxy the header means nothing."""
    https = {"X-Forwarded-Proto": "https"}
    _, response = await set_up(await open_bench(), **https)
    assert "Secure" not in response.headers["Set-Cookie"]
    bench = await open_bench(server={"trusted_proxies": ["127.0.0.1"]})
    _, response = await set_up(bench, **https)
    name, _, rest = response.headers["Set-Cookie"].partition("=")
    assert ("__Host-fengchao_session", True) == (name, "; Secure" in rest)
    assert "Path=/;" in rest
    token = rest.partition(";")[0]
    for cookie, status in ((f"{name}={token}", 200), (f"{COOKIE}={token}", 401)):
        headers = {**https, "Cookie": cookie}
        async with bench.client.get("/admin/session", headers=headers) as answer:
            assert status == answer.status


async def test_name_cannot_pass_for_something_else(bench):
    """A name that would read as another actor, header or line of the log is refused; the link stays good."""
    token = await bench.served.desk.roster.make_setup_link(BY)
    body = {"token": token, "password": PASSWORD}
    for name in (
        "cli:root", "a b", "", "x" * 65, "a\r\nSet-Cookie: x=y", "a\n2026 [info]", "a\u202eb", "a/b", "a\0b",
    ):  # fmt: skip
        status, refused, response = await post(bench, "/setup", {**body, "name": name})
        assert (400, "name") == (status, refused["param"])
        assert "x=y" not in str(response.headers)
    assert 200 == (await post(bench, "/setup", {**body, "name": "alice"}))[0]


async def test_address_in_the_log_is_the_true_one(bench):
    """Who changes something cannot choose the address that the audit log has."""
    await set_up(bench, **{"X-Forwarded-For": "8.8.8.8", "Forwarded": "for=8.8.8.8"})
    (session, create, *_) = await bench.gateway.store.audit.page()
    assert {"127.0.0.1"} == {session.address, create.address}
    assert ("operator:alice", "setup") == (session.actor, create.actor)


async def test_log_holds_no_secret_and_no_forged_line(bench, capsys):
    """What is sent to sign in never reaches the log, and cannot begin a line of it."""
    _, response = await set_up(bench)
    await post(bench, "/login", {"name": "x\n[error] forged", "password": "hunter2 hunter2"})
    await post(bench, "/login", {"name": "alice", "password": PASSWORD})
    said = "".join(capsys.readouterr())
    kept = [response.cookies[COOKIE].value, "hunter2", PASSWORD, "forged"]
    assert [] == [secret for secret in kept if secret in said]


async def test_token_gets_nobody_beyond_its_role(bench):
    """A read-only token of an operator only reads, and a token of a viewer never writes, whatever it was made for."""
    for owner_role, name, role in (("operator", "ops", "viewer"), ("viewer", "eve", "operator")):
        await bench.operator(owner_role, name)
        token = await bench.served.desk.roster.make_token(BY, name, "mine", role=role)
        headers = {"Authorization": f"Bearer {token}"}
        async with bench.client.get("/admin/keys", headers=headers) as response:
            assert 200 == response.status
        async with bench.client.delete("/admin/keys/test", headers=headers) as response:
            assert 403 == response.status


async def test_what_is_given_out_is_not_mixed_up(bench):
    """A session's token is no bearer token, a token for scripts no cookie, and a setup link neither."""
    _, response = await set_up(bench)
    bench.client.cookie_jar.clear()
    session = response.cookies[COOKIE].value
    token = (await bench.operator())["Authorization"].removeprefix("Bearer ")
    setup = await bench.served.desk.roster.make_setup_link(BY)
    for headers in (
        {"Authorization": f"Bearer {session}"}, {"Authorization": f"Bearer fca-{session}"},
        {"Authorization": f"Bearer {setup}"}, {"Authorization": token}, {"Authorization": f"Basic {token}"},
        {"Cookie": f"{COOKIE}={token}"}, {"Cookie": f"{COOKIE}={setup}"}, {"Cookie": f"{COOKIE}="},
    ):  # fmt: skip
        async with bench.client.get("/admin/session", headers=headers) as answer:
            assert 401 == answer.status


async def test_credentials_that_come_along_do_not_help(bench):
    """With a bad token in the header a good cookie is not looked at: no request is two people's."""
    await set_up(bench)
    headers = {"Authorization": "Bearer fca-nonsense"}
    async with bench.client.get("/admin/session", headers=headers) as answer:
        assert 401 == answer.status


async def test_store_keeps_no_token(desk):
    """What lets somebody in cannot be read out of the store."""
    setup = await desk.roster.make_setup_link(desk.by)
    _, session = await desk.set_up(setup, "alice", PASSWORD, None)
    token = await desk.roster.make_token(desk.by, "alice", "ci")
    operators = desk.roster._store.operators
    kept = [await operators.grants(kind) for kind in ("session", "token", "setup")]
    shown = (
        repr(kept) + repr(vars(operators)) + repr([r.password_hash for r in await operators.all()])
    )
    assert [] == [secret for secret in (setup, session, token, PASSWORD) if secret in shown]


async def test_link_works_once_and_in_its_time(desk):
    """Of two that use a link at once one is let in; after its time nobody is."""
    link = await desk.roster.make_setup_link(desk.by)
    found = await asyncio.gather(
        *(desk.set_up(link, name, PASSWORD, None) for name in ("alice", "bob")),
        return_exceptions=True,
    )
    assert 1 == sum(isinstance(error, SignInRefused) for error in found)
    assert 1 == len(await desk.roster.people())
    late = await desk.roster.make_setup_link(desk.by)
    desk.advance(3600)
    with pytest.raises(SignInRefused):
        await desk.set_up(late, "carol", PASSWORD, None)


async def test_link_resets_one_password_only(desk):
    """A link for an operator sets no other's password, one for a new operator nobody's; sessions of before end."""
    _, token = await desk.set_up(
        await desk.roster.make_setup_link(desk.by), "alice", PASSWORD, None
    )
    fresh = await desk.roster.make_setup_link(desk.by)
    reset = await desk.roster.make_setup_link(desk.by, name="alice")
    for link, name in ((fresh, "alice"), (reset, "bob")):
        with pytest.raises(Invalid):
            await desk.set_up(link, name, PASSWORD + "!", None)
    await desk.set_up(reset, "alice", PASSWORD + "!", None)
    with pytest.raises(SignInRefused):
        await desk.sign_in("alice", PASSWORD, None)
    assert "alice" == (await desk.sign_in("alice", PASSWORD + "!", None))[0].name
    with pytest.raises(SignInRefused):
        await desk._known(token, "session")


async def test_sessions_and_tokens_end(desk):
    """A session ends in its time, a token in its own, and both with their operator; the last operator stays."""
    await desk.set_up(await desk.roster.make_setup_link(desk.by), "alice", PASSWORD, None)
    _, session = await desk.sign_in("alice", PASSWORD, None)
    day = await desk.roster.make_token(desk.by, "alice", "day", lifetime_s=86400)
    ever = await desk.roster.make_token(desk.by, "alice", "ever")
    desk.advance(desk.session_s)
    with pytest.raises(SignInRefused):
        await desk._known(session, "session")
    assert "alice" == (await desk._known(day, "token")).name
    desk.advance(86400)
    with pytest.raises(SignInRefused):
        await desk._known(day, "token")
    with pytest.raises(Conflict):
        await desk.roster.remove(desk.by, "alice")
    await desk.set_up(await desk.roster.make_setup_link(desk.by), "bob", PASSWORD, None)
    await desk.roster.remove(desk.by, "alice")
    with pytest.raises(SignInRefused):
        await desk._known(ever, "token")


async def test_changing_the_password_ends_other_sessions(bench):
    """After a change of password the session that made it goes on, and no other does; the old password is needed."""
    _, response = await set_up(bench)
    first = response.cookies[COOKIE].value
    status, second, _ = await post(bench, "/login", {"name": "alice", "password": PASSWORD})
    headers = {"X-CSRF-Token": second["csrf"]}
    new = PASSWORD + " staple"
    status, _, _ = await post(bench, "/password", {"old": "wrong", "new": new}, **headers)
    assert 401 == status
    status, refused, _ = await post(
        bench, "/password", {"old": PASSWORD, "new": "short"}, **headers
    )
    assert (400, "password") == (status, refused["param"])
    status, _, _ = await post(bench, "/password", {"old": PASSWORD, "new": new}, **headers)
    assert 200 == status
    async with bench.client.get("/admin/session") as answer:
        assert 200 == answer.status
    bench.client.cookie_jar.clear()
    async with bench.client.get(
        "/admin/session", headers={"Cookie": f"{COOKIE}={first}"}
    ) as answer:
        assert 401 == answer.status
