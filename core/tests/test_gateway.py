"""The pipeline through its public face, with providers written for the test."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import date
from decimal import Decimal

import pytest

from fengchao_core import (
    Caller,
    ChatCall,
    ChatParams,
    Delta,
    Gateway,
    MemoryStore,
    Message,
    ModelCard,
    Price,
    Provider,
    ProviderSettings,
    ProviderSpec,
    Retry,
    Settings,
    Usage,
)
from fengchao_core.errors import (
    EmptyQuery,
    InvalidParameter,
    PermissionDenied,
    ProviderAuthFailed,
    ProviderProtocolError,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExhausted,
    RequestRejected,
    SensitiveContent,
    SettingsError,
    UnknownKnowledge,
    UnknownModel,
    WrongChannel,
)
from fengchao_core.types import EmbeddingResult, ImagePart, TextPart

PRICE = Price(
    input=Decimal("0.1"),
    output=Decimal("0.2"),
    currency="CNY",
    since=date(2020, 1, 1),
    source="test",
)
CARDS = (
    ModelCard(
        id="m",
        owned_by="v",
        upstream_id="vendor-m",
        prices=(PRICE,),
        max_output_tokens=100,
        capabilities=frozenset({"vision"}),
    ),
    ModelCard(id="spare", owned_by="v", upstream_id="vendor-spare"),
    ModelCard(id="home", owned_by="v", upstream_id="home", is_local=True),
    ModelCard(id="vectors", owned_by="v", upstream_id="vectors", kind="embedding"),
)


class Scripted(Provider):
    """Answers each call with the next script: a list whose items are batches, errors to raise, or events to await."""

    def __init__(self, *scripts):
        self.scripts = list(scripts)
        self.requests = []
        self.closed = asyncio.Event()

    async def stream(self, request):
        self.requests.append(request)
        script = self.scripts.pop(0) if self.scripts else answer("你好")
        try:
            for step in script:
                if isinstance(step, BaseException):
                    raise step
                if isinstance(step, asyncio.Event):
                    await step.wait()
                else:
                    yield step
        finally:
            self.closed.set()

    async def embed(self, request):
        return EmbeddingResult(
            vectors=tuple([float(len(text))] for text in request.inputs),
            usage=Usage(len(request.inputs), 0),
        )


def answer(*texts, usage=Usage(10, 5)) -> list[Sequence[Delta]]:
    return [*([Delta(text)] for text in texts), [Delta(finish_reason="stop", usage=usage)]]


@asynccontextmanager
async def opened(*providers, store=None, cards=CARDS, **settings):
    """A gateway with the given providers as the credentials of one kind, `scripted`."""
    queue = list(providers)

    @asynccontextmanager
    async def open_scripted(_settings, _context):
        yield queue.pop(0)

    spec = ProviderSpec("scripted", "Scripted", ProviderSettings, lambda: cards, open_scripted)
    sections = (
        {"scripted": {"credentials": [{} for _ in providers]}}
        if len(providers) > 1
        else {"scripted": {}}
    )
    tree = {
        "providers": sections,
        "retry": {"base_wait_s": 0, "max_wait_s": 0.01},
        "ledger": {"interval_s": 0},
        **settings,
    }
    async with Gateway.open(
        Settings.model_validate(tree), store=store or MemoryStore(), providers=[spec]
    ) as gateway:
        yield gateway


async def only_row(gateway):
    await gateway.flush()
    (row,) = await gateway.store.usage.rows()
    return row


async def collect(gateway, call, **options):
    async with aclosing(gateway.stream(call, **options)) as deltas:
        return [delta async for delta in deltas]


async def test_a_question_is_answered():
    """A whole answer has the text, the usage, the cost and the name of who answered."""
    async with opened(Scripted(answer("你", "好"))) as gateway:
        completion = await gateway.chat(ChatCall(model="m", query="问"))
    assert ("你好", 15, "scripted") == (
        completion.text,
        completion.usage.total_tokens,
        completion.provider,
    )
    assert Decimal("0.002") == completion.cost.amount


async def test_a_stream_is_the_same_answer_in_pieces():
    """The deltas of a stream join to the whole answer, and one of them ends it."""
    async with opened(Scripted(answer("你", "好"))) as gateway:
        deltas = await collect(gateway, ChatCall(model="m", query="问"))
    assert "你好" == "".join(delta.text for delta in deltas)
    assert ["stop"] == [delta.finish_reason for delta in deltas if delta.finish_reason]


async def test_the_provider_gets_a_sealed_request():
    """The vendor's own model name, the rendered system text, the history and the question arrive in order."""
    provider = Scripted()
    history = (Message("user", "一"), Message("assistant", "二"))
    async with opened(provider) as gateway:
        await gateway.chat(
            ChatCall(model="m", query="三", system="甲", history=history, request_id="r1")
        )
    (request,) = provider.requests
    assert ("vendor-m", "r1", False) == (request.model, request.request_id, request.stream)
    assert [("system", "甲"), ("user", "一"), ("assistant", "二"), ("user", "三")] == [
        (m.role, m.content) for m in request.messages
    ]


