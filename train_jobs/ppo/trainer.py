"""The training loop: sample, draw and judge, learn. The next batch is drawn while one is learnt from."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from actors.contracts import Draw, Failure
from actors.errors import StageFailed
from actors.policy.tiny.model import CausalLm
from actors.policy.tiny.sampling import Answers
from actors.policy.tiny.tokens import LONGEST_ANSWER, Tokens
from configs.ppo import PpoSettings
from train_jobs.ppo.rating import Earned, Rate
from train_jobs.ppo.rollout import Queries, Roller, Rollout
from train_jobs.ppo.state import PolicyState, Progress
from train_jobs.ppo.update import Learner, with_coefficient
from train_jobs.training.optimiser import Tensors, copied, optimiser_tensors, restore_optimiser
from train_jobs.training.ranks import ALONE, Ranks

Keep = Callable[[PolicyState], None]
"""Called on every rank after each checkpoint's step."""
Watch = Callable[[int, int, dict[str, float]], None]
"""`watch(step, steps, metrics)`."""
_ANSWERS = ("ids", "mask", "logprobs")
Pending = tuple[Rollout, "asyncio.Task[list[Draw | Failure]]"]


class Trainer:
    """One run of one process.

    Args:
        actor: the warm start, the same on every rank.
        queries: the query of an index, for ever.
        rate: draws and judges prompts.
        state: to go on from.
    """

    def __init__(
        self,
        settings: PpoSettings,
        actor: CausalLm,
        tokens: Tokens,
        queries: Queries,
        rate: Rate,
        ranks: Ranks = ALONE,
        keep: Keep = lambda state: None,
        state: PolicyState | None = None,
        watch: Watch = lambda step, steps, metrics: None,
    ) -> None:
        self.actor = actor
        self._settings, self._rate, self._ranks = settings, rate, ranks
        self._keep, self._watch = keep, watch
        self._pad = tokens.pad
        self._roller = Roller(settings, tokens, queries, ranks)
        self._progress = Progress(coefficient=settings.kl.coefficient)
        self._waiting: dict[int, Rollout] = {}
        self._learner = Learner(actor, settings, tokens.pad, ranks)
        self._names = {
            kind: {parameter: name for name, parameter in model.named_parameters()}
            for kind, model in (("actor", actor), ("critic", self._learner.critic))
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
            while self._progress.step < settings.steps:
                step = self._progress.step
                for ahead in range(step, min(settings.steps, step + 1 + settings.ahead)):
                    if ahead not in pending:
                        pending[ahead] = self._begin(ahead)
                await self._advance(*pending.pop(step))
                if (step + 1) % settings.checkpoint_steps == 0 or step + 1 == settings.steps:
                    self._waiting = {number: rollout for number, (rollout, _) in pending.items()}
                    self._progress.finished = step + 1 == settings.steps
                    self._keep(self.state())
                    self._waiting = {}
        finally:
            for _, task in pending.values():
                task.cancel()
            await asyncio.gather(*(task for _, task in pending.values()), return_exceptions=True)
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
            copied(self.actor),
            copied(learner.critic),
            copied(learner.reference),
            moments,
            self._gathered(),
        )

    def _begin(self, step: int) -> Pending:
        """Sample a batch, unless a checkpoint had it, and have it drawn."""
        rollout = self._waiting.pop(step, None)
        if rollout is None:
            self.actor.eval()
            rollout = self._roller.sample(self.actor, step)
        return rollout, asyncio.ensure_future(self._rate(self._roller.jobs(rollout)))

    async def _advance(self, rollout: Rollout, task: asyncio.Task[list[Draw | Failure]]) -> None:
        began = time.monotonic()
        draws = await task
        waited = time.monotonic() - began
        batch, worth = self._roller.batch(rollout, draws)
        told = self._tell(worth)
        if not told["judged"]:
            failures = [draw.failure if isinstance(draw, Draw) else draw for draw in draws]
            first = next((failure for failure in failures if failure is not None), None)
            raise StageFailed(f"no answer of step {rollout.step} could be judged; the first: {first}")
        # The event loop stays free, so that what draws and judges is fed while a batch is learnt from.
        metrics = await asyncio.to_thread(self._learner.learn, batch, rollout.step)
        self._learner.settle(metrics["kl"], self._settings.batch)
        seconds = time.monotonic() - began
        self._progress.step = rollout.step + 1
        self._progress.draws += self._settings.batch
        row = {**told, **metrics, "idle": waited / seconds, "seconds": seconds}
        self._progress.curve.append({"step": self._progress.step, **row})
        self._watch(self._progress.step, self._settings.steps, row)

    def _tell(self, worth: list[Earned | None]) -> dict[str, float]:
        """Shares over all ranks of what the answers earned."""
        found = [each for each in worth if each is not None]
        sums = torch.tensor(
            [
                len(found),
                sum(each.admitted for each in found),
                sum(each.reward for each in found),
                sum(each.intent for each in found),
            ],
            dtype=torch.float64,
        )
        judged, admitted, reward, intent = self._ranks.sum(sums).tolist()
        over = max(1.0, judged)
        return {
            "admission": admitted / over,
            "reward": reward / over,
            "intent": intent / over,
            "judged": judged / self._settings.batch,
        }

    def _gathered(self) -> Tensors:
        """The answers that wait, of all ranks."""
        found: Tensors = {}
        for number, rollout in self._waiting.items():
            for name in _ANSWERS:
                mine: Tensor = getattr(rollout.answers, name)
                wide = F.pad(
                    mine, (0, LONGEST_ANSWER - mine.shape[1]), value=self._pad if name == "ids" else 0
                )
                for rank, theirs in enumerate(self._ranks.gather(wide)):
                    found[f"{number}.{rank}.{name}"] = theirs
        return found

    def _restore(self, state: PolicyState) -> None:
        self._progress = state.progress
        learner = self._learner
        self.actor.load_state_dict(state.actor)
        learner.critic.load_state_dict(state.critic)
        learner.reference.load_state_dict(state.reference)
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
        if sum(name.startswith(f"{number}.") for name in waiting) == len(_ANSWERS) * self._ranks.size:
            mine = (waiting[f"{number}.{self._ranks.rank}.{name}"] for name in _ANSWERS)
            self._waiting[number] = Rollout(number, self._roller.asked(number), Answers(*mine))
