"""The security centre's page, as HTTP shows it: what it brings along, and what it does not let in."""

from __future__ import annotations

import re

import pytest


@pytest.mark.parametrize("path", ["/admin", "/admin/", "/admin/setup"])
async def test_page_runs_its_own_files_only(bench, path):
    """The page has no script and no style of its own, and its policy allows none."""
    async with bench.client.get(path) as response:
        html = await response.text()
        assert (200, "text/html; charset=utf-8") == (
            response.status,
            response.headers["Content-Type"],
        )
        policy = response.headers["Content-Security-Policy"]
        assert ["DENY", "no-referrer", "nosniff"] == [
            response.headers[name]
            for name in ("X-Frame-Options", "Referrer-Policy", "X-Content-Type-Options")
        ]
    assert 1 == len(response.headers.getall("Content-Security-Policy"))
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script[^>]*>[^<]|<style|\son\w+=|\sstyle=", html)


async def test_files_of_the_page_are_there(bench):
    """Everything the page and its scripts name is served, with its type."""
    async with bench.client.get("/admin/") as response:
        wanted = re.findall(r'(?:src|href)="(/[^"]+)"', await response.text())
    seen = set()
    while wanted:
        path = wanted.pop()
        async with bench.client.get(path) as response:
            text = await response.text()
            kind = "text/css" if path.endswith("css") else "text/javascript"
            assert (200, f"{kind}; charset=utf-8") == (
                response.status, response.headers["Content-Type"],
            )  # fmt: skip
        seen.add(path)
        named = re.findall(r'from "\./([\w.]+)"', text)
        wanted += {f"/admin/static/{name}" for name in named} - seen
    assert 6 == len(seen)


@pytest.mark.parametrize(
    "name", ["../page.py", "..%2fpage.py", "index.html", "%2e%2e/page.py", "app.js%00", "./app.js"]
)
async def test_no_other_file_is_served(bench, raw, name):
    """Names of files are looked up, never followed."""
    request = f"GET /admin/static/{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = await raw(bench, request.encode())
    assert b" 404 " in answer.partition(b"\r\n")[0]


async def test_scripts_show_text_as_text(bench):
    """No script builds HTML out of text, or runs text."""
    for name in ("app", "api", "dom", "keys", "log"):
        async with bench.client.get(f"/admin/static/{name}.js") as response:
            code = await response.text()
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(", code
        )
