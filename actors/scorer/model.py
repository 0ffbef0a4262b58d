"""The AestheticModel: a picture and a request -> a score for each dimension."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from actors.contracts import Dimension
from actors.errors import BadInput
from actors.scorer.architecture import Architecture
from actors.scorer.patches import PatchBatch
from actors.scorer.text import TextBatch, TextTower
from actors.scorer.vision import VisionTower

STEEPNESS = 4.0
"""Log-odds of a squashed embedding for each unit of its projection, so that projections stay near one."""

OF_PAIRS = ("heads.", "summary.", "wish.")
"""How the names of the weights begin that pairs alone teach; the others are known before."""


class AestheticModel(nn.Module):
    """Two towers, two projections, a wish, a head for each dimension, and how the total follows from them.

    The wish adds to what a request says what such requests want besides; it starts at nothing. Fusion puts
    the picture beside the picture as the request weighs it. What depends on the request alone has no place:
    the pictures of a pair share it, so that it never decides which is better. The total's head is helped by
    a small network that reads the other heads' scores; it does not bend them to its needs.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        embed, hidden = architecture.embed, architecture.hidden
        self.image = VisionTower(architecture.image)
        self.text = TextTower(architecture.text)
        self.image_projection = nn.Linear(architecture.image.output, embed)
        self.text_projection = nn.Linear(architecture.text.width, embed)
        self.wish = nn.Linear(embed, embed, bias=False)
        nn.init.zeros_(self.wish.weight)
        self.heads = nn.ModuleDict(
            {str(name): _head(2 * embed, hidden, architecture.dropout) for name in architecture.dimensions}
        )
        parts = len(architecture.dimensions) - 1
        sums_up = Dimension.TOTAL in architecture.dimensions and parts > 0
        self.summary = _head(parts, hidden, architecture.dropout) if sums_up else None

    def forward(self, pictures: PatchBatch | Tensor, texts: TextBatch | Tensor, text_of: Tensor) -> Tensor:
        """Scores [pictures, dimensions], float32, without a fixed range.

        Args:
            pictures: the pictures, or what the image tower made of them, [pictures, output].
            texts: the requests, each once however many pictures it has, or what the text tower made of them,
                [texts, width].
            text_of: int64 [pictures], the row of each picture's request.
        """
        return self.score(self.see(pictures), self.read(texts)[text_of.to(self.device)])

    def see(self, pictures: PatchBatch | Tensor) -> Tensor:
        """[pictures, embed], of pictures or of what the image tower made of them."""
        seen = pictures if isinstance(pictures, Tensor) else self.image(pictures)
        return self._embedded(self.image_projection(seen))

    def read(self, texts: TextBatch | Tensor) -> Tensor:
        """[texts, embed]: what each request says, and what such requests want besides."""
        read = texts if isinstance(texts, Tensor) else self.text(texts)
        said = self._embedded(self.text_projection(read))
        wanted: Tensor = said + self.wish(said)
        return wanted

    def _embedded(self, projected: Tensor) -> Tensor:
        return torch.sigmoid(STEEPNESS * projected) if self.architecture.squashed else projected

    def score(self, seen: Tensor, understood: Tensor) -> Tensor:
        """Scores [pictures, dimensions] of embedded pictures and, row by row, their embedded requests."""
        fused = torch.cat([seen, seen * understood], 1)
        # Every head runs whether or not it has labels: a parameter without a gradient would halt DDP.
        scores = {name: head(fused) for name, head in self.heads.items()}
        if self.summary is not None:
            parts = [scores[name] for name in Dimension if name in scores and name != Dimension.TOTAL]
            scores[Dimension.TOTAL] = scores[Dimension.TOTAL] + self.summary(torch.cat(parts, 1).detach())
        return torch.cat(list(scores.values()), 1).float()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.image_projection.weight.device

    def unfreeze(self, image_blocks: int, text_blocks: int) -> None:
        """Let wish, heads, summary, projections and the last blocks of each tower train, and nothing else.

        With at least one block the tower's final normalisation and projection train with it; with all of
        them, its embeddings too. Projections to squashed embeddings, whose coordinates have a meaning, train
        with their tower's blocks alone.

        Raises:
            BadInput: a tower has fewer blocks.
        """
        image, text = self.architecture.image.layers, self.architecture.text.layers
        for name, blocks, layers in (("image", image_blocks, image), ("text", text_blocks, text)):
            if not 0 <= blocks <= layers:
                raise BadInput(f"{name} blocks to train: {blocks}; accepted: 0 to {layers}")
        _train(self.parameters(), True)
        _train(self.image.parameters(), image_blocks == image)
        _train(self.text.parameters(), text_blocks == text)
        _train(self.image_projection.parameters(), image_blocks > 0 or not self.architecture.squashed)
        _train(self.text_projection.parameters(), text_blocks > 0 or not self.architecture.squashed)
        if image_blocks:
            for block in list(self.image.transformer.resblocks)[image - image_blocks :]:
                _train(block.parameters(), True)
            _train([*self.image.ln_post.parameters(), self.image.proj], True)
        for block in list(self.text.transformer.encoder.layer)[text - text_blocks :]:
            _train(block.parameters(), True)


def _head(width: int, hidden: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 1))


def _train(parameters: Iterable[nn.Parameter], on: bool) -> None:
    for parameter in parameters:
        parameter.requires_grad_(on)
