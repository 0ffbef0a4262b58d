from __future__ import annotations

import math
import random
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from actors.contracts import Dimension, PairRecord, PairSide, Prompt, Query, content_id
from actors.pairs.card import NONE, Card, card_of
from actors.pairs.stats.near import AlikeTally
from actors.pairs.stats.parts import Bins, evenness
from actors.pairs.stats.sketch import Lowest
from actors.pixels import hash_distance
from actors.vocabulary import keys

TOTAL, COLOR, LIGHTING = Dimension.TOTAL, Dimension.COLOR, Dimension.LIGHTING


def a_side(query: Query, name: str, phash: str = "") -> PairSide:
    prompt = Prompt.of(f"{query.text}, {name}", query=query, strategy_id="s", policy_version="p")
    return PairSide(
        prompt=prompt, sha256=name * 8, path=f"pictures/{name}.png", width=4, height=3, phash=phash
    )


def a_pair(
    id: str,
    scores: dict[Dimension, tuple[float, float]] | None = None,
    *,
    text: str = "the moon",
    hashes: tuple[str, str] = ("", ""),
    pictures: tuple[str, str] | None = None,
    **more: Any,
) -> PairRecord:
    """A pair whose sides have these scores; labels as of a judge with 12 log-odds a unit of score."""
    scores = {TOTAL: (0.9, 0.4)} if scores is None else scores
    query = Query.of(text)
    a, b = pictures or (f"{id}-a", f"{id}-b")
    fields: dict[str, Any] = {
        "kind": "two_seeds",
        "scores": {d: {"winner": max(ab), "loser": min(ab)} for d, ab in scores.items()},
        "labels": {d: 1 / (1 + math.exp(-12 * (a - b))) for d, (a, b) in scores.items()},
        "versions": {"judge": "j-1"},
        **more,
    }
    return PairRecord(
        id=id, query=query, a=a_side(query, a, hashes[0]), b=a_side(query, b, hashes[1]), **fields
    )


def many(n: int, seed: int = 0) -> list[PairRecord]:
    rng = random.Random(seed)
    texts = ["a lighthouse at dusk, calm", "水墨风的月亮", "a cover", 'retro poster titled "Hello"']
    kinds = ["two_seeds", "raw_engineered", "mismatched_query"]
    return [
        a_pair(
            f"r{i}",
            {d: (rng.random(), rng.random()) for d in Dimension},
            text=rng.choice(texts),
            hashes=(f"{rng.getrandbits(64):016x}", f"{rng.getrandbits(64):016x}"),
            kind=rng.choice(kinds),
            consistent=rng.random() < 0.9,
        )
        for i in range(n)
    ]


def test_counts_and_facets_come_from_the_query() -> None:
    records = [
        a_pair("1", text="a lighthouse and the moon at dusk"),
        a_pair("2", text="a lighthouse, no moon"),
        a_pair("3", text="《茶史》的封面图", kind="mismatched_query", labelled_by="human"),
    ]
    card = card_of(records)
    assert card.facets["subject"] == {
        **dict.fromkeys(keys("subject"), 0),
        "lighthouse": 2,
        "moon": 1,
        NONE: 1,
    }
    assert list(card.facets["subject"])[:2] == ["lighthouse", "moon"]
    assert card.facets["time"]["dusk"] == 1 and card.facets["time"][NONE] == 2
    assert card.counts == {
        "lang": {"en": 2, "zh": 1},
        "aspect": {"1:1": 3},
        "labelled_by": {"judge": 2, "human": 1},
    }
    assert {kind: labels.pairs for kind, labels in card.kinds.items()} == {
        "two_seeds": 2,
        "mismatched_query": 1,
    }
    assert (card.queries, card.pictures, card.exact) == (3, 6, True)
    assert card.titled == pytest.approx(1 / 3, abs=1e-6)
    assert card.versions == {"judge": {"j-1": 3}}
    assert sum(card.query_chars.counts) == 3 and sum(card.prompt_chars.counts) == 6


