"""What several commands need: the settings, the gateway or its store alone, a day."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, time
from typing import Final

from fengchao_core import Gateway, Settings, Store
from fengchao_core.clock import SystemClock
from fengchao_core.errors import SetupError
from fengchao_core.settings import LogSettings, SearchSettings, SensitiveSettings
from fengchao_core.store import MemoryStore
from fengchao_server.auditing import auditor, cli_actor

journal: Final = auditor(cli_actor(), SystemClock())
"""Makes the audit records of whoever runs this command."""


def load_settings(args: Namespace) -> Settings:
    """
    The settings of a command. Its log shows errors only, unless `--debug`.

    Raises:
        SettingsError: with every problem found.
    """
    from fengchao_server.logging import configure_logging

    settings = Settings.load(args.config)
    configure_logging(LogSettings(level="debug" if args.debug else "error"))
    return settings


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Store]:
    """The store, and nothing of the vendors: a broken provider must not keep anybody from their keys and figures."""
    quiet = settings.model_copy(update={"sensitive": SensitiveSettings(enabled=False)})
    async with open_bare(quiet) as gateway:
        yield gateway.store


@asynccontextmanager
async def open_bare(settings: Settings) -> AsyncIterator[Gateway]:
    """The gateway without its vendors, as they are nothing to what operators keep."""
    bare = settings.model_copy(
        update={"providers": {}, "models": {}, "knowledge": {}, "search": SearchSettings()}
    )
    async with Gateway.open(bare) as gateway:
        yield gateway


@asynccontextmanager
async def open_unbooked(settings: Settings) -> AsyncIterator[Gateway]:
    """The gateway, booking nothing, touching no database, and loading no model before it is asked."""
    lazy = {
        name: {**raw, "preload": False} if "preload" in raw else raw
        for name, raw in settings.providers.items()
    }
    settings = settings.model_copy(update={"providers": lazy})
    async with Gateway.open(settings, store=MemoryStore()) as gateway:
        yield gateway


def read_day(text: str | None, option: str) -> datetime | None:
    """
    The beginning of a day that an option names, UTC; None where it is not given.

    Raises:
        SetupError: it is no day.
    """
    if text is None:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        raise SetupError(f"{option} must be a day like 2026-11-21, not {text!r}") from None
