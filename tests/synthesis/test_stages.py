"""Samples on their way through the roles."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from actors.contracts import (
    AuditVerdict,
    Comparison,
    Dimension,
    Failure,
    Judgement,
    PairRecord,
    Picture,
    Prompt,
    Query,
    Strategy,
)
from actors.roles import Roles
from configs.synthesis import SynthesisSettings
from tests.fake_roles import FakeAudit, FakeGenerator, FakeJudge, FakePolicy
from train_jobs.synthesis.outcome import Failed, Made, Outcome, Refused
from train_jobs.synthesis.samples import Sample, SidePlan, Spec
from train_jobs.synthesis.stages import Stages

SPEC = Spec(SynthesisSettings(), "{}")
STRATEGY = Strategy.of({})


class TotalJudge(FakeJudge):
    """Scores the total too, and compares by it."""

    async def judge(self, pictures: Sequence[Picture], queries: Sequence[Query]) -> list[Judgement | Failure]:
        return [
            answer
            if isinstance(answer, Failure)
            else Judgement(
                scores={Dimension.TOTAL: answer.scores[Dimension.COLOR]}
                if "no total" not in query.text
                else {},
                judge_version="fake",
            )
            for answer, query in zip(await super().judge(pictures, queries), queries, strict=True)
        ]


def stages(comparative: bool = False, **roles: Any) -> Stages:
    parts = {
        "policy": FakePolicy(),
        "generator": FakeGenerator(),
        "judge": TotalJudge(),
        "audit": FakeAudit(),
    } | roles
    return Stages(Roles(**parts), STRATEGY, SPEC.settings, comparative)


def sample(text: str, index: int = 0, source: str = "raw", other: str | None = None) -> Sample:
    query = Query.of(text)
    b = Query.of(other) if other else query
    sides = SidePlan(query, source, 1), SidePlan(b, source, 2)
    return Sample(index, f"id-{index}", "two_seeds", query, *sides)


def outcomes(of: Stages, *samples: Sample) -> list[Outcome]:
    return asyncio.run(of.run(samples))


def record(outcome: Outcome) -> PairRecord:
    assert isinstance(outcome, Made), outcome
    return outcome.record


def test_samples_of_a_spec_become_records_in_order() -> None:
    samples = [SPEC.sample(i) for i in range(24)]
    found = [record(outcome) for outcome in outcomes(stages(), *samples)]
    assert [r.id for r in found] == [s.id for s in samples]
    assert [r.kind for r in found] == [s.kind for s in samples]
    for made, planned in zip(found, samples, strict=True):
        assert (made.a.prompt.query_id, made.b.prompt.query_id) == (planned.a.query.id, planned.b.query.id)
        assert (made.a.seed, made.b.seed) == (planned.a.seed, planned.b.seed)
        assert made.a.path == f"pictures/{made.a.sha256[:2]}/{made.a.sha256}.png"
        first, second = (int(side.sha256[:4], 16) for side in (made.a, made.b))
        assert (made.labels[Dimension.TOTAL] > 0.5) == (first > second)


@pytest.mark.parametrize(
    ("text", "source", "stage"),
    [
        ("unpromptable lake", "policy", "policy"),
        ("undrawable lake", "raw", "generator"),
        ("unjudgeable lake", "raw", "judge"),
    ],
)
def test_a_failure_ends_its_own_sample_alone(text: str, source: str, stage: str) -> None:
    first, failed, last = outcomes(
        stages(), sample("a lake"), sample(text, 1, source), sample("a river", 2, "policy")
    )
    assert isinstance(failed, Failed) and (failed.failure.stage, failed.id) == (stage, "id-1")
    assert isinstance(first, Made) and isinstance(last, Made)


def test_what_the_audit_refuses_is_never_drawn() -> None:
    generator = FakeGenerator()
    found = outcomes(stages(generator=generator), sample("unsafe lake"), sample("a lake", 1, other="unsafe"))
    assert [(o.index, o.reason) for o in found if isinstance(o, Refused)] == [
        (0, "audit_text"),
        (1, "audit_text"),
    ]
    assert generator.drawn == []


def test_a_picture_that_the_audit_refuses_is_no_pair() -> None:
    class Strict(FakeAudit):
        async def check(self, items: Sequence[str | Picture]) -> list[AuditVerdict | Failure]:
            return [AuditVerdict(allowed=isinstance(item, str), audit_version="s") for item in items]

    assert outcomes(stages(audit=Strict()), sample("a lake")) == [Refused(0, "audit_picture")]


def test_an_audit_that_fails_is_a_failure_not_a_pass() -> None:
    class Down(FakeAudit):
        async def check(self, items: Sequence[str | Picture]) -> list[AuditVerdict | Failure]:
            return [Failure(stage="audit", kind="Down", message="x") for _ in items]

    (found,) = outcomes(stages(audit=Down()), sample("a lake"))
    assert isinstance(found, Failed) and found.failure.stage == "audit"


def test_twice_the_same_picture_is_no_pair() -> None:
    class Stubborn(FakeGenerator):
        async def draw(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Picture | Failure]:
            return await super().draw(prompts, [0] * len(seeds))

    assert outcomes(stages(generator=Stubborn()), sample("a lake")) == [Refused(0, "same_picture")]


def test_a_pair_without_a_total_is_no_pair() -> None:
    assert outcomes(stages(), sample("no total lake")) == [Refused(0, "no_total")]


def test_a_comparative_judge_is_asked_to_compare() -> None:
    class Comparing(FakeJudge):
        async def judge(self, pictures: Any, queries: Any) -> Any:
            raise AssertionError("asked for single scores")

        async def compare(
            self, pairs: Sequence[tuple[Picture, Picture]], queries: Sequence[Query]
        ) -> list[Comparison | Failure]:
            said = Comparison(
                first_wins={Dimension.TOTAL: 0.6}, consistent=False, raw=("a", "b"), judge_version="c"
            )
            return [said for _ in pairs]

    (found,) = outcomes(stages(comparative=True, judge=Comparing()), sample("a lake"))
    made = record(found)
    assert (made.labels, made.consistent, made.raw) == ({Dimension.TOTAL: 0.6}, False, ("a", "b"))


def test_a_policy_is_asked_once_for_a_query() -> None:
    asked: list[str] = []

    class Counting(FakePolicy):
        async def propose(self, queries: Sequence[Query], *rest: Any) -> Any:
            asked.extend(query.id for query in queries)
            return await super().propose(queries, *rest)

    outcomes(stages(policy=Counting()), sample("a lake", 0, "policy"), sample("a lake", 1, "policy"))
    assert len(asked) == 1
