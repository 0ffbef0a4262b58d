from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actors.artifacts import Artifacts
from actors.contracts import Comparison, Dimension, Failure, Judgement, Picture, Query
from actors.errors import BadInput
from actors.judge.calibration.anchors import PairAnchor
from actors.judge.calibration.report import CalibrationReport
from actors.pixels import encode_png
from configs.load import load
from configs.schema import Settings
from tests.fake_roles import fake_roles
from train_jobs.calibration.job import Anchor, calibrate, mode_of, stored


def quiet(stage: str, done: int, total: int) -> None:
    pass


def a_picture(number: int) -> Picture:
    return Picture(sha256=f"{number:064x}", width=8, height=8, prompt_id="p", seed=0, generator_version="g")


class RulingJudge:
    """The picture with the larger number is better; multiples of `fails` cannot be read."""

    def __init__(self, fails: int = 10**9) -> None:
        self.fails = fails
        self.asked: list[tuple[str, str]] = []
        self.batches: list[int] = []

    async def judge(self, pictures: Sequence[Picture], queries: Sequence[Query]) -> list[Judgement | Failure]:
        self.batches.append(len(pictures))
        self.asked += [(p.sha256, q.id) for p, q in zip(pictures, queries, strict=True)]
        return [self._judge(int(picture.sha256, 16)) for picture in pictures]

    def _judge(self, number: int) -> Judgement | Failure:
        if number % self.fails == 0:
            return Failure(stage="judge", kind="Unparsable", message="no JSON")
        scores: dict[Dimension, float | None] = {Dimension.TOTAL: number / 1000, Dimension.LEGIBILITY: None}
        return Judgement(scores=scores, judge_version="ruling-1")

    async def compare(
        self, pairs: Sequence[tuple[Picture, Picture]], queries: Sequence[Query]
    ) -> list[Comparison | Failure]:
        self.batches.append(len(pairs))
        answers: list[Comparison | Failure] = []
        for a, b in pairs:
            first, second = int(a.sha256, 16), int(b.sha256, 16)
            if first % self.fails == 0 or second % self.fails == 0:
                answers.append(Failure(stage="judge", kind="Unparsable", message="no JSON"))
            else:
                wins = {Dimension.TOTAL: 0.9 if first > second else 0.1}
                answers.append(
                    Comparison(first_wins=wins, consistent=first % 4 != 0, judge_version="ruling-1")
                )
        return answers


def some_anchors(n: int = 80) -> list[Anchor]:
    """Pictures 1.. in pairs; the larger number wins in nine of ten."""
    rng = np.random.default_rng(0)
    anchors = []
    for i in range(n):
        a, b = (int(v) for v in rng.choice(np.arange(1, 1000), 2, replace=False))
        better = float(a > b) if i % 10 else float(a < b)
        labels = {Dimension.TOTAL: better, Dimension.LEGIBILITY: better}
        query = Query.of(f"query {i}")
        raters = ({Dimension.TOTAL: better}, {Dimension.TOTAL: better})
        anchors.append(Anchor(str(i), query.id, query, a_picture(a), a_picture(b), labels, raters))
    return anchors


def settings(**calibration: Any) -> Settings:
    loaded = load("embedded", [])
    room = loaded.calibration.model_copy(update={"resamples": 100, **calibration})
    return loaded.model_copy(update={"calibration": room})


def calibrated(judge: RulingJudge, anchors: list[Anchor], **room: Any) -> CalibrationReport:
    roles = replace(fake_roles(), judge=judge)
    return asyncio.run(calibrate(roles, settings(**room), anchors, "human", quiet))


def test_a_pointwise_judge_is_measured() -> None:
    report = calibrated(RulingJudge(), some_anchors(200))
    assert (report.mode, report.judge, report.judge_version) == ("pointwise", "measured", "ruling-1")
    assert report.before.accuracy == pytest.approx(0.9)
    assert report.swap_consistency is None
    assert report.human_kappa == pytest.approx(1.0)
    assert list(report.dimensions) == [Dimension.TOTAL]
    assert report.gate.passed


