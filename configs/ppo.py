"""Settings of the policy's training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from configs.base import RoomSettings
from configs.engine import VllmSettings
from configs.pool import PoolSettings
from configs.training import LoggedSettings

Absolute = Annotated[Path, AfterValidator(Path.absolute)]
"""Trainers run in other folders than the command."""


class WarmStartSettings(RoomSettings):
    """Supervised fine-tuning on admitted answers: the search's winners and the lessons of practice."""

    steps: int = Field(default=200, ge=1)
    batch: int = Field(default=64, ge=1)
    lr: float = Field(default=2e-3, gt=0)
    """Where none is set, an LLM has 2e-4 with adapters and 1e-5 for all weights."""
    weight_decay: float = Field(default=0.01, ge=0)
    clip: float = Field(default=1.0, gt=0)
    """Norm to which gradients are cut."""


class ClipSettings(RoomSettings):
    """How far one step may move the policy, the critic and the gradients."""

    low: float = Field(default=0.2, ge=0, le=1)
    """Tokens worse than expected stop at a ratio of 1 - low."""
    high: float = Field(default=0.3, ge=0)
    """Tokens better than expected stop at a ratio of 1 + high."""
    dual: float | None = Field(default=3.0, gt=1)
    """Tokens worse than expected stop at this ratio; none = no such bound."""
    value: float | None = Field(default=0.2, ge=0)
    """Values move no further than this; none = no such bound."""
    norm: float = Field(default=1.0, gt=0)
    """Norm to which gradients are cut."""


class KlSettings(RoomSettings):
    """What distance from the warm start costs."""

    coefficient: float = Field(default=0.001, ge=0)
    estimator: Literal["k1", "k2", "k3"] = "k1"
    target: float | None = Field(default=None, gt=0)
    """Wanted divergence of an answer, nats; the coefficient is then adapted (Ziegler et al. 2019)."""
    horizon: int = Field(default=10_000, ge=1)
    """Answers in which an error of 20% changes the coefficient by 20%."""


class TinyPolicySettings(RoomSettings):
    """The tiny policy, from random weights."""

    type: Literal["tiny"] = "tiny"


class LoraSettings(RoomSettings):
    """Low-rank adapters (Hu et al. 2021, arXiv 2106.09685), of the actor and of the critic."""

    rank: int = Field(default=16, ge=1, le=512)
    alpha: float = Field(default=32.0, gt=0)
    """What an adapter adds is multiplied by alpha / rank."""
    targets: tuple[str, ...] = ()
    """Ends of the names of linear layers that get one, e.g. q_proj; none = all but the head."""


