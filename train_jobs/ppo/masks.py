"""Masks over tokens: what they hide is never read, be it NaN. Pure."""

from __future__ import annotations

import torch
from torch import Tensor

from actors.errors import BadInput


def seen(values: Tensor, mask: Tensor) -> Tensor:
    """The values where the mask is true and 0 elsewhere, in float32 or better.

    The gradient of what is hidden is 0 whatever is computed from the result, which would not hold if the
    mask were applied last: 0 * NaN is NaN.
    """
    kind = torch.promote_types(values.dtype, torch.float32)
    return torch.where(mask, values.to(kind), torch.zeros((), dtype=kind, device=values.device))


def refuse_misfits(mask: Tensor, **tensors: Tensor) -> None:
    """Accept a mask [sequences, tokens] bool and float tensors of the same shape.

    Raises:
        BadInput: a shape or a type is another.
    """
    if mask.ndim != 2 or mask.dtype != torch.bool:
        raise BadInput(
            f"a mask of shape {tuple(mask.shape)} {mask.dtype}; accepted: [sequences, tokens], torch.bool"
        )
    for name, tensor in tensors.items():
        if tensor.shape != mask.shape or not tensor.is_floating_point():
            raise BadInput(
                f"{name} of shape {tuple(tensor.shape)} {tensor.dtype} for a mask of shape "
                f"{tuple(mask.shape)}; accepted: one floating-point number a token"
            )


def refuse_scores(scores: Tensor) -> None:
    """Accept one finite floating-point number a sequence, [sequences].

    Raises:
        BadInput: the shape or type is another, or a score is not finite.
    """
    if scores.ndim != 1 or not scores.is_floating_point():
        raise BadInput(
            f"scores of shape {tuple(scores.shape)} {scores.dtype}; accepted: [sequences], floating point"
        )
    if not scores.isfinite().all():
        place = int((~scores.isfinite()).nonzero()[0])
        raise BadInput(f"the score of sequence {place} is {float(scores[place])}; accepted: finite numbers")


def refuse_rows(name: str, given: Tensor, rows: int, kind: torch.dtype) -> None:
    """Accept one value of the given type a sequence, [rows].

    Raises:
        BadInput: the shape or type is another.
    """
    if given.shape != (rows,) or given.dtype != kind:
        raise BadInput(
            f"{name} of shape {tuple(given.shape)} {given.dtype} for {rows} sequences; "
            f"accepted: one a sequence, {kind}"
        )
