"""The HTTP edge: where it listens, who may call, how much."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from pydantic import Field, model_validator

from configs.base import RoomSettings


class ImagineAppSettings(RoomSettings):
    """Limits and job handling of the imagine app."""

    max_draws: int = Field(default=16, ge=1, le=256)
    """Largest `n` of one request."""
    max_pictures: int = Field(default=32, ge=1, le=1024)
    """Pictures that one request may have scored."""
    max_queued: int = Field(default=64, ge=1)
    """Unfinished jobs of all callers together; one more is answered 503."""
    jobs_at_once: int = Field(default=4, ge=1)
    """Jobs that one replica works on at a time."""
    chunk: int = Field(default=2, ge=1)
    """Draws of a job that travel together through the stages: fewer = finer progress."""
    lease_s: float = Field(default=30.0, gt=0)
    """A job whose replica gave no sign of life for so long is taken over."""
    attempts: int = Field(default=4, ge=1)
    """Replicas that may try a job before it is failed."""
    job_timeout_s: float = Field(default=600.0, gt=0)
    poll_s: float = Field(default=0.5, gt=0)
    """How often a replica looks for other replicas' events."""
    jobs_kept: int = Field(default=2_000, ge=1)
    """Finished jobs that a replica can still show; the oldest are forgotten first."""


class ServeSettings(RoomSettings):
    """Limits and keys of every served app, and of the deployments behind them."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    keys_file: Path = Path("runs/keys.json")
    """API keys (hashes only), managed by `atelier keys`."""
    require_key: bool = True
    rate_per_minute: int = Field(default=600, ge=1)
    """Requests a key may make in a minute."""
    max_body_bytes: int = Field(default=48 * 1024 * 1024, ge=1024)
    request_timeout_s: float = Field(default=120.0, gt=0)
    """Time until an answer must have begun; a stream may then go on."""
    replicas: int = Field(default=1, ge=1)
    """Replicas of each app."""
    role_timeout_s: float = Field(default=120.0, gt=0)
    """Time for one call of a role's deployment."""
    role_in_flight: int = Field(default=8, ge=1)
    """Calls that one replica of a role works on at a time."""
    role_queue: int = Field(default=256, ge=1)
    """Calls that each caller may have waiting for a role; one more is refused."""
    start_timeout_s: float = Field(default=120.0, gt=0)
    imagine: ImagineAppSettings = ImagineAppSettings()

    @model_validator(mode="after")
    def _no_open_door(self) -> ServeSettings:
        if not self.require_key and not _is_loopback(self.host):
            raise ValueError(
                f"host {self.host!r} is reachable from outside and require_key is false; "
                "accepted: require_key true, or host 127.0.0.1"
            )
        return self


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
