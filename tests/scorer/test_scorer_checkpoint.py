"""A scorer's folder: what is saved is loaded, and what is damaged, foreign or pickled is refused."""

from __future__ import annotations

import json
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from actors.contracts import Dimension
from actors.errors import BadInput, StageFailed
from actors.scorer.checkpoint import CARD, TOKENIZER, WEIGHTS, load, read_card, save
from actors.tensors import fill, read_tensors
from tests.scorer.scorer_kit import ARCHITECTURE, calibration, far, pictures, tiny, tokenizer_file

FILES = {WEIGHTS, CARD, TOKENIZER}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    save(folder / "scorer", tiny(), tokenizer_file(folder), calibration(), {"pairs": 7}, half=False)
    return folder / "scorer"


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "scorer"))


def rewrite(folder: Path, **changes: Any) -> None:
    card = json.loads((folder / CARD).read_text("utf-8"))
    (folder / CARD).write_text(json.dumps({**card, **changes}), "utf-8")


def reweigh(folder: Path, change: Any) -> None:
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)


def test_what_is_saved_is_loaded(saved: Path) -> None:
    model, loaded = tiny(), load(saved)
    assert {path.name for path in saved.iterdir()} == FILES
    assert loaded.calibration == calibration() and loaded.card == {"pairs": 7}
    assert loaded.version == read_card(saved).version
    assert loaded.version.startswith("aesthetic-tiny-") and len(loaded.version) == len("aesthetic-tiny-") + 8
    assert not loaded.model.training and loaded.model.architecture == ARCHITECTURE
    found = loaded.model.state_dict()
    assert all(torch.equal(value, found[name]) for name, value in model.state_dict().items())
    with torch.no_grad():
        batch, texts = pictures(), loaded.tokenizer(["a moon", "月"])
        text_of = torch.arange(len(batch.grids)) % 2
        assert torch.equal(loaded.model(batch, texts, text_of), model(batch, texts, text_of))


def test_half_precision_halves_the_file_and_keeps_the_scores(saved: Path, tmp_path: Path) -> None:
    save(tmp_path, tiny(), saved / TOKENIZER, None, {})
    assert (tmp_path / WEIGHTS).stat().st_size < 0.6 * (saved / WEIGHTS).stat().st_size
    loaded = load(tmp_path)
    assert loaded.calibration is None
    assert {value.dtype for value in loaded.model.state_dict().values()} == {torch.float32}
    with torch.no_grad():
        assert far(loaded.model.see(pictures()), tiny().see(pictures())) < 2e-2


def test_the_version_names_the_weights(tmp_path: Path) -> None:
    words = tokenizer_file(tmp_path)
    versions = [
        save(tmp_path / str(i), tiny(seed), words, None, {"i": i}) for i, seed in enumerate([0, 0, 1])
    ]
    assert versions[0] == versions[1] != versions[2]


def test_a_folder_is_saved_over_with_its_own_tokenizer(folder: Path) -> None:
    version = save(folder, tiny(1), folder / TOKENIZER, None, {})
    assert load(folder).version == version
    assert {path.name for path in folder.iterdir()} == FILES


def test_a_failed_saving_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    broken = tiny(1)
    with torch.no_grad():
        broken.heads["total"][3].bias.fill_(1e6)
    with pytest.raises(BadInput, match=r"heads\.total\.3\.bias holds what is no number in torch\.float16"):
        save(folder, broken, folder / TOKENIZER, None, {})
    with pytest.raises(BadInput, match="dimensions"):
        save(folder, tiny(1), folder / TOKENIZER, calibration((Dimension.TOTAL,)), {})
    with pytest.raises(BadInput, match=r"card\.when"):
        save(folder, tiny(1), folder / TOKENIZER, None, {"when": object()})

    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StageFailed, match="No space left"):
        save(folder, tiny(1), folder / TOKENIZER, None, {})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("name", [WEIGHTS, TOKENIZER])
def test_files_of_two_savings_are_not_mixed(folder: Path, tmp_path: Path, name: str) -> None:
    save(tmp_path / "other", tiny(1), folder / TOKENIZER, None, {}, half=False)
    words = tmp_path / "other" / TOKENIZER
    words.write_text(words.read_text("utf-8") + "\n", "utf-8")
    shutil.copy(tmp_path / "other" / name, folder / name)
    with pytest.raises(BadInput, match=rf"{name}: not the one that scorer\.json was saved with"):
        load(folder)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BadInput, match=rf"{name}: .*; accepted: "):
        load(folder)


@pytest.mark.parametrize("left", [0, 5, 2000, -1])
def test_damaged_weights_are_refused(folder: Path, left: int) -> None:
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[:left])
    with pytest.raises(BadInput, match=rf"{WEIGHTS}: damaged \(.+\); accepted: a whole safetensors file"):
        load(folder)


