"""Answers sampled by an engine, which is given the weights after every step."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from actors.engines.host import EngineHost
from actors.engines.nouns import Ask, Sample
from actors.errors import StageFailed
from configs.engine import VllmSettings
from train_jobs.ppo.llm.checkpoint import save_model
from train_jobs.ppo.llm.networks import LlmNetworks
from train_jobs.ppo.llm.sampling import Said
from train_jobs.training.ranks import ALONE, Ranks

_VERSION = "step-"


class EngineSampler:
    """One engine for all ranks; the first gives it the weights, as files in the run's folder.

    Args:
        start: the folder of the model that training began with.
        folder: for the weights; the engine's node must see it.
        longest: tokens of an answer.
    """

    elsewhere = True

    def __init__(
        self,
        engine: VllmSettings,
        networks: LlmNetworks,
        start: Path,
        folder: Path,
        *,
        longest: int,
        ranks: Ranks = ALONE,
        host: EngineHost | None = None,
    ) -> None:
        self._host = host or EngineHost(engine)
        self._networks, self._start, self._folder = networks, start, folder.absolute()
        self._longest, self._ranks = longest, ranks

    async def sample(self, queries: Sequence[Sequence[int]], seeds: Sequence[Sequence[int]]) -> list[Said]:
        """See `Sampler.sample`: a request a query, whose first seed counts.

        Raises:
            AtelierError: see `EngineHost.generate`; or the engine has weights that were not published.
        """
        asked = (
            self._host.generate(
                Ask(
                    token_ids=tuple(query),
                    n=len(each),
                    seed=each[0] % 2**63,
                    max_tokens=self._longest,
                    logprobs=True,
                )
            )
            for query, each in zip(queries, seeds, strict=True)
        )
        answers = await asyncio.gather(*asked)
        return [_said(sample) for answer in answers for sample in answer.samples]

    async def publish(self, step: int) -> None:
        """See `Speech.publish`; the next sample comes from these weights."""
        version = f"{_VERSION}{step}"
        place = self._folder / version
        tensors = await asyncio.to_thread(self._networks.whole)
        if self._ranks.rank == 0:
            await asyncio.to_thread(save_model, place, tensors, self._start, {"steps": step})
            await self._host.update(version, sorted(place.glob("*.safetensors")))
        del tensors
        await asyncio.to_thread(self._ranks.sum, torch.zeros(1))  # nobody asks before the engine has them
        if self._ranks.rank:
            self._host.know(version, sorted(place.glob("*.safetensors")))
            return
        for old in self._folder.glob(f"{_VERSION}*"):
            if old != place:
                shutil.rmtree(old, ignore_errors=True)

    async def close(self) -> None:
        """End the engine, if it was started here, and forget the weights that it was given."""
        await self._host.close()
        if self._ranks.rank == 0:
            shutil.rmtree(self._folder, ignore_errors=True)


def _said(sample: Sample) -> Said:
    version = sample.weight_version.removeprefix(_VERSION)
    if sample.logprobs is None or not version.isdigit():
        raise StageFailed(
            f"the engine sampled from weights {sample.weight_version!r}, which this training did not give "
            "it; accepted: an engine of the training's own (another ppo.policy.engine.seed makes one)"
        )
    return Said(sample.token_ids, sample.logprobs, int(version))
