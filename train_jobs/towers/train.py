"""Teach the towers: `python -m train_jobs.towers.train`, about half an hour on two cores.

Two processes of one thread each draw their half of the pictures and train on it with averaged gradients
(torch DDP over gloo). The recogniser is the teacher of the picture tower, the vocabulary that of the text
tower; neither sees a judgement.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.multiprocessing.spawn import spawn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from actors.contracts import Dimension, derive_seed
from actors.judge.measured.recogniser import Recogniser
from actors.scorer.architecture import PRESETS
from actors.scorer.checkpoint import save
from actors.scorer.model import AestheticModel
from actors.scorer.patches import PatchBatch, collate
from actors.scorer.text import TextBatch, Tokenizer
from train_jobs.towers.concepts import FACETS, MEASURES, SUBJECTS, reading_loss, seeing_loss, silence
from train_jobs.towers.data import Float, Lesson, make_lessons, make_readings
from train_jobs.towers.eyes import give_eyes
from train_jobs.towers.tokenizer import train_tokenizer

PROCESSES = 2
PLACES_WEIGHT = 0.3
TEXTS_A_PICTURE = 2


@dataclass(frozen=True)
class Recipe:
    """What is drawn and how the towers are taught. Counts are for all processes together."""

    pictures: int = 24000
    readings: int = 120000
    held_out: int = 1000
    epochs: int = 4
    batch: int = 64
    rate: float = 1.5e-3
    decay: float = 0.05
    seed: int = 23

    def share(self) -> Recipe:
        """What one of the processes does."""
        return replace(
            self,
            pictures=self.pictures // PROCESSES,
            readings=self.readings // PROCESSES,
            batch=self.batch // PROCESSES,
            held_out=self.held_out // PROCESSES,
        )


class Pupil(nn.Module):
    """The model under instruction, with a head that says where each subject is and is dropped afterwards."""

    def __init__(self, model: AestheticModel) -> None:
        super().__init__()
        self.model = model
        self.places = nn.Linear(model.architecture.image.width, SUBJECTS.stop)

    def forward(self, pictures: PatchBatch, texts: TextBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Projected pictures, the places' logits [pictures, longest, subjects], projected texts."""
        model, image = self.model, self.model.image
        tokens = image.tokens(pictures)
        seen = model.image_projection(image.ln_post(tokens[:, 0]) @ image.proj)
        return seen, self.places(tokens[:, 1:]), model.text_projection(model.text(texts))


