"""The generator over an image service."""

import asyncio
import io
from typing import Any

import httpx
import numpy as np
from PIL import Image

from actors.artifacts import Artifacts
from actors.contracts import Failure, Picture, Prompt, Query
from actors.generator.http import HttpGenerator
from actors.pixels import decode
from configs.generator import HttpGeneratorSettings
from configs.http import HttpSettings
from tests.fake_service import FakeService, images_json, png

ARTIFACTS = Artifacts("memory://http-generator")


def prompt(text: str = "a lake", aspect: str = "3:4", negative: str = "") -> Prompt:
    query = Query.of(text, aspect=aspect)
    return Prompt.of(text, query=query, strategy_id="s", policy_version="v", negative=negative)


def draw(fake: FakeService, *prompts: Prompt, **change: Any) -> list[Picture | Failure]:
    http = HttpSettings(base_url="http://fake/v1", model="m", retries=0, max_in_flight=1)
    settings = HttpGeneratorSettings(http=http, **{"long_side": 128} | change)
    generator = HttpGenerator(settings, ARTIFACTS, transport=fake.transport)
    return asyncio.run(generator.draw(prompts, list(range(7, 7 + len(prompts)))))


def drawn(body: dict[str, Any]) -> httpx.Response:
    width, height = map(int, body["size"].split("x"))
    return images_json(png(width, height, seed=body["seed"]))


def test_size_by_aspect_and_the_original_png_is_kept():
    fake = FakeService(usual=drawn)
    first, second = draw(fake, prompt(), prompt(aspect="16:9", negative="fog"))
    assert isinstance(first, Picture) and isinstance(second, Picture)
    assert (first.width, first.height, second.width, second.height) == (96, 128, 128, 72)
    assert ARTIFACTS.get(first.sha256) == png(96, 128, seed=7)
    assert (first.seed, first.notes, first.generator_version) == (7, (), "http-1:m")
    assert fake.bodies[0]["response_format"] == "b64_json" and "negative_prompt" not in fake.bodies[0]
    assert fake.bodies[1]["negative_prompt"] == "fog"


def test_a_service_with_sizes_of_its_own():
    fake = FakeService(usual=lambda body: images_json(png(80, 80)))
    fields = {
        "sizes": {"3:4": [96, 160]},
        "seed_field": None,
        "negative_field": None,
        "extra": {"quality": "low"},
    }
    (picture,) = draw(fake, prompt(negative="fog"), **fields)
    assert fake.bodies[0] == {"model": "m", "prompt": "a lake", "n": 1, "size": "96x160", "quality": "low"}
    assert isinstance(picture, Picture)
    assert picture.notes == ("size: asked 96x160, got 80x80", "negative prompt: not sent")


def test_other_formats_become_png():
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((128, 96, 3), np.uint8)).save(buffer, "WEBP")
    (picture,) = draw(FakeService(usual=lambda body: images_json(buffer.getvalue())), prompt())
    assert isinstance(picture, Picture) and picture.media_type == "image/png"
    stored = ARTIFACTS.get(picture.sha256)
    assert stored.startswith(b"\x89PNG") and decode(stored).shape == (128, 96, 3)


def test_failures_are_records_and_the_others_are_drawn():
    fake = FakeService(
        usual=drawn,
        script=[images_json(png()[:300]), httpx.Response(400, json={"error": {"message": "content policy"}})],
    )
    damaged, refused, fine = draw(fake, prompt(), prompt("b"), prompt("c"))
    assert (
        isinstance(damaged, Failure) and damaged.kind == "BadInput" and "http://fake sent" in damaged.message
    )
    assert isinstance(refused, Failure) and "content policy" in refused.message
    assert isinstance(fine, Picture)
