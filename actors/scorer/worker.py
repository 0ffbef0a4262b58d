"""The scorer role as a worker over a trained AestheticModel."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from actors.artifacts import Artifacts
from actors.contracts import Dimension, Failure, Picture
from actors.errors import AtelierError, BadInput, StageFailed, failure_of
from actors.pixels import decode
from actors.scorer.checkpoint import WEIGHTS, load
from actors.scorer.patches import Patches, collate, patchify
from actors.scorer.text import TextBatch
from configs.scorer import AestheticSettings

SHIPPED = Path(__file__).parent / "small"
_TRAIN = "train one with `atelier train ranking` and set scorer.folder"
Row = dict[Dimension, float]


class AestheticScorer:
    """Learned scores of pictures, 0..1, by dimension.

    What runs at once is of one length, so that nothing is padded. On the CPU everything runs one by one: in
    batches the last digits of a picture's scores hang on its company, and a picture that is tried again would
    not get the same.

    Raises:
        BadInput: no scorer is in the folder or it is damaged; it is not calibrated; the device is not there.
    """

    def __init__(self, settings: AestheticSettings, artifacts: Artifacts) -> None:
        folder = settings.folder or SHIPPED
        if settings.folder is None and not (folder / WEIGHTS).exists():
            raise BadInput(f"no scorer is shipped in {folder}; {_TRAIN}")
        if settings.device.startswith("cuda") and not torch.cuda.is_available():
            raise BadInput(
                f"scorer.device is {settings.device}, but torch sees no CUDA device; accepted here: cpu"
            )
        loaded = load(folder, settings.device)
        if loaded.calibration is None:
            raise BadInput(f"the scorer in {folder} is not calibrated; {_TRAIN}")
        self._artifacts = artifacts
        self._model, self._tokenizer = loaded.model, loaded.tokenizer
        self._calibration = loaded.calibration
        self._dimensions = loaded.model.architecture.dimensions
        self._at_once = 1 if settings.device == "cpu" else settings.batch
        self.version = loaded.version

    def score(self, pictures: Sequence[Picture], prompts: Sequence[str]) -> list[Row | Failure]:
        """Scores of each picture for its prompt, see `Calibration.unit`; an unreadable one is a `Failure`."""
        unit = self._calibration.unit
        return [
            row if isinstance(row, Failure) else {name: unit(name, score) for name, score in row.items()}
            for row in self._rows(pictures, prompts)
        ]

    def compare(
        self, pairs: Sequence[tuple[Picture, Picture]], prompts: Sequence[str]
    ) -> list[Row | Failure]:
        """The probability that the first of each pair is the better one for its prompt, by dimension."""
        rows = self._rows([pair[0] for pair in pairs] + [pair[1] for pair in pairs], [*prompts, *prompts])
        return [self._wins(a, b) for a, b in zip(rows[: len(pairs)], rows[len(pairs) :], strict=True)]

    def _wins(self, first: Row | Failure, second: Row | Failure) -> Row | Failure:
        if isinstance(first, Failure):
            return first
        if isinstance(second, Failure):
            return second
        return {name: self._calibration.probability(name, a, second[name]) for name, a in first.items()}

    def _rows(self, pictures: Sequence[Picture], prompts: Sequence[str]) -> list[Row | Failure]:
        """Scores as the model gives them."""
        answers: dict[int, Row | Failure] = {}
        readable: list[tuple[int, Patches, str]] = []
        for i, (picture, prompt) in enumerate(zip(pictures, prompts, strict=True)):
            opened = self._open(picture)
            if isinstance(opened, Failure):
                answers[i] = opened
            else:
                readable.append((i, opened, prompt))
        with torch.inference_mode():
            read = self._read([prompt for _, _, prompt in readable])
            for batch in alike([len(patches.grid) for _, patches, _ in readable], self._at_once):
                chosen = [readable[k] for k in batch]
                seen = self._model.see(collate([patches for _, patches, _ in chosen]))
                scores = self._model.score(seen, torch.stack([read[prompt] for _, _, prompt in chosen]))
                for (i, _, _), row in zip(chosen, scores.tolist(), strict=True):
                    answers[i] = self._named(row, pictures[i])
        return [answers[i] for i in range(len(pictures))]

    def _read(self, prompts: Sequence[str]) -> dict[str, Tensor]:
        """Each distinct prompt's embedding."""
        distinct = list(dict.fromkeys(prompts))
        ids = [self._tokenizer([prompt]).ids for prompt in distinct]
        read: dict[str, Tensor] = {}
        for batch in alike([each.shape[1] for each in ids], self._at_once):
            rows = self._model.read(TextBatch(torch.cat([ids[k] for k in batch])))
            read |= {distinct[k]: row for k, row in zip(batch, rows, strict=True)}
        return read

    def _open(self, picture: Picture) -> Patches | Failure:
        try:
            pixels = decode(self._artifacts.get(picture.sha256))
            return patchify(pixels, self._model.architecture.image)
        except (AtelierError, OSError) as error:
            return failure_of(error, stage="scorer", item_id=picture.sha256)

    def _named(self, row: list[float], picture: Picture) -> Row | Failure:
        if not all(map(math.isfinite, row)):
            error = StageFailed(f"scorer {self.version} gives a score that is no number")
            return failure_of(error, stage="scorer", item_id=picture.sha256)
        return dict(zip(self._dimensions, row, strict=True))


def alike(lengths: Sequence[int], at_once: int) -> list[list[int]]:
    """Indices in batches of one length, each of `at_once` at most, in the order they come in."""
    groups: dict[int, list[int]] = defaultdict(list)
    for index, length in enumerate(lengths):
        groups[length].append(index)
    return [group[i : i + at_once] for group in groups.values() for i in range(0, len(group), at_once)]
