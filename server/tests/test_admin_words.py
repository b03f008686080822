"""`/admin/words` and `/admin/prompts` through the running server, and what the next request sees of them."""

from __future__ import annotations

import pytest


@pytest.fixture
async def ops(bench):
    """Sends requests as an operator; the status, and the parsed answer."""
    headers = await bench.operator()

    async def send(method, path, body=None, **query):
        async with bench.client.request(
            method, path, json=body, headers=headers, params=query
        ) as response:
            if response.content_type != "application/json":
                return response.status, await response.text()
            return response.status, await response.json()

    return send


async def add(ops, word, category="广告", **fields):
    """Add a word."""
    status, said = await ops("POST", "/admin/words", {"word": word, "category": category, **fields})
    assert 201 == status, said
    return said


async def test_a_word_holds_from_the_next_request_on(bench, ops):
    """A word that is added is refused by the very next request, whole and streamed, and gone when it is removed."""
    assert 200 == (await bench.ask(query="请加-微信"))[1]["status"]
    await add(ops, "加微信")
    assert 6601 == (await bench.ask(query="请加-微信"))[1]["status"]
    assert 400 == (await bench.chat(messages=[{"role": "user", "content": "加微信"}]))[0]
    words = [{"category": "广告", "word": "加微信"}]
    assert (200, {"removed": 1}) == await ops("POST", "/admin/words/remove", {"words": words})
    assert 200 == (await bench.ask(query="请加-微信"))[1]["status"]


async def test_words_are_listed_and_searched(bench, ops):
    """The list is paged, searched in words and notes, and narrowed by category and action."""
    for n in range(12):
        await add(ops, f"词{n:02}", note=f"note {n}")
    await add(ops, "放行的词", category="别的", action="allow")
    status, page = await ops("GET", "/admin/words", limit="5", page="3")
    assert (200, 13, ["词09", "词10", "词11"]) == (
        status, page["total"], [w["word"] for w in page["words"]][-3:],
    )  # fmt: skip
    assert 1 == (await ops("GET", "/admin/words", search="NOTE 7"))[1]["total"]
    assert 1 == (await ops("GET", "/admin/words", action="allow"))[1]["total"]
    assert 12 == (await ops("GET", "/admin/words", category="广告"))[1]["total"]
    for wrong in ({"limit": "0"}, {"page": "x"}, {"action": "forbid"}, {"other": "1"}):
        assert 400 == (await ops("GET", "/admin/words", **wrong))[0]


async def test_words_and_categories_are_changed(bench, ops):
    """A word does what its category does until it has an action of its own."""
    await add(ops, "加微信", note="n")
    status, category = await ops("PUT", "/admin/words/categories/广告", {"action": "replace"})
    assert (200, "replace", 1) == (status, category["action"], category["count"])
    bench.provider.requests.clear()
    assert 200 == (await bench.ask(query="请加微信"))[1]["status"]
    assert "请***" == bench.provider.requests[-1].messages[-1].text
    word = {"category": "广告", "word": "加微信"}
    status, said = await ops("PATCH", "/admin/words", {**word, "action": "block"})
    assert (200, "block", "n") == (status, said["action"], said["note"])
    assert 6601 == (await bench.ask(query="请加微信"))[1]["status"]
    assert 404 == (await ops("PATCH", "/admin/words", {**word, "word": "没有"}))[0]
    assert (200, {"removed": 1}) == await ops("DELETE", "/admin/words/categories/广告")
    assert 404 == (await ops("DELETE", "/admin/words/categories/广告"))[0]
    assert 200 == (await bench.ask(query="请加微信"))[1]["status"]


@pytest.mark.parametrize("written", ["txt", "csv", "json"])
async def test_lists_are_imported_and_exported(bench, ops, written):
    """What is exported can be imported; a list with a mistake is refused whole, with the line."""
    await add(ops, "加微信", note="n")
    await add(ops, "加微信号说明", action="allow")
    status, text = await ops("GET", "/admin/words/export", format=written)
    assert 200 == status
    if written == "json":
        import json

        text = json.dumps(text, ensure_ascii=False)
    body = {"text": text, "format": written}
    assert (200, {"added": 0, "changed": 0, "removed": 0}) == await ops(
        "POST", "/admin/words/import", body
    )
    broken = {"text": "word,action\n甲词,\n乙词,forbid\n", "format": "csv"}
    status, refused = await ops("POST", "/admin/words/import", broken)
    assert (400, "invalid_parameter") == (status, refused["code"])
    assert "line 3" in refused["detail"]
    assert "乙词" not in refused["detail"]
    assert 400 == (await ops("GET", "/admin/words/export", format="xml"))[0]


async def test_a_text_is_tried_and_explained(bench, ops):
    """Operators see which word a hit is of, and what would be left."""
    await add(ops, "加微信", note="n")
    await add(ops, "加微信号说明", action="allow")
    status, said = await ops("POST", "/admin/words/test", {"text": "加微信号说明，加-微 信"})
    hit = {"start": 7, "end": 12, "text": "加-微 信", "category": "广告", "action": "block"}
    assert (200, "加微信号说明，*****", 1) == (status, said["text"], said["total"])
    assert [{**hit, "word": "加微信", "note": "n"}] == said["hits"]


