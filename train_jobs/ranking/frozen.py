"""What frozen towers make of pictures and requests: worked out once, not once an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from actors.contracts import PairRecord
from actors.scorer.model import AestheticModel
from actors.scorer.patches import collate
from actors.scorer.request import request_text
from actors.scorer.text import Tokenizer
from configs.ranking import Precision
from train_jobs.ranking.data import Pictures, Tell
from train_jobs.ranking.scoring import computing
from train_jobs.training.ranks import Ranks

AT_ONCE = 64
"""Pictures or texts a forward pass."""


class Seen:
    """Outputs of the image tower by picture; stands in for `Pictures` while that tower does not train."""

    def __init__(
        self,
        model: AestheticModel,
        pictures: Pictures,
        records: Sequence[PairRecord],
        ranks: Ranks,
        precision: Precision,
        tell: Tell,
    ) -> None:
        """Look at every picture of some pairs, each process at its share of them."""
        sides = {side.sha256: side for record in records for side in (record.a, record.b)}
        # Pictures of one shape side by side leave little padding.
        every = sorted(sides.values(), key=lambda side: side.width / side.height)
        self._row = {side.sha256: row for row, side in enumerate(every)}
        self._outputs = torch.zeros(len(every), model.architecture.image.output, device=model.device)
        model.eval()
        for rows in _shares(len(every), ranks):
            with torch.no_grad(), computing(model.device.type, precision):
                seen = model.image(collate(pictures.several([every[row] for row in rows])))
            self._outputs[rows] = seen.float()
            tell("looking at pictures", min(len(every), rows[-1] + 1), len(every))
        ranks.sum(self._outputs)

    def ahead(self, batches: Sequence[Sequence[PairRecord]]) -> Iterator[Tensor]:
        """Of each batch in turn the pictures a, b, a, b, ..., [2 * pairs, output]."""
        for batch in batches:
            rows = [self._row[side.sha256] for record in batch for side in (record.a, record.b)]
            yield self._outputs[rows]


class Read:
    """Outputs of the text tower by request, while that tower does not train."""

    def __init__(
        self,
        model: AestheticModel,
        tokenizer: Tokenizer,
        records: Sequence[PairRecord],
        ranks: Ranks,
        precision: Precision,
        tell: Tell,
    ) -> None:
        """Read every request of some pairs, each process its share of them."""
        # Texts of one length side by side leave little padding.
        every = sorted({request_text(record.query) for record in records}, key=lambda text: (len(text), text))
        self._row = {text: row for row, text in enumerate(every)}
        self._outputs = torch.zeros(len(every), model.architecture.text.width, device=model.device)
        model.eval()
        for rows in _shares(len(every), ranks):
            with torch.no_grad(), computing(model.device.type, precision):
                read = model.text(tokenizer([every[row] for row in rows]))
            self._outputs[rows] = read.float()
            tell("reading requests", min(len(every), rows[-1] + 1), len(every))
        ranks.sum(self._outputs)

    def __call__(self, records: Sequence[PairRecord]) -> Tensor:
        """[pairs, width], the request of each pair."""
        return self._outputs[[self._row[request_text(record.query)] for record in records]]


def _shares(count: int, ranks: Ranks) -> Iterator[list[int]]:
    """Rows of this process, `AT_ONCE` at a time."""
    mine = list(range(ranks.rank, count, ranks.size))
    for start in range(0, len(mine), AT_ONCE):
        yield mine[start : start + AT_ONCE]
