"""The generator that runs a diffusers pipeline from a local folder; nothing is downloaded or unpickled."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from actors.artifacts import Artifacts
from actors.contracts import Failure, Picture, Prompt
from actors.errors import AtelierError, BadInput, StageFailed, failure_of
from actors.pixels import encode_png, frame_size, perceptual_hash
from configs.generator import DiffusersSettings

GRID = 16
"""Sides are multiples of this many px, which every latent model divides."""


class DiffusersGenerator:
    """Generator worker over a text-to-image pipeline. Each picture has its own seed, whatever its batch."""

    def __init__(self, settings: DiffusersSettings, artifacts: Artifacts) -> None:
        self._settings = settings
        self._artifacts = artifacts
        self._pipeline = _load(settings)
        self._accepted = frozenset(inspect.signature(self._pipeline.__call__).parameters)
        self.version = f"diffusers-1:{type(self._pipeline).__name__}:{files_digest(settings)}"

    def draw(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Picture | Failure]:
        """One picture for each (prompt, seed). A batch that fails is drawn again one by one."""
        answers: dict[int, Picture | Failure] = {}
        for batch in self._batches(prompts):
            for i, answer in zip(batch, self._draw(batch, prompts, seeds), strict=True):
                answers[i] = answer
        return [answers[i] for i in range(len(prompts))]

    def _batches(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Pictures of one batch have one size, so prompts are grouped by aspect."""
        groups: dict[str, list[int]] = {}
        for i, prompt in enumerate(prompts):
            groups.setdefault(prompt.aspect, []).append(i)
        size = self._settings.batch
        return [group[k : k + size] for group in groups.values() for k in range(0, len(group), size)]

    def _draw(
        self, batch: list[int], prompts: Sequence[Prompt], seeds: Sequence[int]
    ) -> list[Picture | Failure]:
        try:
            return self._run([prompts[i] for i in batch], [seeds[i] for i in batch])
        except (AtelierError, RuntimeError, ValueError) as error:
            # RuntimeError holds torch's own, out of memory among them; ValueError what a pipeline refuses.
            if len(batch) > 1:
                return [answer for i in batch for answer in self._draw([i], prompts, seeds)]
            return [failure_of(error, stage="generator", item_id=prompts[batch[0]].id)]

    def _run(self, prompts: list[Prompt], seeds: list[int]) -> list[Picture | Failure]:
        import torch

        width, height = picture_size(prompts[0].aspect, self._settings.long_side)
        options: dict[str, Any] = {
            "prompt": [prompt.text for prompt in prompts],
            "width": width,
            "height": height,
            "num_inference_steps": self._settings.steps,
            # On the CPU whatever the device, so that a seed draws the same noise everywhere.
            "generator": [torch.Generator("cpu").manual_seed(seed) for seed in seeds],
            "output_type": "np",
        }
        if self._settings.guidance is not None:
            options["guidance_scale"] = self._settings.guidance
        negative = any(prompt.negative for prompt in prompts)
        if negative and "negative_prompt" in self._accepted:
            options["negative_prompt"] = [prompt.negative for prompt in prompts]
        with torch.inference_mode():
            output = self._pipeline(**options)
        unsafe = getattr(output, "nsfw_content_detected", None) or [False] * len(prompts)
        ignored = negative and "negative_prompt" not in self._accepted
        return [
            self._store(image, bool(flagged), prompt, seed, ignored)
            for image, flagged, prompt, seed in zip(output.images, unsafe, prompts, seeds, strict=True)
        ]

    def _store(
        self, image: Any, flagged: bool, prompt: Prompt, seed: int, ignored: bool
    ) -> Picture | Failure:
        if flagged:
            error = StageFailed("the pipeline's safety checker withholds this picture")
            return failure_of(error, stage="generator", item_id=prompt.id)
        if not np.isfinite(image).all():
            dtype = self._settings.dtype
            error = StageFailed(
                f"the pipeline drew numbers that are none in dtype {dtype}; try another dtype"
            )
            return failure_of(error, stage="generator", item_id=prompt.id)
        pixels = np.rint(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)
        return Picture(
            sha256=self._artifacts.put(encode_png(pixels)),
            width=pixels.shape[1],
            height=pixels.shape[0],
            prompt_id=prompt.id,
            seed=seed,
            generator_version=self.version,
            notes=("negative prompt: the pipeline takes none",) if ignored and prompt.negative else (),
            phash=perceptual_hash(pixels),
        )


def picture_size(aspect: str, long_side: int) -> tuple[int, int]:
    """(width, height) in px of an aspect, on the grid that latent models need.

    Raises:
        BadInput: the aspect or the side is not one that Atelier draws.
    """
    width, height = frame_size(aspect, long_side)
    return max(GRID, round(width / GRID) * GRID), max(GRID, round(height / GRID) * GRID)


def _load(settings: DiffusersSettings) -> Any:
    path = settings.path
    if not (path / "model_index.json").is_file():
        raise BadInput(
            f"{path} holds no diffusers pipeline; accepted: a local folder with model_index.json and "
            "safetensors weights (generator.path)"
        )
    import torch
    from diffusers import AutoPipelineForText2Image

    if settings.device.startswith("cuda") and not torch.cuda.is_available():
        raise BadInput(
            f"generator.device is {settings.device}, but torch sees no CUDA device; accepted here: cpu"
        )
    try:
        pipeline = AutoPipelineForText2Image.from_pretrained(
            str(path),
            dtype=getattr(torch, settings.dtype),
            local_files_only=True,
            use_safetensors=True,
        )
    except (OSError, ValueError) as error:
        raise BadInput(
            f"the pipeline in {path} cannot be loaded: {error}; accepted: safetensors weights"
        ) from None
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(settings.device)


def files_digest(settings: DiffusersSettings) -> str:
    """Eight hex digits over what decides the pictures: the files by name and size, and the settings."""
    digest = hashlib.sha256()
    for file in sorted(settings.path.rglob("*")):
        if file.suffix == ".json":
            digest.update(file.read_bytes())
        elif file.suffix == ".safetensors":
            digest.update(f"{_relative(file, settings.path)}:{file.stat().st_size}".encode())
    digest.update(repr((settings.dtype, settings.steps, settings.guidance, settings.long_side)).encode())
    return digest.hexdigest()[:8]


def _relative(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix()
