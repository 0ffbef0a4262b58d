"""The page of a search of strategies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.contracts import Strategy
from actors.reporting import page as page_module
from actors.reporting.evolution import HEIGHT, LOOKS, WIDTH, changes, evolution_page, lineage_chart
from actors.reporting.page import words

HOSTILE = '<script>alert("x")</script> & 月亮'
SEED = Strategy.of({"rules": "when title: negative space\nalways: soft light\n", "avoid": "neon"})
BEST = Strategy.of({"rules": "when mood=calm: cool colours\nwhen title: negative space\n", "avoid": "neon"})


@dataclass(frozen=True)
class Member:
    """A member of a search."""

    parents: tuple[int, ...] = ()
    origin: str = "seed"
    island: int = 0
    score: float = 0.5
    complete: bool = True
    on_front: bool = True
    calls: int = 10


FAMILY = [
    Member(on_front=False, score=0.41),
    Member((0,), "mutation", score=0.523, calls=50),
    Member((1,), "mutation", complete=False, on_front=False, score=0.31, calls=80),
    Member(island=1, score=0.41, on_front=False),
    Member((), "migrant", 1, score=0.523, calls=90),
    Member((3, 4), "merge", 1, score=0.587, calls=140),
    Member((4, 5), "crossover", 1, score=0.631, calls=190),
]


@pytest.fixture(scope="module", autouse=True)
def without_fonts() -> Iterator[None]:
    """Pages without their Chinese glyphs, which take most of a page's time and are tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_module, "face", lambda text: "")
        yield


