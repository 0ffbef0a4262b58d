"""The model card of a scorer, as Markdown (Mitchell et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from train_jobs.ranking.evaluate import Evaluation, SetReport
from train_jobs.ranking.quality import Accuracy

_LIMITS = (
    "It is as good as its labels: trained on a judge's it repeats the judge, faults and all.",
    "Scores have no meaning across requests: compare pictures of one request.",
    "What neither the pairs nor the towers ever showed (subjects, styles, languages) is scored at random.",
    "Small text and fine grain below the model's resolution cannot be seen.",
)


def model_card(version: str, card: Mapping[str, Any], evaluation: Evaluation) -> str:
    """Data, training, quality, use and limits of a scorer."""
    return "\n".join(_lines(version, card, evaluation)) + "\n"


def _lines(version: str, card: Mapping[str, Any], evaluation: Evaluation) -> Iterator[str]:
    data, training, settings = card["data"], card["training"], card["settings"]
    yield f"# {version}"
    yield ""
    yield f"A scorer of pictures by dimension, preset `{settings['preset']}`. Licence: {card['licence']}."
    yield "It ranks the pictures of one request, in Chinese or English, and says how sure it is."
    yield ""
    yield "![curves](curves.png)"
    yield ""
    yield "## Data"
    yield ""
    parts = ", ".join(f"{count} {part}" for part, count in data["pairs"].items())
    yield f"- Pairs: {parts}; {data['set_aside']} rows set aside. Split by combination of subject and style."
    judges = ", ".join(filter(None, data["judges"])) or "unnamed"
    yield f"- Labelled by: {', '.join(data['labelled_by'])} ({judges})."
    if data["held_out_generator"]:
        yield f"- The generator {data['held_out_generator']} was kept for the test."
    yield f"- Manifest sha256 `{data['manifest_sha256']}`."
    yield ""
    yield "## Training"
    yield ""
    yield f"- Towers: {card['towers']}; {training['steps']} steps, {training['seconds']:.0f} s."
    best = f"{training['best_validation_accuracy']:.1%}"
    yield f"- Best epoch {training['best_epoch']}: {best} of the validation pairs named right (half"
    yield "  the total's accuracy, half the mean over the heads)."
    for source, found in evaluation.sets.items():
        yield ""
        yield f"## Quality on {found.quality.pairs} pairs labelled by {source} ({evaluation.part})"
        yield ""
        yield from _quality(found, evaluation)
    yield ""
    yield "## Limits"
    yield ""
    for limit in _LIMITS:
        yield f"- {limit}"


def _quality(found: SetReport, evaluation: Evaluation) -> Iterator[str]:
    yield "| dimension | pairs with a winner | accuracy | 95% interval | judge's own ceiling | ECE |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for name, each in found.quality.dimensions.items():
        own = evaluation.ceiling.get(name) if found.quality.source == "judge" else None
        ece = "-" if each.ece is None or each.temperature is None else f"{each.ece:.3f}"
        low, high = each.decided.interval
        yield (
            f"| {name} | {each.decided.n} | {_share(each.decided)} | {low:.0%} - {high:.0%} "
            f"| {_share(own)} | {ece} |"
        )
    if found.quality.mean_accuracy is not None:
        yield f"| mean but the total | | {found.quality.mean_accuracy:.1%} | | | |"
    yield ""
    yield "The total, by how far the judge's scores are apart, and beside rules that learn nothing:"
    yield ""
    yield "| | pairs | accuracy |"
    yield "| --- | ---: | ---: |"
    rows: dict[str, Accuracy | None] = {
        **{f"{name} third": tercile for name, tercile in found.quality.terciles.items()},
        "wholly unseen combinations": found.wholly_unseen,
        **{f"generator {name}": each for name, each in found.by_generator.items()},
        **found.baselines,
    }
    for label, row in rows.items():
        if row is not None and row.n:
            yield f"| {label} | {row.n} | {_share(row)} |"


def _share(found: Accuracy | None) -> str:
    return "-" if found is None or found.accuracy is None else f"{found.accuracy:.1%}"
