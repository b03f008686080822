"""Signing in to `/admin`: by setup link, by password, by token; and who is kept out."""

from __future__ import annotations

import pytest
from aiohttp import ClientSession

from fengchao_core.clock import SystemClock
from fengchao_server.auditing import auditor

BY = auditor("test", SystemClock())
PASSWORD = "correct horse battery"


async def answered(response):
    """The status and the JSON of a response."""
    async with response as got:
        return got.status, await got.json()


@pytest.fixture
async def link(bench):
    """The token of a setup link."""
    return await bench.served.desk.roster.make_setup_link(BY)


@pytest.fixture
async def signed_in(bench, link):
    """The headers with which the page of an operator that just signed in changes things; the cookie is in the client."""
    body = {"token": link, "name": "alice", "password": PASSWORD}
    status, session = await answered(bench.client.post("/admin/setup", json=body))
    assert 200 == status
    return {"X-CSRF-Token": session["csrf"]}


async def test_setup_link_makes_the_first_operator(bench, link):
    """A setup link makes an operator, signs it in, and works once."""
    body = {"token": link, "name": "alice", "password": PASSWORD}
    async with bench.client.post("/admin/setup", json=body) as response:
        assert 200 == response.status
        cookie = response.headers["Set-Cookie"]
        assert "no-store" == response.headers["Cache-Control"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    status, session = await answered(bench.client.get("/admin/session"))
    assert (200, "alice", "operator") == (status, session["name"], session["role"])
    status, refused = await answered(
        bench.client.post("/admin/setup", json={**body, "name": "eve"})
    )
    assert (401, "sign_in") == (status, refused["code"])
    assert "链接" in refused["msg"]


async def test_password_signs_in(bench, signed_in):
    """Name and password open a session, and signing out ends it on the server too."""
    bench.client.cookie_jar.clear()
    assert 401 == (await answered(bench.client.get("/admin/session")))[0]
    body = {"name": "alice", "password": PASSWORD}
    status, session = await answered(bench.client.post("/admin/login", json=body))
    assert 200 == status
    headers = {"X-CSRF-Token": session["csrf"]}
    kept = next(iter(bench.client.cookie_jar)).value
    assert 200 == (await answered(bench.client.post("/admin/logout", headers=headers)))[0]
    again = {"Cookie": f"fengchao_session={kept}"}
    assert 401 == (await answered(bench.client.get("/admin/session", headers=again)))[0]


async def test_wrong_name_and_wrong_password_look_alike(bench, signed_in):
    """An unknown name and a wrong password get the same answer."""
    said = [
        await answered(bench.client.post("/admin/login", json={"name": name, "password": password}))
        for name, password in (("alice", "wrong password"), ("nobody", PASSWORD))
    ]
    assert said[0] == said[1]
    assert 401 == said[0][0]


async def test_token_for_scripts(bench):
    """An admin token lets a script in without cookie and CSRF header; a caller's key does not."""
    headers = await bench.operator()
    status, session = await answered(bench.client.get("/admin/session", headers=headers))
    assert (200, "ops", "") == (status, session["name"], session["csrf"])
    status, refused = await answered(bench.client.get("/admin/session", headers=bench.bearer))
    assert (401, 401, "sign_in", "请先登录") == (
        status, refused["status"], refused["code"], refused["msg"],
    )  # fmt: skip


async def test_change_without_csrf_header_is_refused(bench, signed_in):
    """With a cookie alone nothing can be changed: another site could have made the browser send it."""
    for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "0" * 64}):
        status, refused = await answered(bench.client.post("/admin/logout", headers=headers))
        assert (403, "forbidden") == (status, refused["code"])
    assert 200 == (await answered(bench.client.get("/admin/session")))[0]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": "a", "password": "b", "role": "operator"}, "role"),
        ({"name": "a"}, "password"),
        ({"name": 7, "password": "b"}, "name"),
    ],
)
async def test_body_is_read_strictly(bench, body, param):
    """Unknown, missing and mistyped fields are refused by name, without the value."""
    status, refused = await answered(bench.client.post("/admin/login", json=body))
    assert (400, "invalid_parameter", param) == (status, refused["code"], refused["param"])


async def test_unknown_path_and_method(bench):
    """Below `/admin` what is not there and what is not allowed are said in its own shape."""
    status, refused = await answered(bench.client.get("/admin/nothing"))
    assert (404, "not_found") == (status, refused["code"])
    async with bench.client.delete("/admin/session") as response:
        assert (405, "GET, HEAD, OPTIONS") == (response.status, response.headers["Allow"])


async def test_operator_lets_others_in_and_out(bench, signed_in):
    """An operator makes a link for a viewer, sees it in the list, and removes it; the last operator stays."""

    async def post(path, **body):
        return await answered(bench.client.post(f"/admin{path}", json=body, headers=signed_in))

    status, link = await post("/setup-links", role="viewer")
    assert (201, 3600) == (status, link["expires_in_s"])
    token = link["path"].partition("#")[2]
    async with ClientSession(bench.url) as other:
        body = {"token": token, "name": "eve", "password": PASSWORD}
        status, session = await answered(other.post("/admin/setup", json=body))
    assert (200, "viewer") == (status, session["role"])
    status, listed = await answered(bench.client.get("/admin/operators"))
    assert [("alice", "operator"), ("eve", "viewer")] == [
        (one["name"], one["role"]) for one in listed["operators"]
    ]
    for name, expected in (("eve", 200), ("eve", 404), ("alice", 409)):
        path = f"/admin/operators/{name}"
        assert expected == (await answered(bench.client.delete(path, headers=signed_in)))[0]
    assert 400 == (await post("/setup-links", name="nobody"))[0]


async def test_own_tokens(bench, signed_in):
    """Who signed in makes a token for scripts and takes it back; a token makes no other token."""

    async def post(headers, **body):
        return await answered(bench.client.post("/admin/tokens", json=body, headers=headers))

    status, made = await post(signed_in, label="ci", lifetime_s=3600)
    assert 201 == status
    script = {"Authorization": f"Bearer {made['token']}"}
    assert 200 == (await answered(bench.client.get("/admin/keys", headers=script)))[0]
    assert 403 == (await post(script, label="more"))[0]
    assert (400, "label") == ((taken := await post(signed_in, label="ci"))[0], taken[1]["param"])
    path = "/admin/tokens/ci"
    assert 200 == (await answered(bench.client.delete(path, headers=signed_in)))[0]
    assert 401 == (await answered(bench.client.get("/admin/keys", headers=script)))[0]
    assert 404 == (await answered(bench.client.delete(path, headers=signed_in)))[0]
