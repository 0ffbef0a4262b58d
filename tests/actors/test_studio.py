import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.bank.bank import PromptBank
from actors.contracts import Draw, Query, Strategy
from actors.studio import Job, Studio, best
from configs.bank import BankSettings
from configs.reward import RewardSettings
from tests.fake_roles import FakeGenerator, fake_roles

STRATEGY = Strategy.of({"clauses": ""})


def imagine(texts: list[str], n: int = 1, **kwargs: object) -> list[list[Draw]]:
    studio = Studio(fake_roles(), RewardSettings(), **kwargs)  # type: ignore[arg-type]
    return asyncio.run(studio.imagine([Query.of(text) for text in texts], STRATEGY, n=n, seed=3))


def test_draws_come_in_order_and_are_complete() -> None:
    draws = imagine(["a", "b", "c"], n=5)
    assert [[draw.index for draw in row] for row in draws] == [[0, 1, 2, 3, 4]] * 3
    assert all(
        draw.reward and draw.picture and draw.judgement and draw.prompt for row in draws for draw in row
    )


def test_the_same_seed_gives_the_same_draws() -> None:
    assert imagine(["a", "b"], n=3) == imagine(["a", "b"], n=3)


@pytest.mark.parametrize(
    ("text", "stage"),
    [("unsafe", "audit"), ("unpromptable", "policy"), ("undrawable", "generator"), ("unjudgeable", "judge")],
)
def test_a_failed_item_is_a_record_and_the_others_succeed(text: str, stage: str) -> None:
    good, failed = imagine(["fine", text])
    assert good[0].reward
    assert failed[0].failure is not None
    assert failed[0].failure.stage == stage
    assert failed[0].reward is None


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 40), st.integers(1, 9), st.integers(1, 5))
def test_every_job_gives_exactly_one_draw(jobs: int, chunk: int, in_flight: int) -> None:
    generator = FakeGenerator()
    studio = Studio(fake_roles(generator), RewardSettings(), chunk=chunk, chunks_in_flight=in_flight)
    query = Query.of("a")
    prompt = asyncio.run(studio.propose([query], STRATEGY, 1, 0))[0][0]  # type: ignore[index]
    draws = asyncio.run(studio.evaluate([Job(query, prompt, seed) for seed in range(jobs)]))
    assert [draw.picture.seed for draw in draws if draw.picture] == list(range(jobs))
    assert len(generator.drawn) == jobs


def test_streaming_takes_jobs_only_as_it_goes() -> None:
    taken = 0
    query = Query.of("a")

    def source() -> Iterator[Job]:
        nonlocal taken
        for seed in range(1000):
            taken += 1
            yield Job(query, prompt, seed)

    async def first_draw() -> None:
        async for _ in studio.stream(source()):
            return

    studio = Studio(fake_roles(), RewardSettings(), chunk=4, chunks_in_flight=2)
    prompt = asyncio.run(studio.propose([query], STRATEGY, 1, 0))[0][0]  # type: ignore[index]
    asyncio.run(first_draw())
    assert taken <= 12


def test_the_bank_remembers_and_is_asked() -> None:
    bank = PromptBank(BankSettings())
    imagine(["a lake", "unsafe"], n=3, bank=bank)
    assert len(bank) == 3
    assert len(bank.recall(Query.of("a lake")).good) + len(bank.recall(Query.of("a lake")).bad) == 3


def test_best_prefers_admitted() -> None:
    draws = imagine(["a"], n=12)[0]
    chosen = best(draws)
    assert chosen is not None and chosen.reward is not None
    assert chosen.reward.value == max(draw.reward.value for draw in draws if draw.reward)
    assert best([]) is None
