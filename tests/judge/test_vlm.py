"""The judge over a vision chat service."""

import asyncio
import base64
import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.artifacts import Artifacts
from actors.contracts import Comparison, Dimension, Failure, Judgement, Picture, Query
from actors.judge.vlm.questions import ask_about, merge_orders
from actors.judge.vlm.worker import Vlm
from actors.pixels import decode
from configs.http import ChatSettings, HttpSettings
from configs.judge import VlmSettings
from tests.fake_service import HTML, FakeService, chat_json, png

ARTIFACTS = Artifacts("memory://vlm")
NAMED = Query.of('the moon over a lake, warm colours, "Night Tide"')
PLAIN = Query.of("雪山")
SCORED = [d.value for d in Dimension if d is not Dimension.LEGIBILITY]


def picture(seed: int, width: int = 64, height: int = 64) -> Picture:
    sha = ARTIFACTS.put(png(width, height, seed))
    return Picture(sha256=sha, width=width, height=height, prompt_id="p", seed=seed, generator_version="g")


def verdict(**change: Any) -> dict[str, Any]:
    fields = {"observations": "a moon", "confidence": 8} | dict.fromkeys(SCORED, 7)
    return fields | change


def vlm(fake: FakeService, side: int = 1024) -> Vlm:
    http = HttpSettings(base_url="http://fake/v1", model="m", retries=0, max_in_flight=1)
    settings = VlmSettings(http=http, chat=ChatSettings(repairs=0), picture_side_px=side)
    return Vlm(settings, ARTIFACTS, transport=fake.transport)


def judge(answer: Any, query: Query) -> Judgement | Failure:
    reply = answer if isinstance(answer, httpx.Response) else chat_json(json.dumps(answer))
    return asyncio.run(vlm(FakeService(script=[reply])).judge([picture(1)], [query]))[0]


def test_scores_and_gates_of_what_the_query_names():
    named = {
        "legibility": 4,
        "subjects_present": {"moon": True, "lake": False},
        "title_readable": True,
        "palette_matches": False,
    }
    judged = judge(verdict(**named), NAMED)
    assert isinstance(judged, Judgement)
    assert judged.score(Dimension.TOTAL) == 0.7 and judged.score(Dimension.LEGIBILITY) == 0.4
    assert judged.gates == {"subject:moon": True, "subject:lake": False, "title": True, "palette": False}
    assert (judged.confidence, judged.rationale) == (0.8, "a moon")
    assert json.loads(judged.raw) == verdict(**named)
    assert judged.judge_version.startswith("vlm-1:m:")


def test_what_the_query_does_not_name_is_absent():
    judged = judge(verdict(subjects_present={"snowy_hills": True}), PLAIN)
    assert isinstance(judged, Judgement)
    assert judged.score(Dimension.LEGIBILITY) is None
    assert judged.gates == {"subject:snowy_hills": True}


def test_subjects_outside_the_vocabulary_have_one_gate():
    truck = Query.of("a blue semi-truck")
    judged = judge(verdict(others_present=False), truck)
    assert isinstance(judged, Judgement) and judged.gates == {"subject:others": False}
    assert "truck" not in ask_about(truck, "judge").text


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (verdict(total=70, subjects_present={"snowy_hills": True}), "BadAnswer", "total"),
        (verdict(total="7", subjects_present={"snowy_hills": True}), "BadAnswer", "total"),
        (verdict(), "BadAnswer", "subjects_present"),
        (verdict(subjects_present={}), "BadAnswer", "snowy_hills"),
        (chat_json('{"total": NaN}'), "BadAnswer", "NaN"),
        (chat_json("A fine picture, 9/10"), "BadAnswer", "no JSON object"),
        (HTML, "BadAnswer", "web page"),
        (httpx.Response(500), "ServiceFailed", "500"),
    ],
)
def test_an_answer_that_cannot_be_read_is_a_record(answer: Any, kind: str, says: str):
    failed = judge(answer, PLAIN)
    assert isinstance(failed, Failure) and (failed.stage, failed.kind) == ("judge", kind)
    assert says in failed.message


def test_one_failure_spoils_no_other():
    good = chat_json(json.dumps(verdict(subjects_present={"snowy_hills": True})))
    worker = vlm(FakeService(script=[good, httpx.Response(500), good]))
    lost = picture(2).model_copy(update={"sha256": "0" * 64})
    pictures = [picture(1), picture(2), picture(3), lost]
    answers = asyncio.run(worker.judge(pictures, [PLAIN] * 4))
    assert sorted(type(a).__name__ for a in answers[:3]) == ["Failure", "Judgement", "Judgement"]
    assert isinstance(answers[3], Failure) and answers[3].kind == "ArtifactMissing"


def test_the_picture_is_sent_reduced_and_the_query_as_material():
    fake = FakeService(script=[httpx.Response(500)])
    asyncio.run(vlm(fake, side=64).judge([picture(1, 256, 128)], [NAMED]))
    system, user = fake.bodies[0]["messages"]
    uri = user["content"][0]["image_url"]["url"]
    assert decode(base64.b64decode(uri.partition(",")[2])).shape == (32, 64, 3)
    asked = {"request": NAMED.text, "frame": "1:1", "title": "Night Tide"}
    assert json.loads(user["content"][1]["text"]) == asked
    assert "Night Tide" not in system["content"]


def compare(first: dict[str, Any], second: dict[str, Any]) -> Comparison | Failure:
    fake = FakeService(script=[chat_json(json.dumps(first)), chat_json(json.dumps(second))])
    return asyncio.run(vlm(fake).compare([(picture(1), picture(2))], [PLAIN]))[0]


def preference(total: float, rest: float = 5) -> dict[str, Any]:
    return {"observations": "they differ"} | dict.fromkeys(SCORED, rest) | {"total": total}


def test_compare_asks_in_both_orders_and_averages():
    fake = FakeService(script=[chat_json(json.dumps(preference(9))), chat_json(json.dumps(preference(3)))])
    compared = asyncio.run(vlm(fake).compare([(picture(1), picture(2))], [PLAIN]))[0]
    assert isinstance(compared, Comparison)
    assert compared.first_wins[Dimension.TOTAL] == pytest.approx(0.8)
    assert compared.first_wins[Dimension.COLOR] == 0.5
    assert Dimension.LEGIBILITY not in compared.first_wins
    assert compared.consistent and len(compared.raw) == 2
    there, back = (body["messages"][1]["content"][:2] for body in fake.bodies)
    assert there == back[::-1] and there != back


def test_a_judge_that_prefers_a_place_is_inconsistent():
    compared = compare(preference(9), preference(9))
    assert isinstance(compared, Comparison)
    assert not compared.consistent and compared.first_wins[Dimension.TOTAL] == 0.5


def test_a_comparison_with_one_unreadable_order_is_a_record():
    assert isinstance(compare(preference(9), {"total": 3}), Failure)


@given(st.floats(0, 10), st.floats(0, 10))
def test_swapping_the_pictures_mirrors_the_comparison(forward: float, backward: float):
    wins, agree = merge_orders(preference(forward), preference(backward))
    mirrored, agree_too = merge_orders(preference(backward), preference(forward))
    assert agree == agree_too
    assert wins[Dimension.TOTAL] == pytest.approx(1 - mirrored[Dimension.TOTAL])
    assert 0 <= wins[Dimension.TOTAL] <= 1
