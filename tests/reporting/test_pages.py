from __future__ import annotations

import base64
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actors.artifacts import Artifacts
from actors.contracts import Dimension, Draw, Failure, Judgement, Picture, Prompt, Query, Reward
from actors.pixels import decode, encode_png
from actors.reporting.charts import HEIGHT, WIDTH, share_curves
from actors.reporting.imagine import covers_page, imagine_page
from actors.reporting.loop import loop_page, pairs
from actors.reporting.page import bilingual, thumbnail, words
from actors.reporting.typeface import face
from actors.reporting.views import view
from configs.reward import RewardSettings

SETTINGS = RewardSettings()
HOSTILE = '<script>alert("x")</script> & 月亮'


class Reader(HTMLParser):
    """Text, links and balance of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.scripts = 0
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "link", "line", "polyline"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open and "script" not in self.open:
            self.text += data


def a_draw(query: Query, index: int, admitted: bool, artifacts: Artifacts | None = None) -> Draw:
    prompt = Prompt.of(f"{query.text}, v{index}", query=query, strategy_id="s", policy_version="p")
    sha = artifacts.put(encode_png(np.full((30, 40, 3), index, np.uint8))) if artifacts else "0" * 64
    picture = Picture(
        sha256=sha,
        width=40,
        height=30,
        prompt_id=prompt.id,
        seed=index,
        generator_version="g",
        notes=("note",),
    )
    judgement = Judgement(
        scores={Dimension.COLOR: 0.3 + 0.6 * admitted, Dimension.LEGIBILITY: None}, judge_version="j"
    )
    reward = Reward(
        value=0.8 if admitted else 0.0,
        admitted=admitted,
        gates={"subject:moon": admitted},
        picture=0.8,
        prompt=0.9,
        parts={"color": 0.3},
    )
    return Draw(
        query_id=query.id, index=index, prompt=prompt, picture=picture, judgement=judgement, reward=reward
    )


def a_failure(query: Query) -> Draw:
    failure = Failure(stage="generator", kind="TimedOut", message="no answer <here>")
    return Draw(query_id=query.id, index=0, failure=failure)


def an_arm(admission: float | None, **more: Any) -> dict[str, Any]:
    arm = {
        "admission": admission,
        "admission_interval": (0.1, 0.9),
        "draws_per_admitted": 1 / admission if admission else None,
        "real_admission": None,
        "real_admission_interval": None,
        "reward": 0.5,
        "reward_by_dimension": {"color": 0.5},
        "failure_causes": {"subject": 0.5, "failed:generator": 0.5},
        "admission_by_bar": [1.0, 0.5, 0.0],
        "draws_per_second": 9.0,
    }
    return arm | more


SUMMARY = {
    "raw": an_arm(0.2),
    "expander_bank": an_arm(0.8),
    "bars": [0.0, 0.5, 1.0],
    "bar": 0.7,
    "profile": "embedded",
    "run": "r-1",
}


def test_hostile_texts_are_only_text() -> None:
    query = Query.of(HOSTILE, title=HOSTILE)
    page = imagine_page(
        query, [view(query, a_draw(query, 0, True), SETTINGS, "a.png", "a.png")], 0, profile="p", versions={}
    )
    read = Reader(page)
    assert read.open == []
    assert read.scripts == 1
    assert HOSTILE in read.text


def test_pages_need_nothing_from_elsewhere(tmp_path: Path) -> None:
    artifacts, query = Artifacts(str(tmp_path)), Query.of("the moon")
    before = [a_draw(query, 0, False, artifacts)]
    after = [a_draw(query, 1, True, artifacts)]
    shown = pairs([query], before, after, artifacts, SETTINGS)
    for page in (
        loop_page(SUMMARY, shown),
        covers_page([view(query, after[0], SETTINGS, "pictures/a.png")], profile="p"),
    ):
        read = Reader(page)
        assert read.open == []
        assert all(link.startswith(("data:image/", "pictures/")) for link in read.links)
        assert "url(http" not in page and "@import" not in page


def test_the_loop_page_shows_the_summary() -> None:
    read = Reader(loop_page(SUMMARY))
    for shown in (
        "80%",
        "20%",
        "4.0×",
        "1.25",
        "10% – 90%",
        "Subject missing",
        "缺少主体",
        "failed: generator",
    ):
        assert shown in read.text, shown


def test_the_loop_page_stands_an_empty_summary() -> None:
    assert Reader(loop_page({"run": "r", "bar": 0.7, "profile": "p"})).open == []
    lonely = {**SUMMARY, "raw": an_arm(None, failure_causes={}, reward=None, admission_by_bar=[])}
    assert Reader(loop_page(lonely)).open == []


def test_the_double_loop_shows_its_stages_and_how_practice_went() -> None:
    said = {"copied": 1.0, "tails": 12, "characters": 90, "intent": 0.9}
    shares = {name: {"admission": 0.5} for name in ("familiar", "strange")}
    ends = dict.fromkeys(("admission", "reward", "entropy", "kl", "length"), 0.5)
    course = [{"draws": 1500, "best": 0.4, "other": 0.1}, {"draws": 6000, "best": 0.9, "other": 0.8}]
    summary = {
        **SUMMARY,
        "search": an_arm(0.5),
        "best_of_k": an_arm(0.6, k=4),
        "sft": an_arm(0.7, **said, **shares),
        "policy_after": an_arm(0.8, **said, **shares),
        "gains": {"sft": {"points": 0.1, "interval": (0.05, 0.15)}},
        "training": {"first": ends, "last": ends, "imagined": False},
        "stages": {"practice": {"draws": 6000, "seconds": 60}},
        "practice": course,
    }
    read = Reader(loop_page(summary))
    assert read.open == []
    for shown in ("Practice and lessons", "练习与教材", "Held for the best", "4,500", "6,000"):
        assert shown in read.text, shown
    assert "Held for the best" not in Reader(loop_page({**summary, "practice": course[:1]})).text


def test_failures_are_shown_in_place_of_pictures() -> None:
    query = Query.of("the moon")
    page = imagine_page(
        query, [view(query, a_failure(query), SETTINGS, None)], None, profile="p", versions={}
    )
    assert "no answer <here>" in Reader(page).text


def test_pairs_keep_queries_together_and_show_losses(tmp_path: Path) -> None:
    artifacts = Artifacts(str(tmp_path))
    queries = [Query.of(f"q{i}") for i in range(12)]
    before = [a_draw(q, k, False, artifacts) for q in queries for k in range(2)]
    after = [a_draw(q, k, i % 2 == 0, artifacts) for i, q in enumerate(queries) for k in range(2)]
    shown = pairs(queries, before, after, artifacts, SETTINGS, limit=8)
    assert all(a.query == b.query and a.prompt.startswith(a.query.text + ",") for a, b in shown)
    assert [b.admitted for _, b in shown].count(False) == 2
    assert len({a.query.id for a, _ in shown}) == len(shown) == 8


def test_a_lost_picture_does_not_lose_the_page(tmp_path: Path) -> None:
    query = Query.of("q")
    ((before, _),) = pairs(
        [query], [a_draw(query, 0, False)], [a_draw(query, 0, True)], Artifacts(str(tmp_path)), SETTINGS
    )
    assert before.image is None


def test_every_word_has_two_languages() -> None:
    assert all(len(pair) == 2 and all(pair) for pair in words().values())
    assert "not &lt;known&gt;" in bilingual("absent", "not <known>")


def test_a_thumbnail_is_a_small_jpeg() -> None:
    uri = thumbnail(np.zeros((600, 300, 3), np.uint8), 120)
    pixels = decode(base64.b64decode(uri.partition(",")[2]))
    assert pixels.shape == (120, 60, 3)


def test_chinese_glyphs_travel_with_the_page() -> None:
    assert face("plain text") == ""
    assert "data:font/woff;base64," in face("月亮")
    assert len(face("月亮")) < 20_000


def test_an_axis_may_end_in_thousands() -> None:
    svg = share_curves([1500, 6000], {"raw": [0.0, 1.0]}, end=6000)
    assert ">4,500</text>" in svg and ">6,000</text>" in svg
    share = share_curves([0.25, 1.0], {"raw": [0.0, 1.0]})
    assert svg.split("points=")[1] == share.split("points=")[1]


def test_curves_stay_inside_the_chart() -> None:
    svg = share_curves([0.0, 0.5, 1.0], {"raw": [1.0, 0.5, 0.0]}, marker=0.7)
    (points,) = [part.split('"')[0] for part in str(svg).split('points="')[1:]]
    ys = [float(point.split(",")[1]) for point in points.split()]
    xs = [float(point.split(",")[0]) for point in points.split()]
    assert ys == sorted(ys) and max(ys) < HEIGHT and min(ys) > 0
    assert xs == sorted(xs) and max(xs) < WIDTH
    with pytest.raises(ValueError, match="argument"):
        share_curves([0.0], {"raw": [1.0, 0.5]})
