"""The studio under search: scores, traces, what is drawn again and what is not."""

from __future__ import annotations

import base64
import json
import pickle
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import fsspec
import pytest

from actors.contracts import AuditVerdict, Dimension, Draw, Failure, Judgement, Prompt, Query
from actors.pixels import decode
from actors.policy.expander import default_strategy
from actors.policy.rules import parse_rules
from actors.reward import reward
from actors.roles import Roles
from configs.gepa import LlmReflectionSettings
from configs.load import load
from configs.reward import RewardSettings
from configs.schema import Settings
from tests.fake_roles import FakeGenerator, fake_roles
from train_jobs.gepa import studio
from train_jobs.gepa.adapter import EvaluationBatch
from train_jobs.gepa.candidate import Candidate
from train_jobs.gepa.edits import join
from train_jobs.gepa.reflection import render
from train_jobs.gepa.studio import OPEN, StudioAdapter, objectives, worth

SEED: Candidate = default_strategy().components
REFUSED = Query.of("child porn")
QUERIES = [
    Query.of("a calm lake with the moon", aspect="3:4"),
    Query.of('a cover for "City Walk"', aspect="16:9"),
    Query.of("画一张湖边的月亮海报", title="月色"),
    Query.of("水墨风，竹林，清晨", aspect="9:16"),
    REFUSED,
]


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    uri = "memory://gepa-studio"
    yield load("embedded", ["generator.long_side=128", f"paths.artifacts={uri}"], {})
    fsspec.filesystem("memory").rm("/gepa-studio", recursive=True)


@pytest.fixture(scope="module")
def adapter(settings: Settings) -> StudioAdapter:
    return StudioAdapter(settings, scorer=False)


@pytest.fixture(scope="module")
def batch(adapter: StudioAdapter) -> EvaluationBatch:
    return adapter.evaluate(QUERIES, SEED, capture_traces=True)


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> FakeGenerator:
    """The generator of every adapter that is made in the test; its other roles are fake too."""
    made = FakeGenerator()

    @asynccontextmanager
    async def fakes(*arguments: Any, **options: Any) -> AsyncIterator[Roles]:
        yield fake_roles(made)

    monkeypatch.setattr(studio, "in_process", fakes)
    return made


def test_scores_are_half_reward_and_half_admission(batch: EvaluationBatch) -> None:
    assert batch.trajectories is not None
    for score, trace in zip(batch.scores[:-1], batch.trajectories[:-1], strict=True):
        assert score == pytest.approx((trace["reward"] + trace["admitted"]) / 2)
        assert 0.0 < score <= 1.0 and trace["score"] == score
    assert len(set(batch.scores)) == len(QUERIES)


def test_objectives_are_admission_both_evaluations_and_the_dimensions(batch: EvaluationBatch) -> None:
    assert batch.objective_scores is not None and batch.trajectories is not None
    for row, trace in zip(batch.objective_scores[:-1], batch.trajectories[:-1], strict=True):
        assert row["admitted"] == float(trace["admitted"])
        assert {"prompt", "picture", "composition", "color"} <= row.keys()
        assert {name: row[name] for name in trace["scores"]} == trace["scores"]
        assert all(0.0 <= value <= 1.0 for value in row.values())


def test_outputs_are_the_prompts(batch: EvaluationBatch) -> None:
    for query, output in zip(QUERIES[:-1], batch.outputs[:-1], strict=True):
        assert output.startswith(query.text)
    assert batch.outputs[-1] is None


def test_a_refused_query_is_a_row_without_worth(adapter: StudioAdapter, batch: EvaluationBatch) -> None:
    assert batch.trajectories is not None and batch.objective_scores is not None
    assert batch.scores[-1] == 0.0 and batch.objective_scores[-1] == {"admitted": 0.0}
    assert batch.trajectories[-1]["failure"].startswith("audit: the audit refuses this text")
    assert batch.trajectories[-1]["request"] == REFUSED.text
    row = adapter.make_reflective_dataset(SEED, batch, ["rules"])["rules"][4]
    assert row["Feedback"].startswith("No picture: audit: ") and row["measured"] is None
    assert row["Prompt written"] == ""


def test_traces_survive_json_and_tell_the_situation(batch: EvaluationBatch) -> None:
    assert json.loads(json.dumps(batch.trajectories)) == batch.trajectories
    assert batch.trajectories is not None
    first, second, third, fourth, _ = (trace.get("measured") for trace in batch.trajectories)
    assert first["situation"]["mood"] == "calm" and first["open"] == list(OPEN)
    assert (second["situation"]["titled"], second["situation"]["shape"]) == (True, "wide")
    assert third["situation"]["titled"] and set(third["situation"]["subjects"]) == {"lake", "moon"}
    assert "style" not in fourth["open"] and fourth["written"]["style"] == "ink_painting"