def test_hard_pairs_have_a_small_gap_or_an_unsure_label() -> None:
    records = [
        a_pair("far", {TOTAL: (0.9, 0.2)}, consistent=True),
        a_pair("near", {TOTAL: (0.5, 0.45)}),
        a_pair("edge", {TOTAL: (0.9, 0.8)}),
        a_pair("softened", {TOTAL: (0.9, 0.2)}, labels={TOTAL: 0.6}, consistent=False),
        a_pair("unscored", {}),
    ]
    card = card_of(records)
    assert card.labels.hard == 0.5
    assert card.labels.gap == pytest.approx((0.7 + 0.05 + 0.1 + 0.7) / 4)
    assert card.labels.consistent == 0.5
    assert card_of(records, hard_gap=0.0, hard_probability=0.5).labels.hard == 0.0
    assert sum(card.gaps.counts) == sum(card.leans.counts) == 4
    assert card.gaps.counts[1] == 1 and card.gaps.counts[2] == 1 and card.gaps.counts[14] == 2


def test_the_balance_of_sides_leaves_ties_out() -> None:
    records = [a_pair(str(i), {TOTAL: (0.8, 0.2)}) for i in range(3)]
    records += [a_pair("b", {TOTAL: (0.2, 0.8)}), a_pair("tie", {TOTAL: (0.5, 0.5)})]
    labels = card_of(records).labels
    assert (labels.pairs, labels.decided, labels.first_wins) == (5, 4, 0.75)


def test_a_dimension_is_held_against_the_total() -> None:
    records = [
        a_pair("same", {TOTAL: (0.8, 0.2), COLOR: (0.9, 0.1)}),
        a_pair("same too", {TOTAL: (0.2, 0.8), COLOR: (0.1, 0.9)}),
        a_pair("other", {TOTAL: (0.8, 0.2), COLOR: (0.1, 0.9)}),
        a_pair("tie", {TOTAL: (0.8, 0.2), COLOR: (0.5, 0.5)}),
        a_pair("total ties", {TOTAL: (0.5, 0.5), COLOR: (0.1, 0.5)}),
        a_pair("absent"),
    ]
    color = card_of(records).dimensions[COLOR]
    assert (color.labelled, color.ties, color.against_total) == (5, 0.2, pytest.approx(1 / 3, abs=1e-6))
    assert color.mean == pytest.approx(0.46)
    assert set(card_of(records).dimensions) == {TOTAL, COLOR}


def test_correlation_is_pearsons_over_the_pairs_that_have_both() -> None:
    records = many(60)
    records = [
        r.model_copy(update={"labels": {d: p for d, p in r.labels.items() if d != LIGHTING or i % 3}})
        for i, r in enumerate(records)
    ]
    found = card_of(records).correlation
    expected = []
    for first, second in combinations(found.dimensions, 2):
        both = [(r.labels[first], r.labels[second]) for r in records if {first, second} <= r.labels.keys()]
        r = float(np.corrcoef(np.array(both).T)[0, 1])
        i, j = found.dimensions.index(first), found.dimensions.index(second)
        assert found.matrix[i][j] == found.matrix[j][i] == pytest.approx(r, abs=1e-5)
        expected += [r] if TOTAL not in (first, second) else []
    assert found.collapse == pytest.approx(np.mean(expected), abs=1e-5)


def test_one_opinion_under_many_names_is_a_collapse() -> None:
    rng = random.Random(1)
    records = [a_pair(str(i), dict.fromkeys(Dimension, (rng.random(), rng.random()))) for i in range(40)]
    assert card_of(records).correlation.collapse == 1.0
    constant = [a_pair(str(i), dict.fromkeys(Dimension, (0.7, 0.1))) for i in range(40)]
    assert card_of(constant).correlation.collapse is None


def test_alike_pictures_are_found_within_and_across_pairs() -> None:
    base = "00000000000000ff"
    records = [
        a_pair("1", hashes=(base, "00000000000000fc")),
        a_pair("2", hashes=("ffff000000000000", "0f0f0f0f0f0f0f0f")),
        a_pair("3", hashes=("00000000000000fe", "f0f0f0f000000000")),
    ]
    alike = card_of(records).alike
    assert (alike.pairs, alike.pictures, alike.searched) == (pytest.approx(1 / 3, abs=1e-6), 0.5, 6)
    assert card_of(records, near_bits=0).alike.pictures == 0.0
    again = card_of([*records, a_pair("4", pictures=("1-a", "2-a"), hashes=(base, "ffff000000000000"))])
    assert again.alike.searched == 6 and again.alike.pictures == 0.5
    assert card_of([a_pair("no hash")]).alike.pairs is None


