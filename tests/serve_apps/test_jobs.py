import asyncio

from hypothesis import given
from hypothesis import strategies as st

from actors.contracts import Draw, Event, Failure, Picture, Prompt, Query
from serve_apps.imagine import jobs
from serve_apps.imagine.board import Board
from serve_apps.imagine.jobs import ImagineJob, Lease

QUERY = Query.of("a moon")
PROMPTS = [Prompt.of(f"moon {i}", query=QUERY, strategy_id="s", policy_version="p") for i in range(3)]
PICTURE = Picture(sha256="0" * 64, width=8, height=8, prompt_id="p", seed=0, generator_version="g")


def lived(job_id: str = "j") -> list[Event]:
    """All events of a job that went well."""
    draws = [Draw(query_id=QUERY.id, index=i, prompt=PROMPTS[i], picture=PICTURE) for i in range(3)]
    return [
        jobs.requested(job_id, "me", QUERY, 3, 1.0),
        jobs.leased(job_id, Lease(1, "r", 10.0), 0, 2.0),
        jobs.proposed(job_id, PROMPTS, "r", 3.0),
        *(jobs.drawn(job_id, i, PICTURE, "r", 4.0) for i in range(3)),
        *(jobs.judged(job_id, draw, "r", 5.0) for draw in draws),
        jobs.ended(job_id, None, "r", 6.0),
    ]


def fold(events: list[Event]) -> ImagineJob:
    job = ImagineJob.of(1, events[0])
    for offset, event in enumerate(events[1:], 2):
        job.apply(offset, event)
    return job


@given(st.integers(1, 10))
def test_what_is_missing_is_what_was_not_judged(cut: int) -> None:
    job = fold(lived()[:cut])
    asked = [] if job.prompts is None else [0, 1, 2]
    assert [draw.index for draw in job.missing()] == [i for i in asked if i not in job.draws]
    assert job.status == ("queued" if cut == 1 else "done" if cut == 10 else "running")
    assert [step.offset for step in job.progress] == [o for o in range(1, cut + 1) if o != 2]


@given(st.permutations(lived()[1:-1]))
def test_the_order_in_which_replicas_write_does_not_matter(events: list[Event]) -> None:
    first, last = lived()[0], lived()[-1]
    ours, theirs = fold([first, *events, last]), fold(lived())
    assert (ours.draws, ours.pictures, ours.prompts, ours.ended) == (
        theirs.draws,
        theirs.pictures,
        theirs.prompts,
        theirs.ended,
    )


def test_nothing_comes_after_the_end() -> None:
    failed = jobs.ended("j", Failure(stage="s", kind="K", message="why"), "r", 6.0)
    job = fold([lived()[0], failed, *lived()[1:]])
    assert job.status == "failed" and not job.draws
    assert [step.name for step in job.progress] == ["queued", "failed"]


def test_leases() -> None:
    job = fold(lived()[:1])
    assert job.claimable(0.0)
    job.apply(2, jobs.leased("j", Lease(2, "b", 20.0), 0, 0.0))
    job.apply(3, jobs.leased("j", Lease(1, "a", 99.0), 1, 0.0))
    assert job.lease and job.lease.holder == "b"
    assert not job.claimable(19.9) and job.claimable(20.0)
    assert not fold(lived()).claimable(1e9)


def test_the_same_request_is_the_same_event_at_any_time() -> None:
    first, later = jobs.requested("j", "me", QUERY, 3, 1.0), jobs.requested("j", "me", QUERY, 3, 2.0)
    assert (first.id, first.payload_hash) == (later.id, later.payload_hash)
    assert jobs.job_id_of("me", "k") != jobs.job_id_of("you", "k")


class CountingLog:
    """An empty log that counts its readings."""

    def __init__(self) -> None:
        self.reads = 0

    async def read(self, offset: int, limit: int, kinds: object = None) -> list[tuple[int, Event]]:
        self.reads += 1
        await asyncio.sleep(0)
        return []


def test_refreshes_that_wait_together_read_once() -> None:
    async def check() -> None:
        log = CountingLog()
        board = Board(log, 10)  # type: ignore[arg-type]
        await asyncio.gather(*(board.refresh() for _ in range(100)))
        assert log.reads <= 2
        await board.refresh()
        assert log.reads <= 3

    asyncio.run(check())
