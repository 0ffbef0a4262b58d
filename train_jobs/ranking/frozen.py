"""What a frozen image tower makes of each picture: worked out once, not once an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from actors.contracts import PairRecord
from actors.scorer.model import AestheticModel
from actors.scorer.patches import collate
from configs.ranking import Precision
from train_jobs.ranking.data import Pictures
from train_jobs.ranking.ranks import Ranks
from train_jobs.ranking.scoring import computing

PICTURES_A_PASS = 64


class Seen:
    """Outputs of the image tower by picture; stands in for `Pictures` while that tower does not train."""

    def __init__(
        self,
        model: AestheticModel,
        pictures: Pictures,
        records: Sequence[PairRecord],
        ranks: Ranks,
        precision: Precision,
        tell: Callable[[str, int, int], None],
    ) -> None:
        """Look at every picture of some pairs, each process at its share of them."""
        sides = {side.sha256: side for record in records for side in (record.a, record.b)}
        self._row = {sha256: row for row, sha256 in enumerate(sides)}
        self._device = model.device
        self._outputs = torch.zeros(len(sides), model.architecture.image.output, device=self._device)
        # Pictures of one shape side by side leave little padding.
        order = sorted(range(len(sides)), key=[(s.width / s.height) for s in sides.values()].__getitem__)
        mine, every = order[ranks.rank :: ranks.size], list(sides.values())
        model.eval()
        for start in range(0, len(mine), PICTURES_A_PASS):
            rows = mine[start : start + PICTURES_A_PASS]
            with torch.no_grad(), computing(self._device.type, precision):
                seen = model.image(collate(pictures.several([every[row] for row in rows])))
            self._outputs[rows] = seen.float()
            tell("looking at pictures", min(len(sides), ranks.size * (start + len(rows))), len(sides))
        ranks.sum(self._outputs)

    def ahead(self, batches: Sequence[Sequence[PairRecord]]) -> Iterator[Tensor]:
        """Of each batch in turn the pictures a, b, a, b, ..., [2 * pairs, output]."""
        for batch in batches:
            rows = [self._row[side.sha256] for record in batch for side in (record.a, record.b)]
            yield self._outputs[rows]