class Reader(HTMLParser):
    """Text, tags and balance of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.title = ""
        self.diff: list[tuple[str, str]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "svg" not in self.open and self.open[-1:] == ["title"]:
            self.title += data
        if "style" not in self.open and "script" not in self.open:
            self.text += data
        if "pre" in self.open and data.strip():
            self.diff.append((self.tags[-1][1].get("class") or "", data))


def a_summary(**search: Any) -> dict[str, Any]:
    arm = {"admission": 0.5, "admission_interval": (0.44, 0.56)}
    run = {"metric_calls": 190, "proposals": 17, "money": 0.0, "worker_use": 0.96, "stopped": "all is spent"}
    return {
        "search": {**run, **search},
        "seed": arm,
        "best": {**arm, "admission": 0.63},
        "gain": 0.13,
        "unseen_queries": 120,
        "distill_records": 305,
    }


def template() -> str:
    return files("actors.reporting").joinpath("templates", "evolution.html.j2").read_text("utf-8")


def test_the_page_shows_members_of_every_origin() -> None:
    read = Reader(evolution_page(a_summary(money=1.5), FAMILY, SEED, BEST))
    assert read.open == []
    circles = [attributes for tag, attributes in read.tags if tag == "circle"]
    assert len(circles) == len(FAMILY)
    assert [circle["class"] for circle in circles] == [LOOKS[member.origin] for member in FAMILY]
    assert [circle["fill"] for circle in circles].count("none") == 1
    sizes = [(member.on_front, circle["r"]) for circle, member in zip(circles, FAMILY, strict=True)]
    assert set(sizes) == {(True, "4.5"), (False, "2.5")}
    lines = [attributes for tag, attributes in read.tags if tag == "line" and "stroke-opacity" in attributes]
    assert len(lines) == sum(len(member.parents) for member in FAMILY)
    facts = "Islands岛屿 2", "Given up early提前放弃 1", "Money for reflection反思花费 1.50"
    for shown in ("63%", "+13", "190", "305", "mutation改写 2", "migrant迁入 1", "96%", *facts):
        assert shown in read.text, shown


def test_ways_to_come_to_be_look_different() -> None:
    assert len(set(LOOKS.values())) == len(LOOKS)
    style = files("actors.reporting").joinpath("templates", "style.css").read_text("utf-8")
    assert all(f".{look} {{ color:" in style for look in LOOKS.values())


def test_the_frontier_is_sorted_and_counts_generations() -> None:
    page = evolution_page(a_summary(), FAMILY, SEED, BEST)
    body = page[page.index("<tbody>") : page.index("</tbody>")]
    rows = [re.findall(r'class="(?:r )?num">([^<]*)<', row) for row in body.split("</tr>")[:-1]]
    assert rows == [
        ["6", "0.631", "2", "190"],
        ["5", "0.587", "1", "140"],
        ["1", "0.523", "1", "50"],
        ["4", "0.523", "0", "90"],
    ]


def test_a_child_that_was_admitted_before_its_parent_has_its_generation() -> None:
    family = [
        Member(on_front=False),
        Member((2,), "mutation", score=0.6),
        Member((0,), "mutation", score=0.55),
    ]
    page = evolution_page(a_summary(), family, SEED, BEST)
    body = page[page.index("<tbody>") : page.index("</tbody>")]
    assert re.findall(r'class="r num">(\d)<', body) == ["2", "1"]


def test_the_best_by_mean_stands_first_even_off_the_frontier() -> None:
    family = [
        Member(score=0.6),
        Member((0,), "mutation", on_front=False, score=0.7),
        Member((0,), "mutation", on_front=False, complete=False, score=0.9),
    ]
    page = evolution_page(a_summary(), family, SEED, BEST)
    assert re.findall(r'<th scope="row" class="num">(\d)<', page) == ["1", "0"]


def test_equal_members_are_told_apart() -> None:
    page = evolution_page(a_summary(), [Member(), Member()], SEED, BEST)
    assert re.findall(r'<th scope="row" class="num">(\d)<', page) == ["0", "1"]


def test_words_and_template_agree() -> None:
    known = {key for key in words() if key.startswith("evo_")}
    text = template()
    named = set(re.findall(r't\("(evo_\w+?)"[,)]', text))
    built = set(re.findall(r't\("(evo_\w+_)" ~', text))
    assert built == {"evo_origin_", "evo_component_"}
    assert named <= known
    assert {key for key in known - named if not key.startswith(tuple(built))} == set()
    assert {key.removeprefix("evo_origin_") for key in known if key.startswith("evo_origin_")} == set(LOOKS)


def test_both_languages_are_there() -> None:
    read = Reader(evolution_page(a_summary(), FAMILY, SEED, BEST))
    for key in ("evo_title", "evo_lead", "evo_tree_lead", "evo_front_lead", "evo_changes_lead", "evo_ended"):
        english, chinese = words()[key]
        assert english in read.text and chinese in read.text


@pytest.mark.parametrize("where", ["text", "component", "run", "stopped"])
def test_hostile_texts_are_only_text(where: str) -> None:
    summary = a_summary(stopped=HOSTILE if where == "stopped" else "spent")
    summary |= {"run": HOSTILE} if where == "run" else {}
    best = {"text": {"rules": HOSTILE}, "component": {HOSTILE: "new"}}.get(
        where, {"rules": "always: soft light"}
    )
    read = Reader(evolution_page(summary, FAMILY, SEED, Strategy.of(best)))
    assert read.open == [] and [tag for tag, _ in read.tags].count("script") == 1
    assert HOSTILE in read.text


def test_the_title_is_plain_text() -> None:
    assert Reader(evolution_page(a_summary(), FAMILY, SEED, BEST)).title == "Atelier · Atelier"
    assert Reader(evolution_page({**a_summary(), "run": "r-1"}, FAMILY, SEED, BEST)).title == "r-1 · Atelier"


def test_changes_mark_new_and_gone_lines() -> None:
    assert changes(SEED, BEST) == {
        "rules": [
            ("new", "when mood=calm: cool colours"),
            ("same", "when title: negative space"),
            ("gone", "always: soft light"),
        ]
    }
    assert changes(SEED, SEED) == {}
    new = Strategy.of({**SEED.components, "instruction": "Be bold.\nBe brief."})
    assert changes(SEED, new) == {"instruction": [("new", "Be bold."), ("new", "Be brief.")]}
    assert changes(SEED, Strategy.of({**SEED.components, "avoid": ""})) == {"avoid": [("gone", "neon")]}
    read = Reader(evolution_page(a_summary(), FAMILY, SEED, BEST))
    assert read.diff == changes(SEED, BEST)["rules"]


def test_a_rule_in_other_words_is_the_same() -> None:
    before = "# by hand\nwhen subject=moon|stars: soft light, watercolour\nnot a rule"
    after = "# by hand\nwhen subject=stars|moon: watercolour, soft light\nnot a rule"
    assert changes(Strategy.of({"rules": before}), Strategy.of({"rules": after})) == {}
    other = after.replace("soft", "bright")
    ((_, lines),) = changes(Strategy.of({"rules": before}), Strategy.of({"rules": other})).items()
    assert [kind for kind, _ in lines] == ["same", "gone", "new", "same"]
    said = changes(Strategy.of({"avoid": "soft light, neon"}), Strategy.of({"avoid": "neon, soft light"}))
    assert len(said["avoid"]) == 2


@pytest.mark.parametrize(("gain", "shown"), [(0.13, "+13"), (-0.029, "-3"), (-0.001, "+0"), (0.0, "+0")])
def test_a_gain_has_its_sign(gain: float, shown: str) -> None:
    page = evolution_page({**a_summary(), "gain": gain}, FAMILY, SEED, BEST)
    assert f"<b>{shown}</b>" in page


def test_a_search_that_found_nothing_is_shown() -> None:
    read = Reader(evolution_page(a_summary(), [Member(calls=0, score=0.0)], SEED, SEED))
    assert read.open == [] and words()["evo_nothing"][0] in read.text
    assert "Money" not in read.text


numbers = st.floats(0, 1) | st.sampled_from([0.0, 0.05, 0.3, 0.35, 0.6, 0.7, 1.0]) | st.floats(-1e3, 1e3)


@st.composite
def families(draw: st.DrawFn) -> list[Member]:
    members: list[Member] = []
    for place in range(draw(st.integers(1, 6))):
        parents = draw(st.lists(st.integers(0, place - 1), max_size=2, unique=True)) if place else []
        members.append(
            Member(
                tuple(parents),
                draw(st.sampled_from([*LOOKS, "other"])),
                score=draw(numbers),
                complete=draw(st.booleans()),
                calls=draw(st.integers(0, 10**6)),
            )
        )
    return members


@given(families())
@settings(max_examples=60, deadline=None)
def test_the_chart_stays_inside_its_frame(members: list[Member]) -> None:
    svg = str(lineage_chart(members))
    xs = re.findall(r' (?:x|x1|x2|cx)="([^"]*)"', svg)
    ys = re.findall(r' (?:y|y1|y2|cy)="([^"]*)"', svg)
    for points in re.findall(r'points="([^"]*)"', svg):
        for point in points.split():
            xs.append(point.split(",")[0])
            ys.append(point.split(",")[1])
    assert all(5 <= float(x) <= WIDTH - 5 for x in xs)
    assert all(5 <= float(y) <= HEIGHT - 5 for y in ys)
    assert svg.count("<circle") == len(members)


@given(families())
@settings(max_examples=40, deadline=None)
def test_ticks_are_few_and_differ(members: list[Member]) -> None:
    svg = str(lineage_chart(members))
    labels = re.findall(r'class="tick" text-anchor="\w+">([^<]*)<', svg)
    upright = labels[: svg.count('class="grid"')]
    for side in (upright, labels[len(upright) :]):
        assert 2 <= len(side) <= 9 and len(set(side)) == len(side)


def test_ticks_are_round() -> None:
    svg = str(lineage_chart([Member(score=0.452, calls=0), Member(score=0.748, calls=11927)]))
    labels = re.findall(r'class="tick" text-anchor="\w+">([^<]*)<', svg)
    assert labels[:7] == ["0.45", "0.50", "0.55", "0.60", "0.65", "0.70", "0.75"]
    assert labels[7:] == ["0", "2000", "4000", "6000", "8000", "10000"]


def test_the_best_line_never_falls_and_skips_who_gave_up() -> None:
    ends = [Member(score=0.9, complete=False, calls=300), Member((0,), "mutation", score=0.2, calls=400)]
    svg = str(lineage_chart([*FAMILY, *ends]))
    (points,) = re.findall(r'points="([^"]*)"', svg)
    ys = [float(point.split(",")[1]) for point in points.split()]
    xs = [float(point.split(",")[0]) for point in points.split()]
    assert ys == sorted(ys, reverse=True) and xs == sorted(xs)
    centres = [float(y) for y in re.findall(r'cy="([^"]*)"', svg)]
    assert min(ys) == centres[6] and xs[-1] == WIDTH - 18
