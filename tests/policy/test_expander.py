import pytest

from actors.artifacts import Artifacts
from actors.context import context_of
from actors.contracts import Failure, Memory, Query, Recall, Strategy
from actors.errors import BadInput
from actors.policy.expander import Expander, default_strategy, engineer, write
from actors.policy.rules import decide, parse_rules
from actors.vocabulary import read
from configs.policy import ExpanderSettings

STRATEGY = default_strategy()
NOTHING = Recall()


def propose(query: Query, n: int = 1, recall: Recall = NOTHING, strategy: Strategy = STRATEGY) -> list[str]:
    worker = Expander(ExpanderSettings(), Artifacts("memory://expander"))
    answer = worker.propose([query], [recall], strategy, n, seed=1)[0]
    assert not isinstance(answer, Failure)
    return [prompt.text for prompt in answer]


@pytest.mark.parametrize("text", ["a lighthouse", "帮我做一张宁静的海报，有灯塔"])
def test_pins_down_what_is_open_and_keeps_the_query(text: str) -> None:
    prompt = propose(Query.of(text))[0]
    assert prompt.startswith(text)
    reading = read(prompt)
    for facet in ("palette", "style", "layout", "light"):
        assert len(reading.keys(facet)) <= 1  # type: ignore[arg-type]
    assert reading.first("layout") and reading.first("light")


def test_never_contradicts_the_query() -> None:
    reading = read(
        propose(Query.of("a festive pagoda, ink tones, watercolour, symmetric layout, soft light"))[0]
    )
    assert reading.keys("palette") == ("ink",)
    assert reading.keys("style") == ("watercolour",)
    assert reading.keys("layout") == ("symmetric",)
    assert reading.keys("light") == ("soft",)


def test_a_title_given_apart_is_written() -> None:
    assert read(propose(Query.of("a moon", title="Tea"))[0]).title == "Tea"
    assert read(propose(Query.of("一轮明月", title="茶史"))[0]).title == "茶史"


def test_proposals_are_deterministic_and_vary() -> None:
    query = Query.of("a lighthouse")
    assert propose(query, 6) == propose(query, 6)
    assert len(set(propose(query, 6))) > 2


def test_title_rule_comes_before_the_general_one() -> None:
    assert read(propose(Query.of("a boat", title="Sea"))[0]).first("layout") == "negative_space"


def memory(query: str, prompt: str, color: float) -> Memory:
    return Memory(
        id=prompt, query=query, lang="en", aspect="1:1", prompt=prompt, reward=color, admitted=color > 0.7,
        scores={"color": color}, time=0.0,
    )  # fmt: skip


def test_priors_overrule_rules() -> None:
    query = Query.of("a calm lake")
    recall = Recall(
        good=tuple(memory("a calm river", f"a calm river, earth tones, v{i}", 0.9) for i in range(2))
    )
    assert engineer(query, NOTHING, STRATEGY)["palette"] == "cool"
    assert engineer(query, recall, STRATEGY)["palette"] == "earth"


def test_priors_of_another_situation_do_not() -> None:
    recall = Recall(
        good=tuple(memory("a festive river", f"a festive river, earth tones, {i}", 0.9) for i in range(3))
    )
    assert engineer(Query.of("a calm lake"), recall, STRATEGY)["palette"] == "cool"


def test_failures_speak_against_a_value() -> None:
    bad = tuple(memory("a calm river", f"a calm river, cool colours, {i}", 0.1) for i in range(3))
    good = (memory("a calm sea", "a calm sea, pastel colours", 0.9),)
    assert engineer(Query.of("a calm lake"), Recall(good=good, bad=bad), STRATEGY)["palette"] == "pastel"


def test_avoid_removes_a_value() -> None:
    strategy = Strategy.of({**STRATEGY.components, "avoid": "cool colours"})
    assert "palette" not in engineer(Query.of("a calm lake"), NOTHING, strategy)


def test_a_bad_rule_is_a_failure_that_quotes_it() -> None:
    worker = Expander(ExpanderSettings(), Artifacts("memory://expander"))
    answer = worker.propose(
        [Query.of("a moon")], [NOTHING], Strategy.of({"rules": "when happy: cool colours"}), 1, 0
    )[0]
    assert isinstance(answer, Failure)
    assert "happy" in answer.message


@pytest.mark.parametrize(
    "line", ["cool colours", "when mood=calm cool", "always: wonderful", "when size=3: soft light"]
)
def test_bad_rules(line: str) -> None:
    with pytest.raises(BadInput):
        parse_rules(line)


def test_conditions() -> None:
    rules = parse_rules(
        "when mood=calm|dreamy and shape=wide and subjects=2: diagonal layout\nalways: centred layout"
    )
    wide = context_of(Query.of("a calm lake and a boat", aspect="16:9"))
    tall = context_of(Query.of("a calm lake and a boat", aspect="9:16"))
    assert decide(rules, wide)["layout"] == "diagonal"
    assert decide(rules, tall)["layout"] == "centred"


def test_write_uses_the_language_of_the_query() -> None:
    assert write(Query.of("月亮"), {"palette": "cool"}) == "月亮，冷色调"
    assert write(Query.of("the moon."), {"palette": "cool"}) == "the moon, cool colours"
