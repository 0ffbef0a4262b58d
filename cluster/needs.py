"""What a profile lacks on this machine before it can run."""

from __future__ import annotations

import importlib
import importlib.util
import socket
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

from actors.errors import StageFailed
from actors.hosts import backends, engines
from configs.base import BackendSettings
from configs.engine import VllmSettings
from configs.generator import DiffusersSettings
from configs.http import HttpSettings
from configs.judge import MeasuredSettings
from configs.pool import PoolSettings
from configs.schema import Settings
from configs.scorer import AestheticSettings

CONNECT_S = 2.0


def lacks(settings: Settings) -> list[str]:
    """One sentence for each thing that is missing; empty = the profile can run. Loads every backend."""
    found: list[str] = []
    for role, backend in backends(settings).items():
        found += [f"{role}: {problem}" for problem in (*_module(backend), *_parts(backend))]
    return found + list(_gpus(settings))


def refuse_incomplete(settings: Settings) -> None:
    """Say what is missing before minutes are spent on starting; checks only what is quick to check.

    Raises:
        StageFailed: a backend lacks its weights, its files or its service.
    """
    found = [f"{role}: {problem}" for role, each in backends(settings).items() for problem in _parts(each)]
    if found:
        raise StageFailed(f"profile {settings.profile} cannot run here: {'; '.join(found)}")


def _module(settings: BackendSettings) -> Iterator[str]:
    try:
        importlib.import_module(settings.worker.partition(":")[0])
    except ImportError as error:
        yield f"the backend {settings.worker} cannot be loaded: {error}"


def _parts(settings: BackendSettings) -> Iterator[str]:
    if isinstance(settings, MeasuredSettings):
        weights = files("actors.judge.measured").joinpath("recogniser.safetensors")
        if not weights.is_file():
            yield "the recogniser's weights are missing; run `python -m train_jobs.recogniser.train`"
    if isinstance(settings, AestheticSettings):
        folder = settings.folder or Path(str(files("actors.scorer"))) / "small"
        if not (folder / "scorer.json").is_file():
            yield f"no scorer in {folder}; train one with `atelier train ranking`, or set scorer.folder"
    if isinstance(settings, DiffusersSettings):
        yield from _diffusers(settings)
    engine = getattr(settings, "engine", None)
    if engine is not None:
        yield from _engine(engine)
        return
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, HttpSettings):
            yield from _service(value)


def _diffusers(settings: DiffusersSettings) -> Iterator[str]:
    if importlib.util.find_spec("diffusers") is None:
        yield "diffusers is not installed; install the extra `diffusion`"
    if not (settings.path / "model_index.json").is_file():
        yield f"no pipeline in {settings.path}; put one there (model_index.json ...) or set generator.path"


def _engine(settings: VllmSettings) -> Iterator[str]:
    if not settings.python.exists():
        yield f"no engine environment with {settings.python}; run `make setup-vllm`, or set engine.python"
    if not (settings.model / "config.json").is_file():
        yield f"no model in {settings.model}; put one there (config.json ...) or set engine.model"


def _service(settings: HttpSettings) -> Iterator[str]:
    parts = urlsplit(settings.base_url)
    if settings.api_key_file is not None and not settings.api_key_file.is_file():
        yield f"the key file {settings.api_key_file} does not exist"
    if settings.proxy is not None:
        return
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=CONNECT_S).close()
    except OSError as error:
        where = f"{parts.scheme}://{parts.hostname}:{port}"
        yield f"nothing answers at {where} ({error}); start the service, or set its base_url"


def _gpus(settings: Settings) -> Iterator[str]:
    device = getattr(settings.generator, "device", "cpu")
    if device.startswith("cuda") and settings.cluster.address is None and _gpu_count() == 0:
        yield f"generator: device is {device}, and torch finds no GPU"
    pools: dict[str, PoolSettings] = {role: getattr(settings.pools, role) for role in backends(settings)}
    wanted = sum(pool.workers * pool.num_gpus for pool in pools.values())
    wanted += sum(engine.num_gpus for engine in engines(settings))
    if wanted and settings.cluster.address is None and (there := _gpu_count()) < wanted:
        yield f"pools and engines: {wanted:g} GPUs are asked for, and this machine has {there}"


def _gpu_count() -> int:
    cuda = importlib.import_module("torch").cuda
    return int(cuda.device_count()) if cuda.is_available() else 0
