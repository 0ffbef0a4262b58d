"""The page of a pair dataset's data card, and the contact sheet of its samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import fsspec
from markupsafe import Markup

from actors.contracts import Dimension, PairRecord
from actors.errors import AtelierError
from actors.judge.calibration.report import CalibrationReport
from actors.pairs.card import NONE, Card
from actors.pairs.stats.labels import TIE
from actors.pairs.stats.parts import Histogram, lean_of
from actors.pixels import Pixels, decode
from actors.reporting.page import bilingual, both, render, thumbnail
from actors.sheet import contact_sheet
from actors.vocabulary import Facet, phrase

Sample = tuple[PairRecord, str, str]
"""A pair and the addresses of its two pictures: relative links or data URIs."""
Opened = tuple[PairRecord, Pixels, Pixels]
"""A pair and the pixels of its two pictures."""
_SHOWN = 12


def card_page(
    card: Card,
    calibration: CalibrationReport | Mapping[str, Any] | None,
    samples: Sequence[Sample] = (),
    *,
    name: str = "",
) -> str:
    """HTML of a data card.

    Args:
        card: the dataset in numbers.
        calibration: the judge's calibration, or its numbers by name: judge, anchors, n, accuracy,
            accuracy_interval, ece, kappa, swap_consistency, tie_rate, parse_failure_rate, passed,
            failed_checks. What is missing is shown as unknown.
        samples: pairs to show, see `embedded` and `linked`.
        name: the dataset's name.
    """
    if isinstance(calibration, CalibrationReport):
        calibration = _flat(calibration)
    return render(
        "card.html.j2",
        card=card,
        agreement=_agreement(calibration) if calibration else None,
        samples=[_shown(*sample) for sample in samples],
        facets=[_facet(facet, card) for facet in card.facets],
        small=[_small(name, counts) for name, counts in card.counts.items()],
        gaps=_columns(card.gaps, card.hard_gap),
        leans=_columns(card.leans, card.hard_probability - 0.5),
        query_chars=_columns(card.query_chars),
        prompt_chars=_columns(card.prompt_chars),
        name=name,
    )


def card_sheet(samples: Sequence[Opened]) -> Pixels:
    """A contact sheet, two pairs a row: the winner on the left with its probability, then the loser.

    Raises:
        ValueError: there are no samples.
    """
    pictures: list[Pixels] = []
    labels: list[str] = []
    for record, a, b in samples:
        lean = lean_of(record) or 0.0
        pictures += [b, a] if lean < 0 else [a, b]
        kind = record.kind.replace("_", " ")
        labels += [
            f"{_percent(0.5 + abs(lean))} · {record.query.text}",
            f"{_percent(0.5 - abs(lean))} · {kind}",
        ]
    return contact_sheet(pictures, labels, columns=4)


def linked(records: Iterable[PairRecord]) -> list[Sample]:
    """Samples whose pictures are links into the dataset, for a page that lies in its root."""
    return [(record, record.a.path, record.b.path) for record in records]


def opened(uri: str, records: Iterable[PairRecord]) -> list[Opened]:
    """The pixels of pairs of the dataset at `uri`; a pair with a lost or damaged picture is left out."""
    fs, root = fsspec.core.url_to_fs(uri)
    found: list[Opened] = []
    for record in records:
        try:
            a, b = (_pixels(fs, root, side.path) for side in (record.a, record.b))
        except (AtelierError, OSError):
            continue
        found.append((record, a, b))
    return found


def embedded(samples: Iterable[Opened], side: int = 240) -> list[Sample]:
    """Samples whose pictures are inside the page, at most `side` px; about 20 KB a pair."""
    return [(record, thumbnail(a, side), thumbnail(b, side)) for record, a, b in samples]


def _pixels(fs: Any, root: str, path: str) -> Pixels:
    place = PurePosixPath(path)
    if place.is_absolute() or ".." in place.parts:
        raise FileNotFoundError(f"{path!r} does not lie in the dataset")
    return decode(fs.cat_file(f"{root.rstrip('/')}/{place}"))


@dataclass(frozen=True)
class _Bar:
    """One bar of a chart."""

    label: Markup
    count: int
    width: float
    """Of the longest bar, percent."""


@dataclass(frozen=True)
class _Chart:
    """How often each value occurs."""

    title: Markup
    bars: list[_Bar]
    evenness: float | None = None
    open: float | None = None
    """Share of pairs whose query leaves the facet open."""
    rest: int = 0
    """Values that occur, but are not shown."""
    never: int = 0
    """Values that do not occur."""


def _bars(counts: Mapping[Markup, int]) -> list[_Bar]:
    most = max(counts.values(), default=0)
    return [_Bar(label, count, 100 * count / most) for label, count in counts.items()]


def _facet(facet: Facet, card: Card) -> _Chart:
    counts = dict(card.facets[facet])
    left_open = counts.pop(NONE, 0)
    named = {key: count for key, count in counts.items() if count}
    shown = {
        both(phrase(facet, key, "en"), phrase(facet, key, "zh")): count
        for key, count in list(named.items())[:_SHOWN]
    }
    return _Chart(
        title=bilingual(f"card_facet_{facet}"),
        bars=_bars(shown),
        evenness=card.evenness.get(facet),
        open=left_open / card.labels.pairs if card.labels.pairs else None,
        rest=len(named) - len(shown),
        never=len(counts) - len(named),
    )


def _small(name: str, counts: Mapping[str, int]) -> _Chart:
    return _Chart(
        bilingual(f"card_{name}"),
        _bars({bilingual(f"card_{name}_{key}", key): n for key, n in counts.items()}),
    )


@dataclass(frozen=True)
class _Column:
    """One column of a histogram."""

    low: float
    high: float
    count: int
    percent: float
    height: float
    """Of the highest column, percent."""
    marked: bool


def _columns(histogram: Histogram, marked_until: float = 0.0) -> list[_Column]:
    """The columns but for empty ones at the end; those below `marked_until` are marked."""
    total, most = sum(histogram.counts), max(histogram.counts, default=0)
    columns = [
        _Column(low, high, n, 100 * n / total, 100 * n / most, high <= marked_until + 1e-9)
        for low, high, n in zip(histogram.edges, histogram.edges[1:], histogram.counts, strict=False)
        if total
    ]
    while len(columns) > 2 and not columns[-1].count + columns[-2].count:
        columns = columns[:-2]
    return columns


@dataclass(frozen=True)
class _Agreement:
    """A calibration report, as far as it could be read."""

    judge: str
    anchors: str
    n: int | None
    numbers: dict[str, float | None]
    interval: tuple[float, float] | None
    passed: bool | None
    failed: list[str]


def _agreement(report: Mapping[str, Any]) -> _Agreement:
    def number(key: str) -> float | None:
        value = report.get(key)
        return float(value) if isinstance(value, int | float) and value == value else None

    interval = report.get("accuracy_interval")
    n, passed = number("n"), report.get("passed")
    return _Agreement(
        judge=str(report.get("judge") or "–"),
        anchors=str(report.get("anchors") or ""),
        n=None if n is None else int(n),
        numbers={
            key: number(key)
            for key in ("accuracy", "ece", "kappa", "swap_consistency", "tie_rate", "parse_failure_rate")
        },
        interval=(float(interval[0]), float(interval[1])) if interval and len(interval) == 2 else None,
        passed=passed if isinstance(passed, bool) else None,
        failed=[_said(check) for check in report.get("failed_checks") or ()],
    )


def _flat(report: CalibrationReport) -> dict[str, Any]:
    """The numbers of the calibrated judge, which are those of the labels."""
    return {
        **report.model_dump(
            include={"anchors", "kappa", "swap_consistency", "tie_rate", "parse_failure_rate"}
        ),
        "judge": report.judge_version or report.judge,
        "n": report.after.n,
        "accuracy": report.after.accuracy,
        "accuracy_interval": report.after.interval,
        "ece": report.after.ece,
        "passed": report.gate.passed,
        "failed_checks": [str(check) for check in report.gate.failed],
    }


def _said(check: Any) -> str:
    return " ".join(str(part) for part in check.values()) if isinstance(check, Mapping) else str(check)


@dataclass(frozen=True)
class _Side:
    """One picture of a shown pair."""

    image: str
    width: int
    height: int
    prompt: str
    probability: str
    wins: bool
    dimensions: list[tuple[Dimension, float | None]]
    """The dimensions that this picture wins, and by how much."""


@dataclass(frozen=True)
class _Pair:
    """A pair, ready to be shown."""

    record: PairRecord
    sides: tuple[_Side, _Side]


def _shown(record: PairRecord, image_a: str, image_b: str) -> _Pair:
    lean = lean_of(record)

    def side(sign: int, image: str) -> _Side:
        own = record.a if sign > 0 else record.b
        return _Side(
            image=image,
            width=own.width,
            height=own.height,
            prompt=own.prompt.text,
            probability="–" if lean is None else _percent(0.5 + sign * lean),
            wins=lean is not None and sign * lean > TIE,
            dimensions=[
                (dimension, _margin(record, dimension))
                for dimension, label in record.labels.items()
                if dimension != Dimension.TOTAL and sign * (label - 0.5) > TIE
            ],
        )

    return _Pair(record, (side(1, image_a), side(-1, image_b)))


def _percent(probability: float) -> str:
    """A judge is never certain: no 0% and no 100%."""
    if 0.0 < probability < 0.01:
        return "<1%"
    if 0.99 < probability < 1.0:
        return ">99%"
    return f"{probability:.0%}"


def _margin(record: PairRecord, dimension: Dimension) -> float | None:
    sides = record.scores.get(dimension, {})
    return sides["winner"] - sides["loser"] if len(sides) == 2 else None
