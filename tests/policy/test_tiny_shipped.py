"""The policy that ships with the package."""

from actors.artifacts import Artifacts
from actors.contracts import Prompt, Recall
from actors.policy.expander import default_strategy
from actors.policy.tiny.worker import Tiny
from actors.vocabulary import read, read_query
from configs.load import load
from configs.policy import TinySettings
from train_jobs.loop.measuring import copies, tail
from train_jobs.loop.unseen import unseen
from train_jobs.ppo.job import strangers


def test_it_is_the_embedded_default() -> None:
    assert isinstance(load("embedded", environ={}).policy, TinySettings)


def test_it_writes_readable_prompts_that_keep_what_was_asked() -> None:
    queries = unseen(200, 0, strangers(9)).covers
    worker = Tiny(TinySettings(), Artifacts("memory://shipped"))
    answers = worker.propose(queries, [Recall()] * len(queries), default_strategy(), 1, 0)
    tails = set()
    for query, answer in zip(queries, answers, strict=True):
        assert isinstance(answer, list)
        prompt = answer[0]
        assert isinstance(prompt, Prompt) and prompt.policy_version == worker.version
        assert prompt.text.startswith(query.text.rstrip(".")) and copies(query, prompt.text)
        written, asked = read(prompt.text), read_query(query)
        for facet in ("style", "palette", "layout", "light", "density"):
            wanted = asked.keys(facet)
            assert len(written.keys(facet)) == max(1, len(wanted))
        tails.add(tail(query, prompt.text))
    assert len(tails) >= 50


def test_its_card_tells_how_it_was_made_and_what_it_reached() -> None:
    card = Tiny(TinySettings(), Artifacts("memory://shipped"))._loaded.card
    assert card["stage"] == "ppo" and card["steps"] > 0
    reached = card["reached"]
    arms = ("raw", "search", "best_of_k", "policy_after")
    shares = [reached[arm]["admission"] for arm in arms]
    assert shares == sorted(shares)
    assert reached["sft"]["admission"] > reached["policy_before"]["admission"]
