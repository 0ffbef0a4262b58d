import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import vocabulary
from actors.contracts import Query
from actors.vocabulary import FACETS, read, read_query


def test_reads_english_facets() -> None:
    reading = read("watercolour of birds in flight at dusk in winter, cool colours, rule of thirds")
    assert reading.keys("subject") == ("birds",)
    assert reading.first("style") == "watercolour"
    assert reading.first("time") == "dusk"
    assert reading.first("season") == "winter"
    assert reading.first("palette") == "cool"
    assert reading.first("layout") == "thirds"
    assert reading.unknown == ()


def test_reads_chinese_facets() -> None:
    reading = read("水墨风，秋天的群山和帆船，马卡龙配色，柔和光线")
    assert reading.keys("subject") == ("mountains", "boat")
    assert reading.first("style") == "ink_painting"
    assert reading.first("palette") == "pastel"
    assert reading.first("light") == "soft"


def test_longest_words_win() -> None:
    assert read("snowy mountains").keys("subject") == ("snowy_hills",)
    assert read("雪山").keys("subject") == ("snowy_hills",)
    assert read("银河").keys("subject") == ("stars",)
    assert read("梅花鹿").keys("subject") == ("deer",)


@pytest.mark.parametrize(
    "text", ["帮我做一张海报", "上海", "云南", "春节", "a captain", "moonshine", "catalogue"]
)
def test_words_that_only_contain_a_facet_word(text: str) -> None:
    assert read(text).keys("subject") == ()
    assert read(text).first("season") is None


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("《冬至》的封面图", "冬至"),
        ('cover for an article titled "City Walk", solemn', "City Walk"),
        ("百科词条“美特斯邦威”的封面图", "美特斯邦威"),
        ("the word 'mardefly' on a coffee mug", "mardefly"),
        ("a tiger wearing a conductor's hat", None),
    ],
)
def test_titles(text: str, title: str | None) -> None:
    assert read(text).title == title


def test_words_in_a_title_are_no_facets() -> None:
    assert read('"Winter Moon", calm').mentions[0].facet == "mood"
    assert read("《山海之间》").keys("subject") == ()


def test_negation() -> None:
    reading = read("a lake without boats, 没有月亮")
    assert reading.keys("subject") == ("lake",)
    assert set(reading.keys("subject", negated=True)) == {"boat", "moon"}


def test_a_title_given_apart_wins() -> None:
    assert read_query(Query.of('"A" cover', title="B")).title == "B"


@given(st.sampled_from(FACETS), st.data())
def test_every_phrase_reads_back(facet: vocabulary.Facet, data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(vocabulary.keys(facet)))
    lang = data.draw(st.sampled_from(["en", "zh"]))
    for words in vocabulary.phrases(facet, key, lang):  # type: ignore[arg-type]
        assert read(words).keys(facet) == (key,), words


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    reading = read(text)
    for mention in reading.mentions:
        assert re.sub(r"\s", "", text[mention.start : mention.end])
