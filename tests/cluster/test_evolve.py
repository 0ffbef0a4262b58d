"""`atelier evolve`, as a person types it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

import cluster.commands.evolve as command
from actors.bank.bank import PromptBank
from actors.contracts import DistillRecord, Strategy
from actors.hosts import in_process
from actors.ledger import FileLog
from actors.policy.expander import default_strategy, read_strategy
from cluster.main import app
from configs.bank import BankSettings
from configs.gepa import GepaSettings
from tests.cluster.test_commands import one_sentence
from train_jobs.gepa.hosts import Host, ThreadHost
from train_jobs.gepa.journal import read_lines
from train_jobs.gepa.worker import Kit

Evolve = Callable[..., Result]
TRAIN, UNSEEN = 16, 6
SMALL = (
    *("--set", f"gepa.studio.train={TRAIN}"),
    *("--set", "gepa.studio.validation=8"),
    *("--set", f"loop.covers={UNSEEN}"),
    *("--set", "gepa.studio.draws=1"),
    *("--set", "gepa.studio.scorer=false"),
    *("--set", "gepa.minibatch=4"),
    *("--set", "gepa.evaluators=1"),
    *("--set", "gepa.proposers=1"),
    *("--set", "generator.long_side=96"),
)


@pytest.fixture
def evolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evolve:
    """Run `atelier evolve ...` in an empty folder; only its islands are on Ray."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("actors.hosts.pooled", in_process)
    monkeypatch.setattr("train_jobs.gepa.job.pooled", in_process)
    monkeypatch.setattr("cluster.session.session", lambda *_, **__: nullcontext("nowhere"))
    return lambda *words: CliRunner().invoke(app, ["evolve", *words])


