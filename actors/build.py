"""Settings -> worker: the one place that turns a backend's `module:Class` into an object."""

from __future__ import annotations

import importlib
from typing import Any

from actors.artifacts import Artifacts
from configs.base import BackendSettings


def build_worker(settings: BackendSettings, artifacts: Artifacts) -> Any:
    """Import and build the worker that the settings name. Heavy libraries load here and nowhere else."""
    module, _, name = settings.worker.partition(":")
    return getattr(importlib.import_module(module), name)(settings, artifacts)
