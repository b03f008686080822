"""The engine in this process: what comes out is what `generate` gives, for any company; places, refusals, failures."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing, asynccontextmanager

import pytest

torch = pytest.importorskip("torch", reason="the engine's libraries are not installed")

from fengchao_local_qwen.engine.config import EngineConfig
from fengchao_local_qwen.engine.face import (
    EngineBusyError,
    EngineFailedError,
    Prompt,
    PromptTooLongError,
    Sampling,
)
from fengchao_local_qwen.engine.loading import load_chat
from fengchao_local_qwen.engine.serving import ServingEngine

pytestmark = pytest.mark.xdist_group("local_qwen")

GREEDY = Sampling(temperature=0.0)
LONGEST_S = 60


def config_for(folder, **options):
    """A small engine."""
    given = {
        "model": "m",
        "folder": str(folder),
        "device": "cpu",
        "threads": 1,
        "cache_tokens": 2048,
    }
    return EngineConfig(**{**given, **options})


@asynccontextmanager
async def running(folder, *, max_queue=64, max_wait_s=30.0, **options):
    """An engine that runs, with the model it runs."""
    loaded = load_chat(config_for(folder, **options))
    engine = ServingEngine(
        loaded.backend,
        context_tokens=loaded.context_tokens,
        max_queue=max_queue,
        max_wait_s=max_wait_s,
    )
    engine.start()
    try:
        async with asyncio.timeout(LONGEST_S):
            yield engine
    finally:
        await engine.close()


async def ids_of(engine, prompt):
    """Every token of an answer."""
    async with aclosing(engine.submit(prompt)) as tokens:
        return [token.id async for token in tokens]


def mixed_prompts(count=16):
    """Prompts of mixed lengths, some with a common beginning."""
    chance = random.Random(7)
    shared = [chance.randrange(300) for _ in range(70)]
    return [
        (
            *(shared if at % 3 == 0 else []),
            *(chance.randrange(300) for _ in range(5 + 11 * at % 60)),
        )
        for at in range(count)
    ]


def generated(folder, prompts, lengths):
    """What transformers' own `generate` gives, one prompt at a time."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    answers = []
    for ids, length in zip(prompts, lengths, strict=True):
        given = torch.tensor([ids])
        out = model.generate(
            given,
            attention_mask=torch.ones_like(given),
            do_sample=False,
            max_new_tokens=length,
            pad_token_id=0,
        )
        answers.append(out[0, len(ids) :].tolist())
    return answers


@pytest.mark.parametrize("family", ["qwen2", "qwen3"])
async def test_greedy_answers_are_those_of_generate(folders, family):
    """Sixteen mixed requests at once give, token for token, what `generate` gives for each alone."""
    prompts = mixed_prompts()
    lengths = [4 + at * 5 % 23 for at in range(len(prompts))]
    expected = await asyncio.to_thread(generated, folders[family], prompts, lengths)
    async with running(folders[family]) as engine:
        ends = frozenset({engine_end(folders[family])})
        found = await asyncio.gather(
            *(
                ids_of(engine, Prompt(ids, length, GREEDY, ends))
                for ids, length in zip(prompts, lengths, strict=True)
            )
        )
    assert expected == found


