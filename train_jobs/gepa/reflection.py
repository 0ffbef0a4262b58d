"""Who writes new texts: the adapter itself, a function, a reflection strategy, or a language model."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from actors.errors import BadInput
from train_jobs.gepa.adapter import Adapter, ProposalFn, ReflectiveDataset
from train_jobs.gepa.tasks import Propose, Proposed

TEXT, EXAMPLES = "<curr_param>", "<side_info>"
FIRST, SECOND, FIRST_SCORE, SECOND_SCORE = "<first>", "<second>", "<first_score>", "<second_score>"
_FENCED = re.compile(r"```[^\n`]*\n(.*)```", re.DOTALL)
_UNCLOSED = re.compile(r"\s*```[^\s`]*\n")
_HEADING = 6


class Reflection:
    """Turns what examples showed into new texts. The first of the ways that is given is taken.

    Args:
        adapter: asked if it has `propose_new_texts`, and for crossovers if it has `crossover`.
        propose: asked in place of a language model.
        model: a `LanguageModel`, or an object with gepa's `reflect(candidate, dataset, components)`.
        template: file of a prompt with `<curr_param>` and `<side_info>`; None = the shipped one.

    Raises:
        BadInput: none is given, or the template lacks a place.
    """

    def __init__(
        self,
        adapter: Adapter,
        propose: ProposalFn | None = None,
        model: Any = None,
        template: Path | None = None,
    ) -> None:
        self._own: ProposalFn | None = getattr(adapter, "propose_new_texts", None) or propose
        self._join = getattr(adapter, "crossover", None)
        self._model = model
        self._template = template.read_text("utf-8") if template else _prompt("mutation")
        self._lock = threading.Lock()
        self._paid = float(getattr(model, "total_cost", 0.0))
        if self._own is None and model is None:
            raise BadInput(
                "nothing writes new texts; accepted: an adapter with propose_new_texts, propose=..., or "
                "reflection_lm=..."
            )
        if missing := [place for place in (TEXT, EXAMPLES) if place not in self._template]:
            raise BadInput(
                f"the reflection template {template} lacks {', '.join(missing)}; accepted: a text with "
                f"{TEXT} and {EXAMPLES}"
            )

    @property
    def crosses(self) -> bool:
        """Whether it can join two texts."""
        return self._join is not None or (self._own is None and callable(self._model))

    def mutation(self, task: Propose, dataset: ReflectiveDataset) -> Proposed:
        """New texts for the task's components."""
        candidate, names = dict(task.candidate), list(task.components)
        if self._own is not None:
            return Proposed(_texts(self._own(candidate, dataset, names)))
        if hasattr(self._model, "reflect"):
            with self._lock:  # a strategy hands its state on from one reflection to the next
                proposal, self._model = self._model.reflect(candidate, dataset, names)
            return Proposed(_texts(proposal.new_texts))
        texts: dict[str, str] = {}
        cost = 0.0
        for name in names:
            if rows := dataset.get(name):
                shown, pictures = render(rows)
                prompt = _filled(self._template, {TEXT: candidate[name], EXAMPLES: shown})
                answer, paid = self._ask(_with_pictures(prompt, pictures))
                texts[name], cost = extract(answer), cost + paid
        return Proposed({name: text for name, text in texts.items() if text}, cost)

    def crossover(self, task: Propose) -> Proposed:
        """One text for each component in which two candidates differ."""
        assert task.other is not None
        if self._join is not None:
            return Proposed(_texts(self._join(dict(task.candidate), dict(task.other), list(task.components))))
        texts: dict[str, str] = {}
        cost = 0.0
        for name in task.components:
            places = {
                FIRST: task.candidate[name],
                SECOND: task.other[name],
                FIRST_SCORE: f"{task.scores['candidate']:.3f}",
                SECOND_SCORE: f"{task.scores['other']:.3f}",
            }
            answer, paid = self._ask(_filled(_prompt("crossover"), places))
            texts[name], cost = extract(answer), cost + paid
        return Proposed({name: text for name, text in texts.items() if text}, cost)

    def _ask(self, prompt: Any) -> tuple[str, float]:
        """The model's answer, and what it cost where the model keeps `total_cost`."""
        answer = str(self._model(prompt))
        with self._lock:
            total = float(getattr(self._model, "total_cost", 0.0))
            paid, self._paid = total - self._paid, total
        return answer, paid


def extract(answer: str) -> str:
    """The text between the first and the last fence, or the whole answer where there is none."""
    if found := _FENCED.search(answer):
        return found[1].strip()
    return _UNCLOSED.sub("", answer, count=1).replace("```", "").strip()


def render(rows: Sequence[Mapping[str, Any]]) -> tuple[str, list[Any]]:
    """Examples as Markdown; pictures (objects with `to_openai_content_part`) are numbered and set apart."""
    pictures: list[Any] = []

    def lines(value: Any, depth: int) -> list[str]:
        if hasattr(value, "to_openai_content_part"):
            pictures.append(value)
            return [f"[picture {len(pictures)}]", ""]
        if isinstance(value, Mapping):
            pairs = list(value.items())
        elif isinstance(value, (list, tuple)):
            pairs = [(f"{place}", each) for place, each in enumerate(value, 1)]
        else:
            return [str(value).strip(), ""]
        inner = min(depth + 1, _HEADING)
        return [line for name, each in pairs for line in ("#" * depth + f" {name}", *lines(each, inner))]

    parts = [line for n, row in enumerate(rows, 1) for line in (f"# Example {n}", *lines(row, 2))]
    return "\n".join(parts).strip(), pictures


def _filled(template: str, places: Mapping[str, str]) -> str:
    """A template with its places filled at once: what a text says of them is not a place."""
    pattern = "|".join(re.escape(place) for place in places)
    return re.sub(pattern, lambda found: places[found[0]], template)


def _with_pictures(prompt: str, pictures: Sequence[Any]) -> Any:
    if not pictures:
        return prompt
    content = [{"type": "text", "text": prompt}, *(each.to_openai_content_part() for each in pictures)]
    return [{"role": "user", "content": content}]


def _texts(answer: Mapping[str, str] | None) -> dict[str, str]:
    return dict(answer or {})


def _prompt(name: str) -> str:
    return files("train_jobs.gepa").joinpath("reflection_prompts", f"{name}.md").read_text("utf-8")
