"""Scores of pairs by a model, without dropout or gradients."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from actors.contracts import PairRecord
from actors.scorer.model import AestheticModel
from actors.scorer.patches import Patches, collate
from actors.scorer.request import request_text
from actors.scorer.text import TextBatch, Tokenizer
from configs.ranking import Precision

Looked = Sequence[Patches] | Tensor
"""Pictures, or what the image tower made of them."""


Reader = Callable[[Sequence[PairRecord]], TextBatch | Tensor]
"""The requests of pairs, or what the text tower made of them."""


class Source(Protocol):
    """Where the pictures of pairs come from."""

    def ahead(self, batches: Sequence[Sequence[PairRecord]]) -> Iterator[Looked]:
        """The pictures a, b, a, b, ... of each batch in turn."""


@contextlib.contextmanager
def computing(device: str, precision: Precision) -> Iterator[None]:
    """The number format of a forward and backward pass on a kind of device."""
    half = precision == "bfloat16" or (precision == "auto" and device == "cuda")
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.autocast(device, torch.bfloat16, enabled=half))
        if half and device == "cpu" and torch.is_grad_enabled():
            # In bfloat16 the plain kernel's backward pass takes half the time of the fused one.
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        yield


def reader(tokenizer: Tokenizer) -> Reader:
    """Reads every request anew."""
    return lambda records: tokenizer([request_text(record.query) for record in records])


def forward(module: nn.Module, read: Reader, records: Sequence[PairRecord], pictures: Looked) -> Tensor:
    """Scores [2 * pairs, dimensions] of the pictures a, b, a, b, ...; a pair's request is read once."""
    text_of = torch.arange(len(records)).repeat_interleave(2)
    looked_at = pictures if isinstance(pictures, Tensor) else collate(pictures)
    scores: Tensor = module(looked_at, read(records), text_of)
    return scores


def pair_scores(
    model: AestheticModel,
    read: Reader,
    pictures: Source,
    records: Sequence[PairRecord],
    *,
    batch: int = 32,
    precision: Precision = "float32",
    tell: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float64]:
    """Scores of the pictures a and b of every pair, [pairs, 2, dimensions]. Leaves the model in eval mode."""
    model.eval()
    rows: list[NDArray[np.float64]] = []
    chunks = [records[i : i + batch] for i in range(0, len(records), batch)]
    with torch.inference_mode(), computing(model.device.type, precision):
        for chunk, looked_at in zip(chunks, pictures.ahead(chunks), strict=True):
            scores = forward(model, read, chunk, looked_at).double().cpu().numpy()
            rows.append(scores.reshape(len(chunk), 2, -1))
            tell(len(rows) * batch)
    return np.concatenate(rows) if rows else np.zeros((0, 2, len(model.architecture.dimensions)))
