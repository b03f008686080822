"""`fengchao check`: is this set-up good? All problems at once."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from fengchao_core import Gateway, Settings
from fengchao_core.errors import FengChaoError, SetupError
from fengchao_core.exchange_rates import rate_book
from fengchao_core.plugins import load_plugins
from fengchao_core.settings import PluginSettings, RetrySettings
from fengchao_core.store import MemoryStore
from fengchao_core.types import ChatCall, ChatParams, ModelCard
from fengchao_server.cli.opened import load_settings, open_store, open_unbooked
from fengchao_server.cli.terminal import answer, answer_json, say
from fengchao_server.process import run as run_loop


def run(args: Namespace) -> int:
    """Check. 1 where there are problems."""
    problems, settings, unpriced = _offline(args)
    tried: dict[str, str] = {}
    if args.online and settings is not None and not problems:
        tried = run_loop(_online(settings))
        problems += [f"provider {name!r}: {said}" for name, said in tried.items() if said != "ok"]
    if args.json:
        answer_json(
            {"ok": not problems, "problems": problems, "online": tried, "unpriced": unpriced}
        )
    elif problems:
        for problem in problems:
            answer(f"✗ {problem}")
        say(f"发现 {len(problems)} 个问题 problems found")
    else:
        for name in tried:
            answer(f"✓ {name}: 凭据有效 credentials work")
        answer("✓ 设置与插件没有问题 settings and plugins are fine")
        if settings is not None and not settings.providers:
            say("提示：没有配置任何厂商 no provider is configured; try fengchao serve --sandbox")
        if unpriced:
            say(
                f"提示：{len(unpriced)} 个模型没有价格，其费用记为空 models without a price, whose cost is not known: "
                f"{', '.join(unpriced)}"
            )
    return 1 if problems else 0


def _offline(args: Namespace) -> tuple[list[str], Settings | None, list[str]]:
    try:
        settings = load_settings(args)
    except SetupError as error:
        # The plugins can be judged without the settings, and whoever mends one wants to know of the other.
        return [*error.problems, *_plugin_problems()], None, []
    try:
        unpriced = run_loop(_open(settings))
    except SetupError as error:
        return list(error.problems), settings, []
    return [], settings, unpriced


def _plugin_problems() -> tuple[str, ...]:
    try:
        load_plugins(PluginSettings())
    except SetupError as error:
        return error.problems
    return ()


async def _open(settings: Settings) -> list[str]:
    """Open everything once. Gives the models that cost something and have no price."""
    today = datetime.now(UTC).date()
    async with open_unbooked(settings) as gateway:
        unpriced = [
            card.id
            for card in gateway.models()
            if not card.is_local and card.price_on(today) is None
        ]
        broken = [
            f"model {model!r} cannot be loaded: {state.detail}"
            for model, states in gateway.states().items()
            for state in states
            if state.state == "failed"
        ]
        broken += _budgets(settings, gateway.models())
    if broken:
        raise SetupError(*broken)
    plugins = load_plugins(settings.plugins, kinds=())
    if plugins.manager.hook.fengchao_store(settings=settings) is None:
        # Nobody's database: opening it makes nothing, and says what is wrong with the address.
        async with open_store(settings):
            pass
    return unpriced


def _budgets(settings: Settings, cards: Iterable[ModelCard]) -> list[str]:
    """What the budgets of groups could not be charged with."""
    today = datetime.now(UTC).date()
    book = rate_book(settings.money)
    problems = []
    for name, group in settings.groups.items():
        for currency in sorted({budget.currency for budget in group.limits().budgets}):
            others = [
                card.id
                for card in cards
                if (price := card.price_on(today)) is not None
                and book.find(price.currency, currency, today) is None
            ]
            if others:
                problems.append(
                    f"[groups.{name}] has a budget in {currency}, but {len(others)} models are priced in another currency "
                    f"and no rate is set ({', '.join(others[:3])} …); add one under [[money.rates]]"
                )
    return problems


async def _online(settings: Settings) -> dict[str, str]:
    """Ask every provider, with every credential it has, for one token."""
    results = {}
    for name, raw in _each_credential(settings):
        alone = settings.model_copy(
            update={
                "providers": {name.partition("#")[0]: raw},
                "models": {},
                "retry": RetrySettings(attempts=1),
            }
        )
        results[name] = await _try(alone)
    return results


def _each_credential(settings: Settings) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for name, raw in settings.providers.items():
        several = raw.get("credentials")
        if not several:
            found.append((name, raw))
            continue
        common = {key: value for key, value in raw.items() if key != "credentials"}
        found += [
            (f"{name}#{number}", {**common, **{k: v for k, v in one.items() if k != "weight"}})
            for number, one in enumerate(several, start=1)
        ]
    return found


async def _try(settings: Settings) -> str:
    async with Gateway.open(settings, store=MemoryStore()) as gateway:
        cards = await gateway.discover()
        chat = next((card for card in cards if card.kind == "chat"), None)
        embedding = next((card for card in cards if card.kind == "embedding"), None)
        try:
            if chat is not None:
                params = ChatParams(max_tokens=1)
                await gateway.chat(ChatCall(model=chat.id, query="hi", params=params))
            elif embedding is not None:
                await gateway.embed(embedding.id, ["hi"])
            else:
                return "it serves no model that can be asked"
        except FengChaoError as error:
            return f"{type(error).__name__}: {error}"
    return "ok"
