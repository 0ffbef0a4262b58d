"""The scorer: what its mask costs, and its training loop on Ray Train against a bare PyTorch loop.

    python -m benchmarks.scorer [mask|loop ...] [--pairs 960]

prints one JSON object. Both loops run in the same two Ray Train workers, one after the other, in rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.parallel import DistributedDataParallel

from actors.scorer.architecture import PRESETS, ImageShape
from actors.scorer.patches import Grid, PatchBatch, Patches, collate
from actors.scorer.request import request_text
from actors.scorer.vision import VisionTower
from cluster.session import session
from configs.load import load
from configs.ranking import FreezingSettings, RankingSettings
from train_jobs.ranking.batches import plan
from train_jobs.ranking.data import Pictures, lengths, usable
from train_jobs.ranking.loop import Parts, Training
from train_jobs.ranking.loss import RankingTargets
from train_jobs.ranking.start import start
from train_jobs.training.ranks import Ranks

ROUNDS = 5
WATCHED = 32
"""Pairs of validation, which is not timed."""
SETTINGS = RankingSettings(
    epochs=1,
    batch=32,
    workers=2,
    loggers=(),
    freezing=FreezingSettings(head_epochs=0, image_blocks=2, text_blocks=2),
)


def mask() -> dict[str, Any]:
    """Forward passes of pictures that fill the batch, and of as many tokens of which some are padding."""
    torch.set_num_threads(1)
    shapes = {
        "small": (PRESETS["small"].image, Grid(5, 8), Grid(5, 7), 8),
        "vit-l-14-336, 2 of 24 blocks": (
            PRESETS["vit-l-14-336"].image.model_copy(update={"layers": 2}),
            *(Grid(28, 21), Grid(24, 24), 2),
        ),
    }
    return {name: _mask(*each) for name, each in shapes.items()}


def _mask(shape: ImageShape, longest: Grid, shorter: Grid, pictures: int) -> dict[str, float]:
    tower = VisionTower(shape).eval()
    full, padded = _batch(shape, [longest] * pictures), _batch(shape, [*[longest] * (pictures - 1), shorter])
    times: dict[str, list[float]] = {"unmasked": [], "masked": []}
    with torch.inference_mode():
        for turn in range(13):
            for name, batch in (("unmasked", full), ("masked", padded)):
                began = time.perf_counter()
                tower(batch)
                if turn:
                    times[name].append(time.perf_counter() - began)
    unmasked, masked = (statistics.median(times[name]) for name in ("unmasked", "masked"))
    return {
        "tokens": len(longest),
        "ms_a_picture_unmasked": round(1000 * unmasked / pictures, 2),
        "ms_a_picture_masked": round(1000 * masked / pictures, 2),
        "masked_over_unmasked_speed": round(unmasked / masked, 3),
    }


def _batch(shape: ImageShape, grids: list[Grid]) -> PatchBatch:
    dice, width = np.random.default_rng(0), 3 * shape.patch**2
    return collate([Patches(dice.integers(0, 255, (len(grid), width), np.uint8), grid) for grid in grids])


def loop(pairs: int) -> dict[str, Any]:
    """Pairs a second of both loops, all blocks training, and what starting Ray Train takes."""
    from tests.ranking.ranking_kit import dataset

    with tempfile.TemporaryDirectory() as folder, session(load("embedded")):
        # Not before the session: Ray reads its token when it is imported.
        from ray.train import RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer

        uri = dataset(Path(folder), pairs)
        trainer = TorchTrainer(
            _worker,
            train_loop_config={"uri": uri, "out": folder},
            scaling_config=ScalingConfig(num_workers=SETTINGS.workers),
            run_config=RunConfig(name="bench", storage_path=f"{folder}/ray"),
        )
        began = time.perf_counter()
        trainer.fit()
        whole = time.perf_counter() - began
        found: dict[str, Any] = json.loads((Path(folder) / "found.json").read_text("utf-8"))
    speeds = {name: [round(x, 2) for x in found[name]] for name in ("ours", "bare")}
    # Round by round: a shared machine changes its speed from one to the next, and both ways meet it alike.
    ratios = [ours / bare for ours, bare in zip(found["ours"], found["bare"], strict=True)]
    return {
        "pairs_per_s": speeds,
        "ours_over_bare": {
            "median_of_rounds": round(statistics.median(ratios), 3),
            "of_medians": round(statistics.median(found["ours"]) / statistics.median(found["bare"]), 3),
        },
        "start_of_ray_train_s": round(whole - found["seconds"], 1),
    }


def _worker(config: dict[str, Any]) -> None:
    import ray.train

    torch.set_num_threads(1)
    context = ray.train.get_context()
    ranks = Ranks(context.get_world_rank(), context.get_world_size())
    began = time.perf_counter()
    speeds: dict[str, list[float]] = {"ours": [], "bare": []}
    pictures = Pictures(config["uri"], PRESETS["small"].image, 2048)
    for _ in range(ROUNDS):
        speeds["ours"].append(_ours(config["uri"], pictures, ranks))
        speeds["bare"].append(_bare(config["uri"], pictures, ranks))
    if ranks.rank == 0:
        found = {**speeds, "seconds": time.perf_counter() - began}
        (Path(config["out"]) / "found.json").write_text(json.dumps(found), "utf-8")


class _Clock:
    """Pairs a second between the tenth step and the last multiple of ten."""

    def __init__(self) -> None:
        self._seen: list[tuple[int, float]] = []

    def __call__(self, stage: str, done: int, total: int) -> None:
        if done % 10 == 0:
            self._seen.append((done, time.perf_counter()))

    @property
    def speed(self) -> float:
        """Of all processes together."""
        (first, began), (last, ended) = self._seen[0], self._seen[-1]
        return SETTINGS.batch * (last - first) / (ended - began)


def _ours(uri: str, pictures: Pictures, ranks: Ranks) -> float:
    begin, records, clock = start(SETTINGS), usable(uri, frozenset()), _Clock()
    parts = Parts(records[WATCHED:], records[:WATCHED])
    pictures.pairs(records)
    Training(SETTINGS, begin.model, begin.tokenizer, parts, pictures, ranks, watch=clock).run()
    return clock.speed


def _bare(uri: str, pictures: Pictures, ranks: Ranks) -> float:
    """What anybody would write: batches, forward, binary cross entropy, backward, step."""
    begin, records, clock = start(SETTINGS), usable(uri, frozenset())[WATCHED:], _Clock()
    model: nn.Module = DistributedDataParallel(begin.model.train())
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
    targets = RankingTargets.of(records, begin.model.architecture.dimensions)
    sizes = lengths(records, begin.model.architecture.image)
    for step, batch in enumerate(plan(sizes, SETTINGS.batch, ranks.size, 0, 0), 1):
        mine = list(batch.ranks[ranks.rank])
        own = [records[i] for i in mine]
        texts = begin.tokenizer([request_text(record.query) for record in own])
        text_of = torch.arange(len(own)).repeat_interleave(2)
        scores = model(collate(pictures.pairs(own)), texts, text_of)
        loss = binary_cross_entropy_with_logits(
            scores[0::2] - scores[1::2], targets.labels[mine], weight=targets.present[mine].float()
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        clock("", step, 0)
    return clock.speed


PARTS: dict[str, Callable[[int], dict[str, Any]]] = {"mask": lambda pairs: mask(), "loop": loop}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS))
    parser.add_argument("--pairs", type=int, default=960)
    arguments = parser.parse_args()
    load_before = os.getloadavg()[0]
    found = {part: PARTS[part](arguments.pairs) for part in arguments.parts}
    print(json.dumps({"load": load_before, **found}, indent=1))


if __name__ == "__main__":
    main()
