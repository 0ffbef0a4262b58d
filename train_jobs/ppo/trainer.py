"""The training loop: sample, draw and judge, learn. The next batch is drawn while one is learnt from."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional as F

from actors.contracts import Draw, Failure
from actors.errors import StageFailed
from actors.policy.tiny.model import CausalLm
from actors.policy.tiny.sampling import Answers
from actors.policy.tiny.tokens import Tokens
from configs.ppo import PpoSettings
from train_jobs.ppo.policies import Networks, Speech
from train_jobs.ppo.rating import Earned, Rate
from train_jobs.ppo.rollout import Queries, Roller, Rollout
from train_jobs.ppo.state import PolicyState, Progress
from train_jobs.ppo.tiny_policy import speech_of
from train_jobs.ppo.update import Learner, with_coefficient
from train_jobs.training.optimiser import Tensors, optimiser_tensors, restore_optimiser
from train_jobs.training.ranks import ALONE, Ranks

Keep = Callable[[PolicyState], None]
"""Called on every rank after each checkpoint's step."""
Watch = Callable[[int, int, dict[str, float]], None]
"""`watch(step, steps, metrics)`."""
_ANSWERS = ("ids", "mask", "logprobs")
_WAITING = (*_ANSWERS, "versions")


@dataclass
class Stopwatch:
    """How long something took."""

    seconds: float = 0.0

    async def of(self, work: Awaitable[Rollout]) -> Rollout:
        """The result of the work, which is timed."""
        began = time.monotonic()
        try:
            return await work
        finally:
            self.seconds = time.monotonic() - began


@dataclass(frozen=True)
class Pending:
    """A step's answers that are being sampled and rated."""

    rollout: asyncio.Task[Rollout]
    draws: asyncio.Task[list[Draw | Failure]]
    sampling: Stopwatch

    async def end(self) -> None:
        """Give both up."""
        for task in (self.rollout, self.draws):
            task.cancel()
        await asyncio.gather(self.rollout, self.draws, return_exceptions=True)


