"""Who may ask: tokens of `/aigc/token`, tokens the SDK signs, and the one-string token."""

import time

import jwt
import pytest

LISTS = ("/aigc/models/", "/aigc/prompts/", "/aigc/kgs/", "/healthz", "/", "/docs", "/openapi.json")
LOCKED = (("GET", "/v1/models"), ("GET", "/v1/models/online-1"), ("POST", "/v1/embeddings"))


def signed(key, secret=None, *, ends_in_s=60.0, milliseconds=True, **more):
    """A token as the SDK signs it."""
    scale = 1000 if milliseconds else 1
    now = time.time()
    claims = {
        "api_key": key.api_key,
        "exp": int((now + ends_in_s) * scale),
        "timestamp": int(now * scale),
    }
    return jwt.encode(
        {**claims, **more}, secret or key.secret_key, "HS256", headers={"sign_type": "SIGN"}
    )


async def status_of(bench, authorization):
    """The statuses with which /v1 and /aigc answer a chat with this header."""
    headers = {} if authorization is None else {"Authorization": authorization}
    statuses = []
    for path, body in (
        (
            "/v1/chat/completions",
            {"model": "online-1", "messages": [{"role": "user", "content": "x"}]},
        ),
        ("/aigc/chat/", {"model": "online-1", "query": "x"}),
    ):
        async with bench.client.post(path, json=body, headers=headers) as response:
            answer = await response.json()
            statuses.append(response.status)
            if response.status == 401:
                assert answer.get("status", 401) == 401
                assert "error" in answer or answer["msg"].startswith("鉴权失败")
                assert bench.key.secret_key not in str(answer)
    return statuses


async def test_every_form_of_credentials(bench):
    """The issued token, the SDK's own in milliseconds and in seconds, and the one-string token are all taken."""
    async with bench.client.get(
        "/aigc/token", params={"api_key": bench.key.api_key, "secret_key": bench.key.secret_key}
    ) as response:
        issued = (await response.json())["token"]
    for good in (
        issued,
        f"Bearer {issued}",
        signed(bench.key),
        signed(bench.key, milliseconds=False),
        f"Bearer {bench.key.token}",
    ):
        assert [200, 200] == await status_of(bench, good)


async def test_every_form_of_bad_credentials(bench):
    """Absent, garbled, forged and expired credentials are 401 on both APIs."""
    for bad in (
        None, "", "Bearer", "Bearer ", "nonsense", "Bearer sk-nonsense", "Basic YTpi", "a.b.c", "Bearer " + "x" * 5000,
        signed(bench.key, "x" * 43), signed(bench.key, ends_in_s=-60), f"Bearer {bench.key.token}x",
        signed(bench.key, api_key="0" * 32), "Bearer \u00e9\u00e8",
    ):  # fmt: skip
        assert [401, 401] == await status_of(bench, bad)


async def test_revoked_key(bench):
    """A revoked key is refused in every form, at once in the process that revoked it."""
    forms = (signed(bench.key), f"Bearer {bench.key.token}")
    for form in forms:
        assert [200, 200] == await status_of(bench, form)
    await bench.served.keyring.revoke("test")
    for form in forms:
        assert [401, 401] == await status_of(bench, form)


async def test_new_key_works_at_once(bench):
    """A key that another process just made works with its first request."""
    from fengchao_server.keyring import open_keyring

    async with open_keyring(bench.gateway.store.keys, bench.gateway.settings.home) as elsewhere:
        key = await elsewhere.create("new")
    assert [200, 200] == await status_of(bench, f"Bearer {key.token}")


@pytest.mark.parametrize("path", LISTS)
async def test_lists_need_no_key(bench, path):
    """What the product text lists as open needs no credentials."""
    async with bench.client.get(path) as response:
        assert 200 == response.status


@pytest.mark.parametrize(("method", "path"), LOCKED)
async def test_the_rest_needs_one(bench, method, path):
    """The OpenAI-compatible lists and embeddings need credentials, and say so in OpenAI's way."""
    async with bench.client.request(method, path) as response:
        assert (401, "Bearer") == (response.status, response.headers["WWW-Authenticate"])
        assert "invalid_api_key" == (await response.json())["error"]["code"]


@pytest.mark.parametrize("path", ["/aigc/token", "/aigc/token/"])
async def test_token_forms(bench, path):
    """A token is issued for a query, a JSON body and a form, and may not be kept by caches."""
    pair = {"api_key": bench.key.api_key, "secret_key": bench.key.secret_key}
    for call in (
        bench.client.get(path, params=pair),
        bench.client.post(path, json=pair),
        bench.client.post(path, data=pair),
    ):
        async with call as response:
            answer = await response.json()
            assert (200, 200, "执行成功") == (response.status, answer["status"], answer["msg"])
            assert "no-store" == response.headers["Cache-Control"]
            header = jwt.get_unverified_header(answer["token"])
            assert ("HS256", "SIGN") == (header["alg"], header["sign_type"])


async def test_no_token(bench):
    """A wrong pair is 401, an incomplete one 445; neither repeats what was sent."""
    for params, expected in (
        ({"api_key": bench.key.api_key, "secret_key": "wrong-secret"}, 401),
        ({"api_key": "nobody", "secret_key": "wrong-secret"}, 401),
        ({"api_key": bench.key.api_key}, 445),
        ({}, 445),
    ):
        async with bench.client.get("/aigc/token", params=params) as response:
            text = await response.text()
            assert expected == response.status
            assert "wrong-secret" not in text
    async with bench.client.post(
        "/aigc/token", json={"api_key": 5, "secret_key": ["x"]}
    ) as response:
        assert 445 == response.status


async def test_key_limited_to_models(bench):
    """A key made for some models sees and uses only these."""
    key = await bench.served.keyring.create("limited", models=["local-1"])
    headers = {"Authorization": f"Bearer {key.token}"}
    async with bench.client.get("/v1/models", headers=headers) as response:
        assert ["local-1"] == [m["id"] for m in (await response.json())["data"]]
    body = {"model": "online-1", "messages": [{"role": "user", "content": "x"}]}
    async with bench.client.post("/v1/chat/completions", json=body, headers=headers) as response:
        assert 403 == response.status
        assert "permission_denied" == (await response.json())["error"]["code"]
