"""Where things are kept."""

from __future__ import annotations

from pathlib import Path

from configs.base import RoomSettings


class PathSettings(RoomSettings):
    """Folders and stores."""

    runs: Path = Path("runs")
    """One folder a run."""
    artifacts: str = "runs/artifacts"
    """fsspec URI of the blob store; on several nodes it must be shared storage."""