@given(st.lists(st.integers(0, 2**64 - 1).map(lambda n: f"{n & 0xF0F:016x}"), max_size=40), st.integers(0, 4))
@settings(max_examples=40, deadline=None)
def test_alike_agrees_with_comparing_every_two(hashes: list[str], bits: int) -> None:
    tally = AlikeTally(bits)
    for i, phash in enumerate(hashes):
        tally.add(a_pair(str(i), hashes=(phash, "")))
    near = [
        any(i != j and hash_distance(a, b) <= bits for j, b in enumerate(hashes))
        for i, a in enumerate(hashes)
    ]
    assert tally.done().pictures == (pytest.approx(np.mean(near), abs=1e-6) if hashes else None)


def test_the_run_is_reconciled() -> None:
    run = {
        "requested": 3,
        "examined": 10,
        "accepted": 3,
        "rejected": {"easy": 4, "near_duplicate": 1},
        "quarantined": {"judge: TimedOut": 2},
        "seconds": 1.5,
        "spent": {"pictures": 20},
    }
    counts = card_of(many(3), run).run
    assert counts is not None and counts.difference == 0 and counts.rejected["easy"] == 4
    lost = card_of(many(3), {**run, "examined": 12}).run
    assert lost is not None and lost.difference == 2
    assert card_of([], {"refused": {"easy": 4}}).run == card_of([], {"rejected": {"easy": 4}}).run
    assert card_of(many(3)).run is None
    with pytest.raises(ValidationError):
        card_of([], {"examined": "many"})


def test_the_card_does_not_depend_on_the_order_of_the_rows() -> None:
    records = many(80)
    shuffled = random.Random(3).sample(records, len(records))
    assert card_of(records) == card_of(shuffled)


def test_the_card_survives_json() -> None:
    card = card_of(many(30), {"requested": 30, "examined": 31, "accepted": 30, "refused": {"easy": 1}})
    assert Card.model_validate_json(card.model_dump_json()) == card


def test_an_empty_dataset_has_a_card() -> None:
    card = card_of([])
    assert (card.labels.pairs, card.labels.hard, card.correlation.collapse) == (0, None, None)
    assert card.kinds == {} and card.samples == () and card.evenness["subject"] is None
    assert Card.model_validate_json(card.model_dump_json()) == card


def test_samples_are_of_every_kind_in_turn() -> None:
    records = many(60)
    samples = card_of(records, samples=3).samples
    assert len(samples) == 9 and len({record.kind for record in samples[:3]}) == 3
    fewer = {record.id for record in card_of(records[:40], samples=3).samples}
    assert {record.id for record in samples if int(record.id[1:]) < 40} <= fewer


def test_records_are_read_once_and_not_kept() -> None:
    def stream() -> Iterator[PairRecord]:
        yield from many(20)

    assert card_of(stream()).labels.pairs == 20


def test_evenness_is_one_when_all_are_equal() -> None:
    assert evenness({"a": 5, "b": 5}, 2) == 1.0
    assert evenness({"a": 5, "b": 0}, 2) == 0.0
    assert evenness({"a": 5, "b": 5}, 4) == 0.5
    assert evenness({}, 4) is None


@given(st.lists(st.floats(-1, 2), max_size=30))
def test_bins_count_everything_where_it_belongs(values: list[float]) -> None:
    bins = Bins((0.0, 0.5, 1.0))
    for value in values:
        bins.add(value)
    assert bins.done().counts == (sum(v < 0.5 for v in values), sum(v >= 0.5 for v in values))


@given(st.lists(st.text(max_size=3), max_size=60), st.integers(1, 8), st.randoms())
@settings(deadline=None)
def test_a_sketch_keeps_the_same_names_in_any_order(names: list[str], limit: int, rng: random.Random) -> None:
    shuffled = rng.sample(names, len(names))
    kept = []
    for order in (names, shuffled):
        sketch: Lowest[str] = Lowest(limit)
        for name in order:
            sketch.add(name, name)
        kept.append((sketch.values(), sketch.complete, sketch.distinct()))
    assert kept[0] == kept[1]
    values, complete, distinct = kept[0]
    assert len(values) == min(limit, len(set(names)))
    assert complete == (len(set(names)) <= limit)
    assert not complete or distinct == len(set(names))


def test_a_full_sketch_estimates_how_many_there_were() -> None:
    sketch: Lowest[None] = Lowest(1024)
    for i in range(30_000):
        sketch.add(content_id(i % 20_000), None)
    assert not sketch.complete
    assert sketch.distinct() == pytest.approx(20_000, rel=0.1)
