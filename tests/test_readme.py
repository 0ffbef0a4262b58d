"""The README's commands do what it says."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cluster.main import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
ATELIER = Path(sys.executable).with_name("atelier")
SMALL = {
    "ATELIER_LOOP__COVERS": "4",
    "ATELIER_LOOP__REAL": "2",
    "ATELIER_LOOP__DRAWS": "1",
    "ATELIER_LOOP__WARM_QUERIES": "4",
    "ATELIER_LOOP__WARM_DRAWS": "2",
    "ATELIER_LOOP__SUFFIX_TRIALS": "24",
    "ATELIER_GENERATOR__LONG_SIDE": "256",
    "ATELIER_CALIBRATION__QUERIES": "48",
    "ATELIER_RANKING__EPOCHS": "2",
    "ATELIER_RANKING__WORKERS": "0",
    "ATELIER_GEPA__MINIBATCH": "4",
    "ATELIER_GEPA__STUDIO__BUDGET": "60",
    "ATELIER_GEPA__STUDIO__TRAIN": "8",
    "ATELIER_GEPA__STUDIO__VALIDATION": "6",
}


def commands(word: str) -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split("#")[0].strip() for line in lines if line.startswith(f"{word} ")]


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for command in commands("make"):
        assert re.search(rf"^{command.split()[1]}:", makefile, re.MULTILINE), command


def test_files_and_rooms_named_exist() -> None:
    tree = re.search(r"```\n(configs/.*?)```", README, re.DOTALL)
    assert tree
    folder = ROOT
    for line in tree[1].splitlines():
        name = line.split()[0].rstrip(",")
        folder = folder if line.startswith("  ") else ROOT
        assert ((folder if line.startswith("  ") else ROOT) / name).exists(), line
        if not line.startswith("  "):
            folder = ROOT / name
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert link.startswith("http") or (ROOT / link).exists(), link


@pytest.mark.ray
@pytest.mark.timeout(480)
def test_atelier_commands_run(tmp_path: Path, ray_session: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one process on one cluster: that each command starts its own is tested elsewhere."""
    for name, value in {**SMALL, "ATELIER_CLUSTER__ADDRESS": ray_session}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "queries.jsonl").write_text('{"query": "a lighthouse"}\n{"query": "石桥"}\n', "utf-8")
    for command in commands("atelier"):
        if "serve" in command or "--profile gpu" in command:
            continue
        words = shlex.split(command)[1:]
        words = [str(tmp_path / "queries.jsonl") if word.endswith("covers.jsonl") else word for word in words]
        words = [
            str(found)
            for word in words
            for found in (sorted(tmp_path.glob(word))[:2] if "*" in word else [word])
        ]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, f"{command}\n{result.output[-2000:]}"
    assert list(tmp_path.glob("runs/*/summary.json"))
    assert list(tmp_path.glob("runs/covers/results.jsonl"))
    assert list(tmp_path.glob("runs/pairs/card.html"))
    assert list(tmp_path.glob("runs/pairs-jsonl/*.jsonl"))


def test_the_command_is_installed() -> None:
    done = subprocess.run([ATELIER, "--help"], capture_output=True, text=True, timeout=120, check=True)
    assert "demo" in done.stdout
