"""Nothing lost, nothing doubled, and the same dataset whatever happens on the way."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from actors.contracts import Failure
from actors.datasets import DatasetCorrupt
from actors.errors import BadInput, StageFailed
from actors.ledger import FileLog, LedgerLocked
from tests.synthesis import simulated
from tests.synthesis.simulated import ids, outcome, spec, synthesize
from train_jobs.synthesis import ledger
from train_jobs.synthesis.outcome import Failed, Outcome
from train_jobs.synthesis.samples import Sample
from train_jobs.synthesis.selection import Selector
from train_jobs.synthesis.store import PairStore

PAIRS = 150


def run(out: Path, pairs: int = PAIRS, **more: Any) -> dict[str, Any]:
    return asyncio.run(synthesize(str(out), pairs, **more))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The summary of a run that nothing interrupted."""
    return run(tmp_path_factory.mktemp("whole"))


def test_a_run_takes_what_a_plain_loop_would_take(tmp_path: Path, whole: dict[str, Any]) -> None:
    run(tmp_path)
    selector, expected, index = Selector(simulated.SETTINGS), [], 0
    while len(expected) < PAIRS:
        made = outcome(spec().sample(index))
        if hasattr(made, "record") and selector.decide(made) is None:
            expected.append(made.record.id)
        index += 1
    assert ids(str(tmp_path)) == expected
    assert whole["examined"] == index


def test_every_sample_is_accounted_for(whole: dict[str, Any]) -> None:
    assert whole["difference"] == 0
    assert whole["pairs"] == whole["accepted"] == PAIRS
    assert set(whole["refused"]) == {"audit_text", "alike", "easy", "near_duplicate"}
    assert set(whole["quarantined"]) == {"judge: BadAnswer"}
    assert whole["hard_share"] >= 0.3


@pytest.mark.parametrize("seed", range(3))
def test_timing_changes_nothing(tmp_path: Path, whole: dict[str, Any], seed: int) -> None:
    slow = spec(chunk=1 + seed, in_flight=5 + 9 * seed, window=2 + seed)
    assert run(tmp_path, delay_s=0.004, seed=seed, of=slow)["manifest_sha256"] == whole["manifest_sha256"]


def test_a_stopped_run_keeps_all_it_made_and_goes_on(tmp_path: Path, whole: dict[str, Any]) -> None:
    made: list[int] = []

    async def stopping() -> dict[str, Any]:
        stop = asyncio.Event()
        inner = simulated.stages(str(tmp_path), 0.002)

        async def stages(samples: Sequence[Sample]) -> list[Outcome]:
            made.extend(sample.index for sample in samples)
            if len(made) > 90:
                stop.set()
            return await inner(samples)

        return await synthesize(str(tmp_path), PAIRS, run_stages=stages, stop=stop)

    first = asyncio.run(stopping())
    assert 0 < first["pairs"] < PAIRS and first["difference"] == 0
    last = asyncio.run(stopping()) if first["pairs"] < 40 else None
    while last is None or last["pairs"] < PAIRS:
        last = asyncio.run(synthesize(str(tmp_path), PAIRS, run_stages=_counting(str(tmp_path), made)))
    assert last["manifest_sha256"] == whole["manifest_sha256"]
    assert len(made) == len(set(made)), "a sample was made twice"


def _counting(out: str, made: list[int], delay_s: float = 0.0) -> Any:
    inner = simulated.stages(out, delay_s)

    async def stages(samples: Sequence[Sample]) -> list[Outcome]:
        made.extend(sample.index for sample in samples)
        return await inner(samples)

    return stages


def test_more_pairs_later_are_the_same_pairs(tmp_path: Path) -> None:
    run(tmp_path / "grown", 40)
    run(tmp_path / "grown", 90)
    run(tmp_path / "straight", 90)
    assert ids(str(tmp_path / "grown")) == ids(str(tmp_path / "straight"))
    again = run(tmp_path / "grown", 90)
    assert (again["resumed_pairs"], again["difference"]) == (90, 0)


