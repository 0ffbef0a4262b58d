"""The request's side: an XLM-RoBERTa encoder and its tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from actors.errors import BadInput
from actors.scorer.architecture import TextShape

PAD = 1
"""Token of padding in every XLM-RoBERTa vocabulary; positions are counted from it."""


@dataclass(frozen=True)
class TextBatch:
    """Token ids, int64 [texts, longest], `PAD` beyond a text's end."""

    ids: Tensor


class Tokenizer:
    """A `tokenizer.json` of the tokenizers library.

    Args:
        path: the file; its padding token must have the id `PAD`.
        context: tokens of a text that are kept, its start and end marks included.

    Raises:
        BadInput: the file is missing or no tokenizer, or its padding token has another id.
    """

    def __init__(self, path: Path, context: int) -> None:
        from tokenizers import Tokenizer as Loaded

        try:
            self._tokenizer = Loaded.from_str(path.read_text("utf-8"))
        except Exception as error:  # tokenizers raises bare Exception for a file that it cannot read
            raise BadInput(f"{path}: no tokenizer ({error}); accepted: a tokenizer.json") from None
        if self._tokenizer.token_to_id("<pad>") != PAD:
            raise BadInput(f"{path}: the id of <pad> is not {PAD}; accepted: an XLM-RoBERTa vocabulary")
        self._tokenizer.enable_truncation(context)
        self._tokenizer.enable_padding(pad_id=PAD, pad_token="<pad>")
        self.source = path

    @property
    def size(self) -> int:
        """Tokens in the vocabulary."""
        return int(self._tokenizer.get_vocab_size())

    def __call__(self, texts: Sequence[str]) -> TextBatch:
        """Texts of any length, empty ones too, padded to the longest."""
        found = self._tokenizer.encode_batch(list(texts))
        return TextBatch(torch.tensor([each.ids for each in found], dtype=torch.int64))


class TextTower(nn.Module):
    """Texts -> the mean of their tokens' last states."""

    def __init__(self, shape: TextShape) -> None:
        from transformers import XLMRobertaConfig, XLMRobertaModel

        super().__init__()
        self.shape = shape
        self.transformer = XLMRobertaModel(
            XLMRobertaConfig(
                vocab_size=shape.vocabulary,
                hidden_size=shape.width,
                num_hidden_layers=shape.layers,
                num_attention_heads=shape.heads,
                intermediate_size=shape.intermediate,
                max_position_embeddings=shape.positions,
                type_vocab_size=1,
                layer_norm_eps=1e-5,
                pad_token_id=PAD,
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
            ),
            add_pooling_layer=False,
        )

    def forward(self, batch: TextBatch) -> Tensor:
        """[texts, width]."""
        device = next(self.parameters()).device
        ids = batch.ids.to(device)
        mask = ids != PAD
        states: Tensor = self.transformer(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        weights = mask[..., None].to(states.dtype)
        return (states * weights).sum(1) / weights.sum(1).clamp(min=1)
