"""A run's folder belongs to one search: its header says which."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from typing import Any

from train_jobs.gepa.errors import RunDiffers
from train_jobs.gepa.journal import LOG
from train_jobs.gepa.plan import Plan

VERSION = 1
"""Of what a run's folder holds."""
HEADER = "search.json"
FREE = {
    *("evaluators", "proposers", "num_cpus", "evaluation_timeout_s", "reflection_timeout_s", "studio"),
}
"""Settings that may change from one part of a run to the next."""


def _header(plan: Plan) -> dict[str, Any]:
    """What must be the same for a run to go on: everything that its decisions follow from."""
    keep = plan.settings.model_dump(mode="json", exclude=FREE)
    return {
        "version": VERSION,
        "settings": keep,
        "max_metric_calls": plan.calls,
        "seed_candidates": plan.seeds,
        "train": _digest(plan.train),
        "validation": _digest(plan.validation),
    }


def claim(plan: Plan) -> None:
    """Write a new run's header into its folder, or compare it with the one that is there.

    Raises:
        RunDiffers: they are not the same; the message names what differs.
    """
    folder, header = plan.folder, _header(plan)
    if folder is None:
        return
    path = folder / HEADER
    if not path.exists():
        if (folder / LOG).exists():
            raise RunDiffers(f"{folder} holds a log without its {HEADER}; accepted: another folder")
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(header, ensure_ascii=False, indent=1) + "\n", "utf-8")
        os.replace(temporary, path)
        return
    try:
        there = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise RunDiffers(f"{path} cannot be read ({error}); accepted: another folder") from None
    if not isinstance(there, dict):
        raise RunDiffers(f"{path} cannot be read (it is no header); accepted: another folder")
    for name, mine in json.loads(json.dumps(header)).items():
        other = there.get(name)
        if other != mine:
            raise RunDiffers(
                f"{folder} holds a run with {_difference(name, other, mine)}; accepted: the same search, or "
                "another folder"
            )


def _difference(name: str, there: Any, mine: Any) -> str:
    """The first thing in which two headers differ, in words."""
    if isinstance(there, dict) and isinstance(mine, dict):
        for key in [*there, *mine]:
            if there.get(key) != mine.get(key):
                return _difference(key, there.get(key), mine.get(key))
    if name in ("train", "validation", "seed_candidates"):
        return f"other {name.replace('_', ' ')}"
    return f"{name} {there!r} in place of {mine!r}"


def _digest(examples: Sequence[Any]) -> str:
    """Tells one set of examples from another, as far as their text does."""
    digest = hashlib.sha256()
    for example in examples:
        text = example.model_dump_json() if hasattr(example, "model_dump_json") else _text(example)
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return f"{len(examples)} examples {digest.hexdigest()[:16]}"


def _text(example: Any) -> str:
    try:
        return json.dumps(example, sort_keys=True, ensure_ascii=False)
    except (TypeError, ValueError):
        # An address in a repr differs in every process and would forbid every resumption.
        return type(example).__name__
