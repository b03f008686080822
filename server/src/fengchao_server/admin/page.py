"""The security centre for people: one page and its own scripts, from this process and nowhere else."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from fengchao_server.admin.shape import AdminShape
from fengchao_server.answers import HTML, Answer
from fengchao_server.refusals import NotFound
from fengchao_server.routes import Route

if TYPE_CHECKING:
    from fengchao_server.call import Call

_TYPES: Final = {
    "app.css": b"text/css; charset=utf-8",
    **dict.fromkeys(
        ("app.js", "api.js", "dom.js", "keys.js", "log.js"), b"text/javascript; charset=utf-8"
    ),
}
_FRESH: Final = {"Cache-Control": "no-cache"}
_POLICY: Final = {
    **_FRESH,
    # Scripts and styles of our own files only, none in the page: what anybody smuggles into it does not run.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}


def routes() -> list[Route]:
    """The routes of this module."""
    admin = AdminShape()
    return [
        Route(
            method="GET", path="/admin/", handler=page, shape=admin, auth=False, media="text/html",
            summary="安全中心的网页 The security centre's page",
        ),
        Route(
            method="GET", path="/admin/setup", handler=page, shape=admin, auth=False, media="text/html",
            summary="设置口令的网页 The page that sets a password",
        ),
        Route(
            method="GET", path="/admin/static/{file}", handler=static, shape=admin, auth=False, quiet=True, media="*/*",
            summary="网页的脚本与样式 Its scripts and styles",
        ),
    ]  # fmt: skip


async def page(_call: Call) -> Answer:
    """The page. It holds nothing of the gateway: what it shows it asks for, signed in."""
    return Answer(_read("index.html"), content_type=HTML, headers=_POLICY)


async def static(call: Call) -> Answer:
    """A script or the style sheet; the name is looked up, never used as a path."""
    name = call.params["file"]
    kind = _TYPES.get(name)
    if kind is None:
        raise NotFound
    return Answer(_read(name), content_type=kind, headers=_FRESH)


@lru_cache(maxsize=len(_TYPES) + 1)
def _read(name: str) -> bytes:
    return files("fengchao_server.admin").joinpath("static", name).read_bytes()
