"""The small preset's tokenizer: byte pairs learnt from requests, so that no text has an unknown character."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from actors.scorer.request import request_text
from train_jobs.towers.data import make_query

REQUESTS = 20000
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
"""In the order of XLM-RoBERTa's vocabularies."""


def train_tokenizer(path: Path, vocabulary: int, seed: int = 5) -> None:
    """Write a `tokenizer.json` of at most `vocabulary` tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_requests(seed), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    path.write_text(tokenizer.to_str(), "utf-8")


def _requests(seed: int) -> Iterator[str]:
    return (request_text(make_query(seed, index)) for index in range(REQUESTS))
