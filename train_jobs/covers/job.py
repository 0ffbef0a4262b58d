"""Mass production: for each query, draw until a picture is admitted or the limit is reached.

Every finished query is one event of the log in the output folder, so a run that was stopped at any point
goes on where it was: nothing twice, nothing lost.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actors.artifacts import Artifacts
from actors.contracts import Draw, Event, Failure, Query, Strategy, content_id, derive_seed
from actors.errors import BadInput, StageFailed
from actors.ledger import EventLog, FileLog
from actors.reward import causes
from actors.studio import Job, Studio, best
from configs.reward import RewardSettings

STARTED = "covers.started"
FINISHED = "cover.finished"
Progress = Callable[[str, int, int], None]
Row = dict[str, Any]


@dataclass(frozen=True)
class _Run:
    """What every query of one run shares."""

    studio: Studio
    artifacts: Artifacts
    strategy: Strategy
    log: EventLog
    out: Path
    limit: int
    seed: int

    def event_id(self, query: Query) -> str:
        return f"cover-{content_id(query.model_dump_json(), self.strategy.id, self.limit, self.seed)}"


async def produce(
    studio: Studio,
    artifacts: Artifacts,
    queries: Sequence[Query],
    strategy: Strategy,
    out: Path,
    *,
    limit: int = 4,
    in_flight: int = 32,
    seed: int = 0,
    progress: Progress = lambda stage, done, total: None,
) -> dict[str, Any]:
    """Make one cover a query into `out/pictures/`, one row each into `out/results.jsonl`; return the counts.

    `in_flight` queries are worked on at once.

    Raises:
        BadInput: `out` holds the results of another strategy, limit or seed.
        StageFailed: `out` cannot be written, e.g. the disk is full; what was finished stays finished.
    """
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    log = FileLog(out / "events.jsonl")
    try:
        run = _Run(studio, artifacts, strategy, log, out, limit, seed)
        rows = await _rows_so_far(run)
        resumed = sum(run.event_id(query) in rows for query in queries)
        await _finish_all(run, queries, rows, in_flight, progress)
    finally:
        await log.close()
    ordered = [rows[run.event_id(query)] for query in queries]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ordered)
    _write_atomically(out / "results.jsonl", lines.encode("utf-8"))
    return _counts(ordered, resumed)


async def _finish_all(
    run: _Run, queries: Sequence[Query], rows: dict[str, Row], in_flight: int, progress: Progress
) -> None:
    """Finish every query that has no row yet, `in_flight` at once."""
    waiting = asyncio.Semaphore(in_flight)

    async def work(query: Query) -> None:
        async with waiting:
            rows[run.event_id(query)] = await _finish(run, query)
            progress("covers", len(rows), len(queries))

    progress("covers", len(rows), len(queries))
    try:
        async with asyncio.TaskGroup() as group:
            for query in queries:
                if run.event_id(query) not in rows:
                    group.create_task(work(query))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def _rows_so_far(run: _Run) -> dict[str, Row]:
    """Rows that an earlier run finished, by event id."""
    spec = {"strategy": run.strategy.id, "limit": run.limit, "seed": run.seed}
    rows: dict[str, Row] = {}
    started, offset = False, 0
    while batch := await run.log.read(offset, 1000):
        for position, event in batch:
            offset = position
            if event.kind == STARTED and event.payload != spec:
                raise BadInput(
                    f"{run.out} holds results made with {event.payload}, not {spec}; "
                    "accepted: the same strategy, limit and seed, or another folder"
                )
            started = started or event.kind == STARTED
            if event.kind == FINISHED:
                rows[event.id] = event.payload
    if not started:
        await run.log.append([Event(id="covers-started", kind=STARTED, payload=spec, time=time.time())])
    return rows


async def _finish(run: _Run, query: Query) -> Row:
    """Draw one query to its end, keep the picture, and make it an event."""
    draws = await _draw(run, query)
    row = _row(query, draws, run.studio.settings)
    chosen = best(draws)
    if chosen and chosen.picture:
        name = f"{re.sub(r'[^A-Za-z0-9._-]', '_', query.id)[:80]}-{run.event_id(query)[-6:]}.png"
        _write_atomically(run.out / "pictures" / name, run.artifacts.get(chosen.picture.sha256))
        row["picture"] = f"pictures/{name}"
    event = Event(id=run.event_id(query), kind=FINISHED, payload=row, actor="covers", time=time.time())
    await run.log.append([event])
    return row


async def _draw(run: _Run, query: Query) -> list[Draw]:
    proposal = (await run.studio.propose([query], run.strategy, run.limit, run.seed))[0]
    if isinstance(proposal, Failure):
        return [Draw(query_id=query.id, index=0, failure=proposal)]
    draws: list[Draw] = []
    for index, prompt in enumerate(proposal):
        job = Job(query, prompt, derive_seed(run.seed, query.seed, query.id, index), index)
        draws += await run.studio.evaluate([job])
        if draws[-1].admitted:
            break
    return draws


def _row(query: Query, draws: Sequence[Draw], settings: RewardSettings) -> Row:
    chosen = best(draws)
    reward = chosen.reward if chosen else None
    failure = next((draw.failure for draw in draws if draw.failure), None) if chosen is None else None
    return {
        "id": query.id,
        "query": query.text,
        "aspect": query.aspect,
        "admitted": bool(chosen and chosen.admitted),
        "draws": len(draws),
        "reward": reward.value if reward else None,
        "causes": [cause for draw in draws if draw.reward for cause in causes(draw.reward, settings)],
        "prompt": chosen.prompt.text if chosen and chosen.prompt else None,
        "sha256": chosen.picture.sha256 if chosen and chosen.picture else None,
        "picture": None,
        "failure": failure.model_dump(mode="json") if failure else None,
    }


def _counts(rows: Sequence[Row], resumed: int) -> dict[str, Any]:
    admitted = sum(row["admitted"] for row in rows)
    failed = sum(row["failure"] is not None for row in rows)
    return {
        "queries": len(rows),
        "admitted": admitted,
        "not_admitted": len(rows) - admitted - failed,
        "failed": failed,
        "resumed": resumed,
        "draws": sum(row["draws"] for row in rows),
        "draws_per_admitted": sum(row["draws"] for row in rows) / admitted if admitted else None,
    }


def _write_atomically(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StageFailed(
            f"cannot write {path} ({error.strerror or error}); free space or choose another place; what is "
            "finished stays finished"
        ) from None
