"""The price book: what it takes, what it refuses, and what a request costs by it at every border."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fengchao_core.prices import PriceRow, read_prices
from fengchao_core.types import Price, Usage
from fengchao_core.usage import cost, is_priced

ROW = {
    "input": "0.1",
    "output": "0.1",
    "currency": "CNY",
    "since": date(2024, 1, 16),
    "source": "a page",
}
NIGHT = {"start": "23:30", "end": "07:30", "factor": "0.25"}


def book(**fields: object) -> Price:
    (price,) = read_prices([{**ROW, **fields}])
    return price


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"input": "100", "output": "100"}, "per 1,000 tokens"),
        ({"currency": "USD", "input": "5"}, "divide a price per million by 1,000"),
        ({"input": "0.005", "output": "2"}, "more than 100 times 'input'"),
        ({"output": "0.0005"}, "more than 100 times 'output'"),
        ({"per_image": "1000"}, "'per_image'"),
        ({"tiers": [{"above_tokens": 1, "input": "5", "output": "5"}]}, "per 1,000 tokens"),
        ({"tiers": [{"input": "0.1", "output": "0.1"}]}, "above_tokens or above_output_tokens"),
        ({"input": 0.1}, "must be quoted"),
        ({"cache_write": 0.1}, "must be quoted"),
        ({"input": "-0.1"}, "greater than or equal to 0"),
        ({"input": "NaN"}, "finite"),
        ({"off_peak": {**NIGHT, "factor": 0.5}}, "must be quoted"),
        ({"off_peak": {**NIGHT, "factor": "1.5"}}, "less than or equal to 1"),
        ({"off_peak": {**NIGHT, "end": "23:30"}}, "another end"),
    ],
)
def test_wrong_prices(fields, said):
    """A figure that is no price per 1,000 tokens is refused with the likely reason."""
    with pytest.raises(ValidationError, match=said):
        read_prices([{**ROW, **fields}])


def test_a_price_that_is_meant():
    """`unusual` lets any figure pass."""
    assert Decimal(100) == book(input="100", output="0.001", unusual=True).input


@pytest.mark.parametrize(("figure", "passes"), [("0.5", True), ("0.0005", False), ("0.9", True)])
def test_far_from_the_card(figure, passes):
    """A figure a hundred times off the model card's is refused, for it was read in another unit."""
    rows = [{**ROW, "input": figure, "output": figure}]
    known = (book(input="0.1"),)
    if passes:
        assert Decimal(figure) == read_prices(rows, known=known)[0].input
    else:
        with pytest.raises(ValueError, match="100 times off the model card's"):
            read_prices(rows, known=known)
    assert read_prices([{**rows[0], "unusual": True}], known=known)
    assert read_prices(
        [{**rows[0], "currency": "USD", "input": "0.1", "output": "0.1"}], known=known
    )


def test_versions_tell_prices_apart():
    """Two prices of one day have two versions where their figures differ, one where only their source does."""
    assert book().version.startswith("2024-01-16-")
    assert book().version == book(source="another page", confirmed=False).version
    figures = [{}, {"input": "0.2"}, {"currency": "USD"}, {"off_peak": NIGHT}, {"per_search": "1"}]
    assert len(figures) == len({book(**fields).version for fields in figures})
    made = Price(
        input=Decimal(1), output=Decimal(1), currency="CNY", since=date(2024, 5, 1), source="code"
    )
    assert "2024-05-01" == made.version


def test_cache_writes_images_and_searches():
    """Newly cached input, pictures and searches have prices of their own, and what has none costs as plain input."""
    usage = Usage(1000, 0, 200, cache_write_tokens=300, images=2, searches=3)
    assert Decimal("0.1") == cost(usage, book()).amount
    price = book(cached_input="0.01", cache_write="0.2", per_image="0.5", per_search="0.03")
    expected = Decimal("0.002") + Decimal("0.06") + Decimal("0.05") + 1 + Decimal("0.09")
    assert expected == cost(usage, price).amount


