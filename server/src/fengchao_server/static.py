"""
The files that pages are made of: scripts and style sheets from this package, and from nowhere else.

A file is read once, when it is first asked for. One that is kept compressed (`name.gz`) is served under its plain name, as
it is to whoever takes gzip, which every browser does.
"""

from __future__ import annotations

import gzip
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Final, NamedTuple

from fengchao_server.answers import HTML, Answer
from fengchao_server.refusals import NotFound

if TYPE_CHECKING:
    from fengchao_server.call import Call

APP_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a page with scripts of ours may do: load and ask this server, nothing else. No script stands in the page itself."""

_TYPES: Final = {
    "html": HTML,
    "js": b"text/javascript; charset=utf-8",
    "css": b"text/css; charset=utf-8",
    "svg": b"image/svg+xml",
}


class File(NamedTuple):
    """A file as it is served; `packed` is None where it is not kept compressed."""

    content_type: bytes
    plain: bytes
    packed: bytes | None
    etag: str


async def serve(call: Call) -> Answer:
    """Give a file of the package."""
    return answer(call, call.params["path"])


def answer(call: Call, path: str) -> Answer:
    """
    A file of the package, or 304 where the browser has it.

    Args:
        path: below the folder `static`.

    Raises:
        NotFound: there is no such file to be served.
    """
    if path not in _files():
        raise NotFound
    kept = _read(path)
    headers = {"ETag": kept.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if kept.content_type is HTML:
        headers["Content-Security-Policy"] = APP_POLICY
        headers["Referrer-Policy"] = "no-referrer"
        headers["X-Frame-Options"] = "DENY"
    asked = call.request.headers
    if asked.get("If-None-Match") == kept.etag:
        return Answer(b"", status=304, content_type=kept.content_type, headers=headers)
    body = kept.plain
    if kept.packed is not None and "gzip" in asked.get("Accept-Encoding", ""):
        body = kept.packed
        headers["Content-Encoding"] = "gzip"
    return Answer(body, content_type=kept.content_type, headers=headers)


@lru_cache(maxsize=1)
def _files() -> dict[str, Traversable]:
    """What may be served, by its path: looked up here and nowhere else, so that no path leads out of the folder."""
    found: dict[str, Traversable] = {}

    def walk(folder: Traversable, prefix: str) -> None:
        for entry in folder.iterdir():
            name = entry.name.removesuffix(".gz")
            if entry.is_dir():
                walk(entry, f"{prefix}{entry.name}/")
            elif name.rpartition(".")[2] in _TYPES:
                found[prefix + name] = entry

    walk(files("fengchao_server") / "static", "")
    return found


@lru_cache(maxsize=64)
def _read(path: str) -> File:
    file = _files()[path]
    data = file.read_bytes()
    packed = data if file.name.endswith(".gz") else None
    plain = gzip.decompress(data) if packed else data
    kind = _TYPES[path.rpartition(".")[2]]
    return File(kind, plain, packed, f'"{sha256(data).hexdigest()[:24]}"')