@pytest.mark.parametrize("point", ["write", "append"])
def test_a_crash_at_a_commit_changes_nothing(
    tmp_path: Path, whole: dict[str, Any], point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dying before or between the two writes of a shard's commit: the ledger decides what is there."""
    real, calls = (PairStore.write, ledger.done)[point == "append"], []

    def dying(*args: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*args)

    owner, name = ((PairStore, "write"), (ledger, "done"))[point == "append"]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, dying)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)
    # Fewer pairs are wanted first: the shard that was listed and never done must not stay.
    rows = len(ids(str(tmp_path)))
    run(tmp_path, rows)
    assert ids(str(tmp_path)) == ids_of_a_straight_run(tmp_path / "straight", rows)


def ids_of_a_straight_run(out: Path, pairs: int) -> list[str]:
    run(out, pairs)
    return ids(str(out))


@pytest.mark.chaos
def test_sigkill_of_the_driver_at_random_moments(tmp_path: Path, whole: dict[str, Any]) -> None:
    kill_at_random(tmp_path, whole, rounds=6, seed=4)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_sigkill_of_the_driver_at_fifty_moments(tmp_path: Path, whole: dict[str, Any]) -> None:
    for seed in range(10):
        kill_at_random(tmp_path / str(seed), whole, rounds=5, seed=seed)


def kill_at_random(out: Path, whole: dict[str, Any], rounds: int, seed: int) -> None:
    out.mkdir(exist_ok=True)
    dice, killed = random.Random(seed), 0
    command = [sys.executable, "-m", "tests.synthesis.simulated", str(out), str(PAIRS), "0.03"]
    while killed < rounds:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        try:
            process.wait(dice.uniform(0.005, 0.12))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.wait()
        process.stdout.close()
        if process.returncode == 0:
            break
    last = run(out)
    assert last["manifest_sha256"] == whole["manifest_sha256"]
    assert last["difference"] == 0 and last["shards_redone"] <= simulated.SETTINGS.window
    assert killed >= 2


def test_failures_are_quarantined_with_their_reasons(tmp_path: Path) -> None:
    run(tmp_path, 60)

    async def quarantined() -> list[dict[str, Any]]:
        async with FileLog(tmp_path / "ledger.jsonl") as log:
            events = await log.read(0, 1000, [ledger.DONE])
            return [entry for _, event in events for entry in event.payload["quarantined"]]

    found = asyncio.run(quarantined())
    assert found and all(
        entry["kind"] == "BadAnswer" and entry["id"].startswith(spec().id) for entry in found
    )


def test_the_job_gives_up_when_most_samples_fail(tmp_path: Path) -> None:
    async def failing(samples: Sequence[Sample]) -> list[Outcome]:
        failure = Failure(stage="judge", kind="Unreachable", message="no route")
        return [Failed(sample.index, sample.id, failure) for sample in samples]

    with pytest.raises(StageFailed, match=r"200 of the last 200 samples failed \(.*judge: Unreachable"):
        run(tmp_path, of=spec(give_up=0.5), run_stages=failing)


def test_a_stage_that_breaks_ends_the_run_and_keeps_the_rest(tmp_path: Path, whole: dict[str, Any]) -> None:
    inner, calls = simulated.stages(str(tmp_path)), []

    async def breaking(samples: Sequence[Sample]) -> list[Outcome]:
        calls.append(1)
        if len(calls) == 30:
            raise StageFailed("pool 'judge' has no replica left")
        return await inner(samples)

    with pytest.raises(StageFailed, match="no replica left"):
        run(tmp_path, run_stages=breaking)
    assert run(tmp_path)["manifest_sha256"] == whole["manifest_sha256"]


def test_the_output_of_another_spec_is_not_touched(tmp_path: Path) -> None:
    run(tmp_path, 30)
    before = {path: path.read_bytes() for path in tmp_path.glob("*.*")}
    with pytest.raises(BadInput, match=r"made with seeds .* accepted: the same ones"):
        run(tmp_path, 30, of=spec(seed=2))
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(BadInput, match="the ledger there is of the spec"):
        run(tmp_path, 30, of=spec(hard_share=0.9))
    assert all(path.read_bytes() == data for path, data in before.items() if path.name != "manifest.json")


def test_a_damaged_manifest_is_an_error_and_stays(tmp_path: Path) -> None:
    run(tmp_path, 30)
    (tmp_path / "manifest.json").write_text('{"format": 1, "shards": [', "utf-8")
    with pytest.raises(DatasetCorrupt, match=r"manifest\.json cannot be read"):
        run(tmp_path, 60)
    assert (tmp_path / "manifest.json").read_text("utf-8") == '{"format": 1, "shards": ['


