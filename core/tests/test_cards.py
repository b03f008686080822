"""Model cards read from TOML."""

import sys
from datetime import date
from decimal import Decimal

import pytest

from fengchao_core.cards import load_cards
from fengchao_core.errors import PluginError

CARDS = """
[[models]]
id = "m"
owned_by = "V"
capabilities = ["tools"]
[[models.prices]]
input = "0.001"
output = "0.002"
currency = "CNY"
since = 2024-01-01
source = "a page"
[[models.prices]]
input = "0.0005"
output = "0.001"
currency = "CNY"
since = 2025-01-01
source = "a page"
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package named `cards_for_test` whose models.toml the test writes."""
    folder = tmp_path / "cards_for_test"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "cards_for_test", raising=False)
    return folder


def test_cards_are_exact(package):
    """Prices written as text arrive as the same decimals, and the vendor's name defaults to the id."""
    (package / "models.toml").write_text(CARDS)
    (card,) = load_cards("cards_for_test")
    assert ("m", "m", Decimal("0.001")) == (card.id, card.upstream_id, card.prices[0].input)


def test_the_price_of_a_day(package):
    """The newest price that already holds is taken; before the first there is none."""
    (package / "models.toml").write_text(CARDS)
    (card,) = load_cards("cards_for_test")
    found = [card.price_on(day) for day in (date(2023, 1, 1), date(2024, 12, 31), date(2025, 1, 1))]
    assert [None, Decimal("0.001"), Decimal("0.0005")] == [p and p.input for p in found]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('input = "0.001"', "input = 0.001", "must be quoted"),
        ('currency = "CNY"', 'currency = "EUR"', "CNY"),
        ('owned_by = "V"', 'ownedby = "V"', "ownedby"),
        ('input = "0.001"', 'input = "-1"', "greater than or equal"),
    ],
)
def test_wrong_cards_are_refused(package, old, new, said):
    """A price that is not exact, a currency nobody books, an unknown field, a negative price: each is named."""
    (package / "models.toml").write_text(CARDS.replace(old, new, 1))
    with pytest.raises(PluginError, match=said):
        load_cards("cards_for_test")
