"""WorkerPool: replicas of a worker on Ray, with per-item results, retries, restarts and back-pressure."""

from actors.pool.pool import PoolStats, WorkerPool

__all__ = ["PoolStats", "WorkerPool"]