def test_a_picture_is_judged_once_a_query_and_in_batches() -> None:
    query = Query.of("q")
    anchors = [
        Anchor(str(i), f"g{i}", query, a_picture(500), a_picture(i + 1), {Dimension.TOTAL: 1.0})
        for i in range(30)
    ]
    judge = RulingJudge()
    report = calibrated(judge, anchors, batch=8)
    assert len(judge.asked) == len(set(judge.asked)) == report.questions == 31
    assert judge.batches == [8, 8, 8, 7]


def test_failures_are_counted_and_never_guessed() -> None:
    anchors = some_anchors(200)
    judge = RulingJudge(fails=10)
    report = calibrated(judge, anchors)
    failed = sum(int(sha, 16) % 10 == 0 for sha, _ in judge.asked)
    assert report.failures == {"Unparsable": failed}
    assert report.parse_failure_rate == pytest.approx(failed / len(judge.asked))
    readable = [a for a in anchors if int(a.a.sha256, 16) % 10 and int(a.b.sha256, 16) % 10]
    assert report.after.n == len(readable) < 200
    assert [check.name for check in report.gate.failed] == ["parse_failure_rate"]


def test_a_comparative_judge_is_measured_in_both_orders() -> None:
    judge = RulingJudge(fails=50)
    anchors = some_anchors(200)
    report = calibrated(judge, anchors, mode="comparative", batch=64)
    answered = [a for a in anchors if int(a.a.sha256, 16) % 50 and int(a.b.sha256, 16) % 50]
    agreed = [a for a in answered if int(a.a.sha256, 16) % 4]
    assert judge.batches == [64, 64, 64, 8]
    assert report.questions == 200
    assert report.swap_consistency == pytest.approx(len(agreed) / len(answered))
    assert "swap_consistency" in {check.name for check in report.gate.checks}
    # 2 p - 1 is 0.8 for every pair, and nine of ten are right.
    assert report.probability(Dimension.TOTAL, 0.8) == pytest.approx(0.9, abs=0.03)


def test_a_judge_that_answers_nothing_is_an_error() -> None:
    with pytest.raises(BadInput, match="none has a winner"):
        calibrated(RulingJudge(fails=1), some_anchors(10))


def test_how_a_judge_is_asked() -> None:
    assert [mode_of("auto", judge) for judge in ("vlm", "measured")] == ["comparative", "pointwise"]
    assert mode_of("pointwise", "vlm") == "pointwise"


def an_anchor(**change: Any) -> PairAnchor:
    fields = {"id": "p1", "query": {"text": "moon"}, "a": "a.png", "b": "b.png", "labels": {"total": 1.0}}
    return PairAnchor.model_validate(fields | change)


def test_pictures_of_a_file_go_into_artifacts(tmp_path: Path) -> None:
    for number, name in enumerate(("a.png", "b.png")):
        (tmp_path / name).write_bytes(encode_png(np.full((20, 30, 3), number, np.uint8)))
    artifacts = Artifacts(str(tmp_path / "store"))
    (anchor,) = stored([an_anchor()], tmp_path, artifacts)
    assert (anchor.a.width, anchor.a.height, anchor.group) == (30, 20, "p1")
    assert artifacts.has(anchor.a.sha256) and artifacts.has(anchor.b.sha256)


def test_a_missing_or_damaged_picture_is_named(tmp_path: Path) -> None:
    artifacts = Artifacts(str(tmp_path / "store"))
    with pytest.raises(BadInput, match=r"anchor p1: .*a\.png: No such file"):
        stored([an_anchor()], tmp_path, artifacts)
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(BadInput, match=r"anchor p1: .*a\.png: the file is no picture"):
        stored([an_anchor()], tmp_path, artifacts)