@pytest.mark.parametrize(
    "body",
    [
        {"word": "", "category": "a"},
        {"word": "\u200b", "category": "a"},
        {"word": "长" * 65, "category": "a"},
        {"word": "x", "category": " "},
        {"word": "x", "category": "a", "action": "forbid"},
        {"word": "x"},
        {"word": ["x"], "category": "a"},
        {"word": "x", "category": "a", "more": 1},
    ],
)
async def test_what_is_no_word_is_refused(ops, body):
    """A word that cannot be looked for, and a body that is not one, are refused in `/admin`'s shape."""
    status, refused = await ops("POST", "/admin/words", body)
    assert (400, "invalid_parameter") == (status, refused["code"])


async def test_words_are_for_operators(bench, ops):
    """Without a login nothing is told; a viewer may look but not change; a caller's key is nothing here."""
    async with bench.client.get("/admin/words", headers=bench.bearer) as response:
        assert 401 == response.status
    viewer = await bench.operator(role="viewer", name="eye")
    async with bench.client.get("/admin/words", headers=viewer) as response:
        assert 200 == response.status
    body = {"word": "x", "category": "a"}
    async with bench.client.post("/admin/words", json=body, headers=viewer) as response:
        assert 403 == response.status


async def test_changes_are_in_the_audit_log(bench, ops):
    """Who changed which words and presets is written down."""
    await add(ops, "加微信")
    await ops("POST", "/admin/prompts", {"id": "周报", "prompt": "{{query}}"})
    records = await bench.gateway.store.audit.page(limit=2)
    assert [("prompt.add", "周报"), ("word.add", "广告")] == [(r.action, r.target) for r in records]
    assert {"token:ops/test-0"} == {r.actor for r in records}
    assert "127.0.0.1" in records[0].address


async def test_a_preset_holds_from_the_next_request_on(bench, ops):
    """A preset that is added, changed, rolled back and removed is so for the next request and in the product's list."""

    async def asked():
        _, said = await bench.ask(prompt="周报", query="甲")
        return said["status"], bench.provider.requests[-1].messages[-1].text if said[
            "status"
        ] == 200 else ""

    async def listed():
        async with bench.client.get("/aigc/prompts/") as response:
            return [card["id"] for card in (await response.json())["data"]]

    assert (445, "") == await asked()
    status, version = await ops("POST", "/admin/prompts", {"id": "周报", "prompt": "一{{query}}"})
    assert (201, 1) == (status, version["version"])
    assert (200, "一甲") == await asked()
    assert "周报" in await listed()
    await ops("PATCH", "/admin/prompts/周报", {"prompt": "二{{query}}", "after": 1})
    assert (200, "二甲") == await asked()
    await ops("POST", "/admin/prompts/周报/rollback", {"version": 1})
    assert (200, "一甲") == await asked()
    status, history = await ops("GET", "/admin/prompts/周报/history")
    assert [3, 2, 1] == [v["version"] for v in history["versions"]]
    assert "token:ops/test-0" == history["versions"][0]["author"]
    assert 200 == (await ops("DELETE", "/admin/prompts/周报"))[0]
    assert (445, "") == await asked()
    assert "周报" not in await listed()


async def test_presets_are_shown_with_their_versions(bench, ops):
    """The list tells version and origin; one version can be looked at, the shipped one too."""
    await ops("PATCH", "/admin/prompts/多译英", {"prompt": "译{{query}}"})
    _, said = await ops("GET", "/admin/prompts")
    card = next(c for c in said["prompts"] if c["id"] == "多译英")
    assert (1, True, "译{{query}}") == (card["version"], card["shipped"], card["prompt"])
    _, shipped = await ops("GET", "/admin/prompts/多译英", version="0")
    assert "译{{query}}" != shipped["prompt"]
    assert 21 == len(said["prompts"])


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/admin/prompts", {"id": "x", "prompt": "no place"}, 400),
        ("POST", "/admin/prompts", {"id": "默认", "prompt": "{{query}}"}, 400),
        ("POST", "/admin/prompts", {"id": "x"}, 400),
        ("GET", "/admin/prompts/没有", None, 404),
        ("GET", "/admin/prompts/默认?version=7", None, 404),
        ("GET", "/admin/prompts/默认?version=x", None, 400),
        ("PATCH", "/admin/prompts/默认", {}, 400),
        ("PATCH", "/admin/prompts/默认", {"prompt": "{{query}}", "after": 4}, 409),
        ("PATCH", "/admin/prompts/默认", {"prompt": None}, 400),
        ("PATCH", "/admin/prompts/知识库", {"prompt": "{{query}}"}, 400),
        ("PATCH", "/admin/prompts/没有", {"prompt": "{{query}}"}, 404),
        ("POST", "/admin/prompts/默认/rollback", {"version": 9}, 400),
        ("DELETE", "/admin/prompts/默认", None, 400),
        ("DELETE", "/admin/prompts/没有", None, 404),
    ],
)
async def test_what_is_no_preset_is_refused(ops, method, path, body, status):
    """Wrong presets and versions are refused with a status that says why."""
    assert status == (await ops(method, path, body))[0]
