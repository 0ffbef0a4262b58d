"""The stages that a few samples go through together: write, audit, draw, audit, judge."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from actors.contracts import (
    AuditVerdict,
    Dimension,
    Failure,
    PairRecord,
    PairSide,
    Picture,
    Prompt,
    Recall,
    Strategy,
    derive_seed,
)
from actors.pairs.dataset import picture_path
from actors.policy import grammar
from actors.policy.expander import write
from actors.roles import Roles
from configs.synthesis import SynthesisSettings
from train_jobs.synthesis import labels
from train_jobs.synthesis.outcome import Failed, Made, Outcome, Refused
from train_jobs.synthesis.samples import Sample, SidePlan

T = TypeVar("T")
Ends = dict[int, Outcome]
"""What became of samples that have ended, by index."""


@dataclass(frozen=True)
class Stages:
    """The way of a sample through the roles."""

    roles: Roles
    strategy: Strategy
    settings: SynthesisSettings
    comparative: bool
    slopes: Mapping[Dimension, float] = field(default_factory=dict)
    """Of the judge's calibration; see `labels.of_judgements`."""

    async def run(self, samples: Sequence[Sample]) -> list[Outcome]:
        """One outcome a sample, in order. A stage's failure ends its own samples alone."""
        ends: Ends = {}
        prompts = await self._write(samples, ends)
        await self._audit_texts(_live(samples, ends), prompts, ends)
        drawn = await self._draw(_live(samples, ends), prompts, ends)
        await self._judge(_live(samples, ends), prompts, drawn, ends)
        return [ends[sample.index] for sample in samples]

    async def _write(self, samples: Sequence[Sample], ends: Ends) -> dict[int, tuple[Prompt, Prompt]]:
        """The two prompts of each sample, the policy's in one call."""
        sides = [(sample, side) for sample in samples for side in (sample.a, sample.b)]
        asked = list({side.query.id: side.query for _, side in sides if side.source == "policy"}.values())
        seed = self.settings.seed
        proposals = (
            await self.roles.policy.propose(asked, [Recall()] * len(asked), self.strategy, 1, seed)
            if asked
            else []
        )
        written = dict(zip((query.id for query in asked), proposals, strict=True))
        prompts: dict[int, tuple[Prompt, Prompt]] = {}
        for sample in samples:
            pair = [_prompt(sample, side, written, seed) for side in (sample.a, sample.b)]
            failure = _first_failure(pair)
            if failure:
                ends[sample.index] = _failed(sample, failure)
            else:
                prompts[sample.index] = _two(pair, Prompt)
        return prompts

    async def _audit_texts(
        self, live: Sequence[Sample], prompts: Mapping[int, tuple[Prompt, Prompt]], ends: Ends
    ) -> None:
        texts = {p.text for sample in live for p in prompts[sample.index]}
        texts |= {side.query.words for sample in live for side in (sample.a, sample.b)}
        ordered = sorted(texts)
        verdicts = dict(zip(ordered, await self.roles.audit.check(ordered) if ordered else [], strict=True))
        for sample in live:
            mine = [*(p.text for p in prompts[sample.index]), sample.a.query.words, sample.b.query.words]
            _end_refused(sample, [verdicts[text] for text in mine], "audit_text", ends)

    async def _draw(
        self, live: Sequence[Sample], prompts: Mapping[int, tuple[Prompt, Prompt]], ends: Ends
    ) -> dict[int, tuple[Picture, Picture]]:
        if not live:
            return {}
        wanted = [prompt for sample in live for prompt in prompts[sample.index]]
        seeds = [side.seed for sample in live for side in (sample.a, sample.b)]
        answers = iter(await self.roles.generator.draw(wanted, seeds))
        drawn: dict[int, tuple[Picture, Picture]] = {}
        for sample, pair in zip(live, zip(answers, answers, strict=True), strict=True):
            failure = _first_failure(pair)
            if failure:
                ends[sample.index] = _failed(sample, failure)
                continue
            a, b = _two(pair, Picture)
            if a.sha256 == b.sha256:
                ends[sample.index] = Refused(sample.index, "same_picture")
            else:
                drawn[sample.index] = a, b
        return drawn

    async def _judge(
        self,
        live: Sequence[Sample],
        prompts: Mapping[int, tuple[Prompt, Prompt]],
        drawn: Mapping[int, tuple[Picture, Picture]],
        ends: Ends,
    ) -> None:
        """Audit and judge the pictures at once: few are refused, and neither waits for the other."""
        if not live:
            return
        pictures = [picture for sample in live for picture in drawn[sample.index]]
        verdicts, judged = await asyncio.gather(self.roles.audit.check(pictures), self._ask(live, drawn))
        checks = iter(verdicts)
        for sample, answer in zip(live, judged, strict=True):
            if _end_refused(sample, [next(checks), next(checks)], "audit_picture", ends):
                continue
            if isinstance(answer, Failure):
                ends[sample.index] = _failed(sample, answer)
            else:
                ends[sample.index] = _made(sample, prompts[sample.index], drawn[sample.index], answer)

    async def _ask(
        self, live: Sequence[Sample], drawn: Mapping[int, tuple[Picture, Picture]]
    ) -> list[labels.Verdict | Failure]:
        if self.comparative:
            pairs = [drawn[sample.index] for sample in live]
            compared = await self.roles.judge.compare(pairs, [sample.query for sample in live])
            return [c if isinstance(c, Failure) else labels.of_comparison(c, self.slopes) for c in compared]
        pictures = [picture for sample in live for picture in drawn[sample.index]]
        queries = [sample.query for sample in live for _ in range(2)]
        answers = iter(await self.roles.judge.judge(pictures, queries))
        verdicts: list[labels.Verdict | Failure] = []
        for a, b in zip(answers, answers, strict=True):
            if isinstance(a, Failure):
                verdicts.append(a)
            elif isinstance(b, Failure):
                verdicts.append(b)
            else:
                verdicts.append(labels.of_judgements(a, b, self.slopes, self.settings.slope))
        return verdicts


