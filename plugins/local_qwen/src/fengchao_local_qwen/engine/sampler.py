"""
From logits to tokens, each row by its own rules.

All rows of a step are served together: those that take the likeliest token, those with a top_k, and those that draw
from the whole vocabulary are three groups, each handled in a few tensor operations.

The nucleus (top_p) of the whole vocabulary is never sorted: sorting 150,000 numbers a row takes longer than anything
else of a step. A token is drawn from the full distribution and kept if the tokens likelier than it hold less than
top_p together, which is what being in the nucleus means; otherwise it is drawn again, from those likelier than the one
refused. That gives exactly the distribution that sorting gives.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from fengchao_local_qwen.engine.face import Token
from fengchao_local_qwen.engine.row import Row

_MOST_DRAWS = 32
_MOST_WISHES = 32


def choose(rows: Sequence[Row], logits: torch.Tensor) -> list[Token]:
    """
    Choose the next token of each row, and note it in the row.

    Args:
        rows: as many as the logits have.
        logits: [rows, vocabulary] float32; changed in place.
    """
    told = _log_probabilities(rows, logits)
    for at, row in enumerate(rows):
        if row.prompt.sampling.changes_logits:
            _adjust(row, logits[at])
    ids = _draw(rows, logits)
    for at, row in enumerate(rows):
        if row.prompt.guard is not None:
            ids[at] = _guarded(row, logits[at], ids[at])
    return [
        Token(token, row.take(token), *_told(told.get(at), token))
        for at, (row, token) in enumerate(zip(rows, ids, strict=True))
    ]


def _draw(rows: Sequence[Row], logits: torch.Tensor) -> list[int]:
    """A token for each row, by its temperature, top_k and top_p."""
    greedy: list[int] = []
    few: list[int] = []
    full: list[int] = []
    for at, row in enumerate(rows):
        sampling = row.prompt.sampling
        (greedy if sampling.is_greedy else few if sampling.top_k else full).append(at)
    ids = [0] * len(rows)
    for group, draw in ((greedy, _likeliest), (few, _from_few), (full, _from_all)):
        if group:
            own = logits if len(group) == len(rows) else logits[group]
            for at, token in zip(group, draw([rows[i] for i in group], own), strict=True):
                ids[at] = token
    return ids


def _likeliest(_: Sequence[Row], logits: torch.Tensor) -> list[int]:
    ids: list[int] = logits.argmax(dim=-1).tolist()
    return ids


def _from_few(rows: Sequence[Row], logits: torch.Tensor) -> list[int]:
    """top_k before top_p: what is sorted is a handful of numbers."""
    tops = torch.tensor([min(r.prompt.sampling.top_k, logits.shape[1]) for r in rows])
    best, ids = logits.topk(int(tops.max()), dim=-1)
    best = best.cpu() / _column(rows, "temperature")
    best[torch.arange(best.shape[1]) >= tops[:, None]] = -torch.inf
    probabilities = best.softmax(dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities
    probabilities[before >= _column(rows, "top_p")] = 0
    probabilities[:, 0] += probabilities.sum(dim=-1) <= 0  # a top_p of 0 keeps the likeliest
    sums = probabilities.cumsum(dim=-1)
    aim = torch.tensor([[row.random.random()] for row in rows]) * sums[:, -1:]
    place = (sums <= aim).sum(dim=-1, keepdim=True).clamp(max=best.shape[1] - 1)
    chosen: list[int] = ids.cpu().gather(1, place)[:, 0].tolist()
    return chosen


def _from_all(rows: Sequence[Row], logits: torch.Tensor) -> list[int]:
    """top_p over the whole vocabulary, by drawing and refusing."""
    if any(row.prompt.sampling.temperature != 1.0 for row in rows):
        logits = logits / _column(rows, "temperature").to(logits.device)
    share = logits.softmax(dim=-1)
    ids = [-1] * len(rows)
    undecided = list(range(len(rows)))
    for _ in range(_MOST_DRAWS):
        sums = share.cumsum(dim=-1)
        chances = [[rows[at].random.random()] for at in undecided]
        aim = torch.tensor(chances, device=sums.device, dtype=sums.dtype) * sums[:, -1:]
        drawn = torch.searchsorted(sums, aim, right=True).clamp(max=share.shape[1] - 1)
        levels = share.gather(1, drawn)[:, 0].tolist()
        # What is likelier than the token drawn. Row by row: masks over whole matrices take many times as long.
        likelier = [functional.threshold(share[i], level, 0.0) for i, level in enumerate(levels)]
        above = torch.stack([part.sum() for part in likelier]).tolist()
        again = []
        for i, (at, token) in enumerate(zip(undecided, drawn[:, 0].tolist(), strict=True)):
            if levels[i] > 0 and above[i] < rows[at].prompt.sampling.top_p:
                ids[at] = token
            else:
                again.append(i)
        if not again:
            return ids
        # What is not likelier than a refused token is outside the nucleus as well.
        share = torch.stack([likelier[i] for i in again])
        undecided = [undecided[i] for i in again]
    for at in undecided:
        ids[at] = int(logits[at].argmax())
    return ids


def _column(rows: Sequence[Row], name: str) -> torch.Tensor:
    """A figure of each row's sampling, [rows, 1] float32."""
    return torch.tensor([[getattr(row.prompt.sampling, name)] for row in rows], dtype=torch.float32)


