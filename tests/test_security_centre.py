"""The security centre in a real browser: from the setup link that `fengchao serve` prints to the audit log."""

import asyncio
import json
import os
import subprocess
import sys

import aiohttp
import pytest
from tests.browser import opened_page
from tests.served import served

pytestmark = pytest.mark.xdist_group("browser")

PASSWORD = "correct horse battery"
FAST = 20_000


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The data folder of the gateway."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def server(home):
    """A gateway that has no operator yet."""
    with served(home) as running:
        yield running


async def press(page, name):
    """Press the button of this name."""
    await page.get_by_role("button", name=name, exact=True).click()


async def shown_secret(page):
    """The key that is shown once; its dialog is closed."""
    await page.wait_for_selector("dialog [data-secret=token]")
    key = {
        name: await page.input_value(f"dialog [data-secret={name}]")
        for name in ("api_key", "secret_key", "token")
    }
    await press(page, "我已保存")
    await page.wait_for_selector("dialog", state="detached")
    return key


async def chat(page, server, key):
    """The status of a chat with a key."""
    answer = await page.request.post(
        f"{server.url}/v1/chat/completions",
        headers={"Authorization": f"Bearer {key['token']}"},
        data={"model": "glm-4", "messages": [{"role": "user", "content": "你好"}]},
    )
    return answer.status


async def test_from_setup_link_to_audit_log(server, home):
    """A person sets a password, makes, changes, rotates and revokes a key, reads the log, and signs out and in."""
    async with opened_page() as page:
        page.set_default_timeout(FAST)
        await page.goto(server.setup)
        await page.fill("[name=name]", "alice")
        await page.fill("[name=password]", PASSWORD)
        await page.fill("[name=again]", PASSWORD)
        await press(page, "设置并登录")
        await page.wait_for_selector("text=生成密钥")
        assert f"{server.url}/admin/" == page.url

        await press(page, "生成密钥")
        await page.fill("dialog [name=name]", "my-app")
        await page.fill("dialog [name=addresses]", "10.0.0.1/8")
        await press(page, "生成")
        await page.wait_for_selector("dialog [role=alert]:not(:empty)")
        await page.fill("dialog [name=addresses]", "")
        await press(page, "生成")
        key = await shown_secret(page)
        assert 200 == await chat(page, server, key)

        row = page.locator("tbody tr").filter(has_text="my-app")
        await row.get_by_role("button", name="更换", exact=True).click()
        await page.locator("dialog").get_by_role("button", name="更换", exact=True).click()
        fresh = await shown_secret(page)
        assert [200, 200] == [await chat(page, server, k) for k in (key, fresh)]

        note = "<img src=x onerror=alert(1)>"
        await row.get_by_role("button", name="修改", exact=True).click()
        await page.fill("dialog [name=note]", note)
        await press(page, "保存")
        await row.filter(has_text=note).wait_for()
        assert 0 == await page.locator("img").count()

        await row.get_by_role("button", name="吊销", exact=True).click()
        await page.locator("dialog").get_by_role("button", name="吊销", exact=True).click()
        await row.filter(has_text="已吊销").wait_for()
        assert 401 == await chat(page, server, fresh)

        await press(page, "审计日志")
        for action in ("key.create", "key.rotate", "key.update", "key.revoke"):
            await page.locator("td", has_text=action).first.wait_for()
        assert key["secret_key"] not in await page.content()

        await press(page, "English")
        await press(page, "Sign out")
        await page.fill("[name=name]", "alice")
        await page.fill("[name=password]", PASSWORD)
        await press(page, "Sign in")
        await page.wait_for_selector("text=Make a key")

        # The same store by the command line, beside the running server.
        done = await asyncio.to_thread(
            subprocess.run,
            [
                sys.executable,
                "-m",
                "fengchao_server",
                "audit",
                "--json",
                "--actor",
                "operator:alice",
            ],
            env={**os.environ, "FENGCHAO_HOME": str(home)},
            cwd=home,
            capture_output=True,
            check=True,
        )
        actions = [entry["action"] for entry in json.loads(done.stdout)]
        assert "session.begin" == actions[0]
        assert {"key.create", "key.rotate", "key.update", "key.revoke", "session.end"} <= {*actions}


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_page_fits_a_phone(server, scheme):
    """On a narrow screen nothing sticks out, in light and in dark; the two differ."""
    async with opened_page(width=360, height=740) as page:
        await page.emulate_media(color_scheme=scheme)
        await page.goto(f"{server.url}/admin/")
        await page.wait_for_selector("[name=password]", timeout=FAST)
        html = page.locator("html")
        assert 360 >= await html.evaluate("e => e.scrollWidth")
        ink = await page.locator("body").evaluate("e => getComputedStyle(e).backgroundColor")
        assert {"light": "rgb(245, 247, 250)", "dark": "rgb(18, 23, 30)"}[scheme] == ink


async def test_workers_agree(tmp_path):
    """A session, a new key, a revocation and the count of attempts hold in every worker, whichever answers."""
    with served(tmp_path, "--workers", "2") as running:

        async def ask(method, path, headers=None, **body):
            # A connection of its own reaches either worker.
            async with (
                aiohttp.ClientSession() as client,
                client.request(
                    method, running.url + path, json=body or None, headers=headers
                ) as answer,
            ):
                return answer.status, await answer.json(), answer.cookies

        async def statuses(method, path, headers=None, **body):
            return {(await ask(method, path, headers, **body))[0] for _ in range(12)}

        token = running.setup.partition("#")[2]
        _, session, cookies = await ask(
            "POST", "/admin/setup", token=token, name="alice", password=PASSWORD
        )
        cookie = f"fengchao_session={cookies['fengchao_session'].value}"
        alice = {"Cookie": cookie, "X-CSRF-Token": session["csrf"]}
        assert {200} == await statuses("GET", "/admin/session", alice)

        _, key, _ = await ask("POST", "/admin/keys", alice, name="app")
        bearer = {"Authorization": f"Bearer {key['token']}"}
        assert {200} == await statuses("GET", "/v1/models", bearer)
        await ask("DELETE", "/admin/keys/app", alice)
        async with asyncio.timeout(20):
            while await statuses("GET", "/v1/models", bearer) != {401}:
                pass  # each worker looks about once a second

        wrong = {"name": "bob", "password": "wrong"}
        tries = await asyncio.gather(*(ask("POST", "/admin/login", **wrong) for _ in range(9)))
        assert 5 == [status for status, _, _ in tries].count(401)
        await ask("POST", "/admin/logout", alice)
        assert {401} == await statuses("GET", "/admin/session", alice)
