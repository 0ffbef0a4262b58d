from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actors.contracts import Dimension, PairRecord, PairSide, Prompt, Query
from actors.judge.calibration.gate import Check, Gate
from actors.judge.calibration.reliability import Quality
from actors.judge.calibration.report import CalibrationReport
from actors.pairs.card import card_of
from actors.pixels import Pixels, encode_png
from actors.reporting.card import card_page, card_sheet, embedded, linked, opened
from configs.calibration import GateSettings

HOSTILE = '<script>alert("x")</script> & 月亮'
REPORT = {
    "judge": "measured-1",
    "anchors": "constructed",
    "n": 240,
    "accuracy": 0.96,
    "accuracy_interval": [0.93, 0.98],
    "ece": 0.041,
    "parse_failure_rate": 0.0,
    "tie_rate": 0.02,
    "swap_consistency": None,
    "kappa": 0.91,
    "passed": False,
    "failed_checks": ["tie_rate 0.02 > 0.01", {"check": "ece", "value": 0.041, "bar": 0.03}],
}


@pytest.fixture(autouse=True)
def no_typeface(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cutting the glyphs out of the font is the slowest part of a page, and tested elsewhere."""
    monkeypatch.setattr("actors.reporting.page.face", lambda text: "")


class Reader(HTMLParser):
    """Text, links, balance and marked pictures of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.winners: list[str] = []
        self.frame = ""
        self.text = ""
        self.scripts = 0
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag == "img" and self.frame == "won":
            self.winners.append(dict(attrs)["src"] or "")
        if tag == "div":
            self.frame = dict(attrs).get("class") or ""
        if tag not in ("meta", "img", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open and "script" not in self.open:
            self.text += data


def a_pair(id: str, label: float = 0.9, text: str = "the moon", **more: Any) -> PairRecord:
    query = Query.of(text)

    def side(name: str) -> PairSide:
        prompt = Prompt.of(f"{text}, {name}", query=query, strategy_id="s", policy_version="p")
        path = f"pictures/{id}-{name}.png"
        return PairSide(prompt=prompt, sha256=f"{id}{name}", path=path, width=40, height=30)

    fields: dict[str, Any] = {
        "kind": "two_seeds",
        "scores": {Dimension.TOTAL: {"winner": 0.8, "loser": 0.6}},
        "labels": {Dimension.TOTAL: label, Dimension.COLOR: 1 - label},
        "versions": {"judge": "j-1"},
        **more,
    }
    return PairRecord(id=id, query=query, a=side("a"), b=side("b"), **fields)


def store(root: Path, record: PairRecord) -> None:
    for i, side in enumerate((record.a, record.b)):
        (root / side.path).parent.mkdir(parents=True, exist_ok=True)
        (root / side.path).write_bytes(encode_png(np.full((30, 40, 3), 50 + 100 * i, np.uint8)))


def a_page(records: list[PairRecord], report: dict[str, Any] | None = None, **run: Any) -> Reader:
    card = card_of(records, run or None)
    return Reader(card_page(card, report, linked(card.samples), name="pairs"))


def test_the_page_shows_the_card() -> None:
    records = [a_pair(f"r{i}", 0.9 if i % 2 else 0.2, "a lighthouse at dusk") for i in range(10)]
    run = {"requested": 10, "examined": 16, "accepted": 10, "rejected": {"easy": 4}, "quarantined": {"x": 2}}
    read = a_page(records, REPORT, **run)
    assert read.open == []
    for shown in (
        "a lighthouse",
        "灯塔",
        "Same prompt two seeds",
        "同一提示词不同种子",
        "easier than needed",
        "nothing lost",
        "96%",
        "93% – 98%",
        "gate refused",
        "tie_rate 0.02 > 0.01",
        "ece 0.041 0.03",
        "not agreement with people",
        "j-1",
    ):
        assert shown in read.text, shown
    assert "does not add up" not in read.text


def test_a_calibration_report_shows_the_calibrated_judge() -> None:
    missed = Check(name="ece", value=0.2, rule="at most", bar=0.15)
    quality = Quality(n=80, accuracy=0.7, ece=0.2)
    report = CalibrationReport(
        judge="measured",
        judge_version="measured-7",
        anchors="human",
        mode="pointwise",
        pairs=80,
        groups=20,
        questions=160,
        failures={},
        parse_failure_rate=0.0,
        tie_rate=0.1,
        swap_consistency=None,
        kappa=0.5,
        alpha=0.5,
        headline="total",
        before=quality,
        after=quality.model_copy(update={"accuracy": 0.77, "interval": (0.71, 0.83)}),
        sources={},
        dimensions={},
        slopes={},
        thresholds=GateSettings(),
        gate=Gate(checks=(missed,)),
        seed=0,
    )
    card = card_of([a_pair("1")])
    read = Reader(card_page(card, report))
    for shown in (
        "measured-7",
        "77%",
        "71% – 83%",
        "agreement with people",
        str(missed),
    ):
        assert shown in read.text, shown


def test_a_run_that_lost_samples_says_so() -> None:
    read = a_page([a_pair("1")], None, requested=1, examined=3, accepted=2, rejected={})
    assert read.text.count("does not add up") == 2


def test_the_winner_is_marked_on_its_side() -> None:
    assert a_page([a_pair("1", 0.9)]).winners == ["pictures/1-a.png"]
    assert a_page([a_pair("1", 0.1)]).winners == ["pictures/1-b.png"]
    assert a_page([a_pair("1", 0.5)]).winners == []
    assert ">99%" in a_page([a_pair("1", 0.999)]).text


def test_hostile_texts_are_only_text() -> None:
    record = a_pair("1", text=HOSTILE, versions={HOSTILE: HOSTILE})
    read = a_page([record], {"judge": HOSTILE, "failed_checks": [HOSTILE]}, rejected={HOSTILE: 1})
    assert read.open == [] and read.scripts == 1
    assert HOSTILE in read.text


@pytest.mark.parametrize("report", [None, {}, {"anchors": "human"}, {"accuracy": None, "n": "240"}])
def test_the_page_stands_what_is_missing(report: dict[str, Any] | None) -> None:
    bare = a_pair("1", scores={}, labels={}, kind="imported", labelled_by="human")
    for records in ([], [bare], [a_pair("2")]):
        assert a_page(records, report).open == []
    assert "Imported pairs keep" in a_page([bare], report).text
    assert "labels are a judge's" not in a_page([bare], report).text


def test_pictures_are_embedded_and_the_page_stays_small(tmp_path: Path) -> None:
    records = [a_pair(str(i)) for i in range(4)]
    for record in records[:2]:
        store(tmp_path, record)
    (tmp_path / records[2].a.path).write_bytes(b"no picture")
    found = opened(str(tmp_path), records)
    assert [record.id for record, _, _ in found] == ["0", "1"]
    page = card_page(card_of(records), REPORT, embedded(found))
    assert all(link.startswith("data:image/jpeg;base64,") for link in Reader(page).links)
    assert "url(http" not in page and len(page) < 300_000


def test_a_path_that_leaves_the_dataset_is_not_opened(tmp_path: Path) -> None:
    record = a_pair("1")
    store(tmp_path, record)
    (tmp_path / "inner").mkdir()
    for path in ("../pictures/1-a.png", str(tmp_path / "pictures/1-a.png")):
        sides = {name: getattr(record, name).model_copy(update={"path": path}) for name in ("a", "b")}
        assert opened(str(tmp_path / "inner"), [record.model_copy(update=sides)]) == []


def test_the_sheet_has_the_winner_on_the_left() -> None:
    dark, light = (np.full((30, 40, 3), value, np.uint8) for value in (10, 250))

    def left(record: PairRecord, a: Pixels, b: Pixels) -> int:
        sheet = card_sheet([(record, a, b)])
        return int(sheet[22 + 90, 22 + 120, 0])

    assert left(a_pair("1", 0.9), dark, light) == left(a_pair("1", 0.1), light, dark) == 10
    assert left(a_pair("1", 0.1), dark, light) == 250
    with pytest.raises(ValueError, match="0 pictures"):
        card_sheet([])
