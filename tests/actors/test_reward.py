import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.contracts import AuditVerdict, Dimension, Judgement, Prompt, Query
from actors.reward import causes, picture_value, prompt_parts, reward
from configs.reward import RewardSettings

SETTINGS = RewardSettings(bar=0.7)
QUERY = Query.of("a lighthouse at night, cool colours")
FINE = AuditVerdict(allowed=True, audit_version="t")


def judged(gates: dict[str, bool] | None = None, **scores: float | None) -> Judgement:
    return Judgement(
        scores={Dimension(name): score for name, score in scores.items()},
        gates=gates or {},
        judge_version="t",
    )


def prompt(text: str, query: Query = QUERY) -> Prompt:
    return Prompt.of(text, query=query, strategy_id="s", policy_version="t")


def test_a_good_picture_is_admitted() -> None:
    outcome = reward(
        QUERY,
        prompt(QUERY.text),
        judged(composition=0.9, color=0.8, intent_match=0.9),
        {"picture": FINE},
        SETTINGS,
    )
    assert outcome.admitted
    assert 0.7 < outcome.picture < 0.9


@pytest.mark.parametrize(
    ("judgement", "audit"),
    [
        (judged(composition=1.0, intent_match=0.2), FINE),
        (judged({"subject:moon": False}, composition=1.0, intent_match=0.9), FINE),
        (judged(composition=1.0, intent_match=0.9), AuditVerdict(allowed=False, audit_version="t")),
    ],
)
def test_a_beautiful_picture_of_the_wrong_thing_gets_nothing(
    judgement: Judgement, audit: AuditVerdict
) -> None:
    outcome = reward(QUERY, prompt(QUERY.text), judgement, {"picture": audit}, SETTINGS)
    assert outcome.value == 0.0
    assert not outcome.admitted


def test_missing_is_missing() -> None:
    assert picture_value(judged(composition=0.8, legibility=None), SETTINGS) == pytest.approx(0.8)
    assert picture_value(judged(composition=0.8), SETTINGS, scorer=None) == pytest.approx(0.8)
    assert picture_value(judged(composition=0.8), SETTINGS, scorer={}) == pytest.approx(0.8)
    assert picture_value(judged(), SETTINGS) == 0.0


def test_the_scorer_takes_its_share() -> None:
    both = picture_value(judged(composition=0.64), SETTINGS, scorer={Dimension.TOTAL: 1.0})
    assert both == pytest.approx(0.8)


@given(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), st.integers(0, 2), st.floats(0.0, 0.5))
def test_a_better_dimension_never_lowers_the_value(scores: list[float], which: int, more: float) -> None:
    better = list(scores)
    better[which] = min(1.0, better[which] + more)
    names = ("composition", "color", "lighting")
    low = picture_value(judged(**dict(zip(names, scores, strict=True))), SETTINGS)
    high = picture_value(judged(**dict(zip(names, better, strict=True))), SETTINGS)
    assert high >= low - 1e-12


def test_prompt_evaluation() -> None:
    full = prompt_parts(
        QUERY, prompt(QUERY.text + ", watercolour, centred layout, soft light, balanced details")
    )
    assert full == {"kept": 1.0, "pinned": 1.0, "consistent": 1.0, "concise": 1.0}
    assert prompt_parts(QUERY, prompt("a boat"))["kept"] == 0.0
    assert prompt_parts(QUERY, prompt("a lighthouse, cool colours, warm colours"))["consistent"] == 0.0
    assert prompt_parts(QUERY, prompt(", ".join(["soft light"] * 22)))["concise"] == pytest.approx(0.5)


def test_a_dropped_title_counts() -> None:
    query = Query.of("a moon", title="Tea")
    assert prompt_parts(query, prompt("a moon", query))["kept"] == 0.5
    assert prompt_parts(query, prompt('a moon, "Tea"', query))["kept"] == 1.0


def test_causes_name_gates_before_dimensions() -> None:
    failed = reward(QUERY, prompt("x"), judged({"palette": False}, color=0.1, intent_match=0.1), {}, SETTINGS)
    assert causes(failed, SETTINGS) == ("palette",)
    weak = reward(QUERY, prompt("x"), judged(color=0.1, composition=0.9, intent_match=0.9), {}, SETTINGS)
    assert causes(weak, SETTINGS) == ("color",)
    fine = reward(QUERY, prompt("x"), judged(color=0.9, intent_match=0.9), {}, SETTINGS)
    assert causes(fine, SETTINGS) == ()
