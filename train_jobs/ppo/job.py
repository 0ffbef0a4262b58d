"""The policy's training as a job: warm start on what was found, then PPO, on Ray Train or here.

A run's folder holds `start/` (the warm start), `ray/` (Ray Train's own, with the checkpoints) or
`checkpoint/`, and at the end `policy/`. The same run started again goes on from its newest checkpoint.
A language model is warmed up by the trainers themselves, since what starts them may have no GPU.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import torch

from actors.contracts import ASPECTS, DistillRecord, Lang, Query, content_id
from actors.errors import BadInput
from actors.policy import grammar
from actors.policy.tiny.checkpoint import CARD, load, save
from actors.policy.tiny.model import CausalLm
from actors.policy.tiny.tokens import Tokens
from actors.vocabulary import keys, read_query
from configs.ppo import LlmPolicySettings, PpoSettings
from configs.schema import Settings
from train_jobs.ppo.lessons import distinct, lesson_of
from train_jobs.ppo.policies import Networks, Speech
from train_jobs.ppo.rating import raters
from train_jobs.ppo.reward_model.rater import ModelRater
from train_jobs.ppo.rollout import Queries
from train_jobs.ppo.start import new
from train_jobs.ppo.state import PolicyState
from train_jobs.ppo.trainer import Trainer
from train_jobs.ppo.warm_start import warm_start
from train_jobs.training.checkpoint import STATE
from train_jobs.training.fitting import fitted, joined, replace, report, settle
from train_jobs.training.publishing import Curve, telling
from train_jobs.training.ranks import ALONE, Ranks

Tell = Callable[[str, int, int], None]
UNTAUGHT, START, POLICY = "untaught", "start", "policy"


def strangers(count: int) -> frozenset[str]:
    """Subjects that are kept out of training; which follows from their names."""
    return frozenset(sorted(keys("subject"), key=lambda key: content_id("stranger", key))[:count])


def made_queries(settings: PpoSettings) -> Queries:
    """Queries of the grammar without end, none of which names a stranger."""
    unknown = strangers(settings.strangers)

    @functools.lru_cache(maxsize=4096)
    def query(index: int) -> Query:
        attempt = 0
        while True:
            seed = settings.seed * 1000 + attempt
            found = grammar.query(seed, index, list(ASPECTS), get_args(Lang))
            if not unknown & set(read_query(found).keys("subject")):
                return found
            attempt += 1

    return query


def begin(settings: PpoSettings, records: Sequence[DistillRecord], folder: Path, tell: Tell) -> Path:
    """The warm start's folder, made if it is not there.

    Raises:
        BadInput: there is no record, the reward model cannot be used, or what a language model needs does
            not fit.
    """
    made = folder / START
    if settings.reward_model is not None:
        ModelRater(settings.reward_model)  # what cannot be used is said before the warm start
    if isinstance(settings.policy, LlmPolicySettings):
        from train_jobs.ppo.llm import job as llm

        if not (made / llm.LESSONS).exists():
            llm.begin(settings.policy, records, made)
        return made
    if (made / CARD).exists():
        return made
    raw = untaught(settings, folder)
    loaded = load(raw)
    lessons = [
        lesson
        for lesson in distinct([lesson_of(record) for record in records])
        if loaded.tokens.whole(lesson.query, lesson.values)
    ]
    if not lessons:
        raise BadInput(
            f"none of {len(records)} records pins down all that its query leaves open, so there is nothing "
            "to warm the policy up with; accepted: winners of `atelier evolve`"
        )
    torch.set_num_threads(settings.threads)
    warm_start(
        loaded.model,
        loaded.tokens,
        lessons,
        settings.warm_start,
        settings.seed,
        lambda step, steps, metrics: tell("warm start, steps", step, steps),
    )
    about = {"lessons": len(lessons), "stage": "warm start"}
    save(made, loaded.model, loaded.familiar, about)
    return made


def untaught(settings: PpoSettings, folder: Path) -> Path:
    """The folder of the policy as it is before it learns anything, made if it is not there."""
    if isinstance(settings.policy, LlmPolicySettings):
        return settings.policy.model
    made = folder / UNTAUGHT
    if (made / CARD).exists():
        return made
    made.mkdir(parents=True, exist_ok=True)
    familiar = tuple(key for key in keys("subject") if key not in strangers(settings.strangers))
    model = new(Tokens(familiar), settings.seed)
    save(made, model, familiar, {"stage": "untaught"})
    return made


def train_here(settings: Settings, start: Path, folder: Path) -> PolicyState:
    """Train in this process, from the folder's checkpoint if there is one."""
    kept = folder / "checkpoint"
    settle(kept)
    state = PolicyState.load(kept) if (kept / STATE).exists() else None
    with telling(settings.ppo, folder, ALONE, _curve(state)) as (publish, watch):

        def keep(fresh: PolicyState) -> None:
            publish(fresh.progress.curve)
            replace(fresh, kept)

        return asyncio.run(_train(settings, start, folder, ALONE, keep, state, watch))


