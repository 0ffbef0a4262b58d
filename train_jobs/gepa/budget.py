"""The budget: metric calls are held before they are made, so that there is never one too many."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Budget:
    """Metric calls. `None` = no limit."""

    limit: int | None
    spent: int = 0
    """Calls made, or under way."""
    held: int = 0
    """Calls that what is under way may still need."""

    def hold(self, calls: int) -> bool:
        """Set calls aside; False, and nothing is changed, where they are not left."""
        if self.limit is not None and self.spent + self.held + calls > self.limit:
            return False
        self.held += calls
        return True

    def spend(self) -> None:
        """Make one of the calls that are held."""
        self.held -= 1
        self.spent += 1

    def release(self, calls: int) -> None:
        """Give back what was held and is not needed."""
        self.held -= calls

    @property
    def left(self) -> int | None:
        """Calls that can still be held."""
        return None if self.limit is None else self.limit - self.spent - self.held
