"""What an AestheticModel is built of. Kept beside its weights, so that they can be loaded anywhere."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from actors.contracts import Contract, Dimension

STEM_PATCH = 32
"""Side of the patches that a convolutional stem reads, px: it halves a picture five times."""


class ImageShape(Contract):
    """A CLIP vision transformer (Radford et al. 2021) that takes pictures of any shape.

    A picture becomes at most `budget` square patches of `patch` px; `grid` is the side, in patches, of the
    square that the position embedding was learnt on.
    """

    patch: int = Field(ge=1)
    grid: int = Field(ge=1)
    budget: int = Field(ge=1)
    width: int = Field(ge=1)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    output: int = Field(ge=1)
    """Width of the projected class token, in OpenCLIP the embedding shared with the text."""
    mlp_ratio: float = Field(default=4.0, gt=0)
    quick_gelu: bool = False
    """x * sigmoid(1.702 x), which OpenAI's weights were trained with."""
    stem: int | None = Field(default=None, ge=1)
    """Width of a convolutional stem in place of CLIP's linear patches, see `stem`; None = linear patches."""

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if self.stem is not None and self.patch != STEM_PATCH:
            raise ValueError(f"a stem reads patches of {STEM_PATCH} px, not of {self.patch}")
        return self


class TextShape(Contract):
    """An XLM-RoBERTa encoder (Conneau et al. 2020)."""

    vocabulary: int = Field(ge=8)
    width: int = Field(ge=1)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    intermediate: int = Field(ge=1)
    context: int = Field(ge=4)
    """Tokens of a text that are read; what is beyond is cut off."""
    positions: int = Field(ge=6)
    """Rows of the position embedding; the first two are padding's."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.context + 2 > self.positions:
            raise ValueError(
                f"context {self.context} needs {self.context + 2} positions, not {self.positions}"
            )
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self


class Architecture(Contract):
    """Both towers, each projected to `embed`, fused to twice that, and a head for each dimension."""

    preset: str
    image: ImageShape
    text: TextShape
    embed: int = Field(default=512, ge=1)
    hidden: int = Field(default=512, ge=1)
    squashed: bool = False
    """Whether embeddings are brought to 0..1, each coordinate the presence of something; CLIP's are not."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    dimensions: tuple[Dimension, ...] = Field(default=tuple(Dimension), min_length=1)


_XLM_ROBERTA_BASE = TextShape(
    vocabulary=250002, width=768, layers=12, heads=12, intermediate=3072, context=128, positions=514
)
_VIT_L_14 = ImageShape(
    patch=14, grid=16, budget=256, width=1024, layers=24, heads=16, output=768, quick_gelu=True
)

PRESETS: dict[str, Architecture] = {
    # 588 tokens of 14 px: 24 x 24, 28 x 21, 21 x 28, 32 x 18 and 18 x 32 are exact.
    "vit-l-14-336": Architecture(
        preset="vit-l-14-336",
        image=_VIT_L_14.model_copy(update={"grid": 24, "budget": 588}),
        text=_XLM_ROBERTA_BASE,
    ),
    "vit-l-14": Architecture(preset="vit-l-14", image=_VIT_L_14, text=_XLM_ROBERTA_BASE),
    # A convolutional stem looks for what a plain transformer would need millions of pictures to find.
    "small": Architecture(
        preset="small",
        image=ImageShape(patch=32, grid=6, budget=40, width=160, layers=2, heads=5, output=160, stem=32),
        text=TextShape(
            vocabulary=2048, width=128, layers=2, heads=4, intermediate=512, context=64, positions=66
        ),
        embed=160,
        hidden=64,
        dropout=0.2,
        squashed=True,
    ),
}
"""Accepted names of architectures."""