class Here:
    """Stands in for a fleet: threads of this process."""

    def __init__(self, kit: Kit, settings: GepaSettings, crew: Any) -> None:
        self.host = ThreadHost(
            kit,
            evaluators=2,
            proposers=1,
            islands=settings.islands,
            evaluation_timeout_s=60,
            reflection_timeout_s=60,
        )

    async def __aenter__(self) -> list[Host]:
        return [self.host]

    async def __aexit__(self, *error: object) -> None:
        await self.host.close()


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The islands are not on Ray either."""
    monkeypatch.setattr("train_jobs.gepa.fleet.Fleet", Here)


def answer(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def taken(run: Path) -> list[str]:
    """What the search was told, in order."""
    return [line["take"] for line in read_lines(run / "search/search.jsonl")]


def remembered(run: Path) -> int:
    async def count() -> int:
        async with FileLog(run / "bank.jsonl") as log:
            bank = PromptBank(BankSettings(), log)
            await bank.replay()
            return len(bank)

    return asyncio.run(count())


@pytest.mark.ray
def test_a_search_leaves_all_that_is_promised_and_goes_on(evolve: Evolve, ray_session: str) -> None:
    told = answer(evolve("--budget", "60", "--out", "run", *SMALL, "--json"))
    run = Path("run")
    assert {"strategy.yaml", "report.html", "summary.json", "settings.json"} <= {
        path.name for path in run.iterdir()
    }
    search = told["search"]
    assert 40 <= search["metric_calls"] <= 60 and search["proposals"] > 0
    assert json.loads((run / "summary.json").read_text("utf-8"))["search"] == search
    strategy = read_strategy(run / "strategy.yaml")
    assert strategy.components == search["best_candidate"]
    assert (told["seed"]["strategy"], told["best"]["strategy"]) == (default_strategy().id, strategy.id)
    assert (told["seed"]["draws"], told["best"]["draws"], told["unseen_queries"]) == (UNSEEN,) * 3
    assert told["gain"] == told["best"]["admission"] - told["seed"]["admission"]
    page = (run / "report.html").read_text("utf-8")
    assert "<html" in page and "data:image" in page
    rows = (run / "distill/records.jsonl").read_text("utf-8").splitlines()
    winners = [DistillRecord.model_validate_json(row) for row in rows]
    assert 0 < len(winners) == told["distill_records"] <= TRAIN
    assert {winner.strategy.id for winner in winners} == {strategy.id}
    assert len({winner.query.id for winner in winners}) == len(winners)
    memories = remembered(run)
    assert len(winners) <= memories <= TRAIN
    assert len(taken(run)) > search["metric_calls"], "the log lacks calls"

    before, bank = taken(run), (run / "bank.jsonl").read_text("utf-8")
    again = answer(evolve("--resume", "--out", "run", "--json"))
    assert again["search"]["metric_calls"] == search["metric_calls"] and taken(run) == before
    assert again["best"] == told["best"] and again["seed"] == told["seed"]
    assert read_strategy(run / "strategy.yaml").id == strategy.id
    assert remembered(run) == memories
    assert (run / "bank.jsonl").read_text("utf-8") == bank, "memories were written twice"


def test_a_signal_ends_the_search_and_resume_goes_on(
    evolve: Evolve, here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = signal.SIGTERM
    shown = command.shown

    def interrupting(settings: Any, progress: Any) -> Any:
        show, sent = shown(settings, progress), []

        def advanced(archipelago: Any, engine: Any) -> None:
            show(archipelago, engine)
            if archipelago.budget.spent >= 20 and not sent:
                sent.append(number)
                os.kill(os.getpid(), number)

        return advanced

    monkeypatch.setattr(command, "shown", interrupting)
    budget = ("--budget", "5000", "--out", "run")
    ended = evolve(*budget, *SMALL, "--set", "gepa.stop.proposals=20", "--json")
    assert ended.exit_code == 128 + number
    told = json.loads(ended.stdout)
    calls = told["search"]["metric_calls"]
    assert told["search"]["stopped"] == f"stopped by {signal.Signals(number).name}"
    assert calls >= 20 and told["search"]["proposals"] < 20
    assert read_strategy(Path("run/strategy.yaml")).id == told["best"]["strategy"]
    before = taken(Path("run"))

    monkeypatch.setattr(command, "shown", shown)
    more = answer(evolve("--resume", "--out", "run", "--json"))
    assert more["search"]["proposals"] >= 20 and more["search"]["metric_calls"] > calls
    assert taken(Path("run"))[: len(before)] == before


def queries(path: Path, count: int) -> str:
    rows = [json.dumps({"query": f"a quiet lake, number {i}", "id": f"q{i}"}) for i in range(count)]
    path.write_text("\n".join(rows), "utf-8")
    return str(path)


def test_a_file_of_queries_and_a_strategy_to_start_from(evolve: Evolve, here: None, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(yaml.safe_dump({"rules": "always: watercolor\n", "note": "mine"}), "utf-8")
    told = answer(
        evolve(queries(tmp_path / "q.jsonl", 12), "--seed", "own.yaml", "--budget", "20", *SMALL, "--json")
    )
    run = Path(told["path"])
    assert run.parent.name == "runs" and told["unseen_queries"] == 3
    header = json.loads((run / "search/search.json").read_text("utf-8"))
    assert header["seed_candidates"] == [
        {**default_strategy().components, "note": ""},
        {**dict.fromkeys(default_strategy().components, ""), "rules": "always: watercolor\n", "note": "mine"},
    ]
    assert header["train"].startswith("6 examples") and header["validation"].startswith("3 examples")
    assert Strategy.of(read_strategy(run / "strategy.yaml").components).id == told["best"]["strategy"]


def test_candidates_take_the_place_of_the_policys_own_strategy(
    evolve: Evolve, here: None, tmp_path: Path
) -> None:
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"rules": "always: watercolor\n"}), "utf-8")
    own = ("--set", "policy.type=expander", "--set", "policy.strategy_file=own.yaml")
    more = ("--set", "loop.covers=24")
    told = answer(evolve("--budget", "150", "--out", "run", *own, *SMALL, *more, "--json"))
    assert told["seed"]["strategy"] == read_strategy(Path("own.yaml")).id
    assert told["best"]["strategy"] != told["seed"]["strategy"], "no candidate was better than the file"
    assert told["best"]["reward"] != told["seed"]["reward"], "both drew the same prompts"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["nowhere.jsonl"], "nowhere.jsonl: cannot be read"),
        (["few.jsonl"], "few.jsonl has 11 queries; accepted: at least 12"),
        (["--resume"], "--resume without --out"),
        (["--resume", "--out", "nowhere"], "nowhere holds no run"),
        (["--resume", "--out", "empty"], "empty holds no run"),
        (["--out", "full"], "full is not empty; accepted: --resume"),
        (["--seed", "list.yaml"], "accepted: a YAML mapping name -> text"),
        (["--seed", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["--set", "gepa.evaluators=many"], "gepa.evaluators"),
        (["--seed", "broken.yaml"], "a strategy file is no YAML"),
        (["--out", "small", "--budget", "5", *SMALL], "--budget 5 does not hold the first scoring"),
        (["--resume", "--out", "empty", "--budget", "9"], "--resume goes on as the run began"),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(
    evolve: Evolve, here: None, tmp_path: Path, words: list[str], named: str
) -> None:
    queries(tmp_path / "few.jsonl", 11)
    (tmp_path / "full").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "full/file").write_text("x")
    (tmp_path / "list.yaml").write_text("- a\n- b\n")
    (tmp_path / "broken.yaml").write_text("a: [1")
    result = evolve(*words)
    assert result.exit_code == 2, result.output
    assert named in one_sentence(result)
