from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from actors.judge.calibration.report import CalibrationReport, read_report
from actors.reporting.calibration import HEIGHT, WIDTH, calibration_page, reliability_chart
from actors.reporting.page import words
from cluster.main import app


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["judge", "calibrate", *arguments, "--set", "calibration.resamples=100"])


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Answers of a judge that sees, and of one that guesses and often cannot be read."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    rows = []
    for request in range(80):
        for model in range(3):
            true = rng.random()
            level = round(2 * true) / 2
            points = [float(v) for v in np.clip(np.round(10 * true + rng.normal(0, 2, 2)), 0, 10)]
            guess = None if rng.random() < 0.2 else {"SC": [float(rng.integers(0, 11))], "PQ": [5.0]}
            judges = {"sees": {"SC": points, "PQ": points}, "guesses": guess}
            row = {"task": "t<1>", "uid": str(request), "model": str(model), "human": [[level, level]] * 3}
            rows.append(json.dumps(row | {"judges": judges}))
    (tmp_path / "anchors.jsonl").write_text("\n".join(rows), "utf-8")
    return tmp_path


def test_a_good_judge_passes_and_is_reported(recorded: Path) -> None:
    result = run("anchors.jsonl", "--judge", "sees", "--out", "made", "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["passed"] and answer["slopes"]["total"] > 1
    report = read_report(recorded / "made/report.json")
    assert report.before.accuracy == answer["before"]["accuracy"]
    page = (recorded / "made/report.html").read_text("utf-8")
    assert "May judge in mass" in page and "可以批量评审" in page
    assert "t&lt;1&gt;" in page and "t<1>" not in page


def test_a_refused_judge_exits_with_three_and_names_each_check(recorded: Path) -> None:
    result = run("anchors.jsonl", "--judge", "guesses", "--out", "made")
    assert result.exit_code == 3
    refused = [line for line in result.stderr.splitlines() if line.startswith("refused:")]
    assert len(refused) == 2
    assert "parse failure rate" in refused[0] and "accuracy lower bound" in refused[1]
    assert not read_report(recorded / "made/report.json").gate.passed


def test_a_profile_moves_the_bars(recorded: Path) -> None:
    result = run(
        "anchors.jsonl", "--judge", "sees", "--out", "made", "--set", "calibration.gate.min_accuracy=0.999"
    )
    assert result.exit_code == 3
    assert "at least 99.9%" in result.stderr


def test_a_run_folder_is_made_without_out(recorded: Path) -> None:
    assert run("anchors.jsonl", "--judge", "sees").exit_code == 0
    (folder,) = (recorded / "runs").iterdir()
    assert {path.name for path in folder.iterdir()} == {"report.html", "report.json", "settings.json"}


def test_a_wrong_call_is_one_sentence(recorded: Path) -> None:
    for arguments, says in (
        (("anchors.jsonl",), "2 judges; accepted: --judge with one of guesses, sees"),
        (("anchors.jsonl", "--judge", "x"), "accepted: guesses, sees"),
        (("absent.jsonl",), "cannot be read"),
        (("--judge", "sees"), "recorded scores"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2
        (line,) = [line for line in result.stderr.splitlines() if line.startswith("error:")]
        assert says in line
    assert not (recorded / "runs").exists()


def test_the_page_says_every_word_in_both_languages(recorded: Path) -> None:
    run("anchors.jsonl", "--judge", "sees", "--out", "made")
    report = read_report(recorded / "made/report.json")
    built = report.model_copy(update={"anchors": "constructed", "mode": "comparative"})
    for page in (calibration_page(report, profile="p"), calibration_page(built, profile="p")):
        assert "cal " not in page and "cal_" not in page
    assert "no claim about agreement with people" in calibration_page(built, profile="p")
    assert {f"cal_check_{check.name}" for check in report.gate.checks} <= words().keys()


def test_discs_stay_inside_the_chart(recorded: Path) -> None:
    run("anchors.jsonl", "--judge", "sees", "--out", "made")
    report: CalibrationReport = read_report(recorded / "made/report.json")
    svg = str(reliability_chart({"before": report.before.bins, "after": report.after.bins}))
    assert svg.count("<circle") == len(report.before.bins) + len(report.after.bins)
    for disc in svg.split("<circle ")[1:]:
        x, y, r = (float(disc.split(f'{name}="')[1].split('"')[0]) for name in ("cx", "cy", "r"))
        assert r < x < WIDTH - r and r < y < HEIGHT - r
