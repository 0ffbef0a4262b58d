"""Covers drawn from the prompt text alone, deterministic in (text, seed)."""

from actors.generator.procedural.plan import plan
from actors.generator.procedural.render import render
from actors.generator.procedural.scene import Scene
from actors.generator.procedural.worker import ProceduralGenerator

__all__ = ["ProceduralGenerator", "Scene", "plan", "render"]
