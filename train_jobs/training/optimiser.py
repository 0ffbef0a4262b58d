"""Weights and an optimiser's moments as named tensors, for checkpoints."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

Tensors = dict[str, Tensor]


def gathered(tensor: Tensor) -> Tensor:
    """A tensor as it is, or all of one that is spread over ranks; then all ranks must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def copied(model: nn.Module) -> Tensors:
    """A copy of the weights, on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def put(tensor: Tensor, value: Tensor) -> None:
    """Copy a whole tensor's numbers into one that may be spread over ranks."""
    with torch.no_grad():
        tensor.copy_(spread(value.to(tensor.device, tensor.dtype), tensor))


def spread(value: Tensor, like: Tensor) -> Tensor:
    """A whole tensor, spread over ranks as another one is, if that is."""
    if not isinstance(like, DTensor):
        return value
    return distribute_tensor(value, like.device_mesh, like.placements)


def optimiser_tensors(optimiser: torch.optim.Optimizer, names: dict[nn.Parameter, str]) -> Tensors:
    """The moments of every parameter that has moved, by the parameter's name."""
    return {
        f"{name}|{key}": gathered(torch.as_tensor(value).detach()).cpu().clone()
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
        if moment == "step":
            # A fused optimiser counts beside the weights.
            place = parameter.device if optimiser.defaults.get("fused") else "cpu"
            optimiser.state[parameter][moment] = value.to(place)
        else:
            optimiser.state[parameter][moment] = spread(value.to(parameter.device), parameter)
