from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from actors.contracts import Dimension
from actors.errors import BadInput
from actors.judge.calibration.anchors import PairAnchor, RecordedAnchor, load_anchors

PAIR: dict[str, Any] = {
    "id": "p1",
    "group": "g1",
    "query": {"text": "月亮", "aspect": "3:4", "title": "归航"},
    "a": "pictures/a.png",
    "b": "pictures/b.png",
    "labels": {"total": 1.0, "technical": 0.5},
    "raters": [{"total": 1.0}, {"total": 0.0}],
}
RECORDED: dict[str, Any] = {
    "task": "t",
    "uid": "u",
    "model": "m",
    "human": [[0.5, 1.0], [0.0, 0.5]],
    "judges": {"j": {"SC": [2.0], "PQ": [10.0, 3.0]}, "k": None},
}


def a_file(tmp_path: Path, *rows: object) -> Path:
    path = tmp_path / "anchors.jsonl"
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows), "utf-8")
    return path


def test_pairs_are_read(tmp_path: Path) -> None:
    (anchor,) = load_anchors(a_file(tmp_path, PAIR, ""))
    assert isinstance(anchor, PairAnchor)
    assert anchor.labels == {Dimension.TOTAL: 1.0, Dimension.TECHNICAL: 0.5}
    assert anchor.query.query().lang == "zh"


def test_recorded_scores_are_read(tmp_path: Path) -> None:
    (anchor,) = load_anchors(a_file(tmp_path, RECORDED))
    assert isinstance(anchor, RecordedAnchor)
    assert anchor.judges["k"] is None


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("{", "not JSON"),
        ("[1]", "list, not an object"),
        (PAIR | {"id": "p1"}, "occurs twice"),
        (PAIR | {"id": "p2", "labels": {}}, "labels"),
        (PAIR | {"id": "p2", "labels": {"beauty": 1.0}}, "labels"),
        (PAIR | {"id": "p2", "labels": {"total": 1.5}}, "labels.total"),
        (PAIR | {"id": "p2", "a": "../secret.png"}, "relative to the file"),
        (PAIR | {"id": "p2", "a": "/etc/passwd"}, "relative to the file"),
        (PAIR | {"id": "p2", "query": {"text": " "}}, "query.text"),
        (PAIR | {"id": "p2", "winner": "a"}, "winner"),
        (RECORDED, "id"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, bad: object, says: str) -> None:
    with pytest.raises(BadInput, match="line 3") as caught:
        load_anchors(a_file(tmp_path, PAIR, "", bad))
    assert says in str(caught.value) and "accepted" in str(caught.value)


def test_recorded_scores_are_checked(tmp_path: Path) -> None:
    for change in ({"human": []}, {"human": [[2, 0]]}, {"judges": {"j": {"SC": [], "PQ": [1]}}}):
        with pytest.raises(BadInput, match="line 1"):
            load_anchors(a_file(tmp_path, RECORDED | change))


def test_files_without_anchors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no anchors"):
        load_anchors(a_file(tmp_path, ""))
    with pytest.raises(BadInput, match="cannot be read"):
        load_anchors(tmp_path / "absent.jsonl")
    (tmp_path / "latin").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="UTF-8"):
        load_anchors(tmp_path / "latin")
