"""Published human labels, in files made here as their READMEs and first entries have them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.contracts import Dimension, nearest_aspect
from actors.errors import BadInput
from actors.pairs import labels
from actors.pairs.dataset import read_pairs, read_samples
from actors.pairs.human import Imported, import_labels
from actors.pairs.labels import elements
from actors.pairs.verify import verify_pairs
from tests.pairs.pair_kit import picture, silent

IMAGE_REWARD = {
    "id": "005658-0040",
    "prompt": "a cabin in the snow",
    "generations": [f"part-005658/images/0040/{n}.webp" for n in range(3)],
    "ranking": [2, 1, 2],
}
HPD_TRAIN = {
    "human_preference": [0, 1],
    "prompt": "a lighthouse",
    "file_path": ["0.jpg", "1.jpg"],
    "user_hash": "x",
}
HPD_TEST = {
    "prompt": "雪中小屋",
    "image_path": ["0.jpg", "1.jpg", "2.jpg"],
    "rank": [3, 1, 2],
    "raw_annotations": [{"rank": [3, 1, 2], "user_hash": "x"}],
}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    (folder / "part-005658/images/0040").mkdir(parents=True)
    for n in range(3):
        (folder / f"part-005658/images/0040/{n}.webp").write_bytes(picture(n, "webp"))
        (folder / f"{n}.jpg").write_bytes(picture(n, "jpg"))
    return folder


def imported(source: str, entries: Any, pictures: Path) -> Imported:
    path = pictures.parent / "labels.json"
    path.write_text(entries if isinstance(entries, str) else json.dumps(entries), "utf-8")
    return import_labels(str(path), source, str(pictures), str(pictures.parent / "out"), silent)


def totals(pictures: Path) -> list[float]:
    return [record.labels[Dimension.TOTAL] for record in read_pairs(str(pictures.parent / "out"))]


def test_image_reward_ranks_become_pairs_and_draws(pictures: Path) -> None:
    result = imported("imagereward", [IMAGE_REWARD, {**IMAGE_REWARD, "prompt": "another"}], pictures)
    assert (result.entries, result.pairs, result.rejected) == (2, 6, {})
    assert totals(pictures) == [0, 0.5, 1] * 2
    first, *_, last = list(read_samples(str(pictures.parent / "out")))
    assert (first.a, first.b) == (picture(0, "webp"), picture(1, "webp"))
    record = first.record
    assert (record.kind, record.labelled_by, record.query.text) == (
        "imported",
        "human",
        "a cabin in the snow",
    )
    assert record.versions == {"source": "imagereward", "licence": "Apache-2.0"}
    assert record.a.path.endswith(".webp") and record.a.phash and record.query.aspect == "4:3"
    assert record.query.id != last.record.query.id
    assert verify_pairs(str(pictures.parent / "out"), silent).sound


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (HPD_TRAIN, [0]),
        ({**HPD_TRAIN, "human_preference": [1, 0]}, [1]),
        ({"prompt": "p", "image_path": HPD_TRAIN["file_path"], "human_preference": [1, 0]}, [1]),
        (HPD_TEST, [0, 0, 1]),
    ],
)
def test_hpd_v2_in_all_its_spellings(entry: dict[str, Any], expected: list[float], pictures: Path) -> None:
    imported("hpdv2", [entry], pictures)
    assert totals(pictures) == expected


def test_what_cannot_be_used_is_counted_with_its_reason(pictures: Path) -> None:
    (pictures / "broken.jpg").write_bytes(picture(0, "jpg")[:-200])
    (pictures / "same.jpg").write_bytes(picture(0, "jpg"))
    entries = [
        HPD_TRAIN,
        {**HPD_TRAIN, "file_path": ["0.jpg", "nowhere.jpg"]},
        {**HPD_TRAIN, "file_path": ["x" * 300 + ".jpg", "1.jpg"]},
        {**HPD_TRAIN, "file_path": ["broken.jpg", "1.jpg"]},
        {**HPD_TRAIN, "file_path": ["0.jpg", "same.jpg"]},
        {**HPD_TRAIN, "prompt": "x" * 3000},
        {**HPD_TRAIN, "human_preference": [1]},
        {"prompt": "no pictures"},
    ]
    result = imported("hpdv2", entries, pictures)
    assert (result.entries, result.pairs) == (8, 1)
    assert result.rejected == {
        "picture is missing": 2,
        "pair lacks a picture": 3,
        "picture cannot be used": 1,
        "pair is twice the same picture": 1,
        "prompt is not accepted": 1,
        "entry is not of the format": 2,
    }
    assert result.examples["picture is missing"] == "entry 1: nowhere.jpg"
    assert result.examples["entry is not of the format"] == "entry 6: 2 pictures have 1 ranks"


@pytest.mark.parametrize(
    "path", ["../secret.jpg", "/etc/passwd", "a/../../b.jpg", "c:\\x.jpg", "s3://x/y.jpg"]
)
def test_paths_that_lead_out_are_refused_and_nothing_is_left(path: str, pictures: Path) -> None:
    (pictures.parent / "secret.jpg").write_bytes(picture(7, "jpg"))
    with pytest.raises(BadInput, match=r"entry 1: the path .* is refused; .* do not trust"):
        imported("hpdv2", [HPD_TRAIN, {**HPD_TRAIN, "file_path": ["0.jpg", path]}], pictures)
    assert {p.name for p in pictures.parent.iterdir()} == {"pictures", "secret.jpg", "labels.json"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "'the end of the file' stands where an array"),
        ("{}", "'{' stands where an array"),
        ("[1]", "element 1 is no object"),
        ('[{"prompt": 1]', "element 1 is no JSON"),
        ('[{"prompt": "p"}', "'the end of the file' stands where ',' or ']' after element 1"),
        ("[{}] []", "goes on after its array"),
        ("[{},]", "element 2 is no JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "it has no entries"),
        ("[{}]", "1 x entry is not of the format, e.g. entry 0"),
    ],
)
def test_damaged_label_files_are_refused(text: str, told: str, pictures: Path) -> None:
    with pytest.raises(BadInput, match=told.replace("[", r"\[")):
        imported("imagereward", text, pictures)


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)


@settings(deadline=None)
@given(
    entries=st.lists(st.dictionaries(st.text(max_size=4), JSON, max_size=3), max_size=5),
    chunk=st.integers(1, 9),
    indent=st.none() | st.integers(0, 2),
)
def test_arrays_are_read_element_by_element_however_they_are_cut(
    entries: list[dict[str, Any]], chunk: int, indent: int | None
) -> None:
    data = json.dumps(entries, ensure_ascii=False, indent=indent).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labels, "_CHUNK_BYTES", chunk)
        assert list(elements(io.BytesIO(data), "x")) == entries


def test_a_long_element_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "MAX_ELEMENT_CHARS", 1000)
    monkeypatch.setattr(labels, "_CHUNK_BYTES", 500)
    file = io.BytesIO(b'[{"prompt": "' + b"x" * 100_000)
    with pytest.raises(BadInput, match="longer than 1000"):
        list(elements(file, "x"))
    assert file.tell() <= 2000


@pytest.mark.parametrize(
    ("size", "aspect"), [((512, 512), "1:1"), ((720, 1280), "9:16"), ((800, 600), "4:3")]
)
def test_the_nearest_aspect(size: tuple[int, int], aspect: str) -> None:
    assert nearest_aspect(*size) == aspect
