"""A second judge that shares neither measures nor weights with the first, to audit its admissions.

It sees pictures at 96 px squashed to a square, through a residual network trained on draws of its own;
it tells palettes from five k-means colours in Lab; it looks for titles by correlating edges of single
words at many scales. Only the house brief's tables, which say what is wanted, are common.
`python -m benchmarks.audit_judge` trains it and prints how often both judges decide alike.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor, nn
from torch.nn import functional

from actors.contracts import Query, Recall, derive_seed
from actors.fonts import font
from actors.judge.measured.brief import Brief
from actors.judge.measured.network import CLASSES
from actors.pixels import Pixels
from actors.policy.expander import default_strategy, engineer, write
from actors.vocabulary import keys, read_query
from benchmarks import world
from train_jobs.loop import arms
from train_jobs.loop.evaluation_set import packaged
from train_jobs.recogniser.data import Split, make_split
from train_jobs.recogniser.train import map_loss

SIDE = 96
COLOURS = 5
SUBJECT_BAR = 0.35
WANTED_BAR = 0.5
TITLE_BAR = 0.58


@dataclass(frozen=True)
class Audited:
    """One draw that the first judge has decided on."""

    pixels: Pixels
    query: Query
    admitted: bool


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.SiLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.silu(x + self.body(x))


class AuditNetwork(nn.Module):
    """[batch, 3, 96, 96] -> logits of subjects and of each facet but the palette."""

    def __init__(self) -> None:
        super().__init__()
        self.early = nn.Sequential(
            nn.Conv2d(3, 48, 4, 2, 1),
            nn.BatchNorm2d(48),
            nn.SiLU(inplace=True),
            nn.Conv2d(48, 96, 4, 2, 1),
            nn.BatchNorm2d(96),
            nn.SiLU(inplace=True),
            _Residual(96),
        )
        self.deep = nn.Sequential(
            nn.Conv2d(96, 192, 4, 2, 1),
            nn.BatchNorm2d(192),
            nn.SiLU(inplace=True),
            _Residual(192),
        )
        self.map = nn.Conv2d(192, len(keys("subject")), 1)
        self.heads = nn.ModuleDict({"subject": nn.Linear(384, len(keys("subject")))})
        for facet, names in CLASSES.items():
            if facet != "palette":
                self.heads[facet] = nn.Linear(384 + 36 * 192 + 3 * 96, len(names))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        early = self.early(2 * x - 1)
        deep = self.deep(early)
        what = torch.cat([deep.mean((2, 3)), deep.amax((2, 3))], 1)
        where = functional.dropout(functional.adaptive_avg_pool2d(deep, 6).flatten(1), 0.2, self.training)
        mirror = functional.adaptive_avg_pool2d((early - early.flip(3)).abs(), (3, 1)).flatten(1)
        full = torch.cat([what, where, mirror], 1)
        seen = {name: head(what if name == "subject" else full) for name, head in self.heads.items()}
        found = self.map(deep)
        return {**seen, "subject": seen["subject"] + found.amax((2, 3)), "map": found}


class AuditJudge:
    """Admits or refuses. Build it with `AuditJudge.train()`; about an hour on one core."""

    def __init__(self, network: AuditNetwork, palette: nn.Module) -> None:
        self._network, self._palette = network.eval(), palette.eval()
        self._brief = Brief.load()

    @classmethod
    def train(cls, pictures: int = 44000, epochs: int = 8, seed: int = 90210) -> AuditJudge:
        """Train on draws of its own. Deterministic."""
        torch.manual_seed(seed)
        shown = _squash(make_split(pictures, held_out=False, seed=seed))
        return cls(_fit(shown, epochs, seed), _fit_palette(shown, seed))

    def admits(self, pixels: Pixels, query: Query) -> bool:
        """Whether the picture is wanted, by this judge's own measures."""
        return not self.refusals(pixels, query)

    def refusals(self, pixels: Pixels, query: Query) -> list[str]:
        """What speaks against a picture."""
        reading = read_query(query)
        wanted = self._brief.wanted(reading, query.aspect)
        subjects, facets = self._see(pixels)
        found = [f"subject:{key}" for key in reading.keys("subject") if subjects[key] < SUBJECT_BAR]
        absent = set(reading.keys("subject", negated=True)) - set(reading.keys("subject"))
        found += [f"absent:{key}" for key in absent if subjects[key] >= 1 - SUBJECT_BAR]
        for facet, accepted in (
            ("layout", wanted.layouts),
            ("palette", wanted.palettes),
            ("light", wanted.lights),
            ("style", wanted.styles),
        ):
            if sum(facets[facet][key] for key in accepted) < WANTED_BAR:
                found.append(facet)
        if wanted.times and sum(facets["time"][key] for key in wanted.times) < 0.3:
            found.append("time")
        if reading.title and title_likeness(pixels, reading.title) < TITLE_BAR:
            found.append("title")
        return found

    def _see(self, pixels: Pixels) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
        small = cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        with torch.inference_mode():
            logits = self._network(_tensor(small[None]))
            logits["palette"] = self._palette(torch.from_numpy(palette_features(small)[None]))
        presence = torch.sigmoid(logits["subject"])[0].tolist()
        facets = {
            facet: dict(zip(names, logits[facet].softmax(1)[0].tolist(), strict=True))
            for facet, names in CLASSES.items()
        }
        return dict(zip(keys("subject"), presence, strict=True)), facets


