"""The scorer role: odd and bad pictures, company that cannot be seen, and the settings it refuses."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from actors.artifacts import Artifacts
from actors.build import build_worker
from actors.contracts import Failure, Picture
from actors.errors import BadInput
from actors.pixels import encode_png
from actors.scorer import worker
from actors.scorer.checkpoint import TOKENIZER, save
from actors.scorer.worker import AestheticScorer, alike
from configs.scorer import AestheticSettings
from tests.scorer.scorer_kit import ARCHITECTURE, calibration, noise, tiny, tokenizer_file

PROMPTS = ("a moon over a lake", "一轮明月", "", "Two cats on a red roof", "x" * 5000)
SIZES = ((20, 20), (64, 64), (28, 16), (16, 28), (96, 40), (60, 16), (300, 200))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("worker")
    save(made, tiny(), tokenizer_file(made), calibration(), {}, half=False)
    return made


@pytest.fixture
def scorer(folder: Path, tmp_path: Path) -> AestheticScorer:
    return build_worker(AestheticSettings(folder=folder), Artifacts(str(tmp_path)))


def stored(scorer: AestheticScorer, data: bytes) -> Picture:
    sha256 = scorer._artifacts.put(data)
    return Picture(sha256=sha256, width=64, height=64, prompt_id="p", seed=0, generator_version="g")


def drawn(scorer: AestheticScorer) -> list[Picture]:
    return [stored(scorer, encode_png(noise(*size, seed))) for seed, size in enumerate(SIZES)]


def file(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def odd_files() -> dict[str, bytes]:
    """Files that are pictures, each with something a careless reader trips over."""
    pixels = noise(48, 32)
    image = Image.fromarray(pixels)
    frames = {"save_all": True, "append_images": [image.rotate(180)]}
    rotated = Image.Exif()
    rotated[0x0112] = 6
    deep = cv2.imencode(".png", pixels.astype(np.uint16) * 257)[1]
    veil = image.copy()
    veil.putalpha(Image.fromarray(noise(48, 32, 9)[..., 0]))
    return {
        "16 bits": bytes(deep),
        "16 bits gray": file(Image.fromarray(pixels[..., 0].astype(np.uint16) * 257), "PNG"),
        "gray": file(image.convert("L"), "PNG"),
        "palette": file(image.convert("P"), "PNG"),
        "alpha": file(veil, "PNG"),
        "CMYK": file(image.convert("CMYK"), "JPEG"),
        "rotated": file(image, "JPEG", exif=rotated),
        "moving webp": file(image, "WEBP", **frames),
        "moving png": file(image, "PNG", **frames),
        "smallest": file(image.crop((0, 0, 16, 16)), "PNG"),
    }


def bad_files() -> dict[str, bytes]:
    whole = encode_png(noise(48, 32))
    return {
        "nothing": b"",
        "text": b"no picture",
        "half": whole[: len(whole) // 2],
        "one pixel": file(Image.new("RGB", (1, 1)), "PNG"),
        "a line": file(Image.new("RGB", (1, 4000)), "PNG"),
        "gif": file(Image.new("RGB", (48, 32)), "GIF"),
    }


def test_a_score_of_each_dimension_from_0_to_1(scorer: AestheticScorer) -> None:
    pictures = drawn(scorer)
    answers = scorer.score(pictures, [PROMPTS[i % 5] for i in range(len(pictures))])
    for answer in answers:
        assert isinstance(answer, dict) and list(answer) == list(ARCHITECTURE.dimensions)
        assert all(0 <= score <= 1 for score in answer.values())
    assert len({tuple(answer.values()) for answer in answers if isinstance(answer, dict)}) == len(SIZES)
    assert scorer.version.startswith("aesthetic-tiny-")
    assert scorer.score([], []) == [] and scorer.compare([], []) == []


def test_scores_are_the_model_s_calibrated(scorer: AestheticScorer) -> None:
    model, picture = tiny(), drawn(scorer)[1]
    patches = worker.patchify(noise(*SIZES[1], 1), ARCHITECTURE.image)
    with torch.no_grad():
        row = model(worker.collate([patches]), scorer._tokenizer(["a moon"]), torch.tensor([0]))[0]
    expected = {
        name: calibration().unit(name, score)
        for name, score in zip(ARCHITECTURE.dimensions, row.tolist(), strict=True)
    }
    assert scorer.score([picture], ["a moon"]) == [pytest.approx(expected)]


def test_bad_pictures_fail_beside_good_ones(scorer: AestheticScorer) -> None:
    good = drawn(scorer)[0]
    bad = {name: stored(scorer, data) for name, data in bad_files().items()}
    bad["missing"] = good.model_copy(update={"sha256": "0" * 64})
    pictures = [picture for each in bad.values() for picture in (each, good)]
    answers = scorer.score(pictures, ["a moon"] * len(pictures))
    alone = scorer.score([good], ["a moon"])[0]
    assert answers[1::2] == [alone] * len(bad)
    for picture, answer in zip(bad.values(), answers[::2], strict=True):
        assert isinstance(answer, Failure)
        assert (answer.stage, answer.item_id, answer.retryable) == ("scorer", picture.sha256, False)


def test_odd_pictures_are_read(scorer: AestheticScorer) -> None:
    pictures = [stored(scorer, data) for data in odd_files().values()]
    answers = scorer.score(pictures, [PROMPTS[0]] * len(pictures))
    assert [name for name, a in zip(odd_files(), answers, strict=True) if isinstance(a, Failure)] == []


def test_a_moving_picture_is_its_first_frame(scorer: AestheticScorer) -> None:
    still, moving = (stored(scorer, data) for data in (encode_png(noise(48, 32)), odd_files()["moving png"]))
    first, second = scorer.score([still, moving], ["a moon"] * 2)
    assert first == second


def test_company_and_order_change_not_one_digit(scorer: AestheticScorer) -> None:
    pictures = drawn(scorer)
    pairs = [(picture, prompt) for picture in pictures for prompt in PROMPTS]
    together = scorer.score([p for p, _ in pairs], [t for _, t in pairs])
    assert [scorer.score([picture], [prompt])[0] for picture, prompt in pairs] == together
    backwards = scorer.score([p for p, _ in pairs[::-1]], [t for _, t in pairs[::-1]])
    assert backwards[::-1] == together


def test_batches_of_an_accelerator_differ_in_the_last_digits_alone(
    scorer: AestheticScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [picture for picture in drawn(scorer) for _ in range(3)]
    prompts = [PROMPTS[i % 5] for i in range(len(pictures))]
    one_by_one = scorer.score(pictures, prompts)
    monkeypatch.setattr(scorer, "_at_once", 4)
    for a, b in zip(scorer.score(pictures, prompts), one_by_one, strict=True):
        assert a == pytest.approx(b, abs=1e-5)


def test_each_distinct_prompt_is_read_once(scorer: AestheticScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    read, texts = scorer._model.read, []
    monkeypatch.setattr(scorer._model, "read", lambda batch: (texts.append(batch), read(batch))[1])
    pictures = drawn(scorer)[:4]
    scorer.compare(list(zip(pictures, pictures[::-1], strict=True)), ["a moon", "a lake", "a moon", "a moon"])
    assert len(texts) == 2


def test_compare_is_even_for_twins_and_turns_with_the_order(scorer: AestheticScorer) -> None:
    a, b, bad = *drawn(scorer)[:2], stored(scorer, b"no picture")
    pairs = [(a, a), (a, b), (b, a), (a, bad), (bad, a)]
    twins, first, second, *failed = scorer.compare(pairs, ["a moon"] * len(pairs))
    assert isinstance(twins, dict) and isinstance(first, dict) and isinstance(second, dict)
    assert set(twins.values()) == {0.5}
    assert first == pytest.approx({name: 1 - chance for name, chance in second.items()})
    untold, *told = ARCHITECTURE.dimensions
    assert first[untold] == 0.5 and all(first[name] != 0.5 for name in told)
    better, worse = (answer for answer in scorer.score([a, b], ["a moon"] * 2))
    assert isinstance(better, dict) and isinstance(worse, dict)
    for name in told:
        assert (first[name] > 0.5) == (better[name] > worse[name])
    assert all(isinstance(answer, Failure) and answer.item_id == bad.sha256 for answer in failed)


def test_a_score_that_is_no_number_is_a_failure(scorer: AestheticScorer) -> None:
    with torch.no_grad():
        scorer._model.heads["color"][3].bias.fill_(torch.nan)
    answer = scorer.score(drawn(scorer)[:1], ["a moon"])[0]
    assert isinstance(answer, Failure) and "no number" in answer.message


def test_batches_are_of_one_length_and_bounded() -> None:
    lengths = [5, 7, 5, 5, 7, 9, 5]
    assert alike(lengths, 1) == [[0], [2], [3], [6], [1], [4], [5]]
    assert alike(lengths, 3) == [[0, 2, 3], [6], [1, 4], [5]]
    assert alike([], 3) == []


def test_a_scorer_that_cannot_be_used_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifacts = Artifacts(str(tmp_path))
    with pytest.raises(BadInput, match=r"scorer\.json: cannot be read"):
        AestheticScorer(AestheticSettings(folder=tmp_path / "nowhere"), artifacts)
    monkeypatch.setattr(worker, "SHIPPED", tmp_path / "small")
    with pytest.raises(BadInput, match=r"no scorer is shipped .*atelier train ranking.*scorer\.folder"):
        AestheticScorer(AestheticSettings(), artifacts)
    save(tmp_path / "raw", tiny(), folder / TOKENIZER, None, {})
    with pytest.raises(BadInput, match="is not calibrated; train one with"):
        AestheticScorer(AestheticSettings(folder=tmp_path / "raw"), artifacts)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BadInput, match=r"scorer\.device is cuda:1, but torch sees no CUDA"):
        AestheticScorer(AestheticSettings(folder=folder, device="cuda:1"), artifacts)
