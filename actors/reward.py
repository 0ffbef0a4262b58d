"""The reward: prompt evaluation and picture evaluation behind gates. Pure.

    picture = weighted geometric mean of the judge's dimensions
    shaped  = picture ** (1 - scorer_weight) * learned ** scorer_weight, where there is a scorer
    value   = 0 if any gate fails, else prompt_weight * prompt + (1 - prompt_weight) * shaped
    admitted = every gate passes and picture >= bar

A scorer shapes what search and learning climb; the bar stands on the judge alone, so that installing one
moves no admission. Intent and audit are gates: a beautiful picture of the wrong thing earns nothing. What was
not measured takes no part: it counts neither for nor against.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from actors.contracts import AuditVerdict, Dimension, Judgement, Prompt, Query, Reward
from actors.vocabulary import Facet, read, read_query
from configs.reward import RewardSettings

KEPT_FACETS: tuple[Facet, ...] = ("subject", "palette", "style", "layout", "season", "time")
PINNED_FACETS: tuple[Facet, ...] = ("palette", "style", "layout", "light", "density")
COMFORTABLE_CLAUSES = 11
"""Image models follow about this many clauses; what is beyond is followed worse."""


def prompt_parts(query: Query, prompt: Prompt) -> dict[str, float]:
    """The prompt evaluation, each part 0..1: kept, pinned, consistent, concise."""
    asked, written = read_query(query), read(prompt.text)
    wanted = [(facet, key) for facet in KEPT_FACETS for key in asked.keys(facet)]
    kept = [key in written.keys(facet) for facet, key in wanted]
    if asked.title:
        kept.append(asked.title in prompt.text)
    single = [facet for facet in (*PINNED_FACETS, "season", "time") if written.keys(facet)]
    clashes = sum(len(written.keys(facet)) > 1 for facet in single)
    return {
        "kept": sum(kept) / len(kept) if kept else 1.0,
        "pinned": sum(bool(written.keys(facet)) for facet in PINNED_FACETS) / len(PINNED_FACETS),
        "consistent": 1.0 - clashes / len(single) if single else 1.0,
        "concise": min(1.0, COMFORTABLE_CLAUSES / max(1, len(written.clauses))),
    }


def picture_value(
    judgement: Judgement, settings: RewardSettings, scorer: Mapping[Dimension, float] | None = None
) -> float:
    """Weighted geometric mean of the dimensions present, 0..1, drawn towards the scorer's total.

    0 when no dimension is present.
    """
    judged = _geometric_mean(judgement.scores, settings.weights)
    learned = scorer.get(Dimension.TOTAL) if scorer else None
    if learned is None:
        return judged
    return float(judged ** (1 - settings.scorer_weight) * learned**settings.scorer_weight)


def reward(
    query: Query,
    prompt: Prompt,
    judgement: Judgement,
    audits: Mapping[str, AuditVerdict],
    settings: RewardSettings,
    scorer: Mapping[Dimension, float] | None = None,
) -> Reward:
    """Combine both evaluations and the gates. `audits` is by what was checked, e.g. `picture`."""
    gates = {f"audit:{name}": verdict.allowed for name, verdict in audits.items()} | dict(judgement.gates)
    intent = judgement.score(Dimension.INTENT_MATCH)
    if intent is not None:
        gates["intent"] = intent >= settings.intent_gate
    parts = prompt_parts(query, prompt)
    prompt_value = math.prod(parts.values()) ** (1 / len(parts))
    picture, shaped = picture_value(judgement, settings), picture_value(judgement, settings, scorer)
    passed = all(gates.values())
    value = settings.prompt_weight * prompt_value + (1 - settings.prompt_weight) * shaped if passed else 0.0
    measured = {str(name): score for name, score in judgement.scores.items() if score is not None}
    measured |= {f"learned.{name}": score for name, score in (scorer or {}).items()}
    return Reward(
        value=value,
        admitted=passed and picture >= settings.bar,
        gates=gates,
        picture=picture,
        prompt=prompt_value,
        parts={**{f"prompt.{name}": part for name, part in parts.items()}, **measured},
        versions={"judge": judgement.judge_version},
    )


def causes(outcome: Reward, settings: RewardSettings) -> tuple[str, ...]:
    """Why a draw was not admitted: failed gates, or else the dimension that costs the picture most."""
    if outcome.admitted:
        return ()
    failed = tuple(name for name, passed in outcome.gates.items() if not passed and name != "intent")
    if failed:
        return failed
    scored = {name: outcome.parts[name] for name in settings.weights if name in outcome.parts}
    if not scored:
        return ("intent",) if not outcome.passed else ("unjudged",)
    return (min(scored, key=lambda name: settings.weights[name] * math.log(max(scored[name], 1e-3))),)


def _geometric_mean(scores: Mapping[Dimension, float | None], weights: Mapping[str, float]) -> float:
    present = [
        (weights[name], score) for name, score in scores.items() if score is not None and weights.get(name)
    ]
    if not present:
        return 0.0
    log_sum = sum(weight * math.log(max(score, 1e-6)) for weight, score in present)
    return math.exp(log_sum / sum(weight for weight, _ in present))
