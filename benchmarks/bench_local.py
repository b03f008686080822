"""
Local models' speed: a random-weight Qwen of about 115 million parameters with a real-size vocabulary, on this processor.

    python benchmarks/bench_local.py [--rounds 2] [--threads N] [--check]

Needs what `pip install 'fengchao-local-qwen[engine]'` brings; takes two to three minutes. Prints one table of figures with
their limits, and the memory used. `--check` fails if a limit is missed.

Every side serves the same sixteen requests, greedily, on the same weights with the same number of threads: transformers'
`generate` one by one, `generate` on one padded batch (which runs until its longest answer is done), and the engine. The
sides take turns, and the best round of each counts: other work on the machine hits only some. Only tokens that were asked
for count.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import torch

from fengchao_core import ChatCall, Gateway, Settings
from fengchao_core.store import MemoryStore
from fengchao_core.types import ChatParams
from fengchao_local_qwen.engine.config import EngineConfig
from fengchao_local_qwen.engine.face import Prompt, Sampling
from fengchao_local_qwen.engine.loading import Loaded, load_chat
from fengchao_local_qwen.engine.memory import resident_bytes
from fengchao_local_qwen.engine.row import Row
from fengchao_local_qwen.engine.sampler import choose
from fengchao_local_qwen.engine.serving import ServingEngine
from fengchao_local_qwen.engine.stand_in import make_stand_in

VOCABULARY = 151_936
REQUESTS = 16
GREEDY = Sampling(temperature=0.0)
SATURATED_S = 8.0
LOOK_EVERY_S = 0.005


@dataclass(frozen=True)
class Figure:
    """A line of the table."""

    what: str
    value: float
    unit: str
    limit: float | None = None
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Whether its limit, if it has one, is kept."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def show(self) -> str:
        """One line of the table."""
        bound = "" if self.limit is None else f"{'≥' if self.at_least else '≤'} {self.limit:g}"
        mark = "" if self.limit is None else "ok" if self.holds else "MISSED"
        return f"{self.what:<66} {self.value:>9.2f} {self.unit:<8} {bound:<8} {mark}"


def requests() -> list[tuple[list[int], int]]:
    """Sixteen prompts of 20 to 80 tokens, each with the 8 to 48 tokens of answer it wants."""
    chance = random.Random(3)
    return [
        ([chance.randrange(1000, VOCABULARY) for _ in range(chance.randint(20, 80))], length)
        for length in (8 + 40 * at // (REQUESTS - 1) for at in range(REQUESTS))
    ]


def fill_vocabulary(folder: Path) -> None:
    """Give every number of the model's vocabulary a word, so that each token travels through the gateway as text."""
    path = folder / "tokenizer.json"
    tokenizer = orjson.loads(path.read_bytes())
    words = tokenizer["model"]["vocab"]
    taken = {*words.values(), *(added["id"] for added in tokenizer["added_tokens"])}
    words.update({f"w{number}": number for number in range(VOCABULARY) if number not in taken})
    path.write_bytes(orjson.dumps(tokenizer))


def one_by_one(model: Any, asked: Sequence[tuple[list[int], int]]) -> None:
    for ids, length in asked:
        given = torch.tensor([ids])
        model.generate(
            given,
            attention_mask=torch.ones_like(given),
            do_sample=False,
            max_new_tokens=length,
            min_new_tokens=length,
            pad_token_id=0,
        )


def padded(model: Any, asked: Sequence[tuple[list[int], int]]) -> None:
    longest = max(len(ids) for ids, _ in asked)
    ids = torch.tensor([[0] * (longest - len(ids)) + ids for ids, _ in asked])
    mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids, _ in asked])
    length = max(length for _, length in asked)
    model.generate(
        ids,
        attention_mask=mask,
        do_sample=False,
        max_new_tokens=length,
        min_new_tokens=length,
        pad_token_id=0,
    )


async def together(engine: ServingEngine, asked: Sequence[tuple[list[int], int]]) -> None:
    async def one(ids: list[int], length: int) -> int:
        async with aclosing(engine.submit(Prompt(ids, length, GREEDY))) as tokens:
            return len([token async for token in tokens])

    done = await asyncio.gather(*(one(ids, length) for ids, length in asked))
    assert [length for _, length in asked] == done


