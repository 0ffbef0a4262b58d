"""The studio under search: a candidate is a strategy, an example a query, a call one first draw."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from actors.artifacts import Artifacts
from actors.clients.chat import data_uri
from actors.context import context_of
from actors.contracts import Draw, Failure, Query, Strategy, derive_seed
from actors.hosts import in_process
from actors.reward import causes
from actors.studio import Job, Studio
from actors.vocabulary import FACETS, Facet, read, read_query
from configs.policy import ExpanderSettings, TinySettings
from configs.schema import Settings
from train_jobs.gepa.adapter import EvaluationBatch, ReflectiveDataset
from train_jobs.gepa.candidate import Candidate
from train_jobs.gepa.edits import RULES, Seen, edit, join, situation_of

OPEN: tuple[Facet, ...] = ("style", "palette", "layout", "light", "density")
"""Facets that a strategy decides where the query does not."""


@dataclass(frozen=True)
class ShownPicture:
    """A PNG for a reflecting model that can see."""

    data: bytes

    def to_openai_content_part(self) -> dict[str, Any]:
        """The picture as a part of a chat message."""
        return {"type": "image_url", "image_url": {"url": data_uri("image/png", self.data)}}


class StudioAdapter:
    """Evaluates strategies on queries. Its roles live in the process that uses it, from the first call on.

    The score is the mean of the reward and of whether the draw was admitted; both are 0 where a gate fails:
    a beautiful picture of the wrong thing is worth nothing. Every strategy draws a query with the same seed,
    so strategies that write the same prompt for it share one draw.

    Args:
        scorer: whether the learned scorer takes part in the reward.
        model: whether a language model reflects; if not, rules are edited by what was measured.
    """

    def __init__(self, settings: Settings, *, scorer: bool = True, model: bool = False) -> None:
        self._settings, self._scorer, self._model = settings, scorer, model
        self._loop: asyncio.AbstractEventLoop | None = None
        self._studio: Studio | None = None
        self._lock = threading.Lock()
        self._open = AsyncExitStack()
        self._drawn: dict[str, Draw] = {}
        """Finished draws by prompt id, which names query and text."""
        self.propose_new_texts = None if model else self._edit
        if not model:
            self.crossover = self._join

    def evaluate(
        self, batch: list[Query], candidate: Candidate, capture_traces: bool = False
    ) -> EvaluationBatch:
        """See `Adapter.evaluate`."""
        strategy = Strategy.of(dict(candidate))
        draws = self._wait(self._first_draws(self._opened(), batch, strategy))
        pairs = list(zip(batch, draws, strict=True))
        return EvaluationBatch(
            outputs=[draw.prompt.text if draw.prompt else None for draw in draws],
            scores=[worth(draw) for draw in draws],
            trajectories=[self._trace(query, draw) for query, draw in pairs] if capture_traces else None,
            objective_scores=[objectives(draw) for draw in draws],
        )

    def make_reflective_dataset(
        self, candidate: Candidate, eval_batch: Any, components_to_update: list[str]
    ) -> ReflectiveDataset:
        """The same rows for each component: what was asked, what was written, what was measured."""
        rows = [trace for trace in eval_batch.trajectories if trace is not None]
        shown = [_shown(trace, measured=self.propose_new_texts is not None) for trace in rows]
        if self.propose_new_texts is not None:
            shown += [{"history": trace.get("measured")} for trace in eval_batch.history]
        elif getattr(self._settings.gepa.reflection, "pictures", False):
            artifacts = Artifacts(self._settings.paths.artifacts)
            for row, trace in zip(shown, rows, strict=True):
                if "picture" in trace:
                    row["Picture"] = ShownPicture(artifacts.get(trace["picture"]))
        return {name: shown for name in components_to_update}

    def _edit(
        self, candidate: Candidate, dataset: ReflectiveDataset, components: list[str]
    ) -> Mapping[str, str]:
        if RULES not in components:
            return {}
        rows = next(iter(dataset.values()), [])
        seen = [_seen(row["measured"]) for row in rows if row.get("measured")]
        before = [_seen(row["history"]) for row in rows if row.get("history")]
        return edit(candidate, seen, before, self._settings.gepa.seed)

    def _join(self, first: Candidate, second: Candidate, components: list[str]) -> Mapping[str, str]:
        return {RULES: join(first[RULES], second[RULES])} if RULES in components else {}

    async def _first_draws(self, studio: Studio, queries: Sequence[Query], strategy: Strategy) -> list[Draw]:
        """One draw a query, taken from memory where its prompt was drawn before."""
        seed = self._settings.gepa.seed
        draws: dict[int, Draw] = {}
        jobs: list[Job] = []
        for place, answer in enumerate(await studio.propose(queries, strategy, 1, seed)):
            query = queries[place]
            if isinstance(answer, Failure):
                draws[place] = Draw(query_id=query.id, index=0, failure=answer)
            elif known := self._drawn.get(answer[0].id):
                draws[place] = known
            else:
                jobs.append(Job(query, answer[0], derive_seed(seed, query.seed, query.id), place))
        async for draw in studio.stream(jobs):
            draws[draw.index] = draw
            if draw.prompt is not None and draw.failure is None:
                self._drawn[draw.prompt.id] = draw
        return [draws[place] for place in range(len(queries))]

    def _trace(self, query: Query, draw: Draw) -> dict[str, Any]:
        """What a reflection is told of a draw."""
        trace: dict[str, Any] = {"request": query.words, "frame": query.aspect, "score": worth(draw)}
        if draw.failure is not None:
            return {**trace, "failure": f"{draw.failure.stage}: {draw.failure.message}"}
        assert draw.prompt and draw.judgement and draw.reward and draw.picture
        reading, asked = read(draw.prompt.text), read_query(query)
        scores = {str(name): value for name, value in draw.judgement.scores.items() if value is not None}
        return {
            **trace,
            "prompt": draw.prompt.text,
            "picture": draw.picture.sha256,
            "admitted": draw.admitted,
            "reward": draw.reward.value,
            "scores": scores,
            "causes": list(causes(draw.reward, self._settings.reward)),
            "measured": {
                "situation": situation_of(context_of(query)),
                "written": {f: reading.keys(f)[0] for f in FACETS if len(reading.keys(f)) == 1},
                "open": [facet for facet in OPEN if not asked.keys(facet)],
                "scores": scores,
                "worth": worth(draw),
            },
        }

    def _opened(self) -> Studio:
        """The studio; its roles are built once, in a loop of their own."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, daemon=True, name="studio").start()
            if self._studio is None:
                self._studio = self._wait(self._build())
            return self._studio

    def __reduce__(self) -> tuple[Any, ...]:
        """It crosses Ray as what it was built of."""
        return functools.partial(StudioAdapter, scorer=self._scorer, model=self._model), (self._settings,)

    async def _build(self) -> Studio:
        artifacts = Artifacts(self._settings.paths.artifacts)
        roles = await self._open.enter_async_context(
            in_process(following(self._settings), artifacts, scorer=self._scorer)
        )
        return Studio(roles, self._settings.reward)

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def following(settings: Settings) -> Settings:
    """Settings with a policy that follows the strategy it is given.

    Trained weights or a strategy file would be used in place of every candidate.
    """
    if isinstance(settings.policy, ExpanderSettings | TinySettings):
        return settings.model_copy(update={"policy": ExpanderSettings()})
    return settings


