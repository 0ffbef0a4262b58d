"""The registry of metrics: what is measured is declared here, and dashboards are made from this table.

Every process counts for itself; where Ray runs, the same numbers leave through `ray.util.metrics`.
"""

from __future__ import annotations

import sys
import threading
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["counter", "gauge", "histogram"]
SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)


@dataclass(frozen=True)
class Metric:
    """One declared metric. Ray exports it as `ray_<name>`, a counter also with `_total` behind."""

    name: str
    kind: Kind
    help: str
    tags: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram's buckets, increasing."""
    sum: str = ""
    """The counter that holds a histogram's exact sum. Ray rebuilds a histogram's own sum from the middles of
    its buckets, so means are taken from this."""


def _timing(name: str, help: str, tags: tuple[str, ...]) -> tuple[Metric, Metric]:
    """A histogram of seconds and the counter of their exact sum."""
    total = f"{name}_seconds"
    return (
        Metric(f"{name}_duration_seconds", "histogram", f"{help}, distribution", tags, SECONDS, total),
        Metric(total, "counter", f"{help}, seconds in all", tags),
    )


METRICS: tuple[Metric, ...] = (
    Metric("pool_items", "counter", "Items that a pool finished, by outcome", ("pool", "outcome")),
    Metric("pool_retries", "counter", "Items that a pool gave to a replica again", ("pool",)),
    Metric("pool_restarts", "counter", "Replicas that a pool replaced", ("pool",)),
    Metric("pool_replicas", "gauge", "Replicas of a pool that are up", ("pool",)),
    Metric("pool_queued", "gauge", "Items that wait for a replica", ("pool",)),
    Metric("pool_running", "gauge", "Items that replicas work on", ("pool",)),
    *_timing("pool_call", "Time of one call to a replica", ("pool", "method")),
    *_timing("pool_wait", "Time that a call waited for a replica", ("pool",)),
    Metric("engine_restarts", "counter", "Engines that were replaced", ("engine",)),
    Metric("ledger_events", "counter", "Events appended to the ledger", ("host",)),
    Metric("ledger_conflicts", "counter", "Appends refused: an id came back with another content", ("host",)),
    *_timing("ledger_commit", "Time of one group commit", ("host",)),
)


class UndeclaredMetric(KeyError):
    """A metric or tag that the table does not have. Example: a typo in a name."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass
class Distribution:
    """A histogram's state: `counts[i]` values in bucket i, the last bucket without upper bound."""

    counts: list[int]
    total: float = 0.0

    @property
    def count(self) -> int:
        """How many values were observed."""
        return sum(self.counts)


@dataclass
class Registry:
    """The numbers of one process. Thread-safe."""

    declared: tuple[Metric, ...] = METRICS
    _values: dict[tuple[str, tuple[str, ...]], float] = field(default_factory=dict)
    _distributions: dict[tuple[str, tuple[str, ...]], Distribution] = field(default_factory=dict)
    _exporters: dict[str, Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._table = {metric.name: metric for metric in self.declared}

    def count(self, name: str, amount: float = 1.0, **tags: str) -> None:
        """Add to a counter. An amount of 0 changes nothing.

        Raises:
            UndeclaredMetric: no counter with this name and these tags is declared.
        """
        key = self._key(name, "counter", tags)
        if amount > 0:
            with self._lock:
                self._values[key] = self._values.get(key, 0.0) + amount
            self._export(name, "inc", amount, tags)

    def gauge(self, name: str, value: float, **tags: str) -> None:
        """Set a gauge.

        Raises:
            UndeclaredMetric: no gauge with this name and these tags is declared.
        """
        key = self._key(name, "gauge", tags)
        with self._lock:
            self._values[key] = value
        self._export(name, "set", value, tags)

    def observe(self, name: str, value: float, **tags: str) -> None:
        """Add a value to a histogram, and to the counter of its exact sum.

        Raises:
            UndeclaredMetric: no histogram with this name and these tags is declared.
        """
        key = self._key(name, "histogram", tags)
        metric = self._table[name]
        with self._lock:
            state = self._distributions.setdefault(key, Distribution([0] * (len(metric.buckets) + 1)))
            state.counts[bisect_left(metric.buckets, value)] += 1
            state.total += value
        self._export(name, "observe", value, tags)
        self.count(metric.sum, value, **tags)

    def value(self, name: str, **tags: str) -> float:
        """This process's value of a counter or gauge; 0 before the first."""
        kind = self._metric(name).kind
        return self._values.get(self._key(name, kind, tags), 0.0)

    def distribution(self, name: str, **tags: str) -> Distribution:
        """This process's state of a histogram."""
        key = self._key(name, "histogram", tags)
        return self._distributions.get(key, Distribution([0] * (len(self._table[name].buckets) + 1)))

    def _metric(self, name: str) -> Metric:
        try:
            return self._table[name]
        except KeyError:
            raise UndeclaredMetric(
                f"metric {name!r} is not declared; add it to actors.metrics.METRICS"
            ) from None

    def _key(self, name: str, kind: Kind, tags: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
        metric = self._metric(name)
        if metric.kind != kind:
            raise UndeclaredMetric(f"metric {name!r} is a {metric.kind}, not a {kind}")
        if set(tags) != set(metric.tags):
            raise UndeclaredMetric(f"metric {name!r} has the tags {metric.tags}, not {tuple(tags)}")
        return name, tuple(str(tags[tag]) for tag in metric.tags)

    def _export(self, name: str, verb: str, value: float, tags: Mapping[str, str]) -> None:
        ray = sys.modules.get("ray")
        if ray is None or not ray.is_initialized():
            return
        if name not in self._exporters:
            self._exporters[name] = _exporter(self._table[name])
        getattr(self._exporters[name], verb)(float(value), tags=dict(tags))


def _exporter(metric: Metric) -> Any:
    from ray.util import metrics

    if metric.kind == "histogram":
        return metrics.Histogram(
            metric.name, metric.help, boundaries=list(metric.buckets), tag_keys=metric.tags
        )
    kind = metrics.Counter if metric.kind == "counter" else metrics.Gauge
    return kind(metric.name, metric.help, tag_keys=metric.tags)


REGISTRY = Registry()
"""This process's registry."""
count = REGISTRY.count
gauge = REGISTRY.gauge
observe = REGISTRY.observe