def test_a_damaged_card_is_refused(folder: Path) -> None:
    (folder / CARD).write_text('{"version": "x"', "utf-8")
    with pytest.raises(BadInput, match=r"scorer\.json: the file: Invalid JSON"):
        load(folder)
    (folder / CARD).write_text('{"version": "x"}', "utf-8")
    with pytest.raises(BadInput, match=r"scorer\.json: architecture: Field required"):
        load(folder)


def test_foreign_weights_are_refused_by_name_and_number(folder: Path) -> None:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        del tensors["image.proj"], tensors["heads.total.0.bias"]
        tensors["extra"] = torch.zeros(2)
        tensors["image.ln_post.weight"] = torch.zeros(5)

    reweigh(folder, change)
    with pytest.raises(BadInput) as caught:
        load(folder)
    assert f"{folder / WEIGHTS}: 2 tensors are missing, first image.proj [32, 16]" in str(caught.value)
    assert "1 tensors are unexpected, first extra [2]" in str(caught.value)
    assert "1 tensors have another shape, first image.ln_post.weight [5], expected [32]" in str(caught.value)


def test_whole_numbers_are_no_weights(folder: Path) -> None:
    reweigh(folder, lambda tensors: tensors.update({"image.proj": torch.zeros(32, 16, dtype=torch.int8)}))
    with pytest.raises(BadInput, match=r"image\.proj is torch\.int8; accepted: float32"):
        load(folder)


def test_other_dimensions_are_refused(folder: Path) -> None:
    assert load(folder, dimensions=ARCHITECTURE.dimensions[::-1])
    with pytest.raises(
        BadInput, match=r"a scorer of total, composition, .*; accepted here: one of total, color"
    ):
        load(folder, dimensions=(Dimension.TOTAL, Dimension.COLOR))
    architecture = ARCHITECTURE.model_copy(update={"dimensions": (Dimension.TOTAL, Dimension.COLOR)})
    rewrite(folder, architecture=architecture.model_dump(mode="json"))
    with pytest.raises(BadInput, match="the calibration is of other dimensions than the architecture"):
        load(folder)
    rewrite(folder, architecture=architecture.model_dump(mode="json"), calibration=None)
    with pytest.raises(BadInput, match=r"24 tensors are unexpected, first heads\.composition\.0\.bias"):
        load(folder)
    rewrite(folder, architecture={**architecture.model_dump(mode="json"), "dimensions": ["beauty"]})
    with pytest.raises(BadInput, match=r"architecture\.dimensions\.0: Input should be 'total'"):
        load(folder)


def test_a_tokenizer_with_more_tokens_than_the_tower_is_refused(folder: Path, tmp_path: Path) -> None:
    words = json.loads((folder / TOKENIZER).read_text("utf-8"))
    words["model"]["vocab"]["more"] = 260
    (tmp_path / TOKENIZER).write_text(json.dumps(words), "utf-8")
    shutil.copy(tmp_path / TOKENIZER, folder / TOKENIZER)
    for refused in (
        lambda: load(folder),
        lambda: save(folder, tiny(), tmp_path / TOKENIZER, None, {}),
    ):
        with pytest.raises(BadInput, match="261 tokens; accepted: at most the 260 of the text tower"):
            refused()


class Payload:
    """Pickled, it makes a file when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("form", ["plain", "zip", "renamed"])
def test_a_pickle_is_refused_and_not_run(folder: Path, tmp_path: Path, form: str) -> None:
    mark, data = tmp_path / "it ran", pickle.dumps(Payload(tmp_path / "it ran"))
    path = folder / WEIGHTS
    if form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", data)
    else:
        path.write_bytes(data)
    if form == "renamed":
        path = path.rename(folder / "pytorch_model.bin")
    with pytest.raises(BadInput, match="pickled weights, which can run any code when they are read"):
        read_tensors(path) if form == "renamed" else load(folder)
    assert not mark.exists()
    pickle.loads(data)
    assert mark.exists(), "the payload must be able to run"


def test_a_name_of_pickles_is_refused_whatever_it_holds(folder: Path) -> None:
    with pytest.raises(BadInput, match=r"scorer\.ckpt: pickled weights"):
        read_tensors((folder / WEIGHTS).rename(folder / "scorer.ckpt"))


@pytest.mark.parametrize("length", [0x280, 0x480, 0x14B50])
def test_weights_whose_length_looks_like_a_pickle_are_read(tmp_path: Path, length: int) -> None:
    """The header's length comes first in the file, and may begin with the bytes of a pickle or a zip."""
    path, entry = tmp_path / WEIGHTS, b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    path.write_bytes(length.to_bytes(8, "little") + entry.ljust(length) + b"\0\0\x80\x3f")
    assert path.read_bytes().startswith((b"\x80", b"PK"))
    assert read_tensors(path)["a"].tolist() == [1.0]


def test_a_module_that_cannot_be_filled_is_left_as_it_was(tmp_path: Path) -> None:
    module = torch.nn.Linear(2, 1)
    before = module.weight.clone()
    with pytest.raises(BadInput, match=r"1 tensors are missing, first bias \[1\]"):
        fill(module, {"weight": torch.ones(1, 2)}, tmp_path)
    assert torch.equal(module.weight, before)
