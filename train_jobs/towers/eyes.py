"""The recogniser's eyes, given to the stem of a picture tower: it need not learn to see once more."""

from __future__ import annotations

import torch
from torch import nn

from actors.judge.measured.network import CLASSES
from actors.judge.measured.recogniser import Recogniser
from actors.scorer.model import STEEPNESS
from actors.scorer.stem import Stem
from train_jobs.towers.concepts import FACETS, SUBJECTS


def give_eyes(stem: Stem, recogniser: Recogniser) -> None:
    """Copy the recogniser's convolutions and start the glance from its heads.

    The copied convolutions do not train: the glance reads the very features that its teacher reads.
    """
    network = recogniser.network
    blocks = [*network.stem, *network.trunk]
    shapes = [block[0] for block in blocks if isinstance(block, nn.Sequential)]
    tone = [block[0] for block in network.tone if isinstance(block, nn.Sequential)]
    theirs = [*shapes, *tone, network.map, network.where[0]]
    mine = [*stem.shapes, *stem.tone, stem.spots, stem.where]
    for own, given in zip(mine, theirs, strict=True):
        own.load_state_dict(given.state_dict())
        own.requires_grad_(False)
    with torch.no_grad():
        weight, bias = stem.glance.weight, stem.glance.bias
        what, spots = network.subject.in_features, network.map.out_channels
        weight[SUBJECTS].zero_()
        weight[SUBJECTS, :what] = network.subject.weight[:-1] / STEEPNESS
        weight[SUBJECTS, -spots:] = torch.eye(spots) / STEEPNESS
        bias[SUBJECTS] = (network.subject.bias[:-1] - recogniser.thresholds) / STEEPNESS
        for facet in CLASSES:
            head = network.facets[facet]
            assert isinstance(head, nn.Linear)
            weight[FACETS[facet]].zero_()
            weight[FACETS[facet], : head.in_features] = head.weight / STEEPNESS
            bias[FACETS[facet]] = head.bias / STEEPNESS