class Trainer:
    """One run of one process.

    Args:
        actor: the warm start, the same on every rank; or all networks of a policy.
        tokens: the actor's; or the speech of a policy.
        queries: the query of an index, for ever.
        rate: says what prompts earn.
        state: to go on from.
        folder: where a batch is left that broke the training; none = nowhere.
        weights: of the dimensions in the picture's value, see `credits`.
    """

    def __init__(
        self,
        settings: PpoSettings,
        actor: CausalLm | Networks,
        tokens: Tokens | Speech,
        queries: Queries,
        rate: Rate,
        ranks: Ranks = ALONE,
        keep: Keep = lambda state: None,
        state: PolicyState | None = None,
        watch: Watch = lambda step, steps, metrics: None,
        folder: Path | None = None,
        weights: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self._settings, self._rate, self._ranks = settings, rate, ranks
        self._keep, self._watch = keep, watch
        self._speech = speech_of(actor, tokens)
        self._roller = Roller(settings, self._speech, queries, ranks, weights)
        self._progress = Progress(coefficient=settings.kl.coefficient)
        self._waiting: dict[int, Rollout] = {}
        self._learner = Learner(actor, settings, self._speech.pad, ranks, folder)
        self._networks = self._learner.networks
        self._names = {
            kind: {parameter: name for name, parameter in parameters.items()}
            for kind, parameters in self._networks.trained.items()
        }
        if state is not None:
            self._restore(state)

    async def run(self) -> PolicyState:
        """Train to the end.

        Raises:
            StageFailed: a loss is not finite, or no answer of a step could be judged.
        """
        settings, pending = self._settings, dict[int, Pending]()
        try:
            await self._speech.publish(self._progress.step)
            while self._progress.step < settings.steps:
                step = self._progress.step
                for ahead in range(step, min(settings.steps, step + 1 + settings.ahead)):
                    if ahead not in pending:
                        pending[ahead] = await self._begin(ahead)
                await self._advance(pending.pop(step))
                # What is being sampled comes to its end first, so that an answer is of one version.
                waiting = {number: await each.rollout for number, each in pending.items()}
                await self._speech.publish(step + 1)
                if (step + 1) % settings.checkpoint_steps == 0 or step + 1 == settings.steps:
                    self._waiting = waiting
                    self._progress.finished = step + 1 == settings.steps
                    self._keep(self.state())
                    self._waiting = {}
        finally:
            await asyncio.gather(*(each.end() for each in pending.values()))
            await self._speech.close()
        return self.state()

    def state(self) -> PolicyState:
        """All that a resumed run needs."""
        learner = self._learner
        self._progress.coefficient = learner.kl.coefficient
        moments = {
            f"{kind}.{name}": value
            for kind, optimiser in learner.optimisers.items()
            for name, value in optimiser_tensors(optimiser, self._names[kind]).items()
        }
        return PolicyState(
            self._progress,
            **self._networks.tensors(),
            optimisers=moments,
            waiting=self._gathered(),
        )

    async def _begin(self, step: int) -> Pending:
        """Have a batch sampled, unless a checkpoint had it, and drawn."""
        found = self._waiting.pop(step, None)
        sampling = Stopwatch()
        sampled = self._roller.sample(step) if found is None else _given(found)
        rollout = asyncio.ensure_future(sampling.of(sampled))
        if not self._speech.elsewhere:
            await rollout  # while the networks learn, nobody may sample from them

        async def rated() -> list[Draw | Failure]:
            jobs = self._roller.jobs(await rollout)
            return await self._rate(jobs) if jobs else []

        return Pending(rollout, asyncio.ensure_future(rated()), sampling)

    async def _advance(self, pending: Pending) -> None:
        began = time.monotonic()
        draws, rollout = await pending.draws, await pending.rollout
        waited = time.monotonic() - began
        batch, worth = self._roller.batch(rollout, draws)
        told = self._tell(rollout, worth)
        if not told["judged"]:
            failures = [draw.failure if isinstance(draw, Draw) else draw for draw in draws]
            first = next((failure for failure in failures if failure is not None), None)
            raise StageFailed(f"no answer of step {rollout.step} could be judged; the first: {first}")
        # The event loop stays free, so that what draws and judges is fed while a batch is learnt from.
        learning = time.monotonic()
        metrics = await asyncio.to_thread(self._learner.learn, batch, rollout.step)
        self._learner.settle(metrics["kl"], self._settings.batch)
        ended = time.monotonic()
        times = {
            "idle": waited / (ended - began),
            "seconds": ended - began,
            "sampling_seconds": pending.sampling.seconds,
            "learning_seconds": ended - learning,
            "tokens_per_second": metrics["length"] * self._settings.batch / (ended - learning),
        }
        self._progress.step = rollout.step + 1
        self._progress.draws += 0 if self._settings.reward_model else self._settings.batch
        row = {**told, **metrics, **times}
        self._progress.curve.append({"step": self._progress.step, **row})
        self._watch(self._progress.step, self._settings.steps, row)

    def _tell(self, rollout: Rollout, worth: list[Earned | None]) -> dict[str, float]:
        """Shares over all ranks of what the answers earned."""
        found = [each for each in worth if each is not None]
        sums = torch.tensor(
            [
                len(found),
                sum(each.admitted for each in found),
                sum(each.reward for each in found),
                sum(each.intent for each in found),
                sum(prompt is None for prompt in rollout.prompts),
                float((~self._speech.ended(rollout.answers)).sum()),
                float((rollout.step - rollout.versions).sum()),
            ],
            dtype=torch.float64,
        )
        judged, admitted, reward, intent, unread, unended, behind = self._ranks.sum(sums).tolist()
        over, batch = max(1.0, judged), self._settings.batch
        return {
            "admission": admitted / over,
            "reward": reward / over,
            "intent": intent / over,
            "judged": judged / batch,
            "unread": unread / batch,
            "unended": unended / batch,
            "staleness": behind / batch,
        }

    def _gathered(self) -> Tensors:
        """The answers that wait, of all ranks."""
        found: Tensors = {}
        for number, rollout in self._waiting.items():
            for name in _WAITING:
                mine = rollout.versions if name == "versions" else self._wide(rollout, name)
                for rank, theirs in enumerate(self._ranks.gather(mine)):
                    found[f"{number}.{rank}.{name}"] = theirs
        return found

    def _wide(self, rollout: Rollout, name: str) -> Tensor:
        """Ranks exchange tensors of one shape."""
        mine: Tensor = getattr(rollout.answers, name)
        width = self._speech.longest - mine.shape[1]
        return F.pad(mine, (0, width), value=self._speech.pad if name == "ids" else 0)

    def _restore(self, state: PolicyState) -> None:
        self._progress = state.progress
        learner = self._learner
        self._networks.restore({kind: getattr(state, kind) for kind in ("actor", "critic", "reference")})
        learner.kl = with_coefficient(learner.kl, state.progress.coefficient)
        for kind, optimiser in learner.optimisers.items():
            mine = {
                name.removeprefix(f"{kind}."): value
                for name, value in state.optimisers.items()
                if name.startswith(f"{kind}.")
            }
            restore_optimiser(optimiser, self._names[kind], mine)
        for number in sorted({int(name.split(".")[0]) for name in state.waiting}):
            self._wait_again(number, state.waiting)

    def _wait_again(self, number: int, waiting: Tensors) -> None:
        """Take up answers that were waiting, unless they were those of another number of ranks."""
        if sum(name.startswith(f"{number}.") for name in waiting) == len(_WAITING) * self._ranks.size:
            ids, mask, logprobs, versions = (
                waiting[f"{number}.{self._ranks.rank}.{name}"] for name in _WAITING
            )
            # As wide as they were: the same numbers in another shape are summed in another order.
            width = int(mask.sum(1).max())
            answers = Answers(ids[:, :width].clone(), mask[:, :width].clone(), logprobs[:, :width].clone())
            self._waiting[number] = self._roller.rollout(number, answers, versions)


async def _given(rollout: Rollout) -> Rollout:
    return rollout
