"""The metrics in Prometheus's own registry. A host serves that, see ``docs/how-to/observe.md``."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Histogram

from .measure import COUNTERS, HISTOGRAMS, Metric

_COUNTERS: Final = {metric: Counter(metric.name, metric.text, metric.labels) for metric in COUNTERS}
_HISTOGRAMS: Final = {metric: Histogram(metric.name, metric.text, metric.labels) for metric in HISTOGRAMS}


def add(metric: Metric, values: tuple[str, ...], by: int) -> None:
    _COUNTERS[metric].labels(*values).inc(by)


def observe(metric: Metric, values: tuple[str, ...], seconds: float) -> None:
    _HISTOGRAMS[metric].labels(*values).observe(seconds)
