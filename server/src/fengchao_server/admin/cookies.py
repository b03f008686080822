"""
The cookie of a browser's session, and the proof that a request comes from our own page.

The cookie is out of reach of scripts (HttpOnly) and is not sent along from other sites (SameSite=Strict). Over TLS it has
the `__Host-` prefix, so that no neighbouring host and no plain connection can set it. A request that changes something
must repeat, in a header, a value that only our page was told: what another site makes a browser send lacks it.
"""

from __future__ import annotations

import hmac
from typing import Final

from aiohttp import web

from fengchao_server.addresses import Network, is_secure

COOKIE: Final = "fengchao_session"
CSRF_HEADER: Final = "X-CSRF-Token"

_SECURE_COOKIE: Final = f"__Host-{COOKIE}"


def read_cookie(request: web.BaseRequest, trusted: tuple[Network, ...]) -> str:
    """The session's token; empty where there is none."""
    return request.cookies.get(_name(request, trusted), "")


def write_cookie(
    request: web.BaseRequest, trusted: tuple[Network, ...], token: str, *, seconds: int
) -> dict[str, str]:
    """The header that makes the browser keep a token; for 0 seconds: forget it."""
    secure = "; Secure" if is_secure(request, trusted) else ""
    name = _name(request, trusted)
    return {
        "Set-Cookie": f"{name}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
    }


def csrf_token(token: str) -> str:
    """What a page with this session must repeat. It tells nothing of the session's token."""
    return hmac.digest(token.encode(), b"fengchao csrf", "sha256").hex()


def is_own_page(request: web.BaseRequest, token: str) -> bool:
    """Whether a request that changes something comes from our page."""
    given = request.headers.get(CSRF_HEADER, "")
    return hmac.compare_digest(csrf_token(token).encode(), given.encode("utf-8", "replace"))


def is_from_elsewhere(request: web.BaseRequest) -> bool:
    """Whether the browser itself says that another site sent the request; for those without a session yet."""
    return request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none")


def _name(request: web.BaseRequest, trusted: tuple[Network, ...]) -> str:
    return _SECURE_COOKIE if is_secure(request, trusted) else COOKIE
