from __future__ import annotations

import random
from collections import Counter

import pytest
import torch

from actors.contracts import Query
from actors.policy.tiny.sampling import Answers, pad_left, sample
from actors.policy.tiny.tokens import Tokens
from actors.policy.tiny.worker import grammar_of
from tests.policy.tiny_kit import model, queries, tokens
from train_jobs.ppo.networks import Texts, answer_log_probs

ASKED = queries(24)


def answers(dice: bool = True, rows: slice = slice(None), temperature: float = 1.0) -> Answers:
    asked = ASKED[rows]
    ids, mask = pad_left([tokens().query(query) for query in asked], tokens().pad)
    return sample(
        model(),
        ids,
        mask,
        grammar_of(tokens(), asked),
        pad=tokens().pad,
        end=tokens().end,
        dice=[random.Random(query.id) for query in asked] if dice else None,
        temperature=temperature,
    )


@pytest.mark.parametrize("dice", [False, True])
def test_every_answer_keeps_the_grammar(dice: bool) -> None:
    found = answers(dice)
    order = tokens().order
    for query, row, live in zip(ASKED, found.ids.tolist(), found.mask.tolist(), strict=True):
        said = [token for token, alive in zip(row, live, strict=True) if alive]
        assert said[-1] == tokens().end and set(said) <= set(tokens().allowed(query))
        assert [order[token] for token in said] == sorted({order[token] for token in said})
        assert all(token == tokens().pad for token, alive in zip(row, live, strict=True) if not alive)
        assert tokens().whole(query, dict(tokens()._values[token] for token in said[:-1]))


def test_log_probabilities_are_those_that_training_computes() -> None:
    found = answers()
    ids, mask = pad_left([tokens().query(query) for query in ASKED], tokens().pad)
    texts = Texts(ids, mask, torch.arange(len(ids)), found.ids, found.mask, grammar_of(tokens(), ASKED))
    said = answer_log_probs(model(), texts, tokens().pad)
    assert torch.allclose(said.log_probs[found.mask], found.logprobs[found.mask], atol=1e-5)
    assert bool((found.logprobs[~found.mask] == 0).all())


def test_answers_are_tensors_that_a_gradient_may_keep() -> None:
    found = answers()
    for each in (found.ids, found.mask, found.logprobs):
        assert not each.is_inference()


def test_an_answer_does_not_hang_on_its_neighbours() -> None:
    whole, few = answers(), answers(rows=slice(5, 8))
    for row, alone in zip(whole.ids[5:8].tolist(), few.ids.tolist(), strict=True):
        assert tokens().values(row) == tokens().values(alone)


def test_greedy_takes_the_likeliest() -> None:
    cold = answers(temperature=1e-6)
    assert torch.equal(cold.ids, answers(dice=False).ids)


def test_dice_fall_as_the_probabilities_say() -> None:
    """One query 4,000 times: each first token's share is within four deviations of its probability."""
    asked = ASKED[:1] * 4000
    ids, mask = pad_left([tokens().query(query) for query in asked], tokens().pad)
    grammar = grammar_of(tokens(), ASKED[:1])
    wide = grammar.rows(torch.zeros(4000, dtype=torch.int64))
    with torch.no_grad():
        found = sample(
            model(),
            ids,
            mask,
            wide,
            pad=tokens().pad,
            end=tokens().end,
            dice=[random.Random(place) for place in range(4000)],
        )
        logits, _ = model()(ids[:1], mask[:1])
    first = grammar.after(torch.tensor([tokens().pad]))[0]
    expected = torch.softmax(logits[0, -1].masked_fill(~first, -torch.inf), -1)
    counts = Counter(found.ids[:, 0].tolist())
    for token in tokens().allowed(ASKED[0]):
        share = float(expected[token])
        assert counts[token] / 4000 == pytest.approx(share, abs=4 * (share * (1 - share) / 4000) ** 0.5)


def test_nothing_that_is_open_is_passed_over() -> None:
    """After each token only the values of the next open facet, or the end; brute force."""
    kinds, asked = tokens(), [*ASKED, Query.of("moon at dusk, retro, no soft light, no bright light")]
    grammar = grammar_of(kinds, asked)
    order = kinds.order
    for row, query in enumerate(asked):
        allowed = kinds.allowed(query)
        for last in (kinds.pad, *allowed[1:]):
            behind = [token for token in allowed if order[token] > order[last]]
            nearest = min(order[token] for token in behind)
            found = grammar.rows(torch.tensor([row])).after(torch.tensor([last]))[0]
            assert set(found.nonzero()[:, 0].tolist()) == {t for t in behind if order[t] == nearest}


def test_tokens_that_no_answer_uses_have_no_place() -> None:
    kinds: Tokens = tokens()
    unused = set(range(kinds.size)) - set(kinds._values) - {kinds.end}
    assert {kinds.order[token] for token in unused} == {0}
