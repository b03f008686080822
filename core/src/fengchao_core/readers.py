"""What a reader of documents is: a function that a process of its own runs, under limits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReaderSpec:
    """
    A reader of documents as a plugin describes it.

    Attributes:
        name: for people and logs.
        kinds: the kinds of files it reads, by their names: `pdf`, `docx` …
        target: `package.module:function`. The function takes a path and yields pieces of text. It is imported and run in
            a process of its own, with limits on memory and time, no settings and no secrets; so its module should import
            little. An exception with an attribute `reason` (`encrypted`, `broken`, `unsafe`, `no_text`) says why a file
            cannot be read; any other means that it is broken.
    """

    name: str
    kinds: tuple[str, ...]
    target: str