async def steps_to_first_token(engine: ServingEngine) -> int:
    """The most steps that a short request waited, coming at eight moments of a long one."""
    worst = 0
    async with aclosing(engine.submit(Prompt(range(1000, 1040), 400, GREEDY))) as long:
        for _ in range(8):
            for _ in range(3):
                await anext(long)
            before = engine.stats().steps
            async with aclosing(engine.submit(Prompt(range(2000, 2020), 2, GREEDY))) as short:
                await anext(short)
            worst = max(worst, engine.stats().steps - before)
    return worst


async def decode_step_s(engine: ServingEngine) -> float:
    """Seconds of a step that gives sixteen tokens: the median time between two tokens of one of sixteen answers."""

    async def one(at: int) -> list[float]:
        async with aclosing(engine.submit(Prompt([1000 + at] * 32, 30, GREEDY))) as tokens:
            return [time.perf_counter() async for _ in tokens]

    first, *_ = await asyncio.gather(*(one(at) for at in range(REQUESTS)))
    return statistics.median(after - before for before, after in pairwise(first[5:]))


def mean_s(work: Callable[[], object], rounds: int) -> float:
    """Seconds of processor time, on average: some draws are refused and drawn again, which is part of the price."""
    work()
    begun = time.process_time()
    for _ in range(rounds):
        work()
    return (time.process_time() - begun) / rounds


def draw_s(logits: torch.Tensor, sampling: Sampling) -> float:
    """Seconds to choose a token for each of sixteen rows."""
    rows = [Row(str(at), Prompt((1,), 10**6, sampling)) for at in range(logits.shape[0])]
    return mean_s(lambda: choose(rows, logits), 40)


def sorted_s(logits: torch.Tensor) -> float:
    """Seconds that the usual top_p takes: sort the whole vocabulary, cut, draw."""

    def work() -> None:
        ordered, ids = torch.sort(logits, descending=False, dim=-1)
        cut = ordered.softmax(dim=-1).cumsum(dim=-1) <= 0.1
        kept = logits.masked_fill(cut.scatter(1, ids, cut), -torch.inf)
        torch.multinomial(kept.softmax(dim=-1), 1)

    return mean_s(work, 3)


async def loop_lag(folder: Path) -> tuple[float, float, float, float]:
    """
    The gateway's loop while sixteen streams keep the engine in its own process busy.

    Returns the longest lag and the 99th percentile in milliseconds, and the memory of gateway and engine in MiB.
    """
    section = {
        "models": {"bench": str(folder)},
        "devices": ["cpu"],
        "cache_tokens": 16384,
        "max_batch": REQUESTS,
    }
    settings = Settings(providers={"local_qwen": section})
    async with Gateway.open(settings, store=MemoryStore()) as gateway:
        params = ChatParams(max_tokens=900, temperature=0.0)
        call = ChatCall(model="bench", query="你好", params=params, is_sensitive=False)
        begun = asyncio.Event()

        async def stream() -> None:
            async with aclosing(gateway.stream(call)) as deltas:
                async for _ in deltas:
                    begun.set()

        streams = [asyncio.ensure_future(stream()) for _ in range(REQUESTS)]
        await begun.wait()
        lags: list[float] = []
        until = time.perf_counter() + SATURATED_S
        while time.perf_counter() < until:
            asleep = time.perf_counter()
            await asyncio.sleep(LOOK_EVERY_S)
            lags.append(1000 * (time.perf_counter() - asleep - LOOK_EVERY_S))
        (entry,) = gateway._catalog.entries()  # noqa: SLF001  # a look at the engine's process
        engine = next(iter(entry.deployments[0].provider.engines()))  # type: ignore[attr-defined]  # the plugin's own
        memory = _resident_mib(engine.pid)
        for each in streams:
            each.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
    lags.sort()
    return lags[-1], lags[int(0.99 * len(lags))], _resident_mib(os.getpid()), memory


def _resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024**2


