"""Roles that answer at once and by rule, for tests of what stands above them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from actors.contracts import (
    AuditVerdict,
    Comparison,
    Dimension,
    Failure,
    Judgement,
    Picture,
    Prompt,
    Query,
    Recall,
    Strategy,
    content_id,
)
from actors.roles import Roles


class FakePolicy:
    async def propose(
        self, queries: Sequence[Query], recalls: Sequence[Recall], strategy: Strategy, n: int, seed: int
    ) -> list[list[Prompt] | Failure]:
        return [
            Failure(stage="policy", kind="Down", message="no policy", item_id=query.id)
            if "unpromptable" in query.text
            else [
                Prompt.of(f"{query.text}, v{i}", query=query, strategy_id=strategy.id, policy_version="fake")
                for i in range(n)
            ]
            for query in queries
        ]


@dataclass
class FakeGenerator:
    """Draws nothing; a prompt with `undrawable` fails."""

    drawn: list[tuple[str, int]] = field(default_factory=list)

    async def draw(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Picture | Failure]:
        self.drawn += [(prompt.id, seed) for prompt, seed in zip(prompts, seeds, strict=True)]
        return [
            Failure(stage="generator", kind="Broken", message="cannot draw", item_id=prompt.id)
            if "undrawable" in prompt.text
            else Picture(
                sha256=content_id(prompt.text, seed).ljust(64, "0"), width=8, height=8, prompt_id=prompt.id,
                seed=seed, generator_version="fake",
            )
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]  # fmt: skip


class FakeJudge:
    """Likes a picture as much as its hash says; a query with `unjudgeable` fails."""

    async def judge(self, pictures: Sequence[Picture], queries: Sequence[Query]) -> list[Judgement | Failure]:
        return [
            Failure(stage="judge", kind="Blind", message="cannot judge")
            if "unjudgeable" in query.text
            else Judgement(
                scores={Dimension.COLOR: int(picture.sha256[:4], 16) / 0xFFFF, Dimension.INTENT_MATCH: 1.0},
                judge_version="fake",
            )
            for picture, query in zip(pictures, queries, strict=True)
        ]

    async def compare(
        self, pairs: Sequence[tuple[Picture, Picture]], queries: Sequence[Query]
    ) -> list[Comparison | Failure]:
        return [
            Comparison(first_wins={Dimension.TOTAL: 0.5}, consistent=True, judge_version="fake")
            for _ in pairs
        ]


class FakeAudit:
    async def check(self, items: Sequence[str | Picture]) -> list[AuditVerdict | Failure]:
        return [
            AuditVerdict(allowed=False, reasons=("unsafe",), audit_version="fake")
            if isinstance(item, str) and "unsafe" in item
            else AuditVerdict(allowed=True, audit_version="fake")
            for item in items
        ]


def fake_roles(generator: FakeGenerator | None = None) -> Roles:
    """A whole bundle."""
    return Roles(
        policy=FakePolicy(), generator=generator or FakeGenerator(), judge=FakeJudge(), audit=FakeAudit()
    )
