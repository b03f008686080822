"""The command line: `fengchao`."""

from fengchao_server import lean  # noqa: F401  # first of all
from fengchao_server.cli.main import main

__all__ = ["main"]