class LlmPolicySettings(RoomSettings):
    """A causal language model that answers as at run time: JSON with the prompt's text."""

    type: Literal["llm"] = "llm"
    model: Absolute
    """The model's folder: `config.json`, safetensors, tokenizer with a chat template."""
    adapter: Absolute | None = None
    """A LoRA adapter of this model, in PEFT's form, that training begins with."""
    lora: LoraSettings | None = LoraSettings()
    """Adapters alone are trained; none = all weights."""
    engine: VllmSettings | None = None
    """Samples the answers; none = the trainers themselves. Its model is the one that is trained."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Of training; `auto` = GPUs where there are some. On several the weights are divided (FSDP)."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """What is computed in; `auto` = bfloat16 on a GPU, float32 on a CPU."""
    recompute: bool = False
    """Whether layers are computed again for their gradients, which takes less memory and more time."""
    longest_query: int = Field(default=2048, ge=1)
    """Tokens that instructions and query may have."""
    longest_answer: int = Field(default=256, ge=1)
    """Tokens after which an answer is cut off."""
    overlong_buffer: int = Field(default=0, ge=0)
    """Last tokens of the longest answer over which a penalty grows from 0; 0 = no such penalty."""
    overlong_penalty: float = Field(default=1.0, ge=0)
    """What an answer as long as possible costs, reward units."""
    missing_end_penalty: float = Field(default=0.0, ge=0)
    """What an answer that was cut off costs, reward units."""
    learn_cut_off: bool = True
    """Whether answers that were cut off are learnt from; their score says little about the rest of them."""

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.engine is not None and self.engine.model != self.model:
            raise ValueError(
                f"engine.model {self.engine.model} is not the policy's model {self.model}; accepted: the same"
            )
        if self.overlong_buffer > self.longest_answer:
            raise ValueError(
                f"overlong_buffer {self.overlong_buffer} tokens of an answer of at most {self.longest_answer}"
            )
        return self


PolicyTrainingSettings = TinyPolicySettings | LlmPolicySettings
_LORA_RATES = {"lr": 2e-5, "critic_lr": 1e-4, "warm_start": 2e-4}
_WITH_A_CRITIC = {"advantages": "gae", "group": 1, "decay": 1.0, "warm_up": 5, "smoothing": 0.0}
_FULL_RATES = {"lr": 1e-6, "critic_lr": 5e-6, "warm_start": 1e-5}


class PpoSettings(LoggedSettings):
    """Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347)."""

    wandb_project: str = "atelier-policy"
    policy: PolicyTrainingSettings = Field(default=TinyPolicySettings(), discriminator="type")
    steps: int = Field(default=150, ge=1)
    """Batches of answers that are sampled, rated and learnt from."""
    batch: int = Field(default=256, ge=1)
    """Answers a step, of all workers."""
    group: int = Field(default=4, ge=1)
    """Answers to one query. Where none is set, an LLM has 1."""
    advantages: Literal["gae", "grpo", "rloo"] = "rloo"
    """With a critic (gae), or against the other answers of the group. Where none is set, an LLM has gae."""
    epochs: int = Field(default=2, ge=1)
    minibatches: int = Field(default=2, ge=1)
    """Optimiser steps an epoch."""
    micro_tokens: int = Field(default=4096, ge=1)
    """Tokens, padding included, that a worker holds at once; a larger share of a step is accumulated."""
    lr: float = Field(default=1e-3, gt=0)
    """Where none is set, an LLM has 2e-5 with adapters and 1e-6 for all weights."""
    critic_lr: float = Field(default=1e-3, gt=0)
    """Where none is set, an LLM has 1e-4 with adapters and 5e-6 for all weights."""
    last_rate: float = Field(default=0.05, ge=0, le=1)
    """Share of the actor's rate that is left at the last step; it falls evenly."""
    warm_up: int = Field(default=2, ge=0)
    """Steps in which the critic alone learns and the policy's rate rises."""
    clip: ClipSettings = ClipSettings()
    kl: KlSettings = KlSettings()
    entropy: float = Field(default=0.03, ge=0)
    """Weight of the entropy bonus."""
    smoothing: float = Field(default=0.1, ge=0)
    """Weight of the mean log-probability of allowed tokens, which keeps all of them in reach: an entropy's
    gradient is lost with the probability. It falls as the rate does. Where none is set, an LLM has 0."""
    discount: float = Field(default=1.0, ge=0, le=1)
    decay: float = Field(default=0.2, ge=0, le=1)
    """GAE's lambda: how much a token hears of what comes later. Where none is set, an LLM has 1."""
    admitted: float = Field(default=1.0, ge=0)
    """What an admission is worth beside the reward's value, 0..1."""
    credit: float = Field(default=6.0, ge=0)
    """What a picture's scores are worth together beside that, each at the word that decides its dimension;
    for policies whose tokens are facets."""
    shared: float = Field(default=0.5, ge=0)
    """Weight of the whole answer's reward at each word, beside that word's own; for groups with credits."""
    correction: float = Field(default=2.0, gt=0)
    """Cap of the importance weights of answers that an older policy, or another engine, has sampled."""
    ahead: int = Field(default=1, ge=0, le=1)
    """Batches that are sampled and judged while the one before is learnt from."""
    warm_start: WarmStartSettings = WarmStartSettings()
    workers: int = Field(default=1, ge=0)
    """Processes of Ray Train; 0 = train in this one."""
    threads: int = Field(default=1, ge=1)
    """Of torch, a worker; more than one helps large models on cores that nothing else uses."""
    raters: PoolSettings = PoolSettings(workers=2, batch=8)
    """What draws and judges the answers, divided among the workers; 0 = the workers themselves."""
    reward_model: Absolute | None = None
    """A reward model that a loop's practice has saved; answers earn what it expects of them, and nothing is
    drawn. None = they are drawn and judged."""
    strangers: int = Field(default=9, ge=0)
    """Subjects that training never names, on which the policy is measured apart."""
    checkpoint_steps: int = Field(default=25, ge=1)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _rates_of_an_llm(cls, given: Any) -> Any:
        """What a tiny policy learns at breaks a large one."""
        policy = given.get("policy") if isinstance(given, dict) else None
        kind = policy.get("type") if isinstance(policy, dict) else getattr(policy, "type", None)
        if kind != "llm":
            return given
        adapted = policy.get("lora", True) if isinstance(policy, dict) else getattr(policy, "lora", True)
        rates = _FULL_RATES if adapted is None else _LORA_RATES
        start = given.get("warm_start", {})
        if isinstance(start, dict):
            start = {"lr": rates["warm_start"], **start}
        own = {"lr": rates["lr"], "critic_lr": rates["critic_lr"], **_WITH_A_CRITIC}
        return {**own, **given, "warm_start": start}

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        share = self.group * max(1, self.workers)
        if self.batch % share:
            raise ValueError(
                f"batch {self.batch} for {max(1, self.workers)} workers and groups of {self.group}; "
                f"accepted: a multiple of {share}"
            )
        if self.advantages != "gae" and self.group == 1:
            raise ValueError(f"advantages {self.advantages} with group 1; accepted: group 2 or more, or gae")
        return self

    @model_validator(mode="after")
    def _imaginable(self) -> Self:
        if self.reward_model is not None and isinstance(self.policy, LlmPolicySettings):
            raise ValueError(
                "reward_model with a language model: it knows facets and would not see that a query's words "
                "are lost; accepted: policy.type tiny, or no reward_model"
            )
        return self
