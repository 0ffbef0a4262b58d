"""Coordinates of the two embeddings that mean the same in both: seen in a picture, asked for in a text.

A concept bottleneck (Koh et al. 2020): what a picture shows of a concept and whether a request names it stand
in the same coordinate, so that their product tells whether the wish is met.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from actors.contracts import ASPECTS, Query
from actors.judge.measured.network import CLASSES
from actors.vocabulary import Facet, keys, read_query

SEEN_SCALE, READ_SCALE = 4.0, 8.0
"""Log-odds a unit of coordinate, so that embeddings stay near one."""
_NAMED: tuple[Facet, ...] = ("style", "layout", "palette", "light", "time", "season")

SUBJECTS = slice(0, len(keys("subject")))


def _facets() -> dict[str, slice]:
    found, start = {}, SUBJECTS.stop
    for facet, names in CLASSES.items():
        found[facet] = slice(start, start + len(names))
        start += len(names)
    return found


FACETS = _facets()
"""Where the classes of each facet stand."""
MEASURES = slice(max(part.stop for part in FACETS.values()), max(part.stop for part in FACETS.values()) + 8)
"""Plain measures of a picture: title legibility, tone, craft."""
_ASPECTS = {name: MEASURES.stop + i for i, name in enumerate(ASPECTS)}
_MOODS = {name: MEASURES.stop + len(ASPECTS) + i for i, name in enumerate(keys("mood"))}
_TITLED, _STRANGE = MEASURES.start, MEASURES.stop + len(ASPECTS) + len(_MOODS)
CONCEPTS = _STRANGE + 1
"""Coordinates that have a meaning; an embedding needs at least as many."""


def asked(query: Query) -> NDArray[np.float32]:
    """[CONCEPTS] 1 where the query names the concept, else 0; of coordinates that only pictures have, 0."""
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
    return found


def seeing_loss(embedded: Tensor, subjects: Tensor, facets: Mapping[str, Tensor], measures: Tensor) -> Tensor:
    """How far embedded pictures [batch, embed] are from what the teacher saw.

    Args:
        embedded: of the picture tower and its projection.
        subjects: presence 0..1, [batch, subjects].
        facets: distributions [batch, classes].
        measures: [batch, measures], NaN where not measured.
    """
    logits = SEEN_SCALE * embedded.float()
    loss = functional.binary_cross_entropy_with_logits(logits[:, SUBJECTS], subjects, reduction="none")
    total = loss.sum(1).mean()
    for facet, wanted in facets.items():
        total = total + 0.7 * functional.cross_entropy(logits[:, FACETS[facet]], wanted)
    known = ~measures.isnan()
    apart = (embedded.float()[:, MEASURES] - measures.nan_to_num()).square() * known
    return total + 2.0 * apart.sum() / known.sum().clamp(min=1)


def reading_loss(embedded: Tensor, wanted: Tensor) -> Tensor:
    """How far embedded texts [batch, embed] are from the concepts that they name, [batch, CONCEPTS]."""
    logits = READ_SCALE * (embedded.float()[:, :CONCEPTS] - 0.5)
    return functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(1).mean()
