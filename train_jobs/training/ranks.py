"""The processes that train together."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, distributed


@dataclass(frozen=True)
class Ranks:
    """How many processes train together, and which of them this is."""

    rank: int = 0
    size: int = 1

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values


ALONE = Ranks()
