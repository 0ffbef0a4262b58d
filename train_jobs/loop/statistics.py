"""What an arm's draws amount to. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from actors.contracts import Draw
from actors.intervals import admission_interval
from actors.reward import causes
from configs.reward import RewardSettings

BARS = tuple(round(0.02 * i, 2) for i in range(51))


def admission(draws: Sequence[Draw]) -> float | None:
    """Share of first draws admitted; a failed draw counts as not admitted. None without draws."""
    return sum(draw.admitted for draw in draws) / len(draws) if draws else None


def arm_summary(
    covers: Sequence[Draw], real: Sequence[Draw], settings: RewardSettings, seconds: float
) -> dict[str, Any]:
    """One arm of `summary.json`. Every draw is a first draw with a fresh seed."""
    admitted = sum(draw.admitted for draw in covers)
    rewards = [draw.reward.value for draw in covers if draw.reward]
    return {
        "admission": admission(covers),
        "admission_interval": admission_interval(covers),
        "draws_per_admitted": len(covers) / admitted if admitted else None,
        "real_admission": admission(real),
        "real_admission_interval": admission_interval(real) if real else None,
        "reward": sum(rewards) / len(rewards) if rewards else None,
        "reward_by_dimension": by_dimension(covers),
        "failure_causes": failure_causes(covers, settings),
        "admission_by_bar": admission_by_bar(covers),
        "draws": len(covers) + len(real),
        "failures": sum(draw.failure is not None for draw in (*covers, *real)),
        "seconds": seconds,
        "draws_per_second": (len(covers) + len(real)) / seconds if seconds else None,
    }


def by_dimension(draws: Sequence[Draw]) -> dict[str, float]:
    """Mean score of each dimension over the draws that have it."""
    scores: dict[str, list[float]] = defaultdict(list)
    for draw in draws:
        if draw.judgement:
            for name, score in draw.judgement.scores.items():
                if score is not None:
                    scores[str(name)].append(score)
    return {name: sum(values) / len(values) for name, values in sorted(scores.items())}


def failure_causes(draws: Sequence[Draw], settings: RewardSettings) -> dict[str, float]:
    """Share of each first cause among the draws that were not admitted; subjects count as one cause."""
    counted: Counter[str] = Counter()
    for draw in draws:
        if draw.failure:
            counted[f"failed:{draw.failure.stage}"] += 1
        elif draw.reward and not draw.reward.admitted:
            counted[causes(draw.reward, settings)[0].split(":")[0]] += 1
    total = sum(counted.values())
    return {cause: count / total for cause, count in counted.most_common()}


def admission_by_bar(draws: Sequence[Draw]) -> list[float]:
    """Admission had the bar been each of `BARS`."""
    values = [draw.reward.picture for draw in draws if draw.reward and draw.reward.passed]
    return [sum(value >= bar for value in values) / max(1, len(draws)) for bar in BARS]
