"""
The arguments of every command, and the border where errors become one line and an exit status.

stdout is the answer, stderr the talk. 0 is good, 1 found problems, 2 is wrong usage. A command's module is imported when
the command runs, so that none pays for another.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final

from typing_extensions import override

from fengchao_server.cli.arguments import admin_action, at_most, key_action
from fengchao_server.cli.terminal import answer, complain

_OK: Final = 0
_PROBLEMS: Final = 1
_INTERRUPTED: Final = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit status."""
    args = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = import_module(
        f"fengchao_server.cli.{args.module}"
    ).run
    try:
        return run(args)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return _INTERRUPTED
    except BrokenPipeError:  # whoever read our stdout has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _OK
    except Exception as error:
        if args.debug:
            raise
        complain(error)
        return _PROBLEMS


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--config",
        metavar="F",
        help="设置文件（默认 FENGCHAO_CONFIG 或 ./fengchao.toml） settings file",
    )
    common.add_argument("--debug", action="store_true", help="出错时显示 traceback")
    listing = argparse.ArgumentParser(add_help=False)
    listing.add_argument("--json", action="store_true", help="以 JSON 输出 print JSON")

    parser = argparse.ArgumentParser(
        prog="fengchao",
        description="蜂巢：一个接口，所有模型。 One API to every model.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="显示版本 print the version")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(
        name: str, module: str, text: str, *parents: argparse.ArgumentParser
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name, help=text, description=text, parents=[common, *parents], allow_abbrev=False
        )
        command.set_defaults(module=module)
        return command

    serve = add("serve", "serve", "启动网关 run the gateway", listing)
    serve.add_argument("--host", metavar="H", help="监听地址 address to listen on")
    serve.add_argument("--port", metavar="P", type=_port, help="监听端口 port to listen on")
    serve.add_argument(
        "--workers", metavar="N", type=_count, help="进程数 processes that share the port"
    )
    serve.add_argument(
        "--sandbox",
        action="store_true",
        help="所有厂商换成本地沙箱，无需密钥与网络 every vendor's local sandbox, no key needed",
    )

    check = add("check", "check", "检查设置与插件 check settings and plugins", listing)
    check.add_argument(
        "--online", action="store_true", help="并用最小的请求验证凭据 also try the credentials"
    )
    add("plugins", "plugins", "列出插件 list plugins", listing)
    add("models", "models", "列出模型 list models", listing)

    chat = add("chat", "chat", "在终端里对话 chat in the terminal")
    chat.add_argument(
        "model",
        metavar="MODEL",
        nargs="?",
        help="模型（默认第一个） model; the first one if absent",
    )
    chat.add_argument(
        "text", metavar="TEXT", nargs="*", help="问题（缺省时读标准输入或进入交互） what to ask"
    )
    chat.add_argument("--system", metavar="TEXT", help="系统描述 system text")
    chat.add_argument("--sandbox", action="store_true", help="使用本地沙箱 ask the local sandboxes")

    keys = add("keys", "keys", "管理密钥 manage keys")
    actions = keys.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (
        ("create", "生成密钥 make a key"),
        ("list", "列出密钥 list keys"),
        ("show", "查看密钥 show a key"),
        ("update", "修改密钥 change a key"),
        ("rotate", "更换密钥的 secret replace a key's secret"),
        ("revoke", "吊销密钥 revoke a key"),
    ):
        key_action(
            actions.add_parser(
                name,
                help=text,
                description=text,
                parents=[common, listing],
                allow_abbrev=False,
            ),
            name,
        )

    admin = add("admin", "admin", "管理员 operators")
    actions = admin.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (
        ("setup-link", "生成设置口令的一次性链接 make a link that sets a password, once"),
        ("list", "列出管理员与管理 token list operators and their tokens"),
        ("remove", "删除管理员，其会话与 token 一并失效 remove an operator"),
        ("token", "生成管理 token，给脚本用 make a token for scripts"),
        ("end-token", "收回管理 token end a token"),
    ):
        admin_action(
            actions.add_parser(
                name,
                help=text,
                description=text,
                parents=[common, listing],
                allow_abbrev=False,
            ),
            name,
        )

    audit = add("audit", "audit", "审计日志，新的在前 the audit log, newest first", listing)
    audit.add_argument("--limit", metavar="N", type=at_most, default=50, help="最多几条 at most")
    audit.add_argument("--actor", metavar="WHO", help="只看这个人做的 by this one only")
    audit.add_argument("--action", metavar="WHAT", help="只看这种操作 of this kind only")
    audit.add_argument("--target", metavar="ID", help="只看对它做的 to this one only")

    usage = add("usage", "usage", "用量与费用 usage and cost", listing)
    usage.add_argument(
        "--by",
        choices=("key", "model", "provider", "day", "outcome"),
        default="model",
        help="分组 group by",
    )
    usage.add_argument(
        "--since", metavar="DATE", help="从这一天起（UTC，含） from this day on, as 2026-11-21"
    )
    usage.add_argument(
        "--until", metavar="DATE", help="到这一天止（UTC，不含） up to this day, not included"
    )
    return parser


class _Version(argparse.Action):
    """Reads the version only when it is asked for."""

    @override
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        answer(f"fengchao {version('fengchao-server')}")
        parser.exit()


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise ValueError
    return port


def _count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= 256:
        raise ValueError
    return count
