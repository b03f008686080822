"""
A guard for test runs: nothing may be reached but this machine itself.

A test that connects, or asks a name server, beyond loopback fails, even where the code under test swallows the error.
Tests marked `online` are let through. Put this into the `conftest.py` of a test folder:

    ```python
    from fengchao_core.testing.guard import loopback_only

    __all__ = ["loopback_only"]
    ```

or give pytest `-p fengchao_core.testing.guard`. Only sockets that Python itself connects are seen, so not those of
uvloop and of child processes.
"""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterator
from typing import ClassVar

import pytest


class BeyondLoopbackError(AssertionError):
    """A test reached for another machine."""


class _Guard:
    """The one audit hook of the process (hooks cannot be taken out again), and who listens to it now."""

    installed: ClassVar[bool] = False
    caught: ClassVar[list[str] | None] = None

    @classmethod
    def install(cls) -> None:
        if not cls.installed:
            sys.addaudithook(cls.hook)
            cls.installed = True

    @classmethod
    def hook(cls, event: str, args: tuple[object, ...]) -> None:
        if cls.caught is None:
            return
        if event == "socket.connect":
            target = args[1]
            host = target[0] if isinstance(target, tuple) else None  # a text is a Unix socket
        elif event == "socket.getaddrinfo":
            host = args[0]
        else:
            return
        if host is not None and not _is_here(host):
            message = f"a test reached beyond loopback: {event} to {host!r}"
            cls.caught.append(message)
            raise BeyondLoopbackError(message)


@pytest.fixture(autouse=True)
def loopback_only(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test if it reaches beyond loopback, unless it is marked `online`."""
    if request.node.get_closest_marker("online") is not None:
        yield
        return
    _Guard.install()
    before, _Guard.caught = _Guard.caught, []
    try:
        yield
        caught = _Guard.caught
    finally:
        _Guard.caught = before
    if caught:
        pytest.fail("; ".join(dict.fromkeys(caught)), pytrace=False)


def _is_here(host: object) -> bool:
    text = host.decode(errors="replace") if isinstance(host, bytes) else str(host)
    if text in ("", "localhost") or text.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
