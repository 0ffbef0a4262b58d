"""The metric registry: declared, exact, exported."""

from __future__ import annotations

import re

import pytest

from actors import metrics
from actors.metrics import METRICS, SECONDS, Registry, UndeclaredMetric


def test_counters_gauges_and_histograms_count_by_tags() -> None:
    registry = Registry()
    registry.count("pool_retries", 2, pool="a")
    registry.count("pool_retries", pool="a")
    registry.count("pool_retries", 0, pool="b")
    registry.gauge("pool_queued", 5, pool="a")
    registry.gauge("pool_queued", 3, pool="a")
    assert registry.value("pool_retries", pool="a") == 3
    assert registry.value("pool_retries", pool="b") == 0
    assert registry.value("pool_queued", pool="a") == 3


def test_a_histogram_has_its_exact_sum_beside_it() -> None:
    registry = Registry()
    for value in (0.0005, 0.001, 0.5, 1000.0):
        registry.observe("pool_wait_duration_seconds", value, pool="a")
    state = registry.distribution("pool_wait_duration_seconds", pool="a")
    assert state.count == 4 and state.total == pytest.approx(1000.5015)
    assert (state.counts[0], state.counts[SECONDS.index(1.0)], state.counts[-1]) == (2, 1, 1)
    assert registry.value("pool_wait_seconds", pool="a") == pytest.approx(1000.5015)
    assert registry.distribution("pool_wait_duration_seconds", pool="b").count == 0


def test_what_is_not_declared_is_an_error() -> None:
    registry = Registry()
    with pytest.raises(UndeclaredMetric, match="'pool_retrys' is not declared"):
        registry.count("pool_retrys", pool="a")
    with pytest.raises(UndeclaredMetric, match="is a counter, not a gauge"):
        registry.gauge("pool_retries", 1, pool="a")
    with pytest.raises(UndeclaredMetric, match="has the tags"):
        registry.count("pool_retries", worker="a")


def test_the_table_is_sound() -> None:
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names))
    for metric in METRICS:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", metric.name) and metric.help
        assert bool(metric.buckets) == (metric.kind == "histogram")
        assert list(metric.buckets) == sorted(metric.buckets)
        if metric.kind == "histogram":
            assert (metric.sum, "counter", metric.tags) in {(m.name, m.kind, m.tags) for m in METRICS}


@pytest.mark.ray
def test_every_metric_can_leave_through_ray(ray_session: str) -> None:
    registry = Registry()
    for metric in METRICS:
        tags = dict.fromkeys(metric.tags, "x")
        verb = {"counter": registry.count, "gauge": registry.gauge, "histogram": registry.observe}[
            metric.kind
        ]
        verb(metric.name, 1.0, **tags)
    assert {exporter.info["name"] for exporter in registry._exporters.values()} == {m.name for m in METRICS}
    assert metrics.REGISTRY is not registry
