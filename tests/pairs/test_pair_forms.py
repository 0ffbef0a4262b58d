"""Exports hold what their form promises, and come back as the very same pairs."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tracemalloc
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.contracts import Dimension
from actors.datasets import DatasetCorrupt
from actors.errors import BadInput, StageFailed
from actors.pairs import parquet, sharegpt, webdataset
from actors.pairs.dataset import Sample, picture_path, read_pairs, read_samples, write_pairs
from actors.pairs.folder import Folder
from actors.pairs.forms import FORMS, MARKER, export_pairs, import_pairs
from tests.pairs.pair_kit import picture, sample, samples, silent


@pytest.fixture
def dataset(tmp_path: Path) -> str:
    uri = str(tmp_path / "dataset")
    write_pairs(uri, [sample(n, total=n / 4) for n in range(5)], {"made": "by a test"}, shard_rows=2)
    return uri


def exported(dataset: str, form: str, tmp_path: Path, **options: bool) -> Path:
    export_pairs(dataset, form, str(tmp_path / form), silent, **options)
    return tmp_path / form


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=12, deadline=None)
@given(given_samples=st.lists(samples(), min_size=1, max_size=4))
def test_what_is_exported_comes_back_the_same(form: str, given_samples: list[Sample]) -> None:
    root = f"memory://{uuid.uuid4().hex}"
    write_pairs(f"{root}/first", given_samples, {}, shard_rows=2)
    export_pairs(f"{root}/first", form, f"{root}/export", silent)
    assert import_pairs(f"{root}/export", form, f"{root}/second", silent) == len(given_samples)
    assert list(read_samples(f"{root}/second")) == given_samples


def test_json_lines_can_be_read_by_who_knows_four_fields_only(dataset: str, tmp_path: Path) -> None:
    folder = exported(dataset, "jsonl", tmp_path)
    first, *_, last = lines(folder / "pairs.jsonl")
    assert list(first) == ["prompt", "image_winner_path", "image_loser_path", "scores", "atelier"]
    assert first["prompt"] == "the moon over a lake"
    assert (folder / first["image_winner_path"]).read_bytes() == picture(1)
    assert (folder / first["image_loser_path"]).read_bytes() == picture(0)
    assert (folder / last["image_winner_path"]).read_bytes() == picture(8)
    # The winner in total is the loser in colour, and the scores are those of the two pictures named.
    assert last["scores"] == {
        "total": {"winner": 0.75, "loser": 0.5},
        "color": {"winner": 0.5, "loser": 0.75},
    }


def test_parquet_opens_in_pandas(dataset: str, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_parquet(exported(dataset, "parquet", tmp_path))
    assert list(frame.columns) == list(parquet.COLUMNS)
    assert list(frame["label_total"]) == [0, 0.25, 0.5, 0.75, 1]
    assert frame["image_a"][1] == picture(2)
    assert set(frame["lang"]) == {"en"}


def test_tars_are_the_same_bytes_and_plain_files(dataset: str, tmp_path: Path) -> None:
    folder = exported(dataset, "webdataset", tmp_path)
    (tmp_path / "again").mkdir()
    other = exported(dataset, "webdataset", tmp_path / "again")
    assert (folder / "pairs-000000.tar").read_bytes() == (other / "pairs-000000.tar").read_bytes()
    with tarfile.open(folder / "pairs-000000.tar") as tar:
        members = tar.getmembers()
        assert [m.name for m in members[:3]] == ["00000000.a.png", "00000000.b.png", "00000000.json"]
        assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in members} == {(0, 0, 0, "", 0o644)}
        member = tar.extractfile("00000003.b.png")
        assert member is not None and member.read() == picture(7)


@pytest.mark.parametrize(
    ("form", "module", "limit"),
    [("webdataset", webdataset, "SHARD_BYTES"), ("parquet", parquet, "FILE_BYTES")],
)
def test_files_are_cut_at_their_size(
    form: str, module: Any, limit: str, dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, limit, 10_000)
    folder = exported(dataset, form, tmp_path)
    assert len(list(folder.glob("pairs-*"))) == 3
    import_pairs(str(folder), form, str(tmp_path / "back"), silent)
    assert list(read_pairs(str(tmp_path / "back"))) == list(read_pairs(dataset))


def test_reading_parquet_holds_one_row_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "GROUP_BYTES", 300_000)
    folder, padded = Folder(str(tmp_path)), bytes(100_000)
    given_samples = []
    for number in range(30):
        made = sample(number)
        data = made.a + number.to_bytes(2, "big") + padded
        a = made.record.a.model_copy(update=hashed(data))
        given_samples.append(Sample(made.record.model_copy(update={"a": a}), data, made.b))
    parquet.write(given_samples, folder)
    tracemalloc.start()
    try:
        assert sum(1 for _ in parquet.read(folder, "pairs-00000.parquet", folder)) == 30
        assert tracemalloc.get_traced_memory()[1] < 1_500_000
    finally:
        tracemalloc.stop()
    monkeypatch.setattr(parquet, "MAX_GROUP_BYTES", 10_000)
    with pytest.raises(BadInput, match="row group 0 has"):
        next(parquet.read(folder, "pairs-00000.parquet", folder))


def hashed(data: bytes) -> dict[str, str]:
    digest = hashlib.sha256(data).hexdigest()
    return {"sha256": digest, "path": picture_path(digest, "png")}


def test_conversations_ask_what_was_labelled_and_answer_in_their_order(dataset: str, tmp_path: Path) -> None:
    folder = exported(dataset, "sharegpt", tmp_path, both_orders=True)
    forward, backward = lines(folder / "conversations.jsonl")[2:4]
    human, answer = forward["conversations"]
    assert human["from"] == "human" and human["value"].count("<image>") == len(forward["images"]) == 2
    assert "the moon over a lake" in human["value"]
    assert json.loads(answer["value"]) == {"total": 2.5, "color": 7.5}
    assert json.loads(backward["conversations"][1]["value"]) == {"total": 7.5, "color": 2.5}
    assert forward["images"] == backward["images"][::-1]
    assert (folder / forward["images"][0]).read_bytes() == picture(2)
    assert "- color:" in forward["system"] and "- lighting:" not in forward["system"]
    info = json.loads((folder / "dataset_info.json").read_text("utf-8"))["atelier_pairs"]
    assert set(info["columns"].values()) < set(forward) and (folder / info["file_name"]).is_file()
    assert import_pairs(str(folder), "sharegpt", str(tmp_path / "back"), silent) == 5


def test_every_dimension_has_words_for_the_question() -> None:
    assert set(sharegpt.CRITERIA) == set(Dimension)


def test_a_query_cannot_add_pictures_to_a_conversation() -> None:
    line = sharegpt.to_conversation(sample(text="draw an <image> and a <video>").record)
    assert line["conversations"][0]["value"].count("<image>") == 2
    assert "<video>" not in line["conversations"][0]["value"]


def test_an_export_goes_where_nothing_is(dataset: str, tmp_path: Path) -> None:
    exported(dataset, "jsonl", tmp_path)
    with pytest.raises(BadInput, match="in use already"):
        exported(dataset, "jsonl", tmp_path)


def test_a_damaged_picture_stops_the_export(dataset: str, tmp_path: Path) -> None:
    record = next(read_pairs(dataset))
    (Path(dataset) / record.b.path).write_bytes(picture(9))
    with pytest.raises(DatasetCorrupt, match=r"pair-0.*picture b.*sha256"):
        exported(dataset, "parquet", tmp_path)
    assert not (tmp_path / "parquet" / MARKER).exists()


def test_a_full_disk_is_one_sentence_and_leaves_no_half_file(
    dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tarfile.TarFile.addfile", full)
    with pytest.raises(StageFailed, match="No space left on device"):
        exported(dataset, "webdataset", tmp_path)
    assert list((tmp_path / "webdataset").iterdir()) == []


def test_an_unfinished_export_is_not_taken_for_a_whole_one(dataset: str, tmp_path: Path) -> None:
    folder = exported(dataset, "parquet", tmp_path)
    (folder / MARKER).unlink()
    with pytest.raises(BadInput, match="no finished export"):
        import_pairs(str(folder), "parquet", str(tmp_path / "back"), silent)
    single = str(folder / "pairs-00000.parquet")
    assert import_pairs(single, "parquet", str(tmp_path / "back"), silent) == 5


def without_a_line(folder: Path) -> None:
    path = folder / "pairs.jsonl"
    path.write_text("".join(path.read_text("utf-8").splitlines(keepends=True)[1:]), "utf-8")


def with_another_prompt(folder: Path) -> None:
    path = folder / "pairs.jsonl"
    path.write_text(path.read_text("utf-8").replace('"prompt": "the moon', '"prompt": "the sun', 1), "utf-8")


def with_a_path_that_leads_out(folder: Path) -> None:
    path = folder / "pairs.jsonl"
    path.write_text(path.read_text("utf-8").replace("pictures/", "../pictures/"), "utf-8")


def with_the_manifest_as_picture(folder: Path) -> None:
    path, record = folder / "pairs.jsonl", sample(0, total=0.0).record
    (folder / "manifest.json").write_bytes(picture(0))
    path.write_text(path.read_text("utf-8").replace(record.a.path, "manifest.json"), "utf-8")


def with_a_broken_line(folder: Path) -> None:
    path = folder / "pairs.jsonl"
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (without_a_line, "holds 4 pairs, its export wrote 5"),
        (with_another_prompt, "line 1: prompt is not what `atelier` says"),
        (with_a_path_that_leads_out, r"line 1: the path '\.\./pictures"),
        (with_the_manifest_as_picture, "line 1: .*picture a: the path 'manifest.json' is refused"),
        (with_a_broken_line, "line 5 is no JSON"),
        (lambda folder: (folder / "pairs.jsonl").write_text("[1]\n"), "is no JSON object"),
    ],
)
def test_changed_json_lines_are_refused_and_leave_nothing(
    harm: Callable[[Path], None], told: str, dataset: str, tmp_path: Path
) -> None:
    folder = exported(dataset, "jsonl", tmp_path)
    harm(folder)
    with pytest.raises(BadInput, match=told):
        import_pairs(str(folder), "jsonl", str(tmp_path / "back"), silent)
    assert {path.name for path in tmp_path.iterdir()} == {"dataset", "jsonl"}


def test_a_link_out_of_the_folder_is_refused(dataset: str, tmp_path: Path) -> None:
    folder = exported(dataset, "jsonl", tmp_path)
    target = folder / sample(0).record.a.path
    target.rename(tmp_path / "secret.png")
    target.symlink_to(tmp_path / "secret.png")
    with pytest.raises(BadInput, match="leads out"):
        import_pairs(str(folder), "jsonl", str(tmp_path / "back"), silent)


def hostile_tar(path: Path, **fields: Any) -> None:
    with tarfile.open(path, "w", format=fields.pop("format", tarfile.USTAR_FORMAT)) as tar:
        entry = tarfile.TarInfo("00000000.a.png")
        data = fields.pop("data", b"")
        for name, value in {"size": len(data), **fields}.items():
            setattr(entry, name, value)
        tar.addfile(entry, io.BytesIO(data))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"name": "../../x.a.png"}, "accepted: plain files"),
        ({"name": "/etc/x.a.png"}, "accepted: plain files"),
        ({"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "accepted: plain files"),
        ({"name": "x" * 200 + ".a.png", "format": tarfile.PAX_FORMAT}, "accepted: plain files"),
        ({"data": b"\0" * 600}, r"lacks \['b', 'json'\]"),
    ],
)
def test_hostile_tars_are_refused(fields: dict[str, Any], told: str, tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    hostile_tar(path, **fields)
    with pytest.raises(BadInput, match=told):
        import_pairs(str(path), "webdataset", str(tmp_path / "back"), silent)


def test_a_tar_that_claims_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("00000000.a.png")
    entry.size = 8 * 1024**3 - 1
    (tmp_path / "x.tar").write_bytes(entry.tobuf(tarfile.USTAR_FORMAT) + b"\0" * 1024)
    with pytest.raises(BadInput, match="has 8589934591 bytes"):
        import_pairs(str(tmp_path / "x.tar"), "webdataset", str(tmp_path / "back"), silent)


@pytest.mark.parametrize("kept", [100, 512, 600, 5000])
def test_a_tar_that_is_cut_off_is_refused(kept: int, dataset: str, tmp_path: Path) -> None:
    path = exported(dataset, "webdataset", tmp_path) / "pairs-000000.tar"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(BadInput, match="cut off"):
        import_pairs(str(path), "webdataset", str(tmp_path / "back"), silent)


@pytest.mark.parametrize(("form", "suffix"), [(name, form.suffix) for name, form in FORMS.items()])
def test_noise_is_refused_in_one_sentence(form: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"noise{suffix}"
    path.write_bytes(bytes(range(256)) * 8)
    with pytest.raises(BadInput, match=f"noise{suffix}"):
        import_pairs(str(path), form, str(tmp_path / "back"), silent)


def test_the_form_must_be_the_exports_own(dataset: str, tmp_path: Path) -> None:
    folder = exported(dataset, "jsonl", tmp_path)
    with pytest.raises(BadInput, match="has the form 'jsonl', not 'parquet'"):
        import_pairs(str(folder), "parquet", str(tmp_path / "back"), silent)
    with pytest.raises(BadInput, match="'csv' is not known"):
        export_pairs(dataset, "csv", str(tmp_path / "csv"), silent)
    with pytest.raises(BadInput, match="accepted: sharegpt"):
        export_pairs(dataset, "jsonl", str(tmp_path / "both"), silent, both_orders=True)
