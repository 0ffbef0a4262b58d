"""Rows that cannot be used are set aside with their reason; pictures are read when needed."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
from PIL import Image

from actors.contracts import Dimension, PairRecord
from actors.datasets import Dataset, DatasetWriter
from actors.errors import BadInput
from actors.pairs.dataset import picture_path
from tests.ranking.ranking_kit import TINY, dataset, samples
from train_jobs.ranking.data import Pictures, examine, lengths, usable

DIMENSIONS = TINY.dimensions


def with_picture(record: PairRecord, root: Path, data: bytes, width: int, height: int) -> PairRecord:
    """The record with another picture as a, which is put in its place."""
    digest = hashlib.sha256(data).hexdigest()
    path = picture_path(digest, "png")
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(data)
    side = record.a.model_copy(update={"sha256": digest, "path": path, "width": width, "height": height})
    return record.model_copy(update={"a": side})


def png(width: int, height: int, mode: str = "RGB") -> bytes:
    sink = io.BytesIO()
    Image.new(mode, (width, height)).save(sink, "PNG")
    return sink.getvalue()


def test_bad_rows_are_set_aside_and_counted(tmp_path: Path) -> None:
    uri = dataset(tmp_path, 8)
    root, rows = Path(uri), [each.record for each in samples(8)]
    cut = png(40, 40)[:60]
    rows[0] = with_picture(rows[0], root, png(1, 1), 1, 1)
    rows[1] = with_picture(rows[1], root, png(16, 4000), 16, 4000)
    rows[2] = with_picture(rows[2], root, cut, 40, 40)
    (root / rows[3].b.path).unlink()
    (root / rows[4].b.path).write_bytes(b"something else")
    rows[5] = rows[5].model_copy(update={"labels": {Dimension.LEGIBILITY: 0.2}})
    broken = [row.model_dump(mode="json") for row in rows]
    broken[6]["labels"]["total"] = float("nan")
    other = str(tmp_path / "other")
    DatasetWriter(other, versions={}).write_shard("pairs-0", broken)
    (root / "pictures").rename(tmp_path / "other" / "pictures")
    found = examine(other, DIMENSIONS)
    assert [record.id for record in found.records] == [rows[7].id]
    reasons = {row.id: row.reason for row in found.bad}
    assert len(reasons) == 7
    assert "1 x 1 px; accepted: a shorter side of at least" in reasons[rows[0].id]
    assert "16 x 4000 px" in reasons[rows[1].id]
    assert "cannot be read" in reasons[rows[2].id]
    assert rows[3].b.path in reasons[rows[3].id]
    assert "sha256" in reasons[rows[4].id]
    assert "no label; accepted: at least one of total" in reasons[rows[5].id]
    assert "labels" in reasons[rows[6].id]


def test_a_dataset_without_one_good_row_is_refused(tmp_path: Path) -> None:
    uri = dataset(tmp_path, 2)
    for path in (Path(uri) / "pictures").rglob("*.png"):
        path.unlink()
    with pytest.raises(BadInput, match="none of 2 rows can be used; the first"):
        examine(uri, DIMENSIONS)


def test_usable_is_what_examination_left(tmp_path: Path) -> None:
    uri = dataset(tmp_path, 5)
    assert [r.id for r in usable(uri, frozenset({"pair-0-1"}))] == [f"pair-0-{i}" for i in (0, 2, 3, 4)]
    assert len(Dataset(uri)) == 5


@pytest.mark.parametrize("cache_mb", [0, 64])
def test_pictures_come_in_order_with_the_lengths_that_were_planned(tmp_path: Path, cache_mb: int) -> None:
    uri = dataset(tmp_path, 7)
    records = usable(uri, frozenset())
    pictures = Pictures(uri, TINY.image, cache_mb)
    batches = [records[:3], records[3:6], records[6:]]
    for _ in range(2):
        got = list(pictures.ahead(batches))
        assert [len(each) for each in got] == [6, 6, 2]
        flat = [len(picture.grid) for part in got for picture in part]
        assert flat == lengths(records, TINY.image).ravel().tolist()


def test_a_picture_that_vanishes_later_is_one_clear_sentence(tmp_path: Path) -> None:
    uri = dataset(tmp_path, 2)
    records = usable(uri, frozenset())
    (Path(uri) / records[0].a.path).unlink()
    with pytest.raises(BadInput, match="pictures/"):
        Pictures(uri, TINY.image, 0).pairs(records)
