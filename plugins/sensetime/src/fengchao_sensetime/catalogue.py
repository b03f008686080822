"""
What the vendor keeps for an account: models, files and knowledge bases. Pure.

The shapes of these answers are hardly documented; each is read in the forms that were told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

import orjson

from fengchao_core.errors import ProviderProtocolError
from fengchao_core.kit.errors import Classify
from fengchao_core.kit.multipart import Field, Form, form
from fengchao_core.kit.openai_chat import dump

MODELS = "/models"
FILES = "/files"
KNOWLEDGE_BASES = "/knowledge-bases"


@dataclass(frozen=True, slots=True)
class VendorFile:
    """
    A file at the vendor.

    Attributes:
        status: `VALID` where it can be used and downloaded; empty where the vendor does not say.
    """

    id: str
    status: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class VendorKnowledgeBase:
    """
    A knowledge base at the vendor; its id goes into `know_ids`.

    Attributes:
        files: the ids of the files in it.
    """

    id: str
    description: str = ""
    files: tuple[str, ...] = ()


def one(path: str, id_: str) -> str:
    """The path of one thing of a list; the id is quoted as the vendor's SDK does it."""
    return f"{path}/{quote_plus(id_)}"


def decode_models(body: bytes, classify: Classify) -> tuple[str, ...]:
    """The names of the models."""
    rows = _rows(_tree(body, classify), "models")
    return tuple(_text(row, "id") for row in rows)


def encode_file(filename: str, content: bytes, *, scheme: str, description: str) -> Form:
    """A form that uploads a file; the vendor's SDK calls each file `file`, and so must we."""
    return form(
        [
            Field("scheme", scheme),
            Field("description", description),
            Field("user_provided_filename", filename),
            Field("file", content, filename="file"),
        ]
    )


def decode_file(body: bytes, classify: Classify) -> VendorFile:
    """A file, also one that was just uploaded."""
    return _file(_inner(_tree(body, classify), "file"))


def decode_files(body: bytes, classify: Classify) -> tuple[VendorFile, ...]:
    """A list of files."""
    return tuple(_file(row) for row in _rows(_tree(body, classify), "files"))


def encode_knowledge_base(description: str, files: Iterable[str]) -> bytes:
    """A knowledge base as it shall be."""
    return dump({"description": description, "files": list(files)})


def decode_knowledge_base(body: bytes, classify: Classify) -> VendorKnowledgeBase:
    """A knowledge base, also one that was just made."""
    return _knowledge_base(_inner(_tree(body, classify), "knowledge_base"))


def decode_knowledge_bases(body: bytes, classify: Classify) -> tuple[VendorKnowledgeBase, ...]:
    """A list of knowledge bases."""
    rows = _rows(_tree(body, classify), "knowledge_bases")
    return tuple(_knowledge_base(row) for row in rows)


def check_done(body: bytes, classify: Classify) -> None:
    """Raise what an answer of which nothing is needed says, where it is an error."""
    if body.strip():
        _tree(body, classify)


def _file(row: Mapping[str, Any]) -> VendorFile:
    return VendorFile(
        _text(row, "id"), str(row.get("status") or ""), str(row.get("description") or "")
    )


def _knowledge_base(row: Mapping[str, Any]) -> VendorKnowledgeBase:
    files = row.get("files")
    ids = [
        file.get("id") if isinstance(file, Mapping) else file
        for file in (files if isinstance(files, list) else ())
    ]
    return VendorKnowledgeBase(
        _text(row, "id"),
        str(row.get("description") or ""),
        tuple(id_ for id_ in ids if isinstance(id_, str)),
    )


def _tree(body: bytes, classify: Classify) -> Mapping[str, Any]:
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError:
        tree = None
    if not isinstance(tree, dict):
        raise ProviderProtocolError("the provider's answer is not a JSON object")
    if tree.get("error"):
        raise classify(200, {}, body)
    return tree


def _inner(tree: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """What is described: under its name, under `data`, or at the top."""
    for key in (name, "data"):
        if isinstance(inner := tree.get(key), dict):
            return _inner(inner, name) if key == "data" else inner
    return tree


def _rows(tree: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """What is listed: under its name, under `data`, or under its name in there."""
    for key in (name, "data"):
        found = tree.get(key)
        if isinstance(found, dict):
            return _rows(found, name)
        if isinstance(found, list) and all(isinstance(row, dict) for row in found):
            return found
    raise ProviderProtocolError(f"the provider's answer has no list of objects as its '{name}'")


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise ProviderProtocolError(f"the provider's answer has no text as the '{name}' of an item")
    return value
