"""What a key may use, as values and as JSON."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengchao_core.errors import InvalidParameter
from fengchao_core.limits import Budget, KeyLimits, ModelLimits

counts = st.none() | st.integers(1, 10**9)
names = st.sampled_from(["glm-4", "ERNIE-Bot-4", "模型"])
budgets = st.builds(
    Budget,
    st.decimals(0, 10**6, places=4),
    st.sampled_from(["CNY", "USD"]),
    st.sampled_from(["day", "month"]),
    st.none() | names,
)
rates = {"requests_per_minute": counts, "tokens_per_minute": counts, "concurrent": counts}
limits = st.builds(
    KeyLimits,
    budgets=st.lists(budgets, max_size=3).map(tuple),
    models=st.lists(
        st.builds(ModelLimits, model=names, **rates), max_size=3, unique_by=lambda m: m.model
    ).map(tuple),
    **rates,
)


@given(limits)
def test_round_trip(wanted: KeyLimits) -> None:
    """Limits that were written as JSON text are read back as the same limits."""
    assert wanted == KeyLimits.from_json(json.loads(json.dumps(wanted.to_json())))


def test_nothing_limited() -> None:
    """Limits that limit nothing are false and empty."""
    assert not KeyLimits()
    assert not KeyLimits(models=(ModelLimits(model="glm-4"),))
    assert {} == KeyLimits().to_json()
    assert KeyLimits(budgets=(Budget(Decimal(0), "CNY"),))


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ([], "limits"),
        ({"rpm": 3}, "limits"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"requests_per_minute": True}, "requests_per_minute"),
        ({"tokens_per_minute": 1.5}, "tokens_per_minute"),
        ({"concurrent": "3"}, "concurrent"),
        ({"concurrent": 10**13}, "concurrent"),
        ({"budgets": {"amount": 1}}, "budgets"),
        ({"budgets": [{"amount": "1"}]}, "budgets.currency"),
        ({"budgets": [{"amount": "1", "currency": "EUR"}]}, "budgets.currency"),
        ({"budgets": [{"amount": "-1", "currency": "CNY"}]}, "budgets.amount"),
        ({"budgets": [{"amount": "NaN", "currency": "CNY"}]}, "budgets.amount"),
        ({"budgets": [{"amount": "ten", "currency": "CNY"}]}, "budgets.amount"),
        ({"budgets": [{"amount": True, "currency": "CNY"}]}, "budgets.amount"),
        ({"budgets": [{"amount": "1", "currency": "CNY", "period": "week"}]}, "budgets.period"),
        ({"budgets": [{"amount": "1", "currency": "CNY", "model": ""}]}, "budgets.model"),
        ({"models": [{"model": "a"}, {"model": "a"}]}, "models"),
        ({"models": [{"concurrent": 1}]}, "models.model"),
    ],
)
def test_wrong_limits(value: object, param: str) -> None:
    """Each slip is refused, and the error names its field."""
    with pytest.raises(InvalidParameter) as caught:
        KeyLimits.from_json(value)
    assert param == caught.value.param


def test_numbers_as_people_write_them() -> None:
    """An amount may be a number; it means what it looks like."""
    read = KeyLimits.from_json({"budgets": [{"amount": 0.1, "currency": "USD"}]})
    assert (Budget(Decimal("0.1"), "USD", "month"),) == read.budgets
