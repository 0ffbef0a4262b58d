"""The measured judge as a worker."""

from __future__ import annotations

import math
from collections.abc import Sequence

from actors.artifacts import Artifacts
from actors.contracts import Comparison, Dimension, Failure, Judgement, Picture, Query
from actors.errors import AtelierError, failure_of
from actors.judge.measured.brief import Brief
from actors.judge.measured.measure import measure
from actors.judge.measured.recogniser import Recogniser
from actors.pixels import Pixels, decode
from configs.judge import MeasuredSettings

SHARPNESS = 12.0
"""Log-odds that the better picture wins, for each unit of score between two."""


class MeasuredJudge:
    """Judges pictures by their pixels and the query alone."""

    def __init__(self, settings: MeasuredSettings, artifacts: Artifacts) -> None:
        self._settings = settings
        self._artifacts = artifacts
        self._brief = Brief.load(settings.brief_file)
        self._recogniser = Recogniser()
        self.version = f"measured-2+{self._recogniser.version}"

    def judge(self, pictures: Sequence[Picture], queries: Sequence[Query]) -> list[Judgement | Failure]:
        """Scores of each picture against its query; an unreadable picture is a `Failure`."""
        opened = [self._open(picture) for picture in pictures]
        readable = [
            (pixels, query)
            for pixels, query in zip(opened, queries, strict=True)
            if not isinstance(pixels, Failure)
        ]
        judged = iter(self.judge_pixels([pixels for pixels, _ in readable], [query for _, query in readable]))
        return [pixels if isinstance(pixels, Failure) else next(judged) for pixels in opened]

    def judge_pixels(self, pictures: Sequence[Pixels], queries: Sequence[Query]) -> list[Judgement]:
        """Scores of pictures that are already decoded."""
        seen = self._recogniser.recognise(pictures)
        return [
            measure(pixels, query, recognition, self._brief, self._settings.weights, self.version)
            for pixels, query, recognition in zip(pictures, queries, seen, strict=True)
        ]

    def compare(
        self, pairs: Sequence[tuple[Picture, Picture]], queries: Sequence[Query]
    ) -> list[Comparison | Failure]:
        """Which picture of each pair serves its query better, from their separate scores."""
        firsts = self.judge([pair[0] for pair in pairs], queries)
        seconds = self.judge([pair[1] for pair in pairs], queries)
        return [self._compare(a, b) for a, b in zip(firsts, seconds, strict=True)]

    def _open(self, picture: Picture) -> Pixels | Failure:
        try:
            return decode(self._artifacts.get(picture.sha256))
        except (AtelierError, OSError) as error:
            return failure_of(error, stage="judge", item_id=picture.sha256)

    def _compare(self, first: Judgement | Failure, second: Judgement | Failure) -> Comparison | Failure:
        if isinstance(first, Failure):
            return first
        if isinstance(second, Failure):
            return second
        wins: dict[Dimension, float] = {}
        for name, score in first.scores.items():
            other = second.scores.get(name)
            if score is not None and other is not None:
                wins[name] = 1 / (1 + math.exp(-SHARPNESS * (score - other)))
        return Comparison(first_wins=wins, consistent=True, judge_version=self.version)
