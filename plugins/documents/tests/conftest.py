"""Documents made for the tests, and a reading of them as the gateway does it."""

import pytest

from fengchao_core.files.inspection import inspect
from fengchao_core.files.reading import Reading
from fengchao_core.settings import FileSettings
from fengchao_documents.plugin import fengchao_readers


@pytest.fixture
def read(tmp_path):
    """Reads a file of this name and content in the process of its own, and gives its text."""

    async def reading(name, content, **settings):
        path = tmp_path / "content"
        path.write_bytes(content)
        files = Reading(FileSettings(**settings), fengchao_readers())
        return await files.text_of(path, inspect(path, name))

    return reading
