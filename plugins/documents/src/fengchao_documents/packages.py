"""Office packages: their parts as streams of XML events, without what makes XML dangerous."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NoReturn, Self
from xml.etree.ElementTree import (  # a part with a DOCTYPE is refused before it is read
    Element,
    iterparse,
)
from xml.parsers import expat

from fengchao_documents.unreadable import UnreadableError

_LOOK_BYTES = 64 * 1024


class Package:
    """
    An open Office file; a context manager.

    Raises:
        UnreadableError: it is no archive.
    """

    def __init__(self, path: str) -> None:
        try:
            self._archive = zipfile.ZipFile(Path(path))
        except (zipfile.BadZipFile, OSError) as error:
            raise UnreadableError("broken") from error
        self.names = frozenset(self._archive.namelist())

    def __enter__(self) -> Self:
        """The package itself."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close it."""
        self._archive.close()

    def elements(self, name: str) -> Iterator[tuple[str, Element]]:
        """
        The elements of a part as they begin (`start`) and end (`end`); an element may be cleared when it ends.

        Raises:
            UnreadableError: it declares a document type, which Office never does, or is not there.
        """
        if name not in self.names:
            raise UnreadableError("broken")
        with self._archive.open(name) as part:
            _refuse_doctype(part)
        with self._archive.open(name) as part:
            for event, element in iterparse(part, ("start", "end")):  # noqa: S314  # see above
                yield str(event), element

    def targets(self, name: str) -> dict[str, str]:
        """The parts that a part refers to, by the ids of the references."""
        folder, base = posixpath.split(name)
        relations = f"{folder}/_rels/{base}.rels"
        if relations not in self.names:
            return {}
        found = {}
        for event, element in self.elements(relations):
            if event == "end" and local(element) == "Relationship":
                target = element.get("Target", "")
                whole = target.lstrip("/") if target.startswith("/") else f"{folder}/{target}"
                found[element.get("Id", "")] = posixpath.normpath(whole)
        return found


def local(element: Element) -> str:
    """An element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


class _SeenEnoughError(Exception):
    pass


def _refuse_doctype(part: IO[bytes]) -> None:
    parser = expat.ParserCreate()

    def refuse(*_declared: object) -> NoReturn:
        raise UnreadableError("unsafe")

    def stop(*_element: object) -> NoReturn:
        raise _SeenEnoughError

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = stop  # a document type stands before the first element
    try:
        while piece := part.read(_LOOK_BYTES):
            parser.Parse(piece)
    except _SeenEnoughError:
        return
    except expat.ExpatError as error:
        raise UnreadableError("broken") from error
    raise UnreadableError("broken")
