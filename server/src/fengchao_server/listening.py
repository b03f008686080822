"""Sockets to listen on, with every way in which that fails said in one line."""

from __future__ import annotations

import contextlib
import errno
import socket
import sys

from fengchao_core.errors import SetupError

BACKLOG = 1024


def bind(host: str, port: int, *, shared: bool = False) -> list[socket.socket]:
    """
    Bind a port on every address of a host. Nothing listens yet.

    Args:
        port: 0 takes a free one.
        shared: let other processes of ours bind the same port; the kernel then spreads connections over them.

    Raises:
        SetupError: the port is in use, or the host or port is not ours to use.
    """
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror:
        raise SetupError(
            f"host {host!r} is unknown; set server.host (or --host) to an address of this machine"
        ) from None
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            opened = _open(family, kind, protocol)
            if opened is None:
                continue
            sockets.append(opened)
            if port == 0 and len(sockets) > 1:
                address = (address[0], sockets[0].getsockname()[1], *address[2:])  # noqa: PLW2901  # the port that was given for a 0
            _bind(opened, address, host=host, port=port, shared=shared)
    except BaseException:
        close(sockets)
        raise
    if not sockets:
        raise SetupError(f"host {host!r} has no address that this machine can listen on")
    return sockets


def check_free(host: str, port: int) -> None:
    """
    Make sure that nobody listens on a port that is about to be shared.

    A shared port can be bound beside a stranger's shared one, and the two would take each other's connections.

    Raises:
        SetupError: as `bind`.
    """
    if port:
        close(bind(host, port))


def url_of(host: str, port: int) -> str:
    """Where a client on this machine reaches what listens there."""
    if host in ("", "0.0.0.0", "::"):  # noqa: S104  # compared with, not bound to
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def close(sockets: list[socket.socket]) -> None:
    """Close sockets."""
    for opened in sockets:
        with contextlib.suppress(OSError):
            opened.close()


def _open(family: int, kind: int, protocol: int) -> socket.socket | None:
    try:
        opened = socket.socket(family, kind, protocol)
    except OSError:  # a family that the name service knows and the kernel does not
        return None
    if family == socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if sys.platform != "win32":
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.setblocking(False)
    return opened


def _bind(opened: socket.socket, address: object, *, host: str, port: int, shared: bool) -> None:
    if shared:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        opened.bind(address)  # type: ignore[arg-type]  # whatever getaddrinfo gave for this family
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            said = "is in use; stop what listens there, or choose another with --port"
        elif error.errno == errno.EACCES:
            said = "may not be used by this user; choose one above 1023 with --port"
        else:
            said = f"cannot be used: {error.strerror}"
        raise SetupError(f"port {port} on {host or 'all addresses'} {said}") from None
