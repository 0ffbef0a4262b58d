"""A run that is killed at any moment goes on as if it had not been, and pays for no finished call again."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from configs.gepa import GepaSettings
from tests.gepa.gepa_kit import TRAINSET, VALSET, Counted, Example, pool, records, search
from tests.gepa.gepa_processes import start
from train_jobs.gepa.candidate import key_of
from train_jobs.gepa.journal import LOG, read_lines

LIMIT, LANES = 140, 6
CODE = "import sys; from tests.gepa.test_gepa_kill import main; main(*sys.argv[1:])"


def line_of(example: Example, candidate: Mapping[str, str], traced: bool) -> str:
    """A call by the name that the search has for it."""
    examples, split = (TRAINSET, "train") if traced else (VALSET, "validation")
    return f"{key_of(dict(candidate))}/{split}/{examples.index(example)}"


def run(folder: Path, in_flight: int, calls: Path | None = None, pause: float = 0.004) -> list[Any]:
    """Go on with the run; each call that has finished is a line of the file of calls."""
    lock = threading.Lock()

    def hook(example: Example, candidate: Mapping[str, str], traced: bool) -> None:
        time.sleep(pause)
        if calls is not None:
            with lock, calls.open("a") as stream:
                stream.write(line_of(example, candidate, traced) + "\n")

    settings = GepaSettings(evaluators=LANES, proposers=2)
    found = search(Counted(hook), LIMIT, run_dir=folder, in_flight=in_flight, settings=settings)
    assert found.metric_calls <= LIMIT
    return pool(found)


def main(folder: str, in_flight: str, calls: str) -> None:
    """What the process that is killed does."""
    print(json.dumps(run(Path(folder), int(in_flight), Path(calls))))
    sys.stdout.flush()


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.chaos
@pytest.mark.parametrize("in_flight", [1, 8])
def test_a_run_that_is_killed_again_and_again(tmp_path: Path, in_flight: int) -> None:
    folder, calls = tmp_path / "run", tmp_path / "calls"
    dice = random.Random(in_flight)
    kills, unkept = 0, 0
    while True:
        before = len(lines(calls))
        kept = {record["name"] for record in records(folder)} if folder.exists() else set()
        process = start(CODE, str(folder), str(in_flight), str(calls))
        # Killed somewhere in its next calls, not by the clock: a slow machine would never get on.
        wanted = before + dice.randint(20, 45)
        while process.poll() is None and len(lines(calls)) < wanted:
            time.sleep(0.001)
        time.sleep(dice.uniform(0, 0.004))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        printed, _ = process.communicate(timeout=30)
        made = lines(calls)[before:]
        assert not kept & set(made), "a call whose result was kept was paid for again"
        names = [record["name"] for record in records(folder)]
        assert len(set(names)) == len(names)
        # Between a call's end and its line there is nothing but the writing of it.
        unkept += len(set(made) - set(names))
        assert len(set(made) - set(names)) <= LANES
        told = [line["take"] for line in read_lines(folder / LOG)]
        assert set(told) <= set(names) and len(set(told)) == len(told)
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
        kills += 1
    assert kills >= 2, "it was hardly killed, and this test shows little"
    paid = Counter(lines(calls))
    assert len(paid) <= LIMIT and sum(paid.values()) - len(paid) <= unkept
    final = json.loads(printed)
    again = run(folder, in_flight)
    assert json.loads(json.dumps(again)) == final, "the finished run is another one when it is read again"
    if in_flight == 1:
        assert again == run(tmp_path / "whole", 1, pause=0)
