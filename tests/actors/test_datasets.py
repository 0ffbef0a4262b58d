"""Datasets: exact round trip, verified, resumed after a crash."""

from __future__ import annotations

import errno
import json
import os
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.contracts import DistillRecord, Prompt, Query, Reward, Strategy
from actors.datasets import MANIFEST, Dataset, DatasetCorrupt, DatasetWriter, to_json_lines
from actors.errors import BadInput, StageFailed

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
RECORDS = st.lists(
    st.fixed_dictionaries({"a": JSON, "b": JSON, "n": st.integers(0, 9)}), min_size=1, max_size=6
)


def distilled(name: str) -> DistillRecord:
    query = Query.of(f"a lake {name}", title="静夜")
    strategy = Strategy.of({"clauses": name})
    prompt = Prompt.of(f"calm lake {name}", query=query, strategy_id=strategy.id, policy_version="p")
    reward = Reward(value=1, admitted=True, gates={name: True}, picture=0.5, prompt=1, parts={name: 0.5})
    return DistillRecord(query=query, prompt=prompt, reward=reward, strategy=strategy, seed=3)


@settings(max_examples=40, deadline=None)
@given(RECORDS)
def test_any_json_comes_back_as_it_was(records: list[dict[str, Any]]) -> None:
    uri = f"memory://{uuid.uuid4().hex}"
    DatasetWriter(uri).write_shard("s", records)
    back = list(Dataset(uri).rows())
    assert [json.dumps(row, sort_keys=True) for row in back] == [
        json.dumps(r, sort_keys=True) for r in records
    ]


def test_contracts_in_many_shards_with_provenance(tmp_path: Path) -> None:
    uri = str(tmp_path / "d")
    writer = DatasetWriter(uri, seeds={"draws": 7}, versions={"judge": "m1"})
    writer.write_shard("0", [distilled("x"), distilled("y")], events={"run": 12})
    writer.write_shard("1", [distilled("z")], events={"run": 20})
    dataset = Dataset(uri)
    assert [DistillRecord.model_validate(row) for row in dataset.rows()] == [distilled(n) for n in "xyz"]
    assert [row["query"]["title"] for row in dataset.rows(["1"])] == ["静夜"]
    assert len(dataset) == 3 and dataset.manifest.events == {"run": 20}
    assert (dataset.manifest.seeds, dataset.manifest.versions) == ({"draws": 7}, {"judge": "m1"})
    assert len(list(to_json_lines(dataset))) == 3
    dataset.verify()
    assert sorted(p.name for p in tmp_path.rglob("*.*")) == ["0.parquet", "1.parquet", MANIFEST]


def test_a_crash_between_shard_and_manifest_is_recovered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = str(tmp_path)
    writer = DatasetWriter(uri)
    writer.write_shard("0", [{"a": 1}])
    put = writer._put

    def dies(name: str, data: bytes) -> None:
        if name == MANIFEST:
            raise KeyboardInterrupt
        put(name, data)

    monkeypatch.setattr(writer, "_put", dies)
    with pytest.raises(KeyboardInterrupt):
        writer.write_shard("1", [{"a": 2}])
    (tmp_path / ".2.parquet.0.tmp").write_bytes(b"half")
    assert (tmp_path / "1.parquet").exists()
    assert [row["a"] for row in Dataset(uri).rows()] == [1]
    again = DatasetWriter(uri)
    assert "0" in again and "1" not in again
    assert again.write_shard("0", [{"a": 99}]).rows == 1
    again.write_shard("1", [{"a": 3}, {"a": 4}])
    assert [row["a"] for row in Dataset(uri).rows()] == [1, 3, 4]
    assert list(tmp_path.glob("*.tmp")) == list(tmp_path.glob(".*.tmp")) == []


def test_a_full_disk_leaves_the_dataset_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = DatasetWriter(str(tmp_path))
    writer.write_shard("0", [{"a": 1}])

    def full(path: str, data: bytes) -> None:
        Path(path).write_bytes(data[:3])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(writer._fs, "pipe_file", full)
    with pytest.raises(StageFailed, match=r"cannot write 1.parquet .*No space left"):
        writer.write_shard("1", [{"a": 2}])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.parquet", MANIFEST]


def test_damage_is_noticed(tmp_path: Path) -> None:
    uri = str(tmp_path)
    DatasetWriter(uri).write_shard("0", [{"a": 1}])
    shard = tmp_path / "0.parquet"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(DatasetCorrupt, match=r"0.parquet is damaged"):
        list(Dataset(uri).rows())
    shard.unlink()
    with pytest.raises(DatasetCorrupt, match=r"0.parquet is missing"):
        Dataset(uri).verify()
    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(DatasetCorrupt, match=r"manifest.json cannot be read"):
        DatasetWriter(uri)
    with pytest.raises(BadInput, match="there is no dataset"):
        Dataset(f"{uri}/elsewhere")


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    writer = DatasetWriter(str(tmp_path), versions={"judge": "1"})
    with pytest.raises(BadInput, match="at least one record"):
        writer.write_shard("0", [])
    with pytest.raises(BadInput, match=r"'../x'; accepted"):
        writer.write_shard("../x", [{"a": 1}])
    writer.write_shard("0", [{"a": 1, "b": "x"}])
    with pytest.raises(BadInput, match=r"columns \['c'\]; accepted"):
        writer.write_shard("1", [{"c": 1}])
    with pytest.raises(BadInput, match="column 'a' of type int64"):
        writer.write_shard("1", [{"a": "one"}])
    writer.write_shard("1", [{"b": "y"}])
    assert list(Dataset(str(tmp_path)).rows(["1"])) == [{"a": None, "b": "y"}]
    with pytest.raises(BadInput, match="made with seeds"):
        DatasetWriter(str(tmp_path), versions={"judge": "2"})
