"""Milliseconds a picture of the measured judge on one thread: `python -m benchmarks.judge`. Prints JSON."""

from __future__ import annotations

import json
import os
import tempfile
import time

import cv2
import torch

from actors.artifacts import Artifacts
from actors.contracts import Picture, Prompt, Query
from actors.generator.procedural import ProceduralGenerator
from actors.judge.measured.worker import MeasuredJudge
from configs.generator import ProceduralSettings
from configs.judge import MeasuredSettings

QUERIES = (
    ("a lake at night, calm, watercolour, cool colours, centred, soft light", "3:4", None),
    ("moon and a bridge, deep blue and gold, retro poster, diagonal", "16:9", None),
    ("city, vivid colours, flat illustration, negative space", "1:1", "City Walk"),
    ("灯塔，剪纸风，暖色调，留白", "9:16", "城市漫步"),
)


def measure(long_side: int, pictures: int = 96) -> dict[str, float]:
    """Mean time a picture over a mix of queries, decode included, and a title's share."""
    with tempfile.TemporaryDirectory() as folder:
        artifacts = Artifacts(folder)
        generator = ProceduralGenerator(ProceduralSettings(long_side=long_side), artifacts)
        judge = MeasuredJudge(MeasuredSettings(), artifacts)
        queries = [Query.of(text, aspect=aspect, title=title) for text, aspect, title in QUERIES]
        asked = [queries[index % len(queries)] for index in range(pictures)]
        prompts = [
            Prompt.of(
                query.text + (f", 《{query.title}》" if query.title else ""),
                query=query,
                strategy_id="benchmark",
                policy_version="benchmark",
            )
            for query in asked
        ]
        drawn = generator.draw(prompts, list(range(pictures)))
        ready = [picture for picture in drawn if isinstance(picture, Picture)]
        judge.judge(ready[:8], asked[:8])
        started = time.perf_counter()
        judge.judge(ready, asked)
        batched = (time.perf_counter() - started) / len(ready)
        started = time.perf_counter()
        for picture, query in zip(ready, asked, strict=True):
            judge.judge([picture], [query])
        alone = (time.perf_counter() - started) / len(ready)
    return {"ms_a_picture": round(1000 * batched, 2), "ms_a_picture_alone": round(1000 * alone, 2)}


def main() -> None:
    """Command line."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    sizes = {f"{side} px": measure(side) for side in (256, 512)}
    print(json.dumps({"threads": 1, "load": os.getloadavg()[0], **sizes}, indent=1))


if __name__ == "__main__":
    main()
