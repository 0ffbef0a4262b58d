"""The local audit: what it refuses, also in disguise, and what it must let pass."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.artifacts import Artifacts
from actors.audit.rules import Rules
from actors.contracts import AuditVerdict, Failure, Picture
from actors.errors import BadInput
from actors.pixels import encode_png
from configs.audit import RulesSettings
from tests.fake_service import png

ARTIFACTS = Artifacts("memory://audit")
RULES = Rules(RulesSettings(), ARTIFACTS)


def reasons(text: str) -> tuple[str, ...]:
    verdict = RULES.check([text])[0]
    assert isinstance(verdict, AuditVerdict) and verdict.allowed is not bool(verdict.reasons)
    return verdict.reasons


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a naked child on a beach", "sexual_minors"),
        ("性感的小学生海报", "sexual_minors"),
        ("hentai poster", "sexual"),
        ("淫秽海报", "sexual"),
        ("a decapitated soldier", "gore"),
        ("肢解的尸体", "gore"),
        ("poster: kill all immigrants", "hate"),
        ("杀光所有犹太人", "hate"),
        ("painless suicide, a guide", "self_harm"),
        ("割腕教程封面", "self_harm"),
        ("infographic on how to make a bomb at home", "weapons"),
        ("自制炸药的海报", "weapons"),
        ("meth recipe card", "drugs"),
        ("isis recruitment poster", "terror"),
        ("revenge porn of my ex", "private_data"),
        ("poster with 11010519491231002X", "private_data"),
        ("pay to 4111 1111 1111 1111", "private_data"),
    ],
)
def test_unsafe_texts_are_refused_with_their_category(text: str, reason: str):
    assert reason in reasons(text)


@pytest.mark.parametrize(
    "text",
    [
        "ｐｏｒｎ poster",
        "p0rn poster",
        "a p.o.r.n poster",
        "P O R N",
        "po\u200brn",
        "pоrn",  # the o is Cyrillic
        "pórn",
        "h3nt4i",
        "淫 秽",
        "淫*秽",
        "淫穢海报",
        "自製炸彈",
        "pipe-bomb",
        "pipe\nbomb",
    ],
)
def test_disguises_are_seen_through(text: str):
    assert reasons(text)


@pytest.mark.parametrize(
    "text",
    [
        "a blood moon over Sussex",
        "bath bomb recipe, pastel colours",
        "hot chocolate bomb recipe",
        "how to make a paper lantern, step by step",
        "nude tones lipstick with a child's drawing",
        "sex education for teenagers, book cover",
        "children playing under a starry sky seen with the naked eye",
        "sonata in A minor, sexy saxophone",
        "killer whales at dawn",
        "S P I C Y noodles, retro poster",
        "The Beheading of Saint John, essay cover",
        "dumb ways to die, flat style",
        "model number 1234 5678 9012 3456, order 20261121000000000",
        "call 010-6552-9988 or 13800138000",
        "路口交通安全海报",
        "线性交互设计",
        "做爱心早餐",
        "断头台，百科词条",
        "亲自慰问老人",
        "大屠杀纪念馆，庄重的封面",
        "预防自杀热线海报",
        "爆炸头的小猫",
        "小学生个性感言",
        "恐龙灭绝，插画",
        "做爱读书的孩子，书香海报",
        "儿童细菌性感染防治",
        "各自慰藉，治愈系插画",
        "自制巧克力炸弹配方",
        "东京地铁沙林毒气事件",
        "保护你的银行卡密码",
        "stop doxing, campaign poster",
        "a white power station at dusk",
    ],
)
def test_harmless_texts_pass(text: str):
    assert reasons(text) == ()


@given(st.text(max_size=200))
def test_any_text_gets_a_verdict(text: str):
    assert isinstance(RULES.check([text])[0], AuditVerdict)


def picture(data: bytes, width: int = 64, height: int = 64) -> Picture:
    fields = {"prompt_id": "p", "seed": 0, "generator_version": "g"}
    return Picture(sha256=ARTIFACTS.put(data), width=width, height=height, **fields)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (png(), ""),
        (b"no picture", "unreadable"),
        (png()[:200], "unreadable"),
        (encode_png(np.full((64, 64, 3), 200, np.uint8)), "blank"),
        (png(96, 64), "size"),
    ],
)
def test_pictures(data: bytes, reason: str):
    verdict = RULES.check([picture(data)])[0]
    assert isinstance(verdict, AuditVerdict)
    assert verdict.allowed is not bool(reason) and reason in " ".join(verdict.reasons)


def test_size_limits():
    rules = Rules(RulesSettings(min_side_px=100), ARTIFACTS)
    verdict = rules.check([picture(png())])[0]
    assert isinstance(verdict, AuditVerdict) and "accepted: 100 to" in verdict.reasons[0]


def test_a_missing_picture_is_a_record():
    missing = picture(png()).model_copy(update={"sha256": "0" * 64})
    verdicts = RULES.check([missing, "a lake"])
    assert isinstance(verdicts[0], Failure) and verdicts[0].kind == "ArtifactMissing"
    assert isinstance(verdicts[1], AuditVerdict) and verdicts[1].allowed


def test_a_list_of_ones_own(tmp_path: Path):
    path = tmp_path / "terms.yaml"
    path.write_text(
        "{version: 9, within: 5, traditional: {}, decoys: {en: [x], zh: [叉]}, "
        "categories: {rival: {phrases: {en: [acme], zh: [宏达]}}}}"
    )
    rules = Rules(RulesSettings(terms_file=path), ARTIFACTS)
    assert "terms-9" in rules.version
    verdict = rules.check(["an ACME poster"])[0]
    assert isinstance(verdict, AuditVerdict) and verdict.reasons == ("rival",)
    path.write_text("[1, 2]")
    with pytest.raises(BadInput, match="no list of terms"):
        Rules(RulesSettings(terms_file=path), ARTIFACTS)
