from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from actors.contracts import PairRecord, PairSide, Prompt, Query
from actors.errors import BadInput
from actors.vocabulary import keys, phrase
from train_jobs.ranking.split import Atom, Split, atoms_of, part_of, rarest_generator, split

SHARES = {"test": 0.2, "validation": 0.2}


def pair(
    number: int, query: str, first: str | None = None, second: str | None = None, generator: str = ""
) -> PairRecord:
    asked = Query.of(query)

    def side(text: str | None) -> PairSide:
        prompt = Prompt.of(text or query, query=asked, strategy_id="s", policy_version="p")
        return PairSide(prompt=prompt, sha256="", path="", width=8, height=8)

    return PairRecord(
        id=f"pair-{number}",
        kind="two_seeds",
        query=asked,
        a=side(first),
        b=side(second),
        scores={},
        labels={},
        versions={"generator": generator} if generator else {},
    )


def drawn_pairs(seed: int, n: int, generators: Sequence[str] = ("",)) -> list[PairRecord]:
    """Pairs in both languages, some of no known subject."""
    dice = random.Random(seed)
    found = []
    for number in range(n):
        lang = dice.choice(("en", "zh"))
        words = [phrase("subject", dice.choice(keys("subject")), lang) for _ in range(dice.randint(0, 2))]
        text = ", ".join(words) or f"nothing known {dice.randint(0, 30)}"
        style = dice.choice(("", *(phrase("style", key, lang) for key in keys("style"))))
        found.append(pair(number, text, f"{text}, {style}" if style else text, None, dice.choice(generators)))
    return found


def try_split(records: list[PairRecord], seed: int) -> Split:
    try:
        return split(records, **SHARES, seed=seed)
    except BadInput:
        assume(False)
        raise


seeds = st.integers(0, 2**31 - 1)


@given(seeds, st.integers(30, 80), seeds)
@settings(deadline=None, max_examples=40)
def test_no_atom_of_test_or_validation_is_trained_on(data: int, n: int, seed: int) -> None:
    records = drawn_pairs(data, n)
    found = try_split(records, seed)
    atoms = {part: set().union(*(atoms_of(records[i]) for i in getattr(found, part))) for part in found.pairs}
    held = {part: {a for a in atoms[part] if part_of(a, **SHARES, seed=seed) == part} for part in atoms}
    assert held["test"] and held["validation"]
    assert not held["test"] & (atoms["train"] | atoms["validation"])
    assert not held["validation"] & atoms["train"]
    for index, unseen in zip(found.test, found.wholly_unseen, strict=True):
        assert unseen == (not atoms_of(records[index]) & (atoms["train"] | atoms["validation"]))


@given(seeds, st.integers(30, 80), seeds)
@settings(deadline=None, max_examples=40)
def test_every_pair_is_in_one_part(data: int, n: int, seed: int) -> None:
    found = try_split(drawn_pairs(data, n, ("g", "h", "i")), seed)
    assert sorted(found.train + found.validation + found.test) == list(range(n))
    assert found.pairs == {
        "train": len(found.train),
        "validation": len(found.validation),
        "test": len(found.test),
    }
    for members in (found.train, found.validation, found.test):
        assert list(members) == sorted(members)


@given(seeds, st.integers(30, 60), seeds, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=40)
def test_the_order_of_the_records_does_not_matter(data: int, n: int, seed: int, dice: random.Random) -> None:
    records = drawn_pairs(data, n, ("g", "h"))
    mixed = dice.sample(records, n)
    one, other = try_split(records, seed), try_split(mixed, seed)
    assert one.held_out == other.held_out
    assert one.atoms == other.atoms
    for part in one.pairs:
        assert {records[i].id for i in getattr(one, part)} == {mixed[i].id for i in getattr(other, part)}
    unseen = {records[i].id for i, new in zip(one.test, one.wholly_unseen, strict=True) if new}
    assert unseen == {mixed[i].id for i, new in zip(other.test, other.wholly_unseen, strict=True) if new}


