"""Train the recogniser: `python -m train_jobs.recogniser.train`, about fifty minutes on two cores.

Two processes of one thread each: both draw their half of the pictures, train on it with averaged gradients
(torch DDP over gloo), and measure their half of the validation pictures.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, distributed
from torch.multiprocessing.spawn import spawn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from actors.contracts import content_id, derive_seed
from actors.judge.measured.network import CLASSES, Network
from actors.judge.measured.recogniser import FOLDER, as_input
from actors.vocabulary import keys
from train_jobs.recogniser.data import Split, make_split
from train_jobs.recogniser.where import ABSENT, HERE, UNKNOWN

SMOOTHING = 0.02
FACET_WEIGHT = 0.7
MAP_WEIGHT = 1 / 6
PROCESSES = 2
TOLD_EVERY = 500
"""Steps between two lines about progress."""


@dataclass(frozen=True)
class Recipe:
    """What is drawn and how the network is trained. Counts are for all processes together."""

    pictures: int = 96000
    validation: int = 1500
    held_out: int = 1500
    epochs: int = 15
    batch: int = 64
    width: int = 32
    rate: float = 4e-3
    decay: float = 0.03
    seed: int = 11

    def share(self) -> Recipe:
        """What one of the processes does."""
        return replace(
            self,
            pictures=self.pictures // PROCESSES,
            validation=self.validation // PROCESSES,
            held_out=self.held_out // PROCESSES,
            batch=self.batch // PROCESSES,
        )


@dataclass(frozen=True)
class Outputs:
    """The network's answers over a split: logits by head, with the labels."""

    logits: dict[str, NDArray[np.float32]]
    subjects: NDArray[np.uint8]
    facets: NDArray[np.int64]
    pinned: NDArray[np.bool_]


def fit_network(
    split: Split, recipe: Recipe, tell: Callable[[int, int], None] = lambda step, steps: None
) -> Network:
    """Train on this process's split, in step with the others. The same recipe gives the same weights."""
    torch.manual_seed(recipe.seed)
    network = Network(recipe.width).to(memory_format=torch.channels_last)
    in_step = DistributedDataParallel(network) if distributed.is_initialized() else network
    steps = recipe.epochs * (recipe.pictures // recipe.batch)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=recipe.rate, weight_decay=recipe.decay, betas=(0.9, 0.99)
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=steps, pct_start=0.2)
    network.train()
    for step, batch in zip(range(steps), _batches(split, recipe), strict=False):
        tell(step, steps)
        with torch.autocast("cpu", torch.bfloat16):
            logits = in_step(batch.pictures)
        loss = _loss(logits, batch)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return network.eval()


def look(network: Network, split: Split) -> Outputs:
    """Run a network over a split."""
    logits: dict[str, list[Tensor]] = {head: [] for head in ("subject", *CLASSES)}
    with torch.inference_mode():
        for group in split.values():
            for start in range(0, len(group), 128):
                seen = network(as_input(torch.from_numpy(group.pictures[start : start + 128])))
                for head, values in logits.items():
                    values.append(seen[head])
    groups = list(split.values())
    return Outputs(
        {head: torch.cat(values).numpy() for head, values in logits.items()},
        np.concatenate([group.subjects for group in groups]),
        np.concatenate([group.facets for group in groups]),
        np.concatenate([group.pinned for group in groups]),
    )


def together(parts: list[Outputs]) -> Outputs:
    """The outputs of all processes as one."""
    return Outputs(
        {head: np.concatenate([part.logits[head] for part in parts]) for head in parts[0].logits},
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("subjects", "facets", "pinned")
        ),
    )


