from importlib.resources import files

import yaml

from actors.policy import grammar
from actors.vocabulary import read_query
from configs.ppo import PpoSettings
from train_jobs.loop.unseen import names_any, unseen
from train_jobs.ppo.job import made_queries, strangers

STRANGERS = strangers(9)


def test_three_quarters_name_what_training_names_and_a_quarter_a_stranger() -> None:
    covers = unseen(80, 4, STRANGERS).covers
    assert [names_any(query, STRANGERS) for query in covers] == [False] * 60 + [True] * 20
    assert {query.lang for query in covers} == {"en", "zh"}
    assert len({query.aspect for query in covers}) == 5
    assert len({query.id for query in covers}) == 80


def test_a_smaller_set_is_the_beginning_of_a_larger_one() -> None:
    small, large = unseen(8, 1, STRANGERS), unseen(80, 1, STRANGERS)
    assert [query.id for query in small.covers[:6]] == [query.id for query in large.covers[:6]]


def test_the_sentences_of_what_is_measured_are_others() -> None:
    own, learnt = (
        yaml.safe_load(files(package).joinpath(*name.split("/")).read_text("utf-8"))
        for package, name in (("train_jobs.loop", "queries/unseen.yaml"), ("actors.policy", "grammar.yaml"))
    )
    for lang in ("en", "zh"):
        for kind in ("forms", "titled", "bare"):
            assert not set(own[lang][kind]) & set(learnt[lang][kind]), f"{lang} {kind}"


def test_nothing_that_is_measured_is_a_sentence_of_the_training() -> None:
    made = made_queries(PpoSettings())
    learnt = {made(index).text for index in range(2000)}
    titles = {made(index).title for index in range(2000)}
    for query in unseen(512, 0, STRANGERS).covers:
        assert query.text not in learnt
        assert query.title is None or query.title not in titles


def test_every_sentence_says_what_was_meant_and_little_that_the_judge_does_not_know() -> None:
    for query in unseen(512, 0, STRANGERS).covers:
        reading = read_query(query)
        facets = [mention.facet for mention in reading.mentions if mention.facet != "subject"]
        assert len(facets) == len(set(facets)), query.text
        assert len(reading.keys("subject")) <= 2, query.text
        assert len(reading.unknown) <= 2, query.text
        assert reading.title == query.title, query.text
        assert not any(mention.negated for mention in reading.mentions), query.text


def test_sentences_of_ones_own_are_used() -> None:
    own = grammar.read_sentences(
        'en: {join: ", ", both: " and ", forms: ["behold {what}"], titled: ["behold {what}"], '
        'bare: ["behold {title}"], titles: [[One], [Day]]}'
    )
    texts = [grammar.query(1, index, ["1:1"], ("en",), own).text for index in range(20)]
    assert all(text.startswith("behold ") for text in texts)
