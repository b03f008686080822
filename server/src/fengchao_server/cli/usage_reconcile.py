"""`fengchao usage reconcile FILE`: a vendor's invoice beside our own rows, per model and day."""

from __future__ import annotations

import csv
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from fengchao_core.errors import SetupError
from fengchao_core.money import zone_of
from fengchao_core.reports import UsageQuery
from fengchao_core.settings import Settings
from fengchao_server.cli.opened import load_settings, open_store, open_unbooked
from fengchao_server.cli.terminal import answer_json, say, table
from fengchao_server.cli.usage import patience
from fengchao_server.process import run as run_loop

_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "day": ("day", "date", "日期", "账单日期", "消费日期"),
    "model": ("model", "model name", "模型", "模型名称", "模型编码"),
    "prompt_tokens": ("prompt_tokens", "input_tokens", "prompt tokens", "input tokens", "输入", "输入tokens"),
    "completion_tokens": ("completion_tokens", "output_tokens", "completion tokens", "output tokens", "输出", "输出tokens"),
    "tokens": ("tokens", "total_tokens", "total tokens", "用量", "tokens用量", "总tokens"),
    "cost": ("cost", "amount", "price", "费用", "金额", "应付金额", "消费金额"),
}  # fmt: skip
"""The heads of columns that vendors' exports have, in small letters."""

_DAYS: Final = ("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d")


@dataclass(slots=True)
class Line:
    """One model on one day: ours, and the vendor's."""

    our_tokens: int = 0
    their_tokens: int | None = None
    our_cost: Decimal = Decimal(0)
    their_cost: Decimal | None = None

    @property
    def drift(self) -> Decimal | None:
        """What we booked more than the vendor, as a share of the vendor's: of the money, else of the tokens."""
        ours, theirs = Decimal(self.our_tokens), self.their_tokens
        if self.their_cost is not None:
            if not self.their_cost:
                return Decimal(0) if not self.our_cost else Decimal(1)
            return (self.our_cost - self.their_cost) / self.their_cost
        if theirs is None:
            return None
        if not theirs:
            return Decimal(0) if not ours else Decimal(1)
        return (ours - theirs) / theirs


def run(args: Namespace) -> int:
    """Print the drift. 1 where any is beyond the tolerance."""
    settings = load_settings(args)
    invoice = list(read_invoice(args.file, args.columns))
    if not invoice:
        raise SetupError(f"{args.file} has no line beside its head")
    lines = run_loop(_compare(args, settings, invoice))
    tolerance = Decimal(str(args.tolerance)) / 100
    off = [
        key for key, line in lines.items() if line.drift is not None and abs(line.drift) > tolerance
    ]
    if args.json:
        answer_json(
            [
                {
                    "day": day.isoformat(),
                    "model": model,
                    "our_tokens": line.our_tokens,
                    "their_tokens": line.their_tokens,
                    "our_cost": str(line.our_cost),
                    "their_cost": None if line.their_cost is None else str(line.their_cost),
                    "drift_percent": None
                    if line.drift is None
                    else float(round(line.drift * 100, 3)),
                    "is_off": (day, model) in off,
                }
                for (day, model), line in lines.items()
            ]
        )
    else:
        table(
            ("日 day", "模型 model", "我方词元 ours", "对方词元 theirs", "我方费用 ours", "对方费用 theirs", "偏差 drift"),
            [
                (
                    day.isoformat(),
                    model,
                    line.our_tokens,
                    line.their_tokens,
                    f"{line.our_cost.normalize():f}",
                    None if line.their_cost is None else f"{line.their_cost.normalize():f}",
                    "?" if line.drift is None else f"{line.drift * 100:+.2f}%",
                )
                for (day, model), line in lines.items()
            ],
        )  # fmt: skip
        say(
            f"{len(lines)} 项，{len(off)} 项偏差超过 {args.tolerance:g}% "
            f"{len(off)} of {len(lines)} lines are off by more than that"
        )
    return 1 if off else 0


