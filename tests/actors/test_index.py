"""The lexical index against a naive oracle."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.index import LexicalIndex, terms

WORDS = st.sampled_from(["moon", "Sea", "lake", "月亮", "湖", "海上明月", "shape_tall", "红", "a"])
TEXTS = st.lists(WORDS, max_size=6).map(" ".join)
STEPS = st.lists(st.tuples(st.sampled_from(["add", "remove"]), st.sampled_from("abcdef"), TEXTS), max_size=40)


def oracle(texts: dict[str, str], query: str, k: int) -> list[tuple[str, float]]:
    counted = {id: Counter(terms(text)) for id, text in texts.items()}
    average = max(sum(c.total() for c in counted.values()) / max(1, len(counted)), 1e-9)
    scores = dict.fromkeys(texts, 0.0)
    for term, weight in Counter(terms(query)).items():
        df = sum(term in c for c in counted.values())
        for id, c in counted.items():
            norm = 1.2 * (0.25 + 0.75 * c.total() / average)
            idf = math.log(1 + (len(counted) - df + 0.5) / (df + 0.5))
            scores[id] += weight * idf * c[term] * 2.2 / (c[term] + norm)
    ranked = sorted(((id, s) for id, s in scores.items() if s > 0), key=lambda x: (-round(x[1], 9), x[0]))
    return ranked[:k]


@settings(max_examples=200, deadline=None)
@given(STEPS, TEXTS, st.integers(0, 7))
def test_equals_the_oracle_after_any_additions_and_removals(
    steps: list[tuple[str, str, str]], query: str, k: int
) -> None:
    index, texts = LexicalIndex(), dict[str, str]()
    for verb, id, text in steps:
        if verb == "add":
            index.add(id, text)
            texts[id] = text
        elif id in texts:
            index.remove(id)
            del texts[id]
    found, expected = index.search(query, k), oracle(texts, query, k)
    assert len(index) == len(texts)
    assert [score for _, score in found] == pytest.approx([score for _, score in expected])
    assert {id for id, score in found if score > found[-1][1] + 1e-9} <= {id for id, _ in expected}


def test_words_and_chinese_characters() -> None:
    assert list(terms("The Moon's shape_tall ２月")) == ["the", "moon", "s", "shape_tall", "2", "月"]
    assert list(terms("明月夜ok")) == ["明", "月", "夜", "明月", "月夜", "ok"]


def test_ties_come_in_order_of_id() -> None:
    index = LexicalIndex()
    for id in ("c", "a", "b", "d"):
        index.add(id, "a calm lake")
    assert [id for id, _ in index.search("lake", 3)] == ["a", "b", "c"]


def test_many_removals_are_compacted_away() -> None:
    index = LexicalIndex()
    for i in range(400):
        index.add(str(i), f"word{i} lake")
    for i in range(390):
        index.remove(str(i))
    assert len(index) == 10
    assert len(index._ids) < 100
    assert [id for id, _ in index.search("word395", 5)] == ["395"]
    with pytest.raises(KeyError):
        index.remove("0")
