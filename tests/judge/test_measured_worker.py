"""The judge on drawn pictures: gates, sizes, failures, and a recogniser that must have learnt something."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from actors.artifacts import Artifacts
from actors.contracts import Comparison, Dimension, Failure, Judgement, Picture, Query
from actors.generator.procedural import plan, render
from actors.judge.measured.recogniser import CARD, WEIGHTS, Recogniser
from actors.judge.measured.worker import MeasuredJudge
from actors.pixels import Pixels, encode_png
from actors.vocabulary import keys, phrase
from configs.judge import MeasuredSettings

SUBJECT_BAR, FACET_BAR = 0.85, 0.8


@cache
def drawn(count: int = 48) -> tuple[tuple[Pixels, str, dict[str, str]], ...]:
    """Pinned pictures, one of each subject: pixels, subject and facets."""
    dice = random.Random(8)
    made = []
    for seed, subject in enumerate(keys("subject")[:count]):
        facets = {f: dice.choice(keys(f)) for f in ("style", "layout", "palette", "light")}
        text = ", ".join([phrase("subject", subject, "en"), *(phrase(f, k, "en") for f, k in facets.items())])  # type: ignore[arg-type]
        made.append((render(plan(text, dice.choice(("1:1", "3:4", "4:3")), seed), 192), subject, facets))
    return tuple(made)


def accuracy(recogniser: Recogniser) -> tuple[float, float]:
    """Share of subjects found, and of facets read right."""
    seen = recogniser.recognise([pixels for pixels, _, _ in drawn()])
    subjects = [s.subjects[subject] >= 0.5 for s, (_, subject, _) in zip(seen, drawn(), strict=True)]
    facets = [
        max(s.facets[facet], key=s.facets[facet].__getitem__) == key
        for s, (_, _, chosen) in zip(seen, drawn(), strict=True)
        for facet, key in chosen.items()
    ]
    return float(np.mean(subjects)), float(np.mean(facets))


def test_recogniser_meets_its_bar() -> None:
    subjects, facets = accuracy(Recogniser())
    assert subjects >= SUBJECT_BAR
    assert facets >= FACET_BAR


def test_recogniser_with_shuffled_weights_fails_the_bar(tmp_path: Path) -> None:
    dice = np.random.default_rng(0)
    weights = load_file(WEIGHTS)
    name = max(weights, key=lambda key: weights[key].numel())
    flat = weights[name].flatten()
    weights[name] = flat[dice.permutation(len(flat))].reshape(weights[name].shape)
    save_file(weights, tmp_path / "shuffled.safetensors")
    subjects, _ = accuracy(Recogniser(tmp_path / "shuffled.safetensors", CARD))
    assert subjects < SUBJECT_BAR


def test_shipped_weights_are_small() -> None:
    assert WEIGHTS.stat().st_size < 2 * 1024 * 1024


def test_recognition_hardly_depends_on_size() -> None:
    pixels, subject, _ = drawn()[4]
    large = np.asarray(cv2.resize(pixels, None, fx=2.5, fy=2.5, interpolation=cv2.INTER_CUBIC))
    a, b = Recogniser().recognise([pixels, large])
    assert abs(a.subjects[subject] - b.subjects[subject]) < 0.15
    for facet, chances in a.facets.items():
        assert max(abs(chances[key] - b.facets[facet][key]) for key in chances) < 0.3


@pytest.fixture
def judge(tmp_path: Path) -> MeasuredJudge:
    return MeasuredJudge(MeasuredSettings(), Artifacts(str(tmp_path)))


def stored(judge: MeasuredJudge, data: bytes) -> Picture:
    sha256 = judge._artifacts.put(data)
    return Picture(sha256=sha256, width=64, height=64, prompt_id="p", seed=0, generator_version="g")


def test_one_answer_an_item_in_order_and_bad_files_fail_alone(judge: MeasuredJudge) -> None:
    good = [stored(judge, encode_png(pixels)) for pixels, _, _ in drawn()[:3]]
    missing = good[0].model_copy(update={"sha256": "0" * 64})
    pictures = [good[0], stored(judge, b"no picture"), good[1], missing, good[2]]
    queries = [
        Query.of(phrase("subject", subject, "en")) for subject in ("moon", "moon", "lake", "sea", "sea")
    ]
    answers = judge.judge(pictures, queries)
    assert [type(answer) for answer in answers] == [Judgement, Failure, Judgement, Failure, Judgement]
    assert [list(a.gates) for a in answers if isinstance(a, Judgement)] == [
        ["subject:moon"],
        ["subject:lake"],
        ["subject:sea"],
    ]
    alone = judge.judge([good[2]], [queries[4]])[0]
    assert isinstance(alone, Judgement) and isinstance(answers[4], Judgement)
    for name, score in alone.scores.items():
        assert score == pytest.approx(answers[4].scores[name], abs=1e-3)


def test_compare_is_even_for_twins_and_turns_with_the_order(judge: MeasuredJudge) -> None:
    a, b = (stored(judge, encode_png(drawn()[index][0])) for index in (0, 12))
    query = Query.of(phrase("subject", drawn()[0][1], "en"))
    twins, first, second = judge.compare([(a, a), (a, b), (b, a)], [query] * 3)
    assert isinstance(twins, Comparison) and isinstance(first, Comparison) and isinstance(second, Comparison)
    assert twins.first_wins[Dimension.TOTAL] == pytest.approx(0.5)
    assert first.first_wins[Dimension.TOTAL] == pytest.approx(1 - second.first_wins[Dimension.TOTAL])
    assert isinstance(judge.compare([(a, stored(judge, b"x"))], [query])[0], Failure)
