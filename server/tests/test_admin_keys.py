"""The security centre over HTTP: keys are made, shown, changed, rotated and revoked, and every change is written down."""

from __future__ import annotations

import pytest

CHAT = {"model": "online-1", "messages": [{"role": "user", "content": "x"}]}


class Admin:
    """Talks to `/admin` as somebody."""

    def __init__(self, client, headers) -> None:
        self._client = client
        self._headers = headers

    async def __call__(self, method, path, **body):
        """The status and the JSON of the answer."""
        json = body or ({} if method in ("POST", "PATCH") else None)
        async with self._client.request(
            method, f"/admin{path}", json=json, headers=self._headers
        ) as response:
            return response.status, await response.json()


@pytest.fixture
async def admin(bench):
    """Talks to `/admin` as an operator."""
    return Admin(bench.client, await bench.operator())


async def chat(bench, key, **headers):
    """The status of a chat with a key, and what is said."""
    headers = {"Authorization": f"Bearer {key['token']}", **headers}
    async with bench.client.post("/v1/chat/completions", json=CHAT, headers=headers) as response:
        return response.status, await response.json()


async def test_life_of_a_key(open_bench):
    """A key is made, works, is shown without its secret, changed, rotated with grace, and revoked."""
    bench = await open_bench(groups={"g": {}})
    admin = Admin(bench.client, await bench.operator())
    status, key = await admin(
        "POST", "/keys", name="team", models=["online-1"], group="g", note="第一行\n第二行",
        limits={"requests_per_minute": 60}, addresses=["127.0.0.1"], expires_at="2099-01-01T00:00:00Z",
    )  # fmt: skip
    assert (201, {"name", "api_key", "secret_key", "token"}) == (status, set(key))
    assert 200 == (await chat(bench, key))[0]

    status, shown = await admin("GET", "/keys/team")
    assert (200, key["api_key"], "live") == (status, shown["api_key"], shown["state"])
    assert (["127.0.0.1/32"], "g", {"requests_per_minute": 60}) == (
        shown["addresses"], shown["group"], shown["limits"],
    )  # fmt: skip
    assert key["secret_key"] not in str(shown)

    status, shown = await admin("PATCH", f"/keys/{key['api_key']}", note="", expires_at=None)
    assert (200, "", None, "g") == (status, shown["note"], shown["expires_at"], shown["group"])

    status, fresh = await admin("POST", "/keys/team/rotate", grace_s=3600)
    assert (200, key["api_key"]) == (status, fresh["api_key"])
    assert {200} == {(await chat(bench, k))[0] for k in (key, fresh)}
    status, shown = await admin("DELETE", "/keys/team/grace")
    assert (200, None) == (status, shown["old_secret_until"])
    assert [401, 200] == [(await chat(bench, k))[0] for k in (key, fresh)]

    status, shown = await admin("DELETE", "/keys/team")
    assert (200, "revoked") == (status, shown["state"])
    status, said = await chat(bench, fresh)
    assert 401 == status
    assert "revoked" in said["error"]["message"]
    status, listed = await admin("GET", "/keys?state=revoked")
    assert ["team"] == [k["name"] for k in listed["keys"]]


async def test_changes_are_in_the_audit_log(bench, admin):
    """The log says who did what to which key, from where, before and after, newest first, a page at a time."""
    _, key = await admin("POST", "/keys", name="team")
    await admin("PATCH", "/keys/team", note="new", name="group")
    await admin("POST", "/keys/group/rotate")
    await admin("DELETE", "/keys/group")
    status, page = await admin("GET", f"/audit?target={key['api_key']}&limit=3")
    assert 200 == status
    assert ["key.revoke", "key.rotate", "key.update"] == [e["action"] for e in page["entries"]]
    update = page["entries"][2]
    assert ({"name": "team", "note": ""}, {"name": "group", "note": "new"}) == (
        update["before"], update["after"],
    )  # fmt: skip
    assert ("127.0.0.1", True) == (update["address"], update["actor"].startswith("token:ops/"))
    _, rest = await admin("GET", f"/audit?target={key['api_key']}&limit=3&before={page['next']}")
    assert (["key.create"], None) == ([e["action"] for e in rest["entries"]], rest["next"])
    assert key["secret_key"] not in str((page, rest))


async def test_viewer_may_only_look(bench):
    """A viewer reads keys and log, and is refused every change."""
    viewer = Admin(bench.client, await bench.operator("viewer", "eve"))
    for path in ("/keys", "/keys/test", "/audit"):
        assert 200 == (await viewer("GET", path))[0]
    for method, path in (
        ("POST", "/keys"), ("PATCH", "/keys/test"), ("DELETE", "/keys/test"),
        ("POST", "/keys/test/rotate"), ("DELETE", "/keys/test/grace"),
    ):  # fmt: skip
        status, refused = await viewer(method, path)
        assert (403, "forbidden") == (status, refused["code"])
    assert 200 == (await chat(bench, {"token": bench.key.token}))[0]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_nobody_gets_in_without_signing_in(bench, method):
    """Without credentials, and with a caller's key, nothing of the security centre is reached."""
    for headers in ({}, bench.bearer, {"Authorization": "Bearer fca-nonsense"}):
        async with bench.client.request(method, "/admin/keys", headers=headers) as response:
            assert 401 == response.status


