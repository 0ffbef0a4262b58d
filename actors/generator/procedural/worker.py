"""The procedural generator as a worker."""

from __future__ import annotations

from collections.abc import Sequence

import cv2

from actors.artifacts import Artifacts
from actors.contracts import Failure, Picture, Prompt
from actors.errors import AtelierError, failure_of
from actors.generator.procedural.plan import plan
from actors.generator.procedural.render import render
from actors.pixels import encode_png, perceptual_hash
from configs.generator import ProceduralSettings

VERSION = "procedural-1"


class ProceduralGenerator:
    """Draws covers from prompt text and seed alone."""

    version = VERSION

    def __init__(self, settings: ProceduralSettings, artifacts: Artifacts) -> None:
        self._settings = settings
        self._artifacts = artifacts
        cv2.setNumThreads(1)

    def draw(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Picture | Failure]:
        """One picture for each (prompt, seed), stored as PNG.

        Raises:
            ValueError: the two sequences differ in length.
        """
        return [self._draw(prompt, seed) for prompt, seed in zip(prompts, seeds, strict=True)]

    def _draw(self, prompt: Prompt, seed: int) -> Picture | Failure:
        try:
            scene = plan(prompt.text, prompt.aspect, seed)
            pixels = render(scene, self._settings.long_side)
            sha256 = self._artifacts.put(encode_png(pixels, self._settings.compression))
        except (AtelierError, OSError) as error:
            return failure_of(error, stage="generator", item_id=prompt.id)
        return Picture(
            sha256=sha256,
            width=pixels.shape[1],
            height=pixels.shape[0],
            prompt_id=prompt.id,
            seed=seed,
            generator_version=self.version,
            notes=scene.notes,
            phash=perceptual_hash(pixels),
        )