def worth(draw: Draw) -> float:
    """What a first draw is worth to the search, 0..1."""
    return (draw.reward.value + draw.admitted) / 2 if draw.reward else 0.0


def objectives(draw: Draw) -> dict[str, float]:
    """Scores by objective: admission, both evaluations, and each dimension that was judged."""
    if draw.reward is None or draw.judgement is None:
        return {"admitted": 0.0}
    dimensions = {str(name): value for name, value in draw.judgement.scores.items() if value is not None}
    return {
        "admitted": float(draw.admitted),
        "prompt": draw.reward.prompt,
        "picture": draw.reward.picture,
        **dimensions,
    }


def _shown(trace: Mapping[str, Any], *, measured: bool) -> dict[str, Any]:
    """A row for a reflection: words for a language model, and for edits what was measured."""
    shown = {
        "Request": trace["request"],
        "Frame": trace["frame"],
        "Prompt written": trace.get("prompt", ""),
        "Feedback": _feedback(trace),
    }
    return {**shown, "measured": trace.get("measured")} if measured else shown


def _feedback(trace: Mapping[str, Any]) -> str:
    if "failure" in trace:
        return f"No picture: {trace['failure']}"
    scores = ", ".join(f"{name} {value:.2f}" for name, value in trace["scores"].items())
    verdict = "admitted" if trace["admitted"] else f"not admitted because of {', '.join(trace['causes'])}"
    return (
        f"The picture was {verdict}. Scores of the picture, 0 to 1: {scores}. Reward {trace['reward']:.2f}."
    )


def _seen(measured: Mapping[str, Any]) -> Seen:
    return Seen(
        measured["situation"],
        measured["written"],
        measured["open"],
        measured["scores"],
        measured["worth"],
    )