async def test_attachments_go_before_the_question():
    """A picture is sent in the user's message, before the rendered text."""
    provider = Scripted()
    picture = ImagePart("data:image/png;base64,iVBORw0KGgo=")
    async with opened(provider) as gateway:
        await gateway.chat(ChatCall(model="m", query="看", attachments=(picture,)))
    assert (picture, TextPart("看")) == provider.requests[0].messages[-1].content


async def test_messages_are_passed_as_they_are():
    """A whole conversation goes to the vendor unchanged, with no system text of the house."""
    provider = Scripted()
    messages = (Message("user", "hi"),)
    async with opened(provider) as gateway:
        await gateway.chat(ChatCall(model="m", messages=messages))
    assert messages == provider.requests[0].messages


async def test_each_request_leaves_one_row():
    """A good end is booked with tokens, cost, price and who asked."""
    async with opened(Scripted()) as gateway:
        await gateway.chat(ChatCall(model="m", query="问"), caller=Caller("k1", "team"))
        row = await only_row(gateway)
    assert ("k1", "m", "scripted", "ok", "", 1) == (
        row.key,
        row.model,
        row.provider,
        row.outcome,
        row.error,
        row.attempts,
    )
    assert (10, 5, "vendor", Decimal("0.002"), "CNY", "2020-01-01") == (
        row.prompt_tokens,
        row.completion_tokens,
        row.usage_source,
        row.cost,
        row.currency,
        row.price_since,
    )


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (ChatCall(model="nobody", query="问"), UnknownModel),
        (ChatCall(model="m", query="  "), EmptyQuery),
        (ChatCall(model="m"), EmptyQuery),
        (ChatCall(model="m", query="问", messages=(Message("user", "x"),)), InvalidParameter),
        (ChatCall(model="m", query="问", knowledge="nowhere"), UnknownKnowledge),
        (ChatCall(model="m", query="问", prompt="no placeholder"), InvalidParameter),
        (ChatCall(model="home", query="问", channel="online"), WrongChannel),
        (ChatCall(model="m", query="问", channel="local"), WrongChannel),
        (ChatCall(model="vectors", query="问"), InvalidParameter),
    ],
)
async def test_a_refusal_costs_nothing_and_is_booked(call, error):
    """What can be refused without the vendor is, and the row says so."""
    provider = Scripted()
    async with opened(provider) as gateway:
        with pytest.raises(error):
            await gateway.chat(call)
        row = await only_row(gateway)
    assert ([], "refused", error.__name__, 0) == (
        provider.requests,
        row.outcome,
        row.error,
        row.attempts,
    )


