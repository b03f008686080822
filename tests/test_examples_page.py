"""The pages for people, in a real browser: examples that run, and the documentation to try out."""

import pytest
from tests.browser import opened_page
from tests.served import served

pytestmark = pytest.mark.xdist_group("browser")

FAST = 20_000


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    """A gateway with every vendor of the repository."""
    with served(tmp_path_factory.mktemp("home")) as server:
        yield server


@pytest.fixture
async def examples(sandbox):
    """The page of examples, with the key entered and the lists loaded."""
    async with opened_page() as page:
        page.set_default_timeout(FAST)
        await page.goto(f"{sandbox.url}/examples")
        await page.fill("#token", sandbox.token)
        await page.wait_for_selector("#field-model option[value=glm-4]", state="attached")
        yield page


async def run(page, example, **fields):
    """Choose an example, fill it in, press its button; the answer as it is shown."""
    from playwright.async_api import expect

    await page.click(f"#example-{example}")
    for name, value in fields.items():
        if name == "model":
            await page.select_option("#field-model", value)
        else:
            await page.fill(f"#field-{name}", value)
    await page.click("#run")
    await expect(page.locator("#state")).to_contain_text(" ms", timeout=FAST)
    return await page.text_content("#answer")


@pytest.mark.parametrize("example", ["invoke", "stream"])
async def test_chats_run(examples, example):
    """The buttons of the two plain chats bring an answer of the model that was chosen."""
    answer = await run(examples, example, model="glm-4", query="介绍一下北京")
    assert "我是 glm-4 的本地沙箱" in answer
    assert "介绍一下北京" in answer


async def test_async_result_takes_up_the_task(examples):
    """What the asynchronous chat was given stands in the field of its result, and brings the answer."""
    task = await run(examples, "async", model="glm-4", query="介绍一下北京")
    for _ in range(100):
        answer = await run(examples, "async_result", model="glm-4")
        assert task == await examples.input_value("#field-task_id")
        if not answer.startswith("6602"):
            break
        await examples.wait_for_timeout(100)
    assert "介绍一下北京" in answer


async def test_lists_run(examples):
    """The buttons of the three lists show them."""
    assert '"id": "glm-4"' in await run(examples, "models")
    assert '"id": "默认"' in await run(examples, "prompts")
    assert '"data"' in await run(examples, "kgs")


async def test_failures_are_shown(examples):
    """What the server refuses is shown in its own words."""
    answer = await run(examples, "invoke", model="glm-4", query="   ")
    assert answer.startswith("443 问题为空")


async def test_code_says_what_was_filled_in(examples):
    """Each language words the request as it stands in the form; the key is in none of them."""
    await examples.click("#example-invoke")
    await examples.select_option("#field-model", "glm-4")
    await examples.fill("#field-query", "It's 北京")
    for language, said in {
        "curl": """It'\\''s 北京""",
        "python": 'query="It\'s 北京"',
        "openai": "client.chat.completions.create(",
        "javascript": "await fetch(",
    }.items():
        await examples.click(f"#code-{language}")
        code = await examples.text_content("#code")
        assert said in code
        assert "glm-4" in code
        assert "sk-" not in code


async def test_python_code_runs(examples, sandbox, tmp_path):
    """The Python that is shown to copy is a program that answers."""
    import asyncio
    import os
    import sys

    await examples.click("#example-stream")
    await examples.select_option("#field-model", "glm-4")
    await examples.click("#code-python")
    program = tmp_path / "program.py"
    program.write_text(await examples.text_content("#code"), "utf-8")
    keys = {"FENGCHAO_API_KEY": sandbox.api_key, "FENGCHAO_SECRET_KEY": sandbox.secret_key}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(program),
        env={**os.environ, **keys},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert "我是 glm-4 的本地沙箱" in out.decode()


async def test_documentation_shows_the_operations(sandbox):
    """The documentation page lists the operations of the OpenAPI document, with nothing from elsewhere."""
    from playwright.async_api import expect

    async with opened_page() as page:
        page.set_default_timeout(FAST)
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(f"{sandbox.url}/docs")
        await page.wait_for_selector("#operations-aigc-post_aigc_chat")
        await page.click("#operations-aigc-post_aigc_chat button")
        body = page.locator(".opblock-section-request-body")
        await body.locator("select.examples-select-element").select_option("streamed")
        await expect(body).to_contain_text('"mode": "stream"', timeout=FAST)
        await body.locator("button:text-is('Schema')").click()
        await body.locator("strong:text-is('temperature')").wait_for()
        away = [url for url in asked if not url.startswith((sandbox.url, "data:"))]
        assert [] == away


async def test_page_fits_a_telephone(sandbox):
    """On a narrow screen nothing sticks out sideways."""
    async with opened_page(width=390, height=800) as page:
        await page.goto(f"{sandbox.url}/examples")
        width = await page.evaluate("() => document.documentElement.scrollWidth")
        assert width <= 390
