"""`fengchao prompts`: the preset instructions and their versions; a running gateway follows at once."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fengchao_core.errors import SetupError
from fengchao_core.prompt_keeping import TEXTS, PromptKeeper
from fengchao_core.store import PromptVersion
from fengchao_server.cli.opened import journal, load_settings, open_bare
from fengchao_server.cli.terminal import answer, answer_json, say, table
from fengchao_server.process import run as run_loop


def run(args: Namespace) -> int:
    """Do what `args.action` says."""
    action = {
        "list": _list,
        "show": _show,
        "add": _add,
        "edit": _edit,
        "history": _history,
        "rollback": _rollback,
        "remove": _remove,
    }[args.action]
    run_loop(action(args))
    return 0


async def _list(args: Namespace) -> None:
    async with _keeper(args) as keeper:
        presets = await keeper.presets()
    if args.json:
        answer_json(
            [
                {
                    "id": preset.template.id,
                    "version": preset.version,
                    "shipped": preset.shipped,
                    "created": preset.template.created,
                    "prefix": preset.template.prefix,
                    "prompt": preset.template.prompt,
                    "system": preset.template.system,
                }
                for preset in presets
            ]
        )
        return
    table(
        ("名称 id", "版本 version", "来源 from", "时间 created (UTC)", "指令 prompt"),
        [
            (
                preset.template.id,
                preset.version,
                "自带 shipped" if not preset.version else "管理员 operators",
                f"{preset.template.created:%Y-%m-%d %H:%M}",
                _short(preset.template.prompt),
            )
            for preset in presets
        ],
    )


async def _show(args: Namespace) -> None:
    async with _keeper(args) as keeper:
        version = await keeper.show(args.id, version=args.version)
    if args.json:
        answer_json(version)
        return
    say(f"{version.id}  版本 version {version.version}  {version.created_at:%Y-%m-%d %H:%M}")
    for name in TEXTS:
        if (text := getattr(version, name)) is not None:
            answer(f"[{name}]\n{text}")


async def _add(args: Namespace) -> None:
    texts = _texts(args)
    if "prompt" not in texts:
        raise SetupError("a preset needs --prompt or --prompt-file")
    async with _keeper(args) as keeper:
        said = await keeper.add(
            args.id,
            texts["prompt"],
            prefix=texts.get("prefix"),
            system=texts.get("system"),
            author=_author(),
            comment=args.comment,
        )
    _tell(said)


async def _edit(args: Namespace) -> None:
    texts = _texts(args)
    if not texts:
        raise SetupError("nothing to change; give --prompt, --prefix or --system")
    async with _keeper(args) as keeper:
        said = await keeper.edit(args.id, texts, author=_author(), comment=args.comment)
    _tell(said)


async def _history(args: Namespace) -> None:
    async with _keeper(args) as keeper:
        versions = await keeper.history(args.id)
    if args.json:
        answer_json(list(versions))
        return
    table(
        ("版本 version", "时间 created (UTC)", "作者 author", "说明 comment", "指令 prompt"),
        [
            (
                v.version,
                f"{v.created_at:%Y-%m-%d %H:%M}",
                v.author or ("自带 shipped" if not v.version else ""),
                v.comment,
                "（已移除 removed）" if v.removed else _short(v.prompt),
            )
            for v in versions
        ],
    )


async def _rollback(args: Namespace) -> None:
    async with _keeper(args) as keeper:
        said = await keeper.rollback(args.id, args.version, author=_author(), comment=args.comment)
    _tell(said)


async def _remove(args: Namespace) -> None:
    async with _keeper(args) as keeper:
        said = await keeper.remove(args.id, author=_author(), comment=args.comment)
    _tell(said)


@asynccontextmanager
async def _keeper(args: Namespace) -> AsyncIterator[PromptKeeper]:
    async with open_bare(load_settings(args)) as gateway:
        yield gateway.prompt_keeper(journal)


def _texts(args: Namespace) -> dict[str, str]:
    """The texts that were given, on the command line or in a file (`-` is stdin)."""
    texts: dict[str, str] = {}
    for name in TEXTS:
        given, file = getattr(args, name), getattr(args, f"{name}_file")
        if given is not None and file is not None:
            raise SetupError(f"give --{name} or --{name}-file, not both")
        if file == "-":
            given = sys.stdin.read()
        elif file is not None:
            try:
                given = Path(file).read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise SetupError(f"{file}: it cannot be read as UTF-8 text") from error
        if given is not None:
            texts[name] = given.removesuffix("\n") if file is not None else given
    return texts


def _author() -> str:
    return journal("", "").actor


def _tell(version: PromptVersion) -> None:
    say(f"{version.id}: 版本 version {version.version}")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else f"{line[:39]}…"
