import asyncio
import base64
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from actors.pixels import encode_png
from tests.serve_apps.app_kit import replica


def png(seed: int, width: int = 16, height: int = 16) -> bytes:
    return encode_png(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def b64(data: bytes) -> dict[str, str]:
    return {"b64_json": base64.b64encode(data).decode()}


def bomb() -> bytes:
    """A PNG that says it has 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def gif() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "GIF")
    return buffer.getvalue()


def test_pictures_are_reported_and_ranked(tmp_path: Path) -> None:
    async def check() -> None:
        async with replica(tmp_path) as kit:
            stored = kit.artifacts.put(png(1))
            items = [
                {"picture": {"sha256": stored}, "query": "a moon"},
                {
                    "picture": b64(png(2, 32, 18)),
                    "query": "a moon",
                    "prompt": "a moon, ink wash",
                    "title": "Moon",
                },
                {"picture": b64(png(3)), "query": "unjudgeable"},
                {"picture": b64(png(4)), "query": "a moon", "aspect": "3:4"},
            ]
            answer = await kit.http.post("/v1/scores", json={"items": items})
            assert answer.status_code == 200, answer.text
            reports = answer.json()["reports"]
            assert [report["index"] for report in reports] == [0, 1, 2, 3]
            assert reports[0]["sha256"] == stored
            assert reports[2]["error"] == "cannot judge" and reports[2]["picture_value"] is None
            assert reports[0]["reward"] is None and reports[0]["prompt_parts"] is None
            assert set(reports[1]["prompt_parts"]) == {"kept", "pinned", "consistent", "concise"}
            assert reports[1]["gates"] == {"audit:picture": True, "intent": True}
            by_value = sorted([0, 1, 3], key=lambda i: -reports[i]["picture_value"])
            assert answer.json()["ranking"] == by_value

    asyncio.run(check())


@pytest.mark.parametrize(
    ("picture", "says"),
    [
        ({"b64_json": "!!"}, "not base64"),
        ({"b64_json": ""}, "empty"),
        (b64(b"hello"), "no picture"),
        (b64(gif()), "no picture"),
        (b64(png(1)[:-40]), "cannot be read"),
        (b64(bomb()), ""),
        ({}, "exactly one"),
        ({"b64_json": "aaaa", "sha256": "0" * 64}, "exactly one"),
        ({"sha256": "xyz"}, "pattern"),
        ({"path": "/etc/passwd"}, "not a field"),
    ],
)
def test_bad_pictures_are_named(tmp_path: Path, picture: dict[str, Any], says: str) -> None:
    async def check() -> None:
        async with replica(tmp_path) as kit:
            items = [{"picture": b64(png(1)), "query": "ok"}, {"picture": picture, "query": "a moon"}]
            answer = await kit.http.post("/v1/scores", json={"items": items})
            assert answer.status_code == 422, answer.text
            error = answer.json()["error"]
            assert error["field"].startswith("items.1.picture")
            assert says in error["message"] and len(error["message"]) < 400

    asyncio.run(check())


def test_an_unknown_hash_is_not_found(tmp_path: Path) -> None:
    async def check() -> None:
        async with replica(tmp_path) as kit:
            items = [{"picture": {"sha256": "0" * 64}, "query": "a moon"}]
            answer = await kit.http.post("/v1/scores", json={"items": items})
            assert answer.status_code == 404 and str(tmp_path) not in answer.text

    asyncio.run(check())


@pytest.mark.parametrize(
    ("items", "says"),
    [
        ([], "at least 1"),
        ([{"picture": b64(png(1)), "query": "a moon"}] * 33, "1 to 32"),
        ([{"picture": b64(png(1)), "query": "unsafe"}], "audit refuses"),
    ],
)
def test_bad_lists(tmp_path: Path, items: list[Any], says: str) -> None:
    async def check() -> None:
        async with replica(tmp_path) as kit:
            answer = await kit.http.post("/v1/scores", json={"items": items})
            assert answer.status_code == 422 and says in answer.json()["error"]["message"]

    asyncio.run(check())
