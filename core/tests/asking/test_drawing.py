"""Text to image."""

from decimal import Decimal

import pytest

from fengchao_core.errors import (
    EmptyQuery,
    InvalidParameter,
    ProviderUnavailable,
    SensitiveContent,
    UnknownModel,
)
from fengchao_core.types import DrawCall


async def test_pictures_are_drawn_and_booked_apiece(opened, vendor, rows):
    """Each picture costs what the card says, in one row for the call."""
    async with opened() as gateway:
        result = await gateway.draw(DrawCall(model="painter", query="猫", n=3, request_id="r"))
        (row,) = await rows(gateway)
    assert 3 == len(result.images)
    assert ("r", Decimal("0.75"), "CNY") == (
        result.request_id,
        result.cost.amount,
        result.cost.currency,
    )
    assert ("painter", "r", "ok", Decimal("0.75"), 1) == (
        row.model,
        row.request_id,
        row.outcome,
        row.cost,
        row.attempts,
    )


async def test_a_vendor_that_draws_one_at_a_time_is_asked_several_times(opened, vendor):
    """The number asked for comes together, whatever the vendor draws a call."""
    vendor.lacks = {"n"}
    async with opened() as gateway:
        result = await gateway.draw(DrawCall(model="painter", query="猫", n=3))
    assert 3 == len({image.url for image in result.images})
    assert [None, None, None] == [request.n for request in vendor.drawn]
    assert () == result.notes


async def test_pictures_drawn_are_not_lost_where_a_further_one_fails(opened, vendor):
    """What was drawn is given and booked, and a note says that it is not all."""
    vendor.lacks = {"n"}
    vendor.draws = [None, None, ProviderUnavailable("gone")]
    async with opened() as gateway:
        result = await gateway.draw(DrawCall(model="painter", query="猫", n=3))
    assert 2 == len(result.images)
    assert ("2 of 3 pictures could be drawn",) == result.notes
    assert Decimal("0.50") == result.cost.amount


async def test_what_a_vendor_lacks_is_told_in_the_prompt(opened, vendor):
    """A style and a text of what not to show reach every model, one way or the other."""
    call = DrawCall(model="painter", query="猫", style="水彩", negative_prompt="狗")
    async with opened() as gateway:
        plain = await gateway.draw(call)
        vendor.lacks = {"style", "negative_prompt"}
        told = await gateway.draw(call)
    assert ("猫", "水彩", "狗") == (
        vendor.drawn[0].prompt,
        vendor.drawn[0].style,
        vendor.drawn[0].negative_prompt,
    )
    assert () == plain.notes
    assert "猫\n画面中不要出现：狗\n画面风格：水彩" == vendor.drawn[1].prompt
    assert 2 == len(told.notes)


async def test_the_defaults_of_the_products_clients_ask_for_nothing(opened, vendor):
    """An empty negative prompt and the style `Base` mean none."""
    vendor.lacks = {"style", "negative_prompt"}
    async with opened() as gateway:
        await gateway.draw(DrawCall(model="painter", query="猫", style="Base", negative_prompt=""))
    assert (None, None) == (vendor.drawn[0].style, vendor.drawn[0].negative_prompt)


async def test_a_prompt_is_rendered(opened, vendor):
    """A custom prompt takes the query and further values."""
    async with opened() as gateway:
        await gateway.draw(
            DrawCall(
                model="painter",
                query="猫",
                prompt="画{{query}}，背景是{{place}}",
                prompt_fill={"place": "海"},
            )
        )
    assert "画猫，背景是海" == vendor.drawn[0].prompt


@pytest.mark.parametrize("field", ["query", "negative_prompt", "prompt"])
async def test_words_are_screened(opened, vendor, tmp_path, field):
    """Whatever the caller says is screened before it reaches a vendor; or starred, where he asks for that."""
    words = tmp_path / "words.txt"
    words.write_text("坏词\n", "utf-8")
    text = "坏词{{query}}" if field == "prompt" else "坏词"
    call = {"model": "painter", "query": "猫", field: text}
    async with opened(sensitive={"wordlists": [str(words)]}) as gateway:
        with pytest.raises(SensitiveContent):
            await gateway.draw(DrawCall(**call))
        assert [] == vendor.drawn
        await gateway.draw(DrawCall(**call, sensitive_replace=True))
        await gateway.draw(DrawCall(**call, is_sensitive=False))
    starred, plain = vendor.drawn
    assert "**" in f"{starred.prompt}{starred.negative_prompt}"
    assert "坏词" in f"{plain.prompt}{plain.negative_prompt}"


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ({"model": "nobody", "query": "猫"}, UnknownModel),
        ({"model": "main", "query": "猫"}, InvalidParameter),
        ({"model": "painter", "query": " "}, EmptyQuery),
        ({"model": "painter", "query": None}, EmptyQuery),
        ({"model": "painter", "query": "猫", "n": 0}, InvalidParameter),
        ({"model": "painter", "query": "猫", "n": 11}, InvalidParameter),
        ({"model": "painter", "query": "猫", "prompt": "no place"}, InvalidParameter),
        ({"model": "mute-painter", "query": "猫"}, InvalidParameter),
    ],
)
async def test_what_cannot_be_drawn_is_refused(opened, vendor, rows, call, error):
    """A wrong call is refused for free, and leaves a row like any request."""
    async with opened() as gateway:
        with pytest.raises(error):
            await gateway.draw(DrawCall(**call))
        assert ["refused"] == [row.outcome for row in await rows(gateway)]
    assert [] == vendor.drawn


async def test_a_vendor_that_fails_is_tried_again(opened, vendor):
    """The one policy of retries holds for pictures too."""
    vendor.draws = [ProviderUnavailable("gone")]
    async with opened(retry={"attempts": 2, "base_wait_s": 0}) as gateway:
        assert 1 == len((await gateway.draw(DrawCall(model="painter", query="猫"))).images)


async def test_a_drawing_can_be_checked_ahead(opened, vendor, rows):
    """What would be refused later is refused now, and booked; a good call leaves nothing."""
    async with opened() as gateway:
        await gateway.check_draw(DrawCall(model="painter", query="猫"))
        assert [] == await rows(gateway)
        with pytest.raises(EmptyQuery):
            await gateway.check_draw(DrawCall(model="painter", query=""))
        assert ["refused"] == [row.outcome for row in await rows(gateway)]
    assert [] == vendor.drawn
