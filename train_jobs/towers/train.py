"""Teach the towers: `python -m train_jobs.towers.train`, about an hour on two cores.

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
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parallel import DistributedDataParallel

from actors.contracts import Dimension, derive_seed
from actors.judge.measured.recogniser import Recogniser
from actors.scorer.architecture import PRESETS
from actors.scorer.checkpoint import save
from actors.scorer.model import AestheticModel
from actors.scorer.patches import PatchBatch, collate
from actors.scorer.text import TextBatch, Tokenizer
from train_jobs.towers.concepts import (
    FACETS,
    MEASURES,
    SUBJECTS,
    reading_loss,
    seeing_loss,
)
from train_jobs.towers.data import Float, Lesson, make_lessons, make_readings, mirrored
from train_jobs.towers.tokenizer import train_tokenizer

PROCESSES = 2
PLACES_WEIGHT = 0.3
EYES_RATE = 0.2
"""Learning rate of the stem, which knows much from the start, by that of the rest."""
TEXTS_A_PICTURE = 2


@dataclass(frozen=True)
class Recipe:
    """What is drawn and how the towers are taught. Counts are for all processes together."""

    pictures: int = 30000
    readings: int = 120000
    held_out: int = 1000
    epochs: int = 8
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


def open_eyes(model: AestheticModel) -> None:
    """Give the stem the recogniser's convolutions to start from."""
    shapes, tone = Recogniser().convolutions()
    stem = model.image.stem
    for mine, its in zip([*stem.shapes, *stem.tone], [*shapes, *tone], strict=True):
        mine.load_state_dict(its.state_dict())


class Pupil(nn.Module):
    """The model under instruction, with a head that says where each subject is and is dropped afterwards."""

    def __init__(self, model: AestheticModel) -> None:
        super().__init__()
        self.model = model
        self.places = nn.Linear(model.architecture.image.width, SUBJECTS.stop)

    def forward(self, pictures: PatchBatch, texts: TextBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Embedded pictures, the places' logits [pictures, longest, subjects], embedded texts."""
        image = self.model.image
        tokens = image.tokens(pictures)
        seen = self.model.image_projection(image.ln_post(tokens[:, 0]) @ image.proj)
        return seen, self.places(tokens[:, 1:]), self.model.read(texts)


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
    for parameter in model.heads.parameters():
        parameter.requires_grad_(False)
    in_step = DistributedDataParallel(pupil) if distributed.is_initialized() else pupil
    steps = recipe.epochs * (recipe.pictures // recipe.batch)
    trained = [parameter for parameter in pupil.parameters() if parameter.requires_grad]
    eyes = set(model.image.stem.parameters())
    groups = [
        {"params": [p for p in trained if p not in eyes]},
        {"params": [p for p in trained if p in eyes]},
    ]
    rates = [recipe.rate, recipe.rate * EYES_RATE]
    optimiser = torch.optim.AdamW(groups, lr=recipe.rate, weight_decay=recipe.decay, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=steps, pct_start=0.15)
    dice = np.random.default_rng(derive_seed(recipe.seed, "readings"))
    pupil.train()
    began = time.perf_counter()
    for step, batch in zip(
        range(steps), _batches(lessons, recipe, model.architecture.image.patch), strict=False
    ):
        rows = dice.integers(0, len(readings[0]), TEXTS_A_PICTURE * len(batch))
        texts = tokenizer([readings[0][row] for row in rows])
        # In bfloat16 the plain kernel's backward pass takes half the time of the fused one.
        with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            seen, places, read = in_step(collate([lesson.picture for lesson in batch]), texts)
        loss = _loss(seen, places, batch) + 0.3 * reading_loss(read, torch.from_numpy(readings[1][rows]))
        optimiser.zero_grad(set_to_none=True)
        with sdpa_kernel(SDPBackend.MATH):
            loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        schedule.step()
        if step % 100 == 0 and (not distributed.is_initialized() or distributed.get_rank() == 0):
            taught = torch.from_numpy(np.stack([lesson.subjects for lesson in batch])) > 0.5
            found = float((seen[:, SUBJECTS] > 0)[taught].float().mean())
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
    taught = torch.from_numpy(np.stack([each.subjects for each in lessons])) > 0.5
    found = seen[:, SUBJECTS] > 0
    facets = torch.from_numpy(np.stack([each.facets for each in lessons]))
    start, shares = SUBJECTS.stop, {}
    for facet, part in FACETS.items():
        wanted = facets[:, part.start - start : part.stop - start].argmax(1)
        shares[facet] = float((seen[:, part].argmax(1) == wanted).float().mean())
    measures = torch.from_numpy(np.stack([each.measures for each in lessons]))
    named = torch.from_numpy(readings[1]) > 0.5
    apart = (seen[:, MEASURES] - measures).square().nanmean(0) / measures.nan_to_num().var(0).clamp(min=1e-6)
    return {
        "subject_recall": float((found & taught).sum() / taught.sum()),
        "subject_precision": float((found & taught).sum() / found.sum().clamp(min=1)),
        **shares,
        "measures_unexplained": float(apart.mean()),
        "requests_read_right": float(((read[:, : named.shape[1]] > 0.5) == named).all(1).float().mean()),
    }


def _loss(seen: Tensor, places: Tensor, batch: Sequence[Lesson]) -> Tensor:
    facets = torch.from_numpy(np.stack([lesson.facets for lesson in batch]))
    start = SUBJECTS.stop
    split = {name: facets[:, part.start - start : part.stop - start] for name, part in FACETS.items()}
    loss = seeing_loss(
        seen,
        torch.from_numpy(np.stack([lesson.subjects for lesson in batch])),
        split,
        torch.from_numpy(np.stack([lesson.measures for lesson in batch])),
    )
    where = torch.zeros(places.shape)
    for row, lesson in zip(where, batch, strict=True):
        flat = np.ascontiguousarray(lesson.places).reshape(-1, SUBJECTS.stop)
        row[: len(flat)] = torch.from_numpy(flat).float() / 255
    apart = functional.binary_cross_entropy_with_logits(places.float(), where, reduction="none")
    return loss + PLACES_WEIGHT * apart.sum(2).mean()


def _batches(lessons: Sequence[Lesson], recipe: Recipe, side: int) -> Iterator[list[Lesson]]:
    """Without end: every picture once an epoch, grids of one length a batch, half of them mirrored."""
    dice = np.random.default_rng(derive_seed(recipe.seed, "batches"))
    lengths = np.array([len(lesson.picture.grid) for lesson in lessons])
    while True:
        batches = []
        for length in np.unique(lengths):
            order = dice.permutation(np.flatnonzero(lengths == length))
            batches += [order[i : i + recipe.batch] for i in range(0, len(order), recipe.batch)]
        for index in dice.permutation(len(batches)):
            yield [mirrored(lessons[i], side) if dice.random() < 0.5 else lessons[i] for i in batches[index]]


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
    open_eyes(model)
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
