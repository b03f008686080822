"""What this plugin brings."""

from __future__ import annotations

from collections.abc import Iterable

from fengchao_core.hookspecs import hookimpl
from fengchao_core.readers import ReaderSpec

__all__ = ["fengchao_readers"]


@hookimpl
def fengchao_readers() -> Iterable[ReaderSpec]:
    """The readers."""
    return (
        ReaderSpec("pdf", ("pdf",), "fengchao_documents.pdf:read"),
        ReaderSpec("docx", ("docx",), "fengchao_documents.word:read"),
        ReaderSpec("xlsx", ("xlsx",), "fengchao_documents.sheets:read"),
        ReaderSpec("pptx", ("pptx",), "fengchao_documents.slides:read"),
        ReaderSpec("html", ("html",), "fengchao_documents.pages:read"),
    )
