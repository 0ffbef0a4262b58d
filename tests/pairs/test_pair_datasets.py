"""Pair datasets on disk, and `atelier dataset`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from actors.contracts import PairRecord
from actors.datasets import Dataset, DatasetWriter
from actors.errors import BadInput, StageFailed
from actors.pairs.dataset import Sample, picture_shape, read_pairs, write_pairs
from actors.pairs.folder import Folder, UnsafePath, safe_name
from actors.pairs.verify import verify_pairs
from cluster.main import app
from tests.pairs.pair_kit import picture, sample, silent


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    write_pairs(str(tmp_path / "dataset"), [sample(n) for n in range(5)], {"made": "here"}, shard_rows=2)
    return tmp_path / "dataset"


def atelier(*words: str) -> Result:
    return CliRunner().invoke(app, ["dataset", *words])


def test_rows_are_the_records_in_shards_with_pictures_beside(dataset: Path) -> None:
    data = Dataset(str(dataset))
    assert [shard.rows for shard in data.manifest.shards] == [2, 2, 1]
    assert next(data.rows()) == sample(0).record.model_dump(mode="json")
    assert list(read_pairs(str(dataset), ["pairs-00002"])) == [sample(4).record]
    assert (dataset / sample(3).record.b.path).read_bytes() == picture(7)
    assert {path.name for path in dataset.parent.iterdir()} == {"dataset"}


def test_nothing_is_written_over_and_nothing_half_is_left(dataset: Path) -> None:
    with pytest.raises(BadInput, match="in use already"):
        write_pairs(str(dataset), [sample(9)], {})

    def failing() -> Iterator[Sample]:
        yield sample(0)
        raise BadInput("enough")

    with pytest.raises(BadInput, match="enough"):
        write_pairs(str(dataset.parent / "other"), failing(), {}, shard_rows=1)
    with pytest.raises(BadInput, match="there is no pair"):
        write_pairs(str(dataset.parent / "other"), [], {})
    assert {path.name for path in dataset.parent.iterdir()} == {"dataset"}


def test_what_a_crash_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "d.partial/pictures").mkdir(parents=True)
    (tmp_path / "d.partial/manifest.json").write_text("half")
    (tmp_path / "d").mkdir()
    write_pairs(str(tmp_path / "d"), [sample()], {})
    assert {path.name for path in tmp_path.iterdir()} == {"d"}
    assert verify_pairs(str(tmp_path / "d"), silent).sound


def test_the_number_in_memory_does_not_grow_with_the_dataset(tmp_path: Path) -> None:
    alive = peak = 0

    class Counted(bytes):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def flow() -> Iterator[Sample]:
        nonlocal alive, peak
        for number in range(60):
            made = sample(number)
            alive, peak = alive + 1, max(peak, alive + 1)
            yield Sample(made.record, Counted(made.a), made.b)

    write_pairs(str(tmp_path / "d"), flow(), {}, shard_rows=10)
    assert peak <= 3


def test_a_sound_dataset_is_told_so(dataset: Path) -> None:
    found = verify_pairs(str(dataset), silent)
    assert found.sound
    assert (found.shards, found.pairs, found.pictures) == (3, 5, 10)
    assert found.dimensions == {"total": 5, "color": 5}
    assert found.bytes == sum(path.stat().st_size for path in dataset.glob("pictures/*/*"))


def cut_shard(dataset: Path) -> None:
    path = dataset / "pairs-00001.parquet"
    path.write_bytes(path.read_bytes()[:-1])


def lose_shard(dataset: Path) -> None:
    (dataset / "pairs-00001.parquet").unlink()


def change_picture(dataset: Path) -> None:
    (dataset / sample(1).record.a.path).write_bytes(picture(1))


def lose_picture(dataset: Path) -> None:
    (dataset / sample(1).record.a.path).unlink()


def adding(dataset: Path, record: PairRecord) -> None:
    writer = DatasetWriter(str(dataset), versions={"made": "here"})
    writer.write_shard("pairs-00009", [record])


def lie_about_size(dataset: Path) -> None:
    record = sample(1).record
    adding(dataset, record.model_copy(update={"id": "x", "a": record.a.model_copy(update={"width": 9})}))


def point_elsewhere(dataset: Path) -> None:
    record = sample(1).record
    path = {"path": f"pictures/{record.a.sha256}.png"}
    (dataset / path["path"]).write_bytes(picture(2))
    adding(dataset, record.model_copy(update={"id": "x", "a": record.a.model_copy(update=path)}))


def point_out(dataset: Path) -> None:
    record = sample(1).record
    path = {"path": "../../secret.png"}
    adding(dataset, record.model_copy(update={"id": "x", "a": record.a.model_copy(update=path)}))


def unknown_kind(dataset: Path) -> None:
    adding(dataset, sample(7).record.model_copy(update={"kind": "guessed"}))


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (cut_shard, "pairs-00001.parquet"),
        (lose_shard, "pairs-00001.parquet is missing"),
        (change_picture, "pair 'pair-1', picture a: the file has the sha256"),
        (lose_picture, "pair 'pair-1', picture a: there is no file"),
        (lambda dataset: adding(dataset, sample(1).record), "pair 'pair-1' is there twice"),
        (lie_about_size, "the file is 8 x 8 px, the record says 9 x 8"),
        (point_elsewhere, "is refused; accepted: pictures/"),
        (point_out, "'../../secret.png' is refused"),
        (unknown_kind, "pair 'pair-7': kind: Input should be"),
    ],
)
def test_verify_finds_each_harm_and_goes_on(harm: Callable[[Path], None], told: str, dataset: Path) -> None:
    harm(dataset)
    found = verify_pairs(str(dataset), silent)
    assert [told in problem for problem in found.problems] == [True]
    assert found.pairs >= 3 and not found.sound
    result = atelier("verify", str(dataset), "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["problem_count"] == 1


def test_the_commands_take_a_dataset_there_and_back(dataset: Path, tmp_path: Path) -> None:
    out, back = str(tmp_path / "out"), str(tmp_path / "back")
    result = atelier("export", str(dataset), "--form", "webdataset", "--out", out, "--json")
    assert (result.exit_code, json.loads(result.stdout)["pairs"]) == (0, 5)
    result = atelier("import", out, "--form", "webdataset", "--out", back)
    assert result.exit_code == 0 and result.stdout.split()[-1] == back
    result = atelier("verify", back, "--json")
    assert (result.exit_code, json.loads(result.stdout)["sound"]) == (0, True)
    assert list(read_pairs(back)) == list(read_pairs(str(dataset)))


def test_what_was_left_out_is_told(tmp_path: Path) -> None:
    (tmp_path / "0.jpg").write_bytes(picture(0, "jpg"))
    (tmp_path / "1.jpg").write_bytes(picture(1, "jpg"))
    entry = {"prompt": "p", "human_preference": [1, 0], "file_path": ["0.jpg", "1.jpg"]}
    (tmp_path / "l.json").write_text(json.dumps([entry, {**entry, "file_path": ["0.jpg", "2.jpg"]}]))
    words = ["import", str(tmp_path / "l.json"), "--form", "hpdv2", "--out", str(tmp_path / "out")]
    result = atelier(*words)
    assert result.exit_code == 2 and "needs --pictures" in result.stderr
    result = atelier(*words, "--pictures", str(tmp_path))
    assert result.exit_code == 0
    assert "left out: 1 x picture is missing, e.g. entry 1: 2.jpg" in result.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["verify", "nowhere"], "no dataset at nowhere"),
        (["export", "nowhere", "--form", "jsonl", "--out", "x"], "no dataset at nowhere"),
        (["export", "nowhere", "--form", "csv", "--out", "x"], "'csv' is not known"),
        (["import", "nowhere", "--form", "jsonl", "--out", "x"], "nothing at nowhere"),
        (["import", "nowhere", "--form", "csv", "--out", "x"], "imagereward, hpdv2"),
        (["import", "nowhere", "--form", "hpdv2", "--pictures", ".", "--out", "x"], "no file 'nowhere'"),
        (["import", "nowhere", "--form", "hpdv2", "--pictures", "none", "--out", "x"], "no folder none"),
    ],
)
def test_wrong_words_are_one_sentence(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = atelier(*words)
    assert result.exit_code == 2
    (line,) = result.stderr.strip().splitlines()[-1:]
    assert line.startswith("error:") and told in line and "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["", ".", "/a", "../a", "a/../../b", "a\\b", "c:/a", "memory://a", "a\nb", "a\0"]
)
def test_names_that_lead_out_are_not_safe(name: str) -> None:
    with pytest.raises(UnsafePath, match="is refused"):
        safe_name(name)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"1" * 100)
    with pytest.raises(BadInput, match="more than 99 bytes"):
        Folder(str(tmp_path)).read("x", 99)
    with pytest.raises(BadInput, match="no picture"):
        picture_shape(b"GIF89a" + bytes(100))


@pytest.mark.parametrize(
    ("uri", "above"), [("x.tar", "."), ("/x.tar", "/"), ("a/x.tar", "a"), ("memory://x.tar", "memory://")]
)
def test_a_file_is_found_in_the_folder_above(uri: str, above: str) -> None:
    folder, name = Folder(uri).parent()
    assert (folder.uri, name) == (above, "x.tar")


def test_a_place_that_cannot_be_written_is_one_sentence(dataset: Path) -> None:
    with pytest.raises(StageFailed, match="Not a directory; free space or choose another place"):
        write_pairs(str(dataset / "manifest.json/x"), [sample()], {})