def agreement(draws: Sequence[Audited], judge: AuditJudge | None = None) -> dict[str, Any]:
    """How often both judges decide alike, and what the audit holds against the first judge's admissions."""
    judge = judge or AuditJudge.train()
    refusals = [judge.refusals(draw.pixels, draw.query) for draw in draws]
    alike = sum(draw.admitted == (not against) for draw, against in zip(draws, refusals, strict=True))
    only_first = [against for draw, against in zip(draws, refusals, strict=True) if draw.admitted and against]
    reasons = [reason.split(":")[0] for against in only_first for reason in against]
    admitted = sum(draw.admitted for draw in draws)
    return {
        "draws": len(draws),
        "agreement": round(alike / max(1, len(draws)), 4),
        "admitted_by_first": admitted,
        "of_those_confirmed": round(1 - len(only_first) / max(1, admitted), 4),
        "admitted_by_audit_only": sum(not d.admitted and not a for d, a in zip(draws, refusals, strict=True)),
        "reasons_against": {reason: reasons.count(reason) for reason in sorted(set(reasons))},
    }


def palette_features(pixels: Pixels) -> NDArray[np.float32]:
    """[5 * 4]: the k-means colours in Lab by lightness, each with its share of the picture."""
    small = cv2.resize(pixels, (40, 40), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2Lab).reshape(-1, 3)
    cv2.setRNGSeed(5)
    stop = (cv2.TERM_CRITERIA_MAX_ITER, 8, 0.1)
    _, labels, centres = cv2.kmeans(lab, COLOURS, None, stop, 1, cv2.KMEANS_PP_CENTERS)  # type: ignore[call-overload]
    shares = np.bincount(labels.ravel(), minlength=COLOURS) / len(lab)
    order = np.argsort(centres[:, 0])
    return np.concatenate([centres[order] / 50, shares[order, None]], 1).astype(np.float32).ravel()


def title_likeness(pixels: Pixels, title: str) -> float:
    """The least, over the title's words, of the best edge correlation at any place and scale: 0..1."""
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    scale = 320 / min(gray.shape)
    gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else 2)
    edges = _edges(gray)
    # Correlation is undefined where nothing varies, and OpenCV calls that a perfect match.
    edges = edges + np.random.default_rng(0).normal(0, 4, edges.shape).astype(np.float32)
    words = title.split() if title.isascii() else [title[i : i + 2] for i in range(0, len(title), 2)]
    longest = sorted(set(words), key=len, reverse=True)[:3]
    best: Mapping[str, float] = {word: max(_at_scales(edges, word)) for word in longest}
    return min(best.values())


def _at_scales(edges: NDArray[np.float32], word: str) -> list[float]:
    found = [0.0]
    for size in np.unique(np.geomspace(14, 76, 26).astype(int)):
        for weight in (420, 760):
            template = _edges(_word(word, int(size), weight))
            if template.shape[0] <= edges.shape[0] and template.shape[1] <= edges.shape[1]:
                found.append(float(cv2.matchTemplate(edges, template, cv2.TM_CCOEFF_NORMED).max()))
    return found


def _word(word: str, size: int, weight: int) -> NDArray[np.uint8]:
    face = font(size, weight)
    x0, y0, x1, y1 = (int(value) for value in face.getbbox(word))
    image = Image.new("L", (x1 - x0 + 6, y1 - y0 + 6))
    ImageDraw.Draw(image).text((3 - x0, 3 - y0), word, fill=255, font=face)
    return np.asarray(image)