def read_invoice(
    path: Path, columns: str | None
) -> Iterator[tuple[date, str, int | None, Decimal | None]]:
    """
    The lines of an invoice: day, model, tokens, cost.

    Args:
        columns: `field=head` pairs, separated by commas, for heads that are not known.

    Raises:
        SetupError: the file cannot be read; says the line and the column.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"{path} cannot be read as UTF-8 text: {error}") from error
    reader = csv.DictReader(text.splitlines())
    heads = _heads(reader.fieldnames or (), columns, path)
    for number, row in enumerate(reader, start=2):
        where = f"{path}, line {number}"
        tokens = [
            _number(row[heads[name]], where, heads[name])
            for name in ("prompt_tokens", "completion_tokens", "tokens")
            if name in heads and (name != "tokens" or "prompt_tokens" not in heads)
        ]
        cost = _number(row[heads["cost"]], where, heads["cost"]) if "cost" in heads else None
        yield (
            _day(row[heads["day"]], where),
            (row[heads["model"]] or "").strip(),
            int(sum(tokens)) if tokens else None,
            cost,
        )


async def _compare(
    args: Namespace,
    settings: Settings,
    invoice: list[tuple[date, str, int | None, Decimal | None]],
) -> dict[tuple[date, str], Line]:
    async with open_unbooked(settings) as gateway:
        ids = {
            name.lower(): card.id
            for card in gateway.models()
            for name in (card.upstream_id, *card.aliases, card.id)
        }

    def known(model: str) -> str:
        return ids.get(model.lower(), model)

    zone = zone_of(settings.money.time_zone)
    lines: dict[tuple[date, str], Line] = {}
    for day, model, tokens, cost in invoice:
        line = lines.setdefault((day, known(model)), Line())
        if tokens is not None:
            line.their_tokens = (line.their_tokens or 0) + tokens
        if cost is not None:
            line.their_cost = (line.their_cost or Decimal(0)) + cost
    first, last = min(day for day, _ in lines), max(day for day, _ in lines)
    query = UsageQuery(
        by=("hour", "model"),
        since=_midnight(first, zone),
        until=_midnight(last + timedelta(days=1), zone),
        provider=args.provider,
    )
    async with open_store(settings) as store, patience("正在核对 comparing"):
        for one in await store.usage.sums(query):
            hour, model = one.groups
            at = datetime.strptime(hour, "%Y-%m-%dT%H").replace(tzinfo=timezone.utc)  # noqa: UP017  # beside tzinfo
            key = (at.astimezone(zone).date(), known(model))
            line = lines.setdefault(key, Line())
            line.our_tokens += one.prompt_tokens + one.completion_tokens
            if one.currency in {args.currency, None}:
                line.our_cost += one.cost
    # What a vendor's invoice has nothing of on a day that it covers, it charged nothing for.
    for line in lines.values():
        if line.their_tokens is None and line.their_cost is None:
            line.their_tokens, line.their_cost = 0, Decimal(0)
    return {
        key: line
        for key, line in sorted(lines.items())
        if line.our_tokens or line.our_cost or line.their_tokens or line.their_cost
    }


def _heads(given: object, columns: str | None, path: Path) -> dict[str, str]:
    names = [str(name) for name in given] if isinstance(given, list | tuple) else []
    wanted: dict[str, str] = {}
    for pair in (columns or "").split(","):
        field, equals, head = pair.partition("=")
        if not pair:
            continue
        if not equals or field.strip() not in _NAMES or head.strip() not in names:
            raise SetupError(
                f"--columns must be pairs like day=账单日期; fields: {', '.join(_NAMES)}; heads in {path}: {', '.join(names)}"
            )
        wanted[field.strip()] = head.strip()
    for field, usual in _NAMES.items():
        found = next((name for name in names if name.strip().lower() in usual), None)
        if field not in wanted and found is not None:
            wanted[field] = found
    missing = [field for field in ("day", "model") if field not in wanted]
    if missing or not wanted.keys() & {"tokens", "prompt_tokens", "cost"}:
        raise SetupError(
            f"{path} must have columns for day, model, and tokens or cost; it has {', '.join(names) or 'none'}; "
            "name them with --columns day=…,model=…,cost=…"
        )
    return wanted


def _day(text: str | None, where: str) -> date:
    for form in _DAYS:
        try:
            return datetime.strptime((text or "").strip()[:10], form).date()  # noqa: DTZ007  # a day has no zone
        except ValueError:
            continue
    raise SetupError(f"{where}: {text!r} is no day like 2026-11-21")


def _number(text: str | None, where: str, column: str) -> Decimal:
    cleaned = (text or "").replace(",", "").strip().lstrip("¥￥$").strip()
    try:
        number = Decimal(cleaned or "0")
        if not number.is_finite():
            raise InvalidOperation
    except InvalidOperation:
        raise SetupError(f"{where}: {text!r} in column {column!r} is no number") from None
    return number


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)
