"""The queries of a search from a file, and the strategies that it starts from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actors.contracts import Strategy
from actors.errors import BadInput
from train_jobs.gepa.job import Data, candidates_of, of_file


def a_file(folder: Path, count: int, *, backwards: bool = False) -> Path:
    lines = [json.dumps({"id": f"q{i}", "query": f"a moon, number {i}"}) for i in range(count)]
    path = folder / "queries.jsonl"
    path.write_text("\n".join(lines[::-1] if backwards else lines), "utf-8")
    return path


def ids(data: Data) -> list[list[str]]:
    return [[query.id for query in part] for part in (data.train, data.validation, data.test)]


@pytest.mark.parametrize("count", [12, 13, 14, 15, 101])
def test_each_query_is_in_one_part(tmp_path: Path, count: int) -> None:
    train, validation, test = ids(of_file(a_file(tmp_path, count)))
    assert sorted(train + validation + test) == sorted(f"q{i}" for i in range(count))
    assert abs(len(train) - count / 2) <= 1
    assert abs(len(validation) - count / 4) <= 1 and abs(len(test) - count / 4) <= 1


def test_parts_hang_on_the_ids_alone(tmp_path: Path) -> None:
    parts = ids(of_file(a_file(tmp_path, 40)))
    assert parts == ids(of_file(a_file(tmp_path, 40, backwards=True)))
    assert sorted(parts[0]) != sorted(f"q{i}" for i in range(40))[:20]


@pytest.mark.parametrize("count", [1, 11])
def test_a_file_of_few_queries_is_refused(tmp_path: Path, count: int) -> None:
    path = a_file(tmp_path, count)
    with pytest.raises(BadInput, match=rf"{path} has {count} queries; accepted: at least 12"):
        of_file(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.jsonl"):
        of_file(tmp_path / "none.jsonl")


def test_all_seeds_have_all_components() -> None:
    first = Strategy.of({"rules": "always: soft light", "avoid": "neon"})
    second = Strategy.of({"instruction": "be bold", "rules": ""})
    seeds = candidates_of([first, second])
    assert seeds == [
        {"rules": "always: soft light", "avoid": "neon", "instruction": ""},
        {"rules": "", "avoid": "", "instruction": "be bold"},
    ]
    assert [list(seed) for seed in seeds] == [["rules", "avoid", "instruction"]] * 2
    assert candidates_of([first]) == [first.components]
    assert candidates_of([]) == []