def train_on_ray(settings: Settings, start: Path, folder: Path, *, deaths: int = 3) -> PolicyState:
    """Train with Ray Train on the running cluster; `folder` must be shared by its nodes.

    Raises:
        StageFailed: the run failed; the message has the first worker's error.
    """
    config = {
        "settings": settings.model_dump(mode="json"),
        "start": str(start.absolute()),
        "folder": str(folder.absolute()),
    }
    workers, gpus = settings.ppo.workers, _on_gpus(settings.ppo)
    with fitted(_worker, config, folder, workers=workers, gpus=gpus, deaths=deaths) as checkpoint:
        return PolicyState.load(checkpoint)


def finish(settings: PpoSettings, start: Path, state: PolicyState, folder: Path) -> Path:
    """Write the trained policy's folder; the answer is its path."""
    about = {
        "stage": "ppo",
        "steps": state.progress.step,
        "draws": state.progress.draws,
        "imagined": settings.reward_model is not None,
        # The policy may go anywhere; where this machine keeps its reward model is no matter of it.
        "settings": settings.model_dump(mode="json", exclude={"reward_model"}),
    }
    if isinstance(settings.policy, LlmPolicySettings):
        from train_jobs.ppo.llm import job as llm

        return llm.finish(settings.policy, start, state.actor, folder / POLICY, about)
    loaded = load(start)
    loaded.model.load_state_dict(state.actor)
    save(folder / POLICY, loaded.model, loaded.familiar, about)
    return folder / POLICY


def _worker(config: dict[str, Any]) -> None:
    """What each of Ray Train's workers runs."""
    settings = Settings.model_validate(config["settings"])
    with joined() as (ranks, checkpoint):
        state = PolicyState.load(checkpoint) if checkpoint else None
    with telling(settings.ppo, Path(config["folder"]), ranks, _curve(state)) as (publish, watch):

        def keep(fresh: PolicyState) -> None:
            publish(fresh.progress.curve)
            report(fresh, {"step": fresh.progress.step}, ranks)

        start, folder = Path(config["start"]), Path(config["folder"])
        asyncio.run(_train(settings, start, folder, ranks, keep, state, watch))


async def _train(
    settings: Settings,
    start: Path,
    folder: Path,
    ranks: Ranks,
    keep: Callable[[PolicyState], None],
    state: PolicyState | None,
    watch: Tell,
) -> PolicyState:
    torch.set_num_threads(settings.ppo.threads)
    actor, tokens = _opened(settings.ppo, start, folder, ranks, watch)
    async with raters(settings, ranks) as rate:
        trainer = Trainer(
            settings.ppo,
            actor,
            tokens,
            made_queries(settings.ppo),
            rate,
            ranks,
            keep,
            state,
            lambda step, steps, metrics: watch("ppo, steps", step, steps),
            folder,
            settings.reward.weights,
        )
        return await trainer.run()


def _opened(
    settings: PpoSettings, start: Path, folder: Path, ranks: Ranks, watch: Tell
) -> tuple[CausalLm | Networks, Tokens | Speech]:
    """What is trained, warmed up, and how it is asked."""
    if isinstance(settings.policy, LlmPolicySettings):
        from train_jobs.ppo.llm import job as llm

        return llm.opened(settings, settings.policy, start, folder, ranks, watch)
    loaded = load(start)
    return loaded.model, loaded.tokens


def _on_gpus(settings: PpoSettings) -> bool:
    """Whether each worker is to have a GPU."""
    if not isinstance(settings.policy, LlmPolicySettings) or settings.policy.device == "cpu":
        return False
    import ray

    engine = settings.policy.engine.num_gpus if settings.policy.engine else 0.0
    enough = ray.cluster_resources().get("GPU", 0) >= settings.workers + engine
    return settings.policy.device == "cuda" or bool(enough)


def _curve(state: PolicyState | None) -> Curve:
    return state.progress.curve if state else ()
