"""When a search ends. Pure: what is known goes in, the reason comes out."""

from __future__ import annotations

from dataclasses import dataclass

from configs.gepa import StopSettings


@dataclass
class Progress:
    """How far a run is."""

    best: float = float("-inf")
    """Highest mean validation score."""
    proposals: int = 0
    """Proposals that have ended."""
    since_best: int = 0
    """Of those, the ones since the best score rose."""
    barren: int = 0
    """Of those, the latest in a row that asked for no new metric call."""
    money: float = 0.0

    def follow(self, best: float, barren: bool | None) -> None:
        """Count one more proposal; None where it does not tell whether anything is left to try."""
        self.proposals += 1
        self.since_best = 0 if best > self.best else self.since_best + 1
        self.best = max(self.best, best)
        if barren is not None:
            self.barren = self.barren + 1 if barren else 0


def reason_to_stop(stop: StopSettings, progress: Progress) -> str:
    """Why a search ends now; empty while it goes on."""
    if stop.score is not None and progress.best >= stop.score:
        return f"the best score reached {stop.score:g}"
    if stop.proposals is not None and progress.proposals >= stop.proposals:
        return f"{progress.proposals} proposals were made"
    if stop.plateau is not None and progress.since_best >= stop.plateau:
        return f"{progress.since_best} proposals in a row did not lift the best score"
    if stop.money is not None and progress.money >= stop.money:
        return f"reflection cost {progress.money:g}"
    if progress.barren >= stop.barren:
        return f"{progress.barren} proposals in a row found nothing new to try"
    return ""
