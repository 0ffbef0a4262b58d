"""Weights and an optimiser's moments as named tensors, for checkpoints."""

from __future__ import annotations

import torch
from torch import Tensor, nn

Tensors = dict[str, Tensor]


def copied(model: nn.Module) -> Tensors:
    """A copy of the weights, on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def optimiser_tensors(optimiser: torch.optim.Optimizer, names: dict[nn.Parameter, str]) -> Tensors:
    """The moments of every parameter that has moved, by the parameter's name."""
    return {
        f"{name}|{key}": torch.as_tensor(value).detach().clone()
        for parameter, name in names.items()
        for key, value in optimiser.state.get(parameter, {}).items()
    }


def restore_optimiser(
    optimiser: torch.optim.Optimizer, names: dict[nn.Parameter, str], tensors: Tensors
) -> None:
    """Put moments back that `optimiser_tensors` took."""
    parameters = {name: parameter for parameter, name in names.items()}
    for key, value in tensors.items():
        name, _, moment = key.rpartition("|")
        parameter = parameters[name]
        device = "cpu" if moment == "step" else parameter.device
        optimiser.state[parameter][moment] = value.to(device)