async def speed(loaded: Loaded, model: Any, rounds: int) -> list[Figure]:
    asked = requests()
    wanted = sum(length for _, length in asked)
    engine = ServingEngine(
        loaded.backend, context_tokens=loaded.context_tokens, max_queue=64, max_wait_s=600
    )
    engine.start()
    try:
        await together(engine, asked[:4])  # warm
        best = [float("inf")] * 3
        for _ in range(rounds):
            for at, work in enumerate((one_by_one, padded)):
                begun = time.perf_counter()
                await asyncio.to_thread(work, model, asked)
                best[at] = min(best[at], time.perf_counter() - begun)
            begun = time.perf_counter()
            await together(engine, asked)
            best[2] = min(best[2], time.perf_counter() - begun)
        waited = await steps_to_first_token(engine)
        step = await decode_step_s(engine)
    finally:
        await engine.close()
    rates = [wanted / seconds for seconds in best]
    # On one thread, which flatters the step: threads that wait for each other on a busy machine measure the machine.
    torch.set_num_threads(1)
    torch.manual_seed(0)
    flat = torch.randn(REQUESTS, VOCABULARY)
    peaked = flat * 4
    greedy = draw_s(flat, GREEDY)
    figures = [
        Figure("sequential generate", rates[0], "tok/s"),
        Figure("static padded batch of 16", rates[1], "tok/s"),
        Figure("the engine, 16 at once", rates[2], "tok/s"),
        Figure("the engine / sequential", rates[2] / rates[0], "times", 2.5, at_least=True),
        Figure("the engine / static padded", rates[2] / rates[1], "times", 1.2, at_least=True),
        Figure("first token of a short request during a long one", waited, "steps", 3),
        Figure("a step of 16 rows, greedy", 1000 * step, "ms"),
    ]
    for name, logits in (("flat", flat), ("peaked", peaked)):
        took = draw_s(logits, Sampling(top_p=0.9)) - greedy
        figures.append(
            Figure(
                f"top_p 0.9, full vocabulary, {name} logits, of a step", 100 * took / step, "%", 15
            )
        )
    took = draw_s(peaked, Sampling(top_k=50, top_p=0.9)) - greedy
    figures += [
        Figure("top_k 50 and top_p 0.9, of a step", 100 * took / step, "%", 15),
        Figure("(top_p by sorting the vocabulary, of a step)", 100 * sorted_s(flat) / step, "%"),
    ]
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--check", action="store_true", help="fail if a limit is missed")
    options = parser.parse_args()
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as spare:
        folder = make_stand_in(
            Path(spare) / "model",
            hidden=512,
            layers=12,
            vocabulary=VOCABULARY,
            initializer_range=0.02,
            intermediate_size=1408,
            num_attention_heads=8,
            num_key_value_heads=8,
            tie_word_embeddings=True,
        )
        fill_vocabulary(folder)
        config = EngineConfig(
            model="bench",
            folder=str(folder),
            device="cpu",
            threads=options.threads,
            cache_tokens=4096,
            max_batch=REQUESTS,
        )
        loaded = load_chat(config)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        size = sum(p.numel() for p in model.parameters()) / 1e6
        load = os.getloadavg()[0]
        figures = asyncio.run(speed(loaded, model, options.rounds))
        figures.append(
            Figure(
                "memory of this process, with the model twice",
                (resident_bytes() or 0) / 1024**2,
                "MiB",
            )
        )
        del loaded, model
        gc.collect()
        worst, most, gateway, engine = asyncio.run(loop_lag(folder))
        figures += [
            Figure("gateway's loop while 16 streams run, longest lag", worst, "ms", 20),
            Figure("gateway's loop while 16 streams run, 99th percentile", most, "ms"),
            Figure("memory of the engine's process, 16384 tokens of cache", engine, "MiB"),
            Figure("memory of this process after, torch and all", gateway, "MiB"),
        ]
    print(
        f"{size:.0f} M parameters, float32, vocabulary {VOCABULARY}, torch {torch.__version__}, "
        f"{options.threads} threads, {os.cpu_count()} cores, load {load:.1f} before"
    )
    for figure in figures:
        print(figure.show())
    return 1 if options.check and not all(figure.holds for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
