"""The page of an evaluation of the imagine loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from actors.artifacts import Artifacts
from actors.contracts import Draw, Query
from actors.reporting.charts import share_curves, smoothed
from actors.reporting.page import both, render
from actors.reporting.views import DrawView, embedded, view
from actors.vocabulary import phrase
from configs.reward import RewardSettings

Pair = tuple[DrawView, DrawView]


def loop_page(
    summary: Mapping[str, Any], samples: Sequence[Pair] = (), curve: Sequence[Mapping[str, Any]] = ()
) -> str:
    """HTML of `summary.json` of an evaluation, and of `samples`, pairs of draws of one query.

    An arm is a member of the summary that has `admission`; the last one is the arm that is shown off.

    Args:
        curve: of a policy's training, a row a step, where the evaluation is that of a double loop.
    """
    arms = {name: arm for name, arm in summary.items() if isinstance(arm, Mapping) and "admission" in arm}
    bars = summary.get("bars", ())
    curves = {name: arm["admission_by_bar"] for name, arm in arms.items() if arm.get("admission_by_bar")}
    last = next(reversed(arms), None)
    raw = (arms.get("raw") or {}).get("admission")
    best = arms[last]["admission"] if last else None
    strange = summary.get("strangers", ())
    return render(
        "double_loop.html.j2" if "stages" in summary else "loop.html.j2",
        summary=summary,
        arms=arms,
        last=last,
        over_raw=best / raw if raw and best is not None else None,
        dimensions=list(
            dict.fromkeys(d for arm in arms.values() for d in arm.get("reward_by_dimension", {}))
        ),
        chart=share_curves(bars, curves, summary.get("bar")) if curves else "",
        training=_training(curve),
        practice=_practice(summary.get("practice", ())),
        strangers=[both(phrase("subject", key, "en"), phrase("subject", key, "zh")) for key in strange],
        samples=samples,
        strip=[engineered for _, engineered in samples if engineered.admitted and engineered.image][:8],
    )


def _training(curve: Sequence[Mapping[str, Any]]) -> Markup | str:
    """Admission and intent by step, smoothed."""
    if not curve:
        return ""
    shown = {"policy_after": "admission", "search": "intent"}
    curves = {look: smoothed([row[name] for row in curve]) for look, name in shown.items()}
    return share_curves([row["step"] for row in curve], curves, end=curve[-1]["step"])


def _practice(course: Sequence[Mapping[str, float]]) -> Markup | str:
    """What was admitted of each round's two answers to a query, over the draws made."""
    if len(course) < 2:
        return ""
    shown = {"sft": "best", "search": "other"}
    curves = {look: [row[name] for row in course] for look, name in shown.items()}
    return share_curves([row["draws"] for row in course], curves, end=course[-1]["draws"])


def pairs(
    queries: Sequence[Query],
    before: Sequence[Draw],
    after: Sequence[Draw],
    artifacts: Artifacts,
    settings: RewardSettings,
    limit: int = 12,
) -> list[Pair]:
    """Draws of the same query and seed in two arms; those that engineering changed come first.

    `before` and `after` hold the same number of draws a query, in the order of the queries.
    """
    per_query = max(1, len(before) // max(1, len(queries)))
    numbered = list(range(0, min(len(before), len(after)), per_query))
    rank = {(False, True): 0, (True, True): 1, (False, False): 2, (True, False): 3}
    order = sorted(numbered, key=lambda i: rank[before[i].admitted, after[i].admitted])
    losses = [i for i in order if not after[i].admitted][: limit // 4]
    chosen = [i for i in order if after[i].admitted][: limit - len(losses)] + losses
    return [
        (
            view(queries[i // per_query], before[i], settings, embedded(artifacts, before[i])),
            view(queries[i // per_query], after[i], settings, embedded(artifacts, after[i])),
        )
        for i in chosen
    ]
