"""Count and time what happens, for Prometheus and OpenTelemetry (``TELEMETRY``). Without that setting nothing is done.

No label has a value that a stranger chooses: reasons, outcomes and grants are words of ours, and all SSO domains are
``sso``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

from django_lazyauth.conf import lazyauth_settings


@dataclass(frozen=True, slots=True)
class Metric:
    """A counter, or a histogram of seconds.

    Attributes:
        name: Of the counter or histogram; for a histogram without its unit also of the span.
    """

    name: str
    text: str
    labels: tuple[str, ...]


SIGN_INS: Final = Metric(
    "lazyauth_sign_ins", "Legs to providers that ended, by outcome.", ("provider", "outcome")
)
UPSTREAM_ERRORS: Final = Metric(
    "lazyauth_upstream_errors", "Sign-ins that failed at a provider, by reason.", ("provider", "reason")
)
UPSTREAM_REFRESHES: Final = Metric(
    "lazyauth_upstream_refreshes", "Refreshes of upstream tokens, by outcome.", ("provider", "outcome")
)
SWEPT: Final = Metric("lazyauth_swept_rows", "Rows that the sweep deleted or ended.", ("kind",))
JOBS: Final = Metric("lazyauth_jobs", "Runs of periodic jobs.", ("job", "outcome"))
TOKEN_REQUESTS: Final = Metric(
    "lazyauth_token_request_seconds", "Time of a token request, by grant and outcome.", ("grant", "outcome")
)
COUNTERS: Final = (SIGN_INS, UPSTREAM_ERRORS, UPSTREAM_REFRESHES, SWEPT, JOBS)
HISTOGRAMS: Final = (TOKEN_REQUESTS,)


def provider_label(name: str) -> str:
    """Return the name of a configured provider. Domains of companies are many, and count together."""
    return "sso" if name.startswith("sso:") else name or "none"


def count(metric: Metric, *values: str, by: int = 1) -> None:
    """Add to a counter. *values* are those of its labels, in their order."""
    if by and "prometheus" in lazyauth_settings.telemetry:
        from . import prometheus

        prometheus.add(metric, values, by)


class Labels:
    """What the labels of a timed block come to be, set inside it."""

    def __init__(self, metric: Metric) -> None:
        self.values = dict.fromkeys(metric.labels, "other")

    def set(self, **values: str) -> None:
        self.values |= values


@contextmanager
def timed(metric: Metric) -> Iterator[Labels]:
    """Time the block, and make it a span."""
    labels, backends = Labels(metric), lazyauth_settings.telemetry
    # Before the block: what it commits is not lost to a package that is missing.
    observe = _histogram() if "prometheus" in backends else None
    began = time.perf_counter()
    with _span(metric, labels) if "opentelemetry" in backends else nullcontext():
        yield labels
    if observe is not None:
        observe(metric, tuple(labels.values.values()), time.perf_counter() - began)


def _histogram() -> Callable[[Metric, tuple[str, ...], float], None]:
    from . import prometheus

    return prometheus.observe


@contextmanager
def _span(metric: Metric, labels: Labels) -> Iterator[Any]:
    from opentelemetry import trace

    name = metric.name.removesuffix("_seconds")
    with trace.get_tracer("django_lazyauth").start_as_current_span(name) as span:
        yield span
        for label, value in labels.values.items():
            span.set_attribute(f"lazyauth.{label}", value)