async def test_a_key_may_be_bound_to_models():
    """A caller whose key names models may use no other."""
    async with opened(Scripted(), Scripted()) as gateway:
        caller = Caller("k", "n", models=("spare",))
        await gateway.chat(ChatCall(model="spare", query="问"), caller=caller)
        with pytest.raises(PermissionDenied):
            await gateway.chat(ChatCall(model="m", query="问"), caller=caller)


async def test_an_unknown_model_gets_a_suggestion():
    """A near miss of a model's name is told the name that was probably meant."""
    async with opened(Scripted()) as gateway:
        with pytest.raises(UnknownModel, match="did you mean 'spare'"):
            await gateway.chat(ChatCall(model="sparee", query="问"))


async def test_a_failure_before_the_first_delta_is_retried():
    """A passing failure is invisible to the caller; the row counts both attempts."""
    provider = Scripted([ProviderUnavailable("down")], answer("好"))
    async with opened(provider) as gateway:
        completion = await gateway.chat(ChatCall(model="m", query="问"))
        row = await only_row(gateway)
    assert ("好", 2, "ok") == (completion.text, row.attempts, row.outcome)


async def test_a_failure_after_the_first_delta_is_not_retried():
    """What was shown is never repeated: the stream ends with the error, and what came is booked as an estimate."""
    provider = Scripted([[Delta("半句")], ProviderUnavailable("cut")], answer("好"))
    async with opened(provider) as gateway:
        seen = []
        with pytest.raises(ProviderUnavailable) as caught:
            async with aclosing(gateway.stream(ChatCall(model="m", query="问"))) as deltas:
                async for delta in deltas:
                    seen.append(delta.text)
        row = await only_row(gateway)
    assert (["半句"], 1, "failed") == (seen, row.attempts, row.outcome)
    assert ("estimate", True) == (row.usage_source, row.completion_tokens > 0)
    assert ("scripted", "m", 1) == (
        caught.value.provider,
        caught.value.model,
        caught.value.attempts,
    )


async def test_the_vendors_verdict_is_not_retried():
    """A request the vendor calls malformed is asked once."""
    provider = Scripted([RequestRejected("bad")])
    async with opened(provider) as gateway:
        with pytest.raises(RequestRejected):
            await gateway.chat(ChatCall(model="m", query="问"))
    assert 1 == len(provider.requests)


async def test_a_retry_goes_to_another_credential():
    """With two credentials the second attempt goes to the other."""
    providers = [Scripted([ProviderUnavailable("a")]), Scripted([ProviderUnavailable("b")])]
    async with opened(*providers) as gateway:
        await gateway.chat(ChatCall(model="m", query="问"))
    assert {1, 2} == {len(p.requests) for p in providers}


@pytest.mark.parametrize("error", [ProviderAuthFailed("key"), QuotaExhausted("arrears")])
async def test_a_credential_that_fails_is_passed_over(error):
    """A refused key or an empty account is no reason to fail while another credential works."""
    providers = [Scripted([error]), Scripted(answer("好"))]
    async with opened(*providers, retry={"attempts": 1}) as gateway:
        completion = await gateway.chat(ChatCall(model="m", query="问"))
        row = await only_row(gateway)
    assert ("好", [1, 1], 2) == (
        completion.text,
        [len(p.requests) for p in providers],
        row.attempts,
    )


async def test_a_fallback_answers_under_its_own_name_at_the_vendor():
    """When the model fails, its fallback is asked by the name its vendor knows."""
    provider = Scripted([ProviderUnavailable("down")], answer("好"))
    async with opened(provider, models={"m": {"fallbacks": ["spare"]}}) as gateway:
        await gateway.chat(ChatCall(model="m", query="问"))
    assert ["vendor-m", "vendor-spare"] == [r.model for r in provider.requests]


async def test_a_callers_retry_steers_its_call():
    """A Retry given with the call replaces the settings' number of attempts."""

    class Once(Retry):
        retry_num = 1

    provider = Scripted([ProviderUnavailable("down")])
    async with opened(provider) as gateway:
        with pytest.raises(ProviderUnavailable):
            await gateway.chat(ChatCall(model="m", query="问"), retry=Once())
    assert 1 == len(provider.requests)


