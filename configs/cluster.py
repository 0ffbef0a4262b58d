"""The Ray cluster that jobs and apps run on."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from configs.base import RoomSettings


class ClusterSettings(RoomSettings):
    """Join a cluster by address, or start a local one."""

    address: str | None = None
    """`auto` (the one that `atelier up` started), `host:port` or `ray://...`; none = a local cluster of this
    command's own."""
    host: str = "127.0.0.1"
    """Where a cluster started here listens."""
    num_cpus: int | None = Field(default=None, ge=1)
    """CPUs that a cluster started here offers; none = the machine's, or as many as the pools want."""
    dashboard: bool = False
    temp_dir: Path | None = None
    """Ray's session folder, a short path: socket names may have 107 characters in all. None = a fresh one."""
    auth: Literal["token", "disabled"] = "token"
    token_file: Path = Path("runs/cluster/token")
    """Token of clusters started here, made when missing."""
    state_file: Path = Path("runs/cluster/state.json")
    """What `atelier up` and `atelier serve` have running."""
    start_timeout_s: float = Field(default=120.0, gt=0)

    @model_validator(mode="after")
    def _no_open_door(self) -> ClusterSettings:
        if self.auth == "disabled" and not is_loopback(self.host):
            raise ValueError(
                f"host {self.host!r} without a token lets anyone on the network run code here; "
                "accepted: auth=token, or host=127.0.0.1"
            )
        return self


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host name or address."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
