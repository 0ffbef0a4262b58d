from __future__ import annotations

import json
from pathlib import Path

import pytest

from actors.artifacts import Artifacts
from actors.contracts import Aspect, Memory, Prompt, Query, Recall, Strategy
from actors.errors import BadInput
from actors.policy.expander import write
from actors.policy.tiny.checkpoint import CARD, WEIGHTS, load
from actors.policy.tiny.worker import Tiny
from actors.vocabulary import keys, read
from configs.policy import TinySettings
from tests.policy.tiny_kit import folder, queries

STRATEGY = Strategy.of({"instruction": ""})


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("tiny"))


def propose(saved: Path, asked: list[Query], n: int = 1, seed: int = 0) -> list[list[Prompt]]:
    worker = Tiny(TinySettings(weights=saved), Artifacts("memory://tiny"))
    found = worker.propose(asked, [Recall()] * len(asked), STRATEGY, n, seed)
    assert all(isinstance(answer, list) for answer in found)
    return found  # type: ignore[return-value]


def test_prompts_quote_the_query_and_its_title(saved: Path) -> None:
    asked = [*queries(20), Query.of("a giraffe on a lake", title="Tall Tales"), Query.of("画一张长颈鹿")]
    for query, (prompt,) in zip(asked, propose(saved, asked), strict=True):
        assert prompt.text.startswith(query.text.rstrip("."))
        assert query.title is None or query.title in prompt.text
        assert prompt.query_id == query.id and prompt.policy_version.startswith("tiny-")


def test_more_proposals_are_other_ones_and_repeat(saved: Path) -> None:
    asked = queries(6)
    found = propose(saved, asked, n=8, seed=3)
    assert propose(saved, asked[2:3], n=8, seed=3)[0] == found[2], "a query's proposals are its own"
    assert max(len({prompt.text for prompt in prompts}) for prompts in found) > 3
    assert propose(saved, asked, n=8, seed=4) != found
    assert [prompts[0] for prompts in found] == [prompts[0] for prompts in propose(saved, asked)]


def test_the_bank_is_asked_where_this_very_prompt_has_failed(saved: Path) -> None:
    query = Query.of("the moon over a lake, calm", aspect="3:4")
    ((prompt,),) = propose(saved, [query])
    (palette,) = read(prompt.text).keys("palette")
    other = next(key for key in keys("palette") if key != palette)

    def memory(text: str, score: float, aspect: Aspect = "3:4") -> Memory:
        return Memory(
            id=f"{text}{score}",
            query=query.text,
            lang="en",
            aspect=aspect,
            prompt=text,
            reward=score,
            admitted=score > 0.5,
            scores={"color": score},
            time=0.0,
        )

    good = tuple(memory(write(query, {"palette": other}), 1.0 - n / 100) for n in range(4))

    def palette_with(*bad: Memory) -> str:
        worker = Tiny(TinySettings(weights=saved), Artifacts("memory://tiny"))
        answer = worker.propose([query], [Recall(good=good, bad=bad)], STRATEGY, 1, 0)[0]
        assert isinstance(answer, list)
        return read(answer[0].text).keys("palette")[0]

    assert palette_with() == palette_with(memory(write(query, {"palette": palette}), 0.0)) == palette
    assert palette_with(memory(prompt.text, 0.0, "16:9")) == palette, "in another frame it may do well"
    assert palette_with(memory(prompt.text, 0.0)) == other


def test_a_saved_policy_is_the_same(saved: Path, tmp_path: Path) -> None:
    again = folder(tmp_path)
    assert load(again).version == load(saved).version
    assert load(folder(tmp_path / "other", seed=1)).version != load(saved).version


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda at: (at / CARD).unlink(), r"policy\.json: cannot be read"),
        (lambda at: (at / CARD).write_text("{}"), r"policy\.json: no card of a policy"),
        (lambda at: (at / WEIGHTS).unlink(), r"policy\.safetensors: cannot be read"),
        (lambda at: (at / WEIGHTS).write_bytes(b"\x80\x04pickle"), "pickled weights"),
        (lambda at: _edit(at, "version", "tiny-00000000"), "not the one that policy.json was saved with"),
        (lambda at: _edit(at, "familiar", ["unicorn"]), "unicorn"),
        (lambda at: _shape(at, "vocabulary", 700), "the policy knows 700 tokens"),
        (lambda at: _shape(at, "layers", 3), "tensors are missing"),
        (lambda at: _shape(at, "width", 64), "another shape"),
    ],
)
def test_a_folder_that_does_not_fit_together_is_refused(tmp_path: Path, harm, message: str) -> None:  # type: ignore[no-untyped-def]
    at = folder(tmp_path)
    harm(at)
    with pytest.raises(BadInput, match=message):
        load(at)


def _edit(at: Path, name: str, value: object) -> None:
    card = json.loads((at / CARD).read_text())
    (at / CARD).write_text(json.dumps({**card, name: value}))


def _shape(at: Path, name: str, value: int) -> None:
    card = json.loads((at / CARD).read_text())
    _edit(at, "architecture", {**card["architecture"], name: value})
