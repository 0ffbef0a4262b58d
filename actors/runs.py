"""One folder a run: what it was asked, with which versions, and what came of it."""

from __future__ import annotations

import json
import os
import platform
import time
import uuid
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from configs.schema import Settings

_LIBRARIES = ("atelier-ray", "ray", "torch", "torchvision", "numpy", "opencv-python-headless", "pydantic")


@dataclass(frozen=True)
class Run:
    """A run's folder, `runs/<id>/`."""

    id: str
    path: Path

    @classmethod
    def create(cls, settings: Settings, name: str) -> Run:
        """Make a new folder and dump the resolved settings and versions into it."""
        run_id = f"{time.strftime('%Y%m%d-%H%M%S')}-{name}-{uuid.uuid4().hex[:6]}"
        return cls.at(settings, settings.paths.runs / run_id)

    @classmethod
    def at(cls, settings: Settings, path: Path) -> Run:
        """Begin a run in a folder of its own, which may be there and empty."""
        run = cls(path.name, path)
        run.path.mkdir(parents=True, exist_ok=True)
        run.write_json(
            "settings.json", {"settings": settings.model_dump(mode="json"), "versions": versions()}
        )
        return run

    def write_json(self, name: str, data: Any) -> Path:
        """Write JSON under a temporary name, then rename: a reader sees all of it or nothing."""
        path = self.path / name
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(data, ensure_ascii=False, indent=2) + "\n", "utf-8")
        os.replace(temporary, path)
        return path


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that results hang on; an absent one is `-`."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "-"
    return found
