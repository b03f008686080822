"""`fengchao models`: every model that can be asked with these settings, what it costs, and how local ones fare."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from fengchao_core.provider import ModelState
from fengchao_core.types import ModelCard
from fengchao_server.cli.opened import load_settings, open_unbooked
from fengchao_server.cli.terminal import answer_json, say, table
from fengchao_server.process import run as run_loop


def run(args: Namespace) -> int:
    """List the models."""
    cards, states = run_loop(_cards(args))
    facts = [_facts(card, states.get(card.id, ())) for card in cards]
    if args.json:
        answer_json(facts)
    elif not facts:
        say(
            "没有可用的模型：请在 fengchao.toml 中配置 [providers.…]，或试试 fengchao serve --sandbox\n"
            "no model can be asked: configure a provider, or try fengchao serve --sandbox"
        )
    else:
        columns: tuple[str, ...] = ("状态 state",) if states else ()
        table(
            (
                "模型 model",
                "归属 owned by",
                "种类 kind",
                "输入 max in",
                "输出 max out",
                "价格/千token price per 1k",
                *columns,
            ),
            [
                (
                    f["id"],
                    f["owned_by"],
                    f["kind"],
                    f["max_input_tokens"],
                    f["max_output_tokens"],
                    _price(f),
                    *([_state(f)] if states else []),
                )
                for f in facts
            ],
        )
    return 0


async def _cards(
    args: Namespace,
) -> tuple[tuple[ModelCard, ...], dict[str, tuple[ModelState, ...]]]:
    async with open_unbooked(load_settings(args)) as gateway:
        return await gateway.discover(), gateway.states()


def _facts(card: ModelCard, states: Sequence[ModelState]) -> dict[str, Any]:
    price = card.price_on(datetime.now(UTC).date())
    return {
        "id": card.id,
        "owned_by": card.owned_by,
        "kind": card.kind,
        "is_local": card.is_local,
        "aliases": list(card.aliases),
        "capabilities": sorted(card.capabilities),
        "max_input_tokens": card.max_input_tokens,
        "max_output_tokens": card.max_output_tokens,
        "states": [asdict(state) for state in states],
        "price": price
        and {
            "input": str(price.input),
            "output": str(price.output),
            "currency": price.currency,
            "since": price.since.isoformat(),
            "version": price.version,
            "confirmed": price.confirmed,
        },
    }


def _price(facts: dict[str, Any]) -> str:
    price = facts["price"]
    if price is None:
        return "无价 no price"
    doubt = "" if price["confirmed"] else " ?"
    return f"{price['input']} / {price['output']} {price['currency']}{doubt}"


_STATES = {
    "idle": "未加载 idle",
    "loading": "加载中 loading",
    "ready": "就绪 ready",
    "failed": "失败 failed",
    "down": "重启中 restarting",
}


def _state(facts: dict[str, Any]) -> str:
    told = []
    for state in facts["states"]:
        words = _STATES[state["state"]]
        if state["state"] == "loading" and state["progress"] is not None:
            words += f" {state['progress']:.0%}"
        told.append(f"{words}: {state['detail']}" if state["detail"] else words)
    return "; ".join(told)