@pytest.mark.parametrize(
    ("script", "limits", "phase"),
    [
        ([asyncio.Event()], {"first_delta_s": 0.05}, "first delta"),
        ([[Delta("x")], asyncio.Event()], {"idle_s": 0.05}, "idle"),
        ([[Delta("x")], asyncio.Event()], {"total_s": 0.05}, "total"),
    ],
)
async def test_a_silent_vendor_meets_a_limit(script, limits, phase):
    """Each limit ends a call that stalls, closes the provider's stream, and is booked as a time-out."""
    provider = Scripted(script)
    async with opened(provider, limits=limits, retry={"attempts": 1}) as gateway:
        with pytest.raises(ProviderTimeout) as caught:
            await collect(gateway, ChatCall(model="m", query="问"))
        row = await only_row(gateway)
    assert (phase, True, "timeout") == (caught.value.phase, provider.closed.is_set(), row.outcome)


async def test_a_caller_that_leaves_closes_the_vendor():
    """Closing the stream closes the provider's, and what was used is booked as cancelled."""
    provider = Scripted([[Delta("第一")], asyncio.Event()])
    async with opened(provider) as gateway:
        async with aclosing(gateway.stream(ChatCall(model="m", query="问"))) as deltas:
            async for _ in deltas:
                break
        row = await only_row(gateway)
    assert (True, "cancelled", "estimate") == (
        provider.closed.is_set(),
        row.outcome,
        row.usage_source,
    )


async def test_a_cancelled_task_closes_the_vendor():
    """Cancelling the task that waits for an answer closes the provider's stream and is booked."""
    provider = Scripted([asyncio.Event()])
    async with opened(provider) as gateway:
        task = asyncio.create_task(gateway.chat(ChatCall(model="m", query="问")))
        while not provider.requests:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        row = await only_row(gateway)
    assert (True, "cancelled") == (provider.closed.is_set(), row.outcome)


@pytest.mark.parametrize("script", [[], [[Delta("half")]], [[]]])
async def test_an_answer_that_does_not_end_is_an_error(script):
    """A stream that stops without a finish reason is the vendor's mistake, not a short answer."""
    async with opened(Scripted(script), retry={"attempts": 1}) as gateway:
        with pytest.raises(ProviderProtocolError):
            await collect(gateway, ChatCall(model="m", query="问"))


async def test_too_many_tokens_are_lowered_with_a_note():
    """A max_tokens above the model's most is lowered, and the answer says so."""
    provider = Scripted()
    async with opened(provider) as gateway:
        completion = await gateway.chat(
            ChatCall(model="m", query="问", params=ChatParams(max_tokens=500))
        )
    assert 100 == provider.requests[0].params.max_tokens
    assert "max_tokens was lowered from 500 to 100" in completion.notes[0]


async def test_a_providers_notes_reach_the_answer():
    """What a provider adapted is told in the answer's notes, not in its vendor facts."""
    script = [
        [Delta("x", extra={"notes": ["top_p was lowered"], "id": "v1"}, finish_reason="stop")]
    ]
    async with opened(Scripted(script)) as gateway:
        completion = await gateway.chat(ChatCall(model="m", query="问"))
    assert (("top_p was lowered",), {"id": "v1"}) == (completion.notes, dict(completion.extra))


async def test_twenty_streams_do_not_mix():
    """Concurrent streams each get their own answer."""
    scripts = [answer(*(f"{n}-{i} " for i in range(5))) for n in range(20)]
    provider = Scripted(*scripts)
    async with opened(provider) as gateway:
        results = await asyncio.gather(
            *(collect(gateway, ChatCall(model="m", query=str(n))) for n in range(20))
        )
    texts = {"".join(delta.text for delta in deltas) for deltas in results}
    assert {"".join(f"{n}-{i} " for i in range(5)) for n in range(20)} == texts


