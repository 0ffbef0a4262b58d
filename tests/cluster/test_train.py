"""`atelier train` and `atelier evaluate ranking`, as a person types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from actors.artifacts import Artifacts
from actors.contracts import Prompt, Query, Recall
from actors.policy.expander import default_strategy
from actors.policy.tiny.worker import Tiny
from configs.policy import TinySettings
from tests.cluster.test_commands import one_sentence
from tests.ppo import llm_kit
from tests.ppo.test_ppo_job import RECORDS
from tests.ranking.ranking_kit import dataset

Atelier = Callable[..., Result]
HERE = ("--set", "ranking.workers=0", "--set", "ranking.epochs=1")


def test_a_dataset_becomes_a_scorer_that_scores_and_is_evaluated(atelier: Atelier, tmp_path: Path) -> None:
    uri = dataset(tmp_path, 140)
    result = atelier("train", "ranking", uri, *HERE, "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    run = Path(answer["path"])
    assert {"scorer", "curves.png", "MODEL_CARD.md", "summary.json", "settings.json"} <= {
        path.name for path in run.iterdir()
    }
    assert answer["test"]["sets"]["judge"]["quality"]["dimensions"]["total"]["decided"]["n"] > 0
    again = atelier("evaluate", "ranking", answer["scorer"], uri, "--json")
    assert again.exit_code == 0, again.output
    first, second = answer["test"]["sets"]["judge"], json.loads(again.stdout)["sets"]["judge"]
    assert (
        second["quality"]["dimensions"]["total"]["decided"]
        == first["quality"]["dimensions"]["total"]["decided"]
    )
    assert second["baselines"] == first["baselines"]


def test_a_run_that_is_over_is_finished_again_by_resume(atelier: Atelier, tmp_path: Path) -> None:
    uri = dataset(tmp_path, 140)
    first = json.loads(atelier("train", "ranking", uri, *HERE, "--json").stdout)
    second = atelier("train", "ranking", uri, "--resume", first["path"], "--json")
    assert second.exit_code == 0, second.output
    assert json.loads(second.stdout)["version"] == first["version"]


def test_what_cannot_be_trained_on_is_one_sentence(atelier: Atelier, tmp_path: Path) -> None:
    assert "there is no dataset at nowhere" in one_sentence(atelier("train", "ranking", "nowhere"))
    wrong = atelier("train", "ranking", "nowhere", "--set", "ranking.preset=huge")
    assert "ranking.preset" in one_sentence(wrong) and "vit-l-14-336" in one_sentence(wrong)
    assert "no run" in one_sentence(atelier("train", "ranking", "nowhere", "--resume", str(tmp_path)))


def test_a_folder_without_a_scorer_is_named(atelier: Atelier, tmp_path: Path) -> None:
    uri = dataset(tmp_path, 4)
    assert "scorer.json" in one_sentence(atelier("evaluate", "ranking", str(tmp_path), uri))


def test_winners_become_a_policy(atelier: Atelier, tmp_path: Path) -> None:
    (tmp_path / "distill").mkdir()
    lines = [record.model_dump_json() for record in RECORDS[:20]]
    (tmp_path / "distill" / "records.jsonl").write_text("\n".join(lines))
    small = {"workers": 0, "raters.workers": 0, "steps": 6, "batch": 4, "warm_start.steps": 3}
    chosen = [word for name, value in small.items() for word in ("--set", f"ppo.{name}={value}")]
    drawn = ("--set", "generator.long_side=96")
    result = atelier("train", "policy", str(tmp_path), *chosen, *drawn, "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert {"policy", "curves.png", "summary.json", "settings.json", "tensorboard"} <= {
        path.name for path in Path(answer["path"]).iterdir()
    }
    assert (answer["steps"], answer["answers"], answer["draws"]) == (6, 24, 24) and 0 <= answer["last"][
        "admission"
    ] <= 1
    again = atelier("train", "policy", "--resume", answer["path"], "--json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["last"] == answer["last"]
    other = atelier("train", "policy", "--resume", answer["path"], "--set", "ppo.steps=9")
    assert "as the run began" in one_sentence(other)
    worker = Tiny(TinySettings(weights=Path(answer["policy"])), Artifacts("memory://policy"))
    ((prompt,),) = worker.propose([Query.of("a moon")], [Recall()], default_strategy(), 1, 0)
    assert isinstance(prompt, Prompt) and prompt.policy_version.startswith("tiny-")


def test_winners_become_a_language_model(atelier: Atelier, tmp_path: Path) -> None:
    model = llm_kit.write_model(tmp_path / "llama")
    lines = [llm_kit.record(index).model_dump_json() for index in range(4)]
    (tmp_path / "records.jsonl").write_text("\n".join(lines))
    small = {
        "policy.type": "llm",
        "policy.model": model,
        "policy.lora.rank": 2,
        "policy.longest_query": 256,
        "policy.longest_answer": 8,
        "workers": 0,
        "raters.workers": 0,
        "steps": 2,
        "batch": 4,
        "warm_start.steps": 2,
    }
    chosen = [word for name, value in small.items() for word in ("--set", f"ppo.{name}={value}")]
    result = atelier("train", "policy", str(tmp_path / "records.jsonl"), *chosen, "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {
        path.name for path in Path(answer["policy"]).iterdir()
    }
    assert (answer["steps"], answer["draws"]) == (2, 8)
    missing = atelier("train", "policy", str(tmp_path / "records.jsonl"), "--set", "ppo.policy.type=llm")
    assert "ppo.policy.model" in one_sentence(missing)


def test_a_policy_needs_winners(atelier: Atelier, tmp_path: Path) -> None:
    assert "no records to start from" in one_sentence(atelier("train", "policy"))
    assert "records.jsonl" in one_sentence(atelier("train", "policy", str(tmp_path)))