def test_traces_are_made_only_where_asked_for(adapter: StudioAdapter) -> None:
    assert adapter.evaluate(QUERIES[:1], SEED).trajectories is None


def test_a_copy_of_the_adapter_scores_the_same(settings: Settings, batch: EvaluationBatch) -> None:
    copy: StudioAdapter = pickle.loads(pickle.dumps(StudioAdapter(settings, scorer=False)))
    again = copy.evaluate(QUERIES, SEED, capture_traces=True)
    assert again == batch


def test_what_was_measured_becomes_lawful_rules(adapter: StudioAdapter, batch: EvaluationBatch) -> None:
    assert batch.trajectories is not None
    shown = EvaluationBatch(batch.outputs, batch.scores, batch.trajectories, history=batch.trajectories)
    dataset = adapter.make_reflective_dataset(SEED, shown, ["rules"])
    assert sum("history" in row for row in dataset["rules"]) == len(QUERIES)
    assert json.loads(json.dumps(dataset)) == dataset
    propose = adapter.propose_new_texts
    assert propose is not None
    texts = propose(SEED, dataset, ["rules"])
    assert texts == propose(SEED, dataset, ["rules"]) and set(texts) == {"rules"}
    assert parse_rules(texts["rules"]) != parse_rules(SEED["rules"])
    child = {**SEED, **texts}
    assert adapter.evaluate(QUERIES, child).outputs != batch.outputs


def test_crossover_joins_the_rules_alone(adapter: StudioAdapter) -> None:
    other = {**SEED, "rules": "when mood=calm: framed layout\n", "avoid": "neon"}
    assert adapter.crossover(SEED, other, ["avoid"]) == {}
    joined = adapter.crossover(SEED, other, ["rules", "avoid"])
    assert joined == {"rules": join(SEED["rules"], other["rules"])}


def test_the_same_prompt_is_drawn_once(settings: Settings, generator: FakeGenerator) -> None:
    adapter = StudioAdapter(settings)
    queries = QUERIES[:3]
    first = adapter.evaluate(queries, SEED)
    again = adapter.evaluate(queries[::-1], SEED)
    other = adapter.evaluate(queries, {**SEED, "avoid": "neon"})
    assert len(generator.drawn) == len({prompt for prompt, _ in generator.drawn}) == 3
    assert again.scores == first.scores[::-1] and other.scores == first.scores
    assert len({seed for _, seed in generator.drawn}) == 3


def test_seeds_hang_on_the_search_and_the_query(settings: Settings, generator: FakeGenerator) -> None:
    StudioAdapter(settings).evaluate(QUERIES[:2], SEED)
    StudioAdapter(settings).evaluate(QUERIES[1::-1], SEED)
    changed = settings.model_copy(update={"gepa": settings.gepa.model_copy(update={"seed": 5})})
    StudioAdapter(changed).evaluate(QUERIES[:2], SEED)
    one, two, three = generator.drawn[:2], generator.drawn[2:4], generator.drawn[4:]
    assert one == two[::-1] and {seed for _, seed in one}.isdisjoint(seed for _, seed in three)


@pytest.mark.parametrize("stage", ["generator", "judge", "policy"])
def test_a_failure_fails_its_query_alone(settings: Settings, generator: FakeGenerator, stage: str) -> None:
    word = {"generator": "undrawable", "judge": "unjudgeable", "policy": "unpromptable"}[stage]
    queries = [QUERIES[0], Query.of(f"an {word} thing"), QUERIES[1]]
    adapter = StudioAdapter(settings)
    batch = adapter.evaluate(queries, SEED, capture_traces=True)
    assert batch.trajectories is not None
    alone = adapter.evaluate([QUERIES[0], QUERIES[1]], SEED)
    assert [batch.scores[0], batch.scores[2]] == alone.scores and min(alone.scores) > 0
    assert batch.scores[1] == 0.0 and batch.trajectories[1]["failure"].startswith(f"{stage}: ")
    assert [("failure" in trace) for trace in batch.trajectories] == [False, True, False]
    before = len(generator.drawn)
    adapter.evaluate(queries, SEED)
    assert len(generator.drawn) - before == (stage in ("generator", "judge"))


