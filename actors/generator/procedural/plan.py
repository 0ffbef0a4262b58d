"""From prompt text to decisions. What the text leaves open, the seed decides: that is the gamble."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

from actors import vocabulary
from actors.contracts import derive_seed
from actors.generator.procedural.scene import Jitter, Scene
from actors.vocabulary import Facet, Reading

BUDGET: Final = 11.0
"""Cost of a prompt beyond which its clauses begin to be ignored."""
UNKNOWN_COST: Final = 0.25
REPEAT_COST: Final = 1.0
REGURGITATION_COST: Final = 2.0
REPEATED_WORDS: Final = 8
REPEATED_HAN: Final = 10
IGNORE_SLOPE: Final = 0.12
IGNORE_MOST: Final = 0.9
SUBJECT_SHARE: Final = 1 / 3
"""Of the chance to be ignored, for subjects."""
SURE_SUBJECTS: Final = 2
MOST_SUBJECTS: Final = 4
EXTRA_SUBJECT: Final = 0.5
MOOD_TILT: Final = 0.5
MIX_CHANCE: Final = 0.25
JITTER_MOST: Final = 0.07
JITTER_SCALE: Final = (0.75, 1.0)
OPEN_SEASON: Final = 0.25
"""Chance that a picture has a season nobody asked for."""

OPEN_LIGHTS: Final = ("soft", "bright", "dramatic", "glow", "flat", "harsh")
OPEN_DENSITIES: Final = ("sparse", "balanced", "rich", "cluttered")
MOOD_LEANS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "calm": {
        "palette": ("cool", "pastel", "ink"),
        "light": ("soft",),
        "density": ("sparse",),
        "style": ("minimal", "watercolour", "ink_painting"),
    },
    "energetic": {
        "palette": ("vivid", "warm"),
        "light": ("bright", "dramatic"),
        "density": ("rich",),
        "style": ("flat", "retro"),
    },
    "dreamy": {
        "palette": ("pastel", "cool"),
        "light": ("glow", "soft"),
        "density": ("balanced",),
        "style": ("gradient", "watercolour"),
    },
    "solemn": {
        "palette": ("deep_blue_gold", "mono", "ink"),
        "light": ("dramatic",),
        "density": ("sparse", "balanced"),
        "style": ("minimal", "ink_painting"),
    },
    "lonely": {
        "palette": ("mono", "ink", "cool"),
        "light": ("soft", "dramatic"),
        "density": ("sparse",),
        "style": ("ink_painting", "minimal"),
    },
    "festive": {
        "palette": ("warm", "vivid"),
        "light": ("glow", "bright"),
        "density": ("rich",),
        "style": ("paper_cut", "flat"),
    },
}

_WORD = re.compile(r"[a-z0-9]+")
_HAN = re.compile(r"[\u3400-\u9fff]")


def plan(text: str, aspect: str, seed: int) -> Scene:
    """Decide everything about the picture of a prompt. Pure: the same arguments give the same scene."""
    return _Planner(vocabulary.read(text), seed).scene(aspect)


def cost(reading: Reading) -> float:
    """How much a prompt asks for, in clauses."""
    repeats = sum(n - 1 for n in Counter((m.facet, m.key) for m in reading.mentions).values())
    total = len(reading.clauses) + UNKNOWN_COST * len(reading.unknown) + REPEAT_COST * repeats
    return total + REGURGITATION_COST * _regurgitates(reading.text)


def _regurgitates(text: str) -> bool:
    """Whether a long run of words or of Chinese characters stands there twice."""
    runs = ((_WORD.findall(text.lower()), REPEATED_WORDS), (_HAN.findall(text), REPEATED_HAN))
    for tokens, n in runs:
        grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
        if len(grams) != len(set(grams)):
            return True
    return False


@dataclass(frozen=True)
class _Planner:
    reading: Reading
    seed: int

    def dice(self, *name: str) -> random.Random:
        """A stream of its own for each decision, so that changing one clause changes only that decision."""
        return random.Random(derive_seed(self.seed, *name))

    def scene(self, aspect: str) -> Scene:
        mood = self.asked("mood")
        season = self.asked("season")
        if season is None and self.dice("season", "any").random() < OPEN_SEASON:
            season = self.open("season", vocabulary.keys("season"), None)
        palette = self.asked("palette")
        mix = None
        if palette is None:
            palette = self.open("palette", vocabulary.keys("palette"), mood)
            if self.dice("palette", "mixed").random() < MIX_CHANCE:
                others = [key for key in vocabulary.keys("palette") if key != palette]
                mix = self.dice("palette", "mix").choice(others)
        layout = self.asked("layout")
        jitter = None if layout else self.jitter()
        subjects, notes = self.subjects()
        return Scene(
            aspect=aspect,
            seed=self.seed,
            subjects=subjects,
            palette=palette,
            palette_mix=mix,
            style=self.asked("style") or self.open("style", vocabulary.keys("style"), mood),
            layout=layout or self.open("layout", vocabulary.keys("layout"), None),
            layout_jitter=jitter,
            season=season,
            time=self.asked("time") or self.open("time", vocabulary.keys("time"), None),
            light=self.asked("light") or self.open("light", OPEN_LIGHTS, mood),
            density=self.asked("density") or self.open("density", OPEN_DENSITIES, mood),
            mood=mood,
            title=self.reading.title,
            ignored=tuple(
                f"{m.facet}:{m.key}" for m in self.reading.mentions if self.ignores(m.facet, m.key)
            ),
            notes=notes,
        )

    def asked(self, facet: Facet) -> str | None:
        """The value the prompt settles; a contradiction is settled by a coin."""
        keys = sorted(key for key in self.reading.keys(facet) if not self.ignores(facet, key))
        return self.dice(facet, "contradiction").choice(keys) if keys else None

    def open(self, facet: Facet, values: tuple[str, ...], mood: str | None) -> str:
        """A value the prompt leaves open: uniform, tilted a little by the mood, never a negated one."""
        negated = self.reading.keys(facet, negated=True)
        allowed = [value for value in values if value not in negated] or list(values)
        leans = [value for value in MOOD_LEANS.get(mood or "", {}).get(facet, ()) if value in allowed]
        if leans and self.dice(facet, "mood").random() < MOOD_TILT:
            return self.dice(facet, "lean").choice(leans)
        return self.dice(facet, "open").choice(allowed)

    def ignores(self, facet: Facet, key: str) -> bool:
        """Whether an overloaded prompt asks for this in vain."""
        excess = cost(self.reading) - BUDGET
        if excess <= 0:
            return False
        chance = min(IGNORE_MOST, IGNORE_SLOPE * excess) * (SUBJECT_SHARE if facet == "subject" else 1.0)
        return self.dice("ignored", facet, key).random() < chance

    def jitter(self) -> Jitter:
        dice = self.dice("layout", "jitter")
        dx, dy = (dice.uniform(-JITTER_MOST, JITTER_MOST) for _ in range(2))
        return Jitter(dx, dy, dice.uniform(*JITTER_SCALE))

    def subjects(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        negated = set(self.reading.keys("subject", negated=True))
        known = [key for key in self.reading.keys("subject") if key not in negated]
        kept = [key for key in known if not self.ignores("subject", key)]
        drawn = kept[:SURE_SUBJECTS]
        drawn += [k for k in kept[SURE_SUBJECTS:] if self.dice("subject", k).random() < EXTRA_SUBJECT]
        drawn = drawn[:MOST_SUBJECTS]
        notes = [] if known else ["no known subject: drawn as abstract"]
        if left := [key for key in known if key not in drawn]:
            notes.append(f"not drawn: {', '.join(left)}")
        if self.reading.unknown:
            notes.append(f"unknown: {', '.join(self.reading.unknown[:12])}")
        return tuple(drawn), tuple(notes)
