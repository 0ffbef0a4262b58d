"""The data card of a pair dataset: what is in it and how its labels lie. One pass, flat memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import zip_longest
from typing import Any, get_args

from pydantic import AliasChoices, Field

from actors.contracts import ASPECTS, Dimension, Lang, PairKind, PairRecord
from actors.pairs.stats.dimensions import Correlation, DimensionCard, DimensionTally
from actors.pairs.stats.labels import Labels, LabelTally
from actors.pairs.stats.near import Alike, AlikeTally
from actors.pairs.stats.parts import (
    Bins,
    CardPart,
    Histogram,
    evenness,
    gap_of,
    lean_of,
    ordered,
    share,
)
from actors.pairs.stats.sketch import Lowest
from actors.vocabulary import Facet, keys, read_query

FACETS: tuple[Facet, ...] = ("subject", "style", "palette", "season", "time", "mood")
NONE = "none"
"""The value of a facet that a query leaves open."""
_GAPS = tuple(i / 20 for i in range(21))
_LEANS = tuple(i / 40 for i in range(21))
_CHARS = (0.0, 10.0, 20.0, 40.0, 60.0, 80.0, 120.0, 160.0, 240.0, 320.0, 640.0, 2000.0)
_DISTINCT = 65536


class RunCounts(CardPart):
    """What became of every sample that the run looked at."""

    requested: int = 0
    examined: int = 0
    accepted: int = 0
    rejected: dict[str, int] = Field(
        default_factory=dict, validation_alias=AliasChoices("rejected", "refused")
    )
    """Reason -> samples."""
    quarantined: dict[str, int] = Field(default_factory=dict)
    """Reason -> samples."""
    seconds: float | None = None

    @property
    def difference(self) -> int:
        """Samples that are nowhere; 0 when nothing was lost."""
        return self.examined - self.accepted - sum(self.rejected.values()) - sum(self.quarantined.values())


class Card(CardPart):
    """A pair dataset in numbers."""

    format: int = 1
    labels: Labels
    kinds: dict[PairKind, Labels]
    counts: dict[str, dict[str, int]]
    """`lang`, `aspect`, `labelled_by` -> value -> pairs."""
    facets: dict[Facet, dict[str, int]]
    """Facet -> key of the vocabulary or `none` -> pairs whose query names it."""
    evenness: dict[str, float | None]
    """Facet, `lang` or `aspect` -> entropy over the accepted values, as a share of the greatest possible."""
    queries: int
    """Distinct query texts."""
    pictures: int
    """Distinct pictures."""
    exact: bool
    """Whether the two counts above are exact; beyond 65,536 they are estimates, within about 0.4%."""
    titled: float | None
    """Share of pairs whose query has a title."""
    hard_gap: float
    hard_probability: float
    gaps: Histogram
    """Of the gap between the two totals."""
    leans: Histogram
    """Of |p - 0.5| of the total's label."""
    dimensions: dict[Dimension, DimensionCard]
    correlation: Correlation
    query_chars: Histogram
    """Of the queries' length, one entry a pair."""
    prompt_chars: Histogram
    """Of the prompts' length, two entries a pair."""
    alike: Alike
    versions: dict[str, dict[str, int]]
    """What made the pairs -> its version -> pairs."""
    run: RunCounts | None
    samples: tuple[PairRecord, ...]
    """Of each kind in turn, those of lowest hash, whatever the order of the rows."""


def card_of(
    records: Iterable[PairRecord],
    run: Mapping[str, Any] | None = None,
    *,
    hard_gap: float = 0.1,
    hard_probability: float = 0.75,
    near_bits: int = 2,
    samples: int = 4,
) -> Card:
    """The card of a dataset. Pure; the records' order does not matter, their number costs no memory.

    Args:
        records: the pairs, read once.
        run: the run's counts, see `RunCounts`; `refused` may stand for `rejected`, other keys are ignored.
        hard_gap: a pair is hard when its totals are less than this apart,
        hard_probability: or when its winner is less probable than this; 0.5 leaves it to the gap.
        near_bits: bits of the perceptual hash in which two pictures that look alike may differ.
        samples: pairs of each kind to keep in the card.

    Raises:
        pydantic.ValidationError: a count of `run` is no number.
    """
    tally = _Tally(hard_gap, hard_probability, near_bits, samples)
    for record in records:
        tally.add(record)
    return tally.card(run)


