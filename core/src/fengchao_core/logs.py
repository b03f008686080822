"""
Where this package logs to: structlog, imported with the first line.

Importing it takes as long as half of everything else here, and who only imports this package logs nothing. Opening a gateway
imports it too, so that no request waits for it.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any


class Log:
    """What a module logs to: events and their facts, however structlog is configured."""

    @cached_property
    def _logger(self) -> Any:
        import structlog

        return structlog.get_logger()

    def debug(self, event: str, **facts: object) -> None:
        """For who looks for a fault."""
        self._logger.debug(event, **facts)

    def info(self, event: str, **facts: object) -> None:
        """All is as it should be."""
        self._logger.info(event, **facts)

    def warning(self, event: str, **facts: object) -> None:
        """Something went wrong, and was made good."""
        self._logger.warning(event, **facts)

    def error(self, event: str, **facts: object) -> None:
        """Somebody has to do something."""
        self._logger.error(event, **facts)

    def exception(self, event: str, **facts: object) -> None:
        """An error that was not foreseen, with its trace; for `except` blocks."""
        self._logger.exception(event, **facts)  # noqa: LOG004  # see above
