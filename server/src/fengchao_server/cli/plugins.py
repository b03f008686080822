"""`fengchao plugins`: what is installed, from metadata; nothing is opened."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

from fengchao_core.plugins import load_plugins
from fengchao_server.cli.opened import load_settings
from fengchao_server.cli.terminal import answer_json, table

_STATES = {
    "loaded": "已加载 loaded",
    "available": "可用 available",
    "disabled": "停用 disabled",
    "quarantined": "隔离 quarantined",
}


def run(args: Namespace) -> int:
    """List the plugins. 1 where one does not load."""
    settings = load_settings(args)
    kinds = {str(raw.get("kind") or name) for name, raw in settings.providers.items()}
    tolerant = settings.plugins.model_copy(update={"optional": ("*",)})
    infos = load_plugins(tolerant, kinds=kinds).infos
    if args.json:
        answer_json([asdict(info) for info in infos])
    else:
        table(
            ("插件 plugin", "状态 state", "分发包 distribution", "版本 version", "问题 problem"),
            [
                (info.name, _STATES[info.state], info.distribution, info.version, info.problem)
                for info in infos
            ],
        )
    return 1 if any(info.state == "quarantined" for info in infos) else 0
