"""The recogniser's network: one convolutional trunk, one head for subjects and one for each facet."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from actors.vocabulary import keys

CLASSES: dict[str, tuple[str, ...]] = {
    "style": keys("style"),
    "layout": (*keys("layout"), "loose"),
    "palette": (*keys("palette"), "muddy"),
    "light": (*keys("light"), "flat", "harsh"),
    "time": keys("time"),
    "season": (*keys("season"), "none"),
}
"""Classes of each facet head: the vocabulary's keys and the faults that an art director names."""

INPUT_SIZES: tuple[tuple[int, int], ...] = ((96, 96), (84, 112), (72, 128), (112, 84), (128, 72))
"""(width, height) in px that pictures are brought to: nearly equal areas, one for each aspect ratio."""


def _block(before: int, after: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


class Network(nn.Module):
    """[batch, 3, height, width] in 0..1 -> logits by head: `subject` (independent) and each of `CLASSES`.

    `map` [batch, subjects, cells, cells] says where each subject is: it is taught cell by cell, which needs
    far fewer pictures than teaching presence alone, and its maximum is part of the presence.

    The trunk sees the picture freed of its palette and light (each channel brought to zero mean and unit
    deviation); `tone` sees plain colours, pixel by pixel, as a learnt histogram. Heads take the mean and
    the maximum of the deep features (what is there), a grid of them (where it is), how they differ from
    their mirror image (symmetry), the mean and maximum of earlier features (texture) and of tone. The last
    column of `subject` stands for a picture without any.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        early, deep = 2 * width, 6 * width
        self.stem = nn.Sequential(_block(3, width, 5, 2), _block(width, early, 3, 2))
        self.trunk = nn.Sequential(
            _block(early, 4 * width, 3, 2), _block(4 * width, deep, 3, 2), _block(deep, deep, 3, 1)
        )
        self.map = nn.Conv2d(deep, len(keys("subject")), 1)
        self.tone = nn.Sequential(nn.AvgPool2d(4), _block(3, 24, 1, 1), _block(24, 24, 1, 1))
        self.where = nn.Sequential(nn.Conv2d(deep, 16, 1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(6))
        self.subject = nn.Linear(2 * deep, len(keys("subject")) + 1)
        joined = 2 * deep + 36 * 16 + 3 * early + 9 * 24 + 3
        self.facets = nn.ModuleDict(
            {facet: nn.Linear(joined, len(names)) for facet, names in CLASSES.items()}
        )

    def forward(self, pictures: Tensor) -> Mapping[str, Tensor]:
        """Logits by head."""
        white = _whiten(pictures)
        early = self.stem(white)
        deep = self.trunk(early)
        tone = functional.adaptive_avg_pool2d(self.tone(pictures), 3).flatten(1)
        what = torch.cat([deep.mean((2, 3)), deep.amax((2, 3))], 1)
        look = torch.cat([early.mean((2, 3)), early.amax((2, 3)), early.square().mean((2, 3)).sqrt()], 1)
        mirror = (white - white.flip(3)).abs().mean((2, 3))
        joined = torch.cat([what, self.where(deep).flatten(1), look, tone, mirror], 1)
        where = self.map(deep)
        whole = self.subject(what)
        return {
            "subject": torch.cat([whole[:, :-1] + where.amax((2, 3)), whole[:, -1:]], 1),
            "map": where,
            **{facet: head(joined) for facet, head in self.facets.items()},
        }


def fused(network: Network) -> Network:
    """The network, in eval mode, its normalisations folded into the convolutions: same answers, sooner."""
    for block in network.modules():
        if isinstance(block, nn.Sequential) and len(block) == 3 and isinstance(block[1], nn.BatchNorm2d):
            convolution, normalisation = block[0], block[1]
            assert isinstance(convolution, nn.Conv2d)
            block[0], block[1] = fuse_conv_bn_eval(convolution, normalisation), nn.Identity()
    return network


def _whiten(pictures: Tensor) -> Tensor:
    """Lightness and two colour differences, each with zero mean and unit deviation over the picture."""
    red, green, blue = pictures.unbind(1)
    planes = torch.stack([0.3 * red + 0.59 * green + 0.11 * blue, red - green, blue - green], 1)
    centred = planes - planes.mean((2, 3), keepdim=True)
    return centred / (centred.square().mean((2, 3), keepdim=True).sqrt() + 0.03)