def calibrate(outputs: Outputs) -> NDArray[np.float32]:
    """A logit threshold for each subject: a miss costs three times a false alarm; amid a tie, the middle."""
    logits, present = outputs.logits["subject"][:, :-1], outputs.subjects.astype(bool)
    grid = np.arange(-6.0, 3.01, 0.1)
    thresholds = np.zeros(logits.shape[1], np.float32)
    for column in range(logits.shape[1]):
        here, there = logits[present[:, column], column], logits[~present[:, column], column]
        misses = np.array([(here < t).sum() for t in grid])
        alarms = np.array([(there >= t).sum() for t in grid])
        cost = 3 * misses + alarms + 0.02 * np.abs(grid + 1.0)
        thresholds[column] = grid[int(cost.argmin())]
    return thresholds


def report(outputs: Outputs, thresholds: NDArray[np.float32]) -> dict[str, Any]:
    """Accuracy of every head; subjects by how many are in the picture."""
    present = outputs.subjects.astype(bool)
    found = outputs.logits["subject"][:, :-1] >= thresholds
    count = present.sum(1)
    recall = (found & present).sum(0) / np.maximum(1, present.sum(0))
    worst = np.argsort(recall)[:5]
    return {
        "subject_recall": _share((found & present).sum(), present.sum()),
        "subject_precision": _share((found & present).sum(), found.sum()),
        "subject_set_exact": {
            str(n): _share((found == present).all(1)[count == n].sum(), (count == n).sum()) for n in (0, 1, 2)
        },
        "false_alarms_a_picture": {
            str(n): _share((found & ~present)[count == n].sum(), (count == n).sum()) for n in (0, 1, 2)
        },
        "worst_recall": {keys("subject")[i]: round(float(recall[i]), 3) for i in worst},
        "facets": {
            facet: _share(
                (outputs.logits[facet].argmax(1) == outputs.facets[:, i])[outputs.pinned].sum(),
                outputs.pinned.sum(),
            )
            for i, facet in enumerate(CLASSES)
        },
        "facets_loose": {
            facet: _share(
                (outputs.logits[facet].argmax(1) == outputs.facets[:, i])[~outputs.pinned].sum(),
                (~outputs.pinned).sum(),
            )
            for i, facet in enumerate(CLASSES)
        },
    }


def _share(part: Any, whole: Any) -> float:
    return round(float(part) / max(1.0, float(whole)), 4)


@dataclass(frozen=True)
class _Batch:
    pictures: Tensor
    subjects: Tensor
    facets: Tensor
    where: Tensor


def _batches(split: Split, recipe: Recipe) -> Iterator[_Batch]:
    """Without end: every picture once an epoch, a shape a batch, half of them mirrored."""
    dice = np.random.default_rng(derive_seed(recipe.seed, "batches"))
    while True:
        batches = []
        for shape, group in split.items():
            order = dice.permutation(len(group))
            batches += [(shape, order[i : i + recipe.batch]) for i in range(0, len(order), recipe.batch)]
        for index in dice.permutation(len(batches)):
            shape, rows = batches[index]
            group = split[shape]
            pictures, where = group.pictures[rows], group.where[rows]
            mirrored = dice.random(len(rows)) < 0.5
            pictures[mirrored] = pictures[mirrored][:, :, ::-1]
            where[mirrored] = where[mirrored][..., ::-1]
            yield _Batch(
                as_input(torch.from_numpy(pictures)),
                torch.from_numpy(group.subjects[rows]).float(),
                torch.from_numpy(group.facets[rows]),
                torch.from_numpy(where),
            )


def _loss(logits: Mapping[str, Tensor], batch: _Batch) -> Tensor:
    """Presence of each subject, which of them, where they are, and the facets."""
    here, seen = batch.subjects, logits["subject"].float()
    presence = functional.binary_cross_entropy_with_logits(seen[:, :-1], here, reduction="none").sum(1).mean()
    which = torch.cat([here, (here.sum(1, keepdim=True) == 0).float()], 1)
    loss = presence + functional.cross_entropy(seen, which / which.sum(1, keepdim=True))
    loss = loss + MAP_WEIGHT * map_loss(logits["map"].float(), batch.where)
    for index, facet in enumerate(CLASSES):
        loss = loss + FACET_WEIGHT * functional.cross_entropy(
            logits[facet].float(), batch.facets[:, index], label_smoothing=SMOOTHING
        )
    return loss


