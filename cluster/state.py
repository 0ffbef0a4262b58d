"""What atelier has running on this machine: one JSON file, checked against the living processes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from actors.errors import AtelierError

Kind = Literal["cluster", "serve"]


class StateUnreadable(AtelierError):
    """The state file is damaged. Example: it was edited by hand."""


class Service(BaseModel):
    """One process that atelier started and that leads a session of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int
    created: float
    """The process's start time: a reused pid is another process."""
    address: str
    """`host:port` of the cluster, URL of the served apps."""
    folder: str = ""
    """Ray's session folder, removed when the cluster ends."""
    log: str = ""

    @property
    def process(self) -> psutil.Process | None:
        """The living process, or None."""
        try:
            process = psutil.Process(self.pid)
            alive = abs(process.create_time() - self.created) < 2 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return None
        return process if alive else None


def read(path: Path) -> dict[str, Service]:
    """All recorded services, living or not."""
    try:
        data: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return {kind: Service.model_validate(entry) for kind, entry in data.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, ValidationError) as error:
        raise StateUnreadable(f"{path} cannot be read ({error}); delete it if nothing is running") from None


def running(path: Path, kind: Kind) -> Service | None:
    """The recorded service of a kind if its process lives."""
    service = read(path).get(kind)
    return service if service is not None and service.process is not None else None


def record(path: Path, kind: Kind, service: Service | None) -> None:
    """Remember a service, or forget it."""
    services = read(path)
    services.pop(kind, None)
    if service is not None:
        services[kind] = service
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({k: s.model_dump() for k, s in services.items()}, indent=2), "utf-8")
    os.replace(temporary, path)


def started(pid: int, address: str, folder: str = "", log: str = "") -> Service:
    """The record of a process that was just started."""
    created = psutil.Process(pid).create_time()
    return Service(pid=pid, created=created, address=address, folder=folder, log=log)
