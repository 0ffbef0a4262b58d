from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from actors.pixels import decode, encode_png
from cluster.main import COMMANDS

Atelier = Callable[..., Result]


def one_sentence(result: Result) -> str:
    assert "Traceback" not in result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    return line


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from cluster.main import app\n"
        "app(['--help'], standalone_mode=False)\n"
        "heavy = {'ray', 'torch', 'cv2', 'pyarrow', 'numpy'} & set(sys.modules)\n"
        "print(heavy or 'light')"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout.splitlines()[-1] == "light", done.stdout[-200:]
    # Processor seconds: what else the machine does is not what is measured.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(atelier: Atelier, name: str) -> None:
    result = atelier(name, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_imagine_writes_its_folder_and_valid_json(atelier: Atelier, tmp_path: Path) -> None:
    result = atelier("imagine", "the moon over a lake", "-n", "3", "--out", "made", "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert len(answer["draws"]) == 3
    best = max(answer["draws"], key=lambda d: (d["reward"]["admitted"], d["reward"]["value"]))
    assert answer["best"] == f"made/{best['file']}"
    assert decode((tmp_path / answer["best"]).read_bytes()).shape == (48, 36, 3)
    assert decode((tmp_path / "made/sheet.png").read_bytes()).ndim == 3
    assert json.loads((tmp_path / "made/result.json").read_text("utf-8")) == answer
    assert "the moon over a lake" in (tmp_path / "made/report.html").read_text("utf-8")


def test_imagine_prints_a_table_and_the_best_picture_last(atelier: Atelier, tmp_path: Path) -> None:
    result = atelier("imagine", "月亮", "-n", "2")
    assert result.exit_code == 0, result.output
    assert "weakest" in result.stdout
    best = Path(result.stdout.split()[-1])
    assert (tmp_path / best).is_file()
    assert (tmp_path / best.parents[1] / "settings.json").is_file()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["imagine", ""], "empty"),
        (["imagine", "x" * 10_000], "10000 characters"),
        (["imagine", "bad \x07 bell"], "U+0007"),
        (["imagine", "moon", "-n", "0"], "--n 0"),
        (["imagine", "moon", "-n", "1000"], "--n 1000"),
        (["imagine", "moon", "--aspect", "7:1"], "7:1"),
        (["imagine", "moon", "--set", "policy.kind=x"], "policy.kind"),
        (["imagine", "moon", "--set", "nonsense"], "nonsense"),
        (["imagine", "moon", "--profile", "nowhere"], "nowhere"),
        (["batch", "none.jsonl", "--out", "x"], "none.jsonl"),
        (["batch", "none.jsonl", "--out", "x", "--limit", "0"], "--limit 0"),
        (["evaluate", "imagine", "none.jsonl"], "none.jsonl"),
        (["keys", "create", "--scope", "all"], "all"),
        (["keys", "revoke", "ak1"], "ak1"),
        (["up", "--set", "cluster.host=0.0.0.0", "--set", "cluster.auth=disabled"], "0.0.0.0"),
        (["serve", "--set", "serve.port=0"], "serve.port"),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(atelier: Atelier, words: list[str], named: str) -> None:
    result = atelier(*words)
    assert result.exit_code == 2, result.output
    assert named in one_sentence(result)


def test_bad_input_with_json_is_json_too(atelier: Atelier) -> None:
    result = atelier("imagine", "moon", "-n", "0", "--json")
    assert json.loads(result.stdout)["error"]["kind"] == "BadInput"


def test_a_refused_query_is_failed_work(atelier: Atelier, tmp_path: Path) -> None:
    result = atelier("imagine", "something unsafe", "--out", "made")
    assert result.exit_code == 1
    assert "unsafe" in one_sentence(result)
    assert (tmp_path / "made/report.html").is_file()


def test_an_unexpected_error_has_a_traceback_only_on_demand(
    atelier: Atelier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cluster.commands.imagine.save", broken)
    assert "No space left" in one_sentence(atelier("imagine", "moon"))
    loud = atelier("imagine", "moon", "--verbose")
    assert loud.exit_code == 1
    assert "Traceback" in loud.stderr


def test_ctrl_c_is_code_130(atelier: Atelier, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cluster.commands.imagine.save", interrupted)
    assert atelier("imagine", "moon").exit_code == 130


def test_score_ranks_and_names_what_is_no_picture(atelier: Atelier, tmp_path: Path) -> None:
    for number in range(3):
        pixels = np.full((40, 30, 3), 40 * number, np.uint8)
        (tmp_path / f"{number}.png").write_bytes(encode_png(pixels))
    good = atelier("score", "0.png", "1.png", "2.png", "--json")
    assert good.exit_code == 0, good.output
    rows = json.loads(good.stdout)["pictures"]
    assert [row["rank"] for row in rows] == [1, 2, 3]
    totals = [row["scores"]["total"] for row in rows]
    assert totals == sorted(totals, reverse=True)

    (tmp_path / "torn.png").write_bytes((tmp_path / "0.png").read_bytes()[:60])
    mixed = atelier("score", "0.png", "torn.png", "absent.png")
    assert mixed.exit_code == 2
    assert "torn.png" in mixed.stderr and "absent.png" in mixed.stderr
    assert "0.png" in mixed.stdout


def test_a_key_is_made_listed_and_revoked(atelier: Atelier, tmp_path: Path) -> None:
    made = json.loads(atelier("keys", "create", "--note", "press", "--json").stdout)
    assert made["key"].startswith(made["id"] + ".")
    secret = made["key"].partition(".")[2]
    assert secret not in (tmp_path / "runs/keys.json").read_text("utf-8")
    listed = atelier("keys", "list")
    assert "press" in listed.stdout and secret not in listed.stdout
    assert atelier("keys", "revoke", made["id"]).exit_code == 0
    (key,) = json.loads(atelier("keys", "list", "--json").stdout)["keys"]
    assert key["state"] == "revoked"


def test_nothing_runs_at_first(atelier: Atelier) -> None:
    assert json.loads(atelier("status", "--json").stdout) == {"services": []}
    assert json.loads(atelier("down", "--json").stdout) == {"stopped": {}}


def test_batch_makes_each_cover_once_and_shows_them(atelier: Atelier, tmp_path: Path) -> None:
    lines = [json.dumps({"query": f"the moon {i}", "id": f"q{i}"}) for i in range(3)]
    lines.append(json.dumps({"query": "undrawable", "id": "bad"}))
    (tmp_path / "queries.jsonl").write_text("\n".join(lines), "utf-8")
    words = ("batch", "queries.jsonl", "--out", "covers", "--limit", "2", "--json")
    first = atelier(*words)
    assert first.exit_code == 0, first.output
    counts = json.loads(first.stdout)
    assert (counts["queries"], counts["failed"], counts["resumed"]) == (4, 1, 0)
    page = (tmp_path / "covers/report.html").read_text("utf-8")
    assert "the moon 2" in page and "cannot draw" in page
    assert (tmp_path / "covers/sheet.png").is_file()
    again = json.loads(atelier(*words).stdout)
    assert again == {**counts, "resumed": 4}


def test_an_evaluation_prints_its_table_and_the_folder_last(atelier: Atelier, tmp_path: Path) -> None:
    small = ("covers=3", "real=2", "warm_queries=2", "suffix_trials=0", "draws=1")
    settings = (word for setting in small for word in ("--set", f"loop.{setting}"))
    result = atelier("evaluate", "imagine", *settings)
    assert result.exit_code == 0, result.output
    folder = tmp_path / result.stdout.split()[-1]
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    for arm in ("raw", "expander_bank"):
        assert arm in result.stdout
        assert arm in summary
    assert "first draw" in (folder / "report.html").read_text("utf-8")
    assert (folder / "sheet.png").is_file()
