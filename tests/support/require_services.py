"""A pytest plugin: with ``LAZYAUTH_REQUIRE_SERVICES=1`` a test that needs a service may not be skipped.

It needs one if its marker says so, or the reason of the skip, which begins with "service: no".

On a developer's machine such a test is skipped when PostgreSQL, Redis or Chromium is missing. Where all of
them should be there, a skip would hide that they are not: here it becomes a failure.
"""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

#: Markers of tests that need something beside Python.
MARKERS = ("services", "browser")
#: In the reason of a skip, also of a test whose marker says only that it is slow.
MISSING = "service: no "


def required() -> bool:
    return os.environ.get("LAZYAUTH_REQUIRE_SERVICES") == "1"


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if (
        report.skipped
        and required()
        and (_needs_service(item) or MISSING in _reason(report))
        and not hasattr(report, "wasxfail")
    ):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} may not be skipped here: {_reason(report)}"
    return report


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A module that skips itself has no items to ask for markers, so none may."""
    report = yield
    if report.outcome == "skipped" and required():
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} may not be skipped here: {_reason(report)}"
    return report


def _needs_service(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in MARKERS)


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
