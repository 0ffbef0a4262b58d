from __future__ import annotations

import asyncio
from pathlib import Path

from actors.bank.bank import PromptBank, memories_of
from actors.contracts import Memory, Query, Recall, Strategy
from actors.ledger import FileLog
from actors.policy.expander import default_strategy, engineer
from configs.bank import BankSettings
from train_jobs.gepa.bank_seeds import seed_from


def memory(number: int, query: str, prompt: str, scores: dict[str, float]) -> Memory:
    return Memory(
        id=f"m{number}",
        query=query,
        lang="en",
        aspect="1:1",
        prompt=prompt,
        reward=0.5,
        admitted=False,
        scores=scores,
        time=float(number),
    )


def remembered(query: str, clause: str, color: float, times: int = 2) -> list[Memory]:
    return [memory(n, query, f"{query}, {clause}", {"color": color}) for n in range(times)]


def palette(strategy: Strategy, text: str) -> str | None:
    return engineer(Query.of(text), Recall(), strategy).get("palette")


def test_what_did_well_becomes_a_rule_for_its_situation() -> None:
    start = default_strategy()
    seed = seed_from(remembered("a calm boat", "warm colours", 0.95), start)
    assert seed is not None
    assert palette(start, "a calm house") == "cool" and palette(seed, "a calm house") == "warm"
    assert palette(seed, "a dreamy house") == palette(start, "a dreamy house"), "another mood"
    assert seed.components["instruction"] == start.components["instruction"]


def test_too_little_or_too_bad_says_nothing() -> None:
    start = default_strategy()
    assert seed_from([], start) is None
    assert seed_from(remembered("a calm boat", "warm colours", 0.95, times=1), start) is None
    assert seed_from(remembered("a calm boat", "warm colours", 0.5), start) is None


def test_the_better_of_two_values_wins_and_what_was_asked_for_teaches_nothing() -> None:
    start = default_strategy()
    both = remembered("a calm boat", "warm colours", 0.8) + remembered("a calm boat", "ink tones", 0.9)
    seed = seed_from(both, start)
    assert seed is not None and palette(seed, "a calm house") == "ink"
    assert seed_from(remembered("a calm boat, warm colours", "soft", 0.95), start) is None


def test_a_bank_s_memories_are_read_from_its_log(tmp_path: Path) -> None:
    async def kept() -> list[Memory]:
        async with FileLog(tmp_path / "bank.jsonl") as log:
            await PromptBank(BankSettings(), log).remember(
                [memory(n, "a boat", "a boat", {}) for n in range(3)]
            )
            return await memories_of(log)

    assert [each.id for each in asyncio.run(kept())] == ["m0", "m1", "m2"]
