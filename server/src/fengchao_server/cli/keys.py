"""`fengchao keys`: make, list, show, change, rotate and revoke the callers' keys."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from fengchao_core import Settings
from fengchao_core.errors import SetupError
from fengchao_core.limits import KeyLimits
from fengchao_core.store import KeyRecord
from fengchao_server.cli.opened import journal, load_settings, open_store, read_day
from fengchao_server.cli.terminal import answer, answer_json, say, table
from fengchao_server.credentials import NewKey
from fengchao_server.keyring import GRACE, Keyring, open_keyring
from fengchao_server.process import run as run_loop
from fengchao_server.terms import KeyTerms, check_group, facts, state_of

_STATES = {"live": "有效 live", "expired": "已过期 expired", "revoked": "已吊销 revoked"}


def run(args: Namespace) -> int:
    """Do what `args.action` says."""
    action = {
        "create": _create,
        "list": _list,
        "show": _show,
        "update": _update,
        "rotate": _rotate,
        "revoke": _revoke,
    }[args.action]
    run_loop(action(args))
    return 0


async def _create(args: Namespace) -> None:
    check_group(args.group, Settings.load(args.config).groups)
    async with _keyring(args) as keyring:
        key = await keyring.create(
            args.name,
            models=args.models,
            addresses=args.addresses,
            group=args.group,
            limits=_limits(args.limits),
            expires_at=read_day(args.expires, "--expires"),
            note=args.note,
            by=journal,
        )
    _show_secret(key, args)


async def _rotate(args: Namespace) -> None:
    grace = _duration(args.grace)
    async with _keyring(args) as keyring:
        key = await keyring.rotate(args.name, grace=grace, by=journal)
    _show_secret(key, args)
    if grace and not args.json:
        until = f"{datetime.now(UTC) + grace:%Y-%m-%d %H:%M}"
        say(f"旧的 secret 在 {until}（UTC）之前仍然有效。 The old secret works until then.")


async def _revoke(args: Namespace) -> None:
    async with _keyring(args) as keyring:
        record = await keyring.revoke(args.name, by=journal)
    if args.json:
        answer_json(_facts(record))
    else:
        answer(f"已吊销 revoked: {record.name} ({record.api_key})")


async def _update(args: Namespace) -> None:
    check_group(args.group or "", Settings.load(args.config).groups)
    given: dict[str, Any] = {
        field: value
        for field, value in (
            ("name", args.rename),
            ("models", args.models and tuple(args.models)),
            ("addresses", args.addresses and tuple(args.addresses)),
            ("group", args.group),
            ("note", args.note),
        )
        if value is not None
    }
    if args.all_models:
        given["models"] = ()
    if args.any_address:
        given["addresses"] = ()
    if args.limits is not None:
        given["limits"] = _limits(args.limits)
    if args.expires is not None:
        never = args.expires == "never"
        given["expires_at"] = None if never else read_day(args.expires, "--expires")

    def changed(terms: KeyTerms) -> KeyTerms:
        return replace(terms, **given)

    async with _keyring(args) as keyring:
        record = await keyring.update(args.name, changed, by=journal)
        if args.end_grace:
            record = await keyring.end_grace(record.api_key, by=journal)
    _show_facts(record, args)


async def _show(args: Namespace) -> None:
    async with _keyring(args) as keyring:
        record = await keyring.find(args.name)
    _show_facts(record, args)


async def _list(args: Namespace) -> None:
    async with _keyring(args) as keyring:
        records = keyring.records
    now = datetime.now(UTC)
    if args.json:
        answer_json([_facts(record) for record in records])
        return
    table(
        ("名称 name", "api_key", "状态 state", "创建 created (UTC)", "模型 models", "备注 note"),
        [
            (
                record.name,
                record.api_key,
                _STATES[state_of(record, now)],
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


def _show_facts(record: KeyRecord, args: Namespace) -> None:
    shown = _facts(record)
    if args.json:
        answer_json(shown)
        return
    for name, value in shown.items():
        # As JSON where it is no plain text, and without what would move a terminal's cursor.
        text = value if isinstance(value, str) and value.isprintable() else None
        answer(f"{name:<17} {orjson.dumps(value).decode() if text is None else text}")


def _show_secret(key: NewKey, args: Namespace) -> None:
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


def _facts(record: KeyRecord) -> dict[str, object]:
    return {**facts(record), "state": state_of(record, datetime.now(UTC))}


def _limits(text: str | None) -> KeyLimits | None:
    if text is None:
        return None
    try:
        return KeyLimits.from_json(orjson.loads(text)) or None
    except orjson.JSONDecodeError as error:
        raise SetupError(
            f"--limits must be JSON like '{{\"requests_per_minute\": 60}}': {error}"
        ) from None


def _duration(text: str | None) -> timedelta:
    """A time like 24h, 30m, 7d or 0."""
    if text is None:
        return GRACE
    number, unit = (text, "s") if text.isdigit() else (text[:-1], text[-1:])
    names = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    if unit not in names or not number.isascii() or not number.isdigit() or len(number) > 9:
        raise SetupError(f"--grace must be a time like 24h, 30m, 7d or 0, not {text!r}")
    return timedelta(**{names[unit]: int(number)})
