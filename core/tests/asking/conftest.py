"""A vendor that does what a test tells it, model by model, and a gateway on it."""

import asyncio
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal

import pytest

from fengchao_core import (
    Delta,
    Gateway,
    MemoryStore,
    ModelCard,
    Price,
    Provider,
    ProviderSettings,
    ProviderSpec,
    Settings,
    Usage,
)
from fengchao_core.errors import InvalidParameter
from fengchao_core.types import Image, ImageResult, SearchResult, WebPage

PRICE = Price(
    input=Decimal("0.1"),
    output=Decimal("0.2"),
    currency="CNY",
    since=date(2020, 1, 1),
    source="test",
)
PER_IMAGE = Price(
    input=Decimal(0),
    output=Decimal(0),
    per_image=Decimal("0.25"),
    currency="CNY",
    since=date(2020, 1, 1),
    source="test",
)
CARDS = (
    ModelCard(
        id="main",
        owned_by="v",
        prices=(PRICE,),
        max_input_tokens=4000,
        aliases=("chief",),
        capabilities=frozenset({"vision"}),
    ),
    ModelCard(id="a", owned_by="v", prices=(PRICE,), capabilities=frozenset({"vision"})),
    ModelCard(id="b", owned_by="v", prices=(PRICE,), max_output_tokens=50),
    ModelCard(id="c", owned_by="v", prices=(PRICE,)),
    ModelCard(id="json", owned_by="v", capabilities=frozenset({"json"})),
    ModelCard(id="schema", owned_by="v", capabilities=frozenset({"json", "json_schema"})),
    ModelCard(id="blank", owned_by="v", is_known=False),
    ModelCard(id="painter", owned_by="v", kind="image", prices=(PER_IMAGE,)),
)


class Vendor(Provider):
    """
    Answers each model with its next script: a text, an error to raise, or an event to await; `好` where it has none.

    Attributes:
        lacks: fields of a picture that it does not take; with `n` it draws one picture a call.
        draws: what it does at the next calls for pictures: an error to raise.
    """

    def __init__(self):
        self.scripts = {}
        self.requests = []
        self.closed = []
        self.begun = asyncio.Event()
        self.searches = []
        self.pages = ()
        self.lacks = set()
        self.drawn = []
        self.draws = []

    def will(self, model, *script):
        """Script the next answers of a model."""
        self.scripts.setdefault(model, []).extend(script)

    def asked(self, model):
        """The requests that reached a model."""
        return [request for request in self.requests if request.model == model]

    async def stream(self, request):
        """Answer."""
        self.requests.append(request)
        self.begun.set()
        script = self.scripts.get(request.model) or ["好"]
        try:
            step = script.pop(0)
            if isinstance(step, BaseException):
                raise step
            if isinstance(step, asyncio.Event):
                await step.wait()
                step = "迟到"
            yield [Delta(step[:1])]
            yield [Delta(step[1:])]
            yield [Delta(finish_reason="stop", usage=Usage(10, 5))]
        finally:
            self.closed.append(request.model)

    async def search_web(self, request):
        """Find the pages it was given."""
        self.searches.append(request)
        if isinstance(self.pages, Exception):
            raise self.pages
        if isinstance(self.pages, asyncio.Event):
            await self.pages.wait()
        return SearchResult(tuple(self.pages))

    async def draw(self, request):
        """Draw what the call asks, but for what it lacks."""
        for name in ("negative_prompt", "style"):
            if name in self.lacks and getattr(request, name) is not None:
                raise InvalidParameter(f"no {name}", param=name)
        if "n" in self.lacks and (request.n or 1) > 1:
            raise InvalidParameter("one at a time", param="n")
        self.drawn.append(request)
        if self.draws and (step := self.draws.pop(0)) is not None:
            raise step
        first = len(self.drawn)
        return ImageResult(
            images=tuple(
                Image(url=f"https://example.com/{first}-{i}.png") for i in range(request.n or 1)
            ),
            usage=Usage(3),
        )


class Mute(Provider):
    """A vendor that only talks."""

    async def stream(self, request):
        """Answer."""
        yield [Delta("好", finish_reason="stop", usage=Usage(1, 1))]


@pytest.fixture
def vendor():
    """The vendor."""
    return Vendor()


@pytest.fixture
def opened(vendor):
    """A function that opens a gateway on the vendor, with settings."""

    def spec(kind, provider, cards):
        @asynccontextmanager
        async def open_it(_settings, _context):
            yield provider

        return ProviderSpec(kind, kind, ProviderSettings, lambda: cards, open_it)

    def opening(**settings):
        tree = {
            "providers": {"vendor": {}, "mute": {}},
            "retry": {"base_wait_s": 0, "max_wait_s": 0.01, "attempts": 1},
            "ledger": {"interval_s": 0},
            "search": {"provider": "vendor"},
            **settings,
        }
        specs = [
            spec("vendor", vendor, CARDS),
            spec("mute", Mute(), (ModelCard(id="mute-painter", owned_by="m", kind="image"),)),
        ]
        return Gateway.open(Settings.model_validate(tree), store=MemoryStore(), providers=specs)

    return opening


@pytest.fixture
def rows():
    """A function that gives the usage rows of a gateway, oldest first."""

    async def read(gateway):
        await gateway.flush()
        return list(reversed(await gateway.store.usage.rows()))

    return read


@pytest.fixture
def page():
    """A function that makes a page of the web."""

    def make(title, text="", *, score=None, number=1):
        return WebPage(title, f"https://example.com/{number}", text, "示例网", "2024-04-05", score)

    return make
