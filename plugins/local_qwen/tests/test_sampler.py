"""Tokens are drawn as they should be: each row by its own rules, and the nucleus exactly."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the engine's libraries are not installed")

from fengchao_local_qwen.engine.face import Prompt, Sampling
from fengchao_local_qwen.engine.row import Row
from fengchao_local_qwen.engine.sampler import choose

pytestmark = pytest.mark.xdist_group("local_qwen")


def row(ids=(1,), *, max_new_tokens=10_000, guard=None, **sampling):
    """A row with these rules."""
    return Row("r", Prompt(ids, max_new_tokens, Sampling(**sampling), frozenset({0}), guard))


def shares(logits, draws=4000, **sampling):
    """How often each token is drawn, in a few big steps of rows that differ by their seed only."""
    rows = [row(seed=seed, **sampling) for seed in range(draws)]
    tokens = choose(rows, logits.repeat(draws, 1))
    counts = Counter(token.id for token in tokens)
    return torch.tensor([counts[i] / draws for i in range(logits.shape[0])])


LOGITS = torch.tensor([0.0, 2.0, 1.0, -1.0, 1.5, 0.5, -3.0, 0.2])


def nucleus(logits, top_p, temperature=1.0, top_k=0):
    """The distribution by the definition: sorted, cut, made whole again."""
    probabilities = (logits / temperature).softmax(0)
    order = probabilities.argsort(descending=True)
    if top_k:
        probabilities[order[top_k:]] = 0
        probabilities /= probabilities.sum()
    before = 0.0
    for token in order:
        share = float(probabilities[token])
        if before >= top_p:
            probabilities[token] = 0
        before += share
    return probabilities / probabilities.sum()


@pytest.mark.parametrize(
    "rules",
    [
        {"temperature": 1.0},
        {"temperature": 0.7, "top_p": 0.8},
        {"temperature": 1.5, "top_p": 0.5},
        {"temperature": 1.0, "top_k": 3},
        {"temperature": 1.2, "top_k": 5, "top_p": 0.7},
    ],
)
def test_draws_follow_the_distribution(rules):
    """Over many draws the shares are those of the definition, and nothing outside of the nucleus is ever drawn."""
    expected = nucleus(LOGITS, rules.get("top_p", 1.0), rules["temperature"], rules.get("top_k", 0))
    found = shares(LOGITS, **rules)
    assert bool((found[expected == 0] == 0).all())
    assert float((expected - found).abs().max()) < 0.04


@hypothesis_settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-8, 8), min_size=2, max_size=40), st.floats(0.0, 1.0), st.integers(0, 2**31)
)
def test_a_token_is_always_of_the_nucleus(values, top_p, seed):
    """For any logits and any top_p, the tokens likelier than the one drawn hold less than top_p together."""
    logits = torch.tensor(values)
    (token,) = choose([row(seed=seed, top_p=top_p)], logits[None].clone())
    probabilities = logits.softmax(0)
    above = float(probabilities[probabilities > probabilities[token.id]].sum())
    assert above < top_p + 1e-5 or token.id == int(probabilities.argmax())


def test_each_row_has_its_own_rules():
    """Greedy, few and free rows in one step do not touch each other; seeds give the same draws in any company."""
    rules = [
        {"temperature": 0.0},
        {"top_k": 3, "seed": 7},
        {"top_p": 0.9, "seed": 8},
        {"top_k": 1, "temperature": 5.0},
        {"temperature": 3.0, "seed": 9},
    ]
    together = choose([row(**each) for each in rules], LOGITS.repeat(5, 1))
    alone = [choose([row(**each)], LOGITS.clone()[None])[0] for each in rules]
    assert [token.id for token in alone] == [token.id for token in together]
    assert together[0].id == together[3].id == 1


def test_repetition_penalty_is_that_of_transformers():
    """The penalty on prompt and answer gives the logits that transformers' own gives."""
    from transformers import RepetitionPenaltyLogitsProcessor

    ids = (1, 4, 3)
    expected = RepetitionPenaltyLogitsProcessor(1.7)(torch.tensor([ids]), LOGITS.clone()[None])
    ours = LOGITS.clone()[None]
    each = row(ids[:2], temperature=0.0, repetition_penalty=1.7)
    each.take(3)
    choose([each], ours)
    assert torch.allclose(expected, ours)


def test_penalties_and_bias_change_what_is_likely():
    """A token that came is made less likely by how often it came; a bias rules a token in or out."""
    each = row(temperature=0.0, frequency_penalty=0.3, presence_penalty=0.1)
    assert [1, 1, 4, 1, 4] == [choose([each], LOGITS.clone()[None])[0].id for _ in range(5)]
    banned = row(temperature=0.0, bias={1: -100.0, 999: 5.0})
    assert 4 == choose([banned], LOGITS.clone()[None])[0].id


def test_log_probabilities_are_the_models_own():
    """They are taken before temperature, penalties and nucleus, and the likeliest are told in order."""
    each = row(temperature=0.0, bias={1: -100.0}, logprobs=2)
    (token,) = choose([each], LOGITS.clone()[None])
    own = LOGITS.log_softmax(0)
    assert pytest.approx(float(own[4])) == token.logprob
    assert [1, 4] == [other for other, _ in token.top]


def test_the_last_token_is_marked():
    """A stop token and the last token there is room for are the last; others are not."""
    assert choose([row(temperature=0.0)], torch.tensor([[5.0, 1.0]]))[0].is_last
    assert not choose([row(temperature=0.0)], torch.tensor([[1.0, 5.0]]))[0].is_last
    assert choose([row(temperature=0.0, max_new_tokens=1)], torch.tensor([[1.0, 5.0]]))[0].is_last