def test_a_lost_manifest_is_made_again(tmp_path: Path) -> None:
    """Without its manifest a dataset does not add up, and the summary says so."""
    run(tmp_path, 60)
    (tmp_path / "manifest.json").unlink()
    assert run(tmp_path, 60)["difference"] > 0


def test_a_full_disk_is_an_error_and_the_run_goes_on_later(
    tmp_path: Path, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.local import LocalFileSystem

    real, written = LocalFileSystem.pipe_file, []

    def full(self: Any, path: str, value: bytes, **more: Any) -> None:
        written.append(path)
        if len(written) > 5:
            raise OSError(28, "No space left on device")
        real(self, path, value, **more)

    with monkeypatch.context() as patch:
        patch.setattr(LocalFileSystem, "pipe_file", full)
        with pytest.raises(StageFailed, match="No space left on device; free space"):
            run(tmp_path)
    assert run(tmp_path)["manifest_sha256"] == whole["manifest_sha256"]


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises((StageFailed, NotADirectoryError)) as caught:
        store = PairStore(str(tmp_path / "file" / "out"), "s", 1)
        store.open_log(tmp_path / "runs")
    assert "Not a directory" in str(caught.value)


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    store = PairStore(str(tmp_path), "s", 1)
    log = store.open_log(tmp_path)
    with pytest.raises(LedgerLocked):
        store.open_log(tmp_path)
    asyncio.run(log.close())


@pytest.mark.parametrize(("there", "resume"), [(True, False), (False, True)])
def test_going_on_is_asked_for(tmp_path: Path, there: bool, resume: bool) -> None:
    if there:
        run(tmp_path, 10)
    with pytest.raises(BadInput, match="--resume"):
        PairStore.check_place(str(tmp_path), resume)


def test_pictures_that_no_pair_refers_to_are_swept_and_lost_ones_counted(tmp_path: Path) -> None:
    stray = tmp_path / "pictures" / "ff" / f"{'f' * 64}.png"
    stray.parent.mkdir(parents=True)
    stray.touch()
    other = tmp_path / "pictures" / "notes.txt"
    other.touch()
    run(tmp_path, 20)
    assert not stray.exists() and other.exists()
    assert len(list(tmp_path.glob("pictures/*/*.png"))) == 40
    next(tmp_path.glob("pictures/*/*.png")).unlink()
    assert run(tmp_path, 20)["difference"] == 1


def test_the_cap_on_pictures_holds_over_all_runs(tmp_path: Path, whole: dict[str, Any]) -> None:
    from configs.synthesis import CapSettings

    drawn: list[int] = []
    for cap in (100, 150, 150):
        capped = spec(caps=CapSettings(pictures=cap))
        summary = run(tmp_path, of=capped, run_stages=_counting(str(tmp_path), drawn))
        assert 2 * len(drawn) <= cap and summary["capped"].startswith(f"caps.pictures {cap}")
    last = run(tmp_path, run_stages=_counting(str(tmp_path), drawn))
    assert last["manifest_sha256"] == whole["manifest_sha256"] and not last["capped"]


def test_a_call_that_the_purse_refuses_stops_the_run_and_is_no_failure(
    tmp_path: Path, whole: dict[str, Any]
) -> None:
    inner, calls = simulated.stages(str(tmp_path)), []

    async def poor(samples: Sequence[Sample]) -> list[Outcome]:
        calls.append(1)
        if len(calls) > 20:
            failure = Failure(stage="judge", kind="SpendCapReached", message="the cap is reached")
            return [Failed(sample.index, sample.id, failure) for sample in samples]
        return await inner(samples)

    summary = run(tmp_path, run_stages=poor)
    assert summary["capped"] == "the cap is reached" and "SpendCap" not in str(summary["quarantined"])
    assert run(tmp_path)["manifest_sha256"] == whole["manifest_sha256"]


def test_few_samples_are_made_in_vain(tmp_path: Path) -> None:
    """A fifth at the most: a tenth is begun ahead, the rest is what the measured rate may be wrong by."""
    made: list[int] = []
    wide = spec(in_flight=300, window=40)
    summary = run(tmp_path, of=wide, run_stages=_counting(str(tmp_path), made, 0.01))
    assert len(made) <= 1.2 * summary["examined"]


def test_the_summary_is_json(whole: dict[str, Any]) -> None:
    assert json.loads(json.dumps(whole)) == whole