def test_roles_are_built_once_and_a_failed_start_is_tried_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[bool] = []

    @asynccontextmanager
    async def shaky(given: Settings, artifacts: Any, *, scorer: bool) -> AsyncIterator[Roles]:
        starts.append(scorer)
        if len(starts) < 3:
            raise OSError("no weights")
        yield fake_roles()

    monkeypatch.setattr(studio, "in_process", shaky)
    adapter = StudioAdapter(settings, scorer=False)
    threads = threading.active_count()
    for _ in range(2):
        with pytest.raises(OSError, match="no weights"):
            adapter.evaluate(QUERIES[:1], SEED)
    for _ in range(2):
        adapter.evaluate(QUERIES[:1], SEED)
    assert starts == [False] * 3
    assert threading.active_count() == threads + 1


@pytest.mark.parametrize("gate", ["intent", "subject:moon", "audit"])
def test_a_failed_gate_makes_any_picture_worthless(gate: str) -> None:
    query = Query.of("the moon")
    prompt = Prompt.of("the moon, soft light", query=query, strategy_id="s", policy_version="p")
    scores = {dimension: 1.0 for dimension in Dimension}

    def drawn(failed: str) -> Draw:
        judgement = Judgement(
            scores={**scores, Dimension.INTENT_MATCH: 0.1 if failed == "intent" else 1.0},
            gates={"subject:moon": failed != "subject:moon"},
            judge_version="j",
        )
        audits = {"picture": AuditVerdict(allowed=failed != "audit", audit_version="a")}
        outcome = reward(query, prompt, judgement, audits, RewardSettings())
        return Draw(query_id=query.id, index=0, prompt=prompt, judgement=judgement, reward=outcome)

    fine, wrong = drawn(""), drawn(gate)
    assert fine.reward and wrong.reward and wrong.reward.picture == fine.reward.picture == pytest.approx(1.0)
    assert worth(fine) > 0.9
    assert worth(wrong) == 0.0 and objectives(wrong)["admitted"] == 0.0


def test_a_draw_that_failed_is_worth_nothing() -> None:
    draw = Draw(query_id="q", index=0, failure=Failure(stage="judge", kind="Blind", message="dark"))
    assert worth(draw) == 0.0 and objectives(draw) == {"admitted": 0.0}


@pytest.mark.parametrize("scorer", [True, False])
@pytest.mark.parametrize("model", [True, False])
def test_it_crosses_ray_as_what_it_was_built_of(
    settings: Settings, generator: FakeGenerator, scorer: bool, model: bool
) -> None:
    adapter = StudioAdapter(settings, scorer=scorer, model=model)
    scores = adapter.evaluate(QUERIES[:2], SEED).scores
    copy: StudioAdapter = pickle.loads(pickle.dumps(adapter))
    (build, arguments) = copy.__reduce__()
    assert arguments == (settings,) and build.keywords == {"scorer": scorer, "model": model}
    assert (copy.propose_new_texts is None, hasattr(copy, "crossover")) == (model, not model)
    assert copy.evaluate(QUERIES[:2], SEED).scores == scores and len(generator.drawn) == 4


def test_a_model_is_shown_words_alone(settings: Settings, generator: FakeGenerator) -> None:
    adapter = StudioAdapter(settings, model=True)
    assert adapter.propose_new_texts is None and not hasattr(adapter, "crossover")
    batch = adapter.evaluate([QUERIES[0], Query.of("an undrawable thing")], SEED, capture_traces=True)
    batch.history = list(batch.trajectories or [])
    dataset = adapter.make_reflective_dataset(SEED, batch, ["rules", "avoid"])
    assert dataset["rules"] == dataset["avoid"] and len(dataset["rules"]) == 2
    fine, failed = dataset["rules"]
    assert list(fine) == list(failed) == ["Request", "Frame", "Prompt written", "Feedback"]
    assert fine["Request"] == QUERIES[0].text and fine["Frame"] == "3:4"
    assert all(isinstance(words, str) for row in (fine, failed) for words in row.values())
    assert "Scores of the picture, 0 to 1: " in fine["Feedback"] and "color 0." in fine["Feedback"]
    assert failed["Feedback"] == "No picture: generator: cannot draw"


def test_a_model_that_can_see_is_shown_the_pictures(settings: Settings) -> None:
    seeing = settings.gepa.model_copy(update={"reflection": LlmReflectionSettings(pictures=True)})
    adapter = StudioAdapter(settings.model_copy(update={"gepa": seeing}), scorer=False, model=True)
    batch = adapter.evaluate(QUERIES[:1], SEED, capture_traces=True)
    (row,) = adapter.make_reflective_dataset(SEED, batch, ["rules"])["rules"]
    words, pictures = render([row])
    assert len(pictures) == 1 and "[picture 1]" in words
    head, _, data = pictures[0].to_openai_content_part()["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    assert max(decode(base64.b64decode(data)).shape[:2]) == settings.generator.long_side  # type: ignore[union-attr]
