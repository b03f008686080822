"""The options of the commands that have many: of keys and of operators."""

from __future__ import annotations

import argparse


def key_action(action: argparse.ArgumentParser, name: str) -> None:
    """The options of `fengchao keys <name>`."""
    if name == "list":
        return
    which = "给谁用 who it is for" if name == "create" else "名称或 api_key its name or api_key"
    action.add_argument("--name", metavar="N", required=True, help=which)
    if name == "rotate":
        action.add_argument(
            "--grace",
            metavar="TIME",
            help="旧 secret 继续有效多久，如 24h（默认）、30m、0 how long the old one still works",
        )
    if name not in ("create", "update"):
        return
    action.add_argument(
        "--model", metavar="M", action="append", default=[], dest="models",
        help="只允许这些模型，可重复 a model it may use; repeatable; all if absent",
    )  # fmt: skip
    action.add_argument(
        "--address", metavar="CIDR", action="append", default=[], dest="addresses",
        help="只允许从这些地址使用，可重复 a network it may be used from; repeatable",
    )  # fmt: skip
    absent = "" if name == "create" else None
    action.add_argument("--group", metavar="G", default=absent, help="所属的组 its group")
    action.add_argument(
        "--limits", metavar="JSON", help="限额，如 '{\"requests_per_minute\": 60}' its limits"
    )
    action.add_argument(
        "--expires", metavar="DATE", help="到期日（UTC） the day it stops working, as 2027-01-31"
    )
    action.add_argument("--note", metavar="TEXT", default=absent, help="备注 note")
    if name == "update":
        action.add_argument("--rename", metavar="N", help="改名 its new name")
        action.add_argument("--all-models", action="store_true", help="不限模型 all models again")
        action.add_argument("--any-address", action="store_true", help="不限地址 from everywhere")
        action.add_argument(
            "--end-grace",
            action="store_true",
            help="旧 secret 立即失效 the old secret stops working now",
        )


def admin_action(action: argparse.ArgumentParser, name: str) -> None:
    """The options of `fengchao admin <name>`."""
    if name == "list":
        return
    whose = "管理员的名字 the operator's name"
    action.add_argument("--name", metavar="N", required=name != "setup-link", help=whose)
    if name in ("token", "end-token"):
        action.add_argument(
            "--label", metavar="L", required=True, help="token 的名字 the token's name"
        )
    if name == "token":
        action.add_argument("--days", metavar="D", type=at_most, help="有效几天 days it works")
    if name in ("setup-link", "token"):
        action.add_argument("--viewer", action="store_true", help="只读 may only look")


def at_most(text: str) -> int:
    """How many are wanted, 1 to 10,000."""
    most = int(text)
    if not 1 <= most <= 10_000:
        raise ValueError
    return most