def test_pictures_without_a_price():
    """A price per token says nothing of a picture that used no tokens: that is not priced, instead of free."""
    assert not is_priced(Usage(images=1), book())
    assert is_priced(Usage(images=1), book(per_image="0.1"))
    assert is_priced(Usage(10, 10, images=1), book())
    assert is_priced(Usage(), book())


@pytest.mark.parametrize(
    ("prompt", "completion", "rate"),
    [
        (32_000, 200, "0.1"),
        (32_000, 201, "0.2"),
        (32_001, 200, "0.3"),
        (32_001, 201, "0.3"),
        (0, 201, "0.2"),
    ],
)
def test_tiers_by_both_lengths(prompt, completion, rate):
    """A tier holds above its input and its output length; the last that holds prices the whole request."""
    tiers = [
        {"above_tokens": 32_000, "input": "0.3", "output": "0.3"},
        {"above_output_tokens": 200, "input": "0.2", "output": "0.2"},
    ]
    money = cost(Usage(prompt, completion), book(tiers=tiers))
    assert Decimal(rate) * (prompt + completion) / 1000 == money.amount


@pytest.mark.parametrize(
    ("beijing", "factor"),
    [
        ("23:29:59", 1),
        ("23:30:00", "0.25"),
        ("03:00:00", "0.25"),
        ("07:29:59", "0.25"),
        ("07:30:00", 1),
    ],
)
def test_off_peak_hours(beijing, factor):
    """Off-peak hours hold from their first moment to the last before their end, over midnight, in the vendor's time."""
    at = datetime.fromisoformat(f"2026-11-21T{beijing}+08:00")
    money = cost(Usage(1000, 0), book(off_peak=NIGHT), at)
    assert Decimal("0.1") * Decimal(factor) == money.amount
    assert Decimal("0.1") == cost(Usage(1000, 0), book(off_peak=NIGHT)).amount


def test_off_peak_within_a_day():
    """Off-peak hours that end on the day they began hold only in between, by the offset of their own."""
    price = book(off_peak={"start": "00:00", "end": "06:00", "utc_offset_h": 0, "factor": "0.5"})
    at = datetime(2026, 11, 21, 5, 59, tzinfo=UTC)
    assert Decimal("0.05") == cost(Usage(1000, 0), price, at).amount
    assert Decimal("0.1") == cost(Usage(1000, 0), price, at + timedelta(minutes=1)).amount


@given(
    hours=st.tuples(st.integers(0, 23), st.integers(0, 23)).filter(lambda pair: pair[0] != pair[1]),
    minute=st.integers(0, 24 * 60 - 1),
)
def test_off_peak_and_its_complement(hours, minute):
    """Every moment lies either in the hours or in those that begin where they end."""
    start, end = (f"{hour:02}:00" for hour in hours)
    inside = book(off_peak={**NIGHT, "start": start, "end": end}).off_peak
    outside = book(off_peak={**NIGHT, "start": end, "end": start}).off_peak
    at = datetime(2026, 11, 21, tzinfo=UTC) + timedelta(minutes=minute)
    assert inside.holds_at(at) != outside.holds_at(at)


@given(
    st.builds(
        Usage,
        st.integers(0, 10**6),
        st.integers(0, 10**6),
        st.integers(0, 10**6),
        cache_write_tokens=st.integers(0, 10**6),
        images=st.integers(0, 10),
        searches=st.integers(0, 10),
    )
)
def test_never_negative(usage):
    """Whatever a vendor counts, a cost is not negative, and cheaper hours never cost more."""
    price = book(cached_input="0.01", cache_write="0.2", per_image="0.5", per_search="0.03")
    night = replace(price, off_peak=book(off_peak=NIGHT).off_peak)
    at = datetime(2026, 11, 21, 16, tzinfo=UTC)
    assert 0 <= cost(usage, night, at).amount <= cost(usage, price, at).amount


def test_rows_are_read_as_they_stand():
    """A row keeps its source, its doubt and its order of tiers."""
    price = PriceRow.model_validate({**ROW, "confirmed": False}).price()
    assert ("a page", False, ()) == (price.source, price.confirmed, price.tiers)
