"""How many replicas of a worker run on Ray, and what may be asked of each."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from configs.base import RoomSettings


class PoolSettings(RoomSettings):
    """One WorkerPool. `workers: 0` means no pool: the worker runs inside the driver."""

    workers: int = Field(default=1, ge=0, le=4096)
    """Replicas, each in a process of its own."""
    batch: int = Field(default=4, ge=1)
    """Most items in one call to a replica."""
    concurrency: int = Field(default=1, ge=1)
    """Calls that a replica has at once: 1 for CPU and GPU work, more for workers that wait on a network."""
    in_flight: int = Field(default=64, ge=1)
    """Most items that `map` has taken from its source and not yet handed out."""
    timeout_s: float = Field(default=120.0, gt=0)
    """Longest time for one call to a replica; a replica that takes longer is replaced."""
    retries: int = Field(default=2, ge=0, le=20)
    """Further attempts for an item whose replica died, hung or failed for a passing reason."""
    restarts: int = Field(default=10, ge=0)
    """Times in a row that a replica is replaced without finishing one call; then it is given up."""
    num_cpus: float = Field(default=0.5, ge=0)
    """CPUs that Ray reserves a replica: bookkeeping, not a limit. A replica computes on `threads` threads."""
    num_gpus: float = Field(default=0.0, ge=0)
    """GPUs a replica: 0, a whole number, or 1/n, the share of one GPU that n replicas have."""
    threads: int = Field(default=1, ge=1)
    """Threads of BLAS, OpenMP, OpenCV and torch in a replica."""
    start_timeout_s: float = Field(default=120.0, gt=0)
    """Longest time until a replica has built its worker."""

    @field_validator("num_gpus")
    @classmethod
    def _whole_or_one_nth(cls, value: float) -> float:
        if value >= 1 and not value.is_integer():
            raise ValueError(
                f"{value:g} GPUs cannot be given to one replica; accepted: 0, a whole number, or 1/n"
            )
        if 0 < value < 1:
            sharers = round(1 / value)
            if not 0.99 <= value * sharers <= 1 + 1e-9:
                raise ValueError(
                    f"{value:g} of a GPU does not divide one GPU evenly, and Ray may never place it; "
                    f"accepted: 0, a whole number, or 1/n, here {int(10_000 / sharers) / 10_000:g}"
                )
        return value

    @model_validator(mode="after")
    def _a_batch_fits(self) -> PoolSettings:
        if self.in_flight < self.batch:
            raise ValueError(
                f"in_flight={self.in_flight} is less than batch={self.batch}; accepted: at least batch"
            )
        return self
