"""The diffusers backend on a tiny random pipeline, built here and saved as a local folder."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.artifacts import Artifacts
from actors.contracts import Failure, Picture, Prompt, Query
from actors.errors import BadInput
from actors.generator.diffusers import DiffusersGenerator, files_digest, picture_size
from actors.pixels import decode
from configs.generator import DiffusersSettings

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
transformers = pytest.importorskip("transformers")

ARTIFACTS = Artifacts("memory://diffusers")


def tokenizer_of(folder: Path) -> object:
    """A byte-level CLIP tokenizer without merges."""
    letters = [chr(i) for i in range(33, 127)]
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return transformers.CLIPTokenizer.from_pretrained(str(folder), model_max_length=77)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny operations on busy cores: a second thread only waits for the first."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("pipeline")
    tokenizer = tokenizer_of(root / "tokens")
    text = transformers.CLIPTextConfig(
        hidden_size=16,
        intermediate_size=16,
        num_attention_heads=2,
        num_hidden_layers=1,
        vocab_size=len(tokenizer),  # type: ignore[arg-type]
        projection_dim=16,
    )
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=4,
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )
    pipeline = diffusers.StableDiffusionPipeline(
        vae=vae,
        unet=unet,
        text_encoder=transformers.CLIPTextModel(text),
        tokenizer=tokenizer,
        scheduler=diffusers.DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(root / "model", safe_serialization=True)
    return root / "model"


@pytest.fixture(scope="module")
def generator(folder: Path) -> DiffusersGenerator:
    return DiffusersGenerator(settings(folder), ARTIFACTS)


def settings(folder: Path, **change: object) -> DiffusersSettings:
    tiny = {"path": folder, "dtype": "float32", "steps": 2, "long_side": 64, "batch": 2}
    return DiffusersSettings(**(tiny | change))  # type: ignore[arg-type]


def prompt(text: str, aspect: str = "1:1", negative: str = "") -> Prompt:
    query = Query.of(text, aspect=aspect)
    return Prompt.of(text, query=query, strategy_id="s", policy_version="v", negative=negative)


def test_pictures_follow_prompt_and_seed_whatever_the_batch(generator: DiffusersGenerator):
    prompts = [
        prompt("a lake"),
        prompt("a moon", "9:16"),
        prompt("a lake"),
        prompt("a bridge", negative="fog"),
    ]
    pictures = generator.draw(prompts, [1, 2, 3, 1])
    assert all(isinstance(picture, Picture) for picture in pictures)
    assert [(p.width, p.height) for p in pictures] == [(64, 64), (32, 64), (64, 64), (64, 64)]  # type: ignore[union-attr]
    assert [p.seed for p in pictures] == [1, 2, 3, 1]  # type: ignore[union-attr]
    shas = [p.sha256 for p in pictures]  # type: ignore[union-attr]
    assert len(set(shas)) == 4
    assert decode(ARTIFACTS.get(shas[1])).shape == (64, 32, 3)
    alone = generator.draw(prompts[2:3], [3])[0]
    assert isinstance(alone, Picture)
    near = abs(decode(ARTIFACTS.get(alone.sha256)).astype(int) - decode(ARTIFACTS.get(shas[2])).astype(int))
    assert near.max() <= 2
    assert generator.draw(prompts, [1, 2, 3, 1]) == pictures


def test_a_batch_that_fails_is_drawn_one_by_one(
    generator: DiffusersGenerator, monkeypatch: pytest.MonkeyPatch
):
    whole = generator._run

    def run(prompts: list[Prompt], seeds: list[int]) -> list[Picture | Failure]:
        if any("bad" in p.text for p in prompts):
            raise RuntimeError("out of memory")
        return whole(prompts, seeds)

    monkeypatch.setattr(generator, "_run", run)
    good, bad = generator.draw([prompt("a lake"), prompt("bad")], [1, 2])
    assert isinstance(good, Picture)
    assert isinstance(bad, Failure) and bad.kind == "RuntimeError" and "out of memory" in bad.message


def test_settings_are_part_of_the_version(folder: Path):
    versions = {files_digest(settings(folder, steps=s)) for s in (2, 3)}
    assert len(versions) == 2


def test_a_folder_without_a_pipeline_is_named(tmp_path: Path):
    with pytest.raises(BadInput, match="holds no diffusers pipeline"):
        DiffusersGenerator(settings(tmp_path), ARTIFACTS)


def test_pickled_weights_are_refused(folder: Path, tmp_path: Path):
    copied = shutil.copytree(folder, tmp_path / "model")
    weights = copied / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(BadInput, match="cannot be loaded"):
        DiffusersGenerator(settings(copied), ARTIFACTS)


def test_a_device_that_is_not_there_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BadInput, match="no CUDA device"):
        DiffusersGenerator(settings(folder, device="cuda"), ARTIFACTS)


def test_sizes_are_on_the_grid():
    for aspect in ("1:1", "3:4", "9:16", "4:3", "16:9"):
        width, height = picture_size(aspect, 1000)
        assert width % 16 == height % 16 == 0 and abs(max(width, height) - 1000) <= 8
