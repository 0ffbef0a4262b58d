"""What the trained network sees in a picture: subjects present, and a distribution over each facet."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from actors.judge.measured.network import CLASSES, INPUT_SIZES, Network, fused
from actors.pixels import Pixels
from actors.vocabulary import keys

FOLDER = Path(__file__).parent
WEIGHTS, CARD = FOLDER / "recogniser.safetensors", FOLDER / "recogniser.json"


@dataclass(frozen=True)
class Recognition:
    """What was seen: every number is 0..1."""

    subjects: dict[str, float]
    """Presence of each subject, calibrated so that 0.5 is the threshold; independent of one another."""
    facets: dict[str, dict[str, float]]
    """Probabilities over the classes of each facet; they sum to 1."""

    def chance(self, facet: str, accepted: frozenset[str]) -> float:
        """The probability that a facet is one of the accepted classes."""
        return min(1.0, sum(self.facets[facet].get(key, 0.0) for key in accepted))


class Recogniser:
    """The network with its thresholds.

    Args:
        weights: safetensors of a `Network`.
        card: JSON with `width` and `thresholds`, written by the training job beside the weights.
    """

    def __init__(self, weights: Path = WEIGHTS, card: Path = CARD) -> None:
        self.card: dict[str, Any] = json.loads(card.read_text("utf-8"))
        network = Network(self.card["width"])
        network.load_state_dict({name: value.float() for name, value in load_file(weights).items()})
        self._network = fused(network.eval()).to(memory_format=torch.channels_last)
        self._thresholds = np.array([self.card["thresholds"][key] for key in keys("subject")], np.float32)

    @property
    def version(self) -> str:
        """Names the weights."""
        return str(self.card["version"])

    def recognise(self, pictures: Sequence[Pixels]) -> list[Recognition]:
        """Look at pictures of any size and shape, one by one: in batches the last digits of a picture's
        numbers hang on its company, and equal pictures would not get equal scores."""
        return [self._look(picture) for picture in pictures]

    @property
    def network(self) -> Network:
        """In eval mode, its normalisations folded into the convolutions."""
        return self._network

    @property
    def thresholds(self) -> Tensor:
        """Log-odds of the network above which a subject counts as present, [subjects]."""
        return torch.from_numpy(self._thresholds)

    def logits(self, picture: Pixels) -> Mapping[str, Tensor]:
        """The network's own answers about one picture, without the batch's axis; see `Network`.

        `subject` has no column for "none", and 0 is the threshold.
        """
        seen = fit(picture, input_size(*picture.shape[1::-1]))
        with torch.inference_mode():
            rows = self._network(as_input(torch.from_numpy(seen[None])))
            answers = {name: row[0] for name, row in rows.items()}
            answers["subject"] = answers["subject"][:-1] - self.thresholds
        return answers

    def _look(self, picture: Pixels) -> Recognition:
        logits = self.logits(picture)
        with torch.inference_mode():
            presence = torch.sigmoid(logits["subject"]).tolist()
            facets = {facet: logits[facet].softmax(0).tolist() for facet in CLASSES}
        return Recognition(
            subjects=dict(zip(keys("subject"), presence, strict=True)),
            facets={facet: dict(zip(names, facets[facet], strict=True)) for facet, names in CLASSES.items()},
        )


def as_input(batch: Tensor) -> Tensor:
    """uint8 [batch, height, width, 3] -> float [batch, 3, height, width] in 0..1, channels last."""
    return batch.permute(0, 3, 1, 2).float().div(255).contiguous(memory_format=torch.channels_last)


def input_size(width: int, height: int) -> tuple[int, int]:
    """The (width, height) of `INPUT_SIZES` nearest in shape to a picture."""
    return min(INPUT_SIZES, key=lambda size: abs(np.log(size[0] / size[1] * height / width)))


def fit(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """A picture brought to (width, height) px by area averaging."""
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
