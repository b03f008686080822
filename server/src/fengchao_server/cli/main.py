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
from pathlib import Path
from typing import Final

from typing_extensions import override

from fengchao_server.cli.arguments import admin_action, at_most, key_action
from fengchao_server.cli.terminal import answer, complain

Add = Callable[..., argparse.ArgumentParser]

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

    _words(add, common, listing)
    _prompts(add, common, listing)

    add("tasks", "tasks", "异步任务 asynchronous tasks, counted", listing)
    _usage(add, common, listing)
    return parser


def _usage(add: Add, common: argparse.ArgumentParser, listing: argparse.ArgumentParser) -> None:
    """`fengchao usage`."""
    usage = add("usage", "usage", "用量与费用 usage and cost", listing)
    usage.add_argument(
        "--by",
        default="model",
        metavar="A,B",
        help="分组 group by: key, group, model, provider, operation, outcome, day, hour",
    )
    _period(usage)
    usage.add_argument("--key", help="只看这个密钥（名字或 api_key） of this key only")
    usage.add_argument("--group", help="只看这个组 of this group only")
    usage.add_argument("--model", help="只看这个模型 of this model only")
    usage.add_argument("--provider", help="只看这个提供方 of this provider only")
    usage.add_argument("--outcome", help="只看这种结果 of this outcome only")
    usage.add_argument(
        "--currency", choices=("CNY", "USD"), help="换算成一种货币 told in one currency"
    )
    usage.add_argument("--csv", action="store_true", help="输出 CSV print CSV")
    counts = usage.add_subparsers(dest="action", metavar="ACTION")
    show_text = "一个请求，及留下的内容 one request, and what was said where that is kept"
    show = counts.add_parser(
        "show",
        help=show_text,
        description=show_text,
        parents=[common, listing],
        allow_abbrev=False,
    )
    show.add_argument("id", metavar="ID", help="用量行的 id 或 request_id")
    show.set_defaults(module="usage_show")
    verify_text = "核对流水与账目 count the journals against the rows"
    verify = counts.add_parser(
        "verify",
        help=verify_text,
        description=verify_text,
        parents=[common, listing],
        allow_abbrev=False,
    )
    verify.set_defaults(module="usage_verify")
    reprice_text = "按现在的价格重算一段时间 count a period anew by the prices of now"
    reprice = counts.add_parser(
        "reprice",
        help=reprice_text,
        description=reprice_text,
        parents=[common, listing],
        allow_abbrev=False,
    )
    _period(reprice)
    reprice.add_argument("--model", help="只算这个模型 of this model only")
    reprice.add_argument("--write", action="store_true", help="写入 write it")
    reprice.set_defaults(module="usage_reprice")
    reconcile_text = "与厂商的账单核对 compare with a vendor's invoice"
    reconcile = counts.add_parser(
        "reconcile",
        help=reconcile_text,
        description=reconcile_text,
        parents=[common, listing],
        allow_abbrev=False,
    )
    reconcile.add_argument("file", type=Path, metavar="FILE", help="账单（csv） the invoice, csv")
    reconcile.add_argument("--provider", help="只看这个提供方 of this provider only")
    reconcile.add_argument(
        "--currency",
        choices=("CNY", "USD"),
        default="CNY",
        help="账单的货币 the invoice's currency",
    )
    reconcile.add_argument(
        "--columns", metavar="FIELD=HEAD,…", help="列名 the heads of its columns"
    )
    reconcile.add_argument(
        "--tolerance",
        type=float,
        default=1.0,
        metavar="PERCENT",
        help="容许的偏差 drift that is fine",
    )
    reconcile.set_defaults(module="usage_reconcile")


def _period(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--since", metavar="DATE", help="从这一天起（UTC，含） from this day on, as 2026-11-21"
    )
    parser.add_argument(
        "--until", metavar="DATE", help="到这一天止（UTC，不含） up to this day, not included"
    )


