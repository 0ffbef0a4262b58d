"""Who writes new texts, what a language model is asked, and what is read out of its answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actors.errors import BadInput
from train_jobs.gepa.outcome import Outcome
from train_jobs.gepa.reflection import Reflection, extract, render
from train_jobs.gepa.tasks import Propose, Proposed

gepa_lm = pytest.importorskip("gepa.proposer.reflective_mutation.reflection_lm")
gepa_image = pytest.importorskip("gepa.image")
gepa_prompt = pytest.importorskip("gepa.strategies.instruction_proposal")

CANDIDATE = {"a": "old a", "b": "old b"}
ROWS = [{"input": "2 + 2", "feedback": {"said": "5", "right": ["4", "four"]}}]
DATASET = {"a": ROWS, "b": ROWS}


class Adapter:
    """Has the members it is given."""

    def __init__(self, **members: Any) -> None:
        self.__dict__.update(members)

    def evaluate(self, batch: list[Any], candidate: dict[str, str], capture_traces: bool = False) -> Any:
        raise NotImplementedError

    def make_reflective_dataset(self, candidate: Any, eval_batch: Any, components: list[str]) -> Any:
        raise NotImplementedError


class Model:
    """Answers in turn and keeps the prompts."""

    def __init__(self, *answers: str, price: float = 0.0) -> None:
        self.answers, self.price = list(answers), price
        self.prompts: list[Any] = []
        if price:
            self.total_cost = 10.0

    def __call__(self, prompt: Any) -> str:
        self.prompts.append(prompt)
        if self.price:
            self.total_cost += self.price
        return self.answers[(len(self.prompts) - 1) % len(self.answers)]


def mutation(*components: str, candidate: dict[str, str] = CANDIDATE) -> Propose:
    return Propose("0.1", "mutation", candidate, components, (0,), (Outcome(0.0),))


def crossover(first: dict[str, str], second: dict[str, str], *components: str) -> Propose:
    scores = {"candidate": 0.1239, "other": 0.5}
    return Propose("0.2", "crossover", first, components, (), (), other=second, scores=scores)


def test_the_adapters_own_way_comes_first() -> None:
    asked: list[Any] = []

    def own(candidate: Any, dataset: Any, names: list[str]) -> dict[str, str]:
        asked.append((candidate, dataset, names))
        return {"a": "new"}

    def other(*arguments: Any) -> Any:
        raise AssertionError("asked too")

    reflection = Reflection(Adapter(propose_new_texts=own), other, other)
    assert reflection.mutation(mutation("a", "b"), DATASET) == Proposed({"a": "new"})
    assert asked == [(CANDIDATE, DATASET, ["a", "b"])] and not reflection.crosses
    by_function = Reflection(Adapter(propose_new_texts=None), own, other)
    assert by_function.mutation(mutation("a"), DATASET).texts == {"a": "new"} and len(asked) == 2
    nothing: Any = lambda candidate, dataset, names: None  # noqa: E731
    assert Reflection(Adapter(), nothing).mutation(mutation("a"), DATASET) == Proposed({})


def test_nobody_to_write_texts_is_an_error() -> None:
    with pytest.raises(BadInput, match=r"nothing writes new texts; accepted: .*reflection_lm=\.\.\."):
        Reflection(Adapter(evaluate=None))


def test_a_model_is_shown_text_and_examples() -> None:
    model = Model("```\nnew a\n```")
    assert Reflection(Adapter(), model=model).mutation(mutation("a"), DATASET) == Proposed({"a": "new a"})
    (prompt,) = model.prompts
    assert "```\nold a\n```" in prompt and "old b" not in prompt
    assert "<curr_param>" not in prompt and "<side_info>" not in prompt
    for line in ("# Example 1", "## input\n2 + 2", "## feedback\n### said\n5", "#### 1\n4", "#### 2\nfour"):
        assert line in prompt


def test_each_component_is_asked_for_by_itself() -> None:
    model = Model("new a", "new b")
    found = Reflection(Adapter(), model=model).mutation(mutation("a", "b"), DATASET)
    assert found.texts == {"a": "new a", "b": "new b"}
    assert ["old a" in prompt for prompt in model.prompts] == [True, False]


@pytest.mark.parametrize("dataset", [{"a": ROWS}, {"a": ROWS, "b": []}])
def test_a_component_without_examples_is_left_as_it_is(dataset: Any) -> None:
    model = Model("new")
    reflection = Reflection(Adapter(), model=model)
    assert reflection.mutation(mutation("a", "b"), dataset).texts == {"a": "new"}
    assert reflection.mutation(mutation("b"), dataset) == Proposed({}) and len(model.prompts) == 1


@pytest.mark.parametrize("answer", ["", "  \n ", "```\n```", "```\n\n```", "``````"])
def test_an_empty_answer_is_no_text(answer: str) -> None:
    assert Reflection(Adapter(), model=Model(answer)).mutation(mutation("a"), DATASET) == Proposed({})


FENCES = {
    "none": ("  a rule\nand another ", "a rule\nand another"),
    "one": ("Here it is:\n```\na rule\n```\nGood luck.", "a rule"),
    "language": ("```markdown\na rule\n```", "a rule"),
    "language with a space": ("``` text\na rule\n```", "a rule"),
    "several": ("```\nuse:\n```py\nx = 1\n```\nand say so\n```", "use:\n```py\nx = 1\n```\nand say so"),
    "unclosed": ("```\na rule\nand another", "a rule\nand another"),
    "unclosed with language": ("```markdown\na rule", "a rule"),
    "not opened": ("a rule\n```", "a rule"),
    "in a line": ("```a rule```", "a rule"),
    "code inside": ("```\nsay `x` and ``y``\n```", "say `x` and ``y``"),
}


@pytest.mark.parametrize("name", FENCES)
def test_the_text_of_an_answer(name: str) -> None:
    answer, text = FENCES[name]
    assert extract(answer) == text
    if name not in ("language with a space",):
        theirs = gepa_prompt.InstructionProposalSignature.output_extractor(answer)
        assert theirs["new_instruction"] == text


def test_a_candidate_that_speaks_of_places_is_shown_as_it_is() -> None:
    candidate = {"a": r"put <side_info> and <curr_param> there \1 \g<0>"}
    model = Model("new")
    rows = [{"said": "I saw <curr_param> and <side_info>"}]
    Reflection(Adapter(), model=model).mutation(mutation("a", candidate=candidate), {"a": rows})
    (prompt,) = model.prompts
    assert f"```\n{candidate['a']}\n```" in prompt
    assert prompt.count("I saw <curr_param> and <side_info>") == 1


def test_a_template_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "prompt.md"
    path.write_text("Improve <curr_param> by <side_info>; again: <curr_param>", "utf-8")
    model = Model("new")
    Reflection(Adapter(), model=model, template=path).mutation(mutation("a"), {"a": [{"x": "y"}]})
    assert model.prompts == ["Improve old a by # Example 1\n## x\ny; again: old a"]


@pytest.mark.parametrize(
    ("text", "missing"),
    [("", "<curr_param>, <side_info>"), ("<curr_param>", "<side_info>"), ("<side_info>", "<curr_param>")],
)
def test_a_template_without_its_places_is_refused(tmp_path: Path, text: str, missing: str) -> None:
    path = tmp_path / "prompt.md"
    path.write_text(text, "utf-8")
    with pytest.raises(BadInput, match=rf"template .*prompt\.md lacks {missing}; accepted"):
        Reflection(Adapter(), model=Model("new"), template=path)


def test_pictures_become_parts_of_a_chat_message() -> None:
    first = gepa_image.Image(url="https://example.org/1.png")
    second = gepa_image.Image(base64_data="AAAA", media_type="image/webp")
    model = Model("new")
    rows = [{"picture": first, "words": "one"}, {"shown": {"all": [second]}}]
    Reflection(Adapter(), model=model).mutation(mutation("a"), {"a": rows})
    ((message,),) = model.prompts
    text, *pictures = message["content"]
    assert message["role"] == "user" and text["type"] == "text"
    assert "## picture\n[picture 1]" in text["text"] and "#### 1\n[picture 2]" in text["text"]
    assert "old a" in text["text"] and "AAAA" not in text["text"]
    urls = ["https://example.org/1.png", "data:image/webp;base64,AAAA"]
    assert pictures == [{"type": "image_url", "image_url": {"url": url}} for url in urls]


def test_headings_go_no_deeper_than_markdown_does() -> None:
    deep: Any = "bottom"
    for level in range(9):
        deep = {f"level {level}": deep}
    shown, pictures = render([deep])
    assert pictures == [] and "\n###### level 0\nbottom" in shown and "#######" not in shown


def test_money_is_what_the_models_total_rose_by() -> None:
    reflection = Reflection(Adapter(), model=Model("new", price=0.25))
    assert reflection.mutation(mutation("a", "b"), DATASET).cost == 0.5
    assert reflection.mutation(mutation("a"), DATASET).cost == 0.25
    assert reflection.crossover(crossover({"a": "x"}, {"a": "y"}, "a")).cost == 0.25
    free = Reflection(Adapter(), model=Model("new"))
    assert free.mutation(mutation("a"), DATASET).cost == 0.0


def test_money_adds_up_over_threads() -> None:
    model = Model("new", price=0.5)
    reflection = Reflection(Adapter(), model=model)
    costs: list[float] = []
    gate = threading.Barrier(8)

    def body() -> None:
        gate.wait()
        costs.extend(reflection.mutation(mutation("a"), DATASET).cost for _ in range(20))

    threads = [threading.Thread(target=body) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(costs) == model.total_cost - 10.0 > 0


class Session:
    """A reflection strategy of gepa's protocol, which hands its state on."""

    def __init__(self, turn: int = 0) -> None:
        self.turn = turn

    def reflect(self, candidate: Any, reflective_dataset: Any, components_to_update: Any) -> Any:
        texts = {name: f"{candidate[name]} {self.turn}" for name in components_to_update}
        return gepa_lm.ReflectionProposal(new_texts=texts), Session(self.turn + 1)