@pytest.mark.parametrize(
    "path",
    [
        "/v1/../admin/keys", "/admin/../admin/keys", "//admin/keys", "/%61dmin/keys", "/admin%2fkeys",
        "/admin/./keys", "/admin/keys;x", "/ADMIN/keys", "/aigc/..%2f..%2fadmin/keys",
    ],
)  # fmt: skip
async def test_no_other_path_leads_there(bench, raw, path):
    """A path that only looks like one of `/admin` after clean-up is not found, so no proxy's rule is passed by."""
    headers = await bench.operator()
    request = (
        f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Authorization: {headers['Authorization']}\r\n\r\n"
    )
    answer = await raw(bench, request.encode())
    assert b" 404 " in answer.partition(b"\r\n")[0]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": "team", "secret_key": "mine"}, "secret_key"),
        ({"name": "team", "api_key": "mine"}, "api_key"),
        ({"name": "team", "created_at": "2020-01-01T00:00:00Z"}, "created_at"),
        ({"name": "team", "revoked_at": None}, "revoked_at"),
        ({"name": "team", "models": "glm-4"}, "models"),
        ({"name": "team", "addresses": ["10.0.0.1/8"]}, "addresses"),
        ({"name": "team", "limits": {"requests": 1}}, "limits"),
        ({"name": "team", "group": "unknown"}, "group"),
        ({"name": "team", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "team", "expires_at": "2099-01-01T00:00:00"}, "expires_at"),
        ({"name": "team\r\nSet-Cookie: a=b"}, "name"),
        ({"name": "test"}, "name"),
    ],
)
async def test_key_that_cannot_be_is_refused(bench, admin, body, param):
    """Missing, unknown and impossible fields are refused by name, and no key is made."""
    status, refused = await admin("POST", "/keys", **body)
    assert (400, param) == (status, refused["param"])
    assert 1 == len(bench.served.keyring.records)


@pytest.mark.parametrize(
    ("call", "body", "expected"),
    [
        (("GET", "/keys/absent"), {}, (404, "no_such_key")),
        (("DELETE", "/keys/absent"), {}, (404, "no_such_key")),
        (("PATCH", "/keys/absent"), {"note": ""}, (404, "no_such_key")),
        (("POST", "/keys/test/rotate"), {"grace_s": -1}, (400, "invalid_parameter")),
        (("POST", "/keys/test/rotate"), {"grace_s": 10**30}, (400, "invalid_parameter")),
        (("POST", "/keys/test/rotate"), {"grace_s": "1"}, (400, "invalid_parameter")),
        (("GET", "/keys?state=x"), {}, (400, "invalid_parameter")),
        (("GET", "/keys?sort=name"), {}, (400, "invalid_parameter")),
        (("GET", "/audit?limit=0"), {}, (400, "invalid_parameter")),
        (("GET", "/audit?limit=1&limit=2"), {}, (400, "invalid_parameter")),
        (("GET", "/audit?actor=a%00b"), {}, (400, "invalid_parameter")),
        (("PUT", "/keys/test"), {}, (405, "method_not_allowed")),
        (("GET", "/keys/test/rotate"), {}, (405, "method_not_allowed")),
    ],
)
async def test_wrong_calls_are_refused(bench, admin, call, body, expected):
    """Calls that name nothing, or ask for what cannot be, get a clear answer and change nothing."""
    status, refused = await admin(*call, **body)
    assert expected == (status, refused["code"])
    assert 200 == (await chat(bench, {"token": bench.key.token}))[0]


async def test_key_works_from_its_addresses_only(bench, admin):
    """A key bound to another network is refused 401 in each API's own shape, and gets no token."""
    _, key = await admin("POST", "/keys", name="far", addresses=["10.0.0.0/8"])
    status, said = await chat(bench, key)
    assert (401, True) == (status, "127.0.0.1" in said["error"]["message"])
    # The header is anybody's to write: no proxy is trusted here.
    assert 401 == (await chat(bench, key, **{"X-Forwarded-For": "10.1.1.1"}))[0]
    headers = {"Authorization": f"Bearer {key['token']}"}
    body = {"model": "online-1", "query": "x"}
    async with bench.client.post("/aigc/chat/", json=body, headers=headers) as response:
        said = await response.json()
        assert (401, 401) == (response.status, said["status"])
        assert said["msg"].startswith("鉴权失败")
    pair = {name: key[name] for name in ("api_key", "secret_key")}
    async with bench.client.post("/aigc/token", json=pair) as response:
        assert 401 == response.status


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        ("10.1.1.1", 200),
        ("10.1.1.1, 127.0.0.1", 200),
        ("8.8.8.8", 401),
        ("10.1.1.1, 8.8.8.8", 401),
        ("nonsense", 401),
        ("10.1.1.1, nonsense", 401),
        ("", 401),
        ("[::ffff:10.1.1.1]:443", 200),
    ],
)
async def test_trusted_proxy_is_believed(open_bench, forwarded, status):
    """Behind a trusted proxy the address is the last one that no trusted proxy wrote; earlier ones anybody may write."""
    bench = await open_bench(server={"trusted_proxies": ["127.0.0.0/8"]})
    key = await bench.served.keyring.create("far", addresses=["10.0.0.0/8"])
    said = await chat(bench, {"token": key.token}, **{"X-Forwarded-For": forwarded})
    assert status == said[0]
