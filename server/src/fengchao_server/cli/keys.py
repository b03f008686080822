"""`fengchao keys`: make, list, rotate and revoke the callers' keys."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from fengchao_core.store import KeyRecord
from fengchao_server.cli.opened import load_settings, open_store, read_day
from fengchao_server.cli.terminal import answer, answer_json, say, table
from fengchao_server.credentials import NewKey
from fengchao_server.keyring import Keyring, open_keyring
from fengchao_server.process import run as run_loop


def run(args: Namespace) -> int:
    """Do what `args.action` says."""
    action = {"create": _create, "list": _list, "rotate": _rotate, "revoke": _revoke}[args.action]
    run_loop(action(args))
    return 0


async def _create(args: Namespace) -> None:
    async with _keyring(args) as keyring:
        key = await keyring.create(
            args.name,
            models=args.models,
            expires_at=read_day(args.expires, "--expires"),
            note=args.note,
        )
    _show(key, args)


async def _rotate(args: Namespace) -> None:
    async with _keyring(args) as keyring:
        key = await keyring.rotate(args.name)
    _show(key, args)


async def _revoke(args: Namespace) -> None:
    async with _keyring(args) as keyring:
        record = await keyring.revoke(args.name)
    if args.json:
        answer_json(_facts(record))
    else:
        answer(f"已吊销 revoked: {record.name} ({record.api_key})")


async def _list(args: Namespace) -> None:
    async with _keyring(args) as keyring:
        records = keyring.records
    if args.json:
        answer_json([_facts(record) for record in records])
        return
    table(
        ("名称 name", "api_key", "状态 state", "创建 created (UTC)", "模型 models", "备注 note"),
        [
            (
                record.name,
                record.api_key,
                _state(record),
                f"{record.created_at:%Y-%m-%d %H:%M}",
                ", ".join(record.models) or "全部 all",
                record.note,
            )
            for record in records
        ],
    )


@asynccontextmanager
async def _keyring(args: Namespace) -> AsyncIterator[Keyring]:
    settings = load_settings(args)
    async with (
        open_store(settings) as store,
        open_keyring(store.keys, settings.home) as keyring,
    ):
        yield keyring


def _show(key: NewKey, args: Namespace) -> None:
    if args.json:
        answer_json(
            {
                "name": key.name,
                "api_key": key.api_key,
                "secret_key": key.secret_key,
                "token": key.token,
            }
        )
        return
    answer(f"name        {key.name}")
    answer(f"api_key     {key.api_key}")
    answer(f"secret_key  {key.secret_key}")
    answer(f"token       {key.token}")
    say("请立即保存：secret_key 与 token 不会再次显示。 Keep them now: they are not shown again.")


def _state(record: KeyRecord) -> str:
    if record.revoked_at is not None:
        return "已吊销 revoked"
    if record.expires_at is not None and record.expires_at <= datetime.now(UTC):
        return "已过期 expired"
    return "有效 live"


def _facts(record: KeyRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "api_key": record.api_key,
        "state": _state(record).rpartition(" ")[2],
        "created_at": record.created_at,
        "expires_at": record.expires_at,
        "revoked_at": record.revoked_at,
        "models": record.models,
        "note": record.note,
    }