def _prompt(
    sample: Sample, side: SidePlan, written: Mapping[str, list[Prompt] | Failure], seed: int
) -> Prompt | Failure:
    if side.source == "policy":
        proposal = written[side.query.id]
        return proposal if isinstance(proposal, Failure) else proposal[0]
    text = (
        write(side.query, {})
        if side.source == "raw"
        else grammar.prompt(side.query, derive_seed(seed, side.query.id), sample.index)
    )
    return Prompt.of(text, query=side.query, strategy_id=side.source, policy_version=side.source)


def _made(
    sample: Sample,
    prompts: tuple[Prompt, Prompt],
    pictures: tuple[Picture, Picture],
    verdict: labels.Verdict,
) -> Outcome:
    if verdict.gap is None:
        return Refused(sample.index, "no_total")
    sides = [
        PairSide(
            prompt=prompt,
            sha256=picture.sha256,
            path=picture_path(picture.sha256, "png"),
            width=picture.width,
            height=picture.height,
            seed=picture.seed,
            phash=picture.phash,
        )
        for prompt, picture in zip(prompts, pictures, strict=True)
    ]
    record = PairRecord(
        id=sample.id,
        kind=sample.kind,
        query=sample.query,
        a=sides[0],
        b=sides[1],
        scores=verdict.scores,
        labels=verdict.labels,
        consistent=verdict.consistent,
        raw=verdict.raw,
        versions={"generator": pictures[0].generator_version, "judge": verdict.judge_version},
    )
    return Made(sample.index, record, verdict.gap)


def _end_refused(sample: Sample, verdicts: Sequence[AuditVerdict | Failure], reason: str, ends: Ends) -> bool:
    """Whether the audit's verdicts end a sample."""
    failure = _first_failure(verdicts)
    if failure:
        ends[sample.index] = _failed(sample, failure)
    elif not all(isinstance(v, AuditVerdict) and v.allowed for v in verdicts):
        ends[sample.index] = Refused(sample.index, reason)
    return sample.index in ends


def _failed(sample: Sample, failure: Failure) -> Failed:
    return Failed(sample.index, sample.id, failure)


def _live(samples: Sequence[Sample], ends: Ends) -> list[Sample]:
    return [sample for sample in samples if sample.index not in ends]


def _first_failure(entries: Iterable[object]) -> Failure | None:
    return next((entry for entry in entries if isinstance(entry, Failure)), None)


def _two(entries: Sequence[object], kind: type[T]) -> tuple[T, T]:
    first, second = entries
    assert isinstance(first, kind) and isinstance(second, kind)
    return first, second