def _words(add: Add, common: argparse.ArgumentParser, listing: argparse.ArgumentParser) -> None:
    """`fengchao words`."""
    words = add("words", "words", "管理敏感词 manage sensitive words")
    actions = words.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (
        ("add", "加入词 add words"),
        ("remove", "移除词 remove words"),
        ("list", "列出词 list words"),
        ("categories", "列出分类 list categories"),
        ("category", "设置或移除一个分类 set or remove a category"),
        ("test", "检查一段文字，显示命中与原因 show what is found in a text, and why"),
        ("import", "导入词表 import a list"),
        ("export", "导出词表 export the list"),
    ):
        parents = [common] if name in ("add", "remove", "category", "export") else [common, listing]
        action = actions.add_parser(
            name, help=text, description=text, parents=parents, allow_abbrev=False
        )
        if name in ("add", "remove"):
            action.add_argument("words", metavar="WORD", nargs="+", help="词 word")
        if name in ("add", "remove", "list", "import", "export"):
            action.add_argument(
                "--category", metavar="C", required=name == "add", help="分类 category"
            )
        if name == "add":
            action.add_argument(
                "--action", choices=("block", "replace", "record", "allow"), dest="does",
                help="处理方式（默认随分类）；allow 表示放行 what happens at it; its category's if absent",
            )  # fmt: skip
            action.add_argument("--note", metavar="TEXT", default="", help="备注 note")
        elif name == "list":
            action.add_argument(
                "--search", metavar="TEXT", help="词或备注里含有的文字 text in word or note"
            )
            action.add_argument(
                "--limit", metavar="N", type=_page_size, default=100, help="每页多少个 how many"
            )
            action.add_argument(
                "--page", metavar="N", type=_positive, default=1, help="第几页 which page"
            )
        elif name == "category":
            action.add_argument("name", metavar="NAME", help="分类 category")
            action.add_argument(
                "--action", choices=("block", "replace", "record"), dest="does",
                help="它的词怎样处理 what happens at its words",
            )  # fmt: skip
            action.add_argument("--note", metavar="TEXT", help="备注 note")
            action.add_argument(
                "--remove", action="store_true", help="连同它的词一起移除 remove it with its words"
            )
        elif name == "test":
            action.add_argument(
                "text",
                metavar="TEXT",
                nargs="?",
                help="文字（缺省时读标准输入） text; stdin if absent",
            )
        elif name == "import":
            action.add_argument("file", metavar="FILE", help="txt、csv 或 json 文件 file")
            action.add_argument(
                "--overwrite", action="store_true",
                help="移除它涉及的分类里它没有的词 remove what it lacks, of its categories",
            )  # fmt: skip
        elif name == "export":
            action.add_argument(
                "--format", choices=("txt", "csv", "json"), default="csv", help="格式 format"
            )


def _prompts(add: Add, common: argparse.ArgumentParser, listing: argparse.ArgumentParser) -> None:
    """`fengchao prompts`."""
    prompts = add("prompts", "prompts", "管理预设指令 manage preset instructions")
    actions = prompts.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (
        ("list", "列出指令 list presets"),
        ("show", "显示一条指令 show a preset"),
        ("add", "新增指令 add a preset"),
        ("edit", "修改指令，成为新版本 change a preset: another version"),
        ("history", "列出一条指令的所有版本 list a preset's versions"),
        ("rollback", "恢复旧版本 bring an old version back"),
        ("remove", "移除指令；自带的恢复原样 remove a preset; a shipped one is as shipped again"),
    ):
        parents = [common, listing] if name in ("list", "show", "history") else [common]
        action = actions.add_parser(
            name, help=text, description=text, parents=parents, allow_abbrev=False
        )
        if name != "list":
            action.add_argument("id", metavar="ID", help="指令名称 the preset's id")
        if name == "show":
            action.add_argument("--version", metavar="N", type=int, help="版本（默认最新） version")
        elif name == "rollback":
            action.add_argument(
                "version", metavar="VERSION", type=int, help="版本；0 为自带 version; 0 as shipped"
            )
        elif name in ("add", "edit"):
            for field, what in (
                ("prompt", "指令，含 {{query}} the text"),
                ("prefix", "system 消息的模板 template of the system message"),
                ("system", "system 文本 system text"),
            ):
                action.add_argument(f"--{field}", metavar="TEXT", help=what)
                action.add_argument(
                    f"--{field}-file",
                    metavar="F",
                    help=f"从文件读（- 为标准输入） {field} from a file",
                )
        if name in ("add", "edit", "rollback", "remove"):
            action.add_argument("--comment", metavar="TEXT", default="", help="说明 why")


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


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _page_size(text: str) -> int:
    number = _positive(text)
    if number > 10_000:
        raise ValueError
    return number