def engine_end(folder):
    """The token that ends answers of a folder's model."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder).eos_token_id


async def test_the_plain_backend_gives_the_same(folders):
    """One by one through `generate`, the answers are the same, and waiting requests take turns."""
    prompts = mixed_prompts(4)
    expected = await asyncio.to_thread(generated, folders["qwen2"], prompts, [6] * 4)
    async with running(folders["qwen2"], batching="plain") as engine:
        assert "plain" == engine.backend.name
        ends = frozenset({engine_end(folders["qwen2"])})
        found = await asyncio.gather(
            *(ids_of(engine, Prompt(ids, 6, GREEDY, ends)) for ids in prompts)
        )
        assert expected == found
        seeded = Prompt(prompts[0], 12, Sampling(seed=3))
        assert await ids_of(engine, seeded) == await ids_of(engine, seeded)


async def test_seeds_hold_in_any_company(folders):
    """A seeded request draws the same tokens alone and among others, and another seed draws others."""
    async with running(folders["qwen2"]) as engine:
        seeded = Prompt((5, 6, 7), 12, Sampling(seed=11, top_p=0.9))
        alone = await ids_of(engine, seeded)
        others = [Prompt(ids, 12, Sampling(temperature=1.3)) for ids in mixed_prompts(6)]
        among = (await asyncio.gather(*(ids_of(engine, each) for each in (*others, seeded))))[-1]
        other = await ids_of(engine, Prompt((5, 6, 7), 12, Sampling(seed=12, top_p=0.9)))
    assert alone == among
    assert alone != other


async def test_a_caller_that_goes_gives_its_place_back(folders):
    """With one place, a request that is closed early lets the next one in, and nothing stays booked."""
    async with running(folders["qwen2"], max_batch=1) as engine:
        async with aclosing(engine.submit(Prompt((1, 2), 1000, GREEDY))) as tokens:
            await anext(tokens)
            waiting = asyncio.ensure_future(ids_of(engine, Prompt((1, 2), 3, GREEDY)))
            await asyncio.sleep(0)
            await anext(tokens)
            assert (1, 1) == (engine.stats().running, engine.stats().queued)
        assert 3 == len(await waiting)
        cancelled = asyncio.ensure_future(ids_of(engine, Prompt((1, 2), 1000, GREEDY)))
        while not engine.stats().running:
            await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        assert (0, 0, 0) == (
            engine.stats().running,
            engine.stats().queued,
            engine.stats().cache_used,
        )


async def test_a_short_request_is_not_held_up_by_a_long_one(folders):
    """A request that comes during a long one has its first token within three steps of the model."""
    async with (
        running(folders["qwen2"]) as engine,
        aclosing(engine.submit(Prompt((1, 2), 1500, GREEDY))) as long,
    ):
        await anext(long)
        before = engine.stats().steps
        async with aclosing(engine.submit(Prompt((3, 4, 5), 4, GREEDY))) as short:
            await anext(short)
            assert engine.stats().steps - before <= 3


async def test_a_prompt_that_cannot_fit_is_refused_and_harms_nobody(folders):
    """It is refused with the limit, before it reaches the model; others go on, and a long answer is shortened."""
    async with running(folders["qwen2"], cache_tokens=128) as engine:
        with pytest.raises(PromptTooLongError, match="128"):
            await ids_of(engine, Prompt(tuple(range(128)), 4, GREEDY))
        assert 28 == len(await ids_of(engine, Prompt(tuple(range(100)), 999, GREEDY)))
        many = [ids_of(engine, Prompt(tuple(range(60 + at)), 30, GREEDY)) for at in range(6)]
        assert [30] * 6 == [len(ids) for ids in await asyncio.gather(*many)]


async def test_a_full_queue_and_a_long_wait_are_refused(folders):
    """Beyond the queue a request is refused at once; one that waits too long is refused then."""
    async with running(folders["qwen2"], max_batch=1, max_queue=1, max_wait_s=0.3) as engine:
        async with aclosing(engine.submit(Prompt((1, 2), 1500, GREEDY))) as long:
            await anext(long)
            waits = asyncio.ensure_future(ids_of(engine, Prompt((1,), 2, GREEDY)))
            await asyncio.sleep(0)
            with pytest.raises(EngineBusyError, match="1 wait"):
                await ids_of(engine, Prompt((1,), 2, GREEDY))
            with pytest.raises(EngineBusyError, match=r"within 0\.3"):
                await waits
        assert 2 == len(await ids_of(engine, Prompt((1,), 2, GREEDY)))


async def test_a_failing_model_fails_its_requests_and_says_why(folders, monkeypatch):
    """An error within the model reaches every request, and the engine serves nothing more."""
    async with running(folders["qwen2"]) as engine:
        broken = asyncio.ensure_future(ids_of(engine, Prompt((1, 2), 500, Sampling(bias={0: "x"}))))
        with pytest.raises(EngineFailedError):
            await broken
        await engine.broken.wait()
        with pytest.raises(EngineFailedError):
            await ids_of(engine, Prompt((1,), 2, GREEDY))


async def test_draining_ends_what_runs_and_takes_nothing_more(folders):
    """What runs ends in peace, what comes later is refused."""
    async with running(folders["qwen2"]) as engine:
        last = asyncio.ensure_future(ids_of(engine, Prompt((1, 2), 20, GREEDY)))
        while not engine.stats().running:
            await asyncio.sleep(0)
        await engine.drain()
        with pytest.raises(EngineBusyError):
            await ids_of(engine, Prompt((1,), 2, GREEDY))
        assert 20 == len(await last)
        assert 20 == engine.stats().tokens
