"""What a search cannot begin with is refused before any call, in words that say what is accepted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from actors.errors import BadInput
from configs.gepa import GepaSettings
from tests.gepa.gepa_kit import TRAINSET, Counted, search
from train_jobs.gepa.errors import MissingObjectives

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no training examples": ({"trainset": []}, "the training set is empty; accepted: at least one example"),
    "no validation examples": ({"valset": []}, "the validation set is empty; accepted: at least one"),
    "no examples at all": ({"trainset": [], "valset": None}, "the training set is empty"),
    "no seed": ({"seed_candidates": []}, "there is no seed candidate with a text"),
    "a seed of nothing": ({"seed_candidates": [{}]}, "there is no seed candidate with a text"),
    "other components": (
        {"seed_candidates": [{"rules": ""}, {"rules": "", "tone": ""}]},
        "a seed has the components ['rules', 'tone'], the first one ['rules']; accepted: seeds of the same",
    ),
    "no text": ({"seed_candidates": [{"rules": 5}]}, "component 'rules' of a seed is no text"),
    "a small budget": (
        {"calls": 7},
        "max_metric_calls=7 does not hold the validation of 1 seed(s) on 8 examples; accepted: at least 8",
    ),
    "a small budget for two": (
        {"calls": 15, "seed_candidates": [{"rules": ""}, {"rules": "1"}]},
        "max_metric_calls=15 does not hold the validation of 2 seed(s) on 8 examples; accepted: at least 16",
    ),
    "nobody writes": ({"propose": None}, "nothing writes new texts; accepted: an adapter with propose_new"),
}


@pytest.mark.parametrize("name", WRONG)
def test_it_is_refused_before_any_call(tmp_path: Path, name: str) -> None:
    adapter, (changes, words) = Counted(), WRONG[name]
    with pytest.raises(BadInput, match=re.escape(words)):
        search(adapter, run_dir=tmp_path / "run", **changes)
    assert adapter.total == 0 and not (tmp_path / "run").exists()


def test_a_template_without_its_places_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prompt.md").write_text("Improve <curr_param>.", "utf-8")
    settings = GepaSettings(template=tmp_path / "prompt.md")
    with pytest.raises(BadInput, match=r"lacks <side_info>"):
        search(Counted(), propose=None, reflection_lm=lambda prompt: "", settings=settings)


def test_fronts_over_objectives_need_objectives() -> None:
    with pytest.raises(MissingObjectives, match=r"accepted: an adapter that returns objective_scores"):
        search(Counted(), settings=GepaSettings(frontier="objective"))


def test_the_budget_may_be_just_one_validation() -> None:
    adapter = Counted()
    found = search(adapter, 8)
    assert adapter.total == found.metric_calls == 8 and len(found.lineage) == 1
    assert found.stopped == "8 of 8 metric calls are made; no proposal fits in"


def test_equal_seeds_are_paid_for_once() -> None:
    adapter = Counted()
    search(adapter, 8, seed_candidates=[{"rules": "1"}, {"rules": "1"}])
    assert adapter.total == 8


def test_without_a_validation_set_the_training_set_is_it() -> None:
    adapter = Counted()
    found = search(adapter, len(TRAINSET), valset=None)
    assert sorted(found.lineage[0].scores) == list(range(len(TRAINSET)))
    assert {example for _, example, traced in adapter.paid if not traced} == set(TRAINSET)
