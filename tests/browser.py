"""
A real browser for tests of pages: a Chrome or Chromium that is there, or Debian's where it may be installed.

Where there is none the tests say so loudly, and under `CI=true` they fail: a page that nobody opened is not tested.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.async_api import Page

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_PLACES = ("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",)
_REMEDY = "no Chrome or Chromium is here; install one (Debian: apt-get install chromium)"


def find_browser() -> str:
    """
    The browser's program.

    Skips the test where there is none, or fails it where `CI` is set.
    """
    found = _installed() or _install()
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(_REMEDY)
        pytest.skip(f"THE PAGES ARE NOT TESTED: {_REMEDY}")
    return found


@asynccontextmanager
async def opened_page(*, width: int = 1200, height: int = 1000) -> AsyncIterator[Page]:
    """
    An empty page in a browser of its own. Errors of its scripts fail the test when the block ends.

    The browser sees nothing but this machine: it is told that every other name does not exist.
    """
    from playwright.async_api import async_playwright

    program = find_browser()
    arguments = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=arguments)
        try:
            page = await browser.new_page(viewport={"width": width, "height": height})
            errors: list[str] = []
            page.on("pageerror", lambda error: errors.append(str(error)))
            yield page
            assert [] == errors
        finally:
            await browser.close()


def _installed() -> str | None:
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    return next((place for place in _PLACES if Path(place).exists()), None)


def _install() -> str | None:
    """Debian's Chromium, where this process may install it. Safe in several processes at once."""
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return None
    with (Path(tempfile.gettempdir()) / "fengchao-chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if found := _installed():
            return found
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update", "-qq"], ["install", "-y", "-qq", "chromium"]):
            subprocess.run(
                [apt, *command], env=environment, check=False, capture_output=True, timeout=600
            )
    return _installed()
