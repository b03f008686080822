"""What a key, or a group of keys, may use: plain values, and their shape in JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Literal, cast, get_args

from fengchao_core.errors import InvalidParameter
from fengchao_core.types.shared import Currency

Period = Literal["day", "month"]

_MOST = 10**12
"""Beyond it a figure is a slip of the keyboard, not a limit."""

_RATES = ("requests_per_minute", "tokens_per_minute", "concurrent")
_CURRENCIES = get_args(Currency)
_PERIODS = get_args(Period)


@dataclass(frozen=True, slots=True)
class Budget:
    """
    Money that may be spent in a period.

    Attributes:
        amount: 0 or more; 0 lets nothing pass that costs anything.
        period: a calendar day or month, in the time zone of `[money] time_zone`.
        model: the one model it is for, by its id; None: all together.
    """

    amount: Decimal
    currency: Currency
    period: Period = "month"
    model: str | None = None

    def to_json(self) -> dict[str, object]:
        """As a JSON object; the amount is text, so that it stays exact."""
        found: dict[str, object] = {
            "amount": format(self.amount, "f"),
            "currency": self.currency,
            "period": self.period,
        }
        if self.model is not None:
            found["model"] = self.model
        return found

    @classmethod
    def from_json(cls, value: object) -> Budget:
        """Out of `to_json`'s object. Raises `InvalidParameter`, naming the field."""
        fields = _fields(value, ("amount", "currency", "period", "model"), "budgets")
        currency, period = fields.get("currency"), fields.get("period", "month")
        if currency not in _CURRENCIES:
            raise InvalidParameter(
                f"a budget's currency must be one of {', '.join(_CURRENCIES)}",
                param="budgets.currency",
            )
        if period not in _PERIODS:
            raise InvalidParameter(
                f"a budget's period must be one of {', '.join(_PERIODS)}", param="budgets.period"
            )
        model = fields.get("model")
        # The two were just found among the words of their types.
        return cls(
            _amount(fields.get("amount")),
            cast("Currency", currency),
            cast("Period", period),
            None if model is None else _model(model, "budgets.model"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLimits:
    """
    Rates for one model.

    Attributes:
        model: its id.
        requests_per_minute: None: not limited; likewise the others.
        tokens_per_minute: of prompts and answers together.
        concurrent: requests under way at the same time.
    """

    model: str
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLimits:
    """
    Everything that limits one key, or one group of keys together.

    Attributes:
        requests_per_minute: over all models; None: not limited; likewise the others.
        tokens_per_minute: of prompts and answers together.
        concurrent: requests under way at the same time.
        budgets: what may be spent; all of them hold.
        models: rates for single models, beside those over all.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None
    budgets: tuple[Budget, ...] = ()
    models: tuple[ModelLimits, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything is limited at all."""
        return bool(
            self.budgets
            or any(_is_set(model) for model in self.models)
            or self.requests_per_minute is not None
            or self.tokens_per_minute is not None
            or self.concurrent is not None
        )

    def to_json(self) -> dict[str, object]:
        """As a JSON object of plain values, without what is not limited; `{}` where nothing is."""
        found = _rates(self)
        if self.budgets:
            found["budgets"] = [budget.to_json() for budget in self.budgets]
        if self.models:
            found["models"] = [{"model": model.model, **_rates(model)} for model in self.models]
        return found

    @classmethod
    def from_json(cls, value: object) -> KeyLimits:
        """
        Out of a JSON object as `to_json` makes it.

        Raises:
            InvalidParameter: a field is unknown, of the wrong type or out of range; `param` names it.
        """
        fields = _fields(value, (*_RATES, "budgets", "models"), "limits")
        models = [_model_limits(entry) for entry in _list(fields.get("models"), "models")]
        names = [model.model for model in models]
        if len(set(names)) < len(names):
            raise InvalidParameter("'models' names a model twice", param="models")
        return cls(
            requests_per_minute=_count(fields, "requests_per_minute"),
            tokens_per_minute=_count(fields, "tokens_per_minute"),
            concurrent=_count(fields, "concurrent"),
            budgets=tuple(
                Budget.from_json(entry) for entry in _list(fields.get("budgets"), "budgets")
            ),
            models=tuple(models),
        )


@dataclass(frozen=True, slots=True)
class BudgetLeft:
    """
    A budget in its present period.

    Attributes:
        scope: whether it is the key's own, or that of its group.
        spent: booked so far.
        held: what requests under way may still cost.
        resets_at: when the next period begins, aware.
    """

    scope: Literal["key", "group"]
    budget: Budget
    spent: Decimal
    held: Decimal
    resets_at: datetime

    @property
    def remaining(self) -> Decimal:
        """What is left beside both."""
        return max(self.budget.amount - self.spent - self.held, Decimal(0))


def _rates(of: KeyLimits | ModelLimits) -> dict[str, object]:
    return {name: value for name in _RATES if (value := getattr(of, name)) is not None}


def _is_set(model: ModelLimits) -> bool:
    return bool(_rates(model))


def _model_limits(value: object) -> ModelLimits:
    fields = _fields(value, ("model", *_RATES), "models")
    return ModelLimits(
        model=_model(fields.get("model"), "models.model"),
        requests_per_minute=_count(fields, "requests_per_minute"),
        tokens_per_minute=_count(fields, "tokens_per_minute"),
        concurrent=_count(fields, "concurrent"),
    )


def _fields(value: object, known: Sequence[str], where: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise InvalidParameter(
            f"{where} must be an object with some of: {', '.join(known)}", param=where
        )
    for name in value:
        if name not in known:
            raise InvalidParameter(
                f"{where} has no field {str(name)[:40]!r}; it has: {', '.join(known)}", param=where
            )
    return value


def _list(value: object, param: str) -> Sequence[object]:
    if value is None:
        return ()
    if isinstance(value, list | tuple):
        return value
    raise InvalidParameter(f"{param!r} must be a list of objects", param=param)


def _count(fields: Mapping[str, object], name: str) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST:
        raise InvalidParameter(f"{name!r} must be a whole number of 1 or more", param=name)
    return value


def _amount(value: object) -> Decimal:
    try:
        # A float is taken by its shortest text: 0.1 means 0.1.
        if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
            raise InvalidOperation
        amount = Decimal(str(value))
        if not amount.is_finite() or not 0 <= amount <= _MOST:
            raise InvalidOperation
    except InvalidOperation:
        raise InvalidParameter(
            "a budget's amount must be a number of 0 or more, best given as text",
            param="budgets.amount",
        ) from None
    return amount


def _model(value: object, param: str) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise InvalidParameter(f"{param!r} must be the id of a model", param=param)
    return value
