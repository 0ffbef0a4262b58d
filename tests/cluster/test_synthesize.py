"""`atelier synthesize` with the real embedded workers, inside this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from actors.hosts import in_process
from cluster.commands.synthesize import CAPPED, QUARANTINED, REFUSED, _exit_code
from cluster.main import app
from cluster.signals import Stop
from configs.load import load

Synthesize = Callable[..., Result]
SMALL = (
    *("--set", "generator.long_side=96"),
    *("--set", "calibration.queries=24"),
    *("--set", "synthesis.shard=8"),
    *("--set", "calibration.gate.min_accuracy=0.3"),
    *("--set", "calibration.gate.max_ece=0.5"),
    *("--set", "calibration.gate.max_tie_rate=1"),
)


@pytest.fixture
def synthesize(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Synthesize:
    """Run `atelier synthesize ...` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("actors.hosts.pooled", in_process)
    monkeypatch.setattr("cluster.session.session", lambda *_, **__: nullcontext("nowhere"))
    return lambda *words: CliRunner().invoke(app, ["synthesize", *words, *SMALL])


def test_one_command_makes_pairs_card_and_gate_and_goes_on(synthesize: Synthesize, tmp_path: Path) -> None:
    first = synthesize("--pairs", "10", "--out", "pairs", "--json")
    assert first.exit_code == 0, first.output
    summary = json.loads(first.stdout)
    assert (summary["pairs"], summary["difference"]) == (10, 0)
    out = tmp_path / "pairs"
    assert json.loads((out / "calibration.json").read_text("utf-8"))["anchors"] == "constructed"
    # What was under way when the last pair was found may have left more.
    assert len(list(out.glob("pictures/*/*.png"))) >= 20
    assert all((out / name).is_file() for name in ("card.html", "card.json", "sheet.png", "summary.json"))
    again = synthesize("--pairs", "10", "--out", "pairs")
    assert again.exit_code == 2 and "--resume" in again.stderr
    more = synthesize("--pairs", "14", "--out", "pairs", "--resume")
    assert more.exit_code == 0 and "10 pairs from earlier runs" in more.output.replace("\n", " ")
    verified = CliRunner().invoke(app, ["dataset", "verify", "pairs", "--json"])
    assert verified.exit_code == 0, verified.output


def test_the_gate_refuses_and_nothing_is_made(synthesize: Synthesize, tmp_path: Path) -> None:
    refused = synthesize("--pairs", "4", "--out", "pairs", "--set", "calibration.gate.min_pairs=9999")
    assert refused.exit_code == REFUSED
    assert "refused:" in refused.stderr and "9999" in refused.stderr
    assert not list((tmp_path / "pairs").glob("*.parquet"))


def test_a_cap_stops_the_run_with_its_own_exit_code(synthesize: Synthesize) -> None:
    capped = synthesize("--pairs", "40", "--out", "pairs", "--set", "synthesis.caps.pictures=40")
    assert capped.exit_code == CAPPED
    assert "caps.pictures 40" in capped.output and "--resume" in capped.output


def test_a_place_that_cannot_be_used_is_one_sentence(synthesize: Synthesize, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for out in ("file/pairs", "file"):
        result = synthesize("--pairs", "4", "--out", out)
        assert result.exit_code in (1, 2) and "Traceback" not in result.output
        assert sum(line.startswith("error:") for line in result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("changes", "signal", "code"),
    [
        ({}, 0, 0),
        ({"quarantined_share": 0.02}, 0, QUARANTINED),
        ({"quarantined_share": 0.009}, 0, 0),
        ({"capped": "x"}, 0, CAPPED),
        ({"difference": 1}, 0, 1),
        ({"pairs": 3}, 2, 130),
        ({"pairs": 3}, 15, 143),
        ({}, 15, 0),
    ],
)
def test_the_exit_code_tells(changes: dict[str, object], signal: int, code: int) -> None:
    summary = {"difference": 0, "capped": "", "pairs": 9, "requested": 9, "quarantined_share": 0.0} | changes
    assert _exit_code(load("embedded"), summary, Stop(signal=signal)) == code