class _Tally:
    """Counts behind a `Card`."""

    def __init__(self, hard_gap: float, hard_probability: float, near_bits: int, samples: int) -> None:
        self._hard = {"hard_gap": hard_gap, "hard_probability": hard_probability}
        self._labels = LabelTally(**self._hard)
        self._kinds: dict[PairKind, LabelTally] = {
            kind: LabelTally(**self._hard) for kind in get_args(PairKind)
        }
        self._samples: dict[PairKind, Lowest[PairRecord]] = {kind: Lowest(samples) for kind in self._kinds}
        self._counts: dict[str, Counter[str]] = {key: Counter() for key in ("lang", "aspect", "labelled_by")}
        self._facets: dict[Facet, Counter[str]] = {facet: Counter() for facet in FACETS}
        self._versions: dict[str, Counter[str]] = {}
        self._dimensions, self._alike = DimensionTally(), AlikeTally(near_bits)
        self._gaps, self._leans = Bins(_GAPS), Bins(_LEANS)
        self._query_chars, self._prompt_chars = Bins(_CHARS), Bins(_CHARS)
        self._queries: Lowest[None] = Lowest(_DISTINCT)
        self._pictures: Lowest[None] = Lowest(_DISTINCT)
        self._pairs = self._titled = 0

    def add(self, record: PairRecord) -> None:
        self._pairs += 1
        for part in (self._labels, self._kinds[record.kind], self._dimensions, self._alike):
            part.add(record)
        self._samples[record.kind].add(record.id, record)
        if (gap := gap_of(record)) is not None:
            self._gaps.add(gap)
        if (lean := lean_of(record)) is not None:
            self._leans.add(abs(lean))
        for side in (record.a, record.b):
            self._pictures.add(side.sha256, None)
            self._prompt_chars.add(len(side.prompt.text))
        for name, version in record.versions.items():
            self._versions.setdefault(name, Counter())[version] += 1
        self._counts["labelled_by"][record.labelled_by] += 1
        self._add_query(record)

    def _add_query(self, record: PairRecord) -> None:
        query, reading = record.query, read_query(record.query)
        self._queries.add(query.text, None)
        self._query_chars.add(len(query.text))
        self._counts["lang"][query.lang] += 1
        self._counts["aspect"][query.aspect] += 1
        self._titled += reading.title is not None
        for facet, counter in self._facets.items():
            counter.update(reading.keys(facet) or (NONE,))

    def card(self, run: Mapping[str, Any] | None) -> Card:
        samples = [kept.values() for kept in self._samples.values()]
        counts = {**RunCounts.model_fields, "refused": None}
        known = {key: value for key, value in (run or {}).items() if key in counts}
        return Card(
            labels=self._labels.done(),
            kinds={kind: labels for kind, tally in self._kinds.items() if (labels := tally.done()).pairs},
            counts={name: ordered(counter) for name, counter in self._counts.items()},
            facets={facet: _all_keys(facet, counter) for facet, counter in self._facets.items()},
            evenness=self._evenness(),
            queries=self._queries.distinct(),
            pictures=self._pictures.distinct(),
            exact=self._queries.complete and self._pictures.complete,
            titled=share(self._titled, self._pairs),
            **self._hard,
            gaps=self._gaps.done(),
            leans=self._leans.done(),
            dimensions=self._dimensions.cards(),
            correlation=self._dimensions.correlation(),
            query_chars=self._query_chars.done(),
            prompt_chars=self._prompt_chars.done(),
            alike=self._alike.done(),
            versions={name: ordered(counter) for name, counter in sorted(self._versions.items())},
            run=RunCounts.model_validate(known) if run is not None else None,
            samples=tuple(record for rank in zip_longest(*samples) for record in rank if record),
        )

    def _evenness(self) -> dict[str, float | None]:
        facets: dict[str, float | None] = {
            facet: evenness({key: n for key, n in counter.items() if key != NONE}, len(keys(facet)))
            for facet, counter in self._facets.items()
        }
        return {
            **facets,
            "lang": evenness(self._counts["lang"], len(get_args(Lang))),
            "aspect": evenness(self._counts["aspect"], len(ASPECTS)),
        }


def _all_keys(facet: Facet, counter: Counter[str]) -> dict[str, int]:
    """Most frequent first, then what no query names, then the queries that leave it open."""
    named = ordered(Counter({key: counter[key] for key in keys(facet)}))
    return {**named, NONE: counter[NONE]}
