"""What a job is, folded from its events. Pure: no clock, no log.

| kind | id | says |
| --- | --- | --- |
| `imagine.requested` | `<job>/requested` | a caller wants `n` draws for a query |
| `imagine.leased` | `<job>/lease/<attempt>[/<beat>]` | a replica works on it until a time |
| `imagine.proposed` | `<job>/proposed` | the prompts |
| `imagine.drawn` | `<job>/drawn/<index>` | a picture exists |
| `imagine.judged` | `<job>/judged/<index>` | the draw is complete |
| `imagine.ended` | `<job>/ended` | done or failed |

The log keeps the first event of an id and refuses another under the same id. So there is one holder of
each attempt, one picture of each draw and one end, whatever replicas race or come back from the dead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from actors.contracts import Draw, Event, Failure, Picture, Prompt, Query, content_id, derive_seed
from actors.studio import Job as DrawJob
from actors.studio import best

PREFIX = "imagine."
REQUESTED, LEASED, PROPOSED = f"{PREFIX}requested", f"{PREFIX}leased", f"{PREFIX}proposed"
DRAWN, JUDGED, ENDED = f"{PREFIX}drawn", f"{PREFIX}judged", f"{PREFIX}ended"
KINDS = (REQUESTED, LEASED, PROPOSED, DRAWN, JUDGED, ENDED)

Status = Literal["queued", "running", "done", "failed"]


@dataclass(frozen=True)
class Lease:
    """Who works on a job. `until` is in seconds since the epoch."""

    attempt: int
    holder: str
    until: float
    why: str = ""
    """What stopped the attempt, when it was given up."""


@dataclass(frozen=True)
class Progress:
    """One step that callers are told of; `offset` is its place in the ledger."""

    offset: int
    name: str
    data: dict[str, Any]


@dataclass
class ImagineJob:
    """The state of one job."""

    id: str
    owner: str
    query: Query
    n: int
    requested: float
    offset: int
    lease: Lease | None = None
    prompts: tuple[Prompt, ...] | None = None
    pictures: dict[int, Picture] = field(default_factory=dict)
    draws: dict[int, Draw] = field(default_factory=dict)
    ended: Literal["done", "failed"] | None = None
    failure: Failure | None = None
    progress: list[Progress] = field(default_factory=list)

    @classmethod
    def of(cls, offset: int, event: Event) -> ImagineJob:
        """The job that a `requested` event starts."""
        payload = event.payload
        job = cls(
            id=payload["job"],
            owner=payload["owner"],
            query=Query.model_validate(payload["query"]),
            n=payload["n"],
            requested=event.time,
            offset=offset,
        )
        job._tell(offset, "queued", n=job.n)
        return job

    @property
    def status(self) -> Status:
        """Where the job stands."""
        return self.ended or ("running" if self.lease else "queued")

    @property
    def best(self) -> Draw | None:
        """The draw to hand out, once there is one."""
        return best(list(self.draws.values()))

    def claimable(self, now: float) -> bool:
        """Whether nobody works on the job, although it has not ended."""
        return self.ended is None and (self.lease is None or self.lease.until <= now)

    def missing(self) -> list[DrawJob]:
        """The draws still to be made, once there are prompts; the same on every replica."""
        query = self.query
        return [
            DrawJob(query, prompt, derive_seed(0, query.seed, query.id, index), index)
            for index, prompt in enumerate(self.prompts or ())
            if index not in self.draws
        ]

    def apply(self, offset: int, event: Event) -> None:
        """Fold one later event of the job in. What comes after the end changes nothing."""
        if self.ended or event.payload["job"] != self.id:
            return
        payload = event.payload
        match event.kind:
            case "imagine.leased":
                lease = Lease(payload["attempt"], payload["holder"], payload["until"], payload["why"])
                if self.lease is None or lease.attempt >= self.lease.attempt:
                    self.lease = lease
            case "imagine.proposed":
                self.prompts = tuple(Prompt.model_validate(prompt) for prompt in payload["prompts"])
                self._tell(offset, "proposed", n=len(self.prompts))
            case "imagine.drawn":
                picture = Picture.model_validate(payload["picture"])
                self.pictures[payload["index"]] = picture
                self._tell(
                    offset,
                    "drawn",
                    index=payload["index"],
                    k=len(self.pictures),
                    n=self.n,
                    sha256=picture.sha256,
                )
            case "imagine.judged":
                self._judged(offset, Draw.model_validate(payload["draw"]))
            case "imagine.ended":
                self._end(offset, payload)

    def _judged(self, offset: int, draw: Draw) -> None:
        self.draws[draw.index] = draw
        self._tell(
            offset,
            "judged",
            index=draw.index,
            k=len(self.draws),
            n=self.n,
            reward=draw.reward.value if draw.reward else None,
            admitted=draw.admitted,
        )

    def _end(self, offset: int, payload: dict[str, Any]) -> None:
        self.ended = payload["status"]
        if payload["failure"]:
            self.failure = Failure.model_validate(payload["failure"])
            self._tell(offset, "failed", message=self.failure.message)
        else:
            chosen = self.best
            self._tell(
                offset,
                "done",
                best=chosen.index if chosen else None,
                admitted=bool(chosen and chosen.admitted),
            )

    def _tell(self, offset: int, name: str, **data: Any) -> None:
        self.progress.append(Progress(offset, name, {"job": self.id, **data}))


def job_id_of(owner: str, idempotency_key: str) -> str:
    """The id of the job that a caller's idempotency key stands for."""
    return f"img-{content_id(owner, idempotency_key)}"


def requested(job_id: str, owner: str, query: Query, n: int, now: float) -> Event:
    """The event that starts a job. The same request again is the same event, whenever it is made."""
    payload = {"owner": owner, "query": query.model_dump(mode="json"), "n": n}
    return _event(job_id, REQUESTED, "requested", payload, owner, now)


def leased(job_id: str, lease: Lease, beat: int, now: float) -> Event:
    """A claim (`beat` 0), a sign of life, or a release (`until` is when others may try) of a job."""
    payload = {"attempt": lease.attempt, "holder": lease.holder, "until": lease.until, "why": lease.why}
    name = f"lease/{lease.attempt}" + (f"/{beat}" if beat else "")
    return _event(job_id, LEASED, name, payload, lease.holder, now)


def proposed(job_id: str, prompts: list[Prompt], holder: str, now: float) -> Event:
    """The prompts of a job."""
    payload = {"prompts": [prompt.model_dump(mode="json") for prompt in prompts]}
    return _event(job_id, PROPOSED, "proposed", payload, holder, now)


def drawn(job_id: str, index: int, picture: Picture, holder: str, now: float) -> Event:
    """A picture of a job."""
    payload = {"index": index, "picture": picture.model_dump(mode="json")}
    return _event(job_id, DRAWN, f"drawn/{index}", payload, holder, now)


def judged(job_id: str, draw: Draw, holder: str, now: float) -> Event:
    """A complete draw of a job, or one that failed."""
    return _event(job_id, JUDGED, f"judged/{draw.index}", {"draw": draw.model_dump(mode="json")}, holder, now)


def ended(job_id: str, failure: Failure | None, holder: str, now: float) -> Event:
    """The end of a job."""
    payload = {
        "status": "failed" if failure else "done",
        "failure": failure.model_dump(mode="json") if failure else None,
    }
    return _event(job_id, ENDED, "ended", payload, holder, now)


def _event(job_id: str, kind: str, name: str, payload: dict[str, Any], actor: str, now: float) -> Event:
    return Event(id=f"{job_id}/{name}", kind=kind, payload={"job": job_id, **payload}, actor=actor, time=now)
