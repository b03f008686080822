"""The text in xlsx files: each sheet's name, and its rows that hold anything."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from fengchao_documents.packages import Package


def read(path: str) -> Iterator[str]:
    """The rows, a line each, with the cells apart by tabs; of a formula the value that was saved with it."""
    with Package(path) as package:
        # openpyxl's parser is told nothing of document types, so every part is looked at first.
        for name in package.names:
            if name.endswith((".xml", ".rels")):
                next(package.elements(name), None)
    from openpyxl import load_workbook  # type: ignore[import-untyped]  # it brings no types

    warnings.simplefilter("ignore")  # of extensions that openpyxl does not know
    with Path(path).open("rb") as file:  # a path without an ending is refused
        book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
        for sheet in book.worksheets:
            yield f"# {sheet.title}\n"
            sheet.reset_dimensions()  # what a file says of them may be far from the truth
            for row in sheet.iter_rows(values_only=True):
                cells = [_shown(cell) for cell in row]
                while cells and not cells[-1]:
                    cells.pop()
                if cells:
                    yield "\t".join(cells) + "\n"
            yield "\n"


def _shown(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        text = cell.isoformat(" ")
        return text.removesuffix(" 00:00:00")
    return str(cell).replace("\n", " ").replace("\t", " ")
