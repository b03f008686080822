"""What a request is expected to use, before a vendor is asked."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from fengchao_core.reservation import (
    USUAL_COMPLETION_TOKENS,
    expected_completion,
    expected_prompt,
    reserve_chat,
    reserve_once,
)
from fengchao_core.types import ChatParams, ImagePart, Message, ModelCard, Price, TextPart

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PRICE = Price(
    input=Decimal(1),
    output=Decimal(2),
    per_image=Decimal("0.25"),
    currency="CNY",
    since=date(2024, 1, 1),
    source="a test",
)
CARD = ModelCard(id="m", owned_by="Test", max_output_tokens=4096, prices=(PRICE,))

chat = partial(reserve_chat, "i", request_id="r", key="k", model="m", streamed=True, started_at=NOW)
once = partial(reserve_once, "i", key="k", model="m", started_at=NOW)


def test_a_chat_reserves_its_prompt_and_its_longest_answer():
    """Tokens are estimated from the texts and `max_tokens` times `n`; money follows from the card's price."""
    messages = [Message("system", "好" * 1000), Message("user", "x" * 320)]
    params = ChatParams(max_tokens=500, n=2)
    got = chat(CARD, messages, params)
    assert (808, 1000, 1808) == (got.prompt_tokens, got.completion_tokens, got.tokens)
    assert (Decimal("2.808"), "CNY") == (got.cost, got.currency)


def test_parts_of_a_message_are_counted():
    """A picture counts what vendors charge for a middling one, a text part as text."""
    assert 4 + 1024 + 700 == expected_prompt(
        [Message("user", (ImagePart("https://example.com/a.png"), TextPart("好" * 1000)))]
    )
    assert 4 == expected_prompt([Message("assistant", None)])


def test_an_answer_of_unknown_length_is_expected_to_be_usual():
    """Without `max_tokens` the usual length is expected, or the model's most where that is less."""
    small = ModelCard(id="s", owned_by="Test", max_output_tokens=256)
    assert USUAL_COMPLETION_TOKENS == expected_completion(ChatParams(), CARD)
    assert 256 == expected_completion(ChatParams(), small)


def test_pictures_reserve_their_own_price():
    """A model that draws is priced per picture."""
    got = once(CARD, ["好"], images=4, operation="image_generation")
    assert (4, Decimal("1.001")) == (got.images, got.cost)


def test_without_a_price_no_money_is_named():
    """None is not zero."""
    bare = ModelCard(id="m", owned_by="Test")
    got = chat(bare, [], ChatParams())
    assert (None, None) == (got.cost, got.currency)


@given(st.lists(st.text(), max_size=5))
def test_a_reservation_is_never_negative(texts):
    """Whatever the texts."""
    got = once(CARD, texts, operation="embeddings")
    assert got.prompt_tokens >= 0
    assert got.cost is not None
    assert got.cost >= 0
