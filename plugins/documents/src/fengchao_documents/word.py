"""The text in docx files: body, tables, footnotes and endnotes, in their order."""

from __future__ import annotations

from collections.abc import Iterator

from fengchao_documents.packages import Package, local

_PARTS = ("word/document.xml", "word/footnotes.xml", "word/endnotes.xml")
_SPACES = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_PARAGRAPH = "p"


def read(path: str) -> Iterator[str]:
    """The paragraphs; of a table each row is a line, its cells apart by tabs."""
    with Package(path) as package:
        for part in _PARTS:
            if part in package.names:
                yield from _lines(package, part)


def _lines(package: Package, part: str) -> Iterator[str]:
    text: list[str] = []
    row_depth = 0
    for event, element in package.elements(part):
        name = local(element)
        if event == "start":
            row_depth += name == "tr"
            continue
        if name == "t":
            text.append(element.text or "")
        elif name in _SPACES:
            text.append(_SPACES[name])
        elif name == _PARAGRAPH:
            # Within a table the row's end makes the line.
            text.append(" " if row_depth else "\n")
        elif name == "tc":
            text.append("\t")
        elif name == "tr":
            row_depth -= 1
            text.append("\n")
        if not row_depth and name in {_PARAGRAPH, "tr"}:
            yield "".join(text)
            text.clear()
        element.clear()
    yield "".join(text)