def teach(
    model: AestheticModel,
    tokenizer: Tokenizer,
    lessons: Sequence[Lesson],
    readings: tuple[list[str], Float],
    recipe: Recipe,
) -> None:
    """Train both towers on this process's share, in step with the others."""
    torch.manual_seed(recipe.seed)
    pupil = Pupil(model)
    for part in (model.heads, model.wish):
        part.requires_grad_(False)
    in_step = DistributedDataParallel(pupil) if distributed.is_initialized() else pupil
    steps = recipe.epochs * (recipe.pictures // recipe.batch)
    trained = [parameter for parameter in pupil.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=recipe.rate, weight_decay=recipe.decay, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=steps, pct_start=0.15)
    dice = np.random.default_rng(derive_seed(recipe.seed, "readings"))
    pupil.train()
    began = time.perf_counter()
    for step, batch in zip(range(steps), _batches(lessons, recipe), strict=False):
        rows = dice.integers(0, len(readings[0]), TEXTS_A_PICTURE * len(batch))
        texts = tokenizer([readings[0][row] for row in rows])
        seen, places, read = in_step(collate([lesson.picture for lesson in batch]), texts)
        loss = _loss(seen, places, batch) + 0.3 * reading_loss(read, torch.from_numpy(readings[1][rows]))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        schedule.step()
        if step % 100 == 0 and (not distributed.is_initialized() or distributed.get_rank() == 0):
            found = float((seen[:, SUBJECTS] > 0)[_taught(batch)[:, SUBJECTS] > 0.5].float().mean())
            seconds = time.perf_counter() - began
            print(
                f"step {step}/{steps}  loss {loss.item():.2f}  subjects {found:.2f}  {seconds:.0f} s",
                flush=True,
            )
    pupil.eval()


def report(
    model: AestheticModel, tokenizer: Tokenizer, lessons: Sequence[Lesson], readings: tuple[list[str], Float]
) -> dict[str, float]:
    """How far the towers agree with their teachers on what they have not met."""
    with torch.inference_mode():
        chunks = [lessons[i : i + 64] for i in range(0, len(lessons), 64)]
        seen = torch.cat([model.see(collate([each.picture for each in chunk])) for chunk in chunks])
        texts = [readings[0][i : i + 256] for i in range(0, len(readings[0]), 256)]
        read = torch.cat([model.read(tokenizer(chunk)) for chunk in texts])
    taught = _taught(lessons)
    found, there = seen[:, SUBJECTS] > 0.5, taught[:, SUBJECTS] > 0.5
    measures = taught[:, MEASURES]
    apart = (seen[:, MEASURES] - measures).square().mean(0) / measures.var(0).clamp(min=1e-6)
    right = (read[:, : readings[1].shape[1]] > 0.5) == (torch.from_numpy(readings[1]) > 0.5)
    return {
        "subject_recall": float((found & there).sum() / there.sum()),
        "subject_precision": float((found & there).sum() / found.sum().clamp(min=1)),
        **{
            facet: float((seen[:, part].argmax(1) == taught[:, part].argmax(1)).float().mean())
            for facet, part in FACETS.items()
        },
        "title_unexplained": float(apart[0]),
        "measures_unexplained": float(apart.mean()),
        "requests_read_right": float(right.all(1).float().mean()),
    }


def _taught(lessons: Sequence[Lesson]) -> Tensor:
    return torch.from_numpy(np.stack([lesson.seen for lesson in lessons]))


def _loss(projected: Tensor, places: Tensor, batch: Sequence[Lesson]) -> Tensor:
    where = torch.zeros(places.shape)
    for row, lesson in zip(where, batch, strict=True):
        flat = np.ascontiguousarray(lesson.places).reshape(-1, SUBJECTS.stop)
        row[: len(flat)] = torch.from_numpy(flat).float() / 255
    apart = functional.binary_cross_entropy_with_logits(places.float(), where, reduction="none")
    return seeing_loss(projected, _taught(batch)) + PLACES_WEIGHT * apart.sum(2).mean()


def _batches(lessons: Sequence[Lesson], recipe: Recipe) -> Iterator[list[Lesson]]:
    """Without end: every picture once an epoch, grids of one length a batch."""
    dice = np.random.default_rng(derive_seed(recipe.seed, "batches"))
    lengths = np.array([len(lesson.picture.grid) for lesson in lessons])
    while True:
        batches = []
        for length in np.unique(lengths):
            order = dice.permutation(np.flatnonzero(lengths == length))
            batches += [order[i : i + recipe.batch] for i in range(0, len(order), recipe.batch)]
        for index in dice.permutation(len(batches)):
            yield [lessons[i] for i in batches[index]]


def _process(rank: int, recipe: Recipe, folder: Path, meeting: str) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=PROCESSES)
    started, mine, architecture = time.perf_counter(), recipe.share(), PRESETS["small"]
    tokenizer = Tokenizer(folder / "tokenizer.json", architecture.text.context)
    lessons = make_lessons(mine.pictures, derive_seed(recipe.seed, "pictures", rank), architecture.image)
    readings = make_readings(mine.readings, derive_seed(recipe.seed, "readings", rank))
    drawn = time.perf_counter()
    torch.manual_seed(recipe.seed)
    # Heads are learnt from pairs; one stands for all.
    model = AestheticModel(architecture.model_copy(update={"dimensions": (Dimension.TOTAL,)}))
    give_eyes(model.image.stem, Recogniser())
    nn.init.eye_(model.image.proj)
    nn.init.eye_(model.image_projection.weight)
    silence(model.image_projection)
    teach(model, tokenizer, lessons, readings, mine)
    trained = time.perf_counter()
    if rank == 0:
        fresh = make_lessons(mine.held_out, derive_seed(recipe.seed, "held out"), architecture.image)
        unread = make_readings(mine.held_out, derive_seed(recipe.seed, "unread"))
        card: dict[str, Any] = {
            "recipe": asdict(recipe),
            "seconds": {"draw": round(drawn - started), "train": round(trained - drawn)},
            "held_out": {name: round(v, 4) for name, v in report(model, tokenizer, fresh, unread).items()},
        }
        print(json.dumps(card, indent=1), flush=True)
        save(folder, model, folder / "tokenizer.json", None, card)
    distributed.barrier()
    distributed.destroy_process_group()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the weights, tokenizer and card")
    parser.add_argument("--pictures", type=int, default=Recipe.pictures)
    parser.add_argument("--epochs", type=int, default=Recipe.epochs)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    train_tokenizer(arguments.out / "tokenizer.json", PRESETS["small"].text.vocabulary)
    recipe = Recipe(pictures=arguments.pictures, epochs=arguments.epochs)
    with tempfile.TemporaryDirectory() as meeting:
        spawn(  # type: ignore[no-untyped-call]
            _process, (recipe, arguments.out, f"{meeting}/gloo"), nprocs=PROCESSES
        )


if __name__ == "__main__":
    main()
