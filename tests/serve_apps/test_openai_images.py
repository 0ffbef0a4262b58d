import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.contracts import ASPECTS, nearest_aspect
from tests.serve_apps.app_kit import replica


def test_pictures_come_in_the_shape_of_the_openai_api(tmp_path: Path) -> None:
    async def check() -> None:
        async with replica(tmp_path) as kit:
            body = {"prompt": "a moon", "n": 3, "size": "1792x1024", "model": "any", "quality": "hd"}
            answer = await kit.http.post("/v1/images/generations", json=body)
            assert answer.status_code == 200, answer.text
            assert set(answer.json()) == {"created", "data", "size", "output_format"}
            pictures = [base64.b64decode(item["b64_json"]) for item in answer.json()["data"]]
            assert len(pictures) == 3 and all(picture.startswith(b"\x89PNG") for picture in pictures)
            assert all(set(item) == {"b64_json", "revised_prompt"} for item in answer.json()["data"])
            linked = await kit.http.post("/v1/images/generations", json=body | {"response_format": "url"})
            urls = [item["url"] for item in linked.json()["data"]]
            assert urls[0].startswith("http://test/v1/pictures/")
            assert (await kit.http.get(urls[0])).content == pictures[0]

    asyncio.run(check())


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": "unsafe"}, None),
        ({"n": 0}, "n"),
        ({"n": 1000}, "n"),
        ({"size": "huge"}, "size"),
        ({"size": "0x10"}, "size"),
        ({"size": "\u00b2x1"}, "size"),
        ({"response_format": "gif"}, "response_format"),
    ],
)
def test_errors_come_in_the_shape_of_the_openai_api(
    tmp_path: Path, change: dict[str, Any], param: str | None
) -> None:
    async def check() -> None:
        async with replica(tmp_path) as kit:
            answer = await kit.http.post("/v1/images/generations", json={"prompt": "a moon"} | change)
            assert answer.status_code == 422
            error = answer.json()["error"]
            assert set(error) == {"message", "type", "param", "code", "request_id"}
            assert error["type"] == "invalid_request_error" and error["param"] == param

    asyncio.run(check())


def test_a_failed_job_is_an_error(tmp_path: Path) -> None:
    async def check() -> None:
        async with replica(tmp_path) as kit:
            answer = await kit.http.post("/v1/images/generations", json={"prompt": "undrawable"})
            assert answer.status_code == 503
            assert answer.json()["error"]["type"] == "server_error"
            assert "cannot draw" in answer.json()["error"]["message"]

    asyncio.run(check())


@given(st.integers(1, 99_999), st.integers(1, 99_999))
def test_the_nearest_aspect_is_nearest(width: int, height: int) -> None:
    def off(aspect: str) -> float:
        w, h = ASPECTS[aspect]
        return max(width * h / (height * w), height * w / (width * h))

    assert off(nearest_aspect(width, height)) == min(map(off, ASPECTS))


def test_each_aspect_is_nearest_to_itself() -> None:
    assert all(nearest_aspect(w * 97, h * 97) == name for name, (w, h) in ASPECTS.items())
