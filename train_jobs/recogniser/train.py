"""Train the recogniser: `python -m train_jobs.recogniser.train`. Under two minutes on two cores."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from actors.contracts import content_id
from actors.judge.measured.network import CLASSES, Network
from actors.judge.measured.recogniser import FOLDER, as_input
from actors.vocabulary import keys
from train_jobs.recogniser.data import Split, make_split

SMOOTHING = 0.02
FACET_WEIGHTS = {"style": 0.7, "layout": 0.7, "palette": 0.7, "light": 0.7, "time": 0.4, "season": 0.2}


@dataclass(frozen=True)
class Recipe:
    """What is drawn and how the network is trained."""

    pictures: int = 12000
    validation: int = 1500
    held_out: int = 1500
    epochs: int = 8
    batch: int = 64
    width: int = 28
    rate: float = 2.5e-3
    decay: float = 0.03
    seed: int = 11


@dataclass(frozen=True)
class Outputs:
    """The network's answers over a split: logits by head, with the labels."""

    logits: dict[str, NDArray[np.float32]]
    subjects: NDArray[np.uint8]
    facets: NDArray[np.int64]
    pinned: NDArray[np.bool_]


def fit_network(split: Split, recipe: Recipe) -> Network:
    """Train a network on a split. The same split and recipe give the same weights."""
    torch.manual_seed(recipe.seed)
    network = Network(recipe.width).to(memory_format=torch.channels_last)
    steps = recipe.epochs * sum(-(-len(group[0]) // recipe.batch) for group in split.groups.values())
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=steps, pct_start=0.2)
    network.train()
    for pictures, subjects, facets in _batches(split, recipe):
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(pictures)
        loss = _loss(logits, subjects, facets)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return network.eval()


def look(network: Network, split: Split) -> Outputs:
    """Run a network over a split."""
    logits: dict[str, list[Tensor]] = {head: [] for head in ("subject", *CLASSES)}
    with torch.inference_mode():
        for pictures, *_ in split.groups.values():
            for start in range(0, len(pictures), 128):
                seen = network(as_input(torch.from_numpy(pictures[start : start + 128])))
                for head, values in seen.items():
                    logits[head].append(values)
    return Outputs(
        {head: torch.cat(values).numpy() for head, values in logits.items()},
        *(np.concatenate([group[i] for group in split.groups.values()]) for i in (1, 2, 3)),
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


def _batches(split: Split, recipe: Recipe) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Every picture once an epoch, a shape a batch, half of them mirrored."""
    dice = np.random.default_rng(recipe.seed)
    for _ in range(recipe.epochs):
        batches = []
        for shape, group in split.groups.items():
            order = dice.permutation(len(group[0]))
            batches += [(shape, order[i : i + recipe.batch]) for i in range(0, len(order), recipe.batch)]
        for index in dice.permutation(len(batches)):
            shape, rows = batches[index]
            pictures, subjects, facets, _ = split.groups[shape]
            chosen = pictures[rows]
            mirrored = dice.random(len(rows)) < 0.5
            chosen[mirrored] = chosen[mirrored][:, :, ::-1]
            yield (
                as_input(torch.from_numpy(chosen)),
                torch.from_numpy(subjects[rows]),
                torch.from_numpy(facets[rows]),
            )


def _loss(logits: Mapping[str, Tensor], subjects: Tensor, facets: Tensor) -> Tensor:
    """Presence of each subject, which of them (learns much faster from the start), and the facets."""
    here = subjects.float()
    seen = logits["subject"].float()
    presence = functional.binary_cross_entropy_with_logits(seen[:, :-1], here, reduction="none").sum(1).mean()
    which = torch.cat([here, (here.sum(1, keepdim=True) == 0).float()], 1)
    loss = presence + functional.cross_entropy(seen, which / which.sum(1, keepdim=True))
    for index, facet in enumerate(CLASSES):
        loss = loss + FACET_WEIGHTS[facet] * functional.cross_entropy(
            logits[facet].float(), facets[:, index], label_smoothing=SMOOTHING
        )
    return loss


def train(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Draw, train, calibrate, report and write `recogniser.safetensors` and `recogniser.json`."""
    torch.set_num_threads(2)
    started = time.perf_counter()
    pictures = make_split(recipe.pictures + recipe.validation, held_out=False, seed=recipe.seed)
    training, validation = _divide(pictures, recipe.validation)
    held_out = make_split(recipe.held_out, held_out=True, seed=recipe.seed + 1)
    drawn = time.perf_counter()
    network = fit_network(training, recipe)
    trained = time.perf_counter()
    stored = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    network.load_state_dict({name: value.float() for name, value in stored.items()})
    thresholds = calibrate(look(network, validation))
    folder.mkdir(parents=True, exist_ok=True)
    save_file(stored, folder / "recogniser.safetensors")
    card = {
        "version": f"recogniser-{content_id((folder / 'recogniser.safetensors').read_bytes().hex())[:8]}",
        "width": recipe.width,
        "recipe": asdict(recipe),
        "held_out": report(look(network, held_out), thresholds),
        "thresholds": dict(zip(keys("subject"), (round(float(t), 2) for t in thresholds), strict=True)),
    }
    (folder / "recogniser.json").write_text(json.dumps(card, indent=1) + "\n", "utf-8")
    ended = time.perf_counter()
    seconds = {"draw": drawn - started, "train": trained - drawn, "all": ended - started}
    return {"seconds": {name: round(value, 1) for name, value in seconds.items()}, **card["held_out"]}


def _divide(split: Split, count: int) -> tuple[Split, Split]:
    """Keep about `count` pictures apart, the same share of every shape."""
    share = count / len(split)
    first, second = {}, {}
    for shape, group in split.groups.items():
        at = round(len(group[0]) * share)
        first[shape] = (group[0][at:], group[1][at:], group[2][at:], group[3][at:])
        second[shape] = (group[0][:at], group[1][:at], group[2][:at], group[3][:at])
    return Split(first), Split(second)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the weights and the card")
    parser.add_argument("--pictures", type=int, default=Recipe.pictures)
    parser.add_argument("--epochs", type=int, default=Recipe.epochs)
    arguments = parser.parse_args()
    recipe = Recipe(pictures=arguments.pictures, epochs=arguments.epochs)
    print(json.dumps(train(recipe, arguments.out), indent=1))


if __name__ == "__main__":
    main()
