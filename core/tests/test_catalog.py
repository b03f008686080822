"""Which models can be asked, and who serves them."""

from collections.abc import AsyncGenerator

import pytest

from fengchao_core import Provider
from fengchao_core.catalog import Catalog, OpenProvider, plain_card
from fengchao_core.errors import ProviderUnavailable, UnknownModel
from fengchao_core.settings import ModelSettings, RoutingSettings
from fengchao_core.types import ModelCard


class Endpoint(Provider):
    """Serves what it lists; counts how often it was asked."""

    def __init__(self, *models):
        self.models = models
        self.asked = 0

    async def stream(self, request) -> AsyncGenerator:
        raise NotImplementedError
        yield

    async def list_models(self):
        self.asked += 1
        if not self.models:
            raise ProviderUnavailable("down")
        return self.models


class Now:
    at = 0.0

    def __call__(self):
        return self.at


def catalog(*providers, overrides=None, now=None):
    return Catalog(providers, overrides or {}, RoutingSettings(), now or Now())


def known(name, *cards):
    return OpenProvider(name, name, Endpoint(), cards)


async def test_a_model_is_found_by_id_and_alias():
    """Both names lead to the same model."""
    card = ModelCard(id="m", owned_by="v", aliases=("alias",))
    models = catalog(known("p", card))
    assert (await models.find("m")) is (await models.find("alias"))


async def test_two_providers_serve_one_model():
    """The second provider of a model becomes a deployment under the first's card, by its own vendor's name."""
    models = catalog(
        known("a", ModelCard(id="m", owned_by="A", upstream_id="a-m")),
        known("b", ModelCard(id="m", owned_by="B", upstream_id="b-m")),
    )
    entry = await models.find("m")
    assert ("A", ["a-m", "b-m"]) == (
        entry.card.owned_by,
        [d.card.upstream_id for d in entry.deployments],
    )


async def test_an_endpoint_is_asked_for_names_nobody_knows():
    """A provider without cards is asked what it serves, once, when a name is missing."""
    endpoint = Endpoint("qwen3:8b")
    models = catalog(OpenProvider("local", "Local", endpoint, (), discovers=True))
    await models.find("qwen3:8b")
    await models.find("qwen3:8b")
    assert (1, ("qwen3:8b",)) == (endpoint.asked, tuple(card.id for card in models.cards()))


async def test_missing_names_do_not_become_a_storm():
    """Unknown names ask the endpoint at most once in a while, whether it answers or fails."""
    for endpoint in (Endpoint("a"), Endpoint()):
        now = Now()
        models = catalog(OpenProvider("local", "Local", endpoint, (), discovers=True), now=now)
        for _ in range(10):
            with pytest.raises(UnknownModel):
                await models.find("nobody")
        assert 1 == endpoint.asked
        now.at += 31
        with pytest.raises(UnknownModel):
            await models.find("nobody")
        assert 2 == endpoint.asked


async def test_an_operator_changes_a_card():
    """Owner, limits and aliases of a card can be overridden."""
    override = ModelSettings(owned_by="us", max_output_tokens=5, aliases=("short",))
    models = catalog(known("p", ModelCard(id="m", owned_by="v")), overrides={"m": override})
    card = (await models.find("short")).card
    assert ("us", 5) == (card.owned_by, card.max_output_tokens)


def test_a_plain_card_has_a_name_and_no_price():
    """Of an unknown model nothing is invented."""
    card = plain_card("x", "owner")
    assert ("x", "x", (), None) == (card.id, card.upstream_id, card.prices, card.max_input_tokens)
