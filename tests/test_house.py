"""The rules of the house that no linter knows."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.vocabulary import keys

ROOT = Path(__file__).parents[1]
ROOMS = ("configs", "actors", "serve_apps", "train_jobs", "cluster")
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60


def sources(*rooms: str) -> Iterator[tuple[str, str]]:
    for room in rooms:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield str(path.relative_to(ROOT)), path.read_text("utf-8")


def offenders(pattern: str, *rooms: str, but: str = "") -> list[str]:
    return [
        name
        for name, text in sources(*rooms)
        if re.search(pattern, text) and not (but and name.startswith(but))
    ]


def test_environment_is_read_in_one_place() -> None:
    assert offenders(r"\bos\.(environ|getenv)\b", *ROOMS, but="configs/environment.py") == []


def test_only_cluster_starts_ray() -> None:
    assert offenders(r"\bray\.init\(", *ROOMS, but="cluster/") == []


def test_nothing_is_pickled_to_disk() -> None:
    assert offenders(r"\bimport (cloud)?pickle\b|torch\.(load|save)\(", *ROOMS) == []


def test_jobs_do_not_import_one_another() -> None:
    jobs = [path.name for path in (ROOT / "train_jobs").iterdir() if (path / "__init__.py").exists()]
    for job in jobs:
        others = [other for other in jobs if other not in (job, "training")]  # what every training has
        if job != "loop" and others:
            assert offenders(rf"train_jobs\.({'|'.join(others)})\b", f"train_jobs/{job}") == [], job


@pytest.mark.parametrize("room", ROOMS)
def test_files_and_functions_keep_their_size(room: str) -> None:
    for name, text in sources(room):
        assert text.count("\n") <= MAX_FILE_LINES, name
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert (node.end_lineno or 0) - node.lineno <= MAX_FUNCTION_LINES, f"{name}: {node.name}"


@pytest.mark.parametrize("room", ROOMS)
def test_public_objects_have_docstrings(room: str) -> None:
    missing = [
        f"{name}: {node.name}"
        for name, text in sources(room)
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
        and node.name not in keys("subject")  # a drawing is named by what it draws
    ]
    assert missing == []


def test_weights_are_small_enough() -> None:
    weights = [path for room in ROOMS for path in (ROOT / room).rglob("*.safetensors")]
    assert sum(path.stat().st_size for path in weights) <= 10 * 1024 * 1024
