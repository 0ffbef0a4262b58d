"""Texts of any length and language, and padding that cannot be seen."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from actors.errors import BadInput
from actors.scorer.text import PAD, TextBatch, TextTower, Tokenizer
from tests.scorer.scorer_kit import TEXT, far, tiny, tokenizer, tokenizer_file

TEXTS = ["", "a moon", "一轮明月照在湖面上", "Two cats on a red roof | 4:3", "夜 night 🌙", "x" * 5000]
TOWER: TextTower = tiny().text


@pytest.fixture
def words(tmp_path: Path) -> Tokenizer:
    return tokenizer(tmp_path)


def test_every_text_is_read_and_all_differ(words: Tokenizer) -> None:
    with torch.no_grad():
        read = TOWER(words(TEXTS))
    assert torch.isfinite(read).all()
    assert float(torch.pdist(read).min()) > 1e-2


def test_texts_are_cut_to_the_context(words: Tokenizer) -> None:
    assert words(["x" * 5000]).ids.shape == (1, TEXT.context)
    assert words([""]).ids.tolist() == [[0, 2]]
    ids = words(["", "ab"]).ids
    assert ids.shape == (2, 4) and ids[0].tolist() == [0, 2, PAD, PAD]
    assert torch.equal(words(["x" * 5000]).ids, words(["x" * 4000]).ids)


def test_padding_and_company_cannot_be_seen(words: Tokenizer) -> None:
    with torch.no_grad():
        together = TOWER(words(TEXTS))
        for text, expected in zip(TEXTS, together, strict=True):
            ids = words([text]).ids
            for extra in (0, 1, TEXT.context - ids.shape[1]):
                padded = TextBatch(functional.pad(ids, (0, extra), value=PAD))
                assert far(TOWER(padded)[0], expected) <= 1e-5


def test_padding_would_be_seen_without_the_mask(words: Tokenizer) -> None:
    ids = words(["a moon"]).ids
    with torch.no_grad():
        other = TextBatch(functional.pad(ids, (0, 5), value=3))
        assert far(TOWER(TextBatch(ids)), TOWER(other)) > 1e-3


def test_files_that_are_no_fitting_tokenizer_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"absent\.json: no tokenizer"):
        Tokenizer(tmp_path / "absent.json", 8)
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(BadInput, match=r"broken\.json: no tokenizer"):
        Tokenizer(tmp_path / "broken.json", 8)
    path = tokenizer_file(tmp_path)
    path.write_text(path.read_text("utf-8").replace("<pad>", "[PAD]"), "utf-8")
    with pytest.raises(BadInput, match="the id of <pad> is not 1"):
        Tokenizer(path, 8)
