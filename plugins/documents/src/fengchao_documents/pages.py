"""The visible text in HTML pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from typing_extensions import override

_HIDDEN = frozenset({"script", "style", "template", "noscript", "svg", "math", "iframe", "object"})
_BLOCKS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "br",
        "caption",
        "dd",
        "details",
        "dialog",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "li",
        "main",
        "nav",
        "ol",
        "option",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tbody",
        "tfoot",
        "thead",
        "title",
        "tr",
        "ul",
    ]
)
_CHARSET = re.compile(rb"""charset\s*=\s*["']?\s*([A-Za-z0-9_.:-]{2,40})""", re.IGNORECASE)
_SPACES = re.compile(r"[ \t\r\f\v\u00a0]+")
_LINES = re.compile(r"\s*\n\s*\n\s*")
_STEP = 65_536


def read(path: str) -> Iterator[str]:
    """The text, with a line for each block."""
    parser = _Visible()
    text = _decoded(Path(path).read_bytes())
    for start in range(0, len(text), _STEP):
        parser.feed(text[start : start + _STEP])
        yield parser.taken()
    parser.close()
    yield parser.taken()


class _Visible(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._hidden: list[str] = []
        self._text: list[str] = []

    def taken(self) -> str:
        """What was read since the last time."""
        text = _LINES.sub("\n\n", _SPACES.sub(" ", "".join(self._text)))
        self._text.clear()
        return text

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self._hidden.append(tag)
        elif tag in _BLOCKS:
            self._text.append("\n")
        elif tag in {"td", "th"}:
            self._text.append("\t")

    @override
    def handle_endtag(self, tag: str) -> None:
        if tag in self._hidden:
            while self._hidden.pop() != tag:
                pass
        elif tag in _BLOCKS:
            self._text.append("\n")

    @override
    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._text.append(data)


def _decoded(content: bytes) -> str:
    declared = _CHARSET.search(content[:4096])
    encodings = [declared[1].decode("ascii")] if declared else []
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    for encoding in (*encodings, "utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    return content.decode("utf-8", "replace")
