"""The text in pptx files: slide by slide in the order they are shown, each with its notes."""

from __future__ import annotations

from collections.abc import Iterator

from fengchao_documents.packages import Package, local

_PRESENTATION = "ppt/presentation.xml"
_REFERENCE = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


def read(path: str) -> Iterator[str]:
    """The slides' texts."""
    with Package(path) as package:
        targets = package.targets(_PRESENTATION)
        order = [
            targets.get(element.get(_REFERENCE, ""), "")
            for event, element in package.elements(_PRESENTATION)
            if event == "end" and local(element) == "sldId"
        ]
        for number, slide in enumerate(order, 1):
            if slide not in package.names:
                continue
            yield f"# {number}\n"
            yield from _lines(package, slide)
            for notes in package.targets(slide).values():
                if notes.startswith("ppt/notesSlides/") and notes in package.names:
                    yield from _lines(package, notes)
            yield "\n"


def _lines(package: Package, part: str) -> Iterator[str]:
    text: list[str] = []
    is_row = 0
    for event, element in package.elements(part):
        name = local(element)
        if event == "start":
            is_row += name == "tr"
            continue
        if name == "t":
            text.append(element.text or "")
        elif name == "br":
            text.append("\n")
        elif name == "tc":
            text.append("\t")
        elif name == "tr":
            is_row -= 1
            text.append("\n")
        elif name == "p" and not is_row:
            text.append("\n")
        if name in {"p", "tr"} and not is_row:
            yield "".join(text)
            text.clear()
        element.clear()
    yield "".join(text)