def test_another_seed_holds_out_other_atoms() -> None:
    records = drawn_pairs(0, 300)
    assert split(records, **SHARES, seed=1).test != split(records, **SHARES, seed=2).test


def test_shares_are_of_the_atoms() -> None:
    atoms = [Atom(subject, style) for subject in keys("subject") for style in (*keys("style"), "open")]
    parts = [part_of(atom, 0.2, 0.1, seed) for seed in range(10) for atom in atoms]
    assert parts.count("test") / len(parts) == pytest.approx(0.2, abs=0.02)
    assert parts.count("validation") / len(parts) == pytest.approx(0.1, abs=0.02)


def test_a_pair_shows_the_subjects_of_query_and_prompts_in_the_style_of_each_prompt() -> None:
    record = pair(0, "the moon over a lake", "the moon, watercolour", "a bridge")
    assert atoms_of(record) == {
        Atom("moon", "watercolour"),
        Atom("lake", "watercolour"),
        Atom("moon", "open"),
        Atom("lake", "open"),
        Atom("bridge", "open"),
    }


def test_words_do_not_matter_but_what_they_name_does() -> None:
    assert atoms_of(pair(0, "a watercolor of the moon")) == atoms_of(pair(1, "月亮,水彩"))


def test_what_is_ruled_out_is_not_shown() -> None:
    assert atoms_of(pair(0, "the moon, no boat")) == {Atom("moon", "open")}


def test_an_unknown_subject_is_known_by_its_words() -> None:
    one = atoms_of(pair(0, "A Quarterly  report!", "a quarterly report, minimal poster, much detail"))
    assert one == atoms_of(pair(1, "a quarterly report"))
    assert len(one) == 1
    assert one != atoms_of(pair(2, "a yearly report"))


def test_the_rarest_generator_is_held_out() -> None:
    records = drawn_pairs(3, 200, ("many", "many", "many", "few"))
    found = split(records, **SHARES, seed=0)
    assert found.held_out == "few"
    of_few = {i for i, record in enumerate(records) if record.versions["generator"] == "few"}
    assert of_few <= set(found.test)
    assert set(found.test) - of_few
    trained = [seen for i, seen in zip(found.test, found.wholly_unseen, strict=True) if i in of_few]
    assert not all(trained)


def test_generators_can_be_mixed() -> None:
    records = drawn_pairs(3, 200, ("many", "many", "many", "few"))
    found = split(records, **SHARES, seed=0, mix_generators=True)
    assert found.held_out is None
    assert any(records[i].versions["generator"] == "few" for i in found.train)


def test_of_equally_rare_generators_the_last_by_name_is_held_out() -> None:
    records = [pair(i, "the moon", generator=name) for i, name in enumerate("acbcbac")]
    assert rarest_generator(records) == "b"
    assert rarest_generator([pair(0, "the moon", generator="only"), pair(1, "the moon")]) is None
    assert rarest_generator([]) is None


def test_an_empty_part_is_refused_with_the_numbers() -> None:
    records = [pair(i, "the moon") for i in range(5)]
    with pytest.raises(BadInput, match=r"without pairs: 5 pairs .* of 1 combinations") as refused:
        split(records, **SHARES, seed=0)
    assert "give pairs of more combinations" in str(refused.value)
    with pytest.raises(BadInput, match="0 pairs"):
        split([], **SHARES, seed=0)


def test_it_says_when_a_generator_took_the_pairs() -> None:
    records = [pair(0, "the moon", generator="many"), pair(1, "the moon", generator="many")]
    with pytest.raises(BadInput, match="Generator 'few' is test throughout"):
        split([*records, pair(2, "the moon", generator="few")], **SHARES, seed=0)


@pytest.mark.parametrize(("test", "validation"), [(0.0, 0.1), (0.1, 0.0), (0.5, 0.5), (float("nan"), 0.1)])
def test_shares_out_of_range_are_refused(test: float, validation: float) -> None:
    with pytest.raises(BadInput, match="together below 1"):
        split(drawn_pairs(0, 30), test=test, validation=validation, seed=0)