def map_loss(seen: Tensor, where: Tensor) -> Tensor:
    """Cross entropy over the cells whose label is clear; `where` is brought to the map's cells."""
    cells = (seen.shape[2], seen.shape[3])
    covered = functional.adaptive_avg_pool2d((where == HERE).float(), cells)
    known = functional.adaptive_avg_pool2d((where != UNKNOWN).float(), cells)
    hot = covered > 0.5
    clear = hot | ((known > 0.9) & (covered == ABSENT))
    loss = functional.binary_cross_entropy_with_logits(seen, hot.float(), reduction="none")
    return (loss * clear).sum((1, 2, 3)).mean()


def _process(rank: int, recipe: Recipe, folder: Path, meeting: str) -> None:
    """What each of the processes does; the first one writes the results."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=PROCESSES)
    started, mine = time.perf_counter(), recipe.share()
    split, validation, held_out = (
        make_split(count, held_out=held, seed=derive_seed(recipe.seed, name, rank))
        for name, count, held in (
            ("training", mine.pictures, False),
            ("validation", mine.validation, False),
            ("held out", mine.held_out, True),
        )
    )
    drawn = time.perf_counter()
    network = fit_network(split, mine, _say if rank == 0 else lambda step, steps: None)
    trained = time.perf_counter()
    stored = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    network.load_state_dict({name: value.float() for name, value in stored.items()})
    gathered: list[Any] = [None] * PROCESSES
    distributed.all_gather_object(gathered, (look(network, validation), look(network, held_out)))
    if rank == 0:
        seconds = {"draw": drawn - started, "train": trained - drawn, "all": time.perf_counter() - started}
        _write(recipe, folder, stored, gathered, seconds)
    distributed.destroy_process_group()


def _say(step: int, steps: int) -> None:
    if step % TOLD_EVERY == 0:
        print(f"step {step} of {steps}", file=sys.stderr, flush=True)


def _write(
    recipe: Recipe,
    folder: Path,
    stored: dict[str, Tensor],
    gathered: list[tuple[Outputs, Outputs]],
    seconds: dict[str, float],
) -> None:
    thresholds = calibrate(together([validation for validation, _ in gathered]))
    folder.mkdir(parents=True, exist_ok=True)
    save_file(stored, folder / "recogniser.safetensors")
    card = {
        "version": f"recogniser-{content_id((folder / 'recogniser.safetensors').read_bytes().hex())[:8]}",
        "width": recipe.width,
        "recipe": asdict(recipe),
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "held_out": report(together([held_out for _, held_out in gathered]), thresholds),
        "thresholds": dict(zip(keys("subject"), (round(float(t), 2) for t in thresholds), strict=True)),
    }
    (folder / "recogniser.json").write_text(json.dumps(card, indent=1) + "\n", "utf-8")


def train(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Draw, train, calibrate, report; writes `recogniser.safetensors` and its card `recogniser.json`."""
    with tempfile.TemporaryDirectory() as meeting:
        spawn(_process, (recipe, folder, f"{meeting}/gloo"), nprocs=PROCESSES)  # type: ignore[no-untyped-call]
    card: dict[str, Any] = json.loads((folder / "recogniser.json").read_text("utf-8"))
    return card


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the weights and the card")
    parser.add_argument("--pictures", type=int, default=Recipe.pictures)
    parser.add_argument("--epochs", type=int, default=Recipe.epochs)
    arguments = parser.parse_args()
    card = train(Recipe(pictures=arguments.pictures, epochs=arguments.epochs), arguments.out)
    print(json.dumps({name: card[name] for name in ("version", "seconds", "held_out")}, indent=1))


if __name__ == "__main__":
    main()
