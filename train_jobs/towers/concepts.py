"""Coordinates of the two embeddings that mean the same in both: seen in a picture, asked for in a text.

A concept bottleneck (Koh et al. 2020): what a picture shows of a concept and whether a request names it stand
in the same coordinate, so that their product tells whether the wish is met. Requests have coordinates of
their own as well: the kind of frame that is to be filled, and what sets the tone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from actors.contracts import ASPECTS, Query
from actors.judge.measured.brief import Brief
from actors.judge.measured.network import CLASSES
from actors.scorer.model import STEEPNESS
from actors.vocabulary import Facet, Reading, keys, read_query

_NAMED: tuple[Facet, ...] = ("style", "layout", "palette", "light", "time", "season")
_LEADING: tuple[Facet, ...] = ("mood", "season", "time")
_CROWD = 3
"""No subject, one, or several."""
_SHAPES = ("square", "tall", "wide")


class _Places:
    """Hands out coordinates."""

    def __init__(self) -> None:
        self.count = 0

    def take(self, names: Sequence[str]) -> dict[str, int]:
        """One for each name."""
        places = {name: self.count + index for index, name in enumerate(names)}
        self.count += len(names)
        return places

    def span(self, size: int) -> slice:
        """Several in a row."""
        self.count += size
        return slice(self.count - size, self.count)


_places = _Places()
SUBJECTS = _places.span(len(keys("subject")))
FACETS = {facet: _places.span(len(names)) for facet, names in CLASSES.items()}
"""Where the classes of each facet stand."""
MEASURES = _places.span(8)
"""Plain measures of a picture: title legibility, tone, craft."""
SEEN = _places.count
"""Coordinates that pictures are taught; the others are of requests alone."""
_TITLED = MEASURES.start
_ASPECTS = _places.take(tuple(ASPECTS))
_MOODS = _places.take(keys("mood"))
_STRANGE = _places.take(("strange",))["strange"]
_FRAMES = _places.span(len(_SHAPES) * 2 * _CROWD)
_BRIEF = Brief.load()
_KINDS = _places.take((*dict.fromkeys(_BRIEF.temperament.values()), "abstract"))
_LEADS = _places.take(
    (*(f"{facet}:{key}" for facet in _LEADING for key in keys(facet)), *(f"kind:{kind}" for kind in _KINDS))
)
CONCEPTS = _places.count
"""Coordinates that have a meaning; an embedding needs at least as many."""


def asked(query: Query) -> NDArray[np.float32]:
    """[CONCEPTS] 1 where the query names the concept or is of the kind, else 0."""
    reading, found = read_query(query), np.zeros(CONCEPTS, np.float32)
    for key in reading.keys("subject"):
        found[keys("subject").index(key)] = 1
    for facet in _NAMED:
        for key in reading.keys(facet):
            found[FACETS[facet].start + CLASSES[facet].index(key)] = 1
    for mood in reading.keys("mood"):
        found[_MOODS[mood]] = 1
    found[_ASPECTS[query.aspect]] = 1
    found[_TITLED] = bool(reading.title)
    found[_STRANGE] = len(reading.unknown) > 2
    found[_FRAMES.start + _frame(reading, query.aspect)] = 1
    subject = reading.first("subject")
    kind = _BRIEF.temperament[subject] if subject else "abstract"
    found[_KINDS[kind]] = 1
    found[_LEADS[_lead(reading, kind)]] = 1
    return found


def _frame(reading: Reading, aspect: str) -> int:
    """What is to be filled: the shape of the frame, whether a title stands in it, how many subjects."""
    width, height = ASPECTS[aspect]
    shape = _SHAPES.index("square" if width == height else "tall" if height > width else "wide")
    crowd = min(_CROWD - 1, len(reading.keys("subject")))
    return (shape * 2 + bool(reading.title)) * _CROWD + crowd


def _lead(reading: Reading, kind: str) -> str:
    """What sets the tone of a request: its mood, else the season, else the time, else the kind of subject."""
    for facet in _LEADING:
        if key := reading.first(facet):
            return f"{facet}:{key}"
    return f"kind:{kind}"


def silence(projection: nn.Linear) -> None:
    """Keep what is said of requests alone at 0 in pictures; no lesson touches these coordinates."""
    with torch.no_grad():
        projection.weight[SEEN:].zero_()
        projection.bias[SEEN:].fill_(-10 / STEEPNESS)


def seeing_loss(projected: Tensor, seen: Tensor) -> Tensor:
    """How far pictures are from what the teacher saw in them.

    Args:
        projected: of the picture tower, before it is squashed, [batch, embed].
        seen: what the teacher saw, 0..1, [batch, SEEN]; NaN where it did not look.
    """
    known = ~seen.isnan()
    logits = STEEPNESS * projected.float()[:, :SEEN]
    loss = functional.binary_cross_entropy_with_logits(logits, seen.nan_to_num(), reduction="none") * known
    return loss[:, : MEASURES.start].sum(1).mean() + 2.0 * loss[:, MEASURES].sum(1).mean()


def reading_loss(projected: Tensor, wanted: Tensor) -> Tensor:
    """How far texts, before they are squashed, [batch, embed], are from what each asks, [batch, CONCEPTS]."""
    logits = STEEPNESS * projected.float()[:, :CONCEPTS]
    return functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(1).mean()
