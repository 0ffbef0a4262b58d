"""What a spec decides, and what it leaves alone."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from actors.contracts import ASPECTS, Dimension
from actors.errors import BadInput
from actors.policy import grammar
from actors.vocabulary import keys, read, read_query
from configs.load import load
from configs.synthesis import KindShares, SynthesisSettings
from train_jobs.synthesis.samples import Spec

SPEC = Spec.of(load("embedded"))


def test_the_same_spec_gives_the_same_samples_and_another_seed_others() -> None:
    again = Spec.of(load("embedded"))
    other = Spec.of(load("embedded", ["synthesis.seed=2"]))
    assert [SPEC.sample(i) for i in range(50)] == [again.sample(i) for i in range(50)]
    assert SPEC.id == again.id != other.id
    assert all(SPEC.sample(i).query != other.sample(i).query for i in range(50))


@pytest.mark.parametrize("speed", ["chunk=9", "in_flight=3", "window=2", "give_up=0.1", "caps.pictures=5"])
def test_settings_of_speed_and_price_leave_the_content_alone(speed: str) -> None:
    assert Spec.of(load("embedded", [f"synthesis.{speed}"])).id == SPEC.id


@pytest.mark.parametrize(
    "content",
    ["synthesis.hard_share=0.5", "synthesis.shard=9", "generator.long_side=128", "judge.weights.color=2"],
)
def test_settings_of_content_make_another_spec(content: str) -> None:
    assert Spec.of(load("embedded", [content])).id != SPEC.id


def test_slopes_of_a_calibration_make_another_spec() -> None:
    assert Spec.of(load("embedded"), {Dimension.TOTAL: 3.0}).id != SPEC.id


def test_how_a_service_is_reached_is_no_content() -> None:
    llm = Spec.of(load("embedded", ["policy.type=llm", "policy.http.base_url=http://a/v1"]))
    assert llm.id == Spec.of(load("embedded", ["policy.type=llm", "policy.http.base_url=http://b/v1"])).id
    assert llm.id != Spec.of(load("embedded", ["policy.type=llm", "policy.http.model=other"])).id


def test_every_block_of_a_stratified_stream_holds_each_value_once() -> None:
    values = keys("subject")
    for block in range(4):
        drawn = [grammar.turn(values, block * len(values) + i, 7, "x") for i in range(len(values))]
        assert sorted(drawn) == sorted(values)


def test_aspects_and_languages_are_even_and_subjects_nearly_so() -> None:
    queries = [SPEC.query(i) for i in range(960)]
    assert set(Counter(query.aspect for query in queries).values()) == {192}
    assert set(Counter(query.lang for query in queries).values()) == {480}
    subjects = Counter(key for query in queries for key in read_query(query).keys("subject"))
    assert set(subjects) == set(keys("subject"))
    assert max(subjects.values()) < 2 * min(subjects.values())


def test_queries_hold_no_word_that_the_vocabulary_does_not_know() -> None:
    queries = [SPEC.query(i) for i in range(600)]
    assert [(q.text, read_query(q).unknown) for q in queries if read_query(q).unknown] == []
    assert len({query.text for query in queries}) > 560


def test_kinds_come_in_their_shares_and_sides_are_balanced() -> None:
    samples = [SPEC.sample(i) for i in range(3000)]
    kinds = Counter(sample.kind for sample in samples)
    for kind, share in SPEC.settings.kinds.shares().items():
        assert kinds[kind] / 3000 == pytest.approx(share, abs=0.04)
    raw_first = [s.a.source == "raw" for s in samples if s.kind == "raw_engineered"]
    assert sum(raw_first) / len(raw_first) == pytest.approx(0.5, abs=0.06)


def test_each_kind_is_what_its_name_says() -> None:
    for sample in (SPEC.sample(i) for i in range(400)):
        assert sample.query in (sample.a.query, sample.b.query)
        assert sample.a.query.aspect == sample.b.query.aspect
        if sample.kind == "two_seeds":
            assert sample.a.query == sample.b.query and sample.a.source == sample.b.source
            assert sample.a.seed != sample.b.seed
        elif sample.kind == "raw_engineered":
            assert (sample.a.source == "raw") != (sample.b.source == "raw")
        else:
            assert sample.a.query.text != sample.b.query.text


def test_a_prompt_of_the_grammar_pins_every_open_facet() -> None:
    for index in range(40):
        query = SPEC.query(index)
        named = read(grammar.prompt(query, 1, index))
        assert all(named.keys(facet) for facet in grammar.PINNED)


def test_queries_of_a_file_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text("".join(json.dumps({"query": f"a lake {i}", "aspect": "4:3"}) + "\n" for i in range(5)))
    spec = Spec.of(load("embedded", [f"synthesis.queries={path}"]))
    assert sorted(spec.query(i).text for i in range(5, 10)) == [f"a lake {i}" for i in range(5)]
    path.write_text(json.dumps({"query": "another"}) + "\n")
    assert Spec.of(load("embedded", [f"synthesis.queries={path}"])).id != spec.id
    path.write_text("{}\n")
    with pytest.raises(BadInput, match="line 1"):
        Spec.of(load("embedded", [f"synthesis.queries={path}"]))


def test_shares_that_are_all_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="all shares are 0"):
        KindShares(two_seeds=0, raw_engineered=0, mismatched_query=0)


def test_frames_are_those_asked_for() -> None:
    spec = Spec(SynthesisSettings(aspects=("9:16",), langs=("zh",)), "{}")
    assert {(spec.query(i).aspect, spec.query(i).lang) for i in range(20)} == {("9:16", "zh")}
    assert set(SPEC.settings.aspects) == set(ASPECTS)
