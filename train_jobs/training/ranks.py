"""The processes that train together."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, distributed, empty_like


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

    def gather(self, values: Tensor) -> list[Tensor]:
        """The tensors of all processes, in their order; all are of one shape."""
        if self.size == 1:
            return [values]
        found = [empty_like(values) for _ in range(self.size)]
        distributed.all_gather(found, values.contiguous())
        return found


ALONE = Ranks()
