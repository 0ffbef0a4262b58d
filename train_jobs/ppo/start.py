"""A policy before it has learnt anything: byte pairs of made queries, and random weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import torch

from actors.contracts import ASPECTS, Lang
from actors.policy import grammar
from actors.policy.tiny.model import Architecture, CausalLm
from actors.policy.tiny.tokens import Tokens
from actors.vocabulary import read_query

PIECES = 640
"""Byte pairs, the 256 bytes included."""
SAMPLE = 4000
"""Made queries that the byte pairs are taken from."""


def pieces(seed: int) -> Any:
    """A `tokenizers.Tokenizer` of byte pairs (Sennrich et al. 2016, arXiv 1508.07909) over the words that are
    not facets, and over titles."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=PIECES, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(_words(seed), trainer)
    return tokenizer


def new(tokens: Tokens, seed: int, **sizes: int) -> CausalLm:
    """A model with random weights; `sizes` are those of `Architecture`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CausalLm(Architecture(tokens.size, **sizes))


def _words(seed: int) -> Iterator[str]:
    for index in range(SAMPLE):
        reading = read_query(grammar.query(seed, index, list(ASPECTS), get_args(Lang)))
        at = 0
        for mention in reading.mentions:
            yield reading.text[at : mention.start].strip()
            at = max(at, mention.end)
        yield reading.text[at:].strip()
        if reading.title:
            yield reading.title
