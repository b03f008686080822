"""The text in pdf files, page by page."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from fengchao_documents.unreadable import UnreadableError


def read(path: str) -> Iterator[str]:
    """The pages' texts, an empty line after each."""
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, PyPdfError

    logging.disable()  # what pypdf says of a broken file, nobody reads
    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise UnreadableError("encrypted")
        for page in reader.pages:
            text = page.extract_text()
            if text.strip():
                yield f"{text}\n\n"
    except DependencyError as error:  # a cipher that needs a package which is not there
        raise UnreadableError("encrypted") from error
    except PyPdfError as error:
        raise UnreadableError("broken") from error
