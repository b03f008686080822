"""`fengchao admin`: who may sign in. Whoever can run it holds the database already, so it asks for no password."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fengchao_core.errors import SetupError
from fengchao_core.store import Role
from fengchao_server.admin.desk import Desk
from fengchao_server.cli.banner import setup_url
from fengchao_server.cli.opened import journal, load_settings, open_store
from fengchao_server.cli.terminal import answer, answer_json, say, table
from fengchao_server.listening import url_of
from fengchao_server.process import run as run_loop


def run(args: Namespace) -> int:
    """Do what `args.action` says."""
    action = {
        "setup-link": _setup_link,
        "list": _list,
        "remove": _remove,
        "token": _token,
        "end-token": _end_token,
    }[args.action]
    run_loop(action(args))
    return 0


async def _setup_link(args: Namespace) -> None:
    settings = load_settings(args)
    if settings.store.url.startswith("memory:"):
        raise SetupError(
            "store.url is memory:, which no other process sees; use the link that fengchao serve prints"
        )
    async with open_store(settings) as store:
        desk = Desk(store, settings)
        token = await desk.roster.make_setup_link(journal, name=args.name or "", role=_role(args))
    url = setup_url(url_of(settings.server.host, settings.server.port), token)
    if args.json:
        answer_json({"url": url, "token": token, "expires_in_s": settings.admin.setup_link_s})
        return
    answer(url)
    minutes = settings.admin.setup_link_s / 60
    say(f"只能用一次，{minutes:.0f} 分钟内有效。 It works once, for {minutes:.0f} minutes.")


async def _list(args: Namespace) -> None:
    async with _desk(args) as desk:
        people = await desk.roster.people()
    if args.json:
        answer_json(people)
        return
    table(
        ("名字 name", "身份 role", "管理 token tokens"),
        [
            (
                person["name"],
                person["role"],
                ", ".join(token["label"] for token in person["tokens"]),
            )
            for person in people
        ],
    )


async def _remove(args: Namespace) -> None:
    async with _desk(args) as desk:
        await desk.roster.remove(journal, args.name)
    _done(args, f"已删除 removed: {args.name}")


async def _token(args: Namespace) -> None:
    async with _desk(args) as desk:
        token = await desk.roster.make_token(
            journal,
            args.name,
            args.label,
            role=_role(args),
            lifetime_s=None if args.days is None else args.days * 86400.0,
        )
    if args.json:
        answer_json({"name": args.name, "label": args.label, "token": token})
        return
    answer(token)
    say("请立即保存：不会再次显示。 Keep it now: it is not shown again.")


async def _end_token(args: Namespace) -> None:
    async with _desk(args) as desk:
        await desk.roster.end_token(journal, args.name, args.label)
    _done(args, f"已收回 ended: {args.name}/{args.label}")


@asynccontextmanager
async def _desk(args: Namespace) -> AsyncIterator[Desk]:
    settings = load_settings(args)
    async with open_store(settings) as store:
        yield Desk(store, settings)


def _role(args: Namespace) -> Role:
    return "viewer" if args.viewer else "operator"


def _done(args: Namespace, text: str) -> None:
    if args.json:
        answer_json({"ok": True})
    else:
        answer(text)
