"""How long a procedural picture takes on one thread, as JSON: `python benchmarks/generator.py`."""

from __future__ import annotations

import json
import os
import random
import statistics
import sys
import time

import cv2

from actors import vocabulary
from actors.contracts import ASPECTS
from actors.generator.procedural import Scene, plan, render
from actors.pixels import encode_png

_SIDES = (256, 512)
_PICTURES = 140
_WARM_UP = 40


def scenes(n: int) -> list[Scene]:
    """A random mix of pinned prompts over all facets and aspects."""
    dice = random.Random(1)
    made = []
    for seed in range(n):
        subjects = dice.sample(vocabulary.keys("subject"), dice.choice((1, 1, 2)))
        words = [vocabulary.phrase("subject", key, "en") for key in subjects]
        for facet in ("palette", "style", "layout", "time", "light", "density"):
            words.append(vocabulary.phrase(facet, dice.choice(vocabulary.keys(facet)), "en"))  # type: ignore[arg-type]
        made.append(plan(", ".join(words) + ', "Quiet Light"', dice.choice(list(ASPECTS)), seed))
    return made


def main() -> None:
    """Print ms a picture by size: wall, CPU, and the slowest decile."""
    cv2.setNumThreads(1)
    batch = scenes(_PICTURES)
    report: dict[str, object] = {"load": os.getloadavg()[0], "pictures": _PICTURES, "threads": 1}
    for side in _SIDES:
        for scene in batch[:_WARM_UP]:
            render(scene, side)
        wall, cpu, png = [], [], []
        for scene in batch:
            a, b = time.perf_counter(), time.process_time()
            pixels = render(scene, side)
            wall.append(1000 * (time.perf_counter() - a))
            cpu.append(1000 * (time.process_time() - b))
            a = time.perf_counter()
            encode_png(pixels)
            png.append(1000 * (time.perf_counter() - a))
        report[f"px_{side}"] = {
            "wall_ms": round(statistics.mean(wall), 2),
            "cpu_ms": round(statistics.mean(cpu), 2),
            "cpu_ms_p90": round(statistics.quantiles(cpu, n=10)[-1], 2),
            "png_ms": round(statistics.mean(png), 2),
        }
    json.dump(report, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
