"""Files that callers upload: what they are, where they lie, what can be read in them."""

from fengchao_core.files.service import ANYBODY, Files, OpenFile, clean_name, is_file_id

__all__ = ["ANYBODY", "Files", "OpenFile", "clean_name", "is_file_id"]