async def test_vectors_come_in_order_and_are_booked():
    """Embeddings answer in the order of the inputs and leave a row."""
    async with opened(Scripted()) as gateway:
        result = await gateway.embed("vectors", ["a", "bbb"])
        row = await only_row(gateway)
    assert (([1.0], [3.0]), 2, "ok") == (result.vectors, row.prompt_tokens, row.outcome)


async def test_an_empty_input_is_refused():
    """An empty text has no vector."""
    async with opened(Scripted()) as gateway:
        with pytest.raises(InvalidParameter):
            await gateway.embed("vectors", ["a", ""])


async def test_a_section_without_a_plugin_is_named():
    """A provider nobody brings stops start-up with what to install."""
    settings = Settings.model_validate({"providers": {"acme": {"api_key": "x"}}})
    with pytest.raises(SettingsError, match="install fengchao-acme"):
        async with Gateway.open(settings, store=MemoryStore()):
            pass


async def test_an_override_of_an_unknown_model_is_a_typing_mistake():
    """A [models] section for a model nobody serves stops start-up with the nearest name."""
    with pytest.raises(SettingsError, match="did you mean 'spare'"):
        async with opened(Scripted(), models={"sparre": {"fallbacks": ["m"]}}):
            pass


async def test_prices_can_be_overridden():
    """An operator's price replaces the card's."""
    price = {
        "input": "0.1",
        "output": "0.1",
        "currency": "USD",
        "since": date(2020, 1, 1),
        "source": "contract",
    }
    async with opened(Scripted(), models={"m": {"prices": [price]}}) as gateway:
        completion = await gateway.chat(ChatCall(model="m", query="问"))
    assert (Decimal("0.0015"), "USD") == (completion.cost.amount, completion.cost.currency)


def words(tmp_path, *listed):
    path = tmp_path / "words.txt"
    path.write_text("\n".join(listed), encoding="utf-8")
    return {"wordlists": [str(path)]}


async def test_a_blocked_word_stops_the_prompt(tmp_path):
    """A listed word in the question is refused before the vendor hears of it."""
    provider = Scripted()
    async with opened(provider, sensitive=words(tmp_path, "苹果派")) as gateway:
        with pytest.raises(SensitiveContent) as caught:
            await gateway.chat(ChatCall(model="m", query="我要苹 果 派"))
        row = await only_row(gateway)
    assert ([], "input", "sensitive") == (provider.requests, caught.value.direction, row.outcome)
    assert "苹果派" not in str(caught.value)


async def test_a_blocked_word_in_a_stream_ends_it(tmp_path):
    """A word cut over deltas is found; nothing of it was shown, and the usage is booked."""
    provider = Scripted(answer("我要苹", "果", "派吃"))
    async with opened(provider, sensitive=words(tmp_path, "苹果派")) as gateway:
        seen = []
        with pytest.raises(SensitiveContent):
            async with aclosing(gateway.stream(ChatCall(model="m", query="问"))) as deltas:
                async for delta in deltas:
                    seen.append(delta.text)
        row = await only_row(gateway)
    assert ("我要", "sensitive") == ("".join(seen), row.outcome)


async def test_a_replaced_word_is_starred(tmp_path):
    """With replacement exactly the word's characters become stars, in and out."""
    provider = Scripted(answer("我要苹", "果", "派吃"))
    async with opened(provider, sensitive=words(tmp_path, "苹果派")) as gateway:
        completion = await gateway.chat(
            ChatCall(model="m", query="给我苹果派", sensitive_replace=True)
        )
    assert "我要***吃" == completion.text
    assert "给我***" in provider.requests[0].messages[-1].content


async def test_the_filter_can_be_left_out(tmp_path):
    """A call with is_sensitive false is not screened."""
    provider = Scripted(answer("苹果派"))
    async with opened(provider, sensitive=words(tmp_path, "苹果派")) as gateway:
        completion = await gateway.chat(ChatCall(model="m", query="苹果派", is_sensitive=False))
    assert "苹果派" == completion.text
