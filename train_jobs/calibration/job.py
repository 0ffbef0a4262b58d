"""The judge asked about anchor pairs, and what its answers are worth."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from actors.artifacts import Artifacts
from actors.contracts import Comparison, Dimension, Failure, Judgement, Picture, Query
from actors.errors import BadInput
from actors.judge.calibration.anchors import PairAnchor
from actors.judge.calibration.bradley_terry import sigmoid
from actors.judge.calibration.measure import JudgedPair, Origin, measure
from actors.judge.calibration.report import CalibrationReport, Kind, Mode
from actors.pixels import decode
from actors.roles import Judge, Roles
from configs.schema import Settings

Progress = Callable[[str, int, int], None]
"""`progress(stage, done, total)`."""
STAGE = "judging anchors"
Labels = dict[Dimension, float]


@dataclass(frozen=True)
class Anchor:
    """Two stored pictures of one query, and which one is better."""

    id: str
    group: str
    query: Query
    a: Picture
    b: Picture
    labels: Labels
    """Probability that a wins."""
    raters: tuple[Labels, ...] = ()
    source: str = ""
    """What kind of pair it is."""


async def calibrate(
    roles: Roles, settings: Settings, anchors: Sequence[Anchor], kind: Kind, progress: Progress
) -> CalibrationReport:
    """Ask the judge about every anchor and measure its answers.

    A question without an answer is counted, never guessed; its pair is left out of the other numbers.

    Raises:
        BadInput: no pair was judged in a dimension that has a label.
    """
    room = settings.calibration
    mode = mode_of(room.mode, settings.judge.type)
    ask = _scored if mode == "pointwise" else _compared
    verdicts = await ask(roles.judge, anchors, room.batch, room.raw_slope, progress)
    pairs = [
        JudgedPair(
            group=anchor.group,
            dimension=dimension,
            label=label,
            said=verdict[dimension][0],
            difference=verdict[dimension][1],
            raters=tuple(rater[dimension] for rater in anchor.raters if dimension in rater),
            source=anchor.source,
        )
        for anchor, verdict in zip(anchors, verdicts.pairs, strict=True)
        for dimension, label in anchor.labels.items()
        if dimension in verdict
    ]
    origin = Origin(
        judge=settings.judge.type,
        judge_version=verdicts.version,
        anchors=kind,
        mode=mode,
        pairs=len(anchors),
        questions=verdicts.questions,
        failures=verdicts.failures,
        swap_consistency=verdicts.swap_consistency,
    )
    return await asyncio.to_thread(measure, pairs, origin, room)


def mode_of(mode: Literal["auto", "pointwise", "comparative"], judge: str) -> Mode:
    """How a judge is asked: `auto` compares with a vision model, which is better at it, and scores else."""
    if mode == "auto":
        return "comparative" if judge == "vlm" else "pointwise"
    return mode


def stored(anchors: Sequence[PairAnchor], folder: Path, artifacts: Artifacts) -> list[Anchor]:
    """Anchors of a file, their pictures copied into artifacts.

    Raises:
        BadInput: a picture is missing or cannot be read; the message names the anchor and the path.
    """
    return [
        Anchor(
            id=anchor.id,
            group=anchor.group or anchor.id,
            query=anchor.query.query(),
            a=_picture(folder, anchor.a, anchor.id, artifacts),
            b=_picture(folder, anchor.b, anchor.id, artifacts),
            labels=dict(anchor.labels),
            raters=tuple(dict(rater) for rater in anchor.raters),
        )
        for anchor in anchors
    ]


def _picture(folder: Path, path: str, anchor: str, artifacts: Artifacts) -> Picture:
    try:
        data = (folder / path).read_bytes()
        height, width = decode(data).shape[:2]
    except OSError as error:
        raise BadInput(
            f"anchor {anchor}: {folder / path}: {error.strerror}; accepted: a picture file"
        ) from None
    except BadInput as error:
        raise BadInput(f"anchor {anchor}: {folder / path}: {error}") from None
    return Picture(
        sha256=artifacts.put(data),
        width=width,
        height=height,
        prompt_id="anchor",
        seed=0,
        generator_version="anchor",
    )


@dataclass(frozen=True)
class _Verdicts:
    """What the judge said of each anchor: dimension -> (probability that a wins, difference)."""

    pairs: list[dict[Dimension, tuple[float, float]]]
    questions: int
    failures: Counter[str]
    version: str
    swap_consistency: float | None = None


async def _scored(
    judge: Judge, anchors: Sequence[Anchor], batch: int, raw_slope: float, progress: Progress
) -> _Verdicts:
    """Each picture is judged alone, and once however many pairs it is in."""
    questions: dict[tuple[str, str], tuple[Picture, Query]] = {}
    for anchor in anchors:
        for picture in (anchor.a, anchor.b):
            questions.setdefault((picture.sha256, anchor.query.id), (picture, anchor.query))
    asked = list(questions.values())
    answers: list[Judgement | Failure] = []
    for start in range(0, len(asked), batch):
        progress(STAGE, start, len(asked))
        part = asked[start : start + batch]
        answers += await judge.judge([picture for picture, _ in part], [query for _, query in part])
    progress(STAGE, len(asked), len(asked))
    found = dict(zip(questions, answers, strict=True))
    pairs = []
    for anchor in anchors:
        a, b = (found[picture.sha256, anchor.query.id] for picture in (anchor.a, anchor.b))
        pairs.append(_differences(a, b, raw_slope))
    return _Verdicts(pairs, len(asked), _failures(answers), _version(answers))


def _differences(
    a: Judgement | Failure, b: Judgement | Failure, raw_slope: float
) -> dict[Dimension, tuple[float, float]]:
    if isinstance(a, Failure) or isinstance(b, Failure):
        return {}
    verdict = {}
    for dimension in Dimension:
        first, second = a.score(dimension), b.score(dimension)
        if first is not None and second is not None:
            verdict[dimension] = (float(sigmoid(raw_slope * (first - second))), first - second)
    return verdict


async def _compared(
    judge: Judge, anchors: Sequence[Anchor], batch: int, raw_slope: float, progress: Progress
) -> _Verdicts:
    """The judge sees both pictures, in both orders. Its probabilities are its own: no slope is needed."""
    answers: list[Comparison | Failure] = []
    for start in range(0, len(anchors), batch):
        progress(STAGE, start, len(anchors))
        part = anchors[start : start + batch]
        answers += await judge.compare([(each.a, each.b) for each in part], [each.query for each in part])
    progress(STAGE, len(anchors), len(anchors))
    pairs: list[dict[Dimension, tuple[float, float]]] = [
        {} if isinstance(answer, Failure) else {d: (p, 2 * p - 1) for d, p in answer.first_wins.items()}
        for answer in answers
    ]
    agreed = [answer.consistent for answer in answers if isinstance(answer, Comparison)]
    consistency = sum(agreed) / len(agreed) if agreed else None
    return _Verdicts(pairs, len(anchors), _failures(answers), _version(answers), consistency)


def _failures(answers: Sequence[object]) -> Counter[str]:
    return Counter(answer.kind for answer in answers if isinstance(answer, Failure))


def _version(answers: Sequence[Judgement | Comparison | Failure]) -> str:
    return next((answer.judge_version for answer in answers if not isinstance(answer, Failure)), "-")
