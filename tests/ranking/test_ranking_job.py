"""The job: from pairs to a scorer on disk, on Ray Train and in this process; killed, it goes on."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from actors.contracts import Dimension
from actors.errors import BadInput
from actors.scorer.checkpoint import load
from configs.ranking import FreezingSettings, RankingSettings, StartSettings
from tests.ranking.ranking_kit import dataset
from train_jobs.ranking.card import model_card
from train_jobs.ranking.curves import draw_curves
from train_jobs.ranking.data import examine
from train_jobs.ranking.evaluate import evaluate
from train_jobs.ranking.finish import Trained, finish, pairs_for
from train_jobs.ranking.job import split_of, train_here, train_on_ray
from train_jobs.ranking.start import start
from train_jobs.ranking.state import TrainingState
from train_jobs.training.publishing import CURVE

SETTINGS = RankingSettings(
    dimensions={"total": 1.0, "color": 1.0},
    epochs=2,
    batch=16,
    workers=2,
    loggers=("tensorboard",),
    freezing=FreezingSettings(head_epochs=0.5, image_blocks=1, text_blocks=1),
    checkpoint_steps=2,
    patience=5,
)


def numbers(state: TrainingState) -> list[float]:
    found: list[float] = []
    for row in state.progress.curve:
        for value in row.values():
            found += value.values() if isinstance(value, dict) else [value]
    return found


def test_a_run_in_this_process_ends_as_a_scorer_with_its_card(tmp_path: Path) -> None:
    uri = dataset(tmp_path, 160)
    folder = tmp_path / "run"
    folder.mkdir()
    state = train_here(SETTINGS, uri, frozenset(), folder)
    examined = examine(uri, [Dimension.TOTAL])
    trained = Trained(state, uri, examined.records, examined.bad, 1.0)
    finished = finish(SETTINGS, trained, folder / "scorer")
    scorer = load(folder / "scorer", dimensions=[Dimension.TOTAL, Dimension.COLOR])
    assert scorer.version == finished.version and scorer.calibration is not None
    assert finished.evaluation.part == "test"
    quality = finished.evaluation.sets["judge"].quality
    assert quality.pairs == len(split_of(examined.records, SETTINGS).test)
    assert set(finished.evaluation.sets["judge"].baselines) >= {"random", "laplacian variance"}
    card = model_card(finished.version, finished.card, finished.evaluation)
    assert finished.version in card and "| total |" in card and "## Limits" in card
    draw_curves(state.progress.curve, folder / "curves.png")
    assert (folder / "curves.png").stat().st_size > 10_000
    assert list((folder / "tensorboard").iterdir())
    assert json.loads((folder / CURVE).read_text()) == state.progress.curve
    own, other = pairs_for(scorer, uri, examined.records), dataset(tmp_path, 30, seed=9)
    assert (own.part, len(own.records)) == ("test", quality.pairs)
    strangers = pairs_for(scorer, other, examine(other, [Dimension.TOTAL]).records)
    assert (strangers.part, len(strangers.records)) == ("all", 30)


def test_a_process_that_is_killed_goes_on_to_the_same_curve(tmp_path: Path) -> None:
    """SIGKILL at a random step, in this process's stead."""
    uri = dataset(tmp_path, 160)
    whole, struck = tmp_path / "whole", tmp_path / "struck"
    whole.mkdir()
    struck.mkdir()
    expected = numbers(train_here(SETTINGS, uri, frozenset(), whole))
    code = (
        "import sys, pathlib; from tests.ranking.test_ranking_job import SETTINGS, train_here;"
        "train_here(SETTINGS, sys.argv[1], frozenset(), pathlib.Path(sys.argv[2]))"
    )
    moment = random.randint(1, 8)
    process = subprocess.Popen([sys.executable, "-c", code, uri, str(struck)])
    try:
        while not _reached(struck, moment):
            assert process.poll() is None, f"the run was over before step {moment}"
            time.sleep(0.005)
    finally:
        process.kill()
        process.wait()
    found = numbers(train_here(SETTINGS, uri, frozenset(), struck))
    assert found == pytest.approx(expected, abs=1e-6), f"killed at step {moment}"


def _reached(folder: Path, step: int) -> bool:
    try:
        rows = json.loads((folder / CURVE).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return bool(rows) and rows[-1]["step"] >= step


def test_human_labels_are_reported_apart(tmp_path: Path) -> None:
    uri = dataset(tmp_path, 30, labelled_by="human")
    begin = start(SETTINGS)
    folder = tmp_path / "scorer"
    from actors.scorer.checkpoint import save

    save(folder, begin.model, begin.tokenizer.source, None, {})
    scorer = load(folder)
    found = evaluate(scorer, pairs_for(scorer, uri, examine(uri, [Dimension.TOTAL]).records))
    assert set(found.sets) == {"human"} and found.sets["human"].quality.source == "human"


def test_a_folder_of_another_preset_is_refused(tmp_path: Path) -> None:
    from actors.scorer.checkpoint import save
    from tests.scorer.scorer_kit import tiny, tokenizer_file

    save(tmp_path / "tiny", tiny(), tokenizer_file(tmp_path), None, {})
    with pytest.raises(BadInput, match=r"holds the preset tiny, ranking\.preset is small"):
        start(SETTINGS.model_copy(update={"start": StartSettings(folder=tmp_path / "tiny")}))


def test_a_large_preset_asks_for_its_weights() -> None:
    with pytest.raises(BadInput, match=r"start\.text is not set and preset vit-l-14 ships no weights"):
        start(SETTINGS.model_copy(update={"preset": "vit-l-14"}))


def test_an_unknown_dimension_is_named() -> None:
    with pytest.raises(BadInput, match="'beauty' is no dimension; accepted: total, composition"):
        start(SETTINGS.model_copy(update={"dimensions": {"beauty": 1.0}}))


@pytest.mark.ray
@pytest.mark.chaos
@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_worker_that_is_killed_changes_nothing(tmp_path: Path, ray_session: str) -> None:
    """SIGKILL of a worker at a random step; the curve equals that of a run that nobody disturbed."""
    uri = dataset(tmp_path, 160)
    whole, struck = tmp_path / "whole", tmp_path / "struck"
    whole.mkdir()
    struck.mkdir()
    expected = numbers(train_on_ray(SETTINGS, uri, frozenset(), whole))
    killed: list[int] = []
    moment = random.randint(2, 10)
    watcher = threading.Thread(target=_kill_worker, args=(struck, moment, ray_session, killed), daemon=True)
    watcher.start()
    found = numbers(train_on_ray(SETTINGS, uri, frozenset(), struck))
    watcher.join(5)
    assert killed, f"the run was over before step {moment}"
    assert found == pytest.approx(expected, abs=1e-6), f"killed at step {moment}"


def _kill_worker(folder: Path, step: int, address: str, killed: list[int]) -> None:
    """Kill one of this cluster's Ray Train workers once the curve in a folder has reached a step."""
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline and not killed:
        time.sleep(0.02)
        if _reached(folder, step):
            for process in psutil.process_iter(["name", "cmdline"]):
                named = any("RayTrainWorker" in part for part in process.info["cmdline"] or ())
                if named and address in " ".join(psutil.Process(process.ppid()).cmdline()):
                    killed.append(process.pid)
                    os.kill(process.pid, signal.SIGKILL)
                    return
