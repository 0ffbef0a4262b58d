"""Curated colours. A palette has variants; a variant has a sky for each time of day, land, water, heroes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from actors.generator.procedural.colours import RGB, apart, hexed, luma, mix, scaled

Stops = tuple[RGB, RGB, RGB]
"""Sky at the top, in the middle, at the horizon."""

# Rows: skies (dawn, day, dusk, night), then far near water, then main second accent light dark.
_TABLE: Final[dict[str, tuple[tuple[str, str, str], ...]]] = {
    "warm": (
        (
            "#f2a07b #f8c593 #fde6bd|#f5b764 #f9d28e #fdeec8|#a92f34 #e0653a #f8b75c|#35101f #5c1a2a #963d33",
            "#e79b66 #7d2b24 #e2854f",
            "#c22f28 #ef8f2a #f8cb4c #fff0d2 #47121d",
        ),
        (
            "#ef9484 #f7b99a #fddfbb|#f8cf9a #fbdfb4 #fff2d8|#84264a #d64d49 #f7a45a|#2b0f2e #521d38 #8c3a40",
            "#e9a883 #88343a #d4705f",
            "#d63d2c #e79b35 #8e2448 #fff2dd #3b1022",
        ),
    ),
    "cool": (
        (
            "#8dbbdb #b7d6e5 #e2eff1|#6fb0de #a5d1eb #def1f6|#28427a #5478ad #a6c2da|#0a1733 #142c56 #295283",
            "#94b8cf #194260 #4389b6",
            "#1a5a9c #35a0b8 #9be3df #f0f8fb #0c203d",
        ),
        (
            "#98cfcd #bfe2dc #e8f4ef|#7ccbd6 #afdfe3 #e4f5f4|#22496c #46859b #9fcdcb|#081c2c #0f3549 #206074",
            "#93c6c8 #114a4d #35929f",
            "#12788c #2a5aa8 #b4efd9 #f0faf8 #092636",
        ),
    ),
    "ink": (
        (
            "#dcd5c8 #e7e1d5 #f3eee4|#e9e4d8 #efeae0 #f6f2ea|#aca59a #cac3b7 #e5dfd4|#393735 #5c5955 #8f8a83",
            "#bbb5aa #3a3836 #cac4b8",
            "#262524 #6a6660 #b4382b #f7f3eb #161616",
        ),
        (
            "#d9d6cf #e5e2db #f1efe9|#e4e1da #ecebe5 #f5f4ef|#a3a19b #c3c1bb #e1dfd9|#323333 #555554 #878681",
            "#b3b1ab #333434 #c3c1bb",
            "#222323 #62625f #a83226 #f6f5f0 #141515",
        ),
    ),
    "mono": (
        (
            "#aeaeae #cbcbcb #ececec|#d2d2d2 #e2e2e2 #f6f6f6|#555555 #888888 #c6c6c6|#0b0b0b #202020 #484848",
            "#b2b2b2 #262626 #8c8c8c",
            "#191919 #686868 #fafafa #ffffff #080808",
        ),
        (
            "#c2c2c2 #dadada #f4f4f4|#e6e6e6 #efefef #fbfbfb|#3c3c3c #6f6f6f #b5b5b5|#121212 #2c2c2c #565656",
            "#c0c0c0 #1d1d1d #a2a2a2",
            "#101010 #7c7c7c #ededed #ffffff #050505",
        ),
    ),
    "deep_blue_gold": (
        (
            "#1a3568 #34548a #a8946a|#173a75 #25539a #6a8cba|#0d1f4a #273a70 #c4964a|#050d26 #0a1941 #162f66",
            "#2f518c #081634 #14346b",
            "#dba63a #f1cf78 #fff0c4 #fbe8b4 #060f2b",
        ),
        (
            "#15305a #2b4a78 #8f8a70|#12345f #1d4b80 #5f87a8|#0a1a38 #1f3560 #b8863c|#040b1c #081632 #122a52",
            "#28507c #06132a #0f2f58",
            "#c9922c #e8c468 #fce9b8 #f8e2a6 #050d20",
        ),
    ),
    "earth": (
        (
            "#d2b896 #e2cfb2 #f1e6d2|#d6c39c #e4d6b7 #f3ebd8|#82523a #b57f52 #deb786|#291f18 #433428 #6a5440",
            "#b3997a #4a3722 #8d8768",
            "#8c4626 #a87a40 #69713c #f5ecd7 #2a1b10",
        ),
        (
            "#c9b79a #dccdb2 #eee4d0|#c8c2a0 #dbd6ba #f0ecd8|#6f4a36 #a4764f #d3ae80|#221d17 #3a3125 #5f513c",
            "#a89c78 #3f3a22 #807e5e",
            "#a3542e #7d6a3a #b98a3c #f3ead3 #241a10",
        ),
    ),
    "pastel": (
        (
            "#f7c6cd #fbdad3 #fdf0e1|#b5dcf2 #d0eaf4 #f4f6e8|#c6abe2 #edb8cd #fcd8c1|#7779b3 #9b97ca #c9b5da",
            "#c9dccb #95c2ae #a3d6e3",
            "#f0869a #83c6b3 #f9d473 #fffaf0 #665687",
        ),
        (
            "#f9d3b8 #fbe2cd #fdf3e6|#c9e6dc #dcf0e6 #f8f7e8|#b7b4e6 #d9bfe6 #f9cfd4|#6f86ae #93a5c8 #c0c3dd",
            "#d6d3e8 #a4b8de #b3dfe0",
            "#8f8fd8 #f5a78f #f7cf86 #fffbf3 #57598a",
        ),
    ),
    "vivid": (
        (
            "#ff7f9f #ffb75e #ffe981|#0a9df5 #45c5fa #c6f4e4|#5317b6 #ee2a7b #ff9b38|#10065a #2712a0 #6c1bd4",
            "#2fb59c #08665a #0089df",
            "#ff2647 #ffb300 #00c4a7 #fffdf0 #1a0850",
        ),
        (
            "#ff9d6e #ffcf5c #fff3a0|#00b8c8 #3fd8d0 #e2fbc4|#c2187a #ff5a4e #ffc23d|#08105e #1a2ab0 #2f6be0",
            "#6fc24a #0e7a3e #00a3c4",
            "#ff4a1c #7a2cf0 #ffd400 #fffef2 #12104c",
        ),
    ),
}
VARIANTS: Final = 2
TIMES: Final = ("dawn", "day", "dusk", "night")


@dataclass(frozen=True)
class Tones:
    """The colours of one picture, already lit for its time of day."""

    sky: Stops
    far: RGB
    near: RGB
    water: RGB
    main: RGB
    second: RGB
    accent: RGB
    light: RGB
    dark: RGB
    night: bool

    def land(self, depth: float) -> RGB:
        """Ground at a depth of 0 (horizon) to 1 (foreground)."""
        return mix(self.far, self.near, depth)

    def against(self, *grounds: RGB) -> Tones:
        """The same, with hero colours that stand out from where they will stand."""
        ground = grounds[0]
        for other in grounds[1:]:
            ground = mix(ground, other, 0.5)
        return replace(
            self,
            main=apart(self.main, ground, 0.24, self.night),
            second=apart(self.second, ground, 0.16, self.night),
            accent=apart(self.accent, ground, 0.2, self.night),
        )


def shade(colour: RGB, amount: float = 0.25) -> RGB:
    """The shadow side of a colour: darker and a little cooler."""
    r, g, b = scaled(colour, 1 - amount)
    return r * 0.98, g, min(255.0, b * 1.03) if abs(r - b) > 3 else b


def tint(colour: RGB, amount: float = 0.3) -> RGB:
    """The lit side of a colour."""
    warm = 1.0 if max(colour) - min(colour) > 3 else 0.0
    return mix(colour, (255.0, 255.0 - 3 * warm, 255.0 - 11 * warm), amount)


def _variant(palette: str, index: int) -> tuple[list[list[RGB]], list[RGB], list[RGB]]:
    rows = _TABLE[palette]
    skies, land, heroes = rows[index % len(rows)]
    return (
        [[hexed(code) for code in sky.split()] for sky in skies.split("|")],
        [hexed(code) for code in land.split()],
        [hexed(code) for code in heroes.split()],
    )


def tones(palette: str, time: str, variant: int, muddied_by: str | None = None) -> Tones:
    """The colours of a palette at a time of day.

    Args:
        muddied_by: another palette that lends its ground and half its sky, which spoils the harmony.
    """
    skies, land, heroes = _variant(palette, variant)
    sky = skies[TIMES.index(time)]
    if muddied_by:
        other_skies, land, _ = _variant(muddied_by, variant)
        sky = [mix(a, b, 0.45) for a, b in zip(sky, other_skies[TIMES.index(time)], strict=True)]
    far, near, water = land
    main, second, accent, light, dark = heroes
    if time == "night":
        far, near, water = mix(far, sky[1], 0.72), mix(near, sky[0], 0.55), mix(water, sky[1], 0.62)
        light = mix(light, sky[2], 0.12)
        if luma(main) < 0.35:
            main = tint(main, 0.35)
    elif time == "dusk":
        far, near, water = mix(far, sky[2], 0.45), mix(near, sky[0], 0.25), mix(water, sky[1], 0.45)
    elif time == "dawn":
        far, water = mix(far, sky[2], 0.35), mix(water, sky[1], 0.35)
    a, b, c = sky
    return Tones((a, b, c), far, near, water, main, second, accent, light, dark, time == "night")
