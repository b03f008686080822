"""What the stand-in keeps for the account while it runs: sessions, files, knowledge bases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import orjson

from fengchao_core.kit.sandbox import shorten
from fengchao_sensetime.sandbox.codes import RefusedError

_MOST = 1000
_Thing = TypeVar("_Thing")


@dataclass(slots=True)
class StoredFile:
    """A file."""

    id: str
    scheme: str
    description: str
    content: bytes

    def body(self) -> dict[str, object]:
        """As the vendor shows it."""
        return {
            "id": self.id,
            "status": "VALID",
            "scheme": self.scheme,
            "description": self.description,
        }


@dataclass(slots=True)
class StoredKnowledge:
    """A knowledge base."""

    id: str
    description: str
    files: list[str] = field(default_factory=list)

    def body(self) -> dict[str, object]:
        """As the vendor shows it."""
        return {"id": self.id, "description": self.description, "files": list(self.files)}


class Shelves:
    """Sessions, files and knowledge bases, the newest of each."""

    def __init__(self) -> None:
        self._sessions: dict[str, list[dict[str, object]]] = {}
        self._files: dict[str, StoredFile] = {}
        self._knowledge: dict[str, StoredKnowledge] = {}
        self._count = 0

    # Sessions.

    def open_session(self, opening: Sequence[Mapping[str, object]]) -> str:
        """Begin a conversation; returns its id."""
        return self._keep(self._sessions, "5", [dict(message) for message in opening])

    def session(self, session_id: object) -> list[dict[str, object]]:
        """The messages so far. Raises `RefusedError`."""
        return _found(self._sessions, session_id, "session")

    # Files.

    def add_file(self, scheme: object, description: object, content: bytes) -> StoredFile:
        """Keep a file. Raises `RefusedError`."""
        if not isinstance(scheme, str) or not scheme:  # which there are is not known
            raise RefusedError(3, "invalid argument: scheme is missing")
        if scheme == "KNOWLEDGE_BASE_1":
            _check_knowledge(content)
        file = StoredFile("", scheme, str(description or ""), content)
        file.id = self._keep(self._files, "f", file)
        return file

    def file(self, file_id: object) -> StoredFile:
        """A file. Raises `RefusedError`."""
        return _found(self._files, file_id, "file")

    def files(self) -> list[StoredFile]:
        """All files."""
        return list(self._files.values())

    def delete_file(self, file_id: str) -> None:
        """Forget a file. Raises `RefusedError`."""
        self.file(file_id)
        del self._files[file_id]

    # Knowledge bases.

    def put_knowledge(
        self, description: object, files: object, knowledge_id: str | None = None
    ) -> StoredKnowledge:
        """Make a knowledge base, or make one anew. Raises `RefusedError`."""
        if not isinstance(description, str):
            raise RefusedError(3, "invalid argument: description is missing")
        ids = [self.file(file_id).id for file_id in (files if isinstance(files, list) else [])]
        if knowledge_id is None:
            base = StoredKnowledge("", description, ids)
            base.id = self._keep(self._knowledge, "s", base)
            return base
        base = self.knowledge(knowledge_id)
        base.description, base.files = description, ids
        return base

    def knowledge(self, knowledge_id: object) -> StoredKnowledge:
        """A knowledge base. Raises `RefusedError`."""
        return _found(self._knowledge, knowledge_id, "knowledge base")

    def knowledge_bases(self) -> list[StoredKnowledge]:
        """All knowledge bases."""
        return list(self._knowledge.values())

    def delete_knowledge(self, knowledge_id: str) -> None:
        """Forget a knowledge base. Raises `RefusedError`."""
        self.knowledge(knowledge_id)
        del self._knowledge[knowledge_id]

    def search(self, know_ids: object) -> dict[str, list[str]]:
        """What the knowledge bases say, by their ids; those of no sandbox say a sentence. Raises nothing."""
        found: dict[str, list[str]] = {}
        for id_ in know_ids if isinstance(know_ids, list) else ():
            base = self._knowledge.get(id_)
            if base is None:
                found[id_] = [f"沙箱里的知识库 {shorten(id_, 40)} 的一段文字。"]
            else:
                found[id_] = [
                    text
                    for file_id in base.files
                    if file_id in self._files
                    for text in _texts(self._files[file_id].content)
                ]
        return found

    def _keep(self, shelf: dict[str, _Thing], prefix: str, thing: _Thing) -> str:
        self._count += 1
        id_ = f"{prefix}{self._count:015x}"
        shelf[id_] = thing
        if len(shelf) > _MOST:
            del shelf[next(iter(shelf))]
        return id_


def _found(shelf: Mapping[str, _Thing], id_: object, name: str) -> _Thing:
    thing = shelf.get(id_) if isinstance(id_, str) else None
    if thing is None:
        raise RefusedError(5, f"{name} is not found")
    return thing


def _check_knowledge(content: bytes) -> None:
    try:
        tree = orjson.loads(content)
    except orjson.JSONDecodeError:
        tree = None
    if not isinstance(tree, dict) or not set(tree) <= {"qa_lst", "text_lst"}:
        raise RefusedError(3, "invalid argument: file is not of this scheme")


def _texts(content: bytes) -> list[str]:
    """The texts of a file of a knowledge base, which was checked when it came."""
    try:
        tree = orjson.loads(content)
    except orjson.JSONDecodeError:
        return []
    if not isinstance(tree, dict):
        return []
    texts = [text for text in tree.get("text_lst") or () if isinstance(text, str)]
    answers = [
        str(item["answer"])
        for item in tree.get("qa_lst") or ()
        if isinstance(item, dict) and item.get("answer")
    ]
    return texts + answers
