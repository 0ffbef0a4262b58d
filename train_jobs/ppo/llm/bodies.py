"""Three models in one training: actor, critic and reference, as adapters over one base or as copies."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from configs.ppo import LoraSettings
from train_jobs.ppo.llm.model import peft_library, quiet
from train_jobs.training.optimiser import Tensors, gathered

KINDS = ("actor", "critic")


class Body(Protocol):
    """The language models of a training."""

    def modules(self) -> list[nn.Module]:
        """What holds the weights: what is moved to a device and divided among ranks."""
        ...

    @contextmanager
    def speaking(self, kind: str) -> Iterator[Any]:
        """The causal model as `actor`, `critic` or `reference`; gradients are taken before another one."""
        ...

    def trained(self, kind: str) -> dict[str, nn.Parameter]:
        """Parameters of `actor` or `critic`, by name."""
        ...

    def whole(self) -> Tensors:
        """All weights of the actor as one plain model, on the CPU. All ranks call it."""
        ...


class Copies:
    """All weights are trained: a model each."""

    def __init__(self, causal: Any, kinds: tuple[str, ...] = (*KINDS, "reference")) -> None:
        self._models = {kind: causal if kind == "actor" else copy.deepcopy(causal) for kind in kinds}
        if "reference" in kinds:
            self._models["reference"].requires_grad_(False)
        if "critic" in kinds:
            critic = self._models["critic"]
            head, embeddings = critic.get_output_embeddings(), critic.get_input_embeddings()
            if head is not None and head.weight is not embeddings.weight:
                head.requires_grad_(False)  # its logits are not used

    def modules(self) -> list[nn.Module]:
        """See `Body.modules`."""
        return list(self._models.values())

    @contextmanager
    def speaking(self, kind: str) -> Iterator[Any]:
        """See `Body.speaking`."""
        yield self._models[kind]

    def trained(self, kind: str) -> dict[str, nn.Parameter]:
        """See `Body.trained`."""
        named = self._models[kind].named_parameters()
        return {name: parameter for name, parameter in named if parameter.requires_grad}

    def whole(self) -> Tensors:
        """See `Body.whole`."""
        return {name: on_cpu(value) for name, value in self._models["actor"].state_dict().items()}


class Adapters:
    """Low-rank adapters over one frozen base, which alone is the reference.

    Args:
        causal: the base; adapters are put into it.
        kinds: adapters that are made.

    Raises:
        BadInput: peft is not installed.
    """

    def __init__(self, causal: Any, settings: LoraSettings, kinds: tuple[str, ...] = KINDS) -> None:
        peft = peft_library()
        config = peft.LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,
            target_modules=list(settings.targets) or "all-linear",
            lora_dropout=0.0,
            task_type="CAUSAL_LM",
        )
        with quiet():
            self._model = peft.get_peft_model(causal, config, adapter_name=kinds[0])
            for kind in kinds[1:]:
                self._model.add_adapter(kind, copy.deepcopy(config))
        found = self._model.modules()
        self._layers = [each for each in found if isinstance(each, peft.tuners.tuners_utils.BaseTunerLayer)]
        self._rate = settings.alpha / settings.rank
        self._learn()

    def modules(self) -> list[nn.Module]:
        """See `Body.modules`."""
        return [self._model]

    @contextmanager
    def speaking(self, kind: str) -> Iterator[Any]:
        """See `Body.speaking`."""
        for layer in self._layers:
            layer.enable_adapters(kind != "reference")
            if kind != "reference":
                layer.set_adapter([kind])
        self._learn()
        yield self._model

    def trained(self, kind: str) -> dict[str, nn.Parameter]:
        """See `Body.trained`."""
        named = self._model.named_parameters()
        return {name: parameter for name, parameter in named if _adapter_of(name) == kind}

    def whole(self) -> Tensors:
        """See `Body.whole`: what the actor's adapter adds is added to the base's weights."""
        base = self._model.get_base_model()
        added = {}
        for name, layer in base.named_modules():
            if layer in self._layers:
                down, up = (gathered(part["actor"].weight).detach() for part in (layer.lora_A, layer.lora_B))
                change = up.float() @ down.float() * self._rate
                added[f"{name}.weight"] = (
                    change.T if getattr(layer, "fan_in_fan_out", False) else change
                ).cpu()
        found: Tensors = {}
        for name, value in base.state_dict().items():
            if _adapter_of(name):
                continue
            plain, value = name.replace(".base_layer.", "."), on_cpu(value)
            found[plain] = value if plain not in added else (value.float() + added[plain]).to(value.dtype)
        return found

    def _learn(self) -> None:
        """All adapters have gradients: peft takes them from those that do not speak, and FSDP keeps it so."""
        for name, parameter in self._model.named_parameters():
            parameter.requires_grad_(bool(_adapter_of(name)))


def on_cpu(value: Tensor) -> Tensor:
    """A copy of a tensor that may be spread over ranks; then all ranks call it."""
    return gathered(value.detach()).to("cpu", copy=True)


def shard(modules: list[nn.Module], device: torch.device, ranks: int) -> None:
    """Divide weights among ranks, layer by layer (FSDP2); gradients become sums over the ranks.

    Every rank then calls a model as often as the others.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    mesh = init_device_mesh(device.type, (ranks,))
    for module in modules:
        for layer in _layers(module):
            fully_shard(layer, mesh=mesh, reshard_after_forward=True)
        # Unlike FSDP's default: what stayed whole after a look would be out of date after a step.
        fully_shard(module, mesh=mesh, reshard_after_forward=True)
        for each in module.modules():
            if isinstance(each, FSDPModule):
                each.set_gradient_divide_factor(1.0)
                each.set_force_sum_reduction_for_comms(True)  # all that gloo knows


def _layers(module: nn.Module) -> list[nn.Module]:
    """The layers of a transformer: its longest list of modules; of a single linear layer, none."""
    lists = [list(each) for each in module.modules() if isinstance(each, nn.ModuleList)]
    return max(lists, key=len, default=[])


def _adapter_of(name: str) -> str:
    """The adapter that a parameter belongs to; empty = the base."""
    parts = name.split(".")
    return next((parts[place + 1] for place, part in enumerate(parts) if part in ("lora_A", "lora_B")), "")