def _adjust(row: Row, logits: torch.Tensor) -> None:
    """Put penalties and bias on [vocabulary] logits, in place."""
    sampling = row.prompt.sampling
    if sampling.repetition_penalty != 1.0:
        seen = row.seen(logits.device)
        values = logits[seen]
        by = sampling.repetition_penalty
        logits[seen] = torch.where(values < 0, values * by, values / by)
    if row.counts and (sampling.presence_penalty or sampling.frequency_penalty):
        said = torch.tensor(list(row.counts), device=logits.device)
        often = torch.tensor(list(row.counts.values()), device=logits.device, dtype=logits.dtype)
        logits[said] -= sampling.presence_penalty + sampling.frequency_penalty * often
    for token, by in sampling.bias.items():
        if 0 <= token < logits.shape[0]:
            logits[token] += by


def _guarded(row: Row, logits: torch.Tensor, wished: int) -> int:
    """The token wished for if it is allowed, else the next draws, else the likeliest of those that surely are."""
    guard = row.prompt.guard
    if guard is None:
        return wished
    forced = guard.forced(row.left)
    if forced is not None:
        return forced
    for _ in range(_MOST_WISHES):
        if guard.allows(wished):
            return wished
        logits[wished] = -torch.inf
        wished = _draw([row], logits[None])[0]
    allowed = [token for token in guard.likely() if guard.allows(token)]
    return max(allowed, key=lambda token: float(logits[token])) if allowed else wished


def _log_probabilities(
    rows: Sequence[Row], logits: torch.Tensor
) -> dict[int, tuple[torch.Tensor, list[tuple[int, float]]]]:
    """Of the rows that want them: every token's, and the likeliest ones'. By the model, before anything is changed."""
    found = {}
    for at, row in enumerate(rows):
        count = row.prompt.sampling.logprobs
        if count is None:
            continue
        own = logits[at].log_softmax(dim=-1)
        best = own.topk(min(count, own.shape[0])) if count else None
        top = (
            []
            if best is None
            else list(zip(best.indices.tolist(), best.values.tolist(), strict=True))
        )
        found[at] = (own, top)
    return found


def _told(
    told: tuple[torch.Tensor, list[tuple[int, float]]] | None, token: int
) -> tuple[float | None, Sequence[tuple[int, float]]]:
    return (None, ()) if told is None else (float(told[0][token]), told[1])