def _edges(gray: NDArray[np.uint8]) -> NDArray[np.float32]:
    soft = cv2.GaussianBlur(gray, (0, 0), 0.8).astype(np.float32)
    return cv2.magnitude(cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1))


@dataclass(frozen=True)
class _Shown:
    """Pictures at the audit's size with their labels, one row each."""

    pictures: Pixels
    subjects: NDArray[np.uint8]
    facets: NDArray[np.int64]
    where: NDArray[np.int8]


def _squash(split: Split) -> _Shown:
    pictures = [
        cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        for group in split.values()
        for picture in group.pictures
    ]
    return _Shown(
        np.stack(pictures),
        *(
            np.concatenate([getattr(g, name) for g in split.values()])
            for name in ("subjects", "facets", "where")
        ),
    )


def _tensor(pictures: Pixels) -> Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div(255)


def _fit(data: _Shown, epochs: int, seed: int) -> AuditNetwork:
    pictures, subjects, facets = data.pictures, data.subjects, data.facets
    network = AuditNetwork().to(memory_format=torch.channels_last).train()
    dice = np.random.default_rng(seed)
    steps = epochs * (len(pictures) // 64)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    for _ in range(epochs):
        order = dice.permutation(len(pictures))
        for step in range(len(pictures) // 64):
            rows = order[step * 64 : step * 64 + 64]
            chosen = pictures[rows].copy()
            chosen[::2] = chosen[::2, :, ::-1]
            where = data.where[rows].copy()
            where[::2] = where[::2, ..., ::-1]
            with torch.autocast("cpu", torch.bfloat16):
                logits = network(_tensor(chosen).contiguous(memory_format=torch.channels_last))
            target = torch.from_numpy(subjects[rows]).float()
            loss = functional.binary_cross_entropy_with_logits(
                logits["subject"].float(), target, reduction="none"
            ).sum(1)
            total = loss.mean() + map_loss(logits["map"].float(), torch.from_numpy(where)) / 10
            for index, facet in enumerate(CLASSES):
                if facet != "palette":
                    answer = torch.from_numpy(facets[rows, index])
                    total = total + functional.cross_entropy(logits[facet].float(), answer)
            optimiser.zero_grad(set_to_none=True)
            total.backward()
            optimiser.step()
            schedule.step()
    return network


def _fit_palette(data: _Shown, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    pictures, facets = data.pictures, data.facets
    features = torch.from_numpy(np.stack([palette_features(picture) for picture in pictures]))
    answers = torch.from_numpy(facets[:, list(CLASSES).index("palette")])
    size = len(CLASSES["palette"])
    network = nn.Sequential(
        nn.Linear(4 * COLOURS, 96), nn.SiLU(), nn.Linear(96, 96), nn.SiLU(), nn.Linear(96, size)
    )
    optimiser = torch.optim.AdamW(network.parameters(), lr=4e-3)
    for _ in range(40):
        for rows in torch.randperm(len(features)).split(256):
            optimiser.zero_grad()
            functional.cross_entropy(network(features[rows]), answers[rows]).backward()
            optimiser.step()
    return network


def draws_to_audit(queries: int, draws: int) -> list[Audited]:
    """Draws of raw and of engineered prompts, with the first judge's decisions."""
    from actors.generator.procedural import plan, render

    audited = []
    for query in packaged(120, 0).covers[:queries]:
        engineered = write(query, engineer(query, Recall(), default_strategy()))
        for text in (arms.raw(query).text, engineered, engineered):
            seeds = [derive_seed("audit", text, query.id, i, len(audited)) for i in range(draws)]
            pictures = [render(plan(text, query.aspect, seed), world.LONG_SIDE) for seed in seeds]
            decided = world.draw(query, text, seeds)
            audited += [Audited(p, query, d.admitted) for p, d in zip(pictures, decided, strict=True)]
    return audited


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=44000)
    parser.add_argument("--queries", type=int, default=60)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    started = time.perf_counter()
    judge = AuditJudge.train(arguments.pictures)
    trained = time.perf_counter()
    report = agreement(draws_to_audit(arguments.queries, 2), judge)
    print(json.dumps({"training_seconds": round(trained - started, 1), **report}, indent=1))


if __name__ == "__main__":
    main()