def test_a_strategy_hands_its_state_on() -> None:
    assert isinstance(Session(), gepa_lm.ReflectionLM)
    reflection = Reflection(Adapter(), model=Session())
    found = [reflection.mutation(mutation("a"), DATASET).texts["a"] for _ in range(3)]
    assert found == ["old a 0", "old a 1", "old a 2"] and not reflection.crosses


def test_gepas_own_strategy_works() -> None:
    model = Model("```\nnew\n```")
    reflection = Reflection(Adapter(), model=gepa_lm.StatelessReflectionLM(model))
    assert reflection.mutation(mutation("a", "b"), DATASET).texts == {"a": "new", "b": "new"}
    assert len(model.prompts) == 2


def test_a_crossover_is_shown_both_texts_and_scores() -> None:
    model = Model("```\njoined\n```")
    reflection = Reflection(Adapter(), model=model)
    first, second = {"a": "take <second>", "b": "same"}, {"a": "or <first_score> <first>", "b": "same"}
    assert reflection.crosses
    assert reflection.crossover(crossover(first, second, "a")) == Proposed({"a": "joined"})
    (prompt,) = model.prompts
    assert prompt.count("```\ntake <second>\n```") == prompt.count("```\nor <first_score> <first>\n```") == 1
    assert "0.124" in prompt and "0.500" in prompt and "same" not in prompt
    assert prompt.index("0.124") < prompt.index("take") < prompt.index("0.500") < prompt.index("or <first")
    assert Reflection(Adapter(), model=Model("")).crossover(crossover(first, second, "a")) == Proposed({})


def test_the_adapters_own_crossover_comes_first() -> None:
    asked: list[Any] = []

    def join(candidate: Any, other: Any, names: list[str]) -> dict[str, str]:
        asked.append((candidate, other, names))
        return {"a": "both"}

    propose: Callable[..., Any] = lambda *arguments: {}  # noqa: E731
    reflection = Reflection(Adapter(crossover=join), propose)
    assert reflection.crosses
    assert reflection.crossover(crossover({"a": "x"}, {"a": "y"}, "a")).texts == {"a": "both"}
    assert asked == [({"a": "x"}, {"a": "y"}, ["a"])]
