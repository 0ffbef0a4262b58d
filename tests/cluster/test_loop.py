"""`atelier loop`, on the smallest budget that has every stage."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from actors.hosts import in_process
from actors.policy.tiny.checkpoint import load
from cluster.commands.loop import lessons
from cluster.main import app

Loop = Callable[..., Result]
BUDGET = """
gepa: {minibatch: 4, evaluators: 1, proposers: 1, studio: {budget: 40, train: 10, validation: 6, draws: 1}}
loop:
  {covers: 8, real: 2, draws: 1, warm_queries: 2, warm_draws: 2, suffix_trials: 0, unseen: 8, lessons: 8,
   best_of: 2, practice: {draws: 32, first: 16, looks: 200}, imagined: true}
ppo:
  {steps: 2, batch: 8, minibatches: 1, epochs: 1, checkpoint_steps: 1, workers: 0, loggers: [],
   warm_start: {steps: 2, batch: 8}, raters: {workers: 0}}
generator: {type: procedural, long_side: 96}
"""
FOUNDATION = {"raw", "suffix", "shuffled", "expander", "expander_bank"}
ADDED = {"search", "best_of_k", "policy_before", "sft", "policy_after"}


@pytest.fixture
def atelier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loop:
    """Run `atelier ...` in an empty folder; only the search's islands are on Ray."""
    monkeypatch.chdir(tmp_path)
    for module in ("actors.hosts", "train_jobs.gepa.job", "train_jobs.loop.double_loop"):
        monkeypatch.setattr(f"{module}.pooled", in_process)
    monkeypatch.setattr("cluster.session.session", lambda *_, **__: nullcontext("nowhere"))
    (tmp_path / "tiny.yaml").write_text(BUDGET, "utf-8")
    return lambda *words: CliRunner().invoke(app, list(words))


def answer(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.ray
@pytest.mark.timeout(240)
def test_the_loop_closes_and_goes_on_where_it_stopped(atelier: Loop, ray_session: str) -> None:
    told = answer(atelier("loop", "--budget", "tiny.yaml", "--out", "run", "--json"))
    run = Path("run")
    summary = json.loads((run / "summary.json").read_text("utf-8"))
    assert set(summary) >= FOUNDATION | ADDED
    for arm in FOUNDATION | ADDED:
        assert 0 <= summary[arm]["admission"] <= 1
        assert {"admission_interval", "draws_per_admitted", "reward"} <= set(summary[arm])
    assert summary["best_of_k"]["k"] == 2
    assert set(summary["gains"]) == {"policy_before", "search", "sft"}
    assert summary["training"]["answers"] == 16 and summary["stages"]["training"]["draws"] == 0
    assert summary["policy_after"]["copied"] == 1.0
    assert load(Path(told["policy"])).card["steps"] == 2
    page = (run / "report.html").read_text("utf-8")
    assert "Search online, freeze offline" in page and "data:image" in page
    assert {"curves.png", "search", "policy", "settings.json"} <= {path.name for path in run.iterdir()}
    assert (run / "search/report.html").is_file()
    assert "one draw" in " ".join(lessons(summary))

    (run / "training.json").unlink()  # as if it had been stopped in the training
    kept = ("baseline.json", "search.json", "practice.json")
    stages = {name: (run / name).stat().st_mtime_ns for name in kept}
    weights = (run / "policy/policy.safetensors").read_bytes()
    again = answer(atelier("loop", "--resume", "--out", "run", "--json"))
    assert {name: (run / name).stat().st_mtime_ns for name in stages} == stages
    assert (run / "policy/policy.safetensors").read_bytes() == weights
    assert again["policy_after"]["admission"] == told["policy_after"]["admission"]
    assert again["budget"] == told["budget"] == "tiny.yaml"


def test_what_cannot_be_resumed_is_said(atelier: Loop) -> None:
    for words, named in ((("--resume",), "--out"), (("--resume", "--out", "none"), "holds no run")):
        result = atelier("loop", *words)
        assert result.exit_code == 2
        assert named in result.stderr
    for words in (("--budget", "full"), ("--set", "ppo.steps=3")):
        result = atelier("loop", "--resume", "--out", "run", *words)
        assert result.exit_code == 2 and "as the run began" in result.stderr
    for words, named in (
        (("ppo.reward_model=model.safetensors",), "loop.imagined=true"),
        (("gepa.studio.budget=10",), "first scoring"),
        (("loop.imagined=true", "loop.practice.draws=100", "loop.practice.first=100"), "exploited"),
    ):
        result = atelier("loop", *(part for word in words for part in ("--set", word)))
        assert result.exit_code == 2 and named in result.stderr, result.stderr
    model = ("--set", "ppo.policy.type=llm", "--set", "ppo.policy.model=somewhere")
    assert "`train policy`" in atelier("loop", *model).stderr
    assert "weekend" in atelier("loop", "--budget", "weekend").stderr
