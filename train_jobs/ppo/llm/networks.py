"""Actor, critic and reference of a language model, as PPO wants them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from configs.ppo import LlmPolicySettings
from train_jobs.ppo.llm.bodies import KINDS, Adapters, Body, Copies, on_cpu, shard
from train_jobs.ppo.llm.model import device_of, dtype_of
from train_jobs.ppo.logprobs import TokenLogProbs, token_log_probs
from train_jobs.ppo.microbatches import micro_batches
from train_jobs.ppo.networks import Texts
from train_jobs.training.optimiser import Tensors, put
from train_jobs.training.ranks import ALONE, Ranks


class LlmNetworks:
    """A body of language models under a value head. What comes out is on the CPU.

    Args:
        causal: on the CPU; the reference is what it is now.
        critic: whether there will be values and a reference; a warm start needs neither.
        sharded: whether the ranks divide the weights; none = on several GPUs.
    """

    def __init__(
        self,
        causal: Any,
        settings: LlmPolicySettings,
        ranks: Ranks = ALONE,
        *,
        critic: bool = True,
        sharded: bool | None = None,
    ) -> None:
        self.device = device_of(settings)
        self.sharded = ranks.size > 1 and (self.device.type == "cuda" if sharded is None else sharded)
        self._ranks = ranks
        width = causal.get_input_embeddings().weight.shape[1]
        self._dtype, self._autocast = dtype_of(settings, self.device), settings.lora is None
        self._body: Body
        if settings.lora is not None:
            self._body = Adapters(causal, settings.lora, KINDS if critic else KINDS[:1])
        else:
            self._body = Copies(causal, (*KINDS, "reference") if critic else KINDS[:1])
        self.critic: nn.Module = nn.Linear(width, 1)
        nn.init.zeros_(self.critic.weight)
        nn.init.zeros_(self.critic.bias)
        self._valued = critic
        modules = [*self._body.modules(), self.critic]
        for module in modules:
            module.to(self.device)
        if self.sharded:
            shard(modules, self.device, ranks.size)

    @property
    def trained(self) -> dict[str, dict[str, nn.Parameter]]:
        """See `Networks.trained`."""
        if not self._valued:
            return {"actor": self._body.trained("actor")}
        head = {f"head.{name}": parameter for name, parameter in self.critic.named_parameters()}
        return {"actor": self._body.trained("actor"), "critic": self._body.trained("critic") | head}

    def log_probs(self, texts: Texts, *, entropy: bool = False, mean: bool = False) -> TokenLogProbs:
        """See `Networks.log_probs`."""
        return self._log_probs("actor", texts, entropy=entropy, mean=mean)

    def reference(self, texts: Texts) -> Tensor:
        """See `Networks.reference`."""
        with torch.no_grad():
            return self._log_probs("reference", texts).log_probs

    def values(self, texts: Texts) -> Tensor:
        """See `Networks.values`."""
        ids, seen, _ = self._rows(texts)
        with self._body.speaking("critic") as causal, self._casting():
            hidden = self._call(causal, ids, seen, 1, output_hidden_states=True).hidden_states[-1]
        hidden = hidden[:, _before(texts) :].float()
        # Flat, since a layer that is divided among ranks must not answer with a view.
        values = self.critic(hidden.flatten(0, 1)).reshape(hidden.shape[:2])
        return _wide(values.cpu(), texts)

    def parts(self, texts: Texts, budget: int) -> Iterator[tuple[Texts, Tensor]]:
        """See `Networks.parts`: an answer each with a reading of its query."""
        lengths = (texts.seen.sum(1)[texts.of] + texts.mask.sum(1)).clamp(min=1)
        parts = micro_batches(lengths.tolist(), budget)
        if self.sharded:
            most = max(int(each) for each in self._ranks.gather(torch.tensor([len(parts)])))
            parts += [[] for _ in range(most - len(parts))]
        for rows in parts:
            answers = torch.tensor(rows, dtype=torch.int64)
            yield texts.of_answers(answers), answers

    def tensors(self) -> dict[str, Tensors]:
        """See `Networks.tensors`: what is trained; the beginning's folder has the rest."""
        found = {
            kind: {name: on_cpu(value) for name, value in parameters.items()}
            for kind, parameters in self.trained.items()
        }
        return {**found, "reference": {}}

    def restore(self, tensors: Mapping[str, Tensors]) -> None:
        """See `Networks.restore`."""
        for kind, parameters in self.trained.items():
            for name, parameter in parameters.items():
                put(parameter, tensors[kind][name])

    def whole(self) -> Tensors:
        """All weights of the actor as one plain model, on the CPU. All ranks call it."""
        return self._body.whole()

    @torch.no_grad()
    def next_logits(self, ids: Tensor, seen: Tensor, cache: Any) -> tuple[Tensor, Any]:
        """Logits [B, vocabulary], float32 on the CPU, of what the actor says after the last token.

        Args:
            ids: [B, L] new tokens, left-padded.
            seen: [B, past + L] bool, false at the padding.
            cache: of the past, from the call before; None at first.
        """
        ids, seen = ids.to(self.device), seen.to(self.device)
        with self._body.speaking("actor") as causal, self._casting():
            out = self._call(causal, ids, seen, 1, use_cache=True, past_key_values=cache)
        return out.logits[:, -1].float().cpu(), out.past_key_values

    def anyone(self, going: bool) -> bool:
        """Whether somebody goes on sampling, where ranks must call the model equally often."""
        if not self.sharded:
            return going
        return bool(self._ranks.sum(torch.tensor([float(going)])).item())

    def _log_probs(
        self, kind: str, texts: Texts, *, entropy: bool = False, mean: bool = False
    ) -> TokenLogProbs:
        ids, seen, chosen = self._rows(texts)
        with self._body.speaking(kind) as causal, self._casting():
            logits = self._call(causal, ids, seen, chosen.shape[1]).logits
        said = token_log_probs(logits, chosen, entropy=entropy, mean=mean)
        told = (said.log_probs, said.entropy, said.mean)
        return TokenLogProbs(*(_wide(each.cpu(), texts) for each in told))

    def _rows(self, texts: Texts) -> tuple[Tensor, Tensor, Tensor]:
        """Queries with all of their answers but the last token; where they are seen; and the answers."""
        answers = texts.answers[:, : _longest(texts)]
        if len(answers):
            ids = torch.cat([texts.queries[texts.of], answers[:, :-1]], 1)
            seen = torch.cat([texts.seen[texts.of], texts.mask[:, : answers.shape[1] - 1]], 1)
        else:
            # Ranks that divide the weights meet in every call, those too that have nothing to compute.
            answers, ids = torch.zeros(1, 1, dtype=torch.int64), torch.zeros(1, 1, dtype=torch.int64)
            seen = torch.ones(1, 1, dtype=torch.bool)
        return ids.to(self.device), seen.to(self.device), answers.to(self.device)

    def _call(self, causal: Any, ids: Tensor, seen: Tensor, keep: int, **more: Any) -> Any:
        places = (seen.cumsum(dim=1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        return causal(
            input_ids=ids,
            attention_mask=seen.long(),
            position_ids=places,
            logits_to_keep=keep,
            **{"use_cache": False, **more},
        )

    def _casting(self) -> AbstractContextManager[Any]:
        """Where all weights learn they are kept in float32, and computed with in less."""
        low = self._autocast and self._dtype != torch.float32
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=low)


def _before(texts: Texts) -> int:
    """The place of the last token before the answers, in rows of queries and answers."""
    return texts.queries.shape[1] - 1 if len(texts.answers) else 0


def _longest(texts: Texts) -> int:
    return max(1, int(texts.mask.sum(1).max())) if len(texts.mask) else 1


def _wide(values: Tensor, texts: Texts) -> Tensor:
    """As wide as the answers were before they were cut to the longest."""
    rows, width = texts.answers.shape
    return F.pad(values[:rows], (0, width - values.shape[1]))
